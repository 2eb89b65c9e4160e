"""log p(x) of a model, by the change of variables along its probability flow, with an error budget.

    dx/dt = u(t, x),      log p₁(x₁) = log p₀(x₀) − ∫₀¹ ∇·u dt,      x₀ ~ N(0, σ₀² I)

between noise x₀ and data x₁. The flow is solved like any other equation. Its divergence is computed at a few nodes
along the solution (`along_flow`), at each by d products with the Jacobian, or by one for each random probe. The part of
the divergence that a linear flow has is known in closed form (`change_of_variables`).

The solution has the dtype of x. Integrals are in float64, or in float32 on a device without float64.

Sources: Chen et al., Neural ODEs (1806.07366), theorem 1; Grathwohl et al., FFJORD (1810.01367); Song et al.
(2011.13456), appendix D.2; Lu et al., Maximum likelihood training for score-based ODEs (2206.08265).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import torch
from torch import Tensor

from ...solvers import NFE, Adaptive, ExponentialAdams, Solver, Tsit5, standard_normal
from ...solvers.common import MANY, Progress, check_instance, check_memory, check_samples, choice, flag, whole
from ...solvers.loop import Grid
from ..denoiser import Denoiser, check_denoiser
from .along_flow import AlongFlow
from .budget import Price, divide
from .change_of_variables import ChangeOfVariables, even_times
from .dequantisation import Dequantisation
from .trace import LAWS, TRACES, estimator

__all__ = ["LogLikelihood", "block_size", "joined", "log_likelihood"]

EXACT_UP_TO = 1024
"""The dimension up to which trace="auto" computes the trace exactly."""
NUMBERS_ON_CPU, NUMBERS_ON_DEVICE = 2**14, 2**20
"""The numbers in a block of samples; a block keeps its states at all nodes."""
TRIAL_SAMPLES, TRIAL_STEPS, TRIAL_PROBES = 8, 16, 8
"""The size of the trial that divides a budget."""


@dataclass(frozen=True)
class LogLikelihood:
    """log p(x), and how far it may be off. Tensors are float64 of shape (B,) unless another shape is given.

    Args:
        value: log p(x), in nats.
        probe_stderr: the standard error that random probes leave, in nats; 0 for an exact trace, and nan for one probe,
            which has no spread.
        discretisation: an estimate of the error of the solution and of the quadrature, in nats.
        prior_mismatch: log p₀ − log N(0, σ₀² I) at the noise end, with p₀ the density of the noised data α₀ x + σ₀ ε,
            to second order in α₀/σ₀, in nats. Add it to `value` to have p₀ for the prior. It vanishes where α₀ does.
        nfe: the evaluations of the network per sample; `nfe.vjp` is the number of products with its Jacobian of the
            sample that took most.
        data: the end at the data, of the shape and dtype of x.
        latent: the end at the noise, likewise.
        probes: k estimates of the value, (B, k), of which the value is the mean.
    """

    value: Tensor
    probe_stderr: Tensor
    discretisation: Tensor
    prior_mismatch: Tensor
    nfe: NFE
    data: Tensor = field(repr=False)
    latent: Tensor = field(repr=False)
    probes: Tensor = field(repr=False)

    def bits_per_dim(self, dequantisation: Dequantisation) -> Tensor:
        """An upper bound, in expectation, of the code length of the discrete images.

        Args:
            dequantisation: the map from the levels of the images to `data`.

        Returns:
            Bits per dimension, float64 (B,).
        """
        check_instance("dequantisation", dequantisation, Dequantisation, "Dequantisation(256)")
        offset = dequantisation.log_density(self.data)
        return (offset - self.value) / (self.data[0].numel() * math.log(2.0))


def log_likelihood(
    denoiser: Denoiser,
    x: Tensor,
    times: Adaptive | Tensor | Sequence[float] | None = None,
    solver: Solver | None = None,
    trace: str = "auto",
    probes: int = 1,
    seed: int | Sequence[int] = 0,
    *,
    law: str = "rademacher",
    nfe: int | None = None,
    progress: bool = False,
) -> LogLikelihood:
    """log p(x) of the density that the probability flow of a denoiser makes of N(0, σ₀² I).

    The flow is solved in the clock α/(α + σ), in which both ends are regular. The result of a sample depends on its
    batch by the rounding of the network's sums alone. It is differentiable; inside `torch.no_grad()` nothing is kept
    for that.

    Args:
        denoiser: the network; it may be guided.
        x: the data, floating-point, (B, ...).
        times: from data to noise, as `Adaptive` or as a falling grid, exactly whose steps are taken. The default is
            `Adaptive(1.0, 0.0, rtol=1e-4, atol=1e-4)`, which asks for an error of rtol + atol nats per dimension, for
            each sample apart. Rising times start from noise x, and the value is that of the data that it becomes.
        solver: a solver for deterministic equations, for adaptive times one that knows the states between its steps;
            `Tsit5()` if None.
        trace: "exact", with one product for each dimension; "hutchinson", with one for each probe; "hutch++", with
            three for each probe; "auto" is exact up to 1024 dimensions, and "hutchinson" above.
        probes: the number of random probes.
        seed: the seed of the probes, an int, or one int a sample. They are drawn once.
        law: the law of the probes, "rademacher" or "gaussian".
        nfe: the evaluations and products that a sample may take, in place of times, solver, trace and probes. They are
            divided between steps and probes by a trial on a few samples of the model (`budget`).
        progress: show a progress bar on stderr.

    Raises:
        TypeError: an argument is of another kind.
        ValueError: x is not finite or has no components, a name is unknown, a number is out of range, arguments do not
            fit each other, or `nfe` is too small.
        SolveError: as `solve` raises.

    Example:
        >>> normal = Denoiser(lambda x, time: 0.0 * x, CondOT(), predicts="v")  # v-hat = 0 makes the density N(0, I)
        >>> log_likelihood(normal, torch.zeros(1, 2, dtype=torch.float64)).value  # −log 2π
        tensor([-1.8379], dtype=torch.float64)
    """
    check_denoiser(denoiser)
    check_samples("x", x, axes=2, empty=False, wait=True)
    choice("trace", trace, (*TRACES, "auto"))
    choice("law", law, LAWS)
    probes, progress = whole("probes", probes, 1, MANY), flag("progress", progress)
    nfe = None if nfe is None else whole("nfe", nfe, 1, MANY)
    if nfe is not None:
        if not (times is None and solver is None and trace == "auto" and probes == 1):
            raise ValueError("nfe chooses times, solver, trace and probes itself; give it alone, or leave it out.")
        times, solver, trace, probes = _planned(denoiser, x, nfe, law)
    times = Adaptive(1.0, 0.0, rtol=1e-4, atol=1e-4) if times is None else times
    steps = times if isinstance(times, Adaptive) else Grid.of(times)
    if isinstance(steps, Adaptive) and not (isinstance(steps.rtol, float) and isinstance(steps.atol, float)):
        raise ValueError("A likelihood has one rtol and one atol for all components; give numbers.")
    if isinstance(steps, Adaptive) and steps.norm != "rms":
        raise ValueError("A likelihood measures errors by the norm 'rms'; leave norm out.")
    solver = Tsit5() if solver is None else solver
    check_instance("solver", solver, Solver, "a solver, such as Heun()")
    if max(steps.t0, steps.t1) > 1.0:
        raise ValueError(f"times run up to 1, where the data are, but to {max(steps.t0, steps.t1):g} here.")
    if solver.draws:
        raise ValueError(f"{solver!r} draws noise, but a density follows from a deterministic flow; use Tsit5().")
    if isinstance(steps, Adaptive) and not solver.dense:
        raise ValueError(f"{solver!r} knows no states between its adaptive steps; use Tsit5(), or give a grid.")
    dim = x[0].numel()
    kind = ("exact" if dim <= EXACT_UP_TO else "hutchinson") if trace == "auto" else trace
    check_memory("probes", probes, 2 * probes * x.numel())
    traces = estimator(kind, probes, law, x, seed)
    first = denoiser.of_rows(torch.zeros(1, dtype=torch.int64, device="cpu"))
    for t in (steps.t0, steps.t1):  # the velocity x₀-hat − ε-hat must exist at both ends
        first.combination(1.0, -1.0, t, x[:1])
    parts = []
    with Progress(0.0, len(x), progress) as bar:
        for rows in torch.split(torch.arange(len(x), device="cpu"), block_size(x)):
            change = ChangeOfVariables(denoiser.of_rows(rows), traces.of_rows(rows), x.shape[1:])
            parts.append(_result(AlongFlow(change, x[rows.to(x.device)], steps, solver)))
            bar.reach(float(rows[-1]) + 1.0)
    return joined(parts)


def block_size(x: Tensor) -> int:
    """The number of samples like those of x, (B, ...), that are computed together."""
    numbers = NUMBERS_ON_CPU if x.device.type == "cpu" else NUMBERS_ON_DEVICE
    return max(1, numbers // x[0].numel())


def _planned(denoiser: Denoiser, x: Tensor, nfe: int, law: str) -> tuple[Tensor, Solver, str, int]:
    """Times, solver, trace and number of probes for a budget, after a trial on a few samples of the model."""
    solver, path = ExponentialAdams(3, corrector=True), denoiser.path
    noise = path.sigma(0.0) * standard_normal(x[:TRIAL_SAMPLES], seed=0)
    with torch.no_grad():
        times = even_times(path, TRIAL_STEPS)
        trial = log_likelihood(denoiser, noise, times, solver, "hutchinson", TRIAL_PROBES, law=law)
    division = divide(
        nfe,
        x[0].numel(),
        Price(solver, denoiser.cost, mismatch=path.alpha(0.0) != 0.0),
        trial_steps=TRIAL_STEPS,
        trial_error=trial.discretisation.square().mean().sqrt().item(),
        variance=trial.probes.var(1).mean().item(),
    )
    return even_times(path, division.steps).flip(0), solver, division.trace, division.probes


def _result(block: AlongFlow) -> LogLikelihood:
    """The result for the samples of one block."""
    values, end, discretisation = block.solved()
    change, count = block.change, values.shape[1]
    data, latent = (block.x, end) if block.to_noise else (end, block.x)
    mismatch, spends = change.prior_mismatch(latent, min(block.steps.t0, block.steps.t1))
    spread = values.std(1) / math.sqrt(count) if count > 1 else torch.full_like(discretisation, math.nan)
    products = int(block.products.max()) + spends * change.trace.directions
    return LogLikelihood(
        value=values.mean(1),
        probe_stderr=torch.zeros_like(spread) if change.trace.exact else spread,
        discretisation=discretisation.detach(),
        prior_mismatch=mismatch,
        nfe=NFE.of(
            block.spent + 2 * spends,
            rejected=block.rejected,
            depth=block.depth,
            branches=change.denoiser.cost,
            jvp=0,
            vjp=products,
        ),
        data=data,
        latent=latent,
        probes=values,
    )


def joined(parts: list[LogLikelihood]) -> LogLikelihood:
    """The results of the blocks as one result."""
    names = [entry.name for entry in fields(LogLikelihood) if entry.name != "nfe"]
    tensors = {name: torch.cat([getattr(part, name) for part in parts]) for name in names}
    nfes = [part.nfe for part in parts]
    most = {name: max(getattr(nfe, name) for nfe in nfes) for name in ("rejected", "depth", "branches", "jvp", "vjp")}
    return LogLikelihood(nfe=NFE.of(torch.cat([nfe.per_sample for nfe in nfes]), **most), **tensors)

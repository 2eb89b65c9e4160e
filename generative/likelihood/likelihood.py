"""log p(x) of a model, by the change of variables along its probability flow, with an error budget.

    dx/dt = u(t, x),      log p₁(x₁) = log p₀(x₀) − ∫₀¹ ∇·u dt,      x₀ ~ N(0, σ₀² I)

between noise x₀ and data x₁. The flow is solved like any other equation. Its divergence, d Jacobian-vector products at
each time or one for each random probe, is taken at a few nodes along the solution (`along_flow`); what a linear flow
has of it is known in closed form (`change_of_variables`).

The solution is kept in the dtype of x, integrals in float64.

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
from ...solvers.common import Progress
from ...solvers.loop import Grid
from ..denoiser import Denoiser
from .along_flow import AlongFlow
from .budget import Price, divide
from .change_of_variables import ChangeOfVariables, even_times
from .dequantisation import Dequantisation
from .trace import estimator

__all__ = ["LogLikelihood", "log_likelihood"]

EXACT_UP_TO = 1024
"""The dimension up to which trace="auto" computes the trace exactly."""
NUMBERS_ON_CPU, NUMBERS_ON_DEVICE = 2**14, 2**20
"""Numbers in a block of samples, whose states at all nodes are kept."""
TRIAL_SAMPLES, TRIAL_STEPS, TRIAL_PROBES = 8, 16, 8
"""Of the trial of a budget."""


@dataclass(frozen=True)
class LogLikelihood:
    """log p(x) and how far it may be off. Every tensor is float64, of shape (B,).

    value: log p(x), in nats. probe_stderr: the standard error that random probes leave; 0 for an exact trace, nan for
    one probe, which has no spread. discretisation: an estimate of the error of the solution and of the quadrature.
    prior_mismatch: what to add for the density of the noised data, α₀ x + σ₀ ε, in place of the prior N(0, σ₀² I) at
    the noise end, to second order in α₀/σ₀; it vanishes where α₀ does. nfe: evaluations of the network per sample, and
    products with its Jacobian, `nfe.vjp`, of the sample that took most. data, latent: the two ends, of x's shape.
    probes: the estimates of the value, (B, k), of which it is the mean.
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
        """The code length of the discrete images, bounded from above in expectation: (B,), bits per dimension."""
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
    """log p(x) of the density that the probability flow of `denoiser` makes of N(0, σ₀² I), for x of shape (B, …).

    times: from data to noise; `Adaptive(1.0, 0.0, rtol=1e-4, atol=1e-4)` is the default, and asks for an error of
    rtol + atol nats per dimension, for each sample apart; or a decreasing grid, exactly whose steps are taken.
    Increasing times start from noise x, and the value is the log-likelihood of the data that it becomes. solver: any
    for deterministic equations, and for adaptive times one that knows the states between its steps; by default Tsit5().
    It solves the flow in the clock α/(α + σ), in which both ends are regular. trace: "exact", one product for each
    dimension; "hutchinson", one for each of `probes` probes, whose `law` is "rademacher" or "gaussian"; "hutch++",
    three for each; "auto", exact up to 1024 dimensions. seed: of the probes, which are drawn once. nfe: in place of
    times, probes and solver, the evaluations and products that a sample may take; they are divided between steps and
    probes so that the error is least, as a trial on a few samples of the model predicts it (`likelihood_budget`).

    A sample's result does not depend on its batch (but by the rounding of the network's sums). It is differentiable;
    inside `torch.no_grad()` it keeps nothing for that. Raises ValueError or TypeError for arguments that do not fit,
    and `SolveError` as `solve` does.
    """
    if not (isinstance(x, Tensor) and x.is_floating_point() and x.ndim > 1 and x.numel()):
        given = f"{x.dtype} of shape {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"x must be a floating-point tensor of samples, (B, ...), but is {given}.")
    if nfe is not None:
        if not (times is None and solver is None and trace == "auto" and probes == 1):
            raise ValueError("nfe chooses times, solver, trace and probes itself; give it alone, or leave it out.")
        times, solver, trace, probes = _planned(denoiser, x, nfe, law)
    times = Adaptive(1.0, 0.0, rtol=1e-4, atol=1e-4) if times is None else times
    steps = times if isinstance(times, Adaptive) else Grid.of(times)
    solver = Tsit5() if solver is None else solver
    if not isinstance(solver, Solver):
        raise TypeError(f"solver must be an instance of a solver, but got {solver!r}; write for example Heun().")
    if solver.draws:
        raise ValueError(f"{solver!r} draws noise, but a density follows from a deterministic flow; use Tsit5().")
    if isinstance(steps, Adaptive) and not solver.dense:
        raise ValueError(f"{solver!r} knows no states between its adaptive steps; use Tsit5(), or give a grid.")
    dim = x[0].numel()
    kind = ("exact" if dim <= EXACT_UP_TO else "hutchinson") if trace == "auto" else trace
    whole = estimator(kind, probes, law, x, seed)
    first = denoiser.of_rows(torch.zeros(1, dtype=torch.int64))
    for t in (steps.t0, steps.t1):  # what is held must exist at both ends
        first.combination(1.0, -1.0, t, x[:1])
    parts, numbers = [], NUMBERS_ON_CPU if x.device.type == "cpu" else NUMBERS_ON_DEVICE
    with Progress(0.0, len(x), progress) as bar:
        for rows in torch.split(torch.arange(len(x)), max(1, numbers // dim)):
            change = ChangeOfVariables(denoiser.of_rows(rows), whole.of_rows(rows), x.shape[1:])
            parts.append(_result(AlongFlow(change, x[rows.to(x.device)], steps, solver)))
            bar.reach(float(rows[-1]) + 1.0)
    return _joined(parts)


def _planned(denoiser: Denoiser, x: Tensor, nfe: int, law: str) -> tuple[Tensor, Solver, str, int]:
    """Times, solver, trace and probes for a budget, after a trial on a few of the model's own samples."""
    solver, path = ExponentialAdams(3, corrector=True), denoiser.path
    noise = float(path.sigma(0.0)) * standard_normal(x[:TRIAL_SAMPLES], seed=0)
    with torch.no_grad():
        times = even_times(path, TRIAL_STEPS)
        trial = log_likelihood(denoiser, noise, times, solver, "hutchinson", TRIAL_PROBES, law=law)
    division = divide(
        nfe,
        x[0].numel(),
        Price(solver, denoiser.cost, mismatch=float(path.alpha(0.0)) != 0.0),
        trial_steps=TRIAL_STEPS,
        trial_error=trial.discretisation.square().mean().sqrt().item(),
        variance=trial.probes.var(1).mean().item(),
    )
    return even_times(path, division.steps).flip(0), solver, division.trace, division.probes


def _result(block: AlongFlow) -> LogLikelihood:
    """Of the samples of one block."""
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


def _joined(parts: list[LogLikelihood]) -> LogLikelihood:
    """The blocks one after the other."""
    names = [entry.name for entry in fields(LogLikelihood) if entry.name != "nfe"]
    tensors = {name: torch.cat([getattr(part, name) for part in parts]) for name in names}
    nfes = [part.nfe for part in parts]
    most = {name: max(getattr(nfe, name) for nfe in nfes) for name in ("rejected", "depth", "branches", "jvp", "vjp")}
    return LogLikelihood(nfe=NFE.of(torch.cat([nfe.per_sample for nfe in nfes]), **most), **tensors)

"""log p(x) of a model, by the change of variables along its probability flow, with an error budget.

    dx/dt = u(t, x),      log p₁(x₁) = log p₀(x₀) − ∫₀¹ ∇·u dt,      x₀ ~ N(0, σ₀² I)

between noise x₀ and data x₁. The flow is solved like any other equation. Its divergence is computed at a few nodes
along the solution, at each by d products with the Jacobian, or by one for each random probe. The part of the divergence
that a linear flow has is known in closed form (`change_of_variables`). A plan says where the nodes are, how many probes
they have and how precisely the flow is solved (`plan`).

The solution has the dtype of x. Integrals are in float64, or in float32 on a device without float64.

Sources: Chen et al., Neural ODEs (1806.07366), theorem 1; Grathwohl et al., FFJORD (1810.01367); Song et al.
(2011.13456), appendix D.2; Lu et al., Maximum likelihood training for score-based diffusion ODEs (2206.08265).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from inspect import signature
from typing import Any

import torch
from scipy.stats import t as student
from torch import Tensor

from ...solvers import NFE
from ...solvers.common import Progress, check_instance, check_samples, flag, host, matching, real
from ...solvers.noise import Keys, per_sample_keys
from ..denoiser import Denoiser, check_denoiser
from .along_flow import evaluations, flow_states, traces
from .change_of_variables import ChangeOfVariables, ProbabilityFlow
from .dequantisation import Dequantisation
from .plan import LikelihoodPlan, plan_likelihood
from .refined import SAFETY, Refined

__all__ = ["LogLikelihood", "block_size", "joined", "likelihood_of", "log_likelihood"]

NUMBERS_ON_CPU, NUMBERS_ON_DEVICE = 2**14, 2**20
"""The numbers in a block of samples; a block keeps its states at all nodes."""
REPEATED = 2, 4, 16
"""New probes, over the first ones, for all samples of a block if their standard error is too large, or else for those
that are far off.
"""
FAR = 2.0
"""The standard error of a sample that is far off, over what is asked for. Samples are not told apart by less: to leave
those alone whose error looks small would make it look smaller than it is.
"""


@dataclass(frozen=True)
class LogLikelihood:
    """log p(x), and how far it may be off. Tensors are float64 of shape (B,) unless another shape is given.

    Args:
        value: log p(x), in nats.
        probe_stderr: the standard error that random probes leave, in nats; 0 for an exact trace, and nan where the
            probes cannot tell.
        freedom: the degrees of freedom of `probe_stderr`.
        discretisation: an estimate of the error of the solution and of the quadrature, in nats.
        prior_mismatch: log p₀ − log N(0, σ₀² I) at the noise end, with p₀ the density of the noised data α₀ x + σ₀ ε,
            to second order in α₀/σ₀, in nats. Add it to `value` to have p₀ for the prior. It vanishes where α₀ does.
        nfe: the evaluations of the network per sample; `nfe.vjp` is the number of products with its Jacobian of the
            sample that took most.
        data: the end at the data, of the shape and dtype of x.
        latent: the end at the noise, likewise.
    """

    value: Tensor
    probe_stderr: Tensor
    freedom: Tensor
    discretisation: Tensor
    prior_mismatch: Tensor
    nfe: NFE
    data: Tensor = field(repr=False)
    latent: Tensor = field(repr=False)

    def interval(self, level: float = 0.95) -> Tensor:
        """Student's interval of the value that an exact trace has at the same nodes. It leaves out `discretisation`.

        Args:
            level: the probability of holding it, between 0 and 1.

        Returns:
            Its lower and upper ends, float64 (2, B).
        """
        level = real("level", level, 0.0, 1.0)
        quantile = matching(host(student.ppf(0.5 + 0.5 * level, self.freedom.cpu().numpy())), self.value)
        width = quantile * self.probe_stderr
        return torch.stack([self.value - width, self.value + width])

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
    plan: LikelihoodPlan | None = None,
    seed: int | Sequence[int] = 0,
    *,
    error: float | None = None,
    error_of_mean: float | None = None,
    nodes: int | None = None,
    trace: str = "auto",
    probes: int | None = None,
    frozen: bool = False,
    law: str = "rademacher",
    times: Sequence[float] = (1.0, 0.0),
    progress: bool = False,
) -> LogLikelihood:
    """log p(x) of the density that the probability flow of a denoiser makes of N(0, σ₀² I).

    The value of a sample depends on its batch by the plan and by the rounding of the network's sums alone. It is
    differentiable; inside `torch.no_grad()` nothing is kept for that.

    Args:
        denoiser: the network; it may be guided.
        x: the data, floating-point, (B, ...); or noise, for rising times.
        plan: a plan, of these or of other samples; one is made with the other arguments if None (`plan_likelihood`).
        seed: the seed of the probes, an int, or one int a sample.
        error: the error that the value of each sample may have, in nats; 0.001 for each dimension if nothing is given.
        error_of_mean: in its place, the error that the mean over the samples may have, in nats.
        nodes: in their place, a fixed number of nodes, odd.
        trace: "exact", "orthogonal", "coloured", "hutchinson" or "hutch++"; "auto" takes the cheapest.
        probes: the number of probes at a node, on average, in place of what the error asks for.
        frozen: give all nodes the same probes.
        law: the law of the probes of "hutchinson" and "hutch++", "rademacher" or "gaussian".
        times: the time of the samples, and that of the other end.
        progress: show a progress bar on stderr.

    Raises:
        TypeError: an argument is of another kind.
        ValueError: x is not finite or has no components, a name is unknown, a number is out of range, or arguments do
            not fit each other.
        SolveError: as `solve` raises.

    Example:
        >>> normal = Denoiser(lambda x, time: 0.0 * x, CondOT(), predicts="v")  # v-hat = 0 makes the density N(0, I)
        >>> log_likelihood(normal, torch.zeros(1, 2, dtype=torch.float64)).value  # −log 2π
        tensor([-1.8379], dtype=torch.float64)
    """
    check_denoiser(denoiser)
    check_samples("x", x, axes=2, empty=False, wait=True)
    progress = flag("progress", progress)
    keys = per_sample_keys(seed, len(x), x.device)
    asked: dict[str, Any] = {
        "error": error, "error_of_mean": error_of_mean, "nodes": nodes, "trace": trace, "probes": probes,
        "frozen": frozen, "law": law, "times": times,
    }  # fmt: skip
    if plan is None:
        plan = plan_likelihood(denoiser, x, **asked)
    else:
        check_instance("plan", plan, LikelihoodPlan, "plan_likelihood(denoiser, x)")
        extra = [name for name, value in asked.items() if value != signature(log_likelihood).parameters[name].default]
        if extra:
            raise ValueError(f"A plan says everything, but {extra[0]} was given, too; leave it or the plan out.")
    return likelihood_of(ProbabilityFlow(denoiser, x.shape[1:], *plan.times), x, plan, keys, progress)


def likelihood_of(
    change: ChangeOfVariables, x: Tensor, plan: LikelihoodPlan, keys: Keys, progress: bool
) -> LogLikelihood:
    """The likelihood of samples by a change of variables, block by block.

    Raises:
        ValueError: the plan is one for other times, or for a path with other ends.
    """
    if (plan.clock.start, plan.clock.end) != (change.first, change.last):
        raise ValueError(
            f"The plan runs from r = {plan.clock.start:g} to {plan.clock.end:g}, but the flow from {change.first:g} to "
            f"{change.last:g}; make a plan for this path and these times."
        )
    parts = []
    with Progress(0.0, len(x), progress) as bar:
        for rows in torch.split(torch.arange(len(x), device="cpu"), block_size(x)):
            parts.append(_block(change.of_rows(rows), x[rows.to(x.device)], plan, keys.of_rows(rows)))
            bar.reach(float(rows[-1]) + 1.0)
    return joined(parts)


def block_size(x: Tensor) -> int:
    """The number of samples like those of x, (B, ...), that are computed together."""
    numbers = NUMBERS_ON_CPU if x.device.type == "cpu" else NUMBERS_ON_DEVICE
    return max(1, numbers // x[0].numel())


def _block(change: ChangeOfVariables, x: Tensor, plan: LikelihoodPlan, keys: Keys) -> LogLikelihood:
    """The likelihood of samples that are computed together."""
    nodes = plan.nodes
    z, trace = change.entering(x), plan.estimator(keys, change.shape)
    states, nfe = flow_states(change, plan.clock, z, nodes.s, plan.tolerance)
    other = change.leaving(states[-1])
    found = traces(change, nodes.r, states, trace)
    integral = trace.combined(nodes.weights, found)
    spent = nfe.per_sample + evaluations(change, nodes.r, len(x))
    products = torch.full_like(spent, change.cost * sum(trace.counts))
    for times in REPEATED:
        if trace.exact or plan.stderr is None:
            break
        far = integral.variance > (FAR * plan.stderr) ** 2
        enough = bool(integral.variance[~far].mean().nan_to_num() <= plan.stderr**2)
        left = (far if enough else torch.ones_like(far)).nonzero()[:, 0].cpu()
        if not len(left):
            break
        some, there = change.of_rows(left), left.to(x.device)
        more = plan.estimator(keys.of_rows(left).child(times), change.shape, times)
        integral = integral.replaced(there, more.combined(nodes.weights, traces(some, nodes.r, states[:, there], more)))
        spent[left] += evaluations(some, nodes.r, len(left))
        products[left] += change.cost * sum(more.counts)
    if trace.exact:
        rule = Refined(change, z, plan, torch.stack(found)[..., 0])
        integral = replace(integral, value=rule.value)
        discretisation = torch.hypot(rule.error, rule.flow_error(states, keys))
        spent, products = spent + rule.spent, products + rule.products
    else:
        discretisation = torch.full_like(integral.value, SAFETY * plan.discretisation)
    data, latent = (x, other) if change.to_noise else (other, x)
    mismatch, taken = change.mismatch(latent, keys if not trace.exact else None)
    return LogLikelihood(
        value=change.value(x, other, integral.value),
        probe_stderr=integral.variance.sqrt(),
        freedom=integral.freedom,
        discretisation=discretisation.detach(),
        prior_mismatch=mismatch,
        nfe=NFE.of(
            spent + 2 * change.cost * (taken > 0), rejected=nfe.rejected, depth=nfe.depth, branches=change.cost, jvp=0,
            vjp=int(products.max()) + change.cost * taken,
        ),
        data=data,
        latent=latent,
    )  # fmt: skip


def joined(parts: list[LogLikelihood]) -> LogLikelihood:
    """The results of the blocks as one result."""
    names = [entry.name for entry in fields(LogLikelihood) if entry.name != "nfe"]
    tensors = {name: torch.cat([getattr(part, name) for part in parts]) for name in names}
    nfes = [part.nfe for part in parts]
    most = {name: max(getattr(nfe, name) for nfe in nfes) for name in ("rejected", "depth", "branches", "jvp", "vjp")}
    return LogLikelihood(nfe=NFE.of(torch.cat([nfe.per_sample for nfe in nfes]), **most), **tensors)

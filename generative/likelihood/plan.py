"""A plan: the clock, the nodes, the probes and the tolerance with which a likelihood reaches an accuracy.

Let e be the error that a value may have. The flow and the quadrature may take a share of it, which a pilot on a few
samples predicts. With probes the standard error takes the rest (`allocation`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ...solvers.common import MANY, Array, check_samples, choice, flag, real, reals, whole
from ...solvers.noise import Keys, per_sample_keys
from ..denoiser import Denoiser, check_denoiser
from .allocation import EXACT, allocate, estimator
from .change_of_variables import ChangeOfVariables, ProbabilityFlow
from .clock import Clock, Nodes
from .hutchinson import LAWS
from .measured_flow import MeasuredFlow
from .pilot import SAMPLES, pilot
from .trace import TRACES, Exact, Trace

__all__ = ["LikelihoodPlan", "plan_likelihood", "plan_of"]

SEED = 0x5EED_0F_A_1177
"""Of the pilot's probes: they must not be those of the likelihood."""
QUADRATURE, WITH_PROBES, FLOW, RESOLVED = 0.3, 0.1, 0.2, 0.03
"""The shares of the error for the quadrature of an exact trace, which can be refined, for that of probes, for the flow,
and for the pilot's own quadrature."""
STDERR = 0.75
"""The share of the standard error: a pilot may miss it by a third."""
FIRST_TOLERANCE, LOOSEST, LEAST_TOLERANCE, TIGHTER = 0.3, 1e-3, 50.0, 0.5
"""Of the flow: the first tolerance over the error of a dimension, the largest one, the least one over eps, and the
share of the tolerance that would be enough if errors were in proportion to it."""


@dataclass(frozen=True)
class LikelihoodPlan:
    """How a likelihood is computed, and what it is expected to take. Print it for a sentence.

    Attributes:
        times: the times of the samples and of the other end.
        clock: the clock of the flow and of the quadrature.
        intervals: n, for n + 1 nodes.
        tolerance: rtol and atol of the flow; None for one step of RK4 from node to node.
        trace: one of "exact", "orthogonal", "coloured", "hutchinson", "hutch++".
        probes: the number of probes at each node, or of its colours; none for an exact trace.
        frozen: whether probes are the same at all nodes.
        law: the law of the probes.
        error: the error in nats up to which nodes are added for a sample; None for a fixed number.
        stderr: the standard error in nats, root mean square, above which samples have new probes, more of them; None
            for a fixed number.
        probe_stderr: the expected standard error of a sample, in nats.
        evaluations: the expected evaluations of the network for a sample.
        products: the expected products with its Jacobian.
        seconds: the expected time of a sample.
        errors: errors of single probes at the nodes, (M, n + 1), which the pilot has seen.
        ratio: the error of the quadrature over what its nodes say of it.
        quadrature_error: the expected error of the quadrature, in nats.
        flow_error: that of the flow.
    """

    times: tuple[float, float]
    clock: Clock
    intervals: int
    tolerance: float | None
    trace: str
    probes: tuple[int, ...]
    frozen: bool
    law: str
    error: float | None
    stderr: float | None
    probe_stderr: float
    evaluations: float
    products: int
    seconds: float
    errors: Array = field(repr=False, compare=False)
    ratio: float = field(repr=False)
    quadrature_error: float
    flow_error: float

    def __str__(self) -> str:
        how = "an exact trace" if self.trace == EXACT else f"{self.trace} probes"
        return (
            f"{self.intervals + 1} nodes, {how}: {self.evaluations:.0f} evaluations and {self.products} products a "
            f"sample (about {self.seconds:.2g} s); standard error {self.probe_stderr:.2g} and discretisation "
            f"{self.discretisation:.2g} nats"
        )

    @property
    def discretisation(self) -> float:
        """The expected error of flow and quadrature, in nats."""
        return math.hypot(self.quadrature_error, self.flow_error)

    @property
    def nodes(self) -> Nodes:
        """The n + 1 nodes."""
        return self.clock.nodes(self.intervals)

    def estimator(self, keys: Keys, shape: torch.Size, more: int = 1) -> Trace:
        """The estimator of the trace for samples with these keys, with so many times the probes."""
        if self.trace == EXACT:
            return Exact(shape.numel(), self.intervals + 1)
        most = shape.numel() // 2 if self.trace == "hutch++" else shape.numel()
        probes = tuple(min(most, more * k) for k in self.probes)
        return estimator(self.trace, keys, shape, probes, self.errors, self.law, self.frozen)


def plan_likelihood(
    denoiser: Denoiser,
    x: Tensor,
    *,
    error: float | None = None,
    error_of_mean: float | None = None,
    nodes: int | None = None,
    trace: str = "auto",
    probes: int | None = None,
    frozen: bool = False,
    law: str = "rademacher",
    times: Sequence[float] = (1.0, 0.0),
) -> LikelihoodPlan:
    """The cheapest way to a likelihood of some accuracy, by a pilot on the first sixteen samples.

    Args:
        denoiser: the network; it may be guided.
        x: the samples, floating-point, (B, ...).
        error: the error that the value of each sample may have, in nats; 0.001 for each dimension if nothing is given.
        error_of_mean: in its place, the error that the mean over the samples may have, in nats.
        nodes: in their place, a fixed number of nodes, odd. The flow takes one step of RK4 from node to node, so that
            the work does not depend on the samples.
        trace: "exact", "orthogonal", "coloured", "hutchinson" or "hutch++" (see `likelihood.trace`); "auto" takes the
            cheapest.
        probes: the number of probes at a node, on average, in place of what the error asks for.
        frozen: give all nodes the same probes.
        law: the law of the probes of "hutchinson" and "hutch++", "rademacher" or "gaussian".
        times: the time of the samples, and that of the other end. (1, 0) is from data to noise. Rising times start from
            noise, and the value is that of the data that it becomes.

    Raises:
        TypeError, ValueError: an argument is of another kind, or arguments do not fit each other.
        SolveError: as `solve` raises.

    Example:
        >>> normal = Denoiser(lambda x, time: 0.0 * x, CondOT(), predicts="v")
        >>> plan_likelihood(normal, torch.zeros(1, 2), error=0.1).trace
        'exact'
    """
    check_denoiser(denoiser)
    check_samples("x", x, axes=2, empty=False, wait=True)
    start, end = checked_times(times)
    first = denoiser.of_rows(torch.zeros(1, dtype=torch.int64, device="cpu"))
    for t in (start, end):  # the velocity x₀-hat − ε-hat must exist at both ends
        first.combination(1.0, -1.0, t, x[:1])
    change = ProbabilityFlow(denoiser, x.shape[1:], start, end)
    return plan_of(
        change, x, (start, end), error=error, error_of_mean=error_of_mean, nodes=nodes, trace=trace, probes=probes,
        frozen=frozen, law=law,
    )  # fmt: skip


def checked_times(times: Sequence[float]) -> tuple[float, float]:
    """Both times of a likelihood."""
    ends = reals("times", times)
    if len(ends) != 2:
        raise ValueError(f"times has {len(ends)} entries, but a likelihood needs two, such as (1.0, 0.0).")
    start, end = (real("times", t, 0.0, 1.0) for t in ends)
    if start == end:
        raise ValueError(f"times is ({start:g}, {end:g}), but the two must differ.")
    return start, end


def plan_of(
    change: ChangeOfVariables,
    x: Tensor,
    times: tuple[float, float],
    *,
    error: float | None,
    error_of_mean: float | None,
    nodes: int | None,
    trace: str,
    probes: int | None,
    frozen: bool,
    law: str,
) -> LikelihoodPlan:
    """`plan_likelihood` for any change of variables."""
    _check(change, error, error_of_mean, nodes, trace, probes, frozen, law)
    nodes = None if nodes is None else whole("nodes", nodes)
    probes, frozen = None if probes is None else whole("probes", probes), flag("frozen", frozen)
    if error_of_mean is not None:
        whole_error = real("error_of_mean", error_of_mean, above=0.0)
        error_of_each = whole_error * math.sqrt(len(x))
    else:
        whole_error = error_of_each = 1e-3 * change.dim if error is None else real("error", error, above=0.0)

    keys = per_sample_keys(SEED, min(SAMPLES, len(x)), x.device)
    least = LEAST_TOLERANCE * change.precision(x)
    tolerance = min(LOOSEST, max(least, FIRST_TOLERANCE * whole_error / change.dim))
    with torch.no_grad():
        seen = pilot(change, x, keys, tolerance, "hutchinson" if frozen else trace, law, RESOLVED * whole_error)
    stderr = STDERR * error_of_each
    if nodes is not None:
        rule = seen.best_of(nodes - 1)
        chosen = allocate(change.shape, seen, rule, stderr, trace, probes, frozen, law)
        flow = MeasuredFlow.stepped(change, x, rule.clock, rule.intervals, keys)
    else:
        rule = seen.best(WITH_PROBES * whole_error, refined=False)
        chosen = allocate(change.shape, seen, rule, stderr, trace, probes, frozen, law)
        missed = trace == "auto" and probes is None and rule.error > whole_error  # only an exact trace can be refined
        if chosen.kind == EXACT or missed:
            rule = seen.best(QUADRATURE * whole_error, refined=True)
            chosen = allocate(change.shape, seen, rule, stderr, EXACT, probes, frozen, law)
        flow, most = seen.flow, FLOW * whole_error
        if flow.error > most:
            flow = flow.at(max(least, flow.tolerance * TIGHTER * most / flow.error))
    refined = chosen.kind == EXACT and nodes is None
    repeated = error_of_mean is None and nodes is None and probes is None and not frozen
    evaluations = flow.evaluations + (rule.intervals + 1) + (flow.repeated if chosen.kind == EXACT else 0.0)
    return LikelihoodPlan(
        times=times, clock=rule.clock, intervals=rule.intervals, tolerance=None if nodes else flow.tolerance,
        trace=chosen.kind, probes=chosen.probes, frozen=frozen, law=law, error=whole_error if refined else None,
        stderr=error_of_each if repeated else None,
        probe_stderr=math.sqrt(chosen.variance), evaluations=change.cost * evaluations,
        products=change.cost * chosen.products, seconds=seen.seconds * (evaluations + chosen.products),
        errors=seen.errors(rule.clock, rule.intervals), ratio=rule.ratio, quadrature_error=rule.difference,
        flow_error=flow.error,
    )  # fmt: skip


def _check(
    change: ChangeOfVariables,
    error: float | None,
    error_of_mean: float | None,
    nodes: int | None,
    trace: str,
    probes: int | None,
    frozen: bool,
    law: str,
) -> None:
    """Raise TypeError or ValueError for a name that is unknown, and for arguments that do not fit each other."""
    choice("trace", trace, (*TRACES, "auto"))
    choice("law", law, LAWS)
    flag("frozen", frozen)
    if sum(each is not None for each in (error, error_of_mean, nodes)) > 1:
        raise ValueError("error, error_of_mean and nodes exclude each other; give one of them.")
    if nodes is not None and (whole("nodes", nodes, 5, 1025) % 2 == 0):
        raise ValueError(f"nodes is {nodes}, but must be odd; give {nodes + 1}.")
    if probes is not None:
        whole("probes", probes, 1, MANY)
    if frozen and trace == "coloured":
        raise ValueError("Frozen coloured probes cannot tell their error; use frozen orthogonal or hutchinson ones.")
    if trace == "coloured" and len(change.shape) < 2:
        raise ValueError(f"A state of shape {tuple(change.shape)} has no pixels to colour; use orthogonal probes.")

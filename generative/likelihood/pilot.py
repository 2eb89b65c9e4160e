"""What a few samples say of a flow: which clock and how many nodes the quadrature needs, and how far probes scatter.

A pilot solves the flow of a few samples and takes frozen probes at many nodes. zᵀ A z of a frozen probe is as smooth
along the flow as the trace is. On these functions the error of any rule in any clock is known, and so is its ratio to
what the nodes of the rule say of it themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from ...solvers.common import Array, array, host
from ...solvers.noise import Keys
from . import measured_flow
from .along_flow import flow_states, traces
from .change_of_variables import ChangeOfVariables
from .clock import CLOCKS, LAYERS, Clock
from .coloured import Coloured
from .hutchinson import Hutchinson, HutchPlusPlus
from .measured_flow import MeasuredFlow
from .quadrature import clenshaw_curtis, expected_error, interpolation
from .trace import Exact, Trace

__all__ = ["NODES", "Pilot", "Prediction", "coloured_by_default", "pilot"]

SAMPLES, PROBES, INTERVALS = 16, 2, (24, 48)
"""The size of a pilot. Errors differ more between samples than between probes. Fewer samples have more probes. The
smaller number of intervals is taken if it resolves the functions.
"""
NODES = (6, 8, 10, 12, 14, 16, 18, 20, 24, 28, 32, 40, 48)
"""Numbers of intervals that a plan may start with."""
COLOURS, EVERY = 4, 3
"""The colours for each channel, or the sketched directions, whose gain is measured, and the distance of the nodes where
this is done.
"""
COLOURED_FROM = 256
"""The least dimension for which "auto" tries colours: the rows of a small Hadamard matrix are soon complete."""
GAINS = 0.25, 2.0
"""The least and the largest gain that is believed."""
FEW, RATIOS = 1.6, (2.0, 30.0)
"""A margin for errors over what the nodes say of them, since a pilot sees few; the least and the largest such ratio."""
COVERED = 0.9
"""The share of errors that an estimate covers."""


@dataclass(frozen=True)
class Prediction:
    """The error of a rule.

    Attributes:
        clock: its clock.
        intervals: the number of its intervals.
        error: the largest of its errors on the pilot's functions, in nats, with the pilot's own.
        difference: the same without the pilot's own.
        ratio: errors over what the rule says of them itself: the quantile `COVERED`.
        said: what the rule says, root mean square. Where the pilot sees no error, the rules differ by it.
    """

    clock: Clock
    intervals: int
    error: float
    difference: float
    ratio: float
    said: float


@dataclass(frozen=True)
class Pilot:
    """Functions along the flow of a few samples.

    Attributes:
        clock: the clock of the nodes.
        values: zᵀ A z, (n + 1, samples, probes) with an even number of probes, or the trace with one column.
        gain: γ, for a variance that falls like K^(−γ) with the number K of colours, or of sketched directions; 1 if it
            was not measured.
        seconds: the time of a product.
        flow: the solution of the flow.
    """

    clock: Clock
    values: Array
    gain: float
    seconds: float
    flow: MeasuredFlow

    @property
    def several(self) -> bool:
        """Whether there are probes, and not the exact trace."""
        return bool(self.values.shape[2] > 1)

    @property
    def functions(self) -> Array:
        """The values as columns, (n + 1, M)."""
        return self.values.reshape(len(self.values), -1)

    @cached_property
    def integrals(self) -> Array:
        """Their integrals, (M,)."""
        integrals: Array = array(self.clock.nodes(len(self.values) - 1).weights) @ self.functions
        return integrals

    @cached_property
    def resolution(self) -> float:
        """The error of these integrals: what their nodes say, in the proportion that holds for every second node."""
        clock, n = self.clock, len(self.values) - 1
        fine, coarse = (self.functions[::k] * array(clock.nodes(n // k).rate)[:, None] for k in (1, 2))
        difference = clenshaw_curtis(n // 2)[1] @ coarse - self.integrals
        return rms(expected_error(fine)) * rms(difference) / max(rms(expected_error(coarse)), 1e-300)

    def at(self, clock: Clock, intervals: int, values: Array) -> Array:
        """Values at the pilot's nodes, (n + 1, …), as those at the nodes of a rule."""
        s = np.clip(array(self.clock.shows(clock.nodes(intervals).r)), 0.0, 1.0)
        s[0], s[-1] = 0.0, 1.0
        return np.tensordot(interpolation(len(self.values) - 1, s), values, 1)

    def predict(self, clock: Clock, intervals: int) -> Prediction:
        """The error of a rule, with n and with n + 2 intervals, since errors vanish by accident."""
        shape, resolution = self.values.shape[1:], self.resolution
        errors, differences, ratios, sayings = [], [], [], []
        for n in (intervals, intervals + 2):
            seen, nodes = self.at(clock, n, self.functions), clock.nodes(n)
            found = np.abs(array(nodes.weights) @ seen - self.integrals)
            said = expected_error(seen * array(nodes.rate)[:, None])
            errors.append(np.hypot(found, resolution).reshape(shape).mean(1).max())
            differences.append(found.reshape(shape).mean(1).max())
            ratios.append((found - resolution) / np.maximum(said, 1e-300))
            sayings.append(rms(said))
        ratio = np.clip(FEW * np.quantile(ratios, COVERED), *RATIOS)
        return Prediction(clock, intervals, max(errors), max(differences), float(ratio), max(sayings))

    def best(self, error: float, *, refined: bool) -> Prediction:
        """The rule with the fewest nodes whose error is below this one.

        With refinement it must say so itself, since more nodes at once are cheaper than twice as many later. A pilot
        sees errors down to its resolution. If more is asked for, it is the rule with which refinement starts, or, if
        there is none, the one with the most nodes.
        """
        for n in NODES:
            found = self.best_of(n)
            enough = found.error <= error and not (refined and found.ratio * found.said > 2.0 * error)
            if enough or (refined and found.error <= 3.0 * self.resolution):
                break
        return found

    def best_of(self, intervals: int) -> Prediction:
        """The rule with so many intervals whose error is least."""
        clocks = (Clock(self.clock.start, self.clock.end, *widths) for widths in CLOCKS)
        found = (self.predict(clock, intervals) for clock in clocks)
        return min(found, key=lambda one: math.hypot(one.error, one.said))

    def errors(self, clock: Clock, intervals: int) -> Array:
        """Errors of single probes at the nodes of a rule, (M, n + 1): half the differences of pairs, times √2.

        There are none if the pilot had the exact trace.
        """
        seen = self.at(clock, intervals, self.values)
        if not self.several:
            return np.empty((0, len(seen)))
        return ((seen[..., ::2] - seen[..., 1::2]) / math.sqrt(2.0)).reshape(len(seen), -1).T


def pilot(
    change: ChangeOfVariables, x: Tensor, keys: Keys, tolerance: float, kind: str, law: str, resolved: float
) -> Pilot:
    """The pilot of the first samples.

    Args:
        change: the change of variables of all samples.
        x: the samples, (B, ...).
        keys: of the probes of the pilot's samples.
        tolerance: of the flow.
        kind: the trace that is asked for. For "coloured", and for "auto" on large images, it is measured what
            colours gain, and for "hutch++" what a sketch does. An exact one of a few dimensions is taken itself.
        law: of the probes.
        resolved: the error of integrals, in nats, that is small enough.
    """
    rows = torch.arange(len(keys.values), device="cpu")
    some, z = change.of_rows(rows), change.entering(x[rows.to(x.device)])
    clock, (few, most) = Clock(change.first, change.last, *LAYERS), INTERVALS
    nodes = clock.nodes(most)
    states, nfe = flow_states(some, clock, z, nodes.s, tolerance)

    if change.dim <= PROBES and kind in ("exact", "auto"):
        trace: Trace = Exact(change.dim, len(nodes.r))
    else:
        count = PROBES if kind == "exact" else PROBES * math.ceil(SAMPLES / len(rows))
        trace = Hutchinson(keys, (count,) * len(nodes.r), law, frozen=True)
    traces(some, nodes.r[:1], states[:1], trace)  # what is done once is not timed
    step, start = most // few, perf_counter()
    found = traces(some, nodes.r[::step], states[::step], trace)
    seconds = (perf_counter() - start) / (len(found) * len(rows) * trace.counts[0])
    flow = MeasuredFlow.of(some, clock, states[:: most // measured_flow.INTERVALS], tolerance, keys, nfe.per_sample)
    seen = Pilot(clock, _array(found), 1.0, seconds, flow)
    if seen.resolution > resolved:
        between = traces(some, nodes.r[1::step], states[1::step], trace)
        found = [each for pair in zip(found, between, strict=False) for each in pair] + found[-1:]
        seen, step = replace(seen, values=_array(found)), 1
    every = slice(None, None, EVERY * step)
    return replace(seen, gain=_gain(some, seen, nodes.r[every], states[every], keys, kind, law))


def _gain(
    change: ChangeOfVariables, seen: Pilot, r: Tensor, states: Tensor, keys: Keys, kind: str, law: str
) -> float:
    """What colours gain, or a sketch, at these states at every few of the pilot's nodes."""
    other: Trace | None = None
    if kind == "coloured" or (kind == "auto" and coloured_by_default(change.shape)):
        other = Coloured(keys, tuple(change.shape), (COLOURS * change.shape[0],) * len(r))
        number = other.counts[0] - 1
    elif kind == "hutch++" and change.dim >= 2 * COLOURS:
        other, number = HutchPlusPlus(keys, (3 * COLOURS,) * len(r), law), COLOURS
    if other is None:
        return 1.0
    weights = seen.clock.nodes(len(r) - 1).weights
    kept = other.combined(weights, traces(change, r, states, other)).variance.mean().item()
    alone = array(weights) ** 2 @ seen.values[::EVERY].var(2, ddof=1).mean(1)
    return float(np.clip(-math.log(max(kept / max(alone, 1e-300), 1e-6)) / math.log(max(2, number)), *GAINS))


def _array(found: list[Tensor]) -> Array:
    return array(host(torch.stack(found)))


def coloured_by_default(shape: torch.Size) -> bool:
    """Whether "auto" tries colours for samples of this shape."""
    return len(shape) > 1 and shape.numel() >= COLOURED_FROM


def rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))

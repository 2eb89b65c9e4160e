"""A known sampler on another Gaussian path: its grid and the scale of its states move together.

With C = c(u) of `Curves`, the states x̄ = C x are those of a path with other α and σ. A sampler that holds
N = a x + b M on d(x/S) = N dr holds for them

    d(x̄/S) = N̄ dr,        N̄ = C (N + (log C)_r x/S) = [a + (log C)_r/S] x̄ + C b M.

M is what all equations of one network share, so that S r_t b is the same for all of them. Hence (log C)_r/S is
d log C/dr_v b/(S_v b_v) with the clock, the scale and b_v of the flow that holds the velocity. The flow of x is the
same whatever C is. The table of a solver is another one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from ...solvers import Semilinear, unroll
from ...solvers.common import Array
from .coefficients import Coefficients, clock_at, scale_at
from .curves import Curves
from .freedoms import OfSampler

__all__ = ["Schedule"]

DEGREE = 8
"""Of the curves."""


@dataclass(frozen=True)
class Schedule(OfSampler):
    """The logits of the curves, at which a sampler has its own times for u at p = 0."""

    @property
    def size(self) -> int:
        return 2 * (DEGREE - 1)

    def at(self, p: Array) -> Coefficients:
        curves = self.curves(p)
        path = curves.at(self._places)
        inner = map(float, self.flow.clock.time(path.clock[1:-1]))
        times = (self.start[0], *inner, self.start[-1])
        known = dict(zip(times, zip(path.scale.tolist(), path.growth.tolist(), strict=True), strict=True))
        basis = MovedBasis(self.equation, self.flow, curves, known)
        scheme = unroll(replace(self.equation, basis=basis), times, self.sampler.solver)
        scales = [basis.scale(t) for t in (*(each.time for each in scheme.evaluations), times[-1])]
        return Coefficients.of(scheme, self.flow, np.array(scales))

    def curves(self, p: Array) -> Curves:
        """The path at p."""
        ends = (clock_at(self.flow, t) for t in (self.start[0], self.start[-1]))
        logits = torch.from_numpy(np.pad(p.reshape(2, -1), ((0, 0), (0, 1))))
        return Curves(logits[0], logits[1], *ends)

    @cached_property
    def _places(self) -> torch.Tensor:
        """The u of the times: the shares of the clock at p = 0."""
        r = torch.tensor([clock_at(self.flow, t) for t in self.start], dtype=torch.float64, device="cpu")
        found: torch.Tensor = (r - r[0]) / (r[-1] - r[0])
        return found


@dataclass(frozen=True)
class MovedBasis:
    """(a, b) with N̄ = a x̄ + b M.

    Attributes:
        equation: the sampler's own.
        flow: the flow that holds the velocity.
        curves: the path.
        known: C and d log C/dr at some times.
    """

    equation: Semilinear
    flow: Semilinear
    curves: Curves
    known: dict[float, tuple[float, float]]

    def __call__(self, t: float) -> tuple[float, float]:
        (a, b), (_, velocity) = self.equation.basis(t), self.flow.basis(t)  # type: ignore[misc]  # both have one
        scale, growth = self._of(t)
        return a + growth * b / (scale_at(self.flow, t) * velocity), scale * b

    def scale(self, t: float) -> float:
        """C at a time."""
        return self._of(t)[0]

    def _of(self, t: float) -> tuple[float, float]:
        if t not in self.known:  # a stage between two times
            clock = torch.tensor([clock_at(self.flow, t)], dtype=torch.float64, device="cpu")
            path = self.curves.at(self.curves.where(clock))
            self.known[t] = float(path.scale), float(path.growth)
        return self.known[t]

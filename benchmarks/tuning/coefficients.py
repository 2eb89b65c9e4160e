"""Every explicit method of n evaluations on the probability flow, as n times and a triangular matrix.

With S = α + σ, z = x/S, the clock r = α/S and N = x₀-hat − ε-hat the flow is dz/dr = N(r, z), which is regular on every
Gaussian path. A method evaluates N at n clocks r_j and states z_j, and ends in z_n:

    z_j = a_j0 z₀ + Σ_{k ≤ j} a_jk N_k,        N_{j+1} = N(r_j, z_j),        j = 0 … n,

where z₀ is the noise. Steps, stages, the quantity that a sampler holds, the grid, the path's schedule and a time of the
network that differs from the state's all end up in these (n + 1)(n + 4)/2 − 1 numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...solvers import Scheme, Semilinear
from ...solvers.common import Array
from ...solvers.scheme import Evaluation, Form

__all__ = ["Coefficients", "clock_at", "scale_at"]


def scale_at(equation: Semilinear, t: float) -> float:
    """S(t)."""
    return float(equation.clock.scale(torch.tensor(t, dtype=torch.float64, device="cpu")))


def clock_at(equation: Semilinear, t: float) -> float:
    """r(t)."""
    at = torch.tensor(t, dtype=torch.float64, device="cpu")
    return float(equation.clock.gain(at) / equation.clock.scale(at))


@dataclass(frozen=True)
class Coefficients:
    """The numbers of a method.

    Attributes:
        r: the clocks of the evaluations, (n,), in any order.
        a: the rows of the states, (n + 1, n + 1), zero above the diagonal; the last one is that of the end.
    """

    r: Array
    a: Array

    @property
    def nfe(self) -> int:
        """n, the number of evaluations."""
        return len(self.r)

    def moved(self, by: Coefficients, factor: float = 1.0) -> Coefficients:
        """These numbers plus a factor times others."""
        return Coefficients(self.r + factor * by.r, self.a + factor * by.a)

    def within(self, low: float, high: float) -> Coefficients:
        """These numbers with clocks from `low` to `high`."""
        return Coefficients(self.r.clip(low, high), self.a)

    @classmethod
    def of(cls, scheme: Scheme, equation: Semilinear, scales: Array | None = None) -> Coefficients:
        """Those of a table, of a sampler that may hold any quantity.

        Args:
            scheme: the table, whose evaluations are of the field and have a basis (see `Semilinear`).
            equation: the flow that holds the velocity.
            scales: C where the states of the table are C x, at each evaluation and at the end, (n + 1,); C is 1 at the
                start. None for 1.
        """
        n, (states, arguments) = scheme.nfe, scheme.expanded()
        first, last = scheme.times[0], scheme.times[-1]
        a, of_m = np.zeros((n + 1, n + 1)), np.zeros((n, n + 1))  # M_k in terms of x₀ and of the N
        for j, t in enumerate([*(each.time for each in scheme.evaluations), last]):
            part, at = (arguments, j) if j < n else (states, -1)
            row = part.values[at] @ of_m
            row[0] += part.start[at]
            row /= 1.0 if scales is None else scales[j]
            a[j] = row / scale_at(equation, t)
            if j < n:
                p, q = equation.basis(t)  # type: ignore[misc]  # a flow has one
                of_m[j] = -p / q * row
                of_m[j, j + 1] += 1.0 / q
        a[:, 0] *= scale_at(equation, first)
        return cls(np.array([clock_at(equation, each.time) for each in scheme.evaluations]), a)

    def scheme(
        self, equation: Semilinear, first: float, last: float, name: str, about: Mapping[str, Any] | None = None
    ) -> Scheme:
        """The table: one step from the first time to the last, of which every evaluation is a stage."""
        noise = 1.0 / scale_at(equation, first)

        def form(row: Array, t: float) -> Form:
            scale = scale_at(equation, t)
            terms = {("x", 0): float(scale * noise * row[0])}
            return terms | {("N", k): float(scale * value) for k, value in enumerate(row[1:]) if value != 0.0}

        clocks = torch.from_numpy(self.r)
        times = [float(t) for t in equation.clock.time(clocks)]
        calls = tuple(
            Evaluation(0, t, form(row, t), "field", equation.basis(t) if equation.basis else None)
            for t, row in zip(times, self.a, strict=False)
        )
        return Scheme(name, (first, last), (form(self.a[-1], last),), calls, (), about or {})

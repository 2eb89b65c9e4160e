"""Initial noises with the ends of their flows: what a table is fitted to and measured on. They are made once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from ...generative import flow
from ...solvers import Semilinear
from ...solvers.common import Array
from ..problems import Problem
from ..reference import Reference
from .coefficients import Coefficients, clock_at, scale_at

__all__ = ["Trajectories"]

CLEANEST = 1e-4
"""The least 1 − r of an evaluation: no network says more there."""


@dataclass(frozen=True)
class Trajectories:
    """Noises and ends in z = x/(α + σ).

    Attributes:
        equation: the flow that holds the velocity, with labels, conditions and weights for each noise.
        first: the time of the noise.
        last: the time of the end.
        z0: the noises, (B, ...).
        end: the ends, (B, ...).
        floor: what the ends are known to, in units of x.
        at_once: the states that are computed at a time.
    """

    equation: Semilinear
    first: float
    last: float
    z0: Tensor
    end: Tensor
    floor: float
    at_once: int

    @classmethod
    def of(cls, problem: Problem, reference: Reference, samples: int, seed: int) -> Self:
        """Those of a problem and its reference solution."""
        equation = flow(problem.labelled(samples), "velocity")
        z0 = problem.noise(samples, seed) / scale_at(equation, problem.start)
        end = reference.solution.to(z0) / scale_at(equation, problem.end)
        return cls(equation, problem.start, problem.end, z0, end, reference.floor, problem.at_once)

    def __len__(self) -> int:
        return len(self.z0)

    def of_rows(self, first: int, last: int) -> Self:
        """Those from one position to another."""
        rows = torch.arange(first, last, device="cpu")
        z0, end = self.z0[first:last], self.end[first:last]
        return replace(self, equation=self.equation.of_rows(rows), z0=z0, end=end)

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the largest clock of an evaluation."""
        return clock_at(self.equation, self.first), 1.0 - CLEANEST

    def time(self, r: float) -> float:
        """The time at which the clock shows r."""
        return float(self.equation.clock.time(torch.tensor(r, dtype=torch.float64, device="cpu")))

    @torch.no_grad()
    def field(self, r: float, z: Tensor) -> Tensor:
        """N at clock r of several states for each noise, (m, B, ...)."""
        t = self.time(r)
        x = scale_at(self.equation, t) * z.flatten(0, 1)
        found, rows = torch.empty_like(x), torch.arange(len(self), device="cpu").repeat(len(z))
        for at in range(0, len(x), self.at_once):
            part = slice(at, at + self.at_once)
            found[part] = self.equation.of_rows(rows[part]).field(t, x[part])
        return found.reshape(z.shape)

    def values(self, method: Coefficients) -> Tensor:
        """z₀ and the n values of N, (n + 1, B, ...)."""
        values = [self.z0]
        for r, row in zip(method.r.tolist(), method.a, strict=False):
            z = combined(row, values)
            values.append(self.field(r, z[None])[0])
        return torch.stack(values)

    def misses(self, method: Coefficients, values: Tensor) -> Tensor:
        """z_n less the end, (B, ...)."""
        return combined(method.a[-1], list(values)) - self.end

    def errors(self, method: Coefficients, values: Tensor | None = None) -> Array:
        """The root mean square over the components of each end's error, in units of x, (B,)."""
        miss = self.misses(method, self.values(method) if values is None else values)
        found: Array = np.asarray(miss.flatten(1).square().mean(1).sqrt().cpu()) * scale_at(self.equation, self.last)
        return found if np.isfinite(found).all() else np.full(len(self), math.inf)


def combined(row: Array, values: list[Tensor]) -> Tensor:
    """Σ_k a_k v_k over the values that there are."""
    found = float(row[0]) * values[0]
    for factor, value in _terms(row, values):
        found = torch.add(found, value, alpha=factor)
    return found


def _terms(row: Array, values: list[Tensor]) -> Iterator[tuple[float, Tensor]]:
    return ((float(factor), value) for factor, value in zip(row[1:], values[1:], strict=False) if factor != 0.0)

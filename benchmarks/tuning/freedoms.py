"""Which numbers of a table move: its times, its coefficients, the path's schedule, or all of them.

    times          the clocks, with the coefficients that a sampler has at them
    schedule       another path, on which a sampler has other times and other coefficients (`Schedule`)
    coefficients   the rows, at the times of the start
    all            both, each on its own

A freedom maps parameters p to the numbers of a table. It is 0 at the start.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ...generative.sampling import Sampler
from ...solvers import Semilinear, unroll
from ...solvers.common import Array
from .coefficients import Coefficients

__all__ = ["Freedom", "Numbers", "OfSampler", "Times"]

ASIDE = 1e-6
"""Of a parameter, for the derivatives of the coefficients, which cost no evaluations."""


class Freedom(ABC):
    """Parameters p, with the numbers of a table for each value of them."""

    @property
    @abstractmethod
    def size(self) -> int:
        """The number of parameters."""

    @abstractmethod
    def at(self, p: Array) -> Coefficients:
        """The numbers at p, (size,)."""

    def directions(self, p: Array) -> list[Coefficients]:
        """Their derivatives with respect to each parameter, by central differences."""
        found = []
        for step in ASIDE * np.eye(self.size):
            ahead, behind = self.at(p + step), self.at(p - step)
            found.append(Coefficients((ahead.r - behind.r) / (2 * ASIDE), (ahead.a - behind.a) / (2 * ASIDE)))
        return found


@dataclass(frozen=True)
class Numbers(Freedom):
    """The clocks, the rows or both, each number a parameter.

    Attributes:
        start: the numbers at 0.
        bounds: the least and the largest clock.
        times: whether the clocks move.
        coefficients: whether the rows move.
    """

    start: Coefficients
    bounds: tuple[float, float]
    times: bool = True
    coefficients: bool = True

    @cached_property
    def _rows(self) -> tuple[Any, Any]:
        """The places of the rows' numbers."""
        return np.tril_indices(self.start.nfe + 1)

    @property
    def size(self) -> int:
        return self.start.nfe * self.times + len(self._rows[0]) * self.coefficients

    def at(self, p: Array) -> Coefficients:
        n = self.start.nfe * self.times
        by = self._empty()
        by.r[:n] = p[:n]
        if self.coefficients:
            by.a[self._rows] = p[n:]
        return self.start.moved(by).within(*self.bounds)

    def directions(self, p: Array) -> list[Coefficients]:
        found = []
        for j in range(self.start.nfe * self.times):
            found.append(self._empty())
            found[-1].r[j] = 1.0
        for place in zip(*self._rows, strict=True) if self.coefficients else ():
            found.append(self._empty())
            found[-1].a[place] = 1.0
        return found

    def _empty(self) -> Coefficients:
        return Coefficients(np.zeros_like(self.start.r), np.zeros_like(self.start.a))


@dataclass(frozen=True)
class OfSampler(Freedom):
    """Parameters of how a known sampler is run.

    Attributes:
        sampler: the sampler.
        equation: the equation that it solves.
        flow: the flow that holds the velocity.
        start: the times at p = 0.
    """

    sampler: Sampler
    equation: Semilinear
    flow: Semilinear
    start: tuple[float, ...]


@dataclass(frozen=True)
class Times(OfSampler):
    """The clocks of a sampler's grid between its ends, and the coefficients that the sampler has on it.

    With w_i = Δr_i e^{p_i} / Σ Δr e^p the shares of the steps move, and the grid stays monotone.
    """

    @property
    def size(self) -> int:
        return len(self.start) - 1

    def at(self, p: Array) -> Coefficients:
        return Coefficients.of(unroll(self.equation, self.grid(p), self.sampler.solver), self.flow)

    def grid(self, p: Array) -> tuple[float, ...]:
        """The times at p."""
        clock = self.flow.clock
        at = torch.tensor(self.start, dtype=torch.float64, device="cpu")
        r = (clock.gain(at) / clock.scale(at)).numpy()
        steps = np.diff(r) * np.exp(p - p.max())
        inner = r[0] + (r[-1] - r[0]) * np.cumsum(steps)[:-1] / steps.sum()
        return self.start[0], *map(float, clock.time(torch.from_numpy(inner))), self.start[-1]

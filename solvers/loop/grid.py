"""The times of a grid, whose steps are exactly those between them."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from torch import Tensor

from ..common import Array, host, reals
from ..field import column

__all__ = ["Grid", "columns"]

SINGLE = 2.0**-23
"""Times are the same if they are so to a rounding in single precision, in which grids are often made."""


def columns(values: Array, x: Tensor) -> Tensor:
    """One number a sample, (B,), as a float64 tensor of shape (B, 1, …, 1) on the host, for x of shape (B, ...)."""
    return column(host(values.copy()), x)


@dataclass(frozen=True)
class Grid:
    """A fixed grid. Each step goes from one of the times to the next.

    Attributes:
        times: at least two times, strictly monotone.
    """

    times: tuple[float, ...]

    @classmethod
    def of(cls, times: Tensor | Sequence[float] | Any) -> Grid:
        """The grid of these times.

        Raises TypeError for what is no sequence of numbers, and ValueError unless the times are 1-D, finite and
        strictly monotone, and require no gradient.
        """
        values = reals("times", times)
        if len(values) < 2:
            raise ValueError(f"times has {len(values)} entries, but needs at least two: a start and an end.")
        rises = values[1] > values[0]
        for i, (before, after) in enumerate(pairwise(values)):
            if before == after or (after > before) != rises:
                what = "repeats" if before == after else "turns back"
                raise ValueError(
                    f"times must be strictly monotone, but {what} at entry {i + 1} ({before:g}, {after:g}); drop or "
                    "sort it."
                )
        if math.isinf(values[-1] - values[0]):
            raise ValueError(f"The way from t = {values[0]:g} to {values[-1]:g} is longer than floats; shorten it.")
        return cls(values)

    @property
    def t0(self) -> float:
        """The first time."""
        return self.times[0]

    @property
    def t1(self) -> float:
        """The last time."""
        return self.times[-1]

    @property
    def n(self) -> int:
        """The number of steps."""
        return len(self.times) - 1

    def nearest(self, t: float) -> float | None:
        """The time of the grid that is t up to rounding; None if there is none."""
        rises = self.t1 > self.t0
        i = bisect_left(self.times, t if rises else -t, key=None if rises else lambda time: -time)
        found = min(self.times[max(0, i - 1) : i + 1], key=lambda time: abs(time - t))
        return found if abs(found - t) <= SINGLE * max(abs(self.t0), abs(self.t1)) else None

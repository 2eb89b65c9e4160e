"""One budget: the best sampler, its lead, and whether the lead is resolved.

The best sampler is the one with the smallest root mean square error over the initial noises. Its lead over the
runner-up is the ratio of their errors with a paired bootstrap interval. The lead is resolved if the interval lies above
one and the two errors differ by more than twice the floor, the error of the reference solution. An error below three
floors is at the floor: nothing can be said of it but that.

A few noises near a separatrix may carry most of a root mean square. So the ranking by the median is there too, and a
standing says when the two rankings disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .. import bootstrap
from ..ledger import Row

__all__ = ["AT_THE_FLOOR", "Standing", "shown"]

EQUAL = 1e-9
"""Relative difference below which two samplers are the same method under two names."""
AT_THE_FLOOR = 3.0
"""The number of floors below which an error says nothing of its sampler."""


@dataclass(frozen=True)
class Standing:
    """One budget: the best sampler, and how sure that is.

    Attributes:
        budget: the evaluations allowed.
        best: the row of the best sampler, under all its names.
        interval: the 95 % interval of its error.
        runner_up: the next one; None if there is none.
        lead: the error of the runner-up over that of the best, and its 95 % interval.
        resolved: whether the lead is real.
        floored: whether the best error is that of the reference solution.
        typical: the row with the least median error, if another one leads it by more than noise; None if both rankings
            agree.
    """

    budget: int
    best: tuple[Row, ...]
    interval: tuple[float, float]
    runner_up: Row | None
    lead: tuple[float, float, float] | None
    resolved: bool
    floored: bool = False
    typical: Row | None = None

    @classmethod
    def of(cls, budget: int, rows: Sequence[Row], floor: float) -> Standing:
        """Rank the samplers at one budget.

        Args:
            budget: the evaluations allowed.
            rows: the rows of this budget that did not fail, at least one.
            floor: the error of the reference solution.
        """
        ranked = sorted(rows, key=lambda row: row.error)
        first = ranked[0]
        best = tuple(row for row in ranked if row.error <= first.error * (1.0 + EQUAL))
        interval = bootstrap.interval(first.errors)
        floored = first.error < AT_THE_FLOOR * floor
        if len(best) == len(ranked) or first.error == 0.0:
            return cls(budget, best, interval, None, None, False, floored)
        second = ranked[len(best)]
        low, high = bootstrap.ratio_interval(second.errors, first.errors)
        resolved = low > 1.0 and second.error - first.error > 2.0 * floor
        lead = second.error / first.error, low, high
        return cls(budget, best, interval, second, lead, resolved, floored, _typical(first, ranked, floor))

    def as_dict(self) -> dict[str, Any]:
        first, second = self.best[0], self.runner_up
        return {
            "budget": self.budget,
            "nfe": first.nfe,
            "samplers": [{"solver": row.solver, "grid": row.grid} for row in self.best],
            "error": first.error,
            "interval": self.interval,
            "median": bootstrap.estimate(first.errors, "median"),
            "rms_of_best_99_percent": bootstrap.estimate(first.errors, "trimmed"),
            "runner_up": second and {"solver": second.solver, "grid": second.grid, "error": second.error},
            "lead": self.lead and dict(zip(("ratio", "low", "high"), self.lead, strict=True)),
            "resolved": self.resolved,
            "at_the_floor": self.floored,
            "best_by_median": self.typical and {"solver": self.typical.solver, "grid": self.typical.grid},
        }


def _typical(first: Row, ranked: Sequence[Row], floor: float) -> Row | None:
    """The row that beats the first one by the median, and by more than its noise."""
    medians = {row.cell: bootstrap.estimate(row.errors, "median") for row in ranked}
    other = min(ranked, key=lambda row: medians[row.cell])
    if medians[first.cell] < AT_THE_FLOOR * floor or other is first or medians[first.cell] == 0.0:
        return None
    if medians[other.cell] == 0.0:
        return other
    low, _ = bootstrap.ratio_interval(first.errors, other.errors, "median")
    return other if low > 1.0 else None


def shown(row: Row) -> str:
    """A sampler and its grid, as people read them."""
    return row.solver if row.grid == "own" else f"{row.solver} · {row.grid}"

"""The best amount of noise at each budget: the samplers of one family, by the error of their laws.

All amounts start from the same noises. The interval of the best amount reaches from the smallest to the largest amount
that is not resolved from it. Where laws are exact it reaches to its neighbours in the scan, between which the minimum
lies if there is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...solvers.common import choice, reals
from ..problems import Problem
from .comparison import law_comparison
from .families import FAMILIES, Family
from .results import LawComparison

__all__ = ["BestLevel", "NoiseScan", "scan_noise_levels"]


@dataclass(frozen=True)
class BestLevel:
    """The best amount of noise at a budget.

    Attributes:
        parameter: what the amount is called.
        budget: the most evaluations a sample.
        level: the amount with the smallest error.
        low: the smallest amount that may be the best.
        high: the largest.
        resolved: whether some amount is known to be worse.
        edge: whether it is the last amount of the scan, beyond which there are better ones perhaps.
    """

    parameter: str
    budget: int
    level: float
    low: float
    high: float
    resolved: bool
    edge: bool

    def __str__(self) -> str:
        if not self.resolved:
            return f"{self.parameter} is not resolved at {self.budget} evaluations"
        return f"{self.parameter} = {self.level:g} ({self.low:g} … {self.high:g}) at {self.budget} evaluations" + (
            ", the last of the scan" if self.edge else ""
        )


@dataclass(frozen=True)
class NoiseScan:
    """The samplers of one family with several amounts of noise.

    Attributes:
        family: the name of the family.
        levels: the amounts, rising.
        comparison: of the samplers.
    """

    family: str
    levels: tuple[float, ...]
    comparison: LawComparison

    @property
    def _family(self) -> Family:
        return FAMILIES[self.family]

    def best(self, nfe: int) -> BestLevel:
        """The best amount with at most `nfe` evaluations. Raises ValueError if no sampler finished with so few."""
        standing = self.comparison.best(nfe)
        names = [self._family.text(level) for level in self.levels]
        place = names.index(standing.best.sampler)
        level, budget = self.levels[place], standing.budget
        edge = place == len(names) - 1 and level < self._family.most
        if not self.comparison.samples:
            low, high, known = self.levels[max(0, place - 1)], self.levels[min(place + 1, len(names) - 1)], True
        else:
            equal = [self.levels[names.index(row.sampler)] for row in (standing.best, *standing.equals)]
            others = [row for row in self.comparison.finished if row.budget == budget]
            low, high, known = min(equal), max(equal), len(equal) < len(others)
        return BestLevel(self._family.parameter, budget, level, low, high, known, edge)

    def table(self) -> str:
        """The errors of every amount at every budget, and the best amounts."""
        budgets, parameter = self.comparison.budgets, self._family.parameter
        best = {budget: self.comparison.best(budget) for budget in budgets}
        error = next(iter(self.comparison.finished[0].distances)) if self.comparison.finished else ""
        lines = [f"{self.comparison.problem}, {self.family}: {error} from the law", ""]
        lines.append(f"{parameter:>10}" + "".join(f"{f'NFE ≤ {budget}':>14}" for budget in budgets))
        for level in self.levels:
            line = f"{level:10g}"
            for budget in budgets:
                row, standing = self.comparison.row(self._family.text(level), budget), best[budget]
                mark = "*" if row is standing.best else "?" if row in standing.equals else " "
                line += f"{'failed' if row.failure else format(row.error.value, '.4g'):>12} {mark}"
            lines.append(line.rstrip())
        lines += ["", *(f"Best: {self.best(budget)}." for budget in budgets), *self.comparison.notes()]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """Everything, in numbers and texts."""
        best = [vars(self.best(budget)) for budget in self.comparison.budgets]
        return {**self.comparison.as_dict(), "family": self.family, "levels": list(self.levels), "best": best}

    def plot(self, file: Path) -> None:
        """Draw error against the amount of noise into a PNG, atomically. Raises ValueError if all samplers failed."""
        from .picture import Line, draw_lines  # matplotlib takes a second to import

        lines = []
        for budget in self.comparison.budgets:
            rows = [self.comparison.row(self._family.text(level), budget) for level in self.levels]
            there = [(level, row) for level, row in zip(self.levels, rows, strict=True) if not row.failure]
            best = self.best(budget).level
            lines.append(Line(f"NFE ≤ {budget}", [at for at, _ in there], [row.error for _, row in there], best=best))
        floor = next(iter(self.comparison.floors.values()), None)
        title = f"{self.comparison.problem}, {self.family}: the best {self._family.parameter} has a ring"
        label = next(iter(self.comparison.finished[0].distances)) if lines else ""
        draw_lines(lines, floor, title, self._family.parameter, label, file, logarithmic=False)


def scan_noise_levels(
    problem: Problem,
    budgets: Sequence[int],
    levels: Sequence[float] | None = None,
    *,
    family: str = "ddim",
    samples: int | None = None,
    seed: int = 0,
    engine: Any = None,
    progress: bool = False,
) -> NoiseScan:
    """The best amount of noise of a family of samplers at each budget.

    Args:
        problem: as for `law_comparison`.
        budgets: the most evaluations a sample.
        levels: amounts of noise; those of the family if None.
        family: a name of `FAMILIES`; the default is DDIM with η.
        samples: as for `law_comparison`, and so are the other arguments.

    Raises:
        TypeError, ValueError: as `law_comparison`; for an unknown family, and for an amount out of range.
    """
    chosen = FAMILIES[choice("family of samplers", family, FAMILIES)]
    amounts = tuple(sorted(set(chosen.levels if levels is None else reals("levels", levels))))
    entrants = [chosen(level) for level in amounts]
    found = law_comparison(problem, entrants, budgets, samples=samples, seed=seed, engine=engine, progress=progress)
    return NoiseScan(family, amounts, found)

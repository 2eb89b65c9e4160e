"""The results of a comparison: the best sampler at each budget, its lead, and whether the lead is resolved.

The best sampler is the one with the smallest error. Its lead over the runner-up is the ratio of their errors
with a paired bootstrap interval (`bootstrap.ratio_interval`). The lead is resolved if the interval lies above
one and the two errors differ by more than twice the error of the reference solution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from . import bootstrap
from .ledger import Key, Row
from .reference import Reference

__all__ = ["Result", "Standing", "print_result"]

EQUAL = 1e-9
"""Relative difference below which two samplers are the same method under two names."""


@dataclass(frozen=True)
class Standing:
    """One budget: the best sampler (under all its names), its interval, and the runner-up with its lead."""

    budget: int
    best: tuple[Row, ...]
    interval: tuple[float, float]
    runner_up: Row | None
    lead: tuple[float, float, float] | None
    resolved: bool

    @classmethod
    def of(cls, budget: int, rows: Sequence[Row], uncertainty: float) -> Standing:
        """Rank the samplers at one budget.

        Args:
            budget: the evaluations allowed.
            rows: the rows of this budget that did not fail, at least one.
            uncertainty: the error of the reference solution.
        """
        ranked = sorted(rows, key=lambda row: row.error)
        first = ranked[0]
        best = tuple(row for row in ranked if row.error <= first.error * (1.0 + EQUAL))
        interval = bootstrap.interval(first.errors)
        if len(best) == len(ranked) or first.error == 0.0:
            return cls(budget, best, interval, None, None, False)
        second = ranked[len(best)]
        low, high = bootstrap.ratio_interval(second.errors, first.errors)
        resolved = low > 1.0 and second.error - first.error > 2.0 * uncertainty
        return cls(budget, best, interval, second, (second.error / first.error, low, high), resolved)

    def as_dict(self) -> dict[str, Any]:
        first, second = self.best[0], self.runner_up
        return {
            "budget": self.budget,
            "nfe": first.nfe,
            "samplers": [{"solver": row.solver, "grid": row.grid} for row in self.best],
            "error": first.error,
            "interval": self.interval,
            "runner_up": second and {"solver": second.solver, "grid": second.grid, "error": second.error},
            "lead": self.lead and dict(zip(("ratio", "low", "high"), self.lead, strict=True)),
            "resolved": self.resolved,
        }


@dataclass(frozen=True)
class Result:
    """The rows of one problem and the reference solution they were measured against."""

    key: Key
    description: str
    rows: Sequence[Row]
    reference: Reference

    def standings(self) -> list[Standing]:
        """One for each budget at which a sampler finished."""
        finished = [row for row in self.rows if not row.failure]
        return [
            Standing.of(budget, [row for row in finished if row.budget == budget], self.reference.floor)
            for budget in sorted({row.budget for row in finished})
        ]

    def as_dict(self) -> dict[str, Any]:
        rows = [
            {
                "solver": row.solver,
                "grid": row.grid,
                "budget": row.budget,
                "nfe": row.nfe,
                "steps": row.steps,
                "seconds": row.seconds,
                "error": None if row.failure else row.error,
                "interval": None if row.failure else bootstrap.interval(row.errors),
                "failure": row.failure or None,
            }
            for row in self.rows
        ]
        return {
            **self.key._asdict(),
            "description": self.description,
            "reference": {"methods": self.reference.methods, "floor": self.reference.floor},
            "best": [standing.as_dict() for standing in self.standings()],
            "rows": rows,
        }


def _measured(error: float, interval: tuple[float, float]) -> str:
    """3.2 (2.9 … 3.5) e-4: an error and its interval under one power of ten."""
    power = math.floor(math.log10(error)) if error > 0.0 else 0
    value, low, high = (f"{number / 10.0**power:.2f}" for number in (error, *interval))
    return f"{value} ({low} … {high}) e{power}"


def _names(rows: Sequence[Row]) -> tuple[str, str]:
    """Solvers and grids, one below the other where several are the same method."""
    return "\n".join(row.solver for row in rows), "\n".join(row.grid for row in rows)


def _line(standing: Standing) -> list[RenderableType]:
    error = _measured(standing.best[0].error, standing.interval)
    line = [str(standing.budget), *_names(standing.best), error]
    if standing.runner_up is None or standing.lead is None:
        return [*line, "", "", ""]
    ratio, low, high = standing.lead
    lead = Text(f"{ratio:.2f} ({low:.2f} … {high:.2f})")
    if not standing.resolved:
        lead.append(" ?", "yellow bold")
    return [*line, *_names([standing.runner_up]), lead]


def print_result(console: Console, result: Result) -> None:
    """The table of one problem, and what failed."""
    table = Table(box=SIMPLE_HEAD, title=f"{result.key.problem}: {result.description}", pad_edge=False)
    table.title_justify, table.title_style = "left", "bold"
    table.add_column("NFE ≤", justify="right")
    table.add_column("best sampler", style="bold")
    table.add_column("grid", style="bold")
    table.add_column("error (95 % interval)", no_wrap=True)
    table.add_column("runner-up")
    table.add_column("grid")
    table.add_column("times the error", no_wrap=True)
    standings = result.standings()
    for standing in standings:
        table.add_row(*_line(standing))
    console.print(table)
    reference, doubt = result.reference, any(standing.lead and not standing.resolved for standing in standings)
    console.print(
        f"{result.key.samples} initial noises; two reference solutions ({reference.methods}) agree to "
        f"{reference.floor:.0e}." + " ?: these noises cannot tell the two apart." * doubt,
        style="dim",
    )
    failures: dict[tuple[str, str], list[Row]] = {}
    for row in result.rows:
        if row.failure:
            failures.setdefault((row.solver, row.failure), []).append(row)
    for (solver, failure), rows in failures.items():
        console.print(Text(f"{solver} failed {len(rows)} times: {failure}", "red"))
    console.print()

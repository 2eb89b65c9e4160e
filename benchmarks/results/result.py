"""What a comparison found on one problem: rows, rankings, tables, pictures, and lines to paste."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console

from ...solvers.common import check_instance, whole, write_whole
from .. import bootstrap
from ..entrants import Entrant
from ..ledger import Key, Row
from ..problems import Problem
from ..reference import Reference
from .recommendation import Recommendation, recommendation
from .standing import Standing
from .tables import print_result

__all__ = ["Result"]

WIDTH = 144
"""The width of a table as text."""


@dataclass(frozen=True)
class Result:
    """The rows of one problem and the reference solution that they were measured against. Print it for the table.

    Attributes:
        key: the problem and its noises.
        problem: the problem.
        entrants: the samplers by name.
        rows: one a sampler, grid and budget.
        reference: the reference solution.
        law: errors of the law, if they were measured.
    """

    key: Key
    problem: Problem = field(repr=False)
    entrants: Mapping[str, Entrant] = field(repr=False)
    rows: tuple[Row, ...] = field(repr=False)
    reference: Reference = field(repr=False)

    @property
    def budgets(self) -> tuple[int, ...]:
        """The budgets at which a sampler finished."""
        return tuple(sorted({row.budget for row in self.rows if not row.failure}))

    def standings(self) -> list[Standing]:
        """One for each of the `budgets`."""
        return [self.best(budget) for budget in self.budgets]

    def best(self, nfe: int) -> Standing:
        """The best sampler with at most so many evaluations, and how sure that is.

        Args:
            nfe: the evaluations allowed; the largest measured budget up to there counts.

        Raises:
            ValueError: nothing was measured with so few evaluations.
        """
        nfe = whole("nfe", nfe, 1)
        budget = max((each for each in self.budgets if each <= nfe), default=None)
        if budget is None:
            known = ", ".join(map(str, self.budgets)) or "none"
            raise ValueError(f"Nothing was measured with {nfe} evaluations; the budgets are {known}.")
        rows = [row for row in self.rows if row.budget == budget and not row.failure]
        return Standing.of(budget, rows, self.reference.floor)

    def recommend(self, nfe: int) -> Recommendation:
        """The best sampler as lines to paste, with all that makes it doubtful.

        Args:
            nfe: as for `best`.

        Raises:
            ValueError: as `best`.
        """
        return recommendation(self.problem, self.entrants, self.best(nfe), self.reference)

    def table(self, width: int = WIDTH) -> str:
        """The best sampler at each budget, as text of so many columns."""
        console = Console(width=whole("width", width, 40), file=StringIO(), record=True)
        print_result(console, self)
        return console.export_text()

    def plot(self, file: str | Path) -> None:
        """Draw error against evaluations into a PNG, atomically. Raises OSError if it cannot be written."""
        from .plot import work_precision  # matplotlib takes half a second to import

        check_instance("file", file, (str, Path), "the name of a file")
        work_precision([self], Path(file))

    def save(self, file: str | Path) -> None:
        """Write all of it as JSON, atomically. Raises OSError if it cannot be written."""
        check_instance("file", file, (str, Path), "the name of a file")
        write_whole(Path(file), f"{json.dumps(self.as_dict(), ensure_ascii=False, indent=1)}\n".encode())

    def __str__(self) -> str:
        return self.table()

    def as_dict(self) -> dict[str, Any]:
        """All of it but the network and the solutions, as JSON has it."""
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
                "median": None if row.failure else bootstrap.estimate(row.errors, "median"),
                "failure": row.failure or None,
            }
            for row in self.rows
        ]
        return {
            **self.key._asdict(),
            "description": self.problem.description,
            "reference": {
                "methods": self.reference.methods,
                "floor": self.reference.floor,
                "settled": self.reference.settled,
            },
            "best": [standing.as_dict() for standing in self.standings()],
            "rows": rows,
        }

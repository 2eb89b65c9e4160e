"""Results as tables for people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from .. import bootstrap
from ..ledger import Row
from .standing import AT_THE_FLOOR, Standing, shown

if TYPE_CHECKING:
    from .result import Result

__all__ = ["print_result"]


def print_result(console: Console, result: Result) -> None:
    """The table of one problem, what the marks in it mean, and what failed.

    Args:
        console: where it is printed.
        result: of a comparison.
    """
    problem, standings = result.problem, result.standings()
    table = Table(box=SIMPLE_HEAD, title=f"{problem.name}: {problem.description}", pad_edge=False)
    table.title_justify, table.title_style = "left", "bold"
    table.add_column("NFE ≤", justify="right")
    table.add_column("best sampler", style="bold", overflow="fold")
    table.add_column("rms error (95 % interval)", no_wrap=True)
    table.add_column("median", no_wrap=True)
    table.add_column("best 99 %", no_wrap=True)
    table.add_column("runner-up", overflow="fold")
    table.add_column("times the error", no_wrap=True)
    for standing in standings:
        table.add_row(*_line(standing))
    console.print(table)
    for sentence in (_footing(result), *_marks(standings, result.reference.floor)):
        console.print(sentence, style="dim", highlight=False)
    failures: dict[tuple[str, str], list[Row]] = {}
    for row in result.rows:
        if row.failure:
            failures.setdefault((row.solver, row.failure), []).append(row)
    for (solver, failure), rows in failures.items():
        console.print(Text(f"{solver} failed {len(rows)} times: {failure}", "red"))
    console.print()


def _footing(result: Result) -> str:
    reference, noises = result.reference, f"{result.key.samples} initial noises; "
    if reference.settled:
        return f"{noises}two reference solutions ({reference.methods}) agree to {reference.floor:.0e}."
    why = {
        "stalled": "finer steps do not help, because the field is rough in time or has few digits",
        "spent": f"{reference.effort} evaluations are not enough; more minutes may be",
    }
    return (
        f"{noises}two reference solutions ({reference.methods}) still differ by {reference.floor:.1e}: "
        f"{why[reference.ended]}."
    )


def _marks(standings: Sequence[Standing], floor: float) -> list[str]:
    found = []
    if any(standing.lead and not standing.resolved and not standing.floored for standing in standings):
        found.append("?: these noises cannot tell the two apart.")
    if any(standing.floored for standing in standings):
        found.append(f"≈: below {AT_THE_FLOOR:g} times that difference, where samplers cannot be ranked.")
    for standing in standings:
        if standing.typical is not None:
            row, other = standing.best[0], standing.typical
            median = _short(bootstrap.estimate(other.errors, "median"))
            found.append(
                f"With {standing.budget} evaluations the median prefers {shown(other)} ({median}); the worst hundredth "
                f"of the noises carries {bootstrap.tail_share(row.errors):.0%} of the squared error of {shown(row)}."
            )
    return found


def _line(standing: Standing) -> list[RenderableType]:
    errors = standing.best[0].errors
    error = Text(_measured(standing.best[0].error, standing.interval))
    if standing.floored:
        error.append(" ≈", "yellow bold")
    others = [_short(bootstrap.estimate(errors, statistic)) for statistic in ("median", "trimmed")]
    line: list[RenderableType] = [str(standing.budget), _names(standing.best), error, *others]
    if standing.runner_up is None or standing.lead is None:
        return [*line, "", ""]
    ratio, low, high = standing.lead
    lead = Text(f"{ratio:.2f} ({low:.2f} … {high:.2f})")
    if not standing.resolved and not standing.floored:
        lead.append(" ?", "yellow bold")
    return [*line, _names([standing.runner_up]), lead]


def _measured(error: float, interval: tuple[float, float]) -> str:
    """3.2 (2.9 … 3.5) e-4: an error and its interval under one power of ten."""
    power = math.floor(math.log10(error)) if error > 0.0 else 0
    value, low, high = (f"{number / 10.0**power:.2f}" for number in (error, *interval))
    return f"{value} ({low} … {high}) e{power}"


def _short(error: float) -> str:
    """3.2 e-4."""
    power = math.floor(math.log10(error)) if error > 0.0 else 0
    return f"{error / 10.0**power:.2f} e{power}"


def _names(rows: Sequence[Row]) -> str:
    """Solvers and grids, one below the other where several are the same method."""
    return "\n".join(shown(row) for row in rows)

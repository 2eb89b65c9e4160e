"""What changed between two ledgers: two versions of the package, of a network or of a machine.

Two rows are compared if they have the same problem, noises, sampler, grid and budget. Their noises are the same, and
the ratio of their errors has a paired interval (`bootstrap.ratio_interval`). A ratio is a change if its interval
excludes one, and if the errors differ by more than rounding and than twice the errors of their references.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from ..solvers.common import check_instance
from .bootstrap import ratio_interval
from .ledger import Ledger, Row

__all__ = ["Change", "Comparison", "compare_ledgers"]

FILE = "results.sqlite"
ROUNDING = 1e-6
"""Relative differences of errors below this come from another machine or another order of sums."""


class Cell(NamedTuple):
    """What two rows have in common."""

    problem: str
    seed: int
    samples: int
    solver: str
    grid: str
    budget: int


@dataclass(frozen=True)
class Side:
    """A ledger, with the row that was measured last for each cell."""

    path: Path
    rows: Mapping[Cell, Row]
    digests: Mapping[Cell, str]

    def facts(self) -> dict[str, Any]:
        """The versions and machines of its rows, and the digests of its problems."""
        origins = [row.provenance for row in self.rows.values()]
        versions = {f"fokker {each.fokker}, torch {each.torch}, Python {each.python}" for each in origins}
        problems: dict[str, set[str]] = {}
        for cell, digest in self.digests.items():
            problems.setdefault(cell.problem, set()).add(digest)
        return {
            "path": str(self.path),
            "versions": sorted(versions),
            "machines": sorted({f"{each.machine}, {each.threads} threads" for each in origins}),
            "problems": {name: sorted(digests) for name, digests in problems.items()},
        }


@dataclass(frozen=True)
class Change:
    """One sampler at one budget, before and after.

    Attributes:
        cell: what the two rows have in common.
        before: the row of the first ledger.
        after: the row of the second one.
        ratio: the error after over the error before, with its paired 95 % interval; None if one of the two failed.
    """

    cell: Cell
    before: Row
    after: Row
    ratio: tuple[float, float, float] | None

    @classmethod
    def of(cls, cell: Cell, before: Row, after: Row) -> Change:
        """Compare two rows."""
        if before.failure or after.failure:
            return cls(cell, before, after, None)
        if np.array_equal(before.errors, after.errors):
            return cls(cell, before, after, (1.0, 1.0, 1.0))
        if before.error == 0.0:
            return cls(cell, before, after, (math.inf, math.inf, math.inf))
        interval = ratio_interval(after.errors, before.errors)
        return cls(cell, before, after, (after.error / before.error, *interval))

    @property
    def resolved(self) -> bool:
        """Whether it is more than the choice of the noises, rounding, and the references explain."""
        if self.ratio is None:
            return bool(self.before.failure) != bool(self.after.failure)
        _, low, high = self.ratio
        moved = abs(self.after.error - self.before.error)
        beyond = moved > max(2.0 * (self.before.floor + self.after.floor), ROUNDING * self.before.error)
        return beyond and not low <= 1.0 <= high

    @property
    def size(self) -> float:
        """|log ratio|; infinite where one of the two failed, 0 where both did."""
        if self.ratio is None:
            return math.inf if self.resolved else 0.0
        return abs(math.log(self.ratio[0])) if self.ratio[0] > 0.0 else math.inf

    @property
    def worse(self) -> bool:
        """Whether the error rose, or the sampler fails now."""
        return bool(self.after.failure) if self.ratio is None else self.ratio[0] > 1.0

    def told(self) -> str:
        """The change in a few words: 1.52 (1.47 … 1.58), or which of the two failed."""
        if self.ratio is None:
            return f"fails: {self.after.failure}" if self.after.failure else "failed before"
        return "{:.3g} ({:.3g} … {:.3g})".format(*self.ratio)

    def as_dict(self) -> dict[str, Any]:
        finite = [value if math.isfinite(value) else None for value in self.ratio or ()]
        return {
            **self.cell._asdict(),
            "before": None if self.before.failure else self.before.error,
            "after": None if self.after.failure else self.after.error,
            "ratio": dict(zip(("ratio", "low", "high"), finite, strict=True)) if finite else None,
            "failure": self.after.failure or self.before.failure or None,
            "resolved": self.resolved,
        }


@dataclass(frozen=True)
class Comparison:
    """What changed between two ledgers.

    Attributes:
        before: the first one.
        after: the second one.
        changes: the rows that both have; those that matter come first, the largest first.
        new: what the second ledger alone has.
        gone: what the first one alone has.
    """

    before: Side
    after: Side
    changes: tuple[Change, ...]
    new: tuple[Cell, ...]
    gone: tuple[Cell, ...]

    def summary(self) -> str:
        """What changed, in one sentence."""
        resolved = [change for change in self.changes if change.resolved]
        worse = sum(change.worse for change in resolved)
        told = f"{len(resolved)} of {len(self.changes)} results changed beyond their intervals"
        if resolved:
            told += f", {len(resolved) - worse} for the better and {worse} for the worse"
        return f"{told}; {len(self.new)} are new, {len(self.gone)} are gone."

    def table(self) -> Table:
        """The results that changed beyond their intervals, under what the ledgers say of themselves."""
        table = Table(box=SIMPLE_HEAD, title=Text(self._head()), caption=Text(self.summary()), pad_edge=False)
        table.title_justify = table.caption_justify = "left"
        for column in ("problem", "sampler", "grid"):
            table.add_column(column)
        for column in ("seed", "noises", "NFE ≤", "before", "after"):
            table.add_column(column, justify="right")
        table.add_column("times the error (95 % interval)")
        for change in self.changes:
            if change.resolved:
                cell = change.cell
                numbers = [str(number) for number in (cell.seed, cell.samples, cell.budget)]
                numbers += [f"{row.error:.2e}" for row in (change.before, change.after)]
                table.add_row(*map(Text, (cell.problem, cell.solver, cell.grid, *numbers, change.told())))
        return table

    def as_dict(self) -> dict[str, Any]:
        """Everything, as values for JSON."""
        return {
            "before": self.before.facts(),
            "after": self.after.facts(),
            "summary": self.summary(),
            "changes": [change.as_dict() for change in self.changes],
            "new": [cell._asdict() for cell in self.new],
            "gone": [cell._asdict() for cell in self.gone],
        }

    def _head(self) -> str:
        """Both ledgers, a line each, and the problems that are not the same in both."""
        lines = []
        for name, side in (("before", self.before), ("after", self.after)):
            facts = side.facts()
            lines.append(f"{name}: {facts['path']}; {', or '.join([*facts['versions'], *facts['machines']])}")
        old, new = self.before.digests, self.after.digests
        unlike = {(cell.problem, old[cell], new[cell]) for cell in old.keys() & new.keys() if old[cell] != new[cell]}
        lines += [f"{name} is another problem in each: {one} and {other}" for name, one, other in sorted(unlike)]
        return "\n".join(lines)


def compare_ledgers(before: Path, after: Path) -> Comparison:
    """What changed from one ledger to another.

    Args:
        before: the file of the first one, or its folder.
        after: the file of the second one, or its folder.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a file is no ledger, has another format or is damaged.
        OSError: a file cannot be read.
    """
    one, other = _read(before), _read(after)
    both = one.rows.keys() & other.rows.keys()
    changes = [Change.of(cell, one.rows[cell], other.rows[cell]) for cell in sorted(both)]
    changes.sort(key=lambda change: (not change.resolved, -change.size))
    return Comparison(one, other, tuple(changes), _only(other.rows, both), _only(one.rows, both))


def _read(path: Path) -> Side:
    """The rows of a ledger; of several versions of a problem or of the package, those that were written last."""
    check_instance("path", path, Path, "a pathlib.Path")
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(f"There is no ledger {file}; give a folder of results that `fokker bench` has written.")
    rows, digests = dict[Cell, Row](), dict[Cell, str]()
    with Ledger(file) as ledger:
        for key in ledger.runs():
            for version in reversed(ledger.versions(key)):
                for row in ledger.rows(key, version):
                    cell = Cell(key.problem, key.seed, key.samples, *row.cell)
                    rows[cell], digests[cell] = row, key.digest
    return Side(file, rows, digests)


def _only(rows: Iterable[Cell], both: Set[Cell]) -> tuple[Cell, ...]:
    return tuple(sorted(cell for cell in rows if cell not in both))

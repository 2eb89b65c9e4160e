"""Every way on every problem at every number of evaluations, and the tables.

All ways share the noises, the reference and the held-out noises of `tune`. A published way has the noises by which
ours chooses its course, too. What is finished is kept on the disk.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...solvers.common import MANY, Progress, choice, flag, whole
from ..problems import Problem
from ..reference import reference, stored
from ..tuning import BASELINES, Coefficients, Trajectories, starts_of, tune
from .laws import PROBLEMS
from .row import NFE, OURS, PUBLISHED, WAYS, Row

__all__ = ["Contest", "contest"]

ONE_STEP = 1e-6
"""Minutes after which a fit has taken one step, and the reference is on the disk."""
KINDS = ("trimmed", "median", "rms")


@dataclass(frozen=True)
class Contest:
    """What was measured.

    Attributes:
        rows: by problem, number of evaluations and way.
    """

    rows: dict[str, dict[int, dict[str, Row]]] = field(repr=False)

    def ratio(self, problem: str, nfe: int, way: str, kind: str = "trimmed") -> float:
        """An error over that of the best published sampler."""
        cell = self.rows[problem][nfe]
        return float(getattr(cell[way], kind) / getattr(cell[PUBLISHED], kind))

    def mean(self, nfe: int, way: str, kind: str = "trimmed") -> float:
        """The geometric mean of the ratios over the problems."""
        ratios = [self.ratio(problem, nfe, way, kind) for problem, cells in self.rows.items() if nfe in cells]
        return math.exp(sum(map(math.log, ratios)) / len(ratios))

    def summary(self, kind: str = "trimmed") -> str:
        """The geometric means: a line for each way, a column for each number of evaluations."""
        budgets = sorted({nfe for cells in self.rows.values() for nfe in cells})
        head = {"trimmed": "rms of the best 99 %", "median": "median", "rms": "rms"}[kind]
        lines = [f"{head:22}" + "".join(f"{nfe:>8}" for nfe in budgets)]
        lines += [f"{way:22}" + "".join(f"{self.mean(nfe, way, kind):8.3f}" for nfe in budgets) for way in WAYS]
        return "\n".join(lines)

    def table(self) -> str:
        """All of it, with ratios to the best published sampler."""
        lines = [f"{'':22}{'rms':>9}{'median':>9}{'best 99%':>9}{'PSNR':>7}{'ratio':>7}{'median':>7}{'seconds':>9}"]
        for problem, cells in self.rows.items():
            for nfe, cell in cells.items():
                lines.append(f"{problem}, {nfe} evaluations, {next(iter(cell.values())).noises[1]} held-out noises")
                for way, row in cell.items():
                    ratios = (self.ratio(problem, nfe, way, kind) for kind in KINDS[:2])
                    errors = f"{row.rms:9.1e}{row.median:9.1e}{row.trimmed:9.1e}{row.psnr:7.1f}"
                    rest = "".join(f"{each:7.2f}" for each in ratios) + f"{row.seconds:9.1f}"
                    lines.append(f"  {way:20}{errors}{rest}" + (f"  {row.what}" if way == PUBLISHED else ""))
        return "\n".join(lines)


def contest(
    problems: Sequence[str] | None = None,
    nfe: Sequence[int] | None = None,
    *,
    folder: str | Path,
    seed: int = 0,
    samples: int | None = None,
    progress: bool = False,
) -> Contest:
    """Measure all ways, or go on where an earlier call ended.

    Args:
        problems: names of `PROBLEMS`; by default all of them.
        nfe: numbers of evaluations of the field.
        folder: keeps what is finished.
        seed: of the noises.
        samples: the noises to fit to, as for `tune`.
        progress: show a progress bar on stderr.

    Raises:
        ValueError: an unknown problem, a number out of range, or a damaged file.
    """
    names = [choice("problem", name, PROBLEMS) for name in problems or PROBLEMS]
    budgets = [whole("nfe", each, 1, 100) for each in nfe or NFE]
    seed, progress = whole("seed", seed), flag("progress", progress)
    samples = None if samples is None else whole("samples", samples, 8, MANY)
    rows: dict[str, dict[int, dict[str, Row]]] = {}
    with Progress(0.0, len(names) * len(budgets) * len(WAYS), progress) as bar:
        done = 0
        for name in names:
            for budget in budgets:
                cell = _Cell(PROBLEMS[name](), budget, seed, samples, Path(folder))
                found = rows.setdefault(name, {}).setdefault(budget, {})
                for way, row in cell.measured():
                    found[way], done = row, done + 1
                    bar.reach(done, f"{name}, {budget}, {way}")
                rows[name][budget] = {way: found[way] for way in WAYS}
    return Contest(rows)


@dataclass(frozen=True)
class _Cell:
    """One problem at one number of evaluations."""

    problem: Problem
    nfe: int
    seed: int
    samples: int | None
    folder: Path

    def measured(self) -> Iterator[tuple[str, Row]]:
        """The rows; ours first, which say what the noises are."""
        kept = {way: Row.read(self._file(way)) for way in WAYS}
        if not all(kept[way] for way in OURS):
            self._tune("times", ONE_STEP)
        noises = (0, 0)
        for way, free in OURS.items():
            row = kept[way] or self._written(way, self._tune(free))
            noises = row.noises
            yield way, row
        others = [way for way in WAYS if way not in OURS]
        if all(kept[way] for way in others):
            yield from ((way, row) for way, row in kept.items() if row is not None and way in others)
            return
        total = sum(noises)
        known = stored(self.problem, total, self.seed, folder=self.folder) or reference(self.problem, total, self.seed)
        everything = Trajectories.of(self.problem, known, total, self.seed)
        training, held = everything.of_rows(0, noises[0]), everything.of_rows(noises[0], total)
        for way in others:
            yield way, kept[way] or self._written(way, self._row(way, training, held))

    def _row(self, way: str, training: Trajectories, held: Trajectories) -> Row:
        """That of a sampler, or of a published way."""
        if way in BASELINES:
            started = time.perf_counter()
            try:
                numbers: Coefficients | None = BASELINES[way].fit(training, self.nfe)
            except ArithmeticError:  # no table on the way had a finite error
                numbers = None
            seconds = time.perf_counter() - started
            if numbers is None:
                return Row(math.inf, math.inf, math.inf, seconds, (len(training), len(held)))
            return Row.of(held.errors(numbers), seconds, len(training))
        default, *published = starts_of(self.problem, self.nfe)
        if way == "default":
            return Row.of(held.errors(default.numbers), 0.0, len(training), default.name)
        rows = [Row.of(held.errors(each.numbers), 0.0, len(training), each.name) for each in published]
        return min(rows, key=lambda row: row.trimmed)

    def _tune(self, free: str, minutes: float | None = None) -> Row:
        started = time.perf_counter()
        found = tune(
            self.problem, nfe=self.nfe, seed=self.seed, free=free, samples=self.samples, minutes=minutes,
            folder=self.folder,
        )  # fmt: skip
        noises = found.facts["noises"]
        fitted = noises["training"] + noises["choosing"]
        return Row.of(found.held_out["tuned"], time.perf_counter() - started, fitted, found.facts["start"])

    def _written(self, way: str, row: Row) -> Row:
        row.write(self._file(way))
        return row

    def _file(self, way: str) -> Path:
        count = "" if self.samples is None else f"-samples{self.samples}"
        name = f"{self.problem.digest}-nfe{self.nfe}-seed{self.seed}{count}-{way.replace(', ', '-').replace(' ', '-')}"
        return self.folder / "contest" / f"{name}.json"

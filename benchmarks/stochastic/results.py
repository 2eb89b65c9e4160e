"""The results of a comparison of laws: rows, the best sampler at each budget, and whether its lead is resolved."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...solvers.common import whole
from .components import Components
from .distances import Floor, Measured, resolved

__all__ = ["LawComparison", "LawRow", "LawStanding"]


@dataclass(frozen=True)
class LawRow:
    """One sampler at one budget.

    Attributes:
        sampler: its name.
        stochastic: whether it draws noise on the way.
        budget: the most evaluations a sample.
        nfe: the evaluations that it took.
        seconds: of the processor.
        distances: from the law that is aimed at, by name; the samplers are ranked by the first.
        components: of a mixture.
        failure: why there are no samples.
    """

    sampler: str
    stochastic: bool
    budget: int
    nfe: int
    seconds: float
    distances: dict[str, Measured]
    components: Components | None = None
    failure: str = ""

    @property
    def error(self) -> Measured:
        """The distance by which samplers are ranked."""
        return next(iter(self.distances.values()))

    def as_dict(self) -> dict[str, Any]:
        distances = {
            name: {"value": each.value, "interval": list(each.interval)} for name, each in self.distances.items()
        }
        parts = None if self.components is None else [asdict(each) for each in self.components.each]
        return {
            "sampler": self.sampler,
            "stochastic": self.stochastic,
            "budget": self.budget,
            "nfe": self.nfe,
            "seconds": self.seconds,
            "distances": distances,
            "components": parts,
            "failure": self.failure or None,
        }


@dataclass(frozen=True)
class LawStanding:
    """The best sampler at a budget.

    Attributes:
        budget: the most evaluations a sample.
        best: the row with the smallest error.
        equals: the other rows whose errors are not resolved from it.
        above_floor: whether its error is above what two sets of one law have; otherwise more samples are needed.
    """

    budget: int
    best: LawRow
    equals: tuple[LawRow, ...]
    above_floor: bool

    @property
    def resolved(self) -> bool:
        """Whether the best sampler is known."""
        return not self.equals

    def __str__(self) -> str:
        others = ", ".join(row.sampler for row in self.equals)
        head = f"{self.best.sampler} at {self.budget} evaluations"
        return f"{head}, not resolved from {others}" if others else head


@dataclass(frozen=True)
class LawComparison:
    """Samplers by the error of the law of their samples.

    Attributes:
        problem: its name.
        description: of the problem.
        samples: the number of samples of each sampler and of each reference set; 0 for exact laws.
        seed: of all noises.
        rows: one for each sampler and budget.
        floors: of each distance, between two sets of one law.
        reference_gap: what twice the steps change in the reference samples, rms; 0 where the law is known.
    """

    problem: str
    description: str
    samples: int
    seed: int
    rows: tuple[LawRow, ...]
    floors: dict[str, Floor] = field(default_factory=dict)
    reference_gap: float = 0.0

    @property
    def budgets(self) -> tuple[int, ...]:
        """The budgets at which a sampler finished, rising."""
        return tuple(sorted({row.budget for row in self.finished}))

    @property
    def finished(self) -> tuple[LawRow, ...]:
        """The rows that have errors."""
        return tuple(row for row in self.rows if not row.failure)

    def best(self, nfe: int) -> LawStanding:
        """The best sampler with at most `nfe` evaluations: at the largest budget that is not above it.

        Raises ValueError if no sampler finished with so few.
        """
        nfe = whole("nfe", nfe, 1)
        fitting = [budget for budget in self.budgets if budget <= nfe]
        if not fitting:
            raise ValueError(f"No sampler finished with {nfe} evaluations; the budgets are {list(self.budgets)}.")
        return self._standing(fitting[-1])

    def row(self, sampler: str, budget: int) -> LawRow:
        """The row of a sampler at a budget. Raises KeyError for one that is not there."""
        return {(row.sampler, row.budget): row for row in self.rows}[sampler, budget]

    def _standing(self, budget: int) -> LawStanding:
        ranked = sorted((row for row in self.finished if row.budget == budget), key=lambda row: row.error.value)
        first, *others = ranked
        equals = tuple(row for row in others if not resolved(first.error, row.error))
        return LawStanding(budget, first, equals, self.above_floor(first))

    def above_floor(self, row: LawRow) -> bool:
        """Whether the error of a row is above what two sets of one law have, with 97.5 % confidence."""
        floor = next(iter(self.floors.values()), None)
        return floor is None or row.error.value > floor.high

    def as_dict(self) -> dict[str, Any]:
        """Everything, in numbers and texts."""
        return {
            "problem": self.problem,
            "description": self.description,
            "samples": self.samples,
            "seed": self.seed,
            "floors": {name: asdict(floor) for name, floor in self.floors.items()},
            "reference_gap": self.reference_gap,
            "best": [
                {
                    "budget": budget,
                    "sampler": (standing := self._standing(budget)).best.sampler,
                    "not_resolved_from": [row.sampler for row in standing.equals],
                    "above_floor": standing.above_floor,
                }
                for budget in self.budgets
            ],
            "rows": [row.as_dict() for row in self.rows],
        }

    def table(self) -> str:
        """The errors at every budget, the best of each first, and what failed."""
        heads = [*self.finished[0].distances] if self.finished else []
        parts = ["weights", "means", "covs"] if any(row.components for row in self.rows) else []
        wide = max((len(row.sampler) for row in self.rows), default=0)
        lines = [f"{self.problem}: {self.description}", ""]
        for budget in self.budgets:
            standing = self._standing(budget)
            lines.append("".join([f"NFE ≤ {budget:<{wide}}   NFE", *(f"   {head:<24}" for head in heads),
                                  *(f"{part:>9}" for part in parts)]).rstrip())
            ranked = sorted((row for row in self.finished if row.budget == budget), key=lambda row: row.error.value)
            for row in ranked:
                mark = "*" if row is standing.best else "?" if row in standing.equals else " "
                errors = "".join(f"   {_measured(row.distances[head], self.samples):<24}" for head in heads)
                found = "" if row.components is None else "".join(
                    f"{getattr(row.components, part):9.2f}" for part in parts)
                below = "" if self.above_floor(row) else "   not above the floor"
                lines.append(f"  {mark} {row.sampler:<{wide}}  {row.nfe:5}{errors}{found}{below}".rstrip())
            lines.append("")
        lines += [f"{row.sampler} at NFE ≤ {row.budget} failed: {row.failure}" for row in self.rows if row.failure]
        return "\n".join([*lines, *self.notes()])

    def notes(self) -> list[str]:
        """What the columns and the marks mean."""
        notes = ["*: the best; ?: not resolved from it."]
        if not self.samples:
            return [*notes, "Exact laws. W2 of the steps starts from the exact law at the first time, and compares "
                            "with that at the last time."]
        floors = ", ".join(f"{name} {floor.mean:.3g} (up to {floor.high:.3g})" for name, floor in self.floors.items())
        notes.append(f"{self.samples} samples each, with 95 % intervals. Two sets of one law differ by {floors}.")
        if self.reference_gap:
            notes.append(f"Twice the steps change the reference samples by {self.reference_gap:.1g} (rms).")
        if any(row.components for row in self.rows):
            notes.append("weights, means, covs: of the components, in standard errors (rms); 1 for the exact law.")
        return notes

    def plot(self, file: Path) -> None:
        """Draw error against evaluations into a PNG, atomically. Raises ValueError if all rows failed."""
        from .picture import Line, draw_lines  # matplotlib takes a second to import

        lines = []
        for name in dict.fromkeys(row.sampler for row in self.finished):
            rows = sorted((row for row in self.finished if row.sampler == name), key=lambda row: row.budget)
            lines.append(Line(name, [row.budget for row in rows], [row.error for row in rows], rows[0].stochastic))
        label = next(iter(self.finished[0].distances)) if lines else ""
        title = f"{self.problem}: {self.description}"
        floor = next(iter(self.floors.values()), None)
        draw_lines(lines, floor, title, "network evaluations per sample (at most)", label, file, dashed="deterministic")


def _measured(error: Measured, samples: int) -> str:
    """3.2e-4, and the interval of what was measured on samples."""
    if not samples:
        return f"{error.value:.4g}"
    low, high = error.interval
    return f"{error.value:.4g} ({low:.3g} … {high:.3g})"

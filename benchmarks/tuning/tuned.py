"""What tuning found: a table, and what was measured of it on noises that it was not fitted to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from ...solvers import Scheme
from ...solvers.common import Array, choice
from ..bootstrap import STATISTICS, estimate, interval, ratio_interval, tail_share
from .parts import Part, parts_of

__all__ = ["Tuned", "report"]

WIDTH = 80
SHOWN = 10
"""Labels, or weights, that are printed."""
RATIO = "of the default's"


@dataclass(frozen=True)
class Tuned:
    """A table that is fitted to a network, with the errors that it was measured to have.

    An error is the root mean square over the components of a sample, beside the end of its flow. As a method the table
    has the order 0: it is good at its own number of evaluations, for its own network.

    Attributes:
        scheme: the table; `sample(denoiser, shape, nfe, sampler=tuned.scheme)` takes it. Its `about` has the report.
        held_out: the errors on noises that nothing was chosen by, (samples,) for each of "default", "start", "tuned".
        training: those of the table on the noises that it was fitted to.
        facts: how it was made, in JSON values. "each" and "curve" are there if they were asked for.
        dealt: the "label" and the "weight" of the held-out noises, (samples,), and of those that it was fitted to,
            where there is more than one of them.
    """

    scheme: Scheme
    held_out: Mapping[str, Array]
    training: Array
    facts: Mapping[str, Any]
    dealt: Mapping[str, tuple[Array, Array]] = field(default_factory=dict)

    def save(self, file: str | Path) -> None:
        """Write the table with its report to a JSON file, atomically. Raises OSError if it cannot be written."""
        self.scheme.save(file)

    def ratio(self, statistic: str = "trimmed") -> float:
        """The held-out error over that of the default sampler: its "rms", its "median" or that of the best 99 %."""
        return self._estimate("tuned", statistic) / self._estimate("default", statistic)

    def _estimate(self, name: str, statistic: Any) -> float:
        return estimate(self.held_out[name], statistic)

    def parts(self, of: str) -> list[Part]:
        """The errors for each "label" or each "weight"; none where there is only one."""
        dealt = self.dealt.get(choice("of", of, ("label", "weight")))
        return [] if dealt is None else parts_of(self.held_out, self.training, dealt)

    def table(self) -> Table:
        """The errors of each sampler, and their ratios to the default's with 95 % intervals."""
        table = _table("sampler", "rms", "median", "best 99 %", RATIO, title=self._head())
        default = self.held_out["default"]
        for name in ("default", "start", "tuned"):
            errors, ratio = self.held_out[name], "1"
            if name != "default":
                over = estimate(errors, "trimmed") / estimate(default, "trimmed")
                ratio = _ratio(over, *ratio_interval(errors, default, "trimmed"))
            table.add_row(name, *(f"{estimate(errors, each):.2e}" for each in STATISTICS), ratio)
        table.add_row("tuned, training", *(f"{estimate(self.training, each):.2e}" for each in STATISTICS), "")
        return table

    def __rich__(self) -> Group:
        """The table, those of the labels and weights, of tables for one weight, the learning curve, and remarks."""
        shown: list[Table | Text] = [self.table()]
        shown += [_by(of, self.parts(of)) for of in self.dealt]
        shown += [_each(self.facts["each"])] if "each" in self.facts else []
        shown += [_curve(self.facts["curve"])] if "curve" in self.facts else []
        return Group(*shown, Text(self._foot()))

    def _head(self) -> str:
        n, held, used = self.scheme.nfe, len(self.held_out["tuned"]), len(self.training)
        seconds = self.facts["seconds"]
        return f"{n} evaluations, fitted to {used} noises and measured on {held} others, in {seconds:.0f} s"

    def _foot(self) -> str:
        share = tail_share(self.held_out["tuned"])
        lines = [
            f"The start is {self.facts['start']}.",
            f"The worst 1 % of the held-out noises carry {share:.0%} of the squared error.",
            f"The ends are known to {self.facts['floor']:.1g}.",
        ]
        if self.facts["kept_start"]:
            lines.append("No fit was better than the start on held-out noises, so that the table is the start's.")
        law = ", ".join(f"{gain:.4f} at {sd}" for sd, gain in self.facts["gaussian_law"].items())
        lines.append(f"Order 0. Of N(0, c²) data it makes this standard deviation over the true one: {law}.")
        return " ".join(lines)

    def __str__(self) -> str:
        console = Console(width=WIDTH, file=StringIO(), record=True)
        console.print(self)
        return console.export_text()


def _table(*columns: str, title: str) -> Table:
    table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False, title=title)
    table.title_justify = "left"
    return table


def _by(of: str, parts: Sequence[Part]) -> Table:
    """The parts that the table serves worst, the worst one first."""
    worst = sorted(parts, key=lambda part: -part.ratio[0])[:SHOWN]
    title = f"By {of}, the worst first" if len(worst) == len(parts) else f"The worst {SHOWN} of {len(parts)} {of}s"
    table = _table(of, "noises", "median", "best 99 %", RATIO, "training", title=title)
    for part in worst:
        errors = (estimate(part.held_out, "median"), estimate(part.held_out, "trimmed"))
        training = "" if part.fitted is None else f"{part.fitted:.2e}"
        cells = (*(f"{error:.2e}" for error in errors), _ratio(*part.ratio), training)
        table.add_row(f"{part.value:g}", str(len(part.held_out)), *cells)
    return table


def _each(rows: Sequence[Mapping[str, Any]]) -> Table:
    """The common table beside one that is fitted to the weight alone."""
    title = "A table for each weight alone, errors of the best 99 %"
    table = _table("weight", "common table", "its own", "common over own", title=title)
    for row in rows:
        table.add_row(f"{row['weight']:g}", f"{row['common']:.2e}", f"{row['own']:.2e}", _ratio(*row["ratio"]))
    return table


def _curve(rows: Sequence[Mapping[str, Any]]) -> Table:
    """The errors by the number of noises to fit to."""
    table = _table("noises", "training", "held out", RATIO, title="Fitted to fewer noises, errors of the best 99 %")
    for row in rows:
        table.add_row(str(row["noises"]), _error(*row["training"]), _error(*row["held_out"]), _ratio(*row["ratio"]))
    return table


def _ratio(ratio: float, low: float, high: float) -> str:
    return f"{ratio:.2g} ({low:.2g} … {high:.2g})"


def _error(error: float, low: float, high: float) -> str:
    """An error with its interval, which has the same power of ten: 1.3e-02 (1.1 … 1.6)."""
    unit = 10.0 ** math.floor(math.log10(error)) if error > 0.0 else 1.0
    return f"{error:.1e} ({low / unit:.1f} … {high / unit:.1f})"


def report(
    held_out: Mapping[str, Array],
    training: Array,
    facts: Mapping[str, Any],
    dealt: Mapping[str, tuple[Array, Array]],
) -> dict[str, Any]:
    """The same in JSON values, for the file."""

    def told(errors: Array) -> dict[str, Any]:
        return {each: [estimate(errors, each), *interval(errors, each)] for each in STATISTICS}

    found = {**facts, "held_out": {name: told(errors) for name, errors in held_out.items()}, "training": told(training)}
    by = {of: [part.told() for part in parts_of(held_out, training, values)] for of, values in dealt.items()}
    return found | ({"by": by} if by else {})

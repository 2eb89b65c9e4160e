"""What tuning found: a table, and what was measured of it on noises that it was not fitted to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ...solvers import Scheme
from ...solvers.common import Array
from ..bootstrap import STATISTICS, estimate, interval, ratio_interval, tail_share

__all__ = ["Tuned", "report"]

WIDTH = 120


@dataclass(frozen=True)
class Tuned:
    """A table that is fitted to a network, with the errors that it was measured to have.

    An error is the root mean square over the components of a sample, beside the end of its flow. As a method the table
    has the order 0: it is good at its own number of evaluations, for its own network.

    Attributes:
        scheme: the table; `sample(denoiser, shape, nfe, sampler=tuned.scheme)` takes it. Its `about` has the report.
        held_out: the errors on noises that nothing was chosen by, (samples,) for each of "default", "start", "tuned".
        training: those of the table on the noises that it was fitted to.
        facts: how it was made, in JSON values.
    """

    scheme: Scheme
    held_out: Mapping[str, Array]
    training: Array
    facts: Mapping[str, Any]

    def save(self, file: str | Path) -> None:
        """Write the table with its report to a JSON file, atomically. Raises OSError if it cannot be written."""
        self.scheme.save(file)

    def ratio(self, statistic: str = "trimmed") -> float:
        """The held-out error over that of the default sampler: its "rms", its "median" or that of the best 99 %."""
        return self._estimate("tuned", statistic) / self._estimate("default", statistic)

    def _estimate(self, name: str, statistic: Any) -> float:
        return estimate(self.held_out[name], statistic)

    def table(self) -> Table:
        """The errors of each sampler, with 95 % intervals, and their ratios to the default's."""
        table = Table(box=SIMPLE_HEAD, pad_edge=False, title=self._head(), caption=self._foot())
        table.title_justify = table.caption_justify = "left"
        table.add_column("sampler")
        for name in ("rms", "median", "best 99 %"):
            table.add_column(name)
        table.add_column("of the default's")
        for name in ("default", "start", "tuned"):
            errors = self.held_out[name]
            cells = [_cell(errors, statistic) for statistic in STATISTICS]
            ratio = "1"
            if name != "default":
                low, high = ratio_interval(errors, self.held_out["default"], "trimmed")
                over = estimate(errors, "trimmed") / estimate(self.held_out["default"], "trimmed")
                ratio = f"{over:.3g} ({low:.2g} … {high:.2g})"
            table.add_row(name, *cells, ratio)
        table.add_row("tuned, training noises", *(_cell(self.training, each) for each in STATISTICS), "")
        return table

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
        console.print(self.table())
        return console.export_text()


def _cell(errors: Array, statistic: Any) -> str:
    """An error with its interval, which has the same power of ten: 1.25e-02 (1.1 … 1.6)."""
    error, ends = estimate(errors, statistic), interval(errors, statistic)
    unit = 10.0 ** math.floor(math.log10(error)) if error > 0.0 else 1.0
    return f"{error:.2e} ({ends[0] / unit:.2f} … {ends[1] / unit:.2f})"


def report(held_out: Mapping[str, Array], training: Array, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The same in JSON values, for the file."""

    def told(errors: Array) -> dict[str, Any]:
        return {each: [estimate(errors, each), *interval(errors, each)] for each in STATISTICS}

    return {**facts, "held_out": {name: told(errors) for name, errors in held_out.items()}, "training": told(training)}

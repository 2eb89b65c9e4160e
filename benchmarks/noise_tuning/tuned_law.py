"""What tuning of noise found: a table, and what was measured of the law of its samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ...solvers import Scheme
from ..stochastic import Floor, Measured, resolved

__all__ = ["TunedLaw", "report"]

WIDTH = 120


@dataclass(frozen=True)
class TunedLaw:
    """A stochastic table that is fitted to a network, with the errors of the law of its samples.

    Attributes:
        scheme: the table; `sample(denoiser, shape, nfe, sampler=tuned.scheme)` takes it. Its `about` has the report.
        gaussian: W₂ on the Gaussian data that are matched to the model, exactly, for "start" and "tuned".
        held_out: sliced W₂ from samples of the model that nothing was chosen by, for "start" and "tuned".
        floor: sliced W₂ between two sets of samples of the model.
        facts: how it was made, in JSON values.
    """

    scheme: Scheme
    gaussian: Mapping[str, float]
    held_out: Mapping[str, Measured]
    floor: Floor
    facts: Mapping[str, Any]

    def save(self, file: str | Path) -> None:
        """Write the table with its report to a JSON file, atomically. Raises OSError if it cannot be written."""
        self.scheme.save(file)

    def ratio(self) -> float:
        """The held-out sliced W₂ over that of the sampler that the fit started from."""
        return self.held_out["tuned"].value / self.held_out["start"].value

    def table(self) -> Table:
        """Both errors of both tables, with 95 % intervals."""
        table = Table(box=SIMPLE_HEAD, pad_edge=False, title=self._head(), caption=self._foot())
        table.title_justify = table.caption_justify = "left"
        for name in ("sampler", "W2, matched Gaussian", "sliced W2, held out"):
            table.add_column(name)
        for name, label in (("start", self.facts["start"]), ("tuned", "tuned")):
            low, high = self.held_out[name].interval
            sliced = f"{self.held_out[name].value:.3g} ({low:.3g} … {high:.3g})"
            table.add_row(label, f"{self.gaussian[name]:.3g}", sliced)
        return table

    def _head(self) -> str:
        facts = self.facts
        return f"{facts['nfe']} evaluations, fitted to {facts['samples']} samples, in {facts['seconds']:.0f} s"

    def _foot(self) -> str:
        lines = [f"Two sets of samples of the model are {self.floor.mean:.3g} apart, {self.floor.high:.3g} at most."]
        if self.facts["kept_start"]:
            lines.append("No fit was better than the start on held-out samples, so that the table is the start's.")
        elif resolved(self.held_out["tuned"], self.held_out["start"]):
            lines.append("The gain on held-out samples is resolved.")
        else:
            lines.append("The gain on held-out samples is within its error.")
        return " ".join(lines)

    def __str__(self) -> str:
        console = Console(width=WIDTH, file=StringIO(), record=True)
        console.print(self.table())
        return console.export_text()


def report(
    gaussian: Mapping[str, float], held_out: Mapping[str, Measured], floor: Floor, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """The same in JSON values, for the file."""
    sliced = {name: [each.value, *each.interval] for name, each in held_out.items()}
    return {**facts, "w2_matched_gaussian": dict(gaussian), "sliced_w2": sliced, "floor": [floor.mean, floor.high]}

"""From the best sampler to the lines that one pastes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .. import bootstrap
from ..entrants import Entrant
from ..ledger import Row
from ..problems import Problem
from ..reference import Reference
from .standing import Standing, shown

__all__ = ["Recommendation", "recommendation"]

HEAVY = 0.5
"""The share of the squared error in the worst hundredth of the noises from which on a few of them decide."""


@dataclass(frozen=True)
class Recommendation:
    """A sampler for a number of evaluations. Print it for all of it.

    Attributes:
        nfe: the evaluations of a sample.
        sampler: its name, with that of its grid.
        error: the root mean square error.
        interval: the 95 % interval of that.
        sample: the call of `sample`; empty for a sampler that `sample` does not take.
        solve: the lines for `solve`, or for the user's own function.
        scheduler: the line for a pipeline of diffusers; empty for a sampler that it does not take.
        doubts: what makes the choice uncertain, a sentence each.
    """

    nfe: int
    sampler: str
    error: float
    interval: tuple[float, float]
    sample: str
    solve: str
    scheduler: str
    doubts: tuple[str, ...] = ()

    def __str__(self) -> str:
        low, high = self.interval
        lines = [f"{self.sampler}: error {self.error:.2g} ({low:.2g} … {high:.2g}) with {self.nfe} evaluations"]
        lines += [f"  {doubt}" for doubt in self.doubts]
        for head, code in (("sample", self.sample), ("solve", self.solve), ("diffusers", self.scheduler)):
            if code:
                lines += [f"{head}:", *(f"    {line}" for line in code.splitlines())]
        return "\n".join(lines)


def recommendation(
    problem: Problem, entrants: Mapping[str, Entrant], standing: Standing, reference: Reference
) -> Recommendation:
    """The best row of a standing, as lines to paste.

    Args:
        problem: the problem.
        entrants: its samplers by name.
        standing: the ranking at a budget.
        reference: the solution that the errors were measured against.
    """
    row = standing.best[0]
    code = entrants[row.solver].code(problem, standing.budget, row.grid)
    return Recommendation(
        standing.budget, shown(row), row.error, standing.interval, *code, _doubts(standing, row, reference)
    )


def _doubts(standing: Standing, row: Row, reference: Reference) -> tuple[str, ...]:
    doubts = []
    if standing.floored:
        doubts.append(
            f"This error is that of the reference solution, {reference.floor:.1g}: others may be as good or better."
        )
    elif standing.runner_up is not None and standing.lead is not None and not standing.resolved:
        ratio, low, high = standing.lead
        second = standing.runner_up
        doubts.append(
            f"These noises do not tell it from {shown(second)}, whose error is {ratio:.2f} times as large "
            f"({low:.2f} … {high:.2f})."
        )
    if standing.typical is not None:
        other = standing.typical
        theirs, its = (bootstrap.estimate(each.errors, "median") for each in (other, row))
        doubts.append(
            f"For most noises {shown(other)} is better: its median error is {theirs:.2g}, not {its:.2g}."
        )
    share = bootstrap.tail_share(row.errors)
    if share > HEAVY:
        doubts.append(f"The worst hundredth of the noises carries {share:.0%} of the squared error.")
    return tuple(doubts)

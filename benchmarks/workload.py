"""What a comparison does in the minutes allowed: how many noises, which rows, and how much work on the reference.

With c(N) the seconds of one call for N noises, B the evaluations of all rows, E those of the reference and W the
workers, a comparison takes

    E c(N) + B c(N) / W        seconds,

because the reference is one piece of work and the rows are many. c is linear in N, and is measured at two N before
anything else. Half of the time belongs to the reference. Without a limit everything runs that was asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from ..solvers.common import MANY, check_instance, check_memory, real, whole, wholes
from .entrants import Entrant
from .problems import Problem, seconds_of_a_call
from .reference import EFFORT

__all__ = ["Cell", "Workload", "workload"]

NOISES = (512, 256, 128, 64, 32, 16, 8)
"""The numbers of initial noises from which one is chosen; fewer give no interval worth its name."""
ENOUGH = 16
"""Noises beyond which more grids are worth more than more noises."""
USUAL_EFFORT = 8000
"""The evaluations of the reference of a smooth network."""
GOOD_EFFORT, LEAST_EFFORT = 3000, 600
"""The evaluations that settle the reference of most networks, and those that refine it once or twice."""
SHARE = 0.45
"""The part of the time that the reference may take, and that of the rows. The rest is for starting."""


@dataclass(frozen=True)
class Cell:
    """A row that is to be measured: an entrant on a grid at a budget.

    Attributes:
        entrant: the sampler.
        grid: the name of the grid.
        budget: the evaluations allowed.
        steps: the steps that they pay for.
    """

    entrant: Entrant
    grid: str
    budget: int
    steps: int

    @property
    def name(self) -> tuple[str, str, int]:
        """That of its row."""
        return self.entrant.name, self.grid, self.budget


@dataclass(frozen=True)
class Workload:
    """The work on one problem. Print it for a sentence.

    Attributes:
        problem: the problem.
        samples: the number of initial noises.
        cells: the rows.
        effort: the most evaluations that the reference may take.
        call: the seconds of one call of the network for all noises.
        slots: the workers.
        left_out: what the minutes do not allow, in words; empty if all that was asked for runs.
    """

    problem: Problem
    samples: int
    cells: tuple[Cell, ...]
    effort: int
    call: float
    slots: int
    left_out: str = ""

    @property
    def evaluations(self) -> int:
        """Those of all rows, of each noise."""
        return sum(cell.budget for cell in self.cells)

    @property
    def seconds(self) -> float:
        """The time that all of it takes: at most if it is limited, and with a usual reference if it is not."""
        return self.reference_seconds + self.call * self.evaluations / self.slots

    @property
    def reference_seconds(self) -> float:
        """The part of them that belongs to the reference."""
        return self.call * min(self.effort, USUAL_EFFORT)

    def __str__(self) -> str:
        solvers, budgets = (len({getattr(cell, what) for cell in self.cells}) for what in ("entrant", "budget"))
        most = f"{self.seconds / 60.0:.0f} min" if self.seconds >= 90.0 else f"{max(1.0, self.seconds):.0f} s"
        return (
            f"{self.problem.name}: {solvers} samplers, {len(self.cells)} rows at {budgets} budgets, "
            f"{self.samples} noises; a call takes {1e3 * self.call:.2g} ms; about {most} on {self.slots} "
            f"worker{'s' * (self.slots > 1)}.{self.left_out and f' {self.left_out}'}"
        )


def workload(
    problem: Problem,
    entrants: Sequence[Entrant],
    budgets: Sequence[int],
    *,
    samples: int | None = None,
    minutes: float | None = None,
    slots: int = 1,
) -> Workload:
    """The work that fits into the minutes.

    The number of noises falls before the reference is poor. The grids of a sampler are given up before its noises are
    few: its best grid is a detail, its interval is not.

    Args:
        problem: the problem; its network is called a few times.
        entrants: the samplers.
        budgets: numbers of network evaluations.
        samples: the number of initial noises; chosen if None.
        minutes: the time allowed; None for all that was asked for, on the problem's own number of noises.
        slots: the workers.

    Raises:
        ValueError: no entrant makes a step with any budget, or the minutes are too few; the sentence says how many are
            needed.
    """
    check_instance("problem", problem, Problem, "a problem, such as problem('ring')")
    budgets = sorted(set(wholes("nfe", budgets, 1, MANY)))
    samples = None if samples is None else whole("samples", samples, 2, MANY)
    check_memory("samples", samples or problem.samples, 16 * (samples or problem.samples) * math.prod(problem.shape))
    if noisy := [each.name for each in entrants if each.draws(problem)]:
        raise ValueError(f"{noisy[0]} draws noise, so that it has no pathwise error; compare its law, with --law.")
    every = tuple(cells(problem, entrants, budgets))
    if not every:
        most = max(budgets, default=0)
        raise ValueError(f"None of the samplers makes a step with {most} evaluations; allow more.")
    slots = whole("slots", slots, 1)
    few, more = 2, 16 if problem.rows is None else min(problem.rows, 16)
    least = seconds_of_a_call(problem, min(few, more))
    slope = max(0.0, (seconds_of_a_call(problem, more) - least) / max(1, more - few))

    def call(count: int) -> float:
        return least + slope * max(0, count - few)

    if minutes is None:
        count = samples or problem.samples
        return Workload(problem, count, every, EFFORT, call(count), slots)
    time = 60.0 * real("minutes", minutes, above=0.0, high=MANY) * SHARE
    narrow = tuple(cell for cell in every if cell.grid in cell.entrant.grids[-1:])  # quadratic in time, or its own
    most = problem.rows or max(NOISES)
    counts = [samples] if samples else [count for count in NOISES if count <= most] or [most]
    choices = [(count, rows) for rows in (every, narrow) for count in counts]
    ordered = sorted(choices, key=lambda choice: (choice[0] < ENOUGH, choice[1] is narrow, -choice[0]))
    for effort, (count, rows) in product((GOOD_EFFORT, LEAST_EFFORT), ordered):
        seconds = call(count)
        if sum(cell.budget for cell in rows) * seconds / slots <= time and effort * seconds <= time:
            out = "" if rows is every else f"For {minutes:g} min each sampler runs on one grid."
            return Workload(problem, count, rows, min(EFFORT, int(time / seconds)), seconds, slots, out)
    count, _ = choices[-1]
    needed = max(sum(cell.budget for cell in narrow) / slots, LEAST_EFFORT) * call(count) / SHARE / 60.0
    unit = 10.0 ** (math.floor(math.log10(needed)) - 1)
    raise ValueError(
        f"{minutes:g} min are too few: {len(narrow)} rows of {count} noises and their reference take "
        f"{unit * math.ceil(needed / unit):.2g} min "
        f"at {1e3 * call(count):.2g} ms a call; allow as many, or name fewer samplers and budgets."
    )


def cells(problem: Problem, entrants: Sequence[Entrant], budgets: Sequence[int]) -> list[Cell]:
    """The rows that are wanted, on every grid; a sampler that cannot make one step with a budget has no row there."""
    return [
        Cell(entrant, grid, budget, steps)
        for entrant in entrants
        for budget in budgets
        if (steps := entrant.steps(problem, budget))
        for grid in entrant.grids
    ]

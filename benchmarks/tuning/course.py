"""The course of one fit: stages of steps, and which of the steps is kept."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch

from ...solvers.common import Array, Progress
from ..bootstrap import estimate
from .coefficients import Coefficients
from .diary import Diary
from .freedoms import Freedom
from .least_squares import Fit, Objective, steps_of
from .trajectories import Trajectories

__all__ = ["FEWEST", "STEPS", "Course", "longest"]

FEWEST = 64
"""The fewest noises of the first objective, if there are as many."""
STEPS = {"log": 8, "huber": 24, "rms": 24}
"""The most steps with each objective."""
PATIENCE = 6
"""The steps that may follow the best one without being better."""
STARTS = 3
"""The fits with the first objective: from the default sampler, and from the two that are best."""


def longest(objective: Objective) -> int:
    """The most steps of a course."""
    return STARTS * STEPS["log"] + STEPS[objective]


class _Way(NamedTuple):
    """An error on the noises that choose, and the parameters that have it."""

    error: float
    freedom: Freedom
    p: Array


@dataclass
class Course:
    """The stages of a fit, and what their steps are chosen by: the error of the best 99 % of the noises that choose.

    Attributes:
        choosing: the noises that choose.
        dtype: of the network's arithmetic.
        diary: where the steps are written down.
        deadline: when it ends at the latest, on the clock of `time.perf_counter`.
        bar: shows the steps.
        done: the steps before it, for the bar.
        what: is said before each step.
        found: the steps with the least error of each stage.
        ends: the last steps of each stage, where another may go on.
    """

    choosing: Trajectories
    dtype: torch.dtype
    diary: Diary
    deadline: float
    bar: Progress
    done: int = 0
    what: str = ""
    found: list[_Way] = field(default_factory=list)
    ends: list[_Way] = field(default_factory=list)

    def run(self, freedoms: Mapping[str, Freedom], objective: Objective, training: Trajectories) -> Coefficients:
        """The best numbers of the first few freedoms, by name of their start, and of where they lead."""
        some = training.of_rows(0, min(len(training), max(FEWEST, len(training) // 4)))
        for name, freedom in [*freedoms.items()][:STARTS]:
            self.follow(f"log from {name}", "log", freedom, np.zeros(freedom.size), some)
        last = min(self.ends, key=lambda way: way.error)
        self.follow(objective, objective, last.freedom, last.p, training)
        best = min(self.found, key=lambda way: way.error)
        return best.freedom.at(best.p)

    def follow(self, stage: str, objective: Objective, freedom: Freedom, p: Array, noises: Trajectories) -> None:
        """The steps of one stage from p."""

        def steps(fit: Fit) -> Iterator[Fit]:
            return steps_of(fit, freedom, noises, objective, self.dtype)

        least = reached = self._reached(freedom, p)
        since = 0
        if time.perf_counter() < self.deadline:
            for taken, step in enumerate(self.diary.followed(stage, Fit(p), steps), 1):
                self.bar.reach(self.done + taken, f"{self.what}fit to {len(noises)} noises, {objective}")
                reached, since = self._reached(freedom, step.p), since + 1
                if reached.error < least.error:
                    least, since = reached, 0
                waited = since == PATIENCE and objective != "log"  # which lets a few errors grow on its way
                if taken == STEPS[objective] or waited or time.perf_counter() > self.deadline:
                    break
        self.done += STEPS[objective]
        self.found.append(least)
        self.ends.append(reached)

    def _reached(self, freedom: Freedom, p: Array) -> _Way:
        return _Way(estimate(self.choosing.errors(freedom.at(p)), "trimmed"), freedom, p)

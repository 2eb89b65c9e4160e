"""One fit: the noises in three parts, the reference, the start, the course, and what is measured at the end."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from ...generative import CFG, flow
from ...generative.denoiser import network_digest, own_dtype
from ...solvers.common import Array, Progress
from ...verification import Gaussian
from ..bootstrap import estimate, interval, ratio_interval
from ..problems import Problem
from ..reference import Reference, keep, reference, stored
from .coefficients import Coefficients
from .course import Course, longest
from .diary import Diary
from .freedoms import Freedom, Numbers, Times
from .least_squares import Objective
from .parts import dealt_out
from .schedule import Schedule
from .starts import Start, starts_of
from .trajectories import Trajectories
from .tuned import Tuned, report

__all__ = ["FEWEST", "Freed", "Job", "Outcome"]

Freed = str
FEWEST = 8
"""The fewest noises of a part."""
EFFORTS, KNOWN, LOOKED_AT = (200, 1000, 5000), 1e-3, 64
"""Evaluations of the reference, more of them until half of its floors are below this share of the default's error, on
the first noises."""
CURVE = (16, 4)
"""A learning curve has these parts of the noises to fit to, and all of them."""
DEVIATIONS = (0.1, 0.5, 1.0)
"""Of the Gaussian data on which the law of the table is exact."""


@dataclass(frozen=True)
class Outcome:
    """A fit that has ended.

    Attributes:
        problem: the network, with its weights of guidance.
        numbers: those of the table.
        held: the noises that are held out.
        held_out: the errors there, by sampler.
        training: the errors of the table on the noises that it was fitted to.
        facts: how it was made, in JSON values.
        dealt: the labels and the weights of the noises, as `Tuned` has them.
    """

    problem: Problem
    numbers: Coefficients
    held: Trajectories
    held_out: Mapping[str, Array]
    training: Array
    facts: Mapping[str, Any]
    dealt: Mapping[str, tuple[Array, Array]]

    def tuned(self, facts: Mapping[str, Any]) -> Tuned:
        """The table with its report, to which these facts are added."""
        problem, facts = self.problem, {**self.facts, **facts}
        made_for = {"network": network_digest(problem.denoiser), "network_name": problem.name}
        told = report(self.held_out, self.training, facts, self.dealt)
        about = {"hold": "velocity", **made_for, "fokker": version("fokker"), "report": told}
        name = f"tuned to {problem.name} at {self.numbers.nfe}"
        scheme = self.numbers.scheme(self.held.equation, self.held.first, self.held.last, name, about)
        return Tuned(scheme, self.held_out, self.training, facts, self.dealt)


@dataclass(frozen=True)
class Job:
    """What `tune` was asked for; its weights of guidance are given for each fit.

    Attributes:
        problem: the network.
        nfe: the evaluations.
        seed: of the noises.
        free: what moves.
        objective: of the errors.
        count: the number of noises to fit to.
        limit: the most seconds of a course.
        folder: keeps the reference and the steps; None for nothing.
        progress: whether there is a bar.
    """

    problem: Problem
    nfe: int
    seed: int
    free: Freed
    objective: Objective
    count: int
    limit: float
    folder: Path | None
    progress: bool

    def fitted(self, weights: tuple[float, ...], curve: bool = False, what: str = "") -> Outcome:
        """The fit to these weights of guidance, which are dealt out in turn; () for none.

        Args:
            weights: of guidance.
            curve: whether tables are fitted to a part of the noises as well.
            what: is said before each step.
        """
        started = time.perf_counter()
        chosen = max(self.count // 2, FEWEST)
        parts = (0, self.count, self.count + chosen, 2 * self.count + chosen)
        problem = _weighted(self.problem, weights, parts[-1])
        with Progress(0.0, 1.0, self.progress, f"{what}reference") as bar:
            found, starts = self._measured(problem, parts[-1], bar)
            whole_set = Trajectories.of(problem, found, parts[-1], self.seed)
            training, choosing, held = (whole_set.of_rows(a, b) for a, b in pairwise(parts))
            ranked = sorted(starts, key=lambda each: estimate(choosing.errors(each.numbers), "trimmed"))
            freed = {each.name: _freedom(self.free, problem, each, training) for each in (starts[0], *ranked)}
            known = {"default": starts[0], "start": ranked[0]}
            errors = {name: held.errors(each.numbers) for name, each in known.items()}
            name = f"{problem.digest}-nfe{self.nfe}-{self.free}-{self.objective}-seed{self.seed}-samples{self.count}"
            dtype = own_dtype(problem.denoiser.net) or torch.float64
            counts = sorted({max(self.count // part, FEWEST) for part in CURVE if curve} - {self.count})
            bar.end = float(longest(self.objective) * (1 + len(counts)))

            def fit(count: int, before: int) -> tuple[Coefficients, Array, bool]:
                """The numbers for the first noises, their errors on those held out, and whether they are a start's."""
                diary = Diary.at(self.folder, name if count == self.count else f"{name}-of{count}")
                deadline, done = time.perf_counter() + self.limit, longest(self.objective) * before
                course = Course(choosing, dtype, diary, deadline, bar, done, what)
                numbers = course.run(freed, self.objective, training.of_rows(0, count))
                tuned = held.errors(numbers)
                least = min(("start", "default"), key=lambda each: estimate(errors[each], "trimmed"))
                if estimate(tuned, "trimmed") <= estimate(errors[least], "trimmed"):
                    return numbers, tuned, False
                return known[least].numbers, errors[least], True

            numbers, tuned, kept = fit(self.count, 0)
            facts = {
                "nfe": self.nfe,
                "free": self.free,
                "objective": self.objective,
                "seed": self.seed,
                "start": ranked[0].name,
                "kept_start": kept,
                "noises": {"training": self.count, "choosing": chosen, "held_out": len(held)},
                "floor": found.floor,
                "reference": found.methods,
                "seconds": time.perf_counter() - started,
                "gaussian_law": _law(numbers, problem),
                "order": 0,
            }
            if curve:
                tables = [fit(count, i)[:2] for i, count in enumerate(counts, 1)] + [(numbers, tuned)]
                facts["curve"] = [
                    _point(training.of_rows(0, count).errors(table), on_held, errors["default"])
                    for count, (table, on_held) in zip([*counts, self.count], tables, strict=True)
                ]
        classes = self.problem.classes
        dealt = dealt_out(classes, weights, *parts[2:]), dealt_out(classes, weights, 0, self.count)
        by = {name: (values, dealt[1][name]) for name, values in dealt[0].items()}
        return Outcome(problem, numbers, held, errors | {"tuned": tuned}, training.errors(numbers), facts, by)

    def _measured(self, problem: Problem, samples: int, bar: Progress) -> tuple[Reference, list[Start]]:
        """A reference that is good enough beside the default sampler, and the samplers with n evaluations."""
        starts, folder = list(starts_of(problem, self.nfe)), self.folder
        for effort in EFFORTS:
            kept = None if folder is None else stored(problem, samples, self.seed, effort, folder=folder)
            found = kept or reference(problem, samples, self.seed, effort, bar)
            if folder is not None and kept is None:
                keep(found, problem, samples, self.seed, folder=folder)
            some = Trajectories.of(problem, found, samples, self.seed).of_rows(0, min(samples, LOOKED_AT))
            known = float(found.floors.median()) <= KNOWN * estimate(some.errors(starts[0].numbers), "median")
            if known or found.ended != "spent":
                break
        return found, starts


def _point(training: Array, held_out: Array, default: Array) -> dict[str, Any]:
    """That of a learning curve: the errors of the best 99 % with their 95 % intervals."""
    ratio = estimate(held_out, "trimmed") / estimate(default, "trimmed")
    return {
        "noises": len(training),
        "training": [estimate(training, "trimmed"), *interval(training, "trimmed")],
        "held_out": [estimate(held_out, "trimmed"), *interval(held_out, "trimmed")],
        "ratio": [ratio, *ratio_interval(held_out, default, "trimmed")],
    }


def _weighted(problem: Problem, weights: tuple[float, ...], samples: int) -> Problem:
    """The problem with weights of guidance, dealt out in turn after the classes."""
    if not weights:
        return problem
    dealt = torch.tensor(weights, dtype=torch.float64, device="cpu")
    counted = torch.arange(samples, device="cpu")
    guided = CFG(problem.labelled(samples), dealt[(counted // max(1, problem.classes)) % len(weights)])
    return Problem(problem.name, problem.description, guided, problem.shape, samples)


def _freedom(free: Freed, problem: Problem, start: Start, training: Trajectories) -> Freedom:
    """The parameters that move."""
    if free in ("all", "coefficients"):
        return Numbers(start.numbers, training.bounds, times=free == "all")
    equation, times, _ = start.sampler(
        problem.labelled(1), start.sampler.solver.steps(start.numbers.nfe), t0=problem.start, t1=problem.end
    )
    made = Schedule if free == "schedule" else Times
    return made(start.sampler, equation, training.equation, tuple(map(float, times)))


def _law(numbers: Coefficients, problem: Problem) -> dict[str, float]:
    """For N(0, c²) data the standard deviation of what the table makes over the true one, by c."""
    found = {}
    for deviation in DEVIATIONS:
        law = Gaussian(
            torch.zeros(1, dtype=torch.float64, device="cpu"),
            torch.full((1, 1), deviation**2, dtype=torch.float64, device="cpu"),
        )
        equation = flow(law.denoiser(problem.path), "velocity")
        scheme = numbers.scheme(equation, problem.start, problem.end, "law")
        alpha, sigma = problem.path.alpha(problem.end), problem.path.sigma(problem.end)
        noise = problem.path.sigma(problem.start)
        x = scheme.run(equation, torch.full((1, 1), noise, dtype=torch.float64, device="cpu")).x
        found[str(deviation)] = abs(float(x)) / math.hypot(alpha * deviation, sigma)
    return found

"""Fit a table of coefficients to a network.

The noises are dealt into three parts: the fit is made on the first, its course is chosen on the second, and the third
is seen once, at the end. Fits start at the samplers that are best on the second part. They lower the geometric mean of
the errors, on a quarter of the noises. The best of them then lowers the objective, on all. Whatever was best on the
second part is kept, the starts included.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from ...generative import CFG, Denoiser, flow
from ...generative.denoiser import Label, network_digest, own_dtype
from ...generative.sampling import PUBLISHED, Sampler, default_for
from ...solvers import Scheme, unroll
from ...solvers.common import MANY, Array, Progress, choice, flag, real, whole
from ...verification import Gaussian
from ..bootstrap import estimate
from ..problems import Problem, problem_of
from ..reference import Reference, keep, reference, stored
from .coefficients import Coefficients
from .diary import Diary
from .freedoms import Freedom, Numbers, Times
from .least_squares import Fit, Objective, steps_of
from .schedule import Schedule
from .trajectories import Trajectories
from .tuned import Tuned, report

__all__ = ["FREEDOMS", "Freed", "tune"]

Freed = str
FREEDOMS = ("all", "times", "schedule", "coefficients")
NUMBERS, FEWEST, MOST = 16384, 64, 4096
"""Of the noises to fit to: their components in all, and the fewest and the most noises."""
EFFORTS, KNOWN = (200, 1000, 5000), 1e-3
"""Evaluations of the reference, more of them until half of its floors are below this share of the default's error."""
STEPS = {"log": 8, "huber": 24, "rms": 24}
"""The most steps with each objective."""
PATIENCE = 6
"""The steps that may follow the best one without being better."""
STARTS = 3
"""The fits with the first objective: from the default sampler, and from the two that are best."""
DEVIATIONS = (0.1, 0.5, 1.0)
"""Of the Gaussian data on which the law of the table is exact."""


@dataclass(frozen=True)
class Start:
    """A sampler that is known, as numbers, with its name."""

    name: str
    sampler: Sampler
    numbers: Coefficients


def tune(
    denoiser: Denoiser | Problem,
    shape: Sequence[int] | None = None,
    nfe: int = 5,
    label: Label | None = None,
    guidance: float | Sequence[float] | None = None,
    seed: int = 0,
    *,
    free: Freed = "all",
    objective: Objective = "huber",
    samples: int | None = None,
    minutes: float | None = None,
    folder: str | Path | None = None,
    progress: bool = False,
) -> Tuned:
    """Fit a sampler to a network: the table with the least error at `nfe` evaluations.

    The network is called forwards only. The error of a sample is measured beside the end of its flow, at σ/α = 0.0025
    where the network does not determine the flow at the data.

    Args:
        denoiser: the network, or a problem of the benchmark.
        shape: that of one sample, without the batch; a problem has its own.
        nfe: n, the evaluations of the field; guidance takes two evaluations of the network for each.
        label: as for `sample`; without it the classes that the network declares are dealt out in turn.
        guidance: the weight of classifier-free guidance, or several weights, which are dealt out in turn, so that one
            table serves them all.
        seed: of the noises. The same call gives the same table to the last bit, unless `minutes` ends it.
        free: "all", "coefficients", "times" (the coefficients are those of a known sampler at the times), or "schedule"
            (a known sampler on another path, whose times and scale move).
        objective: of the errors e of the noises: "huber", which bounds the weight of noises near a separatrix, "rms" or
            "log" (the geometric mean).
        samples: the number of noises to fit to. Half as many choose the course, and as many again are held out.
        minutes: where the fit ends at the latest. The reference and the report come on top.
        folder: keeps the reference and every step, and the same call goes on from there.
        progress: show a progress bar on stderr.

    Returns:
        The table with its report. On held-out noises it is not worse than the default sampler.

    Raises:
        TypeError: an argument is of another kind.
        ValueError: a number is out of range, or the network refuses the shape, labels or weights.
        ArithmeticError: no reference was found.

    Example:
        >>> tuned = tune(GaussianMixture(w, m, c).denoiser(CondOT()), (2,), nfe=5)
        >>> images = sample(denoiser, (16, 2), 5, sampler=tuned.scheme)
    """
    nfe = whole("nfe", nfe, 1, 100)
    seed, free, progress = whole("seed", seed), choice("free", free, FREEDOMS), flag("progress", progress)
    objective = choice("objective", objective, tuple(STEPS))
    limit = math.inf if minutes is None else 60.0 * real("minutes", minutes, above=0.0)
    started = time.perf_counter()
    made = denoiser if isinstance(denoiser, Problem) else problem_of(denoiser, shape or (), label=label, samples=1)
    size = math.prod(made.shape)
    count = min(max(NUMBERS // size, FEWEST), MOST) if samples is None else whole("samples", samples, 8, MANY)
    chosen = max(count // 2, 8)
    parts = (0, count, count + chosen, 2 * count + chosen)
    problem = _weighted(made, guidance, parts[-1])
    where = None if folder is None else Path(folder)
    with Progress(0.0, 1.0, progress, "reference") as bar:
        found, starts = _measured(problem, nfe, parts[-1], seed, where)
        whole_set = Trajectories.of(problem, found, parts[-1], seed)
        training, choosing, held = (whole_set.of_rows(a, b) for a, b in pairwise(parts))
        ranked = sorted(starts, key=lambda each: estimate(choosing.errors(each.numbers), "trimmed"))
        start, dtype = ranked[0], own_dtype(problem.denoiser.net) or torch.float64
        fit = f"{problem.digest}-nfe{nfe}-{free}-{objective}-seed{seed}-samples{count}"
        course = _Course(choosing, dtype, Diary.at(where, fit), time.perf_counter() + limit, bar)
        freed = [(each.name, _freedom(free, problem, each, training)) for each in (starts[0], *ranked)]
        numbers = course.run(dict(freed), objective, training)
    errors = {"default": held.errors(starts[0].numbers), "start": held.errors(start.numbers)}
    tuned = held.errors(numbers)
    kept = not estimate(tuned, "trimmed") <= min(estimate(each, "trimmed") for each in errors.values())
    if kept:
        least = min(("start", start), ("default", starts[0]), key=lambda each: estimate(errors[each[0]], "trimmed"))
        numbers, tuned = least[1].numbers, errors[least[0]]
    facts = {
        "nfe": nfe,
        "free": free,
        "objective": objective,
        "seed": seed,
        "start": start.name,
        "kept_start": kept,
        "noises": {"training": count, "choosing": chosen, "held_out": len(held)},
        "floor": found.floor,
        "reference": found.methods,
        "seconds": time.perf_counter() - started,
        "gaussian_law": _law(numbers, problem),
        "order": 0,
    }
    fitted = training.errors(numbers)
    held_out = errors | {"tuned": tuned}
    made_for = {"network": network_digest(problem.denoiser), "network_name": problem.name, "fokker": version("fokker")}
    about = {"hold": "velocity", **made_for, "report": report(held_out, fitted, facts)}
    name = f"tuned to {problem.name} at {nfe}"
    scheme = numbers.scheme(held.equation, held.first, held.last, name, about)
    return Tuned(scheme, held_out, fitted, facts)


def _weighted(problem: Problem, guidance: float | Sequence[float] | None, samples: int) -> Problem:
    """The problem with weights of guidance, dealt out in turn after the classes."""
    if guidance is None:
        return problem
    given = [guidance] if isinstance(guidance, int | float) else list(guidance)
    weights = torch.tensor([real("guidance", each) for each in given], dtype=torch.float64, device="cpu")
    counted = torch.arange(samples, device="cpu")
    labelled = problem.labelled(samples)
    guided = CFG(labelled, weights[(counted // max(1, problem.classes)) % len(weights)])
    return Problem(problem.name, problem.description, guided, problem.shape, samples)


def _measured(
    problem: Problem, nfe: int, samples: int, seed: int, folder: Path | None
) -> tuple[Reference, list[Start]]:
    """A reference that is good enough beside the default sampler, and the samplers with n evaluations."""
    starts = list(starts_of(problem, nfe))
    for effort in EFFORTS:
        kept = None if folder is None else stored(problem, samples, seed, effort, folder=folder)
        found = kept or reference(problem, samples, seed, effort)
        if folder is not None and kept is None:
            keep(found, problem, samples, seed, folder=folder)
        some = Trajectories.of(problem, found, samples, seed).of_rows(0, min(samples, FEWEST))
        known = float(found.floors.median()) <= KNOWN * estimate(some.errors(starts[0].numbers), "median")
        if known or found.ended != "spent":
            break
    return found, starts


def starts_of(problem: Problem, nfe: int) -> Iterator[Start]:
    """The default sampler and then the published ones that make n evaluations and draw no noise, as numbers."""
    denoiser, held = problem.labelled(1), flow(problem.labelled(1), "velocity")
    for sampler in (default_for(denoiser, nfe), *PUBLISHED.values()):
        scheme = _unrolled(sampler, denoiser, nfe, problem)
        if scheme is not None and scheme.nfe == nfe:
            yield Start(sampler.name, sampler, Coefficients.of(scheme, held))


def _unrolled(sampler: Sampler, denoiser: Denoiser, nfe: int, problem: Problem) -> Scheme | None:
    """The table of a sampler within n evaluations; None for one that draws noise, or that has none here."""
    if sampler.stochastic:
        return None
    try:
        equation, times, solver = sampler(denoiser, sampler.solver.steps(nfe), t0=problem.start, t1=problem.end)
        return unroll(equation, times, solver)
    except (ValueError, ArithmeticError):  # too few evaluations, or a quantity that does not exist at an end
        return None


def _freedom(free: Freed, problem: Problem, start: Start, training: Trajectories) -> Freedom:
    """The parameters that move."""
    if free in ("all", "coefficients"):
        return Numbers(start.numbers, training.bounds, times=free == "all")
    equation, times, _ = start.sampler(
        problem.labelled(1), start.sampler.solver.steps(start.numbers.nfe), t0=problem.start, t1=problem.end
    )
    made = Schedule if free == "schedule" else Times
    return made(start.sampler, equation, training.equation, tuple(map(float, times)))


class _Way(NamedTuple):
    """An error on the noises that choose, and the parameters that have it."""

    error: float
    freedom: Freedom
    p: Array


@dataclass
class _Course:
    """The fits of one call, and what their steps are chosen by: the error of the best 99 % of the noises that choose.

    Attributes:
        found: the steps with the least error of each stage.
        ends: the last steps of each stage, where another may go on.
    """

    choosing: Trajectories
    dtype: torch.dtype
    diary: Diary
    deadline: float
    bar: Progress
    done: int = 0
    found: list[_Way] = field(default_factory=list)
    ends: list[_Way] = field(default_factory=list)

    def run(self, freedoms: Mapping[str, Freedom], objective: Objective, training: Trajectories) -> Coefficients:
        """The best numbers of the first few freedoms, by name of their start, and of where they lead."""
        some = training.of_rows(0, max(FEWEST, len(training) // 4))
        self.bar.end = STARTS * STEPS["log"] + STEPS[objective]
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
                self.bar.reach(self.done + taken, f"tuning, {objective}")
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

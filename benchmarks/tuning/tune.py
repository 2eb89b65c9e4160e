"""Fit a table of coefficients to a network.

The noises are dealt into three parts: the fit is made on the first, its course is chosen on the second, and the third
is seen once, at the end. Fits start at the samplers that are best on the second part. They lower the geometric mean of
the errors, on a quarter of the noises. The best of them then lowers the objective, on all. Whatever was best on the
second part is kept, the starts included.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from ...generative import Denoiser
from ...generative.denoiser import Label
from ...solvers.common import MANY, choice, flag, real, whole
from ..bootstrap import estimate, ratio_interval
from ..problems import Problem, problem_of
from .job import FEWEST, Freed, Job, Outcome
from .least_squares import Objective
from .tuned import Tuned

__all__ = ["FREEDOMS", "Freed", "tune"]

FREEDOMS = ("all", "times", "schedule", "coefficients")
NUMBERS, LEAST, MOST = 16384, 64, 4096
"""Of the noises to fit to: their components in all, and the least and the largest number of noises."""


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
    each: bool = False,
    curve: bool = False,
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
        minutes: where a fit ends at the latest. The reference and the report come on top.
        each: fit a table to each weight of guidance alone as well, to as many noises, and report what the common one
            loses by it.
        curve: fit tables to 1/16 and 1/4 of the noises as well, and report the errors of all three.
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
    each, curve = flag("each", each), flag("curve", curve)
    objective = choice("objective", objective, get_args(Objective))
    limit = math.inf if minutes is None else 60.0 * real("minutes", minutes, above=0.0)
    made = denoiser if isinstance(denoiser, Problem) else problem_of(denoiser, shape or (), label=label, samples=1)
    given = () if guidance is None else (guidance,) if isinstance(guidance, int | float) else tuple(guidance)
    weights = tuple(real("guidance", weight) for weight in given)
    if each and len(set(weights)) < 2:
        raise ValueError(
            f"each compares the common table with one for each weight, but guidance is {guidance}; give two weights or "
            "more, such as guidance=(1.0, 2.0)."
        )
    usual = min(max(NUMBERS // math.prod(made.shape), LEAST), MOST)
    count = usual if samples is None else whole("samples", samples, FEWEST, MANY)
    where = None if folder is None else Path(folder)
    job = Job(made, nfe, seed, free, objective, count, limit, where, progress)
    common = job.fitted(weights, curve)
    if not each:
        return common.tuned({})
    alone = {weight: job.fitted((weight,), what=f"weight {weight:g}: ") for weight in sorted(set(weights))}
    return common.tuned({"each": [_beside(common, own, weight) for weight, own in alone.items()]})


def _beside(common: Outcome, own: Outcome, weight: float) -> dict[str, Any]:
    """The errors of both tables on the held-out noises of one weight, and their ratio with its 95 % interval."""
    errors, best = own.held.errors(common.numbers), own.held_out["tuned"]
    found = {"weight": weight, "common": estimate(errors, "trimmed"), "own": estimate(best, "trimmed")}
    return {**found, "ratio": [found["common"] / found["own"], *ratio_interval(errors, best, "trimmed")]}

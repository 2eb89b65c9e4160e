"""Fit the noise of a stochastic sampler to a network.

The error of a path means nothing where noise is drawn: the law of the samples counts. On Gaussian data with the mean
and the covariance of the model's samples that law is exact (`Matched`), and the fits take no evaluation of the network.
The model's samples are not Gaussian. They decide which fit is taken, and other samples of the model are seen once, at
the end.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version

import torch
from torch import Tensor

from ...generative import Denoiser
from ...generative.denoiser import Label, network_digest
from ...generative.sampling import Sampler, table_of
from ...solvers import Scheme, SolveError, unroll
from ...solvers.common import MANY, Progress, choice, flag, whole
from ...verification import Gaussian
from ..problems import Problem, problem_of
from ..stochastic import (
    BLOCKS,
    REFERENCE,
    REFERENCE_NFE,
    SAMPLES,
    Job,
    Measured,
    Planned,
    SlicedW2,
    entrant,
    known_law,
    samples_of,
)
from .amounts import FREEDOMS, Amounts
from .descent import SHARES, fits
from .matched import Matched
from .tuned_law import TunedLaw, report

__all__ = ["tune_noise"]

FITTED, HELD = 0, 1
"""The two sets of the model's samples: those to fit to and to choose by, and those that are seen once."""


def tune_noise(
    denoiser: Denoiser | Problem,
    shape: Sequence[int] | None = None,
    nfe: int = 8,
    sampler: str | Sampler = "sde-dpm++2m",
    label: Label | None = None,
    guidance: float | None = None,
    seed: int = 0,
    *,
    free: str = "all",
    samples: int | None = None,
    progress: bool = False,
) -> TunedLaw:
    """Fit the amounts of noise of a stochastic sampler, so that the law of its samples is nearest to the model's.

    The law that is aimed at is that of the converged flow, or that of the data where the denoiser is exact.

    Args:
        denoiser: the network, or a problem of the benchmark.
        shape: that of one sample, without the batch; a problem has its own.
        nfe: the most evaluations of the network for a sample.
        sampler: a stochastic sampler: "ddpm", "ddim(eta=1)", "sde-dpm++2m", another name of `named`, or a `Sampler`.
        label: as for `sample`; without it the classes that the network declares are dealt out in turn.
        guidance: the weight of classifier-free guidance.
        seed: of all noises. The same call gives the same table.
        free: "noise" for the amounts of noise alone, or "all" for the other numbers of the table, too.
        samples: the number of samples of the model in each of two sets, at least 40; by default 1000 of a network and
            4000 of a known law.
        progress: show a progress bar on stderr.

    Returns:
        The table with its report. On held-out samples its sliced W₂ is not larger than that of the sampler.

    Raises:
        TypeError: an argument is of another kind, or the sampler is no table of numbers.
        ValueError: the sampler draws no noise, a number is out of range, or the network refuses the shape or a label.

    Example:
        >>> tuned = tune_noise(GaussianMixture(w, m, c).denoiser(CondOT()), (2,), nfe=8, sampler="ddpm")
        >>> images = sample(denoiser, (16, 2), 8, sampler=tuned.scheme)
    """
    nfe, seed, free = whole("nfe", nfe, 1, 1000), whole("seed", seed, 0, 2**60), choice("free", free, FREEDOMS)
    progress = flag("progress", progress)
    if isinstance(denoiser, Problem):
        problem = denoiser
    else:
        problem = problem_of(denoiser, shape or (), label=label, guidance=guidance, samples=1)
    started, start, law = time.perf_counter(), _start(problem, sampler, nfe), known_law(problem)
    usual = SAMPLES["network" if law is None else "oracle"]
    count = usual if samples is None else whole("samples", samples, 2 * BLOCKS, MANY)
    kinds = (True,) if free == "noise" else (True, False)
    with Progress(0.0, 2.0 + len(kinds) * len(SHARES), progress, "reference") as bar:
        fitted, held = (_model(problem, count, 4 * seed + k) for k in (FITTED, HELD))
        moments = (law.means[0], law.covs[0]) if isinstance(law, Gaussian) else (fitted.mean(0), torch.cov(fitted.T))
        matched = Matched.of(problem.path, *moments)
        distance = SlicedW2(seed)

        def measured(scheme: Scheme, k: int, aim: Tensor) -> Measured:
            return _measured(scheme, problem, nfe, count, 4 * seed + 2 + k, aim, distance)

        def error(scheme: Scheme) -> float:
            """By which a fit is chosen: that of Gaussian data is exact, and no sample says more."""
            exact = isinstance(law, Gaussian)
            return matched.w2(scheme) if exact else measured(scheme, FITTED, fitted).value

        best, least, done = start, error(start), 2.0
        for amounts in (Amounts(start, alone) for alone in kinds):
            for p in fits(amounts, matched):
                bar.reach(done := done + 1.0, "samples")
                scheme = amounts.scheme(p)
                if (value := error(scheme)) < least:
                    best, least = scheme, value
        held_out = {"start": measured(start, HELD, held), "tuned": measured(best, HELD, held)}
    kept = best is start or not held_out["tuned"].value <= held_out["start"].value
    if kept:
        best, held_out["tuned"] = start, held_out["start"]
    gaussian = {"start": matched.w2(start), "tuned": matched.w2(best)}
    floor = distance.floor(fitted, held, seed)
    facts = {
        "nfe": best.nfe, "free": free, "seed": seed, "start": start.name, "kept_start": kept, "samples": count,
        "seconds": time.perf_counter() - started,
    }  # fmt: skip
    about = {
        **start.about, "network": network_digest(problem.denoiser), "network_name": problem.name,
        "fokker": version("fokker"), "report": report(gaussian, held_out, floor, facts),
    }  # fmt: skip
    name = f"{start.name} tuned to {problem.name} at {best.nfe}"
    return TunedLaw(replace(best, name=name, about=about), gaussian, held_out, floor, facts)


def _start(problem: Problem, sampler: str | Sampler, nfe: int) -> Scheme:
    """The table of a stochastic sampler. Raises ValueError for one that draws no noise."""
    found = entrant(sampler)
    if not isinstance(found, Planned):
        raise ValueError(f"{found.name} is no sampler that `sample` takes, so that no table replaces it; give another.")
    if not found.stochastic:
        raise ValueError(f"{found.name} draws no noise; give a stochastic sampler such as 'ddpm', or call tune.")
    equation, times, solver = found.run(problem.labelled(1), nfe)
    own = found.sampler
    held = own.eta > 0.0 or own.solver.semilinear or table_of(own) is not None
    about = {"hold": own.hold if held else "velocity", "eta": own.eta}
    scheme = unroll(equation, times, solver)
    if not scheme.draws:
        raise ValueError(f"{found.name} draws no noise within {nfe} evaluations; allow more.")
    return replace(scheme, name=found.name, about=about)


def _model(problem: Problem, count: int, seed: int) -> Tensor:
    """Samples of the law that is aimed at, (count, d)."""
    law = known_law(problem)
    if law is not None:
        return law.sample(count, seed).flatten(1).double()
    return samples_of(Job(REFERENCE, REFERENCE_NFE * problem.denoiser.cost, count, seed), problem)[0]


def _measured(
    scheme: Scheme, problem: Problem, nfe: int, count: int, seed: int, aim: Tensor, distance: SlicedW2
) -> Measured:
    """Sliced W₂ of what a table makes; infinite if that is not finite."""
    try:
        x, _ = samples_of(Job(entrant(scheme), nfe, count, seed), problem)
    except SolveError:
        return Measured(math.inf)
    return distance.measure(x, aim) if bool(torch.isfinite(x).all()) else Measured(math.inf)

"""Samplers by the error of the law of their samples, at every budget of evaluations.

    data that are Gaussian          W₂ between the exact law of the output (`impulse_response`) and the data: no samples
    a mixture, another known law    sliced W₂ to samples of the law; the components of a mixture in standard errors
    a network                       sliced W₂ and energy distance to samples of the converged flow
    a network of the digits         also the Fréchet distance in the features of `Classifier`

The samples of all samplers start from the same noises. The two sets of reference samples have noises of their own.
Every number is a function of the seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from torch import Tensor

from ...generative.adapters import FunctionSampler
from ...generative.sampling import AnySampler
from ...generative.training import DATASETS, dataset
from ...solvers.common import MANY, Progress, check_instance, check_memory, flag, whole, wholes
from ...verification import Gaussian, GaussianMixture, Oracle
from ..engine import Engine, Shared
from ..image_features import Classifier
from ..problems import Problem
from .components import Components
from .distances import BLOCKS, Distance, Energy, Frechet, Measured, SlicedW2
from .draws import REFERENCE, REFERENCE_NFE, Draw, Job, draw, known_law, reference_gap
from .entrants import Entrant
from .families import entrant
from .results import LawComparison, LawRow

__all__ = ["law_comparison"]

SAMPLES = {"network": 1000, "oracle": 4000}
"""The numbers of samples by default."""


def law_comparison(
    problem: Problem,
    samplers: Sequence[AnySampler | FunctionSampler | Entrant],
    budgets: Sequence[int],
    *,
    samples: int | None = None,
    seed: int = 0,
    engine: Engine | None = None,
    progress: bool = False,
) -> LawComparison:
    """Compare samplers by the error of the law of their samples.

    Args:
        problem: the network, or the exact denoiser of a known law.
        samplers: names such as "ddpm" or "ddim(eta=0.5)", `Sampler`s, solvers, `FunctionSampler`s, None for the
            default, or entrants.
        budgets: the most evaluations a sample; a sampler that cannot make a step with a budget has a row that says so.
        samples: the number of samples of every sampler and of both reference sets, at least 40; by default 1000 of a
            network and 4000 of a known law. A Gaussian law needs none.
        seed: of all noises.
        engine: runs the jobs, a sampler at a budget each; None runs them here.
        progress: show a progress bar on stderr.

    Returns:
        A row for each sampler and budget.

    Raises:
        TypeError: arguments of another kind.
        ValueError: for unknown names, numbers out of range, no sampler and no budget.
    """
    check_instance("problem", problem, Problem, "a Problem, such as problem('digits')")
    check_instance("samplers", samplers, (list, tuple), "a list of samplers")
    entrants = _entrants(samplers)
    budgets, shown = tuple(dict.fromkeys(wholes("budgets", budgets, 1, MANY))), flag("progress", progress)
    if not entrants or not budgets:
        raise ValueError("There is nothing to compare; give at least one sampler and one budget.")
    if engine is not None:
        check_instance("engine", engine, Engine, "an engine, such as local()")
    law, seed = known_law(problem), whole("seed", seed, 0, 2**60)
    usual = min(SAMPLES["network" if law is None else "oracle"], problem.rows or MANY)
    n = usual if samples is None else whole("samples", samples, 2 * BLOCKS, MANY)
    exact = isinstance(law, Gaussian)
    if not exact:
        problem.labelled(n)
        check_memory("samples", n, 4 * n * (math.prod(problem.shape) + n * (law is None)))
    jobs = [Job(each, budget, n, 3 * seed) for each in entrants for budget in budgets]
    sets = [Job(REFERENCE, REFERENCE_NFE, n, 3 * seed + k) for k in (1, 2)] if law is None else []
    with Progress(0.0, float(sum(job.budget for job in jobs + sets)), shown, "samplers") as bar:
        done = _finished(sets + jobs, problem, engine, bar)
    references = _references([done[_key(job)] for job in sets], law, n, seed) if not exact else []
    distances = [] if exact else _distances(problem, law, seed)
    floors = {each.name: each.floor(references[0], references[1], seed) for each in distances}
    rows = tuple(_row(job, done[_key(job)], references, distances, law) for job in jobs)
    gap = reference_gap(problem) if law is None else 0.0
    return LawComparison(problem.name, problem.description, 0 if exact else n, seed, rows, floors, gap)


def _entrants(samplers: Sequence[AnySampler | FunctionSampler | Entrant]) -> list[Entrant]:
    """What takes part, each once. Raises ValueError for two that have one name."""
    found: dict[str, Entrant] = {}
    for each in map(entrant, samplers):
        if repr(found.setdefault(each.name, each)) != repr(each):
            raise ValueError(f"Two samplers are called {each.name!r}; give one of them another name.")
    return list(found.values())


def _finished(
    jobs: list[Job], problem: Problem, engine: Engine | None, bar: Progress
) -> dict[tuple[str, int, int], Draw]:
    """What every job made, by its key."""
    done, reached = {}, 0
    here = ((job, draw(job, problem)) for job in jobs)
    for job, made in here if engine is None else engine.run(partial(_shared, engine.share(problem)), list(jobs)):
        done[_key(job)] = made
        reached += job.budget
        bar.reach(float(reached))
    return done


def _shared(problem: Shared[Problem], job: Job) -> Draw:
    """The work of an engine, to which the problem is known by a handle."""
    return draw(job, problem.get())


def _key(job: Job) -> tuple[str, int, int]:
    return job.entrant.name, job.budget, job.seed


def _references(draws: list[Draw], law: Oracle | None, n: int, seed: int) -> list[Tensor]:
    """Two independent sets of samples of the law that is aimed at."""
    if law is not None:
        return [law.sample(n, 3 * seed + k).flatten(1).double() for k in (1, 2)]
    for made in draws:
        if made.x is None:
            raise ValueError(f"The flow of this network has no reference samples: {made.failure}")
    return [made.x for made in draws if made.x is not None]


def _distances(problem: Problem, law: Oracle | None, seed: int) -> list[Distance]:
    """The distances to measure, the one to rank by first."""
    if law is not None:
        return [SlicedW2(seed)]
    data = problem.name.split("-")[0]
    if data not in DATASETS or (images := dataset(data)).train.shape[1:] != problem.shape:
        return [SlicedW2(seed), Energy()]
    return [SlicedW2(seed), Energy(), Frechet(Classifier(images).features)]


def _row(job: Job, made: Draw, references: list[Tensor], distances: list[Distance], law: Oracle | None) -> LawRow:
    found: dict[str, Measured] = {}
    components = None
    if made.exact is not None:
        found = {"W2": Measured(made.exact.total), "W2 of the steps": Measured(made.exact.steps)}
    elif made.x is not None:
        found = {each.name: each.measure(made.x, references[0]) for each in distances}
        components = Components.of(made.x, law, references[1]) if isinstance(law, GaussianMixture) else None
    return LawRow(
        job.entrant.name, job.entrant.stochastic, job.budget, made.nfe, made.seconds, found, components, made.failure
    )

"""The main job in three lines: which sampler is the most accurate on a network, at each number of evaluations.

    found = bench(denoiser, (3, 32, 32), nfe=[5, 8, 10], minutes=5)
    print(found)
    print(found.recommend(8))
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from ..generative.denoiser import Condition, Denoiser, Label, check_denoiser
from ..solvers.common import check_instance, flag, whole
from .engine import Engine, local
from .entrants import DEFAULT_SAMPLERS, AnyEntrant, distinct
from .problems import Problem, problem_of
from .results import Result
from .work_precision import BUDGETS, compare
from .workload import workload

__all__ = ["MINUTES", "bench", "usual_engine"]

MINUTES = 5.0
"""The time for a network of the user's, if none is given."""


def bench(
    denoiser: Denoiser | Problem,
    shape: Sequence[int] | None = None,
    nfe: Sequence[int] = BUDGETS,
    label: Label | Condition | None = None,
    guidance: float | None = None,
    seed: int = 0,
    *,
    samplers: Sequence[AnyEntrant] = DEFAULT_SAMPLERS,
    minutes: float | None = None,
    samples: int | None = None,
    folder: str | Path | None = None,
    engine: Engine | None = None,
    progress: bool = False,
) -> Result:
    """Compare samplers on a network: the distance of each one's output from the exact end of the flow.

    Args:
        denoiser: the network, or a problem of the benchmark.
        shape: that of one sample, without the batch; a problem has its own.
        nfe: numbers of network evaluations of a sample.
        label: as for `sample`: one for all noises, or one for each.
        guidance: as for `sample`; an evaluation counts for each of its calls.
        seed: of the initial noises.
        samplers: names, solvers, files and functions, as `entrant` takes them; those of `DEFAULT_SAMPLERS` if left out.
        minutes: the time allowed, by default 5 for a network. The number of noises, the grids and the work on the
            reference follow from it and from the time that a call takes.
        samples: the number of initial noises; chosen if None.
        folder: keeps what is finished, and the same call goes on from there; None keeps nothing.
        engine: runs the work, and is not closed; by default local processes, and for a network on a GPU this process.
        progress: say on stderr what will be done, and show a progress bar.

    Returns:
        The result: `best(nfe)`, `recommend(nfe)`, `table()`, `plot(file)`, `save(file)`.

    Raises:
        TypeError: an argument is of another kind.
        ValueError: an unknown name; the network refuses the shape, returns another one or nothing finite; a label or
            condition of another batch; too few minutes or evaluations; a folder that holds something else.

    Example:
        >>> found = bench(load("digits-flow"), (1, 8, 8), nfe=[5, 10], label=3, samples=8)
        >>> found.recommend(10).sample
        'x = sample(denoiser, (n, 1, 8, 8), nfe=10)'
    """
    if isinstance(denoiser, Problem):
        problem = denoiser
    elif shape is None:
        check_instance("denoiser", denoiser, (Denoiser, Problem), "a Denoiser, or a problem such as problem('ring')")
        raise ValueError("shape is missing: give that of one sample, such as (3, 32, 32).")
    else:
        check_denoiser(denoiser)
        conditioned = denoiser if label is None else denoiser.given(label)
        problem = problem_of(conditioned, shape, guidance=guidance)
        minutes = MINUTES if minutes is None else minutes
    seed, progress = whole("seed", seed, -(2**63), 2**63 - 1), flag("progress", progress)
    if folder is not None:
        check_instance("folder", folder, (str, Path), "the name of a folder")
    if engine is not None:
        check_instance("engine", engine, Engine, "an engine, such as local()")
    home = None if folder is None else Path(folder)
    entrants = distinct(samplers)
    with usual_engine([problem]) if engine is None else nullcontext(engine) as running:
        load = workload(problem, entrants, nfe, samples=samples, minutes=minutes, slots=running.slots)
        if progress:
            print(load, file=sys.stderr)
        [found] = compare([load], engine=running, seed=seed, folder=home, progress=progress)
    return found


def usual_engine(problems: Sequence[Problem]) -> Engine:
    """Processes of this machine, or this process alone for networks on a GPU, which it holds already."""
    on_gpu = any(problem.device.type != "cpu" for problem in problems)
    return local(workers=1) if on_gpu else local()

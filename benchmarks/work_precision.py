"""Work against precision: every sampler on every grid at every budget, on every problem.

For a budget of evaluations a sampler takes as many steps as it can pay for. The error of the i-th initial
noise is

    e_i = rms over components of  x_i(sampler) − x_i(reference),        both from the same noise,

pathwise: it sees the discretisation alone, not the network's quality. A row is stored when it is finished,
and rows that are stored already are not computed again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
from rich.console import Console

from ..generative.equations import grids
from ..solvers import SolveError, solve
from .display import Display
from .engine import workers
from .problems import PROBLEMS, problem
from .reference import Reference, prepare, stored
from .report import Result
from .samplers import SAMPLERS, canonical
from .store import Key, Row, Store

__all__ = ["BUDGETS", "GRIDS", "Job", "compare", "measure"]

BUDGETS = (5, 8, 10, 15, 20, 30, 50, 100)
GRIDS = {grid.__name__: grid for grid in (grids.uniform, grids.log_snr, grids.karras, grids.quadratic)}


@dataclass(frozen=True)
class Job:
    """One row to be made."""

    key: Key
    solver: str
    grid: str
    budget: int
    steps: int

    @property
    def cell(self) -> tuple[str, str, int]:
        return self.solver, self.grid, self.budget


def jobs(key: Key, solvers: Sequence[str], budgets: Sequence[int]) -> Iterator[Job]:
    """All that a problem asks for; a solver that cannot make one step with a budget has no row there."""
    for name in solvers:
        for budget in budgets:
            if steps := SAMPLERS[name].solver().steps(budget):
                yield from (Job(key, name, grid, budget, steps) for grid in GRIDS)


_reference = lru_cache(stored)


def measure(job: Job, folder: Path) -> Row:
    """Runs one sampler at one budget. One that fails, or does not apply, becomes a row that says why."""
    key, entry, chosen = job.key, SAMPLERS[job.solver], problem(job.key.problem)
    known = _reference(key, folder)
    if known is None:
        raise RuntimeError(f"The reference of {key.problem!r} has vanished from {folder}; start again.")
    equation = chosen.equation(key.samples, entry.hold, entry.logarithmic)
    times = GRIDS[job.grid](chosen.path, job.steps, t1=chosen.end)
    started = time.process_time()
    nfe, errors, failure = 0, np.empty(0), ""
    try:
        run = solve(equation, chosen.noise(key.samples, key.seed), times, entry.solver())
        nfe = int(run.nfe)
        errors = (run.x - known.solution).flatten(1).square().mean(dim=1).sqrt().numpy()
    except SolveError as error:
        nfe, failure = int(error.solution.nfe), str(error)
    except ValueError as error:
        failure = str(error)
    seconds = time.process_time() - started
    return Row(job.solver, job.grid, job.budget, job.steps, nfe, seconds, failure, errors)


def compare(
    problems: Sequence[str],
    solvers: Sequence[str],
    budgets: Sequence[int] = BUDGETS,
    *,
    folder: Path,
    seed: int = 0,
    samples: int | None = None,
    display: Display | None = None,
) -> list[Result]:
    """Races the solvers on the problems and returns one result a problem; `folder` keeps what is finished.

    samples: initial noises, by default each problem's own number. Raises ValueError for unknown names, budgets
    below a single step and a folder that holds results of another version of a problem, ArithmeticError if no
    reference solution can be found.
    """
    display = display or Display(Console(quiet=True))
    solvers = list(dict.fromkeys(canonical(name) for name in solvers))
    keys = [Key(name, seed, samples or problem(name).samples) for name in dict.fromkeys(problems)]
    wanted = {key: list(jobs(key, solvers, budgets)) for key in keys}
    if not any(wanted.values()):
        raise ValueError(f"None of the solvers makes a step with {max(budgets)} evaluations; allow more.")
    references: dict[Key, Reference] = {}
    pending: dict[Future[Row | None], tuple[Key, float]] = {}
    finished: SimpleQueue[Future[Row | None]] = SimpleQueue()

    with Store(folder / "results.sqlite") as store, display, workers() as pool:

        def submit(key: Key, seconds: float, *work: Any) -> None:
            future = pool.submit(*work)
            pending[future] = key, seconds
            future.add_done_callback(finished.put)

        def begin(key: Key, found: Reference) -> None:
            references[key] = found
            store.begin(key, {"fokker": version("fokker"), **problem(key.problem).configuration()})
            there = {row.cell for row in store.rows(key)}
            todo = [job for job in wanted[key] if job.cell not in there]
            for job in todo:
                submit(key, job.budget * found.seconds, measure, job, folder)
            display.ahead(sum(job.budget for job in todo) * found.seconds)

        for key in sorted(keys, key=lambda key: -list(PROBLEMS).index(key.problem)):
            if found := stored(key, folder):
                begin(key, found)
            else:
                display.preparing(key.problem)
                submit(key, 0.0, prepare, key, folder)

        while pending:
            future = finished.get()
            key, seconds = pending.pop(future)
            row = future.result()
            if row is not None:
                store.add(key, row)
                display.done(seconds)
            elif found := stored(key, folder):
                display.prepared(key.problem)
                begin(key, found)

        rows = {key: {row.cell: row for row in store.rows(key)} for key in keys}
    return [
        Result(
            key,
            problem(key.problem).description,
            [rows[key][job.cell] for job in wanted[key]],
            references[key],
        )
        for key in keys
    ]

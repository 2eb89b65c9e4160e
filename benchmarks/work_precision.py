"""Work against precision: every sampler on every grid at every budget, on every problem.

A sampler takes as many steps as its budget of evaluations allows. The error of the i-th initial noise is

    e_i = rms over components of  x_i(sampler) − x_i(reference),        both from the same noise.

It measures the discretisation alone, not the quality of the network. A row is stored when it is finished, and a
stored row is not computed again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from ..generative.equations import grids
from ..solvers import SolveError, solve
from ..solvers.common import MANY, Progress, check_instance, check_memory, flag, whole, wholes
from .engine import local
from .ledger import Key, Ledger, Row
from .problems import PROBLEMS, problem
from .reference import Reference, prepare, stored
from .results import Result
from .samplers import SAMPLERS, canonical

__all__ = ["BUDGETS", "GRIDS", "Job", "compare", "measure"]

BUDGETS = (5, 8, 10, 15, 20, 30, 50, 100)
GRIDS = {grid.__name__: grid for grid in (grids.uniform, grids.log_snr, grids.karras, grids.quadratic)}


@dataclass(frozen=True)
class Job:
    """A row that is to be measured."""

    key: Key
    solver: str
    grid: str
    budget: int
    steps: int

    @property
    def cell(self) -> tuple[str, str, int]:
        return self.solver, self.grid, self.budget


def jobs(key: Key, solvers: Sequence[str], budgets: Sequence[int]) -> Iterator[Job]:
    """The rows that are wanted of a run, on every grid.

    Args:
        key: the problem and its initial noises.
        solvers: names of samplers.
        budgets: numbers of network evaluations; a solver that cannot make one step with a budget has no row there.
    """
    for name in solvers:
        for budget in budgets:
            if steps := SAMPLERS[name].solver.steps(budget):
                yield from (Job(key, name, grid, budget, steps) for grid in GRIDS)


@lru_cache
def _reference(key: Key, folder: Path) -> Reference:
    found = stored(problem(key.problem), key.samples, key.seed, folder=folder)
    if found is None:
        raise FileNotFoundError(f"The reference of {key.problem!r} has vanished from {folder}; start again.")
    return found


@torch.no_grad()
def measure(job: Job, folder: Path) -> Row:
    """Run one sampler at one budget. The row of a sampler that fails, or does not apply, says why."""
    key, sampler, chosen = job.key, SAMPLERS[job.solver], problem(job.key.problem)
    known = _reference(key, folder)
    equation = sampler.equation(chosen.labelled(key.samples))
    times = GRIDS[job.grid](chosen.path, job.steps, t0=chosen.start, t1=chosen.end)
    started = time.process_time()
    nfe, errors, failure = 0, np.empty(0), ""
    try:
        run = solve(equation, chosen.noise(key.samples, key.seed), times, sampler.solver)
        nfe = int(run.nfe)
        errors = (run.x.cpu() - known.solution).flatten(1).square().mean(dim=1).sqrt().numpy()
    except SolveError as error:
        nfe, failure = int(error.solution.nfe), str(error)
    except ValueError as error:
        failure = str(error)
    seconds = time.process_time() - started
    return Row(job.solver, job.grid, job.budget, job.steps, nfe, seconds, failure, errors, chosen.start, known.floor)


def _work(job: Key | Job, folder: Path) -> Row | None:
    """Measure a row. A key asks for the reference of its problem instead; `folder` keeps that."""
    if isinstance(job, Job):
        return measure(job, folder)
    prepare(problem(job.problem), job.samples, job.seed, folder=folder)
    return None


def _doing(missing: Sequence[Key]) -> str:
    """The work at hand, for the progress bar, while these references are missing."""
    references = " and ".join(key.problem for key in missing)
    return f"samplers, references of {references}" if references else "samplers"


def _listed(name: str, values: Sequence[str]) -> Sequence[str]:
    """Names in a list, at least one. They are looked up one by one."""
    check_instance(name, values, (list, tuple), "a list of names")
    if not values:
        raise ValueError(f"{name} is empty; give at least one name.")
    return values


def compare(
    problems: Sequence[str],
    solvers: Sequence[str],
    budgets: Sequence[int] = BUDGETS,
    *,
    folder: Path,
    seed: int = 0,
    samples: int | None = None,
    progress: bool = False,
) -> list[Result]:
    """Race the solvers on the problems.

    A problem travels as its name (in `Key`), here and between the worker processes: its field does not travel, and
    every process builds it once, by `problem(name)`.

    Args:
        problems: names of problems.
        solvers: names of samplers, their own or published ones.
        budgets: numbers of network evaluations.
        folder: keeps the rows and the references that are finished; the same call goes on from there.
        seed: of the initial noises.
        samples: the number of initial noises; each problem's own number if None.
        progress: show a progress bar on stderr.

    Returns:
        One result a problem, with a row for every solver, grid and budget.

    Raises:
        TypeError: arguments of another kind.
        ValueError: for unknown names, for numbers out of range, for budgets below a single step, and for a folder that
            holds results of another version of a problem.
        ArithmeticError: if a reference solution is not finite on any grid.
    """
    check_instance("folder", folder, Path, "a pathlib.Path")
    budgets, progress = wholes("budgets", budgets, 1, MANY), flag("progress", progress)
    seed = whole("seed", seed, -(2**63), 2**63 - 1)  # what a database holds
    samples = None if samples is None else whole("samples", samples, 1, MANY)
    solvers = list(dict.fromkeys(canonical(name) for name in _listed("solvers", solvers)))
    problems = list(dict.fromkeys(_listed("problems", problems)))
    keys = [Key(name, problem(name).digest, seed, samples or problem(name).samples) for name in problems]
    for key in keys:
        check_memory("samples", key.samples, 16 * key.samples * math.prod(problem(key.problem).shape))
    wanted = {key: list(jobs(key, solvers, budgets)) for key in keys}
    if not any(wanted.values()):
        most = max(budgets, default=0)
        raise ValueError(f"None of the solvers makes a step with {most} evaluations; allow more.")
    order = sorted(keys, key=lambda key: -list(PROBLEMS).index(key.problem))  # the dearest first
    kept = {key: stored(problem(key.problem), key.samples, key.seed, folder=folder) for key in order}
    todo: list[Key | Job] = [key for key in order if kept[key] is None]
    there = [(key, None) for key in order if key not in todo]
    references: dict[Key, Reference] = {}

    with (
        Ledger(folder / "results.sqlite") as ledger,
        Progress(0.0, 0.0, progress, _doing(order)) as bar,
        local() as engine,
    ):
        seconds = 0.0
        for job, row in chain(there, engine.run(partial(_work, folder=folder), todo)):
            if isinstance(job, Job):
                if row is not None:
                    ledger.add(job.key, row)
                seconds += job.budget * references[job.key].seconds
            else:
                references[job] = found = _reference(job, folder)
                ledger.begin(job, problem(job.problem).identity())
                known = {row.cell for row in ledger.rows(job)}
                fresh = [each for each in wanted[job] if each.cell not in known]
                bar.end += sum(each.budget for each in fresh) * found.seconds
                todo += fresh
            bar.reach(seconds, _doing([key for key in order if key not in references]))
        rows = {key: {row.cell: row for row in ledger.rows(key)} for key in keys}
    return [
        Result(
            key,
            problem(key.problem).description,
            [rows[key][job.cell] for job in wanted[key]],
            references[key],
        )
        for key in keys
    ]

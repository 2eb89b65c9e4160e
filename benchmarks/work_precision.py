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
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..solvers import SolveError
from ..solvers.common import Progress
from .engine import Engine, Shared
from .ledger import Key, Ledger, Row
from .problems import Problem
from .reference import Reference, keep, reference, stored
from .results import Result
from .workload import Cell, Workload

__all__ = ["BUDGETS", "compare", "measure"]

BUDGETS = (5, 8, 10, 15, 20, 30, 50, 100)
NUMBERS_AT_ONCE = 2**20
"""The most numbers in a batch of noises."""


@dataclass(frozen=True)
class Wanted:
    """A piece of work: a row, or without a cell the reference of a problem."""

    key: Key
    problem: Shared[Problem]
    effort: int
    cell: Cell | None = None
    known: Shared[Reference] | None = None


@torch.no_grad()
def measure(problem: Problem, cell: Cell, seed: int, known: Reference) -> Row:
    """Run one sampler at one budget. The row of a sampler that fails, or does not apply, says why.

    Args:
        problem: the problem.
        cell: the sampler, its grid and the budget.
        seed: of the initial noises.
        known: the reference solution, one for each noise.
    """
    samples = len(known.solution)
    batch = max(1, NUMBERS_AT_ONCE // math.prod(problem.shape))
    noise, denoiser = problem.noise(samples, seed), problem.labelled(samples)
    started = time.process_time()
    nfe, errors, failure = 0, [], ""
    try:
        for index in torch.split(torch.arange(samples, device="cpu"), batch):
            x, nfe = cell.entrant.run(problem, denoiser.of_rows(index), noise[index], cell.budget, cell.grid)
            apart = (x.double().cpu() - known.solution[index]).flatten(1)
            errors.append(apart.square().mean(dim=1).sqrt())
    except SolveError as error:
        nfe, failure = int(error.solution.nfe), str(error)
    except ValueError as error:
        failure = str(error)
    seconds = time.process_time() - started
    found = np.empty(0) if failure else torch.cat(errors).numpy()
    start, floor = problem.start, known.floor
    return Row(cell.entrant.name, cell.grid, cell.budget, cell.steps, nfe, seconds, failure, found, start, floor)


def _work(job: Wanted) -> Row | Reference:
    """Measure a row, or find the reference of a problem."""
    if job.cell is None or job.known is None:
        return reference(job.problem.get(), job.key.samples, job.key.seed, job.effort)
    return measure(job.problem.get(), job.cell, job.key.seed, job.known.get())


def compare(
    loads: Sequence[Workload], *, engine: Engine, seed: int = 0, folder: Path | None = None, progress: bool = False
) -> list[Result]:
    """Race samplers on problems.

    Args:
        loads: the work on each problem.
        engine: runs it.
        seed: of the initial noises.
        folder: keeps the rows and the references that are finished, and the same call goes on from there; None keeps
            nothing.
        progress: show a progress bar on stderr.

    Returns:
        One result a problem, with all of its rows.

    Raises:
        ValueError: the folder holds another ledger, or a damaged one.
        OSError: the folder cannot be written.
        ChildProcessError: workers were killed again and again.
    """
    race = _Race(loads, engine, seed, folder)
    with ExitStack() as stack:
        race.ledger = stack.enter_context(Ledger(folder / "results.sqlite")) if folder else None
        bar = stack.enter_context(Progress(0.0, sum(load.seconds for load in loads), progress, race.doing()))
        for _ in race.run():
            bar.reach(race.spent, race.doing())
        return race.results()


class _Race:
    """The state of a comparison: what is known, and what is still to be done."""

    def __init__(self, loads: Sequence[Workload], engine: Engine, seed: int, folder: Path | None) -> None:
        self.engine, self.folder, self.ledger = engine, folder, None
        self.loads = {Key(load.problem.name, load.problem.digest, seed, load.samples): load for load in loads}
        self.references: dict[Key, Reference] = {}
        self.rows: dict[Key, dict[tuple[str, str, int], Row]] = {key: {} for key in self.loads}
        self.spent = 0.0  # seconds, as they were foreseen

    ledger: Ledger | None

    def doing(self) -> str:
        """The work at hand, for the progress bar."""
        missing = " and ".join(key.problem for key in self.loads if key not in self.references)
        return f"samplers, references of {missing}" if missing else "samplers"

    def run(self) -> Iterator[None]:
        """Do all of it. Yields after each piece."""
        shared = {key: self.engine.share(load.problem) for key, load in self.loads.items()}
        todo: list[Wanted] = []
        dearest_first = sorted(self.loads, key=lambda key: -self.loads[key].call)
        for key in dearest_first:
            load, found = self.loads[key], self._stored(key)
            if found is None:
                todo.append(Wanted(key, shared[key], load.effort))
            else:
                todo += self._ready(key, shared[key], found)
        for job, made in self.engine.run(_work, todo):
            load = self.loads[job.key]
            if isinstance(made, Reference):
                if self.folder:
                    keep(made, load.problem, load.samples, job.key.seed, folder=self.folder)
                todo += self._ready(job.key, job.problem, made)
            else:
                self.rows[job.key][made.cell] = made
                if self.ledger:
                    self.ledger.add(job.key, made)
                self.spent += made.budget * load.call / load.slots
            yield

    def _stored(self, key: Key) -> Reference | None:
        load = self.loads[key]
        return stored(load.problem, load.samples, key.seed, load.effort, folder=self.folder) if self.folder else None

    def _ready(self, key: Key, problem: Shared[Problem], found: Reference) -> list[Wanted]:
        """The rows of a problem that are not known yet, once its reference is."""
        self.references[key] = found
        load = self.loads[key]
        if self.ledger:
            self.ledger.begin(key, load.problem.identity())
            kept = (row for row in self.ledger.rows(key) if row.floor <= 2.0 * found.floor)
            self.rows[key] = {row.cell: row for row in kept}
        known = self.engine.share(found)
        fresh = [cell for cell in load.cells if cell.name not in self.rows[key]]
        there = load.evaluations - sum(cell.budget for cell in fresh)
        self.spent += load.reference_seconds + there * load.call / load.slots
        return [Wanted(key, problem, load.effort, cell, known) for cell in fresh]

    def results(self) -> list[Result]:
        return [
            Result(
                key,
                load.problem,
                {cell.entrant.name: cell.entrant for cell in load.cells},
                tuple(self.rows[key][cell.name] for cell in load.cells),
                self.references[key],
            )
            for key, load in self.loads.items()
        ]

"""Jobs in other processes: tasks of one job or several, a few for each worker at a time, and again if they are lost.

Short jobs are bundled, so that a task takes about `SECONDS`. A bundle is never more than a worker's fair share of what
is left. A job whose worker was killed is run again by itself: it may be the one that kills.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import cloudpickle

from ...solvers.common import shown
from .base import Engine, Shared
from .task import SECONDS, Answer

__all__ = ["Workers"]

Job = TypeVar("Job")
Result = TypeVar("Result")
Task = Any

AHEAD = 2
"""Tasks for each slot: one that runs, and one that waits, so that no worker waits for the caller."""
GROWTH = 4
"""A bundle is at most so many times as large as the one before."""
RETRIES = 3


class Workers(Engine):
    """An engine whose jobs run in other processes."""

    @abstractmethod
    def _submit(self, work: Shared[Any], jobs: Sequence[Any]) -> Task:
        """Begin a task."""

    @abstractmethod
    def _ended(self, tasks: Sequence[Task]) -> Sequence[Task]:
        """Wait until a task ends: those that have ended."""

    @abstractmethod
    def _answer(self, task: Task) -> bytes | None:
        """The answer of a task that has ended; None if its worker was killed."""

    @abstractmethod
    def _cancel(self, tasks: Sequence[Task]) -> None:
        """End tasks, whose answers nobody wants."""

    def _results(self, work: Callable[[Job], Result], jobs: list[Job]) -> Iterator[tuple[Job, Result]]:
        shared = self.share(work)
        running: dict[Task, list[tuple[Job, int]]] = {}  # each job with the number of workers that it has lost
        lost: list[tuple[Job, int]] = []
        size = 1
        try:
            while jobs or lost or running:
                while (jobs or lost) and len(running) < AHEAD * self.slots:
                    bundle = [lost.pop(0)] if lost else [(job, 0) for job in self._bundle(jobs, size)]
                    running[self._submit(shared, [job for job, _ in bundle])] = bundle
                for task in self._ended(list(running)):
                    bundle, data = running.pop(task), self._answer(task)
                    if data is None:
                        lost += [_once_more(job, losses) for job, losses in bundle]
                        continue
                    answer: Answer = cloudpickle.loads(data)
                    done = len(answer.results)
                    jobs[:0] = [job for job, _ in bundle[done:]]
                    if done:
                        size = max(1, min(GROWTH * size, int(SECONDS * done / max(answer.seconds, 1e-6))))
                    for (job, _), result in zip(bundle, answer.results, strict=False):
                        yield job, result
                    if answer.error is not None:
                        raise answer.error
        finally:
            self._cancel(list(running))

    def _bundle(self, jobs: list[Job], size: int) -> list[Job]:
        """Take the next jobs off the list."""
        fair = -(-len(jobs) // (AHEAD * self.slots))
        bundle = jobs[: min(size, fair)]
        del jobs[: len(bundle)]
        return bundle


def _once_more(job: Job, losses: int) -> tuple[Job, int]:
    if losses >= RETRIES:
        raise ChildProcessError(
            f"The worker of the job {shown(job)} was killed {losses + 1} times, perhaps for want of memory; take "
            "smaller jobs or fewer workers, and start again."
        )
    return job, losses + 1

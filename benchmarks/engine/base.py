"""The interface of all engines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Generic, TypeVar

from ...solvers.common import check_callable, check_instance

__all__ = ["Engine", "Shared"]

Job = TypeVar("Job")
Result = TypeVar("Result")
Value = TypeVar("Value")
Value_co = TypeVar("Value_co", covariant=True)


class Shared(ABC, Generic[Value_co]):
    """A small handle of a value, to be sent with jobs in place of it."""

    @abstractmethod
    def get(self) -> Value_co:
        """The value, which a process loads once."""


class Engine(ABC):
    """Something that runs jobs. As a context it ends with its block, and its workers with it, even amid a job."""

    @property
    @abstractmethod
    def slots(self) -> int:
        """The number of jobs that run at once."""

    @abstractmethod
    def share(self, value: Value) -> Shared[Value]:
        """Keep a value where every worker finds it.

        Args:
            value: what many jobs need, such as a network; it travels to each process once.

        Raises:
            TypeError, AttributeError: the value cannot be pickled.
        """

    def run(self, work: Callable[[Job], Result], jobs: list[Job]) -> Iterator[tuple[Job, Result]]:
        """Run work(job) for every job, and yield each job with its result as soon as that is there.

        The engine makes one run at a time. A run that its caller leaves early stops its workers.

        Args:
            work: a function of a job, a lambda too; it travels to each process once.
            jobs: the jobs. The run empties the list, and also runs the jobs that the caller appends meanwhile. A job
                whose worker is killed is run again, at most three times.

        Yields:
            Each job once, with its result, in the order in which they finish.

        Raises:
            ChildProcessError: a job has lost its worker four times.
            Exception: as `work` raises. The other jobs are cancelled.

        Example:
            >>> with local(1) as engine:
            ...     dict(engine.run(lambda n: n * n, [2, 3]))
            {2: 4, 3: 9}
        """
        check_callable("work", work, "a function of a job")
        check_instance("jobs", jobs, list, "a list, which the run empties")
        return self._results(work, jobs)

    @abstractmethod
    def _results(self, work: Callable[[Job], Result], jobs: list[Job]) -> Iterator[tuple[Job, Result]]: ...

    @abstractmethod
    def close(self) -> None:
        """End the workers at once, and forget shared values."""

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

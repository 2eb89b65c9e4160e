"""The calling process: jobs one after the other, with the caller's own values, networks and threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from .base import Engine, Shared

__all__ = ["Here"]

Job = TypeVar("Job")
Result = TypeVar("Result")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Held(Shared[Value]):
    """A value in the process that shares it."""

    value: Value

    def get(self) -> Value:
        return self.value


class Here(Engine):
    """The calling process."""

    @property
    def slots(self) -> int:
        return 1

    def share(self, value: Value) -> Held[Value]:
        return Held(value)

    def _results(self, work: Callable[[Job], Result], jobs: list[Job]) -> Iterator[tuple[Job, Result]]:
        while jobs:
            job = jobs.pop(0)
            yield job, work(job)

    def close(self) -> None:
        pass

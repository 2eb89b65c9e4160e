"""A task: what a worker does with a bundle of jobs, and what it answers.

The answer is made of bytes, so that an object that does not travel is an error of its job and not the end of the
worker.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import cloudpickle

from .base import Shared

__all__ = ["SECONDS", "Answer", "performed"]

SECONDS = 0.05
"""A task begins no job after this time. What a task costs, about a millisecond, is then a small part."""


@dataclass(frozen=True)
class Answer:
    """What became of a bundle.

    Attributes:
        results: of the first jobs; the jobs behind them were not begun.
        seconds: the time that these took.
        error: what the job after them raised; None if none did.
    """

    results: list[Any]
    seconds: float
    error: BaseException | None = None


def performed(load: Callable[[], tuple[Shared[Any], Sequence[Any]]]) -> bytes:
    """Load the work and its jobs, and run them until the task has lasted long enough: an `Answer`, pickled."""
    results: list[Any] = []
    start = time.perf_counter()
    try:
        work, jobs = load()
        function = work.get()
        for job in jobs:
            results.append(function(job))
            if time.perf_counter() - start > SECONDS:
                break
        data: bytes = cloudpickle.dumps(Answer(results, time.perf_counter() - start))
        return data
    except BaseException as error:
        return _failure(results, time.perf_counter() - start, error)


def _failure(results: list[Any], seconds: float, error: BaseException) -> bytes:
    """The answer after an error. A note says where it was raised, because a traceback does not travel."""
    error.add_note(f"In a worker:\n{''.join(traceback.format_exception(error))}")
    plain = RuntimeError(f"{type(error).__name__}: {error}")
    for answer in (Answer(results, seconds, error), Answer([], seconds, error)):
        with suppress(Exception):
            data: bytes = cloudpickle.dumps(answer)
            cloudpickle.loads(data)  # some errors are written so that they cannot be read
            return data
    plain_data: bytes = cloudpickle.dumps(Answer([], seconds, plain))
    return plain_data

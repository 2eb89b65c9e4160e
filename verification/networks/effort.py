"""The evaluations that a probe takes: they are counted and timed, and told to whoever watches.

The first call prepares the network, so that the time of an evaluation is that of the others, once there are others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

__all__ = ["Effort", "duration"]


class Effort:
    """Counts evaluations of a network, and says how many more fit into the time.

    Args:
        told: called as told(done, total, what), in evaluations, with total 0 while it is unknown; None for nobody.

    Attributes:
        done: the number of evaluations so far.
        total: the number that is expected, or 0.
    """

    def __init__(self, told: Callable[[int, int, str], None] | None = None) -> None:
        self.done = self.total = 0
        self._told, self._what = told, ""
        self._until, self._start = math.inf, perf_counter()
        self._first, self._others = (0, 0.0), (0, 0.0)

    @contextmanager
    def counted(self, evaluations: int) -> Iterator[None]:
        """Counts the call in the block, unless it raises an error."""
        start = perf_counter()
        yield
        known, spent = self._others if self.done else self._first
        entry = known + evaluations, spent + perf_counter() - start
        self._first, self._others = (self._first, entry) if self.done else (entry, self._others)
        self.done += evaluations
        self._tell()

    @property
    def seconds(self) -> float:
        """The time of one evaluation, once there has been one."""
        evaluations, spent = self._others if self._others[0] else self._first
        return max(spent / evaluations, 1e-9)

    @property
    def limited(self) -> bool:
        """Whether the time is limited, so that less is tried than there is to try."""
        return self._until < math.inf

    def limit(self, seconds: float) -> None:
        """Limits the time, from the beginning on."""
        self._until = self._start + seconds

    @property
    def left(self) -> float:
        """The number of evaluations for which there is time."""
        return max(0.0, (self._until - perf_counter()) / self.seconds) if self.limited else math.inf

    def expect(self, ahead: float, what: str) -> None:
        """Tells what is done now, and how many evaluations are ahead."""
        self.total, self._what = self.done + int(ahead), what
        self._tell()

    def _tell(self) -> None:
        if self._told is not None:
            self._told(self.done, max(self.total, self.done) if self.total else 0, self._what)


def duration(seconds: float) -> str:
    """A time in words, as "3 minutes"."""
    if seconds < 90.0:
        return f"{max(1.0, seconds):.0f} s"
    return f"{seconds / 60.0:.0f} minutes" if seconds < 5400.0 else f"{seconds / 3600.0:.1f} hours"

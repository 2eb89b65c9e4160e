"""A training is alone with its files, and is stopped between two steps, never within one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType

from filelock import FileLock, Timeout

__all__ = ["Interruption", "alone"]


@contextmanager
def alone(file: Path, lock: Path) -> Iterator[None]:
    """Hold the lock of a file while the block runs, and remove it then. It ends with the process, however that ends.

    Args:
        file: what is locked, for an error.
        lock: the file of the lock.

    Raises:
        BlockingIOError: another process or thread has it.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(lock)
    try:
        held.acquire(blocking=False)
    except Timeout:
        raise BlockingIOError(f"Another training writes {file}; wait for its end, or write elsewhere.") from None
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)  # whoever waits for it finds that it has no name, and makes a new one
        held.release()


class Interruption:
    """Ctrl-C while the block runs: the first asks for the end, the second is a KeyboardInterrupt at once.

    Outside the main thread, and where somebody ignores Ctrl-C, all stays as it is.

    Attributes:
        asked: whether the end is asked for.
    """

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> Interruption:
        self._before = signal.getsignal(signal.SIGINT)
        self._mine = threading.current_thread() is threading.main_thread() and callable(self._before)
        if self._mine:
            signal.signal(signal.SIGINT, self._ask)
        return self

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._mine:
            signal.signal(signal.SIGINT, self._before)

"""The progress bar of everything that takes long: solves, samples, training, benchmarks and verification."""

from __future__ import annotations

import io
import sys
from types import TracebackType
from typing import Any, cast

__all__ = ["Progress"]


class Progress:
    """A bar on stderr with the name of the work, the share that is done, the time spent and the time left.

    The bar disappears at the end of the block. What is no terminal, or cannot be written to, shows no bar.

    Args:
        start: where the way begins, in the unit of the work: a time, a number of steps, seconds.
        end: where the way ends; equal to `start` while the amount of work is unknown. It may be moved.
        shown: whether there is a bar at all.
        what: what is being done.
    """

    def __init__(self, start: float, end: float, shown: bool, what: str = "solving") -> None:
        self.start, self.end = start, end
        self.bar = None
        if shown:
            from rich import console, progress  # the import takes 40 ms, which a solve without a bar does not pay

            columns = (
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.TaskProgressColumn(),
                progress.TimeElapsedColumn(),
                progress.TextColumn("left"),
                progress.TimeRemainingColumn(),
            )
            stderr = console.Console(file=cast(Any, _Decoration()))
            self.bar = progress.Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal)
            self.task = self.bar.add_task(what, total=abs(end - start) or None)

    def reach(self, position: float, what: str | None = None) -> None:
        """Show that the work is at `position`, and what is being done now."""
        if self.bar is not None:
            done, total = abs(position - self.start), abs(self.end - self.start)
            self.bar.update(self.task, completed=done, total=total or None, description=what)

    def __enter__(self) -> Progress:
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()


class _Decoration(io.TextIOBase):
    """stderr as it is now, for what may be lost: an error in writing there is none."""

    def __init__(self) -> None:
        self._stream = sys.stderr

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except (OSError, ValueError, AttributeError):  # full, closed, without the letter, none at all
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError, AttributeError):
            return

    def isatty(self) -> bool:
        return self._stream is not None and not self._stream.closed and self._stream.isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self._stream, "encoding", None) or "ascii"

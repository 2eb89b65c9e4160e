"""A progress bar over the time of a solve."""

from __future__ import annotations

from types import TracebackType

__all__ = ["Progress"]


class Progress:
    """Shows how far the solve has come between t0 and t1, with the time that is left; nothing if not `shown`."""

    def __init__(self, t0: float, t1: float, shown: bool) -> None:
        self.t0, self.span = t0, t1 - t0
        self.bar = None
        if shown:
            from rich import progress  # 40 ms that only those pay who want to look

            self.bar = progress.Progress()
            self.task = self.bar.add_task("solving", total=1.0)

    def reach(self, t: float) -> None:
        if self.bar is not None:
            self.bar.update(self.task, completed=(t - self.t0) / self.span)

    def __enter__(self) -> Progress:
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

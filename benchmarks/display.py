"""What is seen while a comparison runs: the work done and ahead, and the time left."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

__all__ = ["Display"]


class Display:
    """A progress bar on `console`, while the block lasts. Work is added as soon as its price is known."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("[dim]time left"),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=console, transient=True)
        self._task = self._progress.add_task("samplers", total=None)
        self._names: list[str] = []
        self._ahead = 0.0

    def preparing(self, name: str) -> None:
        """The reference of a problem is being computed."""
        self._names.append(name)
        self._describe()

    def prepared(self, name: str) -> None:
        self._names.remove(name)
        self._describe()

    def ahead(self, seconds: float) -> None:
        """More work is known."""
        self._ahead += seconds
        self._describe()

    def done(self, seconds: float) -> None:
        self._progress.advance(self._task, seconds)

    def _describe(self) -> None:
        references = f", references of {' and '.join(self._names)}" if self._names else ""
        self._progress.update(self._task, description=f"samplers{references}", total=self._ahead or None)

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

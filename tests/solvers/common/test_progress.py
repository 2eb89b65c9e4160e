"""A bar is a decoration: where it cannot be shown, the work goes on."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from fokker.solvers.common import Progress


class Failing(io.StringIO):
    """A terminal that cannot be written to."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error

    def flush(self) -> None:
        raise self.error

    def isatty(self) -> bool:
        return True


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize(
    "stream",
    [
        Failing(BrokenPipeError(32, "Broken pipe")),
        Failing(OSError(28, "No space left on device")),
        Failing(UnicodeEncodeError("ascii", "━", 0, 1, "ordinal not in range(128)")),
        closed(),
        None,
    ],
    ids=lambda stream: type(getattr(stream, "error", stream)).__name__,
)
@pytest.mark.parametrize("columns", ["0", "80"])
def test_a_terminal_that_fails_stops_nothing(stream: Any, columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", columns)
    with Progress(0.0, 10.0, True, "training") as bar:
        for step in range(11):
            bar.reach(step, f"step {step}")


def test_a_bar_says_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(shown, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setenv("COLUMNS", "80")
    with Progress(0.0, 10.0, True, "training") as bar:
        bar.reach(5.0, "half of it")
    assert "half of it" in shown.getvalue()
    assert "50%" in shown.getvalue()

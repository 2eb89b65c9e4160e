"""Where commands write: files, which are tried before the work and written before anything is printed, and stdout."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from ...solvers.common import check_writable

__all__ = ["check_outputs", "duration", "say", "stdout"]

NARROWEST = 40
"""The least width of a table: a terminal may say that it has none."""


def check_outputs(*files: Path | None) -> None:
    """Raise OSError if a file cannot be written, and ValueError if two of them are one; None stands for no file."""
    wanted = [file for file in files if file is not None]
    for file in wanted:
        check_writable(file)
    if len({file.resolve() for file in wanted}) < len(wanted):
        raise ValueError(f"{wanted[0]} cannot hold two results; name another file for one of them.")


def stdout(width: int | None = None) -> Console:
    """The console on stdout, of this width; of that of the terminal if None."""
    console = Console(width=width)
    console.width = max(console.width, NARROWEST)
    return console


def say(text: str) -> None:
    """Tell on stderr what is being done."""
    print(f"fokker: {text}", file=sys.stderr)


def duration(seconds: float) -> str:
    """About how long something takes, in words."""
    if seconds < 1.0:
        return "less than a second"
    return f"about {seconds:.0f} s" if seconds < 90.0 else f"about {seconds / 60.0:.0f} minutes"

"""How a command ends: with a status, with one sentence on stderr, and with streams that nobody may be reading."""

from __future__ import annotations

import os
import sys
import warnings
from contextlib import suppress
from io import TextIOWrapper
from typing import Any, NoReturn, TextIO

import typer

__all__ = ["INTERRUPTED", "exit_with", "fail", "prepare_streams", "silence"]

INTERRUPTED = 130
"""The status after Ctrl-C, which shells give to a command that SIGINT ends."""


def exit_with(passed: bool) -> None:
    """Ends the command with status 1 if something has failed."""
    if not passed:
        raise typer.Exit(1)


def fail(message: str, status: int) -> NoReturn:
    """Ends the command with a sentence on stderr and this status."""
    try:
        sys.stdout.flush()
    except OSError:
        silence(sys.stdout)
    with suppress(OSError):  # nobody may be listening
        print(f"fokker: {message}", file=sys.stderr, flush=True)
    sys.exit(status)


def prepare_streams() -> None:
    """Output is no reason to fail: a letter that a terminal does not have becomes "?", a closed stream is silent.

    A stream that is closed leaves its number to the next file that is opened, which would then be printed into.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    warnings.showwarning = _show_warning


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    with suppress(OSError):
        print(f"fokker: {message}", file=sys.stderr)


def silence(stream: TextIO) -> None:
    """What is left in a stream that nobody reads goes nowhere, also at the end of Python."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

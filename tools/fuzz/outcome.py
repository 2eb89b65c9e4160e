"""How a call ended.

    result    it returned what the arguments ask for
    door      it was refused in one sentence, raised where the package checks
    obscure   an error from the depths: not raised by the package, or of another type
    silent    it returned from arguments that are certainly wrong, or returned nan
    hang      it ran for too long, or out of memory
"""

from __future__ import annotations

import dataclasses
import dis
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import torch
from torch import Tensor

import fokker

from .wrong import NetworkFailed

__all__ = ["OUTCOMES", "Outcome", "of_error", "of_value"]

OUTCOMES = ("result", "door", "obscure", "silent", "hang")
PACKAGE = Path(fokker.__file__).parent.resolve()
LONGEST = 1500  # characters of a sentence, which may list the names to choose from
UNKNOWN = frozenset({"probe_stderr"})
"""Fields of results that are nan where they are unknown, as their documentation says."""


class Outcome(NamedTuple):
    """The class of a call, and the message or the value that shows it."""

    kind: str
    detail: str = ""


def of_error(error: BaseException, nonsense: bool) -> Outcome:
    """The outcome of a call that raised; `nonsense` for arguments of another kind."""
    detail = f"{type(error).__name__}: {error}"
    if isinstance(error, NetworkFailed):
        return Outcome("door", detail)
    if isinstance(error, MemoryError):
        return Outcome("hang", detail)
    clear = isinstance(error, ValueError | TypeError | OSError | ImportError | fokker.SolveError | FloatingPointError)
    if clear and 0 < len(str(error)) <= LONGEST and (_raised_here(error.__traceback__) or isinstance(error, OSError)):
        return Outcome("door", detail)
    if nonsense and isinstance(error, TypeError):
        return Outcome("door", detail)
    return Outcome("obscure", f"{detail[:300]} [{_place(error.__traceback__)}]")


def of_value(value: Any, certain: bool, unwatched: bool = False) -> Outcome:
    """The outcome of a call that returned.

    Args:
        value: what it returned.
        certain: whether its arguments are such that no entry could take them.
        unwatched: whether it may return nan.
    """
    if certain:
        return Outcome("silent", f"returned {type(value).__name__}")
    if not unwatched and any(_has_nan(part) for part in _numbers(value)):
        return Outcome("silent", f"nan in {type(value).__name__}")
    return Outcome("result")


def _last(trace: TracebackType | None) -> TracebackType:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace  # type: ignore[return-value]  # an error that was caught has a trace


def _raised_here(trace: TracebackType | None) -> bool:
    """Whether a `raise` statement of the package made the error."""
    last = _last(trace)
    file = Path(last.tb_frame.f_code.co_filename).resolve()
    if PACKAGE not in file.parents or (PACKAGE / "tools") in file.parents or ".venv" in file.parts:
        return False
    return any(
        instruction.offset == last.tb_lasti and instruction.opname in ("RAISE_VARARGS", "RERAISE")
        for instruction in dis.get_instructions(last.tb_frame.f_code)
    )


def _place(trace: TracebackType | None) -> str:
    """The file and the line where the error left the package."""
    found = ""
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if PACKAGE in file.resolve().parents and "tools" not in file.parts and ".venv" not in file.parts:
            found = f"{file.resolve().relative_to(PACKAGE)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def _numbers(value: Any, depth: int = 4) -> Iterator[Any]:
    """The numbers and tensors inside a value."""
    if isinstance(value, Tensor | float):
        yield value
    elif depth and isinstance(value, list | tuple):
        for part in value:
            yield from _numbers(part, depth - 1)
    elif depth and isinstance(value, Mapping):
        for part in value.values():
            yield from _numbers(part, depth - 1)
    elif depth and dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            if field.name not in UNKNOWN:
                yield from _numbers(getattr(value, field.name, None), depth - 1)


def _has_nan(value: Any) -> bool:
    if isinstance(value, float):
        return math.isnan(value)
    return value.device.type != "meta" and bool(torch.isnan(value).any())

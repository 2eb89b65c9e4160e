"""What is said about a table beside the method: plain JSON values, which survive a file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from ..common import check_instance, shown

__all__ = ["checked_about", "in_short"]

DEEPEST = 32
"""The most mappings and lists within each other: beyond it lies one that holds itself."""
SHORT = 120
"""The most letters that are printed beside a table."""


def checked_about(about: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a mapping in dicts, lists, texts, finite numbers, bools and None.

    Raises:
        TypeError: a value of another kind, or a key that is no text.
        ValueError: a number that is not finite, or what a file cannot hold.
    """
    check_instance("about", about, Mapping, "a mapping of JSON values, such as {'network': '0123456789abcdef'}")
    found: dict[str, Any] = _checked("about", about, DEEPEST)
    return found


def in_short(about: Mapping[str, Any]) -> str:
    """The values in a line, or their keys alone where the values are too long for one."""
    line = ", ".join(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in about.items())
    if len(line) > SHORT:
        line = ", ".join(about)
    return line if len(line) <= SHORT else f"{line[:SHORT]}…"


def _checked(name: str, value: Any, deep: int) -> Any:
    if deep == 0:
        raise ValueError(f"about holds more than {DEEPEST} mappings and lists within each other; flatten it.")
    match value:
        case None | bool():
            return value
        case str():
            if not _encodes(value):
                raise ValueError(f"{name} is {shown(value)}, which no file holds; leave out its half characters.")
            return str(value)
        case int():
            return int(value)
        case float():
            if not math.isfinite(value):
                raise ValueError(f"{name} is {value}, but numbers in JSON are finite; leave it out, or give None.")
            return float(value)
        case Mapping():
            for key in value:
                if not isinstance(key, str):
                    raise TypeError(f"{name} has the key {shown(key)}, but keys in JSON are texts; write str(key).")
                _checked(f"a key of {name}", key, deep)
            return {str(key): _checked(f"{name}[{str(key)!r}]", each, deep - 1) for key, each in value.items()}
        case list() | tuple():
            return [_checked(f"{name}[{i}]", each, deep - 1) for i, each in enumerate(value)]
    raise TypeError(
        f"{name} is of type {type(value).__name__}, but must be JSON: a text, a finite number, a bool, None, or a list "
        "or a mapping of these."
    )


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

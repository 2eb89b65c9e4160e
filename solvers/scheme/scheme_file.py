"""The file of a table: JSON with a digest, which any program can read and whose damage is noticed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from ..common import UNSEALED, check_seal, is_file, reals, sealed, shown, warn_unsealed
from .linear_form import Form
from .table import Draw, Evaluation, evaluation_of, form_of, terms_of

__all__ = ["content_of", "read"]

FORMAT = "fokker-scheme-2"
BEFORE = "fokker-scheme-1"
"""The format that had no digest."""
Made = TypeVar("Made")


def content_of(
    name: str,
    times: Sequence[float],
    states: Sequence[Form],
    evaluations: Sequence[Evaluation],
    draws: Sequence[Draw],
    about: Mapping[str, Any],
) -> bytes:
    """The content of the file of a table with these fields."""
    table = {
        "format": FORMAT,
        "sha256": UNSEALED,
        "name": name,
        "about": about,
        "times": times,
        "states": [terms_of(form) for form in states],
        "evaluations": [asdict(each) | {"argument": terms_of(each.argument)} for each in evaluations],
        "draws": [asdict(draw) for draw in draws],
    }
    return sealed(json.dumps(table, ensure_ascii=False, indent=1).encode())


def read(file: Path, make: Callable[..., Made]) -> Made:
    """What `make` makes of the fields in a file. Warns of one that was written before files had digests.

    Raises:
        FileNotFoundError: there is no file.
        ValueError: it is no file of a table, it is damaged, or `make` refuses what it says.
    """
    if not is_file(file):
        raise FileNotFoundError(f"There is no file {shown(str(file))}; write one with scheme.save(file).")
    content = file.read_bytes()
    try:
        table = json.loads(content)
        stated, digest = table.pop("format"), table.pop("sha256", None)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _foreign(file, error) from None
    if digest is not None or stated == FORMAT:
        check_seal(file, content, digest)
    try:
        if stated not in (BEFORE, FORMAT):
            raise ValueError("another format")
        found = make(
            table["name"],
            reals("times", table["times"]),
            tuple(map(form_of, table["states"])),
            tuple(map(evaluation_of, table["evaluations"])),
            tuple(Draw(**entry) for entry in table["draws"]),
            table.get("about", {}),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise _foreign(file, error) from None
    if stated == BEFORE:
        warn_unsealed(file, "Scheme.load(file).save(file)")
    return found


def _foreign(file: Path, error: Exception) -> ValueError:
    """The error of a file that `save` has not written."""
    return ValueError(f"{file} is no scheme that Fokker wrote ({error}); write one with scheme.save(file).")

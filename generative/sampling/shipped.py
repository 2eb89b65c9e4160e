"""The tables that come with the package, each fitted to a network that comes with it: "digits-flow-5" and the like.

The name is that of the network, and the number of evaluations. A file says what it was measured to do (`about`).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from .replay import of_file
from .sampler import Sampler

__all__ = ["TABLES", "shipped"]

_FOLDER = Path(__file__).parent / "tables"
TABLES = tuple(sorted(file.stem for file in _FOLDER.glob("*.json")))
"""The names of the tables."""


@cache
def shipped(name: str) -> Sampler:
    """The sampler of a table of `TABLES`."""
    return of_file(_FOLDER / f"{name}.json")

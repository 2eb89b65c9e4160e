"""Paths in text: "VP()", "Shifted(VP(), 0.3)", "Table(linear_betas(1000))"; the repr of a path is one, too."""

from __future__ import annotations

import math
from difflib import get_close_matches
from typing import Any

from ...generative import paths
from ...generative.paths import GaussianPath
from ...solvers.common import check_instance
from ..expressions import Reader

__all__ = ["read_path"]

BETAS = ("linear_betas", "scaled_linear_betas", "squared_cosine_betas", "zero_terminal_snr")
WRITE = 'write a path such as "VP()", "Shifted(VP(), 0.3)" or "Table(linear_betas(1000))"'


def read_path(text: str) -> GaussianPath:
    """The path of a text. It may have any path that is imported, and the functions that make tables.

    Raises:
        TypeError: it is no text.
        ValueError: it cannot be read, has an unknown name, or its arguments do not fit.

    """
    check_instance("path", text, str, 'a text such as "VP()"')
    found = Reader(_known, WRITE).read(text)
    if not isinstance(found, GaussianPath):
        raise ValueError(f"{text[:80]!r} is no path; {WRITE}.")
    return found


def _known(name: str) -> Any:
    if name == "inf":
        return math.inf
    registered = GaussianPath.registered()
    if name in BETAS:
        return getattr(paths, name)
    if name in registered:
        return registered[name]
    spelled = {each.lower(): each for each in [*registered, *BETAS]}
    near = " or ".join(spelled[each] for each in get_close_matches(name.lower(), spelled, 2))
    known = ", ".join(sorted(registered))
    raise ValueError(f"There is no path {name!r}{near and f' ({near}?)'}; there are {known}.")

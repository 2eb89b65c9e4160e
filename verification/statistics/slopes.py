"""The order that errors show: slopes of log error against log steps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from torch import Tensor

from ...solvers.common import check_floating, host, reals

__all__ = ["rms", "slope", "local_slopes"]


def rms(x: Tensor) -> float:
    """The root mean square of all entries of a tensor of floats; nan for none."""
    check_floating("x", x)
    return x.square().mean().sqrt().item()


def slope(steps: Sequence[float], errors: Sequence[float]) -> float:
    """The order that all of these errors show: minus the least-squares slope of log error against log steps.

    Raises ValueError unless steps and errors are positive, as many of each, and the steps rise.
    """
    steps, errors = _checked(steps, errors)
    if not min(errors) > 0.0:
        raise ValueError(f"errors are {[*errors]}, but a slope needs positive ones; leave out those that are 0.")
    x, y = (host(values).log() for values in (steps, errors))
    return -(((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()).item()


def local_slopes(steps: Sequence[float], errors: Sequence[float]) -> list[float]:
    """−Δlog e / Δlog n between neighbours; nan where an error is zero.

    Raises ValueError unless steps and errors are finite, as many of each, and the steps rise from above 0.
    """
    steps, errors = _checked(steps, errors)
    e = np.array(errors, dtype=np.float64)
    logs = np.full(len(e), np.nan)
    logs[e > 0.0] = np.log(e[e > 0.0])
    found: list[float] = (-np.diff(logs) / np.diff(np.log(np.array(steps, dtype=np.float64)))).tolist()
    return found


def _checked(steps: Sequence[float], errors: Sequence[float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    steps, errors = reals("steps", steps), reals("errors", errors)
    if len(steps) != len(errors):
        raise ValueError(f"There are {len(steps)} steps and {len(errors)} errors; give as many of each.")
    if any(error < 0.0 for error in errors):
        raise ValueError(f"errors are {[*errors]}, but none may be negative.")
    if any(a >= b for a, b in pairwise((0.0, *steps))):
        raise ValueError(f"steps are {[*steps]}, but must rise from above 0.")
    return steps, errors

"""The order that a ladder of errors shows, with its interval.

With n steps a method of order p has the error e_n = C n^{−p} (1 + O(1/n)), until rounding stops it from falling. From
the errors on a ladder n₁ < n₂ < … this module finds

    the floor           what rounding alone leaves: ε √n times the size of the solution, or more where the errors are
                        seen to stop falling; errors below ten floors are left out (their squares add: 1 % is left)
    the range           the longest one, ending at the finest error that is left, in which the local slopes
                        −Δlog e / Δlog n agree: a limit is seen at its end
    the slope           of log e against log n in the range, by weighted least squares: the deviation of log e from a
                        straight line is floor/e by rounding, and falls like 1/n by what the next order adds
    its interval        Student's, at 95 %, from the residuals, and at least the change of the local slopes from one
                        half of the range to the other; over random paths, from the jackknife over groups of them.

Source: for the jackknife, Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 11.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ...solvers.common import MANY, reals, whole
from ..statistics import local_slopes

__all__ = ["ABOVE", "POINTS", "ROUNDING_AT_MOST", "Fit", "fitted", "floors", "rising"]

Array = NDArray[np.float64]

AGREE = 0.2
"""Local slopes agree if they lie within this of each other; two strong orders lie at least ½ apart."""
ABOVE = 10.0
"""Errors are used down to this many floors."""
ROUNDING_AT_MOST = 2.0**16
"""Errors that stop falling above so many roundings do not stop because of rounding."""
POINTS = 4
"""The fewest errors that show an order: three local slopes."""


def rising(steps: Sequence[int]) -> tuple[int, ...]:
    """The step counts of a ladder. Raises TypeError or ValueError unless they are whole, rise, and are four or more."""
    found = tuple(whole(f"steps[{i}]", n, 1, MANY) for i, n in enumerate(reals("steps", steps)))
    if len(found) < POINTS or any(a >= b for a, b in pairwise(found)):
        raise ValueError(f"A ladder has at least {POINTS} step counts that rise, but got {list(found)}.")
    return found


def floors(
    steps: Sequence[int], errors: Sequence[float], size: float, eps: float, most: float = ROUNDING_AT_MOST
) -> list[float]:
    """The least error that rounding allows at each step count.

    Args:
        steps: the step counts.
        errors: the error at each of them.
        size: the root mean square of the solution.
        eps: the rounding unit of its dtype.
        most: errors that stop falling above so many roundings do not stop because of rounding.
    """
    floor = eps * size * np.sqrt(np.array(steps, dtype=np.float64))
    seen, least = 0.0, math.inf
    for error, rounding in zip(errors, floor.tolist(), strict=True):
        if least * 0.8 < error < most * rounding:
            seen = max(seen, error)
        least = min(least, error)
    return np.maximum(floor, seen).tolist()  # type: ignore[no-any-return]  # numpy's stubs do not know the length


@dataclass(frozen=True)
class Fit:
    """The slope over the entries first … last of a ladder, and its interval (`half_width` on each side)."""

    slope: float
    half_width: float
    first: int
    last: int


def fitted(
    steps: Sequence[int], errors: Sequence[float], floor: Sequence[float], groups: Array | None = None
) -> Fit | None:
    """The slope in the asymptotic range; None if no range has local slopes that agree.

    Args:
        steps: the step counts.
        errors: the error at each of them.
        floor: the rounding at each of them.
        groups: the errors of parts of a random ensemble, (len(steps), parts), for the jackknife. Local slopes may then
            differ by four of their standard errors more.
    """
    usable = [error > ABOVE * least for error, least in zip(errors, floor, strict=True)]
    end = usable.index(False) if False in usable else len(usable)
    slopes = np.array(local_slopes(steps[:end], errors[:end]))
    if len(slopes) < POINTS - 1:
        return None
    allowed = AGREE + (0.0 if groups is None else 4.0 * _uncertain(steps, groups))
    begin = len(slopes) - 1
    while begin > 0 and np.ptp(slopes[begin - 1 :]) <= allowed:
        begin -= 1
    if len(slopes) - begin < POINTS - 1:
        return None
    part = slice(begin, end)
    x, y, held = (np.array(values[part], dtype=np.float64) for values in (steps, errors, floor))
    half = (len(slopes) - begin + 1) // 2
    drift = abs(slopes[begin : begin + half].mean() - slopes[-half:].mean())
    weight = 1.0 / ((held / y) ** 2 + (max(drift, 0.01) * x[0] / x) ** 2)
    value = _weighted(x, y, weight)
    if groups is None:
        half_width = max(_student(len(x) - 2) * math.sqrt(_residual(x, y, value, weight)), drift)
    else:
        half_width = _student(groups.shape[1] - 1) * math.sqrt(_jackknife(x, groups[part], weight))
    return Fit(-value, half_width, begin, end - 1)


def _student(freedom: int) -> float:
    """The 97.5 % quantile of Student's law."""
    return float(special.stdtrit(freedom, 0.975))


def _uncertain(steps: Sequence[int], groups: Array) -> float:
    """The largest standard error of a local slope, by the jackknife."""
    n, even = np.array(steps, dtype=np.float64), np.ones(2)
    return math.sqrt(max(_jackknife(n[i : i + 2], groups[i : i + 2], even) for i in range(len(n) - 1)))


def _centred(n: Array, errors: Array, weight: Array) -> tuple[Array, Array]:
    x, y = np.log(n), np.log(errors)
    return x - np.average(x, weights=weight), y - np.average(y, weights=weight)


def _weighted(n: Array, errors: Array, weight: Array) -> float:
    """The slope of log errors against log n."""
    x, y = _centred(n, errors, weight)
    return float((weight * x * y).sum() / (weight * x**2).sum())


def _residual(n: Array, errors: Array, value: float, weight: Array) -> float:
    """The variance of that slope by the residuals."""
    x, y = _centred(n, errors, weight)
    return float((weight * (y - value * x) ** 2).sum() / (len(x) - 2) / (weight * x**2).sum())


def _jackknife(n: Array, groups: Array, weight: Array) -> float:
    """The variance of the slope of the root mean square over groups, each of which is left out once."""
    count = groups.shape[1]
    squares = groups**2
    left = np.sqrt((squares.sum(1, keepdims=True) - squares) / (count - 1))
    values = np.array([_weighted(n, left[:, k], weight) for k in range(count)])
    return float((count - 1) / count * ((values - values.mean()) ** 2).sum())

"""The coefficients of an exponential Adams method on a whole grid, once and vectorised.

`adams_plan` gives for every step the numbers that `ExponentialAdams` multiplies states and fields with: the ratio
S_t/S_s, the weights of the predictor and the corrector, the standard deviation of the noise and, for a step of the
start-up, the stages of a one-step method.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..common import Array, Mask
from ..equation import Semilinear
from .coordinates import Coordinates, exponent, on_the_way, propagator
from .moments import interpolation_weights
from .stages import PlannedStages, plan_stages
from .tableau import FOURTH, THIRD

__all__ = ["PlannedStep", "adams_plan"]

START_UPS = {4: THIRD, 5: FOURTH}
"""The one-step method by which a method of that order starts: its local error is of that order."""


class PlannedStep(NamedTuple):
    """x_t = ratio x_s + Σ weights N + noise ξ; the newest value of N has the first weight."""

    ratio: float
    noise: float
    predictor: tuple[float, ...]
    corrector: tuple[float, ...] = ()
    start_up: PlannedStages | None = None


def adams_plan(
    equation: Semilinear, times: tuple[float, ...], values: int, corrector: bool
) -> tuple[PlannedStep, ...]:
    """The steps of the method that interpolates `values` values, on `times`.

    Raises ValueError where the scale vanishes at the start of a step.
    """
    at = on_the_way(equation, np.array(times))
    node, n = at.node, len(times) - 1
    ratio, gained, noise = propagator(Coordinates(*(part[:-1] for part in at)), Coordinates(*(part[1:] for part in at)))
    known = _known_values(node, values)[:-1]
    with np.errstate(invalid="ignore"):
        step = np.diff(node)
    regular, order = known >= values, values + corrector
    alone = ~regular & np.isfinite(step) & (known + 2 < order) & (not equation.stochastic)
    corrected = (corrector | ~regular) & np.isfinite(node[1:]) & (np.arange(n) < n - 1)
    usable = np.where(step == np.inf, 1, known) if equation.clock.logarithmic else known
    behind = np.where(np.isfinite(node[:-1]), usable, 0)  # what a corrector may use besides the value ahead
    z = exponent(equation, step)
    predictors = _weights(node, z, gained, usable, np.ones(n, dtype=bool), ahead=0)
    correctors = _weights(node, z, gained, behind, corrected, ahead=1)
    start_ups = [
        plan_stages(equation, times[i : i + 2], START_UPS[order])[0] if single else None
        for i, single in enumerate(alone.tolist())
    ]
    return tuple(map(PlannedStep, ratio.tolist(), noise.tolist(), predictors, correctors, start_ups))


def _known_values(node: Array, most: int) -> Array:
    """How many of the latest values, ending at each node, may be interpolated: an infinite node breaks the row."""
    known, row = [], 0
    for finite in np.isfinite(node):
        row = row + 1 if finite else 0
        known.append(min(max(row, 1), most))
    return np.array(known)


def _weights(
    node: Array, z: Array, gained: Array, counts: Array, wanted: Mask, *, ahead: int
) -> list[tuple[float, ...]]:
    """For each wanted step the weights of its last `counts` values, after those of the `ahead` values before them."""
    weights = [(gain,) * chosen for gain, chosen in zip(gained.tolist(), wanted.tolist(), strict=True)]
    for count in np.unique(counts[wanted]):
        rows = np.flatnonzero(wanted & (counts == count))
        if count + ahead < 2:
            continue
        unit = np.where(np.isfinite(z[rows]), node[rows + 1] - node[rows], 1.0)
        offsets = node[rows[:, None] + ahead - np.arange(count + ahead)] - node[rows, None]
        solved = interpolation_weights(offsets / unit[:, None], z[rows]) * gained[rows, None]
        for row, values in zip(rows.tolist(), solved.tolist(), strict=True):
            weights[row] = tuple(values)
    return weights

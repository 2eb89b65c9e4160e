"""The coefficients of an exponential Adams method on a whole grid, once and vectorised.

`adams_plan` gives for every step the numbers by which `ExponentialAdams` multiplies states and field values: the ratio
S_t/S_s, the weights of the predictor and the corrector, and the standard deviation of the noise. For a step of the
start-up it also gives the stages of a one-step method.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..common import Array, Mask
from ..equation import Semilinear
from .coordinates import Coordinates, exponent, on_the_way, propagator
from .moments import interpolation_weights
from .stages import Stages, plan_stages
from .tableau import FOURTH, THIRD

__all__ = ["PlannedStep", "adams_plan"]

START_UPS = {4: THIRD, 5: FOURTH}
"""By the order of a method, the one-step method that starts it, whose local error is of the same order."""


class PlannedStep(NamedTuple):
    """x_t = ratio x_s + Σ_j w_j N_j + noise ξ; the newest value of N has the first weight.

    Attributes:
        ratio: S_t/S_s.
        noise: the standard deviation of the noise.
        predictor: the weights of the known values.
        corrector: the weights of the value at the predicted point and of the known ones; empty without a correction.
        start_up: the stages of a one-step method, which then replaces this step.
    """

    ratio: float
    noise: float
    predictor: tuple[float, ...]
    corrector: tuple[float, ...] = ()
    start_up: Stages | None = None


def adams_plan(
    equation: Semilinear, times: tuple[float, ...], values: int, corrector: bool, start_up: bool = True
) -> tuple[PlannedStep, ...]:
    """The steps of the exponential Adams method on a grid.

    Args:
        equation: the equation.
        times: the grid.
        values: the number of values that the predictor interpolates.
        corrector: whether steps are corrected.
        start_up: whether a one-step method takes the first steps where the order needs one.

    Raises:
        ValueError: the scale vanishes at the start of a step.
    """
    at = on_the_way(equation, np.array(times))
    node, n = at.node, len(times) - 1
    ratio, gained, noise = propagator(Coordinates(*(part[:-1] for part in at)), Coordinates(*(part[1:] for part in at)))
    known = _known_values(node, values)[:-1]
    with np.errstate(invalid="ignore"):
        step = np.diff(node)
    regular, order = known >= values, values + corrector
    alone = ~regular & np.isfinite(step) & (known + 2 < order) & (start_up and not equation.stochastic)
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
    """The number of latest values, up to each node, that may be interpolated: none from before an infinite node."""
    known, row = [], 0
    for finite in np.isfinite(node):
        row = row + 1 if finite else 0
        known.append(min(max(row, 1), most))
    return np.array(known)


def _weights(
    node: Array, z: Array, gained: Array, counts: Array, wanted: Mask, *, ahead: int
) -> list[tuple[float, ...]]:
    """The weights of each wanted step: of `ahead` values at its end, then of its last `counts` values, newest first."""
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

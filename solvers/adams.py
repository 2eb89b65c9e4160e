"""The coefficients of an exponential Adams method on a whole grid, once and vectorised.

`adams_plan` gives for every step the numbers that `ExponentialAdams` multiplies states and fields with: the ratio
S_t/S_s, the weights of the predictor and the corrector, the standard deviation of the noise and, for a step of the
start-up, the rungs of a ladder.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch

from .equation import Semilinear
from .moments import Array, Mask, interpolation_weights

__all__ = ["LADDERS", "PlannedStep", "adams_plan"]

LADDERS: dict[int, tuple[tuple[float, tuple[int, ...]], ...]] = {
    3: ((1 / 3, (0,)), (2 / 3, (0, 1)), (1.0, (0, 2))),
    4: ((1 / 6, (0,)), (1 / 3, (0, 1)), (1 / 2, (0, 2)), (1.0, (0, 2, 3)), (1.0, (0, 3, 4))),
}
"""One-step methods by their order. Each rung is (θ, which values are interpolated to reach θ); value 0 is at θ = 0,
value j at the j-th rung, and the last rung ends the step. The order comes from the nodes: linear interpolation at 0 and
2/3 of an interval integrates quadratics (Heun's third-order method), quadratic interpolation at 0, 1/2 and 1 cubics
(Simpson)."""


class Rung(NamedTuple):
    time: float
    ratio: float
    weights: tuple[float, ...]


class PlannedStep(NamedTuple):
    """x_t = ratio x_s + Σ weights N + noise ξ; the newest value of N has the first weight."""

    ratio: float
    noise: float
    predictor: tuple[float, ...]
    corrector: tuple[float, ...] = ()
    ladder: tuple[Rung, ...] = ()


class _Coordinates(NamedTuple):
    """S, S r, S² q and the node variable (log|r| or r) at some times."""

    scale: Array
    gain: Array
    power: Array
    node: Array


def _coordinates(equation: Semilinear, times: tuple[float, ...]) -> _Coordinates:
    tensor = torch.tensor(times, dtype=torch.float64)
    scale, gain = equation.scale(tensor), equation.gain(tensor)
    power = torch.zeros_like(tensor) if equation.power is None else equation.power(tensor)
    clock = equation.clock(tensor)
    node = clock.abs().log() if equation.logarithmic else clock
    return _Coordinates(*(value.numpy() for value in (scale, gain, power, node)))


def adams_plan(
    equation: Semilinear, times: tuple[float, ...], values: int, corrector: bool
) -> tuple[PlannedStep, ...]:
    """The steps of the method that interpolates `values` values, on `times`.

    Raises ValueError where the scale vanishes at the start of a step.
    """
    scale, gain, power, node = at = _coordinates(equation, times)
    n = len(times) - 1
    if (scale[:-1] == 0.0).any():
        t = times[int((scale[:-1] == 0.0).argmax())]
        raise ValueError(
            f"The equation's scale S vanishes at t = {t:g}, so that no step can start there; hold another quantity "
            "(x0 or velocity start at alpha = 0), or start later."
        )
    ratio = scale[1:] / scale[:-1]
    gained = gain[1:] - ratio * gain[:-1]
    noise = np.sqrt(np.maximum(power[1:] - ratio**2 * power[:-1], 0.0))
    known = _known_values(node, values)[:-1]
    with np.errstate(invalid="ignore"):
        step = np.diff(node)
    regular, order = known >= values, values + corrector
    ladder = ~regular & np.isfinite(step) & (known + 2 < order) & (not equation.stochastic)
    corrected = (corrector | ~regular) & np.isfinite(node[1:]) & (np.arange(n) < n - 1)
    usable = np.where(step == np.inf, 1, known) if equation.logarithmic else known
    behind = np.where(np.isfinite(node[:-1]), usable, 0)  # what a corrector may use besides the value ahead
    z = step if equation.logarithmic else np.zeros_like(step)
    predictors = _weights(node, z, gained, usable, np.ones(n, dtype=bool), ahead=0)
    correctors = _weights(node, z, gained, behind, corrected, ahead=1)
    ladders = [
        _ladder(equation, times[i : i + 2], at, i, LADDERS[order - 1]) if climbs else ()
        for i, climbs in enumerate(ladder.tolist())
    ]
    return tuple(map(PlannedStep, ratio.tolist(), noise.tolist(), predictors, correctors, ladders))


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


def _ladder(
    equation: Semilinear,
    ends: tuple[float, ...],
    at: _Coordinates,
    i: int,
    ladder: tuple[tuple[float, tuple[int, ...]], ...],
) -> tuple[Rung, ...]:
    if equation.time is None:
        raise ValueError("This order's first step needs the inverse of the clock; give Semilinear(..., time=).")
    step = at.node[i + 1] - at.node[i]
    sign = math.copysign(1.0, at.gain[i])
    nodes = (0.0, *(theta for theta, _ in ladder))
    rungs: list[Rung] = []
    for theta, used in ladder:
        clock = at.node[i] + theta * step
        time = ends[1] if theta == 1.0 else equation.time(sign * math.exp(clock) if equation.logarithmic else clock)
        scale, gain, _, _ = _coordinates(equation, (time,))
        ratio = float(scale[0] / at.scale[i])
        inner = np.array([[nodes[j] / theta for j in used]])
        exponent = np.array([theta * step if equation.logarithmic else 0.0])
        solved = interpolation_weights(inner, exponent)[0] * (float(gain[0]) - ratio * at.gain[i])
        weights = np.zeros(len(rungs) + 1)
        weights[list(used)] = solved
        rungs.append(Rung(time, ratio, tuple(weights.tolist())))
    return tuple(rungs)

"""A semilinear equation at many times at once: S, the gain G = S r, the power P = S² q, and the node variable.

The node is the variable in which N is interpolated, log|r| or r. Over a step from s to t, with N given,

    x_t = ρ x_s + (G_t − ρ G_s) N + √(P_t − ρ² P_s) ξ,        ρ = S_t / S_s.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from ..common import Array
from ..equation import Semilinear

__all__ = ["Coordinates", "coordinates", "exponent", "reached", "time_of"]


class Coordinates(NamedTuple):
    """Each of the shape of the times."""

    scale: Array
    gain: Array
    power: Array
    node: Array


def coordinates(equation: Semilinear, times: Array) -> Coordinates:
    tensor = torch.from_numpy(np.ascontiguousarray(times))
    scale, gain = equation.scale(tensor), equation.gain(tensor)
    power = torch.zeros_like(tensor) if equation.power is None else equation.power(tensor)
    clock = equation.clock(tensor)
    node = clock.abs().log() if equation.logarithmic else clock
    return Coordinates(*(value.numpy() for value in (scale, gain, power, node)))


def reached(start: Coordinates, end: Coordinates) -> tuple[Array, Array, Array]:
    """ρ, G_t − ρ G_s and √(P_t − ρ² P_s)."""
    ratio = end.scale / start.scale
    return ratio, end.gain - ratio * start.gain, np.sqrt(np.maximum(end.power - ratio**2 * start.power, 0.0))


def exponent(equation: Semilinear, step: Array) -> Array:
    """z of the weight e^{−z(1−θ)} of N within a step of that length in the node variable."""
    return step if equation.logarithmic else np.zeros_like(step)


def time_of(equation: Semilinear, node: Array, gain: Array) -> Array:
    """The times at which the node variable has these values; the gain gives the sign of r."""
    if equation.time is None:
        raise ValueError("Stages within a step need the inverse of the clock; give Semilinear(..., time=...).")
    clock = np.copysign(np.exp(node), gain) if equation.logarithmic else node
    times: Array = equation.time(torch.from_numpy(np.ascontiguousarray(clock))).numpy()
    return times

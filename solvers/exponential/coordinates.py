"""A semilinear equation at many times at once: S, the gain G = S r, the power P = S² q, and the node variable.

The node is the variable in which N is interpolated: log|r| or r. Over a step from s to t with a constant N,

    x_t = ρ x_s + (G_t − ρ G_s) N + √(P_t − ρ² P_s) ξ,        ρ = S_t / S_s.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..clock import checked_values
from ..common import Array, array, host
from ..equation import Semilinear

__all__ = ["Coordinates", "coordinates", "exponent", "on_the_way", "propagator", "time_of"]


class Coordinates(NamedTuple):
    """S, G, P and the node variable at several times, each of the times' shape."""

    scale: Array
    gain: Array
    power: Array
    node: Array


def coordinates(equation: Semilinear, times: Array) -> Coordinates:
    """The coordinates of the equation at these times."""
    tensor = host(np.ascontiguousarray(times))
    clock = equation.clock
    functions = {"scale": clock.scale, "gain": clock.gain, "power": clock.power}
    scale, gain, power = (
        checked_values(f"The clock's {name}", function(tensor), tensor) for name, function in functions.items()
    )
    r = gain / scale
    node = r.abs().log() if clock.logarithmic else r
    return Coordinates(*map(array, (scale, gain, power, node)))


def on_the_way(equation: Semilinear, times: Array) -> Coordinates:
    """The coordinates at the times of a solve.

    Raises:
        ValueError: one is not a number, or the scale vanishes before the last of them.
    """
    at = coordinates(equation, times)
    for name, values in zip(("scale", "gain", "power"), at[:3], strict=True):
        if (unknown := np.isnan(values)).any():
            t = times[int(unknown.argmax())]
            raise ValueError(f"The clock's {name} is nan at t = {t:g}; keep the times away, or hold another quantity.")
    if (at.scale[:-1] == 0.0).any():
        raise ValueError(
            f"The equation's scale S vanishes at t = {times[int((at.scale == 0.0).argmax())]:g}, so that no step can "
            "start there; hold another quantity (x0 or velocity start at alpha = 0), or start later."
        )
    return at


def propagator(start: Coordinates, end: Coordinates) -> tuple[Array, Array, Array]:
    """ρ, G_t − ρ G_s and √(P_t − ρ² P_s), from the coordinates at s and at t."""
    ratio = end.scale / start.scale
    return ratio, end.gain - ratio * start.gain, np.sqrt(np.maximum(end.power - ratio**2 * start.power, 0.0))


def exponent(equation: Semilinear, step: Array) -> Array:
    """The z in the weight e^{−z(1−θ)} of N within a step, whose length `step` is in the node variable."""
    return step if equation.clock.logarithmic else np.zeros_like(step)


def time_of(equation: Semilinear, node: Array, gain: Array) -> Array:
    """The times at which the node variable has the values `node`; r has the sign of the gain."""
    r = np.copysign(np.exp(node), gain) if equation.clock.logarithmic else node
    return array(equation.clock.time(host(np.ascontiguousarray(r))))

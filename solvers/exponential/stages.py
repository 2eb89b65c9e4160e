"""Exponential Runge-Kutta methods: the linear part and the clock exactly, N at stages within each step.

    X_i = ρ_i x_s + Σ_j w_ij N(X_j) + Y_i,        x_t = ρ x_s + Σ_i w_i N(X_i) + Y_t,

where the w are the weights of a tableau of stiff order (`tableau`) times the gain, and Y is the noise of the path until
the time of the stage, Y_i = S_i (W_{q_i} − W_{q_s}), which is built up from node to node. The methods have other names
elsewhere:

    order 2, hold x0 or eps       DPM-Solver(++)-2S as refined by RES (2308.02157); SEEDS-2 (2305.14267) with noise
    order 3, hold eps             DPM-Solver-3 (2206.00927)
    EDM_HEUN, hold eps            Heun's method in σ/α, EDM's (2206.00364), with its single stage where σ = 0

If the node variable is infinite at an end of a step, the step has a single stage: it is of order 1, and exact for a
constant N. On stochastic equations the weak order is that of the method, but at most 2.

Sources: Hochbruck and Ostermann (2005), SIAM J. Numer. Anal. 43, 1069; Lu et al., DPM-Solver (2206.00927).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from ..common import Array, array, host, matching, whole
from ..equation import Semilinear
from ..field import Time
from ..loop import Abilities, Adaptive, Grid, Step, Stepper, combined
from ..noise import Noise
from .coordinates import coordinates, exponent, on_the_way, propagator, time_of
from .moments import interpolation_weights
from .tableau import EULER, FOURTH, MIDPOINT, THIRD, ExponentialTableau

__all__ = ["ExponentialRK", "Stages", "run_stages", "plan_stages"]

TABLEAUS = {2: MIDPOINT, 3: THIRD, 4: FOURTH}


class Stages(NamedTuple):
    """The numbers of n steps, arrays whose first axis is n; or those of one step, to be indexed with the rest.

    The rows are the stages after the first one, and then the end of the step. The noise runs through the nodes of the
    tableau in order: Y ← ratio Y + deviation ξ brings it from one node to the next.

    Attributes:
        parts: for each row the last part of its noise, from 0; (rows,), the same in every step.
        times: the times of the rows, (n, rows).
        ratios: ρ of the rows, (n, rows).
        weights: the weights of the values of N in the rows, (n, rows, stages).
        errors: the weights of the values in the error estimate, (n, stages).
        noise: the time, the ratio and the deviation of each part of the path, (n, parts, 3); no part without noise.
    """

    parts: tuple[int, ...]
    times: Any
    ratios: Any
    weights: Any
    errors: Any
    noise: Any

    def steps(self) -> list[Stages]:
        """The n steps, each in Python floats."""
        numbers = (array.tolist() for array in self[1:])
        return [Stages(self.parts, *step) for step in zip(*numbers, strict=True)]

    def per_sample(self, x: Tensor) -> Stages:
        """One step of n = B samples, each number a column of shape (B, 1, …, 1) of x's dtype, times in float64."""
        times, *numbers = (_columns(array, x) for array in self[1:])
        return Stages(self.parts, times, *(matching(number, x) for number in numbers))


def plan_stages(equation: Semilinear, times: tuple[float, ...], tableau: ExponentialTableau) -> list[Stages]:
    """The steps of a method on a grid. A step with an end at an infinite node is one of exponential Euler.

    Args:
        equation: the equation.
        times: the grid.
        tableau: the method.

    Raises:
        ValueError: the scale vanishes at the start of a step, or the clock has no inverse.
    """
    t = np.array(times)
    regular = np.isfinite(on_the_way(equation, t).node)
    regular = regular[:-1] & regular[1:]
    steps: dict[int, Stages] = {}
    for chosen, method in ((regular, tableau), (~regular, EULER)):
        rows = np.flatnonzero(chosen)
        steps |= zip(rows.tolist(), _plan(equation, t[rows], t[rows + 1], method).steps(), strict=True)
    return [steps[i] for i in range(len(t) - 1)]


def _plan(equation: Semilinear, t0: Array, t1: Array, tableau: ExponentialTableau) -> Stages:
    """The numbers of the steps from t0 to t1, each of shape (n,)."""
    start, finish = coordinates(equation, t0), coordinates(equation, t1)
    with np.errstate(invalid="ignore"):
        step = finish.node - start.node
    z = exponent(equation, np.where(np.isfinite(step), step, 0.0))
    at = {0.0: (t0, start), 1.0: (t1, finish)}
    for c in {*tableau.c} - {*at}:
        time = time_of(equation, start.node + c * step, start.gain)
        at[c] = time, coordinates(equation, time)
    way = sorted({*tableau.c, 1.0})
    between = pairwise(way) if equation.stochastic else ()
    noise = [[at[c][0], *propagator(at[b][1], at[c][1])[::2]] for b, c in between]

    rows = [*tableau.c[1:], 1.0]
    ratios, gains, _ = np.array([propagator(start, at[c][1]) for c in rows]).transpose(1, 2, 0)
    weights = tableau.weights(z)
    weights = weights / weights.sum(-1, keepdims=True)
    end, embedded = (gains[:, -1:] * weights[:, row] for row in (-2, -1))
    return Stages(
        parts=tuple(way.index(c) - 1 for c in rows),
        times=np.array([at[c][0] for c in rows]).T,
        ratios=ratios,
        weights=gains[..., None] * weights[:, :-1],
        errors=end - embedded,
        noise=np.array(noise).reshape(len(noise), 3, len(t0)).transpose(2, 0, 1),
    )


def run_stages(
    planned: Stages, equation: Semilinear, t0: Any, x: Tensor, first: Tensor, noise: Noise | None
) -> tuple[Tensor, list[Tensor]]:
    """Take one step.

    Args:
        planned: the numbers of the step: floats, or columns of one a sample.
        equation: the equation.
        t0: the time at the start: a float, or one a sample without noise.
        x: the state there, (B, ...).
        first: N there, (B, ...).
        noise: what drives the equation; None if nothing does.

    Returns:
        The state at the end, and the values of N at the stages, from the first one.
    """
    values, reached = [first], x
    path = _path(planned, equation, t0, x, noise) if noise is not None else []
    for i, (ratio, weights, part) in enumerate(zip(planned.ratios, planned.weights, planned.parts, strict=True)):
        if i:
            values.append(equation.field(planned.times[i - 1], reached))
        kept = ratio * x
        reached = combined(kept + path[part] if path and part >= 0 else kept, weights, values)
    return reached, values


def _path(planned: Stages, equation: Semilinear, t0: float, x: Tensor, noise: Noise) -> list[Tensor]:
    """Y at each node of the step after the first."""
    path: list[Tensor] = []
    for time, ratio, deviation in planned.noise:
        kick = deviation * noise.normal(t0, time, equation.variance, x)
        path.append(ratio * path[-1] + kick if path else kick)
        t0 = time
    return path


class ExponentialRK(Stepper[Semilinear]):
    """The exponential Runge-Kutta method of stiff order 2, 3 or 4, with an embedded error estimate, or of a tableau.

    The orders take 2, 3 and 5 evaluations a step. On stochastic equations the weak order is 2. A step with an infinite
    log|r| at one end takes a single evaluation.

    Args:
        order: 2, 3 or 4, or a tableau.

    Raises:
        TypeError: the order is no number and no tableau.
        ValueError: another order.
    """

    def __init__(self, order: int | ExponentialTableau) -> None:
        if not isinstance(order, ExponentialTableau):
            order = whole("order", order)
            if order not in TABLEAUS:
                one = "order 1 is ExponentialAdams(1)"
                raise ValueError(f"ExponentialRK has orders 2, 3 and 4, but got {order}; {one}.")
        self.tableau = order if isinstance(order, ExponentialTableau) else TABLEAUS[order]
        self.evaluations_per_step = self.tableau.stages
        self.abilities = Abilities(
            order=self.tableau.order,
            strong_order=1.0,
            weak_order=2.0,
            semilinear=True,
            noises=frozenset({"additive"}),
            embedded=True,
            dense=True,
            one_step=True,
            timewise=True,
        )

    def __repr__(self) -> str:
        own = self.tableau == TABLEAUS.get(self.order)
        return f"ExponentialRK({self.order if own else self.tableau.name})"

    def init(self, equation: Semilinear, x: Tensor, times: Grid) -> tuple[list[Stages], int]:
        """The steps of the grid, and the number of the next one."""
        return plan_stages(equation, times.times, self.tableau), 0

    def init_adaptive(self, equation: Semilinear, x: Tensor, times: Adaptive) -> None:
        """Raises ValueError for an interval with an end at an infinite node."""
        if not np.isfinite(on_the_way(equation, np.array([times.t0, times.t1])).node).all():
            raise ValueError(
                f"Adaptive steps of {self!r} need a finite log|r| (or r) at t = {times.t0:g} and {times.t1:g}; hold "
                "the velocity, or keep away from the end, or give a grid."
            )

    def step(
        self,
        equation: Semilinear,
        t0: Any,
        t1: Any,
        x: Tensor,
        state: tuple[list[Stages], int] | None,
        noise: Noise | None,
    ) -> Step:
        if state is not None:
            steps, i = state
            x1, _ = run_stages(steps[i], equation, t0, x, equation.field(t0, x), noise)
            return Step(x1, (steps, i + 1))
        plan = _plan(equation, _array(t0), _array(t1), self.tableau)
        planned = plan.per_sample(x) if isinstance(t0, Tensor) else plan.steps()[0]
        x1, values = run_stages(planned, equation, t0, x, equation.field(t0, x), noise)
        dense = _Between(self.tableau, equation, t0, t1, x, tuple(values))
        return Step(x1, None, combined(0.0 * x, planned.errors, values), dense)


@dataclass(slots=True)  # frozen it would take three times as long to make
class _Between:
    """The state within a step from t0 to t1, of the values of N at its stages."""

    tableau: ExponentialTableau
    equation: Semilinear
    t0: Any
    t1: Any
    x: Tensor
    values: tuple[Tensor, ...]

    def __call__(self, t: Time) -> Tensor:
        ratio, weights = self._weights(*map(_array, (self.t0, self.t1, t)))
        inside = (self.values[stage] for stage in self.tableau.dense)
        if isinstance(t, Tensor):
            return combined(
                matching(_columns(ratio, self.x), self.x) * self.x, matching(_columns(weights, self.x), self.x), inside
            )
        return combined(ratio.item() * self.x, weights[0].tolist(), inside)

    def _weights(self, t0: Array, t1: Array, t: Array) -> tuple[Array, Array]:
        """ρ at t, (n,), and the weights there of the stages at which N is interpolated, (n, stages)."""
        start, there, finish = (coordinates(self.equation, time) for time in (t0, t, t1))
        way = there.node - start.node
        ratio, gained, _ = propagator(start, there)
        nodes = np.array([self.tableau.c[stage] for stage in self.tableau.dense])
        nodes = nodes * ((finish.node - start.node) / way)[:, None]
        return ratio, interpolation_weights(nodes, exponent(self.equation, way)) * gained[:, None]


def _array(t: Time) -> Array:
    """A time, or one a sample, as an array (1,) or (B,)."""
    return array(t.flatten()) if isinstance(t, Tensor) else np.array([t])


def _columns(values: Array, x: Tensor) -> Tensor:
    """Numbers of B samples, (B, ...), as columns beside x: (..., B, 1, …, 1), whose first axes are to be indexed."""
    found = host(values).movedim(0, -1)
    return found[(..., *(None,) * (x.ndim - 1))]

"""Exponential Runge-Kutta methods: the linear part and the clock exactly, N at stages within each step.

    X_i = ρ_i x_s + Σ_j w_ij N(X_j) + Y_i,        x_t = ρ x_s + Σ_i w_i N(X_i) + Y_t,

with the weights of a tableau of stiff order (`exponential_tableau`) times the gain, and Y the noise of the path until
the time of the stage, Y_i = S_i (W_{q_i} − W_{q_s}), built up from stage to stage. What it is called elsewhere:

    order 2, hold x0 or eps       DPM-Solver(++)-2S as refined by RES (2308.02157); SEEDS-2 (2305.14267) with noise
    order 3, hold eps             DPM-Solver-3 (2206.00927)
    EDM_HEUN, hold eps            Heun's method in σ/α, EDM's (2206.00364), with its single stage where σ = 0

A step at one of whose ends the node variable is infinite has one stage alone: it is of order 1, exact for a constant
N. On stochastic equations the weak order is that of the method, but at most 2.

Sources: Hochbruck and Ostermann (2005), SIAM J. Numer. Anal. 43, 1069; Lu et al., DPM-Solver (2206.00927).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from ..common import Array
from ..equation import Semilinear
from ..field import Time
from ..loop import Adaptive, Grid, Step, Stepper, columns, combined
from ..noise import Noise
from .coordinates import coordinates, exponent, on_the_way, propagator, time_of
from .moments import interpolation_weights
from .tableau import EULER, FOURTH, MIDPOINT, THIRD, ExponentialTableau

__all__ = ["ExponentialRK", "PlannedStages", "run_stages", "plan_stages"]

TABLEAUS = {2: MIDPOINT, 3: THIRD, 4: FOURTH}


class Stage(NamedTuple):
    """Where N is evaluated, how the state there is made of x and the earlier values, and which Y it has."""

    time: Any
    ratio: Any
    weights: tuple[Any, ...]
    noise: int


class Leg(NamedTuple):
    """The noise from one stage's time to the next: Y = ratio Y + deviation ξ."""

    time: Any
    ratio: Any
    deviation: Any


class PlannedStages(NamedTuple):
    """A step as numbers; `end` is the stage at which N is not evaluated, `error` the weights of the error."""

    stages: tuple[Stage, ...]
    end: Stage
    error: tuple[Any, ...]
    legs: tuple[Leg, ...]


def plan_stages(
    equation: Semilinear, times: tuple[float, ...], tableau: ExponentialTableau
) -> tuple[PlannedStages, ...]:
    """The steps of a method on a grid, those with an end at an infinite node by exponential Euler.

    Raises ValueError where the scale vanishes at the start of a step, and for an equation without `time`.
    """
    t = np.array(times)
    regular = np.isfinite(on_the_way(equation, t).node)
    regular = regular[:-1] & regular[1:]
    planned: list[PlannedStages | None] = [None] * (len(t) - 1)
    for chosen, method in ((regular, tableau), (~regular, EULER)):
        rows = np.flatnonzero(chosen)
        plan = _plan(equation, t[rows], t[rows + 1], method)
        for k, row in enumerate(rows.tolist()):

            def number(values: Array, k: int = k) -> float:
                return float(values[k])

            planned[row] = _each(plan, number, number)
    return tuple(step for step in planned if step is not None)


def _plan(equation: Semilinear, t0: Array, t1: Array, tableau: ExponentialTableau) -> PlannedStages:
    """The steps from t0 to t1, every number an array of shape (n,)."""
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
    legs = tuple(Leg(at[c][0], *propagator(at[b][1], at[c][1])[::2]) for b, c in between)

    weights = tableau.weights(z)
    weights = weights / weights.sum(-1, keepdims=True)

    def stage(c: float, row: int, count: int) -> Stage:
        ratio, gained, _ = propagator(start, at[c][1])
        return Stage(at[c][0], ratio, tuple(gained * weights[:, row, :count].T), way.index(c) - 1)

    inner = tuple(stage(c, i - 1, i) for i, c in enumerate(tableau.c) if i)
    end, embedded = (stage(1.0, row, tableau.stages) for row in (-2, -1))
    error = tuple(b - low for b, low in zip(end.weights, embedded.weights, strict=True))
    return PlannedStages(inner, end, error, legs)


def _each(plan: PlannedStages, number: Callable[[Array], Any], time: Callable[[Array], Any]) -> PlannedStages:
    """The plan with every array of numbers and every array of times replaced."""

    def of(stage: Stage) -> Stage:
        return Stage(time(stage.time), number(stage.ratio), tuple(map(number, stage.weights)), stage.noise)

    legs = tuple(Leg(time(leg.time), number(leg.ratio), number(leg.deviation)) for leg in plan.legs)
    return PlannedStages(tuple(map(of, plan.stages)), of(plan.end), tuple(map(number, plan.error)), legs)


def run_stages(
    planned: PlannedStages, equation: Semilinear, t0: Any, x: Tensor, first: Tensor, noise: Noise | None
) -> tuple[Tensor, list[Tensor]]:
    """The state at the end of a step, and the values of N at its stages, from the first one."""
    values, path = [first], _path(planned.legs, equation, t0, x, noise) if noise is not None else []

    def reach(stage: Stage) -> Tensor:
        kept: Tensor = stage.ratio * x
        return combined(kept + path[stage.noise] if path and stage.noise >= 0 else kept, stage.weights, values)

    for stage in planned.stages:
        values.append(equation.field(stage.time, reach(stage)))  # noqa: PERF401  # `reach` reads the list as it grows
    return reach(planned.end), values


def _path(legs: tuple[Leg, ...], equation: Semilinear, t0: Any, x: Tensor, noise: Noise) -> list[Tensor]:
    """Y at the end of each leg."""
    path: list[Tensor] = []
    for leg in legs:
        kick = leg.deviation * noise.normal(t0, leg.time, equation.variance, x)
        path.append(leg.ratio * path[-1] + kick if path else kick)
        t0 = leg.time
    return path


class ExponentialRK(Stepper):
    """The exponential Runge-Kutta method of stiff order 2, 3 or 4, with an embedded error estimate, or of a tableau.

    2, 3 and 5 evaluations a step. On stochastic equations of weak order 2. Raises ValueError for another order.
    """

    semilinear = True
    noises = frozenset({"additive"})
    strong_order = 1.0
    weak_order = 2.0
    embedded = True
    dense = True
    one_step = True
    timewise = True

    def __init__(self, order: int | ExponentialTableau) -> None:
        if isinstance(order, int) and order not in TABLEAUS:
            raise ValueError(f"ExponentialRK has orders 2, 3 and 4, but got {order}; order 1 is ExponentialAdams(1).")
        self.tableau = TABLEAUS[order] if isinstance(order, int) else order
        self.order = self.tableau.order

    def __repr__(self) -> str:
        own = self.tableau is TABLEAUS[self.order]
        return f"ExponentialRK({self.order if own else self.tableau.name})"

    def evaluations(self, n: int) -> int:
        """Exact for grids without an infinite log|r|, at which a step takes a single evaluation."""
        return self.tableau.stages * n

    def init(  # type: ignore[override]  # as `solve` checks
        self, equation: Semilinear, x: Tensor, times: Grid | Adaptive
    ) -> tuple[tuple[PlannedStages, ...], int] | None:
        if isinstance(times, Grid):
            return plan_stages(equation, times.times, self.tableau), 0
        if not np.isfinite(on_the_way(equation, np.array([times.t0, times.t1])).node).all():
            raise ValueError(
                f"Adaptive steps of {self!r} need a finite log|r| (or r) at t = {times.t0:g} and {times.t1:g}; hold "
                "the velocity, or keep away from the end, or give a grid."
            )
        return None

    def step(  # type: ignore[override]  # as `solve` checks
        self,
        equation: Semilinear,
        t0: Any,
        t1: Any,
        x: Tensor,
        state: tuple[tuple[PlannedStages, ...], int] | None,
        noise: Noise | None,
    ) -> Step:
        if state is not None:
            plan, i = state
            x1, _ = run_stages(plan[i], equation, t0, x, equation.field(t0, x), noise)
            return Step(x1, (plan, i + 1))
        number, time = _readers(t0, x)
        planned = _each(_plan(equation, _array(t0), _array(t1), self.tableau), number, time)
        x1, values = run_stages(planned, equation, t0, x, equation.field(t0, x), noise)

        def at(t: Time) -> Tensor:
            nodes, ratio, weights = self._between(equation, *map(_array, (t0, t1, t)))
            return combined(number(ratio) * x, map(number, weights.T), (values[stage] for stage in nodes))

        return Step(x1, None, combined(0.0 * x, planned.error, values), at)

    def _between(self, equation: Semilinear, t0: Array, t1: Array, t: Array) -> tuple[tuple[int, ...], Array, Array]:
        """The state at t: the stages at which N is interpolated, ρ, and their weights (n, stages)."""
        start, there, finish = (coordinates(equation, time) for time in (t0, t, t1))
        way = there.node - start.node
        ratio, gained, _ = propagator(start, there)
        nodes = np.array([self.tableau.c[stage] for stage in self.tableau.dense])
        nodes = nodes * ((finish.node - start.node) / way)[:, None]
        return self.tableau.dense, ratio, interpolation_weights(nodes, exponent(equation, way)) * gained[:, None]


def _array(t: Time) -> Array:
    return t.flatten().numpy() if isinstance(t, Tensor) else np.array([t])


def _readers(t: Time, x: Tensor) -> tuple[Callable[[Array], Any], Callable[[Array], Any]]:
    """What makes of an array a number and a time: floats, or columns of one a sample."""
    if isinstance(t, Tensor):
        return lambda values: columns(values, x).to(x), lambda values: columns(values, x)
    return lambda values: float(values[0]), lambda values: float(values[0])

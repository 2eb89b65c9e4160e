"""Restarts: back to noise and down again, several times, within a solve of the probability flow.

When the solve reaches t_b, it is `repeats` times brought back to the noisier time t_a,

    x_a = (α_a/α_b) x_b + √(σ_a² − (α_a/α_b)² σ_b²) ξ,

and solved along a grid from t_a to t_b. Then the solve goes on. The noise contracts errors made before it, and the
marginals of the path are kept if the solver keeps them.

Source: Xu et al., Restart Sampling for Improving Generative Processes (2306.14878), section 3.1 and algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from torch import Tensor

from ..common import MANY, host, whole
from ..equation import Semilinear
from ..loop import Abilities, Grid, Step, Stepper
from ..noise import Noise
from .renoising import Transition, check_way, transitions

__all__ = ["Restart"]


class _State(NamedTuple):
    """The solver's state, t_b on the grid, the way back to t_a, and the solver's states at t_a and at t_b to go on."""

    inner: Any
    end: float
    back: Transition
    again: Any
    rest: Any


class Restart(Stepper[Semilinear]):
    """`solver` on the grid of the solve, which at t_b goes back to t_a and repeats the way to t_b several times.

    The repeats belong to the step that ends at t_b, and the state saved there is the one after them. The law of the
    output converges at the solver's order. A multistep solver starts anew at t_a and at t_b.

    Args:
        solver: a solver of the probability flow.
        times: from the noisier t_a to t_b. The grid of the solve must have t_b, up to rounding, after its first time;
            it need not have t_a.
        repeats: the number of repeats: 0, 1, 2, …

    Raises:
        TypeError: the solver draws noise.
        ValueError: the evaluations of the solver do not add up over parts of a grid (`ExponentialAdams` with a
            start-up), the times do not rise, or `repeats` is not 0, 1, 2, …
    """

    def __init__(self, solver: Stepper[Semilinear], times: Tensor | Sequence[float], repeats: int) -> None:
        if not isinstance(solver, Stepper) or solver.draws:
            raise TypeError(f"Restart goes around a solver that draws no noise of its own, but got {solver!r}.")
        first, eight = solver.evaluations(1), solver.evaluations(8)
        if first is None or eight != 8 * first:
            raise ValueError(
                f"Restart needs a solver without a start-up, but {solver!r} takes {first} evaluations in 1 step and "
                f"{eight} in 8; use a one-step solver, or ExponentialAdams of a lower order."
            )
        grid = Grid.of(times)
        if grid.t1 < grid.t0:
            raise ValueError(f"Restart runs from noise to data, but times go from {grid.t0:g} down to {grid.t1:g}.")
        self.solver, self.times, self.repeats = solver, grid, whole("repeats", repeats, 0, MANY)
        self.abilities = Abilities(order=solver.order, semilinear=True, draws=self.repeats > 0)

    def __repr__(self) -> str:
        return f"Restart({self.solver!r}, {list(self.times.times)}, {self.repeats})"

    def evaluations(self, n: int) -> int | None:
        """The solver's evaluations on n steps and on the repeats; exact for the same grids."""
        once, again = self.solver.evaluations(n), self.solver.evaluations(self.times.n)
        return None if once is None or again is None else once + self.repeats * again

    def init(self, equation: Semilinear, x: Tensor, times: Grid) -> _State:
        """The state at the start. Raises ValueError if t_b is not a time of the grid after the first."""
        noising = check_way(self, equation, times)
        end = times.nearest(self.times.t1)
        if end is None or end == times.t0:
            raise ValueError(f"{self!r} needs t = {self.times.t1:g} on the way of the solve; add it to its times.")
        cut = times.times.index(end) if self.repeats else times.n
        parts = Grid(times.times[: cut + 1]), self.times, Grid(times.times[cut:])
        inner, again, rest = (self.solver.init(equation, x, part) if part.n else None for part in parts)
        ends = host([self.times.t1, self.times.t0])
        return _State(inner, end, transitions(noising, ends[:1], ends[1:])[0], again, rest)

    def step(
        self, equation: Semilinear, t0: float, t1: float, x: Tensor, state: _State, noise: Noise | None
    ) -> Step:
        x1, inner = self.solver.step(equation, t0, t1, x, state.inner, None)[:2]
        if t1 != state.end or not self.repeats:
            return Step(x1, state._replace(inner=inner))
        for repeat in range(self.repeats):
            x1, inner = state.back.draw(x1, noise, repeat), state.again
            for a, b in pairwise(self.times.times):
                x1, inner = self.solver.step(equation, a, b, x1, inner, None)[:2]
        return Step(x1, state._replace(inner=state.rest))

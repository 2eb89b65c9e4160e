"""Step doubling: an error estimate for any one-step solver.

A step is taken once as a whole, to x_full, and once in two halves, to x_half, which is the result. If the solver has a
local error C h^{p+1}, the two halves leave 2 C (h/2)^{p+1}, so that to leading order

    error = (x_half − x_full) / (2^p − 1).

On stochastic equations the error of a step, given the path, is random and of the size C h^{p+1/2}, where p is the
strong order: the error is the distance from the solution on this path, of which a weak order says nothing. To leading
order the errors of two steps are uncorrelated, so that rms(x_half) = 2^{−p} rms(x_full). By the triangle inequality the
rms of the same estimate then bounds the rms of the error. On a `BrownianTree` the shorter steps after a rejected one
see the same path. With additive noise the solution on each path is approached as the tolerance falls. With noise that
depends on the state, steps chosen by the path mislead a method of strong order 1/2: steps with a large (ΔW)² − h are
rejected, and Euler-Maruyama tends to a wrong limit.

Sources: Hairer, Nørsett and Wanner, Solving ODEs I, section II.4 (step doubling); Gaines and Lyons (1997), SIAM J.
Appl. Math. 57, 1455 (steps chosen by the path, and where they fail).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

from torch import Tensor

from ..equation import SDE
from ..loop import Adaptive, EquationT, Grid, Step, Stepper
from ..noise import Noise
from .renoising import check_one_step

__all__ = ["Halving"]


class _Fixed(NamedTuple):
    """The solver's state on the grid that also has the middles of the steps."""

    inner: Any


class Halving(Stepper[EquationT]):
    """Two half steps of a solver; on `Adaptive` times also the full step, which estimates their error.

    On a grid only the half steps are made, for every equation that the solver takes. Adaptive steps need additive
    noise. The orders are the solver's: an extrapolation would spoil the law of a stochastic method.

    Args:
        solver: a one-step solver that draws no noise of its own.

    Raises:
        TypeError: the solver is not of one step, or draws noise of its own.
        ValueError: adaptive steps are asked for on noise that depends on the state, or of a solver without a strong
            order. This is raised by the solve.
    """

    def __init__(self, solver: Stepper[EquationT]) -> None:
        self.solver = check_one_step("Halving", solver)
        self.abilities = replace(solver.abilities, embedded=True, dense=False)

    def __repr__(self) -> str:
        return f"Halving({self.solver!r})"

    def evaluations(self, n: int) -> int | None:
        return self.solver.evaluations(2 * n)

    def error_order(self, equation: EquationT) -> float:
        """The order of one step's error: p + 1 or, with the strong order p, p + 1/2."""
        return self._order(equation) + (0.5 if equation.stochastic else 1.0)

    def init(self, equation: EquationT, x: Tensor, times: Grid) -> _Fixed:
        """The solver's state before the half steps of the grid."""
        halves = (t for pair in pairwise(times.times) for t in (pair[0], _middle(*pair)))
        return _Fixed(self.solver.init(equation, x, Grid((*halves, times.t1))))

    def init_adaptive(self, equation: EquationT, x: Tensor, times: Adaptive) -> None:
        """Raises ValueError for noise, or a solver, to which the error estimate does not apply."""
        if equation.stochastic and self.strong_order is None:
            raise ValueError(f"{self.solver!r} follows no path, which adaptive steps of {self!r} need; give a grid.")
        if isinstance(equation, SDE) and equation.noise != "additive":
            raise ValueError(
                f"Adaptive steps of {self!r} need additive noise, but the equation's is {equation.noise}, with which "
                "steps chosen by the path may lead to a wrong limit; give a grid."
            )

    def step(
        self, equation: EquationT, t0: Any, t1: Any, x: Tensor, state: _Fixed | None, noise: Noise | None
    ) -> Step:
        middle = _middle(t0, t1)
        if state is not None:
            x1, inner = self.solver.step(equation, t0, middle, x, state.inner, noise)[:2]
            x1, inner = self.solver.step(equation, middle, t1, x1, inner, noise)[:2]
            return Step(x1, _Fixed(inner))
        full = self._alone(equation, t0, t1, x, noise)
        x1 = self._alone(equation, middle, t1, self._alone(equation, t0, middle, x, noise), noise)
        return Step(x1, None, (x1 - full) * (1.0 / (2.0 ** self._order(equation) - 1.0)))

    def _alone(self, equation: EquationT, t0: Any, t1: Any, x: Tensor, noise: Noise | None) -> Tensor:
        """The end of a single step. If samples are at different times, a solver plans within the step."""
        state = None if isinstance(t0, Tensor) else self.solver.init(equation, x, Grid((t0, t1)))
        return self.solver.step(equation, t0, t1, x, state, noise).x

    def _order(self, equation: EquationT) -> float:
        """The order that the error estimate rests on: the strong order on a stochastic equation."""
        return self.strong_order if equation.stochastic and self.strong_order is not None else self.order


def _middle(t0: Any, t1: Any) -> Any:
    """The time in the middle: a float, or a column of one a sample."""
    return t0 + 0.5 * (t1 - t0)

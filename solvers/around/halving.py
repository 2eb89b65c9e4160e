"""Step doubling: an error estimate for any one-step solver.

A step is taken at once, x_full, and in two halves, x_half, which is the result. With a local error C h^{p+1} of the
solver, the two halves leave 2 C (h/2)^{p+1}, so that to leading order

    error = (x_half − x_full) / (2^p − 1).

On stochastic equations the error of a step, given the path, is random and of the size C h^{p+1/2}, with p the strong
order: what counts is the distance from the solution on that path, of which a weak order says nothing. To leading order
the errors of two steps are uncorrelated, so that rms(x_half) = 2^{−p} rms(x_full), and by the triangle inequality the
rms of the same estimate bounds that of the error. On a `BrownianTree` the shorter steps that follow a rejected one see
the same path, and with additive noise the solution on each path is approached as the tolerance falls. With noise that
depends on the state, steps chosen by the path lead a method of strong order 1/2 astray: those with large (ΔW)² − h are
rejected, and Euler-Maruyama tends to a wrong limit.

Sources: Hairer, Nørsett and Wanner, Solving ODEs I, section II.4 (step doubling); Gaines and Lyons (1997), SIAM J.
Appl. Math. 57, 1455 (steps chosen by the path, and where they fail).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

from torch import Tensor

from ..equation import SDE, Equation
from ..loop import Adaptive, Grid, Step, Stepper
from ..noise import Noise
from .renoising import check_one_step

__all__ = ["Halving"]


class _Fixed(NamedTuple):
    """The solver's state on a grid with the middles of its steps."""

    inner: Any


class Halving(Stepper):
    """Two half steps of `solver`, and on `Adaptive` times the full step besides, which estimates their error.

    On a grid the half steps alone are made, for every equation that the solver takes; adaptively the noise must be
    additive. Orders are the solver's: there is no extrapolation, which would spoil the law of a stochastic method.
    Raises TypeError for a solver that is not of one step or draws noise of its own, and ValueError for adaptive steps
    on state-dependent noise or by a solver without a strong order.
    """

    embedded = True
    one_step = True

    def __init__(self, solver: Stepper) -> None:
        self.solver = check_one_step("Halving", solver)
        self.order, self.strong_order, self.weak_order = solver.order, solver.strong_order, solver.weak_order
        self.timewise = solver.timewise
        self.semilinear, self.noises, self.calculi = solver.semilinear, solver.noises, solver.calculi

    def __repr__(self) -> str:
        return f"Halving({self.solver!r})"

    def evaluations(self, n: int) -> int | None:
        return self.solver.evaluations(2 * n)

    def error_order(self, equation: Equation) -> float:
        """That of one step's error: p + 1, or p + 1/2 of the strong order."""
        return self._order(equation) + (0.5 if equation.stochastic else 1.0)

    def init(self, equation: Equation, x: Tensor, times: Grid | Adaptive) -> _Fixed | None:
        if isinstance(times, Grid):
            halves = (t for pair in pairwise(times.times) for t in (pair[0], _middle(*pair)))
            return _Fixed(self.solver.init(equation, x, Grid((*halves, times.t1))))
        if equation.stochastic and self.strong_order is None:
            raise ValueError(f"{self.solver!r} follows no path, which adaptive steps of {self!r} need; give a grid.")
        if isinstance(equation, SDE) and equation.noise != "additive":
            raise ValueError(
                f"Adaptive steps of {self!r} need additive noise, but the equation's is {equation.noise}, with which "
                "steps chosen by the path may lead to a wrong limit; give a grid."
            )
        return None

    def step(
        self, equation: Equation, t0: Any, t1: Any, x: Tensor, state: _Fixed | None, noise: Noise | None
    ) -> Step:
        middle = _middle(t0, t1)
        if state is not None:
            x1, inner = self.solver.step(equation, t0, middle, x, state.inner, noise)[:2]
            x1, inner = self.solver.step(equation, middle, t1, x1, inner, noise)[:2]
            return Step(x1, _Fixed(inner))
        full = self._alone(equation, t0, t1, x, noise)
        x1 = self._alone(equation, middle, t1, self._alone(equation, t0, middle, x, noise), noise)
        return Step(x1, None, (x1 - full) * (1.0 / (2.0 ** self._order(equation) - 1.0)))

    def _alone(self, equation: Equation, t0: Any, t1: Any, x: Tensor, noise: Noise | None) -> Tensor:
        """One step by itself; where samples are at different times, solvers plan as they go."""
        state = None if isinstance(t0, Tensor) else self.solver.init(equation, x, Grid((t0, t1)))
        return self.solver.step(equation, t0, t1, x, state, noise).x

    def _order(self, equation: Equation) -> float:
        return self.strong_order if equation.stochastic and self.strong_order is not None else self.order


def _middle(t0: Any, t1: Any) -> Any:
    return t0 + 0.5 * (t1 - t0)

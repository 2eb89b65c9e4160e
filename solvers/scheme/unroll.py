"""From a method to its table: the solver runs once, on symbols.

The field of the equation returns a new symbol for every state at which it is evaluated, and the noise returns a new one
for every draw. The linear forms that the steps make of these symbols are the method: see `Scheme`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from torch import Tensor

from ..common import check_instance
from ..equation import Equation, Semilinear
from ..field import Field, Time
from ..loop import Grid, Solver, Stepper
from ..noise import Noise
from .linear_form import LinearForm
from .scheme import Scheme
from .table import Draw, Evaluation

__all__ = ["unroll"]


def unroll(equation: Equation, times: Tensor | Sequence[float], solver: Solver) -> Scheme:
    """The table of coefficients by which a solver solves an equation on a grid.

    Args:
        equation: the equation, whose field is not evaluated.
        times: the grid, strictly monotone, 1-D.
        solver: one of our own solvers; Picard and the solvers of other libraries have no steps to unroll.

    Returns:
        The table.

    Raises:
        TypeError: the steps of the method are not linear, the solver is no `Stepper`, or it needs a `Semilinear`
            equation.
        ValueError: the solver refuses the equation or the grid.
    """
    check_instance("equation", equation, Equation, "an equation: wrap a field as ODE(drift), or use flow(denoiser)")
    if not isinstance(solver, Stepper):
        raise TypeError(f"{solver!r} is not made of steps of its own; unroll one of our solvers.")
    if solver.semilinear and not isinstance(equation, Semilinear):
        raise TypeError(f"{solver!r} needs a Semilinear equation, but got {type(equation).__name__}.")
    grid = Grid.of(times)
    if isinstance(equation, Semilinear):
        equation = replace(equation, slope=None)  # every evaluation of the table is one of N
    recorder = _Recorder(equation)
    watched = equation.wrapped(recorder.watch)
    x: Any = LinearForm.symbol("x", 0)
    state = solver.init(watched, x, grid)
    states = []
    for i, (t0, t1) in enumerate(pairwise(grid.times)):
        recorder.step = i
        noise: Noise | None = recorder if equation.stochastic or solver.draws else None
        step = solver.step(watched, t0, t1, x, state, noise)
        form: Any = step.x
        states.append(form.terms)
        x, state = LinearForm.symbol("x", i + 1), step.state
    return Scheme(repr(solver), grid.times, tuple(states), tuple(recorder.evaluations), tuple(recorder.draws))


class _Recorder:
    """Stands in for the field, the score and the noise, and records every evaluation and every draw."""

    replays = True

    def __init__(self, equation: Equation) -> None:
        self.equation = equation
        self.step = 0
        self.evaluations: list[Evaluation] = []
        self.draws: list[Draw] = []

    def watch(self, field: Field) -> Field:
        """The symbolic field in place of the field or the score."""
        score = isinstance(self.equation, Semilinear) and field is self.equation.score
        return _Symbolic(self, "score" if score else "field")

    def evaluate(self, kind: str, t: float, form: LinearForm) -> LinearForm:
        """Record an evaluation at t of the state `form`; the result is its symbol."""
        self.evaluations.append(Evaluation(self.step, t, form.terms, kind, self._basis(kind, t)))
        return LinearForm.symbol("N", len(self.evaluations) - 1)

    def normal(self, t0: float, t1: float, clock: Callable[[Tensor], Tensor], like: Any) -> Any:
        return self._draw("normal", t0, t1)

    def normal_and_area(self, t0: float, t1: float, clock: Callable[[Tensor], Tensor], like: Any) -> tuple[Any, Any]:
        return self._draw("increment", t0, t1), self._draw("area", t0, t1)

    def extra(self, index: int, like: Any) -> Any:
        return self._draw("extra", 0.0, 0.0, index)

    def _draw(self, kind: str, t0: float, t1: float, index: int = 0) -> LinearForm:
        self.draws.append(Draw(self.step, kind, t0, t1, index))
        return LinearForm.symbol("ξ", len(self.draws) - 1)

    def _basis(self, kind: str, t: float) -> tuple[float, float] | None:
        """(a, b) with the value = a x + b M (see `Semilinear`). The score is −ε/σ, that is p x₀ + q ε with q = −1/σ."""
        if not isinstance(self.equation, Semilinear) or self.equation.basis is None:
            return None
        try:
            if kind == "field":
                return self.equation.basis(t)
            if (noising := self.equation.noising) is None:
                return None
            alpha, sigma = float(noising.alpha(t)), float(noising.sigma(t))
            return -1.0 / (alpha**2 + sigma**2), alpha / sigma
        except ArithmeticError:
            raise ValueError(f"The equation has no basis at t = {t:g}; keep the times away from it.") from None


@dataclass(frozen=True)
class _Symbolic(Field):
    """A field whose values are symbols, and which records its calls."""

    recorder: _Recorder
    kind: str

    def __call__(self, t: Time, x: Any) -> Any:
        return self.recorder.evaluate(self.kind, float(t), x)

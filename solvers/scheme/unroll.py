"""From a method to its table: the solver runs once, on symbols.

The equation's field returns a fresh symbol for every state that it is asked at, the noise one for every draw, and what
the steps make of them is the method: see `Scheme`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

from torch import Tensor

from ..equation import Equation, Noising, Semilinear
from ..field import Field, Time
from ..loop import Grid, Solver, Stepper
from ..noise import Noise
from .linear_form import LinearForm
from .scheme import Draw, Evaluation, Scheme

__all__ = ["unroll"]


def unroll(equation: Equation, times: Tensor | Sequence[float], solver: Solver) -> Scheme:
    """The table of coefficients by which `solver` solves `equation` on the grid `times`.

    Raises TypeError for a method whose steps are not linear, or which is no `Stepper`, and what the solver raises of
    an equation that does not fit.
    """
    if not isinstance(solver, Stepper):
        raise TypeError(f"{solver!r} is not made of steps of its own; unroll one of our solvers.")
    if solver.semilinear and not isinstance(equation, Semilinear):
        raise TypeError(f"{solver!r} needs a Semilinear equation, but got {type(equation).__name__}.")
    grid = Grid.of(times)
    recorder = _Recorder(equation)
    watched = equation.wrapped(recorder.watch)
    x: Any = LinearForm.symbol("x", 0)
    state = solver.init(watched, x, grid)
    states = []
    for i, (t0, t1) in enumerate(pairwise(grid.times)):
        recorder.step = i
        noise = cast(Noise, recorder) if equation.stochastic or solver.draws else None
        step = solver.step(watched, t0, t1, x, state, noise)
        states.append(cast(LinearForm, step.x).terms)
        x, state = LinearForm.symbol("x", i + 1), step.state
    return Scheme(repr(solver), grid.times, tuple(states), tuple(recorder.evaluations), tuple(recorder.draws))


class _Recorder:
    """Stands in for the field, the score and the noise, and writes down what is asked of them."""

    replays = True

    def __init__(self, equation: Equation) -> None:
        self.equation = equation
        self.step = 0
        self.evaluations: list[Evaluation] = []
        self.draws: list[Draw] = []

    def watch(self, field: Field) -> Field:
        score = isinstance(self.equation, Semilinear) and field is self.equation.score
        return _Symbolic(self, "score" if score else "field")

    def evaluate(self, kind: str, t: float, form: LinearForm) -> LinearForm:
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
        """(a, b) with the value = a x + b M (see `Semilinear`); of the score, −ε/σ, as of p x₀ + q ε with q = −1/σ."""
        if not isinstance(self.equation, Semilinear) or self.equation.basis is None:
            return None
        if kind == "field":
            return self.equation.basis(t)
        noising = cast(Noising, self.equation.noising)
        alpha, sigma = float(noising.alpha(t)), float(noising.sigma(t))
        return -1.0 / (alpha**2 + sigma**2), alpha / sigma


@dataclass(frozen=True)
class _Symbolic(Field):
    """A field that writes down what it is asked, and answers with a symbol."""

    recorder: _Recorder
    kind: str

    def __call__(self, t: Time, x: Any) -> Any:
        return self.recorder.evaluate(self.kind, float(t), x)

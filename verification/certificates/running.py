"""Solvers as functions of an equation, a state and times, some of their steps replaced by exact ones."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ...solvers import Adaptive, Equation, Noise, SolveError, Solver, Step, Stepper, solve
from ...solvers.common import blamed
from ...solvers.loop import Grid
from .problems import Problem
from .stochastic_problems import Run

__all__ = ["ExactStep", "checked", "run_of"]

ANY = 300.0
"""A tolerance so large that every step is accepted."""


def run_of(solver: Solver) -> Run:
    """A solver as a function. A solver that takes no grid solves each step of the grid separately, at any error.

    It raises what solvers raise: SolveError, and ValueError or TypeError for an equation that does not fit.
    """

    def run(equation: Equation, x: Tensor, times: Tensor, noise: Noise | None) -> Tensor:
        with blamed(repr(solver), (SolveError, TypeError, ValueError)):
            return _state(repr(solver), solved(equation, x, times, noise), x)

    def solved(equation: Equation, x: Tensor, times: Tensor, noise: Noise | None) -> Tensor:
        if not _on_grids(solver):
            for t0, t1 in zip(times.tolist(), times.tolist()[1:], strict=False):
                step = solve(equation, x, Adaptive(t0, t1, rtol=ANY, atol=ANY), solver)
                if step.accepted != 1:
                    raise SolveError("A step was divided.", step)
                x = step.x
            return x
        return solve(equation, x, times, solver, noise).x

    return run


def checked(function: Run, name: str) -> Run:
    """Anyone's code, on a copy of the state. Raises ValueError unless it returns a state like the one it was given."""

    def run(equation: Equation, x: Tensor, times: Tensor, noise: Noise | None) -> Tensor:
        with blamed(name, (SolveError,)):
            found: object = function(equation, x.clone(), times, noise)
        return _state(name, found, x)

    return run


def _state(method: str, found: object, x: Tensor) -> Tensor:
    """What a method returned for the states x. Raises ValueError unless it is a state like them."""
    if isinstance(found, Tensor) and found.shape == x.shape and found.dtype == x.dtype:
        return found
    given = f"{found.dtype} of shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
    raise ValueError(f"{method} returned {given}; it must return the last state, {x.dtype} of {tuple(x.shape)}.")


def _on_grids(solver: Solver) -> bool:
    try:
        solver.evaluations(1)
    except ValueError:
        return False
    return True


class ExactStep(Stepper[Any]):
    """A method one of whose steps, the first (0) or the last (−1), ends where the exact flow does."""

    def __init__(self, solver: Stepper[Any], problem: Problem, which: int) -> None:
        self.solver, self.problem, self.which = solver, problem, which
        self.abilities = solver.abilities

    def evaluations(self, n: int) -> int | None:
        return self.solver.evaluations(n)

    def init(self, equation: Equation, x: Tensor, times: Grid) -> Any:
        ends = times.times[:2] if self.which == 0 else times.times[-2:]
        return ends, self.solver.init(equation, x, times)

    def step(self, equation: Equation, t0: Any, t1: Any, x: Tensor, state: Any, noise: Noise | None) -> Step:
        ends, inner = state
        step = self.solver.step(equation, t0, t1, x, inner, noise)
        return Step(self.problem.flow(x, t0, t1) if (t0, t1) == ends else step.x, (ends, step.state))

"""`solve`: one function for every equation, solver and noise. It checks its arguments, and picks the loop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from .common import Progress, check_instance, check_samples, flag, reals, whole
from .equation import SDE, Equation, Semilinear
from .loop import Adaptive, Grid, Save, Solver, Stepper, Task, integrate_per_sample
from .noise import BrownianTree, Noise
from .solution import Ledger, Solution, SolveError

__all__ = ["solve"]

Times = Tensor | Sequence[float]
"""Times in the order of the solve, 1-D."""


def solve(
    equation: Equation,
    x: Tensor,
    times: Times | Adaptive,
    solver: Solver,
    noise: Noise | None = None,
    *,
    save: bool | Times = False,
    max_nfe: int | None = None,
    checkpoint: bool = False,
    progress: bool = False,
) -> Solution:
    """Solve a differential equation from x at the first of `times` to the last.

    The result is differentiable with respect to x and to whatever the field depends on.

    Args:
        equation: an `ODE`, `SDE` or `Semilinear`.
        x: the initial state, floating point, (B, ...).
        times: a strictly monotone 1-D tensor or sequence, whose intervals are exactly the steps taken; or
            `Adaptive(t0, t1, rtol=..., atol=...)`.
        solver: an instance of a solver, such as `Heun()`.
        noise: `WhiteNoise` or `BrownianTree`, for a stochastic equation or a solver that draws noise.
        save: True keeps the state after every step. Times keep the states there, at no further evaluation: on a grid
            they must be times of the grid, between adaptive steps they are interpolated to the method's order.
        max_nfe: the largest number of evaluations for each sample; None for no limit.
        checkpoint: for a backward pass keep the state of each step alone, and take the step again there.
        progress: show a progress bar.

    Returns:
        The final state, the saved states, and the account of the evaluations.

    Raises:
        TypeError, ValueError: the arguments do not fit each other. This is checked before any evaluation.
        SolveError: the end cannot be reached. The error carries the partial solution.
    """
    _check(equation, x, solver, noise)
    budget = None if max_nfe is None else whole("max_nfe", max_nfe, 1)
    checkpoint, progress = flag("checkpoint", checkpoint), flag("progress", progress)
    if isinstance(times, Adaptive):
        _check_adaptive(equation, times, solver, noise, save)
        steps: Grid | Adaptive = times.like(x)
    else:
        steps = Grid.of(times)
    kept = _saved(save, steps)
    if equation.stochastic and steps.t1 < steps.t0:
        raise ValueError(
            f"A stochastic equation runs forward in time, but times go from {steps.t0:g} down to {steps.t1:g}; reverse "
            "them, or write the equation of the reversed process."
        )
    if isinstance(equation, Semilinear):
        equation.clock.check_times(steps.t0, steps.t1)
    if equation.stochastic and isinstance(noise, BrownianTree):
        noise.check_within(steps.t0, steps.t1)
    if budget is not None and isinstance(steps, Grid):
        _check_budget(equation, steps, solver, budget)
    if checkpoint and not isinstance(solver, Stepper):
        raise ValueError(f"{_name(solver)} takes no checkpoints; use one of our solvers, or TorchDiffEq's adjoint.")
    if checkpoint and noise is not None and not noise.replays:
        raise ValueError("A step that is taken again must see the same noise; use BrownianTree instead of WhiteNoise.")
    ledger = Ledger(budget, len(x))
    watched = equation.wrapped(ledger.watch)
    with Progress(steps.t0, steps.t1, progress) as bar:
        task = Task(watched, x, steps, noise, ledger, kept, bar, checkpoint)
        try:
            return replace(_integrate(solver, task), ledger=ledger)
        except SolveError as error:
            if not error.solution.ledger.depth:  # the error of a solve within the field has its own
                error.solution = replace(error.solution, ledger=ledger)
            raise
        finally:
            ledger.budget = None  # a backward pass is counted, but not stopped half-way


def _integrate(solver: Solver, task: Task) -> Solution:
    if isinstance(solver, Stepper) and isinstance(task.times, Adaptive) and task.times.per_sample:
        return integrate_per_sample(solver, task, task.times)
    return solver.integrate(task)


def _name(solver: Solver) -> str:
    return type(solver).__name__


def _check(equation: Equation, x: Tensor, solver: Solver, noise: Noise | None) -> None:
    """Raise TypeError or ValueError for an equation, a state, a solver and noise that do not fit each other."""
    check_instance("equation", equation, Equation, "an equation: wrap a field as ODE(drift), or use flow(denoiser)")
    if isinstance(solver, type) or not isinstance(solver, Solver):
        name = solver.__name__ if isinstance(solver, type) else type(solver).__name__
        raise TypeError(f"solver must be an instance of a solver, but got {name}; write for example Heun().")
    check_samples("x", x, wait=True)
    if noise is not None and (isinstance(noise, type) or not isinstance(noise, Noise)):
        name = f"the class {noise.__name__}" if isinstance(noise, type) else type(noise).__name__
        raise TypeError(f"noise must be WhiteNoise(seed) or BrownianTree(x, t0, t1, seed), but is {name}.")
    if solver.semilinear and not isinstance(equation, Semilinear):
        raise TypeError(
            f"{_name(solver)} needs a Semilinear equation, but got {type(equation).__name__}; use flow(denoiser) or "
            "reverse_sde(denoiser), or a Runge-Kutta method."
        )
    if equation.stochastic and not solver.stochastic:
        raise ValueError(
            f"{_name(solver)} cannot integrate a stochastic equation; use EulerMaruyama, or the probability flow, "
            "flow(denoiser)."
        )
    if isinstance(equation, SDE):
        _check_noise(equation, solver)
    if not (equation.stochastic or solver.draws):
        return
    if noise is None:
        what = "A stochastic equation" if equation.stochastic else _name(solver)
        raise ValueError(f"{what} needs noise; give WhiteNoise(seed), or BrownianTree(x, t0, t1, seed).")


def _check_noise(equation: SDE, solver: Solver) -> None:
    """Raise ValueError for a kind of noise or a calculus that the solver does not take.

    Additive noise is the same in both calculi.
    """
    if equation.noise not in solver.noises:
        raise ValueError(
            f"{_name(solver)} integrates {', '.join(sorted(solver.noises))} noise, but the equation's is "
            f"{equation.noise}; use {'StochasticHeun' if equation.calculus == 'stratonovich' else 'EulerMaruyama'}."
        )
    if equation.noise != "additive" and equation.calculus not in solver.calculi:
        other = "EulerMaruyama or Milstein" if equation.calculus == "ito" else "StochasticHeun or Milstein"
        raise ValueError(
            f"{_name(solver)} reads noise in the {' or '.join(sorted(solver.calculi))} calculus, but the equation is "
            f"written in the {equation.calculus} one; use {other}, or convert the drift."
        )


def _check_adaptive(
    equation: Equation, times: Adaptive, solver: Solver, noise: Noise | None, save: bool | Times
) -> None:
    """Raise ValueError for an equation, a solver, noise or saved times that do not fit adaptive steps."""
    if not solver.embedded:
        raise ValueError(f"{solver!r} has no error estimate; give a grid, or use Dopri5 or Halving({solver!r}).")
    if not isinstance(save, bool) and (equation.stochastic or not solver.dense):
        raise ValueError(f"{solver!r} cannot interpolate between its steps here; save=True keeps every step.")
    if noise is not None and not noise.replays:
        raise ValueError(
            "Adaptive steps need BrownianTree instead of WhiteNoise: rejected steps must see the same path."
        )
    if not times.per_sample:
        return
    if not solver.timewise:
        raise ValueError(f"{solver!r} cannot give each sample its own steps; use Dopri5, or per_sample=False.")
    if equation.stochastic or solver.draws:
        raise ValueError("A stochastic equation cannot give each sample its own steps; use per_sample=False.")
    if save is True:
        raise ValueError("With per_sample=True every sample has times of its own; ask for some: save=[0.0, 0.5, 1.0].")


def _check_budget(equation: Equation, grid: Grid, solver: Solver, max_nfe: int) -> None:
    """Raise ValueError if the steps of the grid are known to take more evaluations than the budget."""
    declared, each = solver.evaluations(grid.n), [int(equation.field.evaluations(t)) for t in grid.times]
    least, most = min(each), max(each)
    if declared is not None and declared * least > max_nfe:
        raise ValueError(
            f"{grid.n} steps of {_name(solver)} take {'at least ' if least < most else ''}{declared * least} "
            f"evaluations, more than max_nfe = {max_nfe}; {solver.steps(max_nfe // most)} steps fit."
        )


def _saved(save: bool | Times, steps: Grid | Adaptive) -> Save:
    """The times asked for, in the order of the solve: on a grid its own, which they are up to rounding.

    Raises TypeError for what are no times, and ValueError for times out of order, outside the solve or not on the grid.
    """
    if isinstance(save, bool | np.bool_):
        return bool(save)
    asked: list[float] = []
    sign, ends = math.copysign(1.0, steps.t1 - steps.t0), Grid((steps.t0, steps.t1))
    for i, t in enumerate(reals("save", save)):
        inside = 0.0 <= sign * (t - steps.t0) <= sign * (steps.t1 - steps.t0)
        place = t if inside and isinstance(steps, Adaptive) else (steps if isinstance(steps, Grid) else ends).nearest(t)
        if place is None and inside:
            raise ValueError(f"save asks for t = {t:g}, which is not on the grid; add it to times, or use Adaptive.")
        if place is None:
            raise ValueError(f"save asks for t = {t:g}, outside the solve from {steps.t0:g} to {steps.t1:g}; drop it.")
        if asked and sign * (place - asked[-1]) <= 0.0:
            raise ValueError(f"save must be strictly monotone from {steps.t0:g}, but has {t:g} at entry {i}; sort it.")
        asked.append(place)
    return tuple(asked)

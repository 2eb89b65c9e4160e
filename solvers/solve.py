"""`solve`: what (equation), from where (x), at which times, how (solver), driven by what (noise)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from .base import Solver, Task
from .equation import SDE, Equation, Semilinear
from .noise import Noise
from .progress import Progress
from .solution import Ledger, Solution
from .stepping import Adaptive, Grid

__all__ = ["solve"]


def solve(
    equation: Equation,
    x: Tensor,
    times: Tensor | Sequence[float] | Adaptive,
    solver: Solver,
    noise: Noise | None = None,
    *,
    save: bool = False,
    max_nfe: int | None = None,
    progress: bool = False,
) -> Solution:
    """Solve a differential equation from x at the first of `times` to the last.

    equation: an `ODE`, `SDE` or `Semilinear`. x: the initial state, floating point, (B, ...). times: a strictly
    monotone 1-D tensor or sequence, which is exactly the steps taken, or `Adaptive(t0, t1, rtol=..., atol=...)`.
    noise: `WhiteNoise` or `BrownianTree`, for a stochastic equation. save: keep the state at every time.
    max_nfe: refuse to spend more evaluations than this. progress: show a progress bar.

    Raises TypeError or ValueError for arguments that do not fit each other, before any evaluation, and `SolveError`,
    which carries the partial solution, when the end cannot be reached.
    """
    _check(equation, x, solver, noise)
    steps = times if isinstance(times, Adaptive) else Grid.of(times)
    if isinstance(steps, Adaptive) and not solver.embedded:
        raise ValueError(f"{_name(solver)} has no error estimate; give it a grid of times, or use Dopri5.")
    if equation.stochastic and steps.t1 < steps.t0:
        raise ValueError(
            f"A stochastic equation runs forward in time, but times go from {steps.t0:g} down to {steps.t1:g}; reverse "
            "them, or write the equation of the reversed process."
        )
    if max_nfe is not None and isinstance(steps, Grid) and solver.evaluations(steps.n) * equation.cost > max_nfe:
        raise ValueError(
            f"{steps.n} steps of {_name(solver)} take {solver.evaluations(steps.n) * equation.cost} evaluations, more "
            f"than max_nfe = {max_nfe}; {solver.steps(max_nfe // equation.cost)} steps fit."
        )
    ledger = Ledger(max_nfe)
    watched = equation.watched(lambda function: ledger.watch(function, equation.cost))
    with Progress(steps.t0, steps.t1, progress) as bar:
        solution = solver.integrate(Task(watched, x, steps, noise, ledger, save, bar))
    return replace(solution, nfe=ledger.nfe)


def _name(solver: Solver) -> str:
    return type(solver).__name__


def _check(equation: Equation, x: Tensor, solver: Solver, noise: Noise | None) -> None:
    """The one place that says which arguments fit each other."""
    if not isinstance(equation, Equation):
        raise TypeError(f"equation is a {type(equation).__name__}; wrap a field as ODE(drift), or use flow(denoiser).")
    if isinstance(solver, type) or not isinstance(solver, Solver):
        name = solver.__name__ if isinstance(solver, type) else type(solver).__name__
        raise TypeError(f"solver must be an instance of a solver, but got {name}; write for example Heun().")
    if not isinstance(x, Tensor) or not x.is_floating_point() or x.ndim == 0:
        given = f"{x.dtype} of shape {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"x must be a floating-point tensor with a leading batch axis, but is {given}.")
    if not torch.isfinite(x).all():
        index = tuple(torch.nonzero(~torch.isfinite(x))[0].tolist())
        raise ValueError(f"x is not finite at component {index}; the initial state must be.")
    if solver.semilinear and not isinstance(equation, Semilinear):
        raise TypeError(
            f"{_name(solver)} needs a Semilinear equation, but got {type(equation).__name__}; use flow(denoiser) or "
            "reverse_sde(denoiser), or a Runge-Kutta method."
        )
    if not equation.stochastic:
        return
    if not solver.stochastic:
        raise ValueError(
            f"{_name(solver)} cannot integrate a stochastic equation; use EulerMaruyama, or the probability flow, "
            "flow(denoiser)."
        )
    if isinstance(equation, SDE):
        _check_noise(equation, solver)
    if noise is None:
        raise ValueError("A stochastic equation needs noise; give WhiteNoise(seed), or BrownianTree(x, t0, t1, seed).")
    if not isinstance(noise, Noise):
        raise TypeError(f"noise must be WhiteNoise or BrownianTree, but is {type(noise).__name__}.")


def _check_noise(equation: SDE, solver: Solver) -> None:
    """Additive noise is the same in both calculi, and needs no more than any solver can do."""
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

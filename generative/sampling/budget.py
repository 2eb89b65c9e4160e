"""Which sampler, with how many steps, between which ends: what a budget of evaluations means.

The default is what `fokker bench` finds best: the velocity held, on steps uniform in √(1 − t), and corrected, with two
values below 25 evaluations and with three, whose start-up takes two of them, from there on. Over its seven problems,
the exact ones and the trained networks, the error is in the geometric mean 1.7 times that of the best of 60 pairs of a
solver and a grid, chosen for each problem, at 5 evaluations, and 1.1 to 1.5 times at 8 to 50. At few evaluations two
corrected values are hardly ever far off, where three are worse by ten and more for networks that predict ε.

Where the flow has no start at an end of the path (ε-hat tells nothing of x₀ at α = 0, nor x₀-hat of ε at σ = 0), a
sampler starts at σ/α = 80, or at 0.002, which are EDM's bounds, and the state there is taken for that of the end.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import replace

import torch
from torch import Tensor

from ...solvers import BrownianTree, ExponentialAdams, Solver, Time, solve
from ..denoiser import Denoiser
from ..equations import grids
from ..paths import GaussianPath
from .named import Published, named

__all__ = ["Sampler", "chosen", "default_sampler", "ends", "planned", "steps"]

Sampler = str | Published | Solver | None

THREE_VALUES_FROM = 25
"""Evaluations from which a third value pays."""


def default_sampler(path: GaussianPath, nfe: int, *, t1: float = 1.0) -> tuple[Solver, Tensor]:
    """The best measured solver for `flow(denoiser)` with at most `nfe` evaluations, and its times from 0 to t1."""
    row = chosen(None, nfe)
    return row.solver, row.grid(path, row.solver.steps(nfe), t1=t1)


def chosen(sampler: Sampler, nfe: int) -> Published:
    """What `sampler` means with `nfe` evaluations of the field: the quantity held, the solver and the grid.

    Raises ValueError for an unknown name, TypeError for what is no sampler.
    """
    if isinstance(sampler, str):
        return named(sampler)
    if isinstance(sampler, Published):
        return sampler
    solver = ExponentialAdams(3 if nfe >= THREE_VALUES_FROM else 2, corrector=True) if sampler is None else sampler
    if not isinstance(solver, Solver):
        raise TypeError(f"sampler is {solver!r}; give the name of a published one, or a solver such as Heun().")
    return Published(repr(solver), solver, "velocity", grids.quadratic, "what is measured to be best")


def steps(row: Published, nfe: int, cost: int) -> int:
    """The number of steps that `nfe` evaluations pay for, `cost` in each call. Raises ValueError if there is none."""
    least = row.solver.evaluations(1)
    if least is None:
        raise ValueError(f"{row.solver!r} cannot tell its evaluations beforehand; use it in solve(), with times.")
    if nfe < least * cost:
        raise ValueError(f"nfe = {nfe} is less than one step, which takes {least * cost} evaluations; allow more.")
    return row.solver.steps(nfe // cost)


def planned(denoiser: Denoiser, row: Published, nfe: int, start: float, end: float) -> Tensor:
    """The times of the steps that `nfe` evaluations pay for; more of them where some calls take less than `cost`.

    What a number of steps takes is then counted in a solve of zeros, without the network.
    """
    least = steps(row, nfe, denoiser.cost)
    times = row.grid(denoiser.path, least, t0=start, t1=end)
    cheapest = min(int(denoiser.spends(t)) for t in times.tolist())
    if cheapest == denoiser.cost:
        return times

    def idle(t: Time, x: Tensor) -> Tensor:
        return x

    equation, zero = replace(row.equation(denoiser), field=idle, score=idle), torch.zeros(1, 1, dtype=torch.float64)

    def spent(n: int) -> int:
        times = row.grid(denoiser.path, n, t0=start, t1=end)
        noise = BrownianTree(zero, start, end) if row.stochastic else None
        return int(solve(equation, zero, times, row.solver, noise).nfe)

    numbers = range(least, row.solver.steps(nfe // cheapest) + 1)
    fitting = bisect_right(numbers, nfe, key=spent)
    return row.grid(denoiser.path, numbers[max(fitting, 1) - 1], t0=start, t1=end)


def ends(denoiser: Denoiser, row: Published) -> tuple[float, float]:
    """The noisiest and the cleanest time from which a sampler can start: 0 and 1, or those of σ/α = 80 and 0.002.

    At the end itself the prediction that is held must exist, its network's clock be finite, and so must be the scale
    of the equation, or for a classical solver its drift. A network that returns its input and its clock tells all of
    it.
    """
    path = denoiser.path

    def passed(x: Tensor, time: Tensor) -> Tensor:
        return x + time

    probe = Denoiser(
        passed,
        path,
        predicts=denoiser.predicts,
        time=denoiser.time,
        precondition=denoiser.precondition,
        threshold=denoiser.threshold,
    )
    equation = row.equation(probe)
    held = equation.field if row.solver.semilinear else equation.drift

    def regular(t: float) -> bool:
        scale = equation.scale(torch.tensor(t, dtype=torch.float64)).item()
        if not 0.0 < scale < math.inf:
            return False
        try:
            return bool(held(t, torch.ones(1, 1, dtype=torch.float64)).isfinite())
        except (ValueError, ZeroDivisionError):
            return False

    return (
        0.0 if regular(0.0) else float(path.time(-2.0 * math.log(grids.NOISIEST))),
        1.0 if regular(1.0) else float(path.time(-2.0 * math.log(grids.CLEANEST))),
    )

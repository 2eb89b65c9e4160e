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
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...solvers import ExponentialAdams, Noise, Solution, Solver, Stepper, solve, unroll
from ..denoiser import Denoiser
from ..equations import grids, hold_of
from ..paths import GaussianPath
from .named import named
from .sampler import Sampler

__all__ = ["AnySampler", "Plan", "chosen", "default_sampler", "ends", "plan", "steps"]

AnySampler = str | Sampler | Solver | None
"""The name of a published sampler, a `Sampler`, a solver, or None for what is measured to be best."""

THREE_VALUES_FROM = 25
"""Evaluations from which a third value pays."""


@dataclass(frozen=True)
class Plan:
    """A sampler at its times, for a denoiser: what `sample`, `encode` and the rest solve.

    Args:
        denoiser: with its labels and guidance.
        sampler: what is solved, and by which steps.
        times: from noise to data, float64 (n + 1,).
        start: where the noise is drawn, x = σ ξ; the first of the times.
    """

    denoiser: Denoiser
    sampler: Sampler
    times: Tensor
    start: float

    def of_rows(self, index: Tensor) -> Plan:
        """The plan for the samples of these indices."""
        return replace(self, denoiser=self.denoiser.of_rows(index))

    def solve(
        self,
        x: Tensor,
        noise: Noise | None = None,
        *,
        to_data: bool = True,
        max_nfe: int | None = None,
        progress: bool = False,
    ) -> Solution:
        """From x, (B, ...), at the noisy end to the data, or at the clean end to the noise.

        noise, max_nfe, progress: as in `solve`, which says what is raised.
        """
        ascending = bool(self.times[-1] > self.times[0])
        times = self.times if ascending == to_data else self.times.flip(0)
        equation = self.sampler.equation(self.denoiser)
        return solve(equation, x, times, self.sampler.solver, noise, max_nfe=max_nfe, progress=progress)


def plan(denoiser: Denoiser, sampler: Sampler, nfe: int, *, both_ways: bool = False) -> Plan:
    """The steps that `nfe` evaluations of each sample pay for.

    More of them where some calls take less than the most: what a number of steps takes is counted over the times at
    which the sampler calls the network. both_ways: a solve may start at either end, so that the sampler must be regular
    at both. Raises ValueError for a budget below one step.
    """
    start, end = ends(denoiser, sampler)
    if sampler.solver.semilinear and not both_ways:
        end = 1.0
    least = steps(sampler, nfe, denoiser.cost)

    def grid(n: int) -> Tensor:
        return sampler.grid(denoiser.path, n, t0=start, t1=end)

    cheapest = min(int(denoiser.evaluations(t)) for t in grid(least).tolist())
    if cheapest == denoiser.cost or not isinstance(sampler.solver, Stepper):
        return Plan(denoiser, sampler, grid(least), start)
    equation = sampler.equation(denoiser)

    def spent(n: int) -> int:
        calls = unroll(equation, grid(n), sampler.solver).evaluations
        return sum(int(denoiser.evaluations(call.time)) for call in calls)

    numbers = range(least, sampler.solver.steps(nfe // cheapest) + 1)
    fitting = bisect_right(numbers, nfe, key=spent)
    return Plan(denoiser, sampler, grid(numbers[max(fitting, 1) - 1]), start)


def default_sampler(path: GaussianPath, nfe: int, *, t1: float = 1.0) -> tuple[Solver, Tensor]:
    """The best measured solver for `flow(denoiser)` with at most `nfe` evaluations, and its times from 0 to t1."""
    sampler = chosen(None, nfe)
    return sampler.solver, sampler.grid(path, sampler.solver.steps(nfe), t1=t1)


def chosen(sampler: AnySampler, nfe: int) -> Sampler:
    """What `sampler` means with `nfe` evaluations of the field.

    Raises ValueError for an unknown name, TypeError for what is no sampler.
    """
    if isinstance(sampler, str):
        return named(sampler)
    if isinstance(sampler, Sampler):
        return sampler
    solver = ExponentialAdams(3 if nfe >= THREE_VALUES_FROM else 2, corrector=True) if sampler is None else sampler
    if not isinstance(solver, Solver):
        raise TypeError(f"sampler is {solver!r}; give the name of a published one, or a solver such as Heun().")
    return Sampler(solver)


def steps(sampler: Sampler, nfe: int, cost: int) -> int:
    """The number of steps that `nfe` evaluations pay for, `cost` in each call. Raises ValueError if there is none."""
    least = sampler.solver.evaluations(1)
    if least is None:
        raise ValueError(f"{sampler.solver!r} cannot tell its evaluations beforehand; use it in solve(), with times.")
    if nfe < least * cost:
        raise ValueError(f"nfe = {nfe} is less than one step, which takes {least * cost} evaluations; allow more.")
    return sampler.solver.steps(nfe // cost)


def ends(denoiser: Denoiser, sampler: Sampler) -> tuple[float, float]:
    """The noisiest and the cleanest time from which a sampler can start: 0 and 1, or those of σ/α = 80 and 0.002.

    At the end itself the network's prediction must determine the held quantity, its clock must be finite, and so must
    be the scale of the equation, or for a classical solver its drift.
    """
    path, hold = denoiser.path, hold_of(denoiser.path, sampler.hold, sampler.eta**2)

    def regular(t: float) -> bool:
        if not 0.0 < hold.scale(torch.tensor(t, dtype=torch.float64)).item() < math.inf:
            return False
        drift = () if sampler.solver.semilinear else hold.rates(t)
        return all(map(math.isfinite, drift)) and denoiser.determines(*hold.row(t), t)

    return (
        0.0 if regular(0.0) else float(path.time(-2.0 * math.log(grids.NOISIEST))),
        1.0 if regular(1.0) else float(path.time(-2.0 * math.log(grids.CLEANEST))),
    )

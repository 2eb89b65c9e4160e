"""Which sampler, with how many steps, between which ends: what a budget of evaluations means.

Some networks do not determine the flow at an end of the path: ε-hat says nothing of x₀ at α = 0, and x₀-hat says
nothing of ε at σ = 0. Then a sampler starts at σ/α = 80, or at 0.002 for the other direction (EDM's bounds). The state
there is taken for that of the end.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from ...solvers import Noise, Scheme, Solution, Solver, Stepper, solve, unroll
from ..denoiser import Denoiser, check_denoiser
from ..equations import Held, Slope, grids
from .default import default_for
from .named import named
from .replay import check_asked, is_table_file, of_file, of_scheme, table_of, warn_of_another_network
from .sampler import Sampler

__all__ = ["AnySampler", "Plan", "as_sampler", "default_sampler", "resolve", "regular_interval", "plan", "steps"]

AnySampler = str | Path | Sampler | Solver | Scheme | None
"""A published sampler's name, a table or its file, a `Sampler`, a solver, or None for the best measured one."""


@dataclass(frozen=True)
class Plan:
    """A sampler at its times, for a denoiser: what `sample`, `encode` and `interpolate` solve.

    Args:
        denoiser: the network, with its labels and guidance.
        sampler: the solver and the equation.
        times: n + 1 times of n steps, rising from noise to data: float64, (n + 1,).
    """

    denoiser: Denoiser
    sampler: Sampler
    times: Tensor

    @property
    def stochastic(self) -> bool:
        """Whether noise is drawn on the way."""
        return self.sampler.stochastic

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
        """Solve the sampler's equation from one end to the other.

        Args:
            x: the states at the noisy end, or at the clean end if not to_data: (B, ...).
            noise: the source of noise of a stochastic sampler.
            to_data: go from noise to data; otherwise from data to noise.
            max_nfe: the most evaluations a sample, as in `solve`.
            progress: show a progress bar on stderr.

        Raises:
            ValueError: as `solve` raises.
        """
        times = self.times if to_data else self.times.flip(0)
        equation = self.sampler.equation(self.denoiser)
        return solve(equation, x, times, self.sampler.solver, noise, max_nfe=max_nfe, progress=progress)


def plan(denoiser: Denoiser, sampler: Sampler, nfe: int, *, both_ways: bool = False) -> Plan:
    """The plan with the most steps that `nfe` evaluations of each sample pay for.

    With guidance in an interval some calls take fewer evaluations than others. Then the evaluations of a number of
    steps are counted at the times at which the sampler calls the network. A method that `unroll` cannot read gets the
    steps that it can pay for if every call takes the most.

    Args:
        denoiser: the network, with its labels and guidance.
        sampler: the solver, the equation and the grid.
        nfe: the most network evaluations a sample.
        both_ways: let a solve start at either end; then the equation must be regular at both.

    Raises:
        ValueError: the budget is below one step, or the solver cannot tell its evaluations beforehand; or the budget is
            below what a table takes, or the network cannot be asked where the table asks.
    """
    if (scheme := table_of(sampler)) is not None:
        return _plan_of_table(denoiser, sampler, scheme, nfe)
    start, end = regular_interval(denoiser, sampler, both_ways=both_ways)
    least = steps(sampler, nfe, denoiser.cost)

    def grid(n: int) -> Tensor:
        return sampler.grid(denoiser.path, n, t0=start, t1=end)

    cheapest = min(int(denoiser.evaluations(t)) for t in grid(least).tolist())
    if cheapest == denoiser.cost or not isinstance(sampler.solver, Stepper):
        return Plan(denoiser, sampler, grid(least))
    equation = sampler.equation(denoiser)

    def spent(n: int) -> int:
        calls = unroll(equation, grid(n), sampler.solver).evaluations
        return sum(int(denoiser.evaluations(call.time)) for call in calls)

    numbers = range(least, sampler.solver.steps(nfe // cheapest) + 1)
    try:
        fitting = bisect_right(numbers, nfe, key=spent)
    except TypeError:  # a method that is no table of numbers
        fitting = 1
    return Plan(denoiser, sampler, grid(numbers[max(fitting, 1) - 1]))


def _plan_of_table(denoiser: Denoiser, sampler: Sampler, scheme: Scheme, nfe: int) -> Plan:
    """The plan of a table, which starts and ends where it says."""
    needed = sum(int(denoiser.evaluations(call.time)) for call in scheme.evaluations)
    if nfe < needed:
        raise ValueError(f"nfe = {nfe} is less than the {needed} evaluations that {scheme.name} takes; allow {needed}.")
    check_asked(denoiser, sampler, scheme)
    warn_of_another_network(denoiser, scheme)
    return Plan(denoiser, sampler, torch.tensor(scheme.times, dtype=torch.float64, device="cpu"))


def default_sampler(denoiser: Denoiser, nfe: int, *, t1: float = 1.0) -> tuple[Solver, Tensor]:
    """The best measured solver for `flow(denoiser)`, and its times from 0 to t1.

    Args:
        denoiser: the network.
        nfe: the most evaluations a sample.
        t1: the last time.

    Returns:
        The solver, and the times of its steps, float64 (n + 1,).

    Example:
        >>> solver, times = default_sampler(load("digits-flow"), 4)
        >>> solver
        ExponentialAdams(2, corrector=True)
        >>> times
        tensor([0.0000, 0.3505, 0.6464, 0.8750, 1.0000], dtype=torch.float64)
    """
    check_denoiser(denoiser)
    sampler = default_for(denoiser, nfe)
    return sampler.solver, sampler.grid(denoiser.path, sampler.solver.steps(nfe), t1=t1)


def resolve(sampler: AnySampler, denoiser: Denoiser, nfe: int, *, both_ways: bool = False) -> Sampler:
    """The `Sampler` that an argument `sampler` stands for.

    Args:
        sampler: as for `as_sampler`, or None for the default.
        denoiser: the network, on which the default depends.
        nfe: the number of evaluations of the field, on which the default depends, too.
        both_ways: the flow is also followed from data to noise.

    Raises:
        TypeError: it is none of these.
        ValueError: the name is unknown.
    """
    return default_for(denoiser, nfe, both_ways=both_ways) if sampler is None else as_sampler(sampler)


def as_sampler(sampler: str | Path | Sampler | Solver | Scheme) -> Sampler:
    """The `Sampler` that a name, a file, a `Sampler`, a solver or a `Scheme` stands for.

    Args:
        sampler: a name; a file that `Scheme.save` wrote, FILE.json; a `Sampler`; a `Scheme`; or a solver, which then
            holds the velocity on `grids.quadratic`.

    Raises:
        TypeError: it is none of these.
        ValueError: the name is unknown, or the file holds no table that samples.
        FileNotFoundError: there is no such file.
    """
    if is_table_file(sampler):
        return of_file(cast("str | Path", sampler))
    if isinstance(sampler, Scheme):
        return of_scheme(sampler)
    if isinstance(sampler, str | Path):
        return named(str(sampler))
    if isinstance(sampler, Sampler):
        return sampler
    if not isinstance(sampler, Solver):
        raise TypeError(f"sampler is {sampler!r}; give the name of a published one, or a solver such as Heun().")
    return Sampler(sampler)


def steps(sampler: Sampler, nfe: int, cost: int) -> int:
    """The number of steps that `nfe` evaluations pay for, if each call takes `cost` of them.

    Raises:
        ValueError: they pay for no step, or the solver cannot tell its evaluations beforehand.
    """
    least = sampler.solver.evaluations(1)
    if least is None:
        raise ValueError(f"{sampler.solver!r} cannot tell its evaluations beforehand; use it in solve(), with times.")
    if nfe < least * cost:
        raise ValueError(f"nfe = {nfe} is less than one step, which takes {least * cost} evaluations; allow more.")
    return sampler.solver.steps(nfe // cost)


def regular_interval(denoiser: Denoiser, sampler: Sampler, *, both_ways: bool = True) -> tuple[float, float]:
    """The noisiest and the cleanest time of a sampler: 0 and 1 if it can start there, or those of σ/α = 80 and 0.002.

    A sampler can start at an end if the network gives there what the solver asks for, the held quantity for an
    exponential solver and the drift for a classical one, and if all that the network sees is finite. For an exponential
    solver or a stochastic equation the scale must be positive and finite, too, and for a classical solver of a
    stochastic equation the coefficients of N and of the noise. A table starts and ends where it says.

    Args:
        denoiser: the network.
        sampler: the solver and the equation.
        both_ways: a solve may start at either time. Otherwise it starts at the noise, and an exponential solver, which
            does not evaluate the network where it ends, goes to t = 1.
    """
    if (scheme := table_of(sampler)) is not None:
        return scheme.times[0], scheme.times[-1]
    path, exponential = denoiser.path, sampler.solver.semilinear
    equation = sampler.equation(denoiser)
    field = cast("Held | Slope", equation.field if exponential else equation.slope)

    def regular(t: float) -> bool:
        if not (exponential or equation.stochastic):
            return field.exists(t)
        scale = equation.clock.scale(torch.tensor(t, dtype=torch.float64, device="cpu")).item()
        rates = () if exponential else equation.clock.rates(t)
        return 0.0 < scale < math.inf and all(map(math.isfinite, rates)) and field.exists(t)

    to_the_data = exponential and not both_ways
    return (
        0.0 if regular(0.0) else path.time(-2.0 * math.log(grids.NOISIEST)),
        1.0 if to_the_data or regular(1.0) else path.time(-2.0 * math.log(grids.CLEANEST)),
    )

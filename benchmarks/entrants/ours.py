"""Samplers of ours, and the default of `sample`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from ...generative.denoiser import Denoiser
from ...generative.sampling import PUBLISHED, Sampler, default_for, regular_interval
from ...solvers import TorchDiffEq, solve
from ..problems import Problem
from .entrant import GRIDS, OWN, Code, Entrant

__all__ = ["Ours"]


@dataclass(frozen=True)
class Ours(Entrant):
    """A sampler of ours; None is the default of `sample`, on its own grid."""

    name: str
    sampler: Sampler | None

    @property
    def grids(self) -> tuple[str, ...]:
        return tuple(GRIDS) if self.sampler else OWN

    def resolved(self, problem: Problem, budget: int) -> Sampler:
        """The sampler at a budget."""
        calls = max(1, budget // problem.denoiser.cost)
        return default_for(problem.denoiser, calls) if self.sampler is None else self.sampler

    def draws(self, problem: Problem) -> bool:
        return self.sampler is not None and self.sampler.stochastic

    def steps(self, problem: Problem, budget: int) -> int:
        return self.resolved(problem, budget).solver.steps(budget // problem.denoiser.cost)

    def run(self, problem: Problem, denoiser: Denoiser, x: Tensor, budget: int, grid: str) -> tuple[Tensor, int]:
        sampler, start = self.resolved(problem, budget), self._start(problem, budget)
        make_grid: Callable[..., Tensor] = GRIDS.get(grid, sampler.grid)
        times = make_grid(problem.path, self.steps(problem, budget), t0=start, t1=problem.end)
        if start > problem.start:
            x = problem.path.sigma(start) / problem.path.sigma(problem.start) * x
        found = solve(sampler.equation(denoiser), x, times, sampler.solver)
        return found.x, int(found.nfe)

    def _start(self, problem: Problem, budget: int) -> float:
        """Where `sample` starts: later than the problem, if the sampler cannot start at its α = 0."""
        sampler = self.resolved(problem, budget)
        return max(problem.start, regular_interval(problem.denoiser, sampler, both_ways=False)[0])

    def code(self, problem: Problem, budget: int, grid: str) -> Code:
        sampler = self.resolved(problem, budget)
        sampler = replace(sampler, grid=GRIDS.get(grid, sampler.grid))
        published = next((name for name, row in PUBLISHED.items() if _same(row, sampler)), None)
        made = f'named("{published}")' if published else _expression(sampler)
        given = f", sampler={repr(published) if published else made}"
        head = "from functools import partial\n" if "partial(" in made else ""
        if self.sampler is None:
            made, given = f"default_for(denoiser, {budget // problem.denoiser.cost})", ""
            head = "from fokker.generative.sampling import default_for\n"
        ends = "".join(
            f", {name}={value!r}"
            for name, value, usual in (("t0", self._start(problem, budget), 0.0), ("t1", problem.end, 1.0))
            if value != usual
        )
        return Code(
            f"x = sample(denoiser, (n, {', '.join(map(str, problem.shape))}), nfe={budget}{given})",
            f"{head}equation, times, solver = {made}(denoiser, {self.steps(problem, budget)}{ends})\n"
            "x = solve(equation, denoiser.path.sigma(times[0]) * noise, times, solver).x",
            f"pipe.scheduler = FokkerScheduler.from_config(pipe.scheduler.config{given})",
        )

    @property
    def family(self) -> str:
        if self.sampler is None:
            return "default"
        if isinstance(self.sampler.solver, TorchDiffEq):
            return "torchdiffeq"
        return f"hold {self.sampler.hold}" if self.sampler.solver.semilinear else "Runge-Kutta"

    @property
    def order(self) -> int:
        return self.sampler.solver.order if self.sampler else 0

    @property
    def corrector(self) -> bool:
        return self.sampler is not None and getattr(self.sampler.solver, "corrector", False)


def _same(one: Sampler, other: Sampler) -> bool:
    return repr(one) == repr(replace(other, name=one.name)) and one.grid is other.grid


def _expression(sampler: Sampler) -> str:
    """Python that makes the sampler."""
    log = "" if sampler.logarithmic is None else f", logarithmic={sampler.logarithmic}"
    made = repr(sampler.grid)
    if isinstance(sampler.grid, partial):
        given = "".join(f", {key}={value!r}" for key, value in sampler.grid.keywords.items())
        made = f"partial(grids.{sampler.grid.func.__name__}{given})"
    elif hasattr(sampler.grid, "__name__"):
        made = f"grids.{sampler.grid.__name__}"
    return f'Sampler({sampler.solver!r}, "{sampler.hold}", grid={made}{log})'

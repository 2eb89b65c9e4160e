"""Samplers of the user's: functions and classes of other libraries, and tables from files."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ...generative.adapters import FunctionSampler, draws_noise, evaluations_of, steps_for
from ...generative.denoiser import Denoiser
from ...generative.equations import flow, grids
from ...solvers import Scheme
from ..problems import Problem
from .entrant import GRIDS, OWN, Code, Entrant

__all__ = ["Saved", "Theirs"]


@dataclass(frozen=True)
class Theirs(Entrant):
    """A sampler of the user's: each step of a function is one of a grid; a scheduler has timesteps of its own."""

    name: str
    function: FunctionSampler

    @property
    def grids(self) -> tuple[str, ...]:
        return OWN if self.function.form == "diffusers" else tuple(GRIDS)

    def draws(self, problem: Problem) -> bool:
        return draws_noise(self.function, problem.labelled(1), shape=problem.shape)

    def steps(self, problem: Problem, budget: int) -> int:
        try:
            return steps_for(self.function, problem.labelled(1), budget, problem.shape)
        except ValueError:
            evaluations_of(self.function, problem.labelled(1), budget, problem.shape)  # raises for one that fails
            return 0

    def run(self, problem: Problem, denoiser: Denoiser, x: Tensor, budget: int, grid: str) -> tuple[Tensor, int]:
        steps = self.steps(problem, budget)
        spaced = GRIDS.get(grid, grids.uniform)
        times = spaced(problem.path, steps, t0=problem.start, t1=problem.end)
        counted = evaluations_of(self.function, problem.labelled(1), steps, problem.shape)
        return self.function(denoiser, x, times), counted

    def code(self, problem: Problem, budget: int, grid: str) -> Code:
        steps = self.steps(problem, budget)
        if self.function.form == "diffusers":
            kind = self.function.name.rpartition(":")[2]
            given = "".join(f", {name}={value!r}" for name, value in self.function.options.items())
            return Code("", "", f"pipe.scheduler = {kind}.from_config(pipe.scheduler.config{given})")
        times = f"grids.{grid}(denoiser.path, {steps}, t0={problem.start!r}, t1={problem.end!r})"
        made = f'function_sampler({self.function.name.rpartition(":")[2]}, "{self.function.form}")'
        return Code("", f"times = {times}\nx = {made}(denoiser, denoiser.path.sigma(times[0]) * noise, times)", "")


@dataclass(frozen=True)
class Saved(Entrant):
    """A table of coefficients, at its own times, for the flow that holds this quantity."""

    name: str
    scheme: Scheme
    hold: str = "velocity"

    @property
    def grids(self) -> tuple[str, ...]:
        return OWN

    def draws(self, problem: Problem) -> bool:
        return bool(self.scheme.draws)

    def steps(self, problem: Problem, budget: int) -> int:
        return len(self.scheme.states) if self.scheme.nfe * problem.denoiser.cost <= budget else 0

    def run(self, problem: Problem, denoiser: Denoiser, x: Tensor, budget: int, grid: str) -> tuple[Tensor, int]:
        start = self.scheme.times[0]
        if start > problem.start:
            x = problem.path.sigma(start) / problem.path.sigma(problem.start) * x
        found = self.scheme.run(flow(denoiser, self.hold), x)
        return found.x, int(found.nfe)

    def code(self, problem: Problem, budget: int, grid: str) -> Code:
        file = self.name.partition("@")[0]
        start = "denoiser.path.sigma(scheme.times[0]) * noise"
        run = f'x = scheme.run(flow(denoiser, "{self.hold}"), {start}).x'
        return Code("", f'scheme = Scheme.load("{file}")\n{run}', "")

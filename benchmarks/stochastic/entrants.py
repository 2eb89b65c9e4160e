"""What takes part in a comparison of laws: given a denoiser and a budget, an equation, its times and a solver.

A `Sampler` is planned as `sample` plans it. The other classes here are for samplers that are no `Sampler`, because
their solver depends on the budget, because their equation is another one, or because they are anyone's code.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from ...generative import CondOT, Denoiser, annealed_langevin, diffusion_sde
from ...generative.adapters import FunctionSampler, draws_noise, evaluations_of, steps_for
from ...generative.equations import flow, grids, safe_interval
from ...generative.paths import GaussianPath
from ...generative.sampling import Sampler, default_for, plan
from ...solvers import EDM_HEUN, Equation, EulerMaruyama, ExponentialRK, Noise, Restart, Solver, solve
from ...solvers.common import check_fields, whole
from ...verification.laws import ImpulseResponse, impulse_response

__all__ = ["Annealed", "Default", "Diffusion", "Entrant", "Foreign", "Planned", "Restarted"]


class Run(NamedTuple):
    """What `solve` takes, apart from x and the noise. x has the law N(0, σ²) of the first time."""

    equation: Equation
    times: Tensor
    solver: Solver

    def draw(self, x: Tensor, noise: Noise) -> tuple[Tensor, int]:
        """The end points, and the evaluations of each sample."""
        done = solve(self.equation, x, self.times, self.solver, noise)
        return done.x, int(done.nfe)

    def response(self, dim: int) -> ImpulseResponse:
        """The affine map of the run, for the denoiser of Gaussian data."""
        return impulse_response(self.solver, self.equation, self.times, dim=dim)


class ForeignRun(NamedTuple):
    """Anyone's code at its times, with the evaluations that it was counted to take."""

    sampler: FunctionSampler
    denoiser: Denoiser
    times: Tensor
    nfe: int

    def draw(self, x: Tensor, noise: Noise) -> tuple[Tensor, int]:
        """As `Run.draw`."""
        return self.sampler(self.denoiser, x, self.times, noise), self.nfe

    def response(self, dim: int) -> ImpulseResponse:
        """As `Run.response`."""
        return impulse_response(lambda x, noise: self.sampler(self.denoiser, x, self.times, noise), dim=dim)


class Entrant(ABC):
    """A sampler that takes part.

    Attributes:
        name: for tables; no two entrants have the same.
        stochastic: whether it draws noise on the way.
    """

    name: str
    stochastic: bool = True

    @abstractmethod
    def run(self, denoiser: Denoiser, nfe: int) -> Run | ForeignRun:
        """The run with the most steps that `nfe` evaluations of each sample pay for.

        Raises ValueError for a budget below one step, and for a network that the sampler cannot take.
        """


@dataclass(frozen=True)
class Planned(Entrant):
    """A `Sampler` with the steps that `sample` would take."""

    name: str
    sampler: Sampler

    @property
    def stochastic(self) -> bool:  # type: ignore[override]
        return self.sampler.stochastic

    def run(self, denoiser: Denoiser, nfe: int) -> Run:
        planned = plan(denoiser, self.sampler, nfe)
        return Run(self.sampler.equation(denoiser), planned.times, self.sampler.solver)


@dataclass(frozen=True)
class Default(Entrant):
    """What `sample` takes if no sampler is named."""

    name: str = "default"
    stochastic: bool = False

    def run(self, denoiser: Denoiser, nfe: int) -> Run:
        return Planned(self.name, default_for(denoiser, nfe // denoiser.cost)).run(denoiser, nfe)


@dataclass(frozen=True)
class Restarted(Entrant):
    """EDM's Heun with restarts from five times σ/α to the time of the grid whose σ/α is next to 0.1.

    A repeat is of one step in eight of all, and of one step at least. Two main steps are left at least.
    """

    name: str
    repeats: float

    def __post_init__(self) -> None:
        check_fields(self, whole, "repeats", low=0)

    def run(self, denoiser: Denoiser, nfe: int) -> Run:
        solver, path = ExponentialRK(EDM_HEUN), denoiser.path
        steps = solver.steps(nfe // denoiser.cost)
        again = max(1, steps // 8)
        main = steps - int(self.repeats) * again
        if main < 2:
            raise ValueError(f"{self.name} takes two steps and {self.repeats:g} repeats; allow more than {nfe}.")
        times = plan(denoiser, Sampler(solver, "eps", grid=grids.karras), 2 * main * denoiser.cost).times
        level = path.half_log_snr(times[1:-1])
        end = float(times[1:-1][(level + math.log(0.1)).abs().argmin()])
        start = float(path.time(2.0 * (path.half_log_snr(end) - math.log(5.0))))
        way = grids.log_snr(path, again, t0=start, t1=end)
        return Run(flow(denoiser, "eps"), times, Restart(solver, way, int(self.repeats)))


@dataclass(frozen=True)
class Annealed(Entrant):
    """Annealed Langevin dynamics with two steps a level, between the bounds σ/α of EDM, and x₀-hat in the end."""

    name: str
    size: float

    def run(self, denoiser: Denoiser, nfe: int) -> Run:
        levels = (nfe // denoiser.cost - 1) // 2
        if levels < 2:
            raise ValueError(f"{self.name} takes 5 evaluations at least; allow more than {nfe}.")
        noisiest = min(grids.NOISIEST, math.exp(-denoiser.path.half_log_snr(0.0)))
        epsilon = 2.0 * self.size * grids.CLEANEST**2
        return Run(*annealed_langevin(denoiser, noisiest, grids.CLEANEST, levels, 2, epsilon))


@dataclass(frozen=True)
class Diffusion(Entrant):
    """A classical solver of `diffusion_sde`, any noise level g(t), on equal steps.

    They go over the safe interval, and to σ/α = 0.002 at most.

    Args:
        name: for tables.
        level: a function of a path that gives g(t), such as `reversal`.
        solver: a solver of one evaluation a step that does not evaluate the drift where it ends.
    """

    name: str
    level: Callable[[GaussianPath], Callable[[float], float]]
    solver: Solver = EulerMaruyama()  # noqa: RUF009 - it has no state

    def run(self, denoiser: Denoiser, nfe: int) -> Run:
        path, g, steps = denoiser.path, self.level(denoiser.path), self.solver.steps(nfe // denoiser.cost)
        if not steps:
            raise ValueError(f"{self.name} takes a step at least; allow more than {nfe} evaluations.")
        noisiest, cleanest = (path.time(-2.0 * math.log(level)) for level in (grids.NOISIEST, grids.CLEANEST))
        first = 0.0 if denoiser.gives("velocity", 0.0) else noisiest
        start, end = safe_interval(path, g, (cleanest - first) / steps, first, cleanest)
        equation = diffusion_sde(denoiser, g, start, end)
        return Run(equation, grids.uniform(path, steps, t0=start, t1=end), self.solver)


@dataclass(frozen=True)
class Foreign(Entrant):
    """Anyone's function or scheduler, on the times of EDM for σ, and on equal steps otherwise."""

    sampler: FunctionSampler

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.sampler.name

    @cached_property
    def stochastic(self) -> bool:  # type: ignore[override]
        nothing = Denoiser(_nothing, CondOT(), predicts="x0")
        try:
            return draws_noise(self.sampler, nothing)
        except ValueError:  # it fails, and the rows will say so
            return False

    def run(self, denoiser: Denoiser, nfe: int) -> ForeignRun:
        path, steps = denoiser.path, steps_for(self.sampler, denoiser, nfe)
        grid = grids.karras if self.sampler.form == "k-diffusion" else grids.uniform
        noisiest = path.time(-2.0 * math.log(grids.NOISIEST))
        times = grid(path, steps, t0=0.0 if path.alpha(0.0) > 0.0 else noisiest)
        return ForeignRun(self.sampler, denoiser, times, evaluations_of(self.sampler, denoiser, steps))


def _nothing(x: Tensor, time: Tensor) -> Tensor:
    return torch.zeros_like(x)

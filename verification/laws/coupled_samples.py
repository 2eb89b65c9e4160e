"""Coupled samples of a sampler with some of its stages made exact: all share x₀, ε and the Brownian path.

An equation is followed exactly by many short steps. The method has order 4 without noise, and order 2 on the same
Brownian path with noise.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ...generative.denoiser import Denoiser
from ...generative.equations import flow, grids
from ...generative.paths import GaussianPath
from ...generative.sampling import Sampler
from ...solvers import (
    BrownianTree,
    Equation,
    ExponentialRK,
    Field,
    Semilinear,
    Solver,
    Time,
    solve,
    standard_normal,
)
from ..oracles import Oracle
from ..statistics import rms

__all__ = ["STAGES", "Coupled", "Subject"]

STAGES = ("prior", "early stop", "discretisation", "model", "round-off")
"""The stages of a sampler, in the order in which they act; see `error_budget`."""
FINER, LAST = 16, 128
"""Steps of an exact solve: within each step of the sampler, and from an early stop to t = 1."""


@dataclass(frozen=True)
class Subject:
    """What an error budget is of: a sampler at its times, with the data that it should draw.

    Args:
        data: the law of the data.
        path: the path on which the sampler runs.
        times: the times of its steps, rising.
        sampler: the solver and the equation.
        model: the denoiser that the sampler has; the exact one if None.
    """

    data: Oracle
    path: GaussianPath
    times: Tensor
    sampler: Sampler
    model: Denoiser | None

    @property
    def ends(self) -> tuple[float, float]:
        return float(self.times[0]), float(self.times[-1])

    def equation(self, exact: bool) -> Semilinear:
        """The equation of the exact denoiser, or of the model."""
        denoiser = self.data.denoiser(self.path) if exact or self.model is None else self.model
        return self.sampler.equation(denoiser)

    def reference(self, exact: bool) -> tuple[Semilinear, Tensor, Solver]:
        """The equation, the times and the solver that follow it exactly."""
        parts = torch.arange(FINER, dtype=torch.float64, device="cpu") / FINER
        fine = (self.times[:-1, None] + self.times.diff()[:, None] * parts).flatten()
        return self.equation(exact), torch.cat([fine, self.times[-1:]]), ExponentialRK(2 if self.sampler.eta else 4)

    def rest(self) -> tuple[Semilinear, Tensor, Solver] | None:
        """The exact flow from the last time to t = 1; None if the sampler ends there."""
        stop = self.ends[1]
        if stop == 1.0:
            return None
        equation = flow(self.data.denoiser(self.path), "velocity")
        return equation, grids.quadratic(self.path, LAST, t0=stop), ExponentialRK(4)


class Coupled:
    """Outputs along samples that share x₀, ε and the Brownian path. An output is computed once.

    Args:
        subject: the sampler and its data.
        dtype: the dtype in which the solver computes around the denoiser, unless "round-off" is exact.
        samples: the number of samples.
        seed: of x₀, ε and the Brownian path.
    """

    def __init__(self, subject: Subject, dtype: torch.dtype, samples: int, seed: int) -> None:
        start, stop = subject.ends
        self.subject, self.dtype = subject, dtype
        self.clean = subject.data.sample(samples, seed)
        self.noise = subject.path.sigma(start) * standard_normal(self.clean, seed + 1)
        stochastic = subject.sampler.stochastic
        self.tree = BrownianTree(self.clean, start, stop, seed + 2) if stochastic else None
        self.known: dict[frozenset[str], Tensor] = {}

    def distance(self, exactly: Collection[str]) -> float:
        """D: the root mean square distance of the output with these exact stages from the exact output."""
        return self._apart(exactly, STAGES)

    @cached_property
    def rounding(self) -> float:
        """The distance between the sampler's outputs in `dtype` and in float64."""
        return self._apart((), STAGES[-1:])

    def _apart(self, one: Collection[str], two: Collection[str]) -> float:
        return rms(self._output(frozenset(one)) - self._output(frozenset(two))) * math.sqrt(self.clean[0].numel())

    def _output(self, exactly: frozenset[str]) -> Tensor:
        if exactly not in self.known:
            with torch.no_grad():
                self.known[exactly] = self._solved(exactly)
        return self.known[exactly]

    def _solved(self, exactly: frozenset[str]) -> Tensor:
        subject, x = self.subject, self.noise
        if "prior" in exactly:
            x = x + subject.path.alpha(subject.ends[0]) * self.clean
        if "discretisation" in exactly:
            equation, times, solver = subject.reference("model" in exactly)
            x = solve(equation, x, times, solver, self.tree).x
        else:
            dtype = torch.float64 if "round-off" in exactly else self.dtype
            equation, solver = subject.equation("model" in exactly), subject.sampler.solver
            x = _solved(equation, x, subject.times, solver, self.tree, dtype)
        rest = subject.rest() if "early stop" in exactly else None
        return x if rest is None else solve(rest[0], x, rest[1], rest[2]).x


def _solved(
    equation: Equation, x: Tensor, times: Tensor, solver: Solver, tree: BrownianTree | None, dtype: torch.dtype
) -> Tensor:
    """The end of a solve in this dtype around a field in float64, with the same Brownian path in every dtype."""
    rounded = equation.wrapped(_InDouble)
    noise = None if tree is None else _Rounded(tree)
    return solve(rounded, x.to(dtype), times, solver, noise).x.double()


@dataclass(frozen=True)
class _InDouble(Field):
    """A field in float64 for states of another dtype."""

    field: Field

    def __call__(self, t: Time, x: Tensor) -> Tensor:
        return self.field(t, x.double()).to(x.dtype)

    def evaluations(self, t: Time) -> int | Tensor:
        return self.field.evaluations(t)

    def of_rows(self, index: Tensor) -> _InDouble:
        return _InDouble(self.field.of_rows(index))


class _Rounded:
    """A tree's numbers in the dtype of the state."""

    replays = True

    def __init__(self, tree: BrownianTree) -> None:
        self.tree = tree

    def normal(self, t0: float, t1: float, clock: Any, like: Tensor) -> Tensor:
        return self.tree.normal(t0, t1, clock, like.double()).to(like.dtype)

    def normal_and_area(self, t0: float, t1: float, clock: Any, like: Tensor) -> tuple[Tensor, Tensor]:
        xi, eta = self.tree.normal_and_area(t0, t1, clock, like.double())
        return xi.to(like.dtype), eta.to(like.dtype)

    def extra(self, index: int, like: Tensor) -> Tensor:
        return self.tree.extra(index, like.double()).to(like.dtype)

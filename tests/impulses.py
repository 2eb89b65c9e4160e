"""Laws of samplers' outputs without any sampling.

On a linear equation, as that of Gaussian data is, every sampler is an affine map of (x₀, ξ₁ … ξ_n): run with unit
impulses in place of the normals it gives that map, and with it the exact mean and variance of its output.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fokker.generative import GaussianPath
from fokker.solvers import Equation, Solver, solve
from fokker.verification import Gaussian

__all__ = ["DATA", "MEAN", "VARIANCE", "Impulses", "affine_map", "marginal", "output_law"]

MEAN, VARIANCE = 0.7, 0.25
DATA = Gaussian(torch.tensor([MEAN], dtype=torch.float64), torch.tensor([[VARIANCE]], dtype=torch.float64))


def marginal(path: GaussianPath, t: float) -> tuple[float, float]:
    """Mean and variance of x_t = α x₀ + σ ε."""
    return path.alpha(t) * MEAN, path.alpha(t) ** 2 * VARIANCE + path.sigma(t) ** 2


class Impulses:
    """Noise whose k-th number is 1 in row k + 2, of as many rows as there are; rows 0 and 1 are without noise.

    No extra normal may be asked for twice.
    """

    replays = False

    def __init__(self) -> None:
        self.drawn = 0
        self.asked: list[tuple[float, float]] = []
        self.extras: set[int] = set()

    def normal(self, t0: float, t1: float, clock: Any, like: Tensor) -> Tensor:
        self.asked.append((t0, t1))
        return self._impulse(like)

    def normal_and_area(self, t0: float, t1: float, clock: Any, like: Tensor) -> tuple[Tensor, Tensor]:
        return self.normal(t0, t1, clock, like), self._impulse(like)

    def extra(self, index: int, like: Tensor) -> Tensor:
        assert index >= 0
        assert index not in self.extras
        self.extras.add(index)
        return self._impulse(like)

    def _impulse(self, like: Tensor) -> Tensor:
        impulse = torch.zeros_like(like)
        impulse[self.drawn + 2 : self.drawn + 3] = 1.0
        self.drawn += 1
        return impulse


def affine_map(equation: Equation, solver: Solver, times: Tensor | list[float]) -> list[float]:
    """[b, a, c₁ … c_n], with a c for each number that the solver draws: its output is b + a x₀ + Σ c_k ξ_k."""
    dry = Impulses()
    solve(equation, torch.zeros(2, 1, dtype=torch.float64), times, solver, dry)
    x = torch.zeros(2 + dry.drawn, 1, dtype=torch.float64)
    x[1] = 1.0
    response = solve(equation, x, times, solver, Impulses()).x[:, 0]
    return [response[0].item(), *(response[1:] - response[0]).tolist()]


def output_law(affine: list[float], mean: float, variance: float) -> tuple[float, float]:
    """Mean and variance of what the map makes of N(mean, variance)."""
    b, a, *kicks = affine
    return b + a * mean, a**2 * variance + sum(c**2 for c in kicks)

"""Laws of samplers' outputs without any sampling.

On a linear equation, as that of Gaussian data is, every sampler is an affine map of (x₀, ξ₁ … ξ_n): run with unit
impulses in place of the normals it gives that map, and with it the exact mean and variance of its output.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fokker.generative import GaussianPath
from fokker.solvers import Equation, Solver, solve
from fokker.verification import Gaussian
from fokker.verification.laws import Impulses

__all__ = ["DATA", "MEAN", "VARIANCE", "Impulses", "affine_map", "marginal", "output_law"]

MEAN, VARIANCE = 0.7, 0.25
DATA = Gaussian(torch.tensor([MEAN], dtype=torch.float64), torch.tensor([[VARIANCE]], dtype=torch.float64))


def marginal(path: GaussianPath, t: float) -> tuple[float, float]:
    """Mean and variance of x_t = α x₀ + σ ε."""
    return path.alpha(t) * MEAN, path.alpha(t) ** 2 * VARIANCE + path.sigma(t) ** 2


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

"""Small exact problems: two overlapping components in the plane, and a Gaussian on the line with its exact laws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fokker.generative import VE, VP, CondOT, Cosine, GaussianPath
from fokker.solvers import Equation, Solver, solve
from fokker.verification import Gaussian, GaussianMixture
from fokker.verification.laws import ImpulseResponse, impulse_response
from fokker.verification.oracles import Law

__all__ = [
    "ENDS", "GAUSSIAN", "LINE", "MEAN", "MIXTURE", "PATHS", "VARIANCE",
    "Draws", "log_normal", "marginal", "output", "random_mixture", "response", "states",
]  # fmt: skip

MIXTURE = GaussianMixture(
    torch.tensor([0.4, 0.6], dtype=torch.float64),
    torch.tensor([[-1.0, 0.5], [1.2, 0.1]], dtype=torch.float64),
    torch.tensor([[[0.3, 0.1], [0.1, 0.2]], [[0.1, 0.0], [0.0, 0.5]]], dtype=torch.float64),
)
GAUSSIAN = Gaussian(MIXTURE.means[1], MIXTURE.covs[0])
MEAN, VARIANCE = 0.7, 0.25
LINE = Gaussian(torch.tensor([MEAN], dtype=torch.float64), torch.tensor([[VARIANCE]], dtype=torch.float64))

PATHS: list[GaussianPath] = [CondOT(), Cosine(), VP(), VE()]
ENDS: list[GaussianPath] = [*PATHS, Cosine(-math.inf, math.inf)]
"""With those that reach α = 0."""


def random_mixture(dim: int) -> GaussianMixture:
    """Four components of full covariance."""
    g = torch.Generator().manual_seed(dim)
    root = torch.randn(4, dim, dim, dtype=torch.float64, generator=g)
    covs = root @ root.mT / dim + 0.1 * torch.eye(dim, dtype=torch.float64)
    means = torch.randn(4, dim, dtype=torch.float64, generator=g)
    return GaussianMixture(torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64), means, covs)


def log_normal(x: Tensor, sigma: float) -> Tensor:
    """log N(x; 0, σ² I) for x (B, d)."""
    return -0.5 * (x / sigma).square().sum(1) - x.shape[1] * math.log(sigma * math.sqrt(2.0 * math.pi))


class Draws:
    """Noise that was drawn beforehand, for both sides of an identity."""

    replays = False

    def __init__(self, draws: Sequence[Tensor]) -> None:
        self.left = iter(draws)

    def normal(self, *query: Any) -> Tensor:
        return next(self.left)

    def normal_and_area(self, *query: Any) -> tuple[Tensor, Tensor]:
        return next(self.left), next(self.left)

    def extra(self, index: int, like: Tensor) -> Tensor:
        return next(self.left)


def states(path: GaussianPath, t: float, n: int = 8) -> Tensor:
    """Draws of x_t = α x₀ + σ ε, shape (n, 2)."""
    eps = torch.randn(n, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return path.alpha(t) * MIXTURE.sample(n, seed=1) + path.sigma(t) * eps


def marginal(path: GaussianPath, t: float) -> tuple[float, float]:
    """Mean and variance of x_t = α x₀ + σ ε, for x₀ from LINE."""
    return path.alpha(t) * MEAN, path.alpha(t) ** 2 * VARIANCE + path.sigma(t) ** 2


def response(equation: Equation, solver: Solver, times: Tensor | list[float]) -> ImpulseResponse:
    """The affine map that a solve on the line is, by running it on unit impulses."""
    return impulse_response(lambda x, noise: solve(equation, x, times, solver, noise).x, dim=1)


def output(affine: ImpulseResponse, mean: float, variance: float) -> tuple[float, float]:
    """Mean and variance of what the map makes of N(mean, variance)."""
    start = Law(torch.tensor([mean], dtype=torch.float64), torch.tensor([[variance]], dtype=torch.float64))
    law = affine.law(start)
    return law.mean.item(), law.cov.item()

"""A small exact problem for the tests of the generative layer: two overlapping components in the plane."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fokker.generative import VE, VP, CondOT, Cosine, GaussianPath
from fokker.verification import Gaussian, GaussianMixture

__all__ = ["ENDS", "GAUSSIAN", "MIXTURE", "PATHS", "Draws", "states"]

MIXTURE = GaussianMixture(
    torch.tensor([0.4, 0.6], dtype=torch.float64),
    torch.tensor([[-1.0, 0.5], [1.2, 0.1]], dtype=torch.float64),
    torch.tensor([[[0.3, 0.1], [0.1, 0.2]], [[0.1, 0.0], [0.0, 0.5]]], dtype=torch.float64),
)
GAUSSIAN = Gaussian(MIXTURE.means[1], MIXTURE.covs[0])

PATHS: list[GaussianPath] = [CondOT(), Cosine(), VP(), VE()]
ENDS: list[GaussianPath] = [*PATHS, Cosine(-math.inf, math.inf)]
"""With those that reach α = 0."""


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

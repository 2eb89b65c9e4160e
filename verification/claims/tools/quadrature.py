"""Integrals as sums over nodes: expectations over (t, x₀, ε), and integrals over the line and the plane.

    E f(t, x₀, ε) ≈ Σ_i w_i f(t_i, x₀_i, ε_i)

gives losses without Monte Carlo. Gauss and Hermite's rule takes ε and each component of x₀, Gauss and Legendre's takes
t. n nodes are exact for polynomials of degree 2n − 1; for other smooth functions the error falls faster than any power
of n.

The trapezoidal rule on a long interval converges faster than any power of the spacing for Gaussian densities and what
is made of them. Its error is that of the Fourier transform at 2π/spacing, so that rounding is all that is left.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ....generative.denoiser import per_sample
from ....generative.paths import GaussianPath
from ....solvers.common import host
from ...oracles import GaussianMixture

__all__ = ["Nodes", "gauss", "hermite", "legendre", "nodes", "trapezoid", "trapezoid_plane"]

Rule = tuple[Tensor, Tensor]
"""Nodes and weights, float64, one axis."""


class Nodes(NamedTuple):
    """t (N,), x₀ and ε (N, 1), and the weights (N,), which sum to the length of the interval of t, or to 1."""

    t: Tensor
    x0: Tensor
    eps: Tensor
    weight: Tensor

    def x(self, path: GaussianPath) -> Tensor:
        """α x₀ + σ ε, (N, 1)."""
        return per_sample(path.alpha(self.t), self.x0) * self.x0 + per_sample(path.sigma(self.t), self.eps) * self.eps

    def mean(self, values: Tensor) -> Tensor:
        """Σ w f for f of shape (N,) or (N, 1)."""
        return (self.weight * values.reshape(-1)).sum()


def hermite(n: int) -> Rule:
    """For E f(ξ), ξ ~ N(0, 1)."""
    x, w = np.polynomial.hermite_e.hermegauss(n)
    return torch.from_numpy(x), torch.from_numpy(w) / math.sqrt(2.0 * math.pi)


def legendre(n: int, low: float = 0.0, high: float = 1.0) -> Rule:
    """For ∫ f dt from low to high."""
    x, w = np.polynomial.legendre.leggauss(n)
    half = 0.5 * (high - low)
    return low + half * (torch.from_numpy(x) + 1.0), half * torch.from_numpy(w)


def trapezoid(a: float, b: float, n: int) -> tuple[Tensor, float]:
    """Nodes (n, 1) of the trapezoidal rule on [a, b], and their common weight."""
    return torch.linspace(a, b, n, dtype=torch.float64, device="cpu").unsqueeze(1), (b - a) / (n - 1)


def trapezoid_plane(a: float, b: float, n: int) -> tuple[Tensor, float]:
    """Nodes (n², 2) of the trapezoidal rule on [a, b]², and their common weight."""
    x, weight = trapezoid(a, b, n)
    return torch.cartesian_prod(x[:, 0], x[:, 0]), weight**2


def gauss(data: GaussianMixture, n: int) -> Rule:
    """For E f(x₀) of a mixture in one dimension, n nodes a component."""
    xi, w = hermite(n)
    deviations = data.covs.reshape(-1, 1).sqrt()
    return (data.means + deviations * xi).flatten(), (data.weights[:, None] * w).flatten()


def nodes(data: GaussianMixture, n: int, times: Rule | float) -> Nodes:
    """The grid of all triples: n nodes for ε, n for each component of x₀, and a rule for t, or one time."""
    t, over_t = (_one(times), _one(1.0)) if isinstance(times, float) else times
    (x0, over_x0), (eps, over_eps) = gauss(data, n), hermite(n)
    grid = torch.cartesian_prod(t, x0, eps)
    weight = torch.cartesian_prod(over_t, over_x0, over_eps).prod(1)
    return Nodes(grid[:, 0], grid[:, 1:2], grid[:, 2:3], weight)


def _one(value: float) -> Tensor:
    return host([value])

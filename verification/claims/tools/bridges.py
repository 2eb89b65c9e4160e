"""A bridge between a mixture and a normal law, with its exact fields: the case whose source is not Gaussian.

x_t = α x₁ + σ x₀ with x₁ ~ N(m, s²) and x₀ ~ Σ_j w_j N(m_j, s_j²), independent, in one dimension. Given the component
j, x_t ~ N(α m + σ m_j, v_j) with v_j = α² s² + σ² s_j², and

    E[x₁ | x_t, j] = m + α s² (x_t − α m − σ m_j)/v_j,      E[x₀ | x_t, j] = m_j + σ s_j² (x_t − α m − σ m_j)/v_j.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ....generative.equations import Interpolant
from ...oracles import GaussianMixture

__all__ = ["Bridge", "quantile_error"]


@dataclass(frozen=True)
class Bridge:
    """The bridge from `source`, a mixture in one dimension, to N(mean, deviation²)."""

    interpolant: Interpolant
    source: GaussianMixture
    mean: float
    deviation: float

    def _components(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """α and σ (B, 1), and for each component the residual over v, v and log w N, (B, K)."""
        path = self.interpolant.path
        alpha, sigma = (torch.as_tensor(f(t[:, None]), device="cpu") for f in (path.alpha, path.sigma))
        means, variances = self.source.means.T, self.source.covs.reshape(1, -1)
        variance = alpha**2 * self.deviation**2 + sigma**2 * variances
        apart = x - alpha * self.mean - sigma * means
        joint = self.source.weights.log() - 0.5 * (apart**2 / variance + variance.log())
        return alpha, sigma, apart / variance, variance, joint

    def velocity(self, x: Tensor, t: Tensor) -> Tensor:
        """E[α' x₁ + σ' x₀ | x_t = x], x (B, 1), t (B,)."""
        alpha, sigma, pull, _, joint = self._components(x, t)
        path, share = self.interpolant.path, joint.softmax(1)
        data = (share * (self.mean + alpha * self.deviation**2 * pull)).sum(1, keepdim=True)
        means, variances = self.source.means.T, self.source.covs.reshape(1, -1)
        source = (share * (means + sigma * variances * pull)).sum(1, keepdim=True)
        return path.d_alpha(t[:, None]) * data + path.d_sigma(t[:, None]) * source

    def score(self, x: Tensor, t: Tensor) -> Tensor:
        """∇ log p_t(x)."""
        _, _, pull, _, joint = self._components(x, t)
        return -(joint.softmax(1) * pull).sum(1, keepdim=True)


def quantile_error(source: GaussianMixture, mean: float, deviation: float, x0: Tensor, x1: Tensor) -> float:
    """How far x₁ is from the monotone map of x₀: the largest |Φ((x₁ − mean)/deviation) − F_source(x₀)|.

    In one dimension the flow between two laws keeps the order, so that it is the map of their quantiles.
    """
    deviations = source.covs.reshape(1, -1).sqrt()
    before = (source.weights * torch.special.ndtr((x0 - source.means.T) / deviations)).sum(1)
    after = torch.special.ndtr((x1[:, 0] - mean) / deviation)
    distance: float = (before - after).abs().max().item()
    return distance

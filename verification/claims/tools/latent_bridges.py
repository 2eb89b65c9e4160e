"""The exact fields of a bridge with latent noise between two mixtures on the line.

x_t = α x₁ + σ x₀ + γ z with x₁ ~ Σ_k w_k N(m_k, s_k²), x₀ ~ Σ_j w_j N(m_j, s_j²) and z ~ N(0, 1), independent. Given
both components x_t ~ N(μ, v) with μ = α m_k + σ m_j and v = α² s_k² + σ² s_j² + γ², and with r = (x_t − μ)/v

    E[x₁ | x_t, j, k] = m_k + α s_k² r,      E[x₀ | x_t, j, k] = m_j + σ s_j² r,      E[z | x_t, j, k] = γ r.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ....generative.paths import GaussianPath
from ...oracles import GaussianMixture

__all__ = ["LatentBridge"]


@dataclass(frozen=True)
class LatentBridge:
    """The bridge from `source` to `data` on `path`, with γ², a function of a tensor t, and its derivative 2 γ γ'."""

    path: GaussianPath
    source: GaussianMixture
    data: GaussianMixture
    square: Callable[[Tensor], Tensor]
    rate: Callable[[Tensor], Tensor]

    def _row(self, t: Tensor) -> tuple[Any, ...]:
        """α, σ, α', σ', each (B, 1)."""
        path, t = self.path, t[:, None]
        return path.alpha(t), path.sigma(t), path.d_alpha(t), path.d_sigma(t)

    def _components(self, x: Tensor, t: Tensor) -> tuple[Tensor, ...]:
        """Of each pair of components r and log w N(x; μ, v), (B, JK), and m and s² of data and source, (JK,)."""
        alpha, sigma, _, _ = self._row(t)
        pairs = [
            torch.meshgrid(of(self.data), of(self.source), indexing="ij")
            for of in (lambda law: law.means[:, 0], lambda law: law.covs[:, 0, 0], lambda law: law.weights)
        ]
        (m1, m0), (v1, v0), (w1, w0) = [[each.flatten() for each in pair] for pair in pairs]
        variance = alpha**2 * v1 + sigma**2 * v0 + self.square(t)[:, None]
        apart = x - alpha * m1 - sigma * m0
        log = (w1 * w0).log() - 0.5 * (apart**2 / variance + variance.log() + math.log(2.0 * math.pi))
        return apart / variance, log, m1, v1, m0, v0

    def log_prob(self, x: Tensor, t: Tensor) -> Tensor:
        """log p_t(x), x (B, 1), t (B,): (B,)."""
        return self._components(x, t)[1].logsumexp(1)

    def velocity(self, x: Tensor, t: Tensor) -> Tensor:
        """E[α' x₁ + σ' x₀ + γ' z | x_t = x]."""
        alpha, sigma, d_alpha, d_sigma = self._row(t)
        pull, log, m1, v1, m0, v0 = self._components(x, t)
        each = d_alpha * (m1 + alpha * v1 * pull) + d_sigma * (m0 + sigma * v0 * pull)
        each = each + 0.5 * self.rate(t)[:, None] * pull
        return (log.softmax(1) * each).sum(1, keepdim=True)

    def score(self, x: Tensor, t: Tensor) -> Tensor:
        """∇ log p_t(x)."""
        pull, log = self._components(x, t)[:2]
        return -(log.softmax(1) * pull).sum(1, keepdim=True)

    def eta(self, x: Tensor, t: Tensor) -> Tensor:
        """E[z | x_t = x] = −γ ∇ log p_t(x)."""
        return -self.square(t).sqrt()[:, None] * self.score(x, t)

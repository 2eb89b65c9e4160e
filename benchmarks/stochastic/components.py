"""Weights, means and covariances of the components of a mixture in a set of samples, in standard errors.

With the exact responsibilities ρ_k(x) = P(k | x) of the law Σ_k w_k N(m_k, C_k), samples of it have

    E ρ_k = w_k,        E ρ_k (x − m_k) = 0,        E ρ_k (y_i y_j − δ_ij) = 0,    y = C_k^{−½} (x − m_k).

Each of these is a mean over n independent samples. Divided by its standard error it is N(0, 1) for samples of the law,
for large n. The root mean square of many such numbers is then about 1, and a fault adds to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...verification import Gaussian, GaussianMixture

__all__ = ["Component", "Components"]


@dataclass(frozen=True)
class Component:
    """One component in a set of samples.

    Attributes:
        share: the mean responsibility, beside the weight of the component.
        weight: the difference of the two in standard errors.
        mean: the root mean square over coordinates of the errors of the mean in standard errors.
        cov: the same of the entries of the covariance.
    """

    share: float
    weight: float
    mean: float
    cov: float


@dataclass(frozen=True)
class Components:
    """All components in a set of samples, and the root mean squares over them; each is about 1 for the exact law."""

    each: tuple[Component, ...]

    @classmethod
    def of(cls, x: Tensor, law: GaussianMixture) -> Components:
        """The components of a law in samples (n, d), float64."""
        parts = list(zip(law.weights, law.means, law.covs, strict=True))
        joint = torch.stack([weight.log() + Gaussian(mean, cov).log_prob(x) for weight, mean, cov in parts], dim=1)
        shares = torch.softmax(joint, dim=1)
        found = []
        for share, (weight, mean, cov) in zip(shares.T, parts, strict=True):
            white = torch.linalg.solve_triangular(torch.linalg.cholesky(cov), (x - mean).T, upper=False).T
            found.append(
                Component(
                    float(share.mean()),
                    float(_errors(share - weight)),
                    _rms(_errors(share[:, None] * white)),
                    _rms(_second(share[:, None], white)),
                )
            )
        return cls(tuple(found))

    @property
    def weights(self) -> float:
        return _rms(torch.tensor([each.weight for each in self.each]))

    @property
    def means(self) -> float:
        return _rms(torch.tensor([each.mean for each in self.each]))

    @property
    def covs(self) -> float:
        return _rms(torch.tensor([each.cov for each in self.each]))


def _second(share: Tensor, white: Tensor) -> Tensor:
    """The errors of E ρ (y_i y_j − δ_ij) in standard errors, (d, d): matrix products instead of d² columns."""
    n, own = len(white), torch.eye(white.shape[1], dtype=white.dtype, device=white.device)
    squared = share.square() * white.square()
    mean = (share * white).T @ white / n - own * share.mean()
    square = squared.T @ white.square() / n - own * (2.0 * squared.mean(0) - share.square().mean())
    return _scaled(mean, square, n)


def _errors(values: Tensor) -> Tensor:
    """The mean of each column in standard errors."""
    return _scaled(values.mean(0), values.square().mean(0), len(values))


def _scaled(mean: Tensor, square: Tensor, n: int) -> Tensor:
    """Means of n numbers in standard errors, from the means of their squares; 0 where all of them are 0."""
    return mean / ((square - mean.square()).clamp_min(1e-300) / n).sqrt()


def _rms(values: Tensor) -> float:
    return float(values.double().square().mean().sqrt())

"""Weights, means and covariances of the components of a mixture in a set of samples, in standard errors.

With the exact responsibilities ρ_k(x) = P(k | x) of the law Σ_k w_k N(m_k, C_k), samples of it have

    E ρ_k = w_k,        E ρ_k (x − m_k) = 0,        E ρ_k (y_i y_j − δ_ij) = 0,    y = C_k^{−½} (x − m_k).

Each of these is a mean over n independent samples. Divided by the standard error that it has for n samples of the law,
it is N(0, 1) for samples of the law and large n. The root mean square of many such numbers is then about 1, and a fault
adds to it. The standard errors are those of a set of reference samples: the samples at hand may be anything, and those
that are far off would hide themselves in a large standard error of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

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
    def of(cls, x: Tensor, law: GaussianMixture, reference: Tensor) -> Components:
        """The components of a law in samples x (n, d), float64, with standard errors by reference samples (m, d)."""
        found = []
        for (share, errors), (_, exact) in zip(_parts(x, law), _parts(reference, law), strict=True):
            weight, mean, cov = (
                one.mean / ((other.square - other.mean.square()).clamp_min(1e-300) / len(x)).sqrt()
                for one, other in zip(errors, exact, strict=True)
            )
            found.append(Component(share, float(weight), _rms(mean), _rms(cov)))
        return cls(tuple(found))

    @property
    def weights(self) -> float:
        return _rms(torch.tensor([each.weight for each in self.each], device="cpu"))

    @property
    def means(self) -> float:
        return _rms(torch.tensor([each.mean for each in self.each], device="cpu"))

    @property
    def covs(self) -> float:
        return _rms(torch.tensor([each.cov for each in self.each], device="cpu"))


class _Errors(NamedTuple):
    """Means over samples of what is 0 in the mean for the law, and the means of its squares."""

    mean: Tensor
    square: Tensor


def _parts(x: Tensor, law: GaussianMixture) -> list[tuple[float, tuple[_Errors, _Errors, _Errors]]]:
    """For each component its share, and the errors of its weight (), its mean (d,) and its covariance (d, d)."""
    parts = list(zip(law.weights, law.means, law.covs, strict=True))
    joint = torch.stack([weight.log() + Gaussian(mean, cov).log_prob(x) for weight, mean, cov in parts], dim=1)
    found = []
    for share, (weight, mean, cov) in zip(torch.softmax(joint, dim=1).T, parts, strict=True):
        white = torch.linalg.solve_triangular(torch.linalg.cholesky(cov), (x - mean).T, upper=False).T
        shifted, column = share[:, None] * white, share - weight
        errors = (
            _Errors(column.mean(), column.square().mean()),
            _Errors(shifted.mean(0), shifted.square().mean(0)),
            _second(share[:, None], white),
        )
        found.append((float(share.mean()), errors))
    return found


def _second(share: Tensor, white: Tensor) -> _Errors:
    """The errors ρ (y_i y_j − δ_ij), by matrix products instead of d² columns."""
    n, own = len(white), torch.eye(white.shape[1], dtype=white.dtype, device=white.device)
    squared = share.square() * white.square()
    mean = (share * white).T @ white / n - own * share.mean()
    return _Errors(mean, squared.T @ white.square() / n - own * (2.0 * squared.mean(0) - share.square().mean()))


def _rms(values: Tensor) -> float:
    return float(values.double().square().mean().sqrt())

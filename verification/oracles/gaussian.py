"""Exact fields of a Gaussian mixture under any Gaussian path x_t = α x₀ + σ ε.

With x₀ ~ Σ_k w_k N(m_k, C_k) and C_k = Q_k diag(c_k) Q_kᵀ, the law at time t is again a mixture,

    p_t = Σ_k w_k N(α m_k, Q_k diag(v_k) Q_kᵀ),    v_k = α² c_k + σ²,

and given its component k, the denoiser D = E[x₀ | x_t] and the score s are linear in x_t. In the eigenbasis,
y_k = Q_kᵀ (x_t − α m_k),

    p D + r s = p m_k + Q_k diag(g_k / v_k) y_k,    g_k = p α c_k − r,

which the shares ρ_k = P(k | x_t) average over k. Every field is one row (p, r) of this formula (see `base`).
The covariances are decomposed once, at construction, so that a field costs two matrix products; and since
v_k > 0 everywhere, the fields are finite at both ends, σ = 0 and α = 0, without a special case.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ...generative.paths import GaussianPath, Real, Scalar
from ...solvers import standard_normal
from ...solvers.common import check_finite, check_floating, real
from .arguments import check_weights, checked_time, coefficients
from .base import Oracle

__all__ = ["Gaussian", "GaussianMixture"]


class _Posterior(NamedTuple):
    """The evidence and the residual of each component given x_t."""

    alpha: Scalar  # per-sample times: (B, 1, 1)
    variance: Tensor  # v_k: (K, d), per-sample times (B, K, d)
    whitened: Tensor  # y_k / v_k: (B, K, d)
    log_joint: Tensor  # log w_k N(x_t; α m_k, V_k): (B, K)

    @property
    def share(self) -> Tensor:
        """ρ_k = P(k | x_t), shape (B, K)."""
        return torch.softmax(self.log_joint, dim=-1)


class GaussianMixture(Oracle):
    """Σ_k w_k N(m_k, C_k) with its exact fields at every time of a Gaussian path. `flow_map` is for d = 1.

    Args:
        weights: w, (K,), positive with sum 1, of a floating dtype, which is also that of the states (B, d).
        means: m, (K, d).
        covs: C, (K, d, d), symmetric and positive definite.

    Raises:
        TypeError: parameters that are no tensors of floats.
        ValueError: parameters that do not fit or are not finite.

    Source: Albergo et al. (2303.08797), the appendix on Gaussian mixtures, with a normal law at one end.
    """

    def __init__(self, weights: Tensor, means: Tensor, covs: Tensor) -> None:
        _check_parameters(weights, means, covs)
        values, vectors = torch.linalg.eigh(covs.double())
        if not bool((values > torch.finfo(covs.dtype).eps * values.amax(-1, keepdim=True)).all()):
            raise ValueError(
                f"A covariance has the eigenvalue {values.min().item():.3g}, but all must be positive; "
                "add a small multiple of the identity."
            )
        components, dim = means.shape
        self.weights, self.means, self.covs = weights, means, covs
        self._log_weights = weights.log()
        self._spectrum = values.to(means)  # c_k
        self._basis = vectors.to(means)  # Q_k
        self._centres = torch.einsum("kdi,kd->ki", self._basis, means)  # Q_kᵀ m_k
        # All Q_k in a row lead into every eigenbasis at once; all Q_kᵀ in a column lead back and sum over k.
        self._into = self._basis.permute(1, 0, 2).reshape(dim, components * dim)
        self._back = self._into.T.contiguous()

    @property
    def _like(self) -> Tensor:
        return self.means

    def _draw(self, n: int, seed: int) -> Tensor:
        normals = standard_normal(self.means.new_empty(n, 1 + self.means.shape[1]), seed)
        quantile = torch.special.ndtr(normals[:, 0])
        k = torch.searchsorted(self.weights.cumsum(0)[:-1].contiguous(), quantile)
        scaled = self._spectrum[k].sqrt() * normals[:, 1:]
        return self.means[k] + torch.einsum("bdi,bi->bd", self._basis[k], scaled)

    def _moments(self) -> tuple[Tensor, Tensor]:
        mean = self.weights @ self.means
        apart = self.means - mean
        within = torch.einsum("k,kij->ij", self.weights, self.covs)
        return mean, within + torch.einsum("k,ki,kj->ij", self.weights, apart, apart)

    def _characteristic(self, frequency: Tensor) -> Tensor:
        """Σ_k w_k exp(i ω·m_k − ωᵀ C_k ω / 2)."""
        decay = -0.5 * torch.einsum("ni,kij,nj->nk", frequency, self.covs, frequency)
        waves = torch.exp(torch.complex(decay, frequency @ self.means.T))
        return waves @ self.weights.to(waves)

    def _log_prob(self, x: Tensor, alpha: Scalar, sigma: Scalar) -> Tensor:
        return torch.logsumexp(self._posterior(x, alpha, sigma).log_joint, dim=-1)

    def _log_cdf(self, x: Tensor, alpha: Scalar, sigma: Scalar, upper: Tensor) -> Tensor:
        posterior = self._posterior(x, alpha, sigma)
        deviate = (posterior.whitened * posterior.variance.sqrt())[..., 0]
        deviate = torch.where(upper[:, None], -deviate, deviate)
        return torch.logsumexp(self._log_weights + torch.special.log_ndtr(deviate), dim=-1)

    def _mean(self, x: Tensor, alpha: Scalar, sigma: Scalar, p: Scalar, r: Scalar) -> Tensor:
        posterior = self._posterior(x, alpha, sigma)
        return self._average(posterior, _column(p), self._gain(posterior, p, r))

    def _divergence(self, x: Tensor, alpha: Scalar, sigma: Scalar, p: Scalar, r: Scalar) -> Tensor:
        """With s_k and u_k the score and the field of component k, ∇·u_k = Σ_i g_ki / v_ki, and
        ∇·Σ ρ_k u_k = Σ ρ_k (∇·u_k + s_k·(u_k − u)), since ∇ρ_k = ρ_k (s_k − Σ_j ρ_j s_j).
        """
        posterior = self._posterior(x, alpha, sigma)
        gain = self._gain(posterior, p, r)
        share = posterior.share.unsqueeze(-1)
        basis, whitened = self._basis, posterior.whitened
        scores = -torch.einsum("bki,kdi->bkd", whitened, basis)
        fields = _column(p) * self.means + torch.einsum("bki,kdi->bkd", gain * whitened, basis)
        fields = fields - (share * fields).sum(1, keepdim=True)
        total: Tensor = (share * (gain / posterior.variance + scores * fields)).sum((1, 2))
        return total

    def _posterior(self, x: Tensor, alpha: Scalar, sigma: Scalar) -> _Posterior:
        components, dim = self.means.shape
        alpha, sigma = _column(alpha), _column(sigma)
        variance = alpha**2 * self._spectrum + sigma**2
        residual = (x @ self._into).unflatten(1, (components, dim)) - alpha * self._centres
        whitened = residual / variance
        distance = (residual * whitened).sum(-1)
        log_normal = -0.5 * (distance + variance.log().sum(-1) + dim * math.log(2.0 * math.pi))
        return _Posterior(alpha, variance, whitened, self._log_weights + log_normal)

    def _gain(self, posterior: _Posterior, p: Scalar, r: Scalar) -> Tensor:
        """g_k = p α c_k − r, (K, d), or for times per sample (B, K, d)."""
        gain: Tensor = _column(p) * posterior.alpha * self._spectrum - _column(r)
        return gain

    def _average(self, posterior: _Posterior, p: Scalar, gain: Tensor) -> Tensor:
        """Σ_k ρ_k (p m_k + Q_k (gain_k y_k / v_k)), shape (B, d)."""
        share = posterior.share.unsqueeze(-1)
        centres: Tensor = (share * p).squeeze(-1) @ self.means
        spreads: Tensor = (share * gain * posterior.whitened).flatten(1) @ self._back
        return centres + spreads


class Gaussian(GaussianMixture):
    """N(mean, cov): a mixture of one component, with the flow in closed form.

    Args:
        mean: (d,), floating point.
        cov: (d, d), symmetric and positive definite, of the same dtype.

    Raises:
        TypeError: parameters that are no tensors of floats.
        ValueError: parameters that do not fit or are not finite.
    """

    def __init__(self, mean: Tensor, cov: Tensor) -> None:
        check_floating("mean", mean)
        check_floating("cov", cov)
        if mean.ndim != 1 or cov.shape != (*mean.shape, *mean.shape):
            raise ValueError(f"mean and cov have the shapes {tuple(mean.shape)} and {tuple(cov.shape)}; "
                             "give (d,) and (d, d).")
        super().__init__(mean.new_ones(1), mean.unsqueeze(0), cov.unsqueeze(0))

    def flow_map(self, x: Tensor, s: Scalar, t: Scalar, path: GaussianPath) -> Tensor:
        """The probability flow from time s to time t, in either direction, (B, d).

        Every whitened coordinate is constant along it: y_t = √(v_t / v_s) y_s, so that with C = Q diag(c) Qᵀ
        x_t = α_t m + Q diag(√((α_t² c + σ_t²) / (α_s² c + σ_s²))) Qᵀ (x_s − α_s m).
        """
        x, s = self._at(x, s, path)
        start = self._posterior(x, *coefficients(x, s, path))
        alpha, sigma = map(_column, coefficients(x, checked_time(t, path), path))
        stretch = ((alpha**2 * self._spectrum + sigma**2) * start.variance).sqrt()
        return self._average(start, alpha, stretch)

    def entropy(self, t: float = 1.0, path: GaussianPath | None = None) -> float:
        """−∫ p_t log p_t in nats, at one time t; without a path that of x₀."""
        alpha, sigma = coefficients(self.means, real("t", checked_time(t, path)), path)
        variance = alpha**2 * self._spectrum + sigma**2
        return 0.5 * float((variance.double() * (2.0 * math.pi * math.e)).log().sum())


def _column(coefficient: Real) -> Real:
    """A coefficient (B,) as (B, 1, 1); a float stays as it is."""
    return coefficient.reshape(-1, 1, 1) if isinstance(coefficient, Tensor) else coefficient


def _check_parameters(weights: Tensor, means: Tensor, covs: Tensor) -> None:
    """Raises TypeError or ValueError unless the parameters make a mixture and have one floating dtype."""
    for name, value in (("weights", weights), ("means", means), ("covs", covs)):
        check_floating(name, value)
    k, d = (*means.shape, 0, 0)[:2]
    if means.ndim != 2 or weights.shape != (k,) or covs.shape != (k, d, d) or k * d == 0:
        shapes = f"{tuple(weights.shape)}, {tuple(means.shape)} and {tuple(covs.shape)}"
        raise ValueError(f"Weights, means and covs have the shapes {shapes}; give (K,), (K, d), (K, d, d).")
    if not weights.dtype == means.dtype == covs.dtype:
        dtypes = f"{weights.dtype}, {means.dtype} and {covs.dtype}"
        raise ValueError(f"Weights, means and covs are {dtypes}; give one floating dtype to all.")
    check_weights("weights", weights, k, means.dtype, "components")
    check_finite("The square of means", means.square())
    check_finite("covs", covs)
    tolerance = math.sqrt(torch.finfo(means.dtype).eps)
    if not bool(((covs - covs.mT).abs() <= tolerance * covs.abs().amax((-2, -1), keepdim=True)).all()):
        raise ValueError("A covariance is not symmetric; give (cov + cov.mT) / 2.")

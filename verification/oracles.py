"""Exact fields of a Gaussian mixture under any Gaussian path x_t = α x₀ + σ ε.

With x₀ ~ Σ_k w_k N(m_k, C_k) and C_k = Q_k diag(c_k) Q_kᵀ, the law at time t is again a mixture,

    p_t = Σ_k w_k N(α m_k, Q_k diag(v_k) Q_kᵀ),    v_k = α² c_k + σ²,

and given its component k, x₀ and ε are linear in x_t. In the eigenbasis, y_k = Q_kᵀ (x_t − α m_k),

    E[p x₀ + q ε | x_t, k] = p m_k + Q_k diag(g_k / v_k) y_k,    g_k = p α c_k + q σ,

which the shares ρ_k = P(k | x_t) average over k. Every field below is one row (p, q) of this formula.
The covariances are decomposed once, at construction, so that a field costs two matrix products; and since
v_k > 0 everywhere, the fields are finite at both ends, σ = 0 and α = 0, without a special case.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ..generative.denoiser import Denoiser
from ..generative.elementary import Real
from ..generative.path import GaussianPath
from ..solvers import standard_normal

__all__ = ["Gaussian", "GaussianMixture"]


class _Posterior(NamedTuple):
    """What x_t tells: the path's coefficients, and for each component its evidence and its residual."""

    alpha: Real  # per-sample times: (B, 1, 1)
    sigma: Real
    variance: Tensor  # v_k: (K, d), per-sample times (B, K, d)
    whitened: Tensor  # y_k / v_k: (B, K, d)
    log_joint: Tensor  # log w_k N(x_t; α m_k, V_k): (B, K)

    @property
    def share(self) -> Tensor:
        """ρ_k = P(k | x_t), shape (B, K)."""
        return torch.softmax(self.log_joint, dim=-1)


class GaussianMixture:
    """Σ_k w_k N(m_k, C_k) with its exact fields at every time of a Gaussian path.

    weights (K,), means (K, d), covs (K, d, d), all of one floating dtype, which is also that of the states
    x (B, d). A time is one float, or a tensor (B,) with a time for each sample.

    Raises ValueError for weights that are not positive with sum 1, for covariances that are not symmetric and
    positive definite, and for states or times of another shape or dtype.

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

    def sample(self, n: int, seed: int) -> Tensor:
        """n draws of x₀, shape (n, d); row i depends on (seed, i) alone."""
        normals = standard_normal(self.means.new_empty(n, 1 + self.means.shape[1]), seed)
        quantile = torch.special.ndtr(normals[:, 0])
        k = torch.searchsorted(self.weights.cumsum(0)[:-1].contiguous(), quantile)
        scaled = self._spectrum[k].sqrt() * normals[:, 1:]
        return self.means[k] + torch.einsum("bdi,bi->bd", self._basis[k], scaled)

    def log_prob(self, x: Tensor, t: Real = 1.0, path: GaussianPath | None = None) -> Tensor:
        """log p_t(x), shape (B,); without a path, the log density of the data itself."""
        return torch.logsumexp(self._posterior(x, t, path).log_joint, dim=-1)

    def score(self, x: Tensor, t: Real, path: GaussianPath) -> Tensor:
        """∇ log p_t(x) = −E[ε | x_t] / σ (Karras et al. 2206.00364, eq. 3); with g_k = −1 finite at σ = 0."""
        return self._average(self._posterior(x, t, path), 0.0, -1.0)

    def x0(self, x: Tensor, t: Real, path: GaussianPath) -> Tensor:
        """E[x₀ | x_t], the ideal denoiser (Karras et al. 2206.00364, appendix B.3): p = 1, q = 0."""
        posterior = self._posterior(x, t, path)
        return self._average(posterior, 1.0, posterior.alpha * self._spectrum)

    def eps(self, x: Tensor, t: Real, path: GaussianPath) -> Tensor:
        """E[ε | x_t] = −σ ∇ log p_t(x): p = 0, q = 1."""
        posterior = self._posterior(x, t, path)
        return self._average(posterior, 0.0, posterior.sigma)

    def v(self, x: Tensor, t: Real, path: GaussianPath) -> Tensor:
        """α E[ε | x_t] − σ E[x₀ | x_t] (Salimans and Ho 2202.00512, section 4): p = −σ, q = α."""
        posterior = self._posterior(x, t, path)
        alpha, sigma = posterior.alpha, posterior.sigma
        return self._average(posterior, -sigma, alpha * sigma * (1.0 - self._spectrum))

    def velocity(self, x: Tensor, t: Real, path: GaussianPath) -> Tensor:
        """α' E[x₀ | x_t] + σ' E[ε | x_t], the probability flow (Song et al. 2011.13456, eq. 13).

        Raises ValueError at a time where σ' is infinite (VP at t = 1).
        """
        posterior = self._posterior(x, t, path)
        d_alpha, gain = self._flow(posterior, x, t, path)
        return self._average(posterior, d_alpha, gain)

    def divergence(self, x: Tensor, t: Real, path: GaussianPath) -> Tensor:
        """∇·velocity, shape (B,).

        With s_k and u_k the score and the velocity of component k, ∇·u_k = Σ_i g_ki / v_ki, and
        ∇·Σ ρ_k u_k = Σ ρ_k (∇·u_k + s_k·(u_k − u)), since ∇ρ_k = ρ_k (s_k − Σ_j ρ_j s_j).
        """
        posterior = self._posterior(x, t, path)
        d_alpha, gain = self._flow(posterior, x, t, path)
        share = posterior.share.unsqueeze(-1)
        basis, whitened = self._basis, posterior.whitened
        scores = -torch.einsum("bki,kdi->bkd", whitened, basis)
        velocities = d_alpha * self.means + torch.einsum("bki,kdi->bkd", gain * whitened, basis)
        velocities = velocities - (share * velocities).sum(1, keepdim=True)
        return (share * (gain / posterior.variance + scores * velocities)).sum((1, 2))

    def denoiser(self, path: GaussianPath) -> Denoiser:
        """The exact network. It predicts v, from which x₀ and ε are recovered stably at both ends."""

        def exact(x: Tensor, time: Tensor) -> Tensor:
            return self.v(x, time, path)

        return Denoiser(exact, path, predicts="v")

    def _posterior(self, x: Tensor, t: Real, path: GaussianPath | None) -> _Posterior:
        components, dim = self.means.shape
        if x.ndim != 2 or x.shape[1] != dim or x.dtype != self.means.dtype:
            raise ValueError(
                f"The state is {x.dtype} of shape {tuple(x.shape)}, but this oracle needs {self.means.dtype} "
                f"of shape (B, {dim}); convert the state, or build the oracle from {x.dtype}."
            )
        alpha, sigma = _coefficients(x, t, path)
        variance = alpha**2 * self._spectrum + sigma**2
        residual = (x @ self._into).unflatten(1, (components, dim)) - alpha * self._centres
        whitened = residual / variance
        distance = (residual * whitened).sum(-1)
        log_normal = -0.5 * (distance + variance.log().sum(-1) + dim * math.log(2.0 * math.pi))
        return _Posterior(alpha, sigma, variance, whitened, self._log_weights + log_normal)

    def _average(self, posterior: _Posterior, p: Real, gain: Real) -> Tensor:
        """Σ_k ρ_k (p m_k + Q_k (gain_k y_k / v_k)), shape (B, d)."""
        share = posterior.share.unsqueeze(-1)
        centres: Tensor = (share * p).squeeze(-1) @ self.means
        spreads: Tensor = (share * gain * posterior.whitened).flatten(1) @ self._back
        return centres + spreads

    def _flow(self, posterior: _Posterior, x: Tensor, t: Real, path: GaussianPath) -> tuple[Real, Tensor]:
        """(p, g_k) of the velocity: p = α', g_k = α α' c_k + σ σ'."""
        d_alpha, d_sigma = _per_sample(path.d_alpha, t, x), _per_sample(path.d_sigma, t, x)
        if not isinstance(d_sigma, Tensor) and math.isinf(d_sigma):
            raise ValueError(f"The slope of sigma is infinite at t = {t:g} on {path}; take an earlier time.")
        return d_alpha, posterior.alpha * d_alpha * self._spectrum + posterior.sigma * d_sigma


class Gaussian(GaussianMixture):
    """N(mean, cov), mean (d,), cov (d, d): the mixture of one component, with its flow in closed form."""

    def __init__(self, mean: Tensor, cov: Tensor) -> None:
        super().__init__(mean.new_ones(1), mean.unsqueeze(0), cov.unsqueeze(0))

    def flow_map(self, x: Tensor, s: Real, t: Real, path: GaussianPath) -> Tensor:
        """The probability flow from time s to time t, in either direction, shape (B, d).

        Along it every whitened coordinate is constant: y_t = √(v_t / v_s) y_s, so that with C = Q diag(c) Qᵀ
        x_t = α_t m + Q diag(√((α_t² c + σ_t²) / (α_s² c + σ_s²))) Qᵀ (x_s − α_s m).
        """
        start = self._posterior(x, s, path)
        alpha, sigma = _coefficients(x, t, path)
        stretch = ((alpha**2 * self._spectrum + sigma**2) * start.variance).sqrt()
        return self._average(start, alpha, stretch)


def _per_sample(coefficient: Callable[[Real], Real], t: Real, x: Tensor) -> Real:
    """A coefficient of the path at t: a float, or for times of shape (B,) a tensor (B, 1, 1) in x's dtype."""
    if not isinstance(t, Tensor):
        return coefficient(t)
    if t.shape not in ((), x.shape[:1]):
        raise ValueError(
            f"The times have shape {tuple(t.shape)}; give one float, or one for each of the {len(x)} samples."
        )
    value = coefficient(t.reshape(-1, 1, 1))
    return value.to(x) if isinstance(value, Tensor) else value


def _coefficients(x: Tensor, t: Real, path: GaussianPath | None) -> tuple[Real, Real]:
    """(α, σ) at t; without a path only the data itself, (1, 0) at t = 1."""
    if path is not None:
        return _per_sample(path.alpha, t, x), _per_sample(path.sigma, t, x)
    if isinstance(t, Tensor) or t != 1.0:
        raise ValueError("The law at a time other than t = 1 depends on the path; give path=.")
    return 1.0, 0.0


def _check_parameters(weights: Tensor, means: Tensor, covs: Tensor) -> None:
    """Raises ValueError unless these are the parameters of a mixture, all of one floating dtype."""
    k, d = (*means.shape, 0, 0)[:2]
    if means.ndim != 2 or weights.shape != (k,) or covs.shape != (k, d, d) or k * d == 0:
        shapes = f"{tuple(weights.shape)}, {tuple(means.shape)} and {tuple(covs.shape)}"
        raise ValueError(f"Weights, means and covs have the shapes {shapes}; give (K,), (K, d), (K, d, d).")
    if not (means.is_floating_point() and weights.dtype == means.dtype == covs.dtype):
        dtypes = f"{weights.dtype}, {means.dtype} and {covs.dtype}"
        raise ValueError(f"Weights, means and covs are {dtypes}; give one floating dtype to all.")
    tolerance = math.sqrt(torch.finfo(means.dtype).eps)
    total = weights.double().sum().item()
    if not (bool((weights > 0.0).all()) and abs(total - 1.0) < tolerance):
        raise ValueError(f"The weights {weights.tolist()} have sum {total:g}; give positive ones with sum 1.")
    if not bool(((covs - covs.mT).abs() <= tolerance * covs.abs().amax((-2, -1), keepdim=True)).all()):
        raise ValueError("A covariance is not symmetric; give (cov + cov.mT) / 2.")

"""The empirical measure of a data set, Σ_i w_i δ(x₀ − y_i), and its exact kernel denoiser.

At σ > 0 the law is a mixture of normals of width σ around α y_i, and the posterior of x₀ given x_t sits on the data,

    w_i(x) ∝ w_i exp(−‖x − α y_i‖²/2σ²),    D = Σ_i w_i(x) y_i,    s = (α D − x)/σ²,

with the divergences, V = Σ_i w_i(x) ‖y_i − D‖²,

    ∇·D = α V/σ²,    ∇·s = α² V/σ⁴ − d/σ².

A perfect training on a finite data set would find this network; its samples are the data themselves. The sums run over
chunks of the data, relative to the smallest distance so far. So memory does not grow with the data, and the limit σ → 0
(D is the nearest data point, or the mean of several that are equally near) needs no special case.

A point mass is the measure of one point. The flow is known in every dimension: ε = (x − α y)/σ is constant along it.

Sources: Karras et al. (2206.00364), eq. 57, for the denoiser; Scarvelis et al., Closed-Form Diffusion Models
(2310.12395), section 3.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ...generative.paths import GaussianPath, Scalar
from ...solvers import standard_normal
from ...solvers.common import check_finite, check_floating, matching, whole
from .arguments import broadcast, check_weights, checked_time, coefficients
from .base import Oracle

__all__ = ["Empirical", "PointMass"]


class Empirical(Oracle):
    """The empirical measure of data.

    There is no density where σ = 0: `log_prob`, `score` and `divergence` raise ValueError at a float time with σ = 0.

    Args:
        data: (n, *shape), of a floating dtype, which is also that of the states (B, *shape).
        weights: (n,), positive with sum 1, of the data's dtype; None for equal weights.
        chunk: how many data points are compared at a time.

    Raises:
        TypeError: data or weights that are no tensors of floats.
        ValueError: data without a sample or that are not finite, weights that do not fit the data, or chunk < 1.
    """

    def __init__(self, data: Tensor, weights: Tensor | None = None, *, chunk: int = 4096) -> None:
        check_floating("data", data)
        if data.ndim < 2 or data.numel() == 0:
            raise ValueError(f"The data are {data.dtype} of shape {tuple(data.shape)}; give floats of shape (n, d).")
        check_finite("The square of data", data.square())
        n = len(data)
        weights = data.new_full((n,), 1.0 / n) if weights is None else weights
        check_weights("weights", weights, n, data.dtype, "data points")
        self.data, self.weights, self.chunk = data, weights, whole("chunk", chunk, 1)
        self._flat = data.flatten(1)

    @property
    def _like(self) -> Tensor:
        return self.data

    def _draw(self, n: int, seed: int) -> Tensor:
        quantile = torch.special.ndtr(standard_normal(self.data.new_empty(n, 1), seed)[:, 0])
        return self.data[torch.searchsorted(self.weights.cumsum(0)[:-1].contiguous(), quantile)]

    def _moments(self) -> tuple[Tensor, Tensor]:
        mean = self.weights @ self._flat
        apart = self._flat - mean
        return mean, (self.weights[:, None] * apart).T @ apart

    def _characteristic(self, frequency: Tensor) -> Tensor:
        """Σ_i w_i exp(i ω·y_i)."""
        total = frequency.new_zeros(len(frequency), dtype=torch.promote_types(frequency.dtype, torch.complex64))
        for points, weights in self._chunks():
            phase = frequency @ points.T
            total = total + torch.polar(weights.expand_as(phase), phase).sum(1)
        return total

    def _log_prob(self, x: Tensor, alpha: Scalar, sigma: Scalar) -> Tensor:
        _check_noise(sigma, "a density")
        nearest, mass, _ = self._kernel(x, alpha, sigma)
        variance = matching(sigma, x) ** 2
        return mass.log() - nearest / (2.0 * variance) - 0.5 * self._flat.shape[1] * (2.0 * math.pi * variance).log()

    def _mean(self, x: Tensor, alpha: Scalar, sigma: Scalar, p: Scalar, r: Scalar) -> Tensor:
        mean = self._kernel(x, alpha, sigma)[2].reshape(x.shape)
        fraction = _over_variance(r, sigma, x, "a score")
        return broadcast(p, x) * mean + broadcast(fraction, x) * (broadcast(alpha, x) * mean - x)

    def _divergence(self, x: Tensor, alpha: Scalar, sigma: Scalar, p: Scalar, r: Scalar) -> Tensor:
        _check_noise(sigma, "a finite divergence")
        nearest, mass, mean = self._kernel(x, alpha, sigma)
        spread = torch.zeros_like(mass)
        for kernel, points in self._kernels(x, alpha, sigma, nearest):
            spread = spread + (kernel * _squared_distances(mean, points)).sum(1)
        fraction = _over_variance(r, sigma, x, "a score")
        share = alpha * spread / mass / _variance(sigma, x)
        return (p + fraction * alpha) * share - fraction * self._flat.shape[1]

    def _log_cdf(self, x: Tensor, alpha: Scalar, sigma: Scalar, upper: Tensor) -> Tensor:
        alpha, sigma = broadcast(alpha, x), matching(sigma, x).clamp(min=_tiny(x) ** 0.25)
        total = x.new_full((len(x),), -math.inf)
        for points, weights in self._chunks():
            deviate = (x - alpha * points.T) / broadcast(sigma, x)
            terms = weights.log() + torch.special.log_ndtr(torch.where(upper[:, None], -deviate, deviate))
            total = torch.logaddexp(total, torch.logsumexp(terms, dim=1))
        return total

    def _kernel(self, x: Tensor, alpha: Scalar, sigma: Scalar) -> tuple[Tensor, Tensor, Tensor]:
        """The least ‖x − α y_i‖² (B,), Σ w_i k_i relative to it (B,), and D, flat (B, d)."""
        flat, double = x.flatten(1), 2.0 * _variance(sigma, x)
        nearest = x.new_full((len(x),), torch.finfo(x.dtype).max ** 0.5)  # not inf, which has no gradient
        mass, total = torch.zeros_like(nearest), torch.zeros_like(flat)
        for points, weights in self._chunks():
            squares = _squared_distances(flat, points, alpha)
            least = torch.minimum(nearest, squares.amin(1))
            kept = torch.exp((least - nearest) / double)
            kernel = weights * torch.exp((least - squares.T) / double).T
            mass, total, nearest = kept * mass + kernel.sum(1), kept[:, None] * total + kernel @ points, least
        return nearest, mass, total / mass[:, None]

    def _kernels(self, x: Tensor, alpha: Scalar, sigma: Scalar, nearest: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """w_i k_i (B, n) relative to the least distance, and the points, chunk by chunk."""
        flat, double = x.flatten(1), 2.0 * _variance(sigma, x)
        for points, weights in self._chunks():
            squares = _squared_distances(flat, points, alpha)
            yield weights * torch.exp((nearest - squares.T) / double).T, points

    def _chunks(self) -> Iterator[tuple[Tensor, Tensor]]:
        return zip(torch.split(self._flat, self.chunk), torch.split(self.weights, self.chunk), strict=True)


class PointMass(Empirical):
    """All mass in one point (*shape) of a floating dtype: the simplest oracle, whose flow is straight under CondOT.

    Raises TypeError for what is no tensor of floats, and ValueError for a point without an axis or that is not finite.
    """

    def __init__(self, point: Tensor) -> None:
        check_floating("point", point)
        super().__init__(point.unsqueeze(0))

    def flow_map(self, x: Tensor, s: Scalar, t: Scalar, path: GaussianPath) -> Tensor:
        """α_t y + (σ_t/σ_s) (x − α_s y), (B, *shape). Raises ValueError at a float s with σ_s = 0."""
        x, s = self._at(x, s, path)
        alpha_s, sigma_s = coefficients(x, s, path)
        alpha_t, sigma_t = coefficients(x, checked_time(t, path), path)
        _check_noise(sigma_s, "a way back")
        point = self.data[0]
        eps = (x - broadcast(alpha_s, x) * point) / broadcast(sigma_s, x)
        return broadcast(alpha_t, x) * point + broadcast(sigma_t, x) * eps


def _squared_distances(x: Tensor, points: Tensor, alpha: Scalar = 1.0) -> Tensor:
    """‖x_b − α_b y_i‖², (B, n), from differences: the products of x and y would cancel where σ is small."""
    if isinstance(alpha, Tensor):
        return (x[:, None] - alpha[:, None, None] * points).square().sum(-1)
    return torch.cdist(x, alpha * points, compute_mode="donot_use_mm_for_euclid_dist").square()


def _tiny(x: Tensor) -> float:
    return torch.finfo(x.dtype).tiny


def _variance(sigma: Scalar, x: Tensor) -> Tensor:
    """σ², bounded away from zero, where the quotients have their limits; a scalar or (B,)."""
    return (torch.as_tensor(sigma, dtype=x.dtype, device=x.device) ** 2).clamp(min=_tiny(x))


def _over_variance(r: Scalar, sigma: Scalar, x: Tensor, what: str) -> Scalar:
    """r/σ², which is 0 where r is."""
    if not isinstance(r, Tensor):
        if r == 0.0:
            return 0.0
        _check_noise(sigma, what)
    return r / _variance(sigma, x)


def _check_noise(sigma: Scalar, what: str) -> None:
    if not isinstance(sigma, Tensor) and sigma == 0.0:
        raise ValueError(f"A measure of single points has not got {what} where σ = 0; take an earlier time.")

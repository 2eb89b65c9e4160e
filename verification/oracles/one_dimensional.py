"""The uniform law and Laplace's, by quadrature.

Both laws consist of pieces with a log-linear density, p(y) = e^{k + κ (y − m)} on [a, b]. With z = (α y − x)/σ, the
posterior of y given x_t = x has a quadratic logarithm on each piece. So the mode is known, and the window in which the
posterior is within 38 nats of the maximum; Gauss and Legendre's rule on this window is exact to rounding. The variable
of integration is z where σ < α and y elsewhere, so that both ends of a path, σ = 0 and α = 0, are regular limits. With
ρ the shares of the pieces, and β_a = p(a) N(x; α a, σ²)/p_t(x) at their ends,

    D = E y,    ∇·D = Var z/α = α Var y/σ²,    s = E z/σ = Σ (κ ρ + β_a − β_b)/α,
    ∇·s = (α ∇·D − 1)/σ² = Σ [κ (κ ρ + β_a − β_b)/α² + (β_a z_a − β_b z_b)/(α σ)] − s²,

where the first form of s and ∇·s is used for σ ≥ α and the second, by parts, for σ < α: each where nothing cancels.
The distribution functions, for x below the centre (above it by symmetry), z_a = (x − α a)/σ:

    uniform    [max(z_a, 0) + ∫_{|z_a|}^{|z_b|} Φ(−w) dw] / (z_a − z_b)
    Laplace    Φ((x − α m)/σ) + α b (p_left − p_right),    b the scale
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...generative.paths import Scalar
from ...solvers import standard_normal
from ...solvers.common import check_dtype, host, real
from .base import Oracle

__all__ = ["Laplace", "Uniform"]

_DROP = 38.0  # nats
_NODES, _WEIGHTS = (torch.from_numpy(values) for values in np.polynomial.legendre.leggauss(56))
_NEVER = 1e-100  # stands for α = 0 and σ = 0
_LARGEST = 1e30  # the quadrature's squares stay finite up to here, and down to 1/_LARGEST
_FAR = 1e30  # stands for an infinite end, in units of the scale


class _Posterior(NamedTuple):
    """The pieces and the nodes in their windows, (B, J) and (B, J, N), all in float64."""

    alpha: Tensor  # (B, 1)
    sigma: Tensor
    ends: tuple[Tensor, Tensor]  # z at a and b
    log_ends: tuple[Tensor, Tensor]  # what an end adds to log p_t's slope: log e^{k + κ (a − m)} N(x; α a, σ²)
    y: Tensor
    z: Tensor
    log_joint: Tensor  # with the rule's weights: its logsumexp is log p_t

    @property
    def log_pieces(self) -> Tensor:
        return torch.logsumexp(self.log_joint, dim=-1)

    @property
    def log_prob(self) -> Tensor:
        return torch.logsumexp(self.log_joint.flatten(1), dim=-1)

    @property
    def weights(self) -> Tensor:
        return (self.log_joint - self.log_prob[:, None, None]).exp()


class _LogLinear(Oracle):
    """A law that is symmetric about `centre` and consists of log-linear pieces.

    Args:
        centre: m.
        pieces: (a, b, κ, k) of each piece.
        dtype: that of the states (B, 1); the quadrature runs in float64.
    """

    def __init__(self, centre: float, pieces: list[tuple[float, float, float, float]], dtype: torch.dtype) -> None:
        check_dtype("dtype", dtype)
        self.centre = centre
        self._a, self._b, self._slope, self._height = host(pieces).T
        self._states = torch.empty(0, 1, dtype=dtype, device="cpu")

    @property
    def _like(self) -> Tensor:
        return self._states

    @abstractmethod
    def _lower_tail(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """log F_t(x) for x (B, 1) below the centre, α and σ (B, 1), all float64: (B,)."""

    def _log_prob(self, x: Tensor, alpha: Scalar, sigma: Scalar) -> Tensor:
        return _without_rest(self._posterior(x, alpha, sigma).log_prob).to(x)

    def _mean(self, x: Tensor, alpha: Scalar, sigma: Scalar, p: Scalar, r: Scalar) -> Tensor:
        posterior = self._posterior(x, alpha, sigma)
        mean = (posterior.weights * posterior.y).sum((1, 2))
        return (p * mean + r * self._scores(posterior)[0]).to(x)[:, None]

    def _divergence(self, x: Tensor, alpha: Scalar, sigma: Scalar, p: Scalar, r: Scalar) -> Tensor:
        posterior = self._posterior(x, alpha, sigma)
        return (p * _sensitivity(posterior) + r * self._scores(posterior)[1]).to(x)

    def _scores(self, posterior: _Posterior) -> tuple[Tensor, Tensor]:
        """s and ∇·s, (B,)."""
        alpha, sigma = posterior.alpha[:, 0], posterior.sigma[:, 0]
        log_prob = posterior.log_prob[:, None]
        share = (posterior.log_pieces - log_prob).exp()
        at_a, at_b = ((end - log_prob).exp() for end in posterior.log_ends)
        pieces = self._slope * share + at_a - at_b
        by_parts = pieces.sum(1) / alpha
        ends = at_a * posterior.ends[0] - at_b * posterior.ends[1]
        bend = ((self._slope * pieces).sum(1) / alpha + ends.sum(1) / sigma) / alpha - by_parts**2
        near = sigma < alpha
        score = torch.where(near, by_parts, (posterior.weights * posterior.z).sum((1, 2)) / sigma)
        return score, torch.where(near, bend, (alpha * _sensitivity(posterior) - 1.0) / sigma**2)

    def _log_cdf(self, x: Tensor, alpha: Scalar, sigma: Scalar, upper: Tensor) -> Tensor:
        points, alpha, sigma = _doubles(x, alpha, sigma)
        centre = alpha * self.centre
        above = (points > centre) != upper[:, None]
        tail = _without_rest(self._lower_tail(centre - (points - centre).abs(), alpha, sigma))
        return torch.where(above[:, 0], torch.log1p(-tail.exp()), tail).to(x)

    def _posterior(self, x: Tensor, alpha: Scalar, sigma: Scalar) -> _Posterior:
        points, alpha, sigma = _doubles(x, alpha, sigma)
        near, slope = sigma < alpha, self._slope
        z_a, z_b = (alpha * self._a - points) / sigma, (alpha * self._b - points) / sigma
        # The mode of each piece, in y and in z.
        mode_z = torch.clamp(slope * sigma / alpha, z_a, z_b)
        mode = torch.clamp((slope * sigma**2 + alpha * points) / alpha**2, self._a, self._b)
        mode = torch.where(near, (points + sigma * mode_z) / alpha, mode)
        mode_z = torch.where(near, mode_z, (alpha * mode - points) / sigma)
        # Offsets from it are in units of the chart, where z moves by `rate` for each.
        unit, rate = torch.where(near, sigma / alpha, 1.0), torch.where(near, 1.0, alpha / sigma)
        steepness = (slope * unit - rate * mode_z).abs()
        window = 2.0 * _DROP / (steepness + (steepness**2 + 2.0 * _DROP * rate**2).sqrt())
        low = torch.maximum(torch.where(near, z_a - mode_z, self._a - mode), -window)
        high = torch.minimum(torch.where(near, z_b - mode_z, self._b - mode), window)
        offsets = (0.5 * (high + low))[..., None] + (0.5 * (high - low))[..., None] * _NODES
        y, z = mode[..., None] + unit[..., None] * offsets, mode_z[..., None] + rate[..., None] * offsets
        scale = sigma.log() + 0.5 * math.log(2.0 * math.pi)

        def log_density(y: Tensor, z: Tensor, slope: Tensor, height: Tensor) -> Tensor:
            return height + slope * (y - self.centre) - 0.5 * z**2

        inside = log_density(y, z, slope[:, None], self._height[:, None]) + (0.5 * _WEIGHTS).log()
        log_joint = inside + ((high - low).log() + unit.log() - scale)[..., None]
        at_a = log_density(self._a, z_a, slope, self._height) - scale
        at_b = log_density(self._b, z_b, slope, self._height) - scale
        return _Posterior(alpha, sigma, (z_a, z_b), (at_a, at_b), y, z, log_joint)


class Uniform(_LogLinear):
    """The uniform law on [low, high].

    Where σ = 0 the density at the ends themselves is half of that inside, and the score does not exist there.

    Args:
        low: the lower end.
        high: the upper end.
        dtype: that of the states (B, 1).

    Raises:
        TypeError: arguments of another kind.
        ValueError: unless low < high, both within ±1e30 and 1e-30 apart.
    """

    def __init__(self, low: float, high: float, *, dtype: torch.dtype = torch.float64) -> None:
        low, high = real("low", low, -_LARGEST, _LARGEST), real("high", high, -_LARGEST, _LARGEST)
        if not low < high:
            raise ValueError(f"The uniform law needs low < high, but got {low:g} and {high:g}.")
        real("high - low", high - low, 1.0 / _LARGEST)
        super().__init__(0.5 * (low + high), [(low, high, 0.0, -math.log(high - low))], dtype)
        self.low, self.high = low, high

    def _draw(self, n: int, seed: int) -> Tensor:
        quantile: Tensor = torch.special.ndtr(standard_normal(self._states.new_empty(n, 1), seed))
        return self.low + (self.high - self.low) * quantile

    def _moments(self) -> tuple[Tensor, Tensor]:
        variance = (self.high - self.low) ** 2 / 12.0
        return self._states.new_tensor([self.centre]), self._states.new_tensor([[variance]])

    def _characteristic(self, frequency: Tensor) -> Tensor:
        """e^{iωm} sin(ωh)/(ωh), h half the width."""
        omega = frequency[:, 0]
        return torch.polar(torch.sinc(omega * (0.5 * (self.high - self.low) / math.pi)), omega * self.centre)

    def _lower_tail(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        width = alpha * (self.high - self.low) / sigma
        z_a, z_b = (x - alpha * self.low) / sigma, (alpha * self.high - x) / sigma
        start = z_a.abs()
        length = torch.where(z_a < 0.0, width, z_b - start).clamp(min=0.0)
        length = torch.minimum(length, 2.0 * _DROP / (start + (start**2 + 2.0 * _DROP).sqrt()))
        nodes = torch.special.log_ndtr(-(start + length * (0.5 + 0.5 * _NODES)))
        tail = torch.logsumexp(nodes + (0.5 * _WEIGHTS).log(), dim=1, keepdim=True) + length.log()
        return (torch.logaddexp(z_a.clamp(min=0.0).log(), tail) - width.log())[:, 0]


class Laplace(_LogLinear):
    """Laplace's law with the density e^{−|y − centre|/scale}/(2 scale).

    Args:
        centre: the mean.
        scale: the mean absolute deviation.
        dtype: that of the states (B, 1).

    Raises:
        TypeError: arguments of another kind.
        ValueError: unless the centre is within ±1e30 and the scale between 1e-30 and 1e30.
    """

    def __init__(self, centre: float = 0.0, scale: float = 1.0, *, dtype: torch.dtype = torch.float64) -> None:
        centre, scale = real("centre", centre, -_LARGEST, _LARGEST), real("scale", scale, 1.0 / _LARGEST, _LARGEST)
        height, far = -math.log(2.0 * scale), _FAR * scale
        pieces = [(centre - far, centre, 1.0 / scale, height), (centre, centre + far, -1.0 / scale, height)]
        super().__init__(centre, pieces, dtype)
        self.scale = scale

    def _draw(self, n: int, seed: int) -> Tensor:
        normal = standard_normal(self._states.new_empty(n, 1), seed)
        tail = math.log(2.0) + torch.special.log_ndtr(-normal.abs())
        drawn: Tensor = self.centre - self.scale * normal.sign() * tail
        return drawn

    def _moments(self) -> tuple[Tensor, Tensor]:
        return self._states.new_tensor([self.centre]), self._states.new_tensor([[2.0 * self.scale**2]])

    def _characteristic(self, frequency: Tensor) -> Tensor:
        """e^{iωm}/(1 + b² ω²)."""
        omega = frequency[:, 0]
        return torch.polar(1.0 / (1.0 + (self.scale * omega) ** 2), omega * self.centre)

    def _lower_tail(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        left, right = self._posterior(x, alpha[:, 0], sigma[:, 0]).log_pieces.unbind(1)
        excess = left + torch.log1p(-torch.exp((right - left).clamp(max=0.0)))
        normal = torch.special.log_ndtr((x - alpha * self.centre) / sigma)
        return torch.logaddexp(normal[:, 0], (alpha[:, 0] * self.scale).log() + excess)


def _without_rest(log_prob: Tensor) -> Tensor:
    """Sets log-probabilities to −∞ outside the support, where they are finite because _NEVER stands for σ = 0."""
    return log_prob.masked_fill(log_prob < -1e150, -math.inf)


def _sensitivity(posterior: _Posterior) -> Tensor:
    """∇·D, (B,), from the variance of z where σ < α, of y elsewhere."""

    def variance(values: Tensor) -> Tensor:
        mean = (posterior.weights * values).sum((1, 2), keepdim=True)
        return (posterior.weights * (values - mean) ** 2).sum((1, 2))

    alpha, sigma = posterior.alpha[:, 0], posterior.sigma[:, 0]
    return torch.where(sigma < alpha, variance(posterior.z) / alpha, alpha / sigma**2 * variance(posterior.y))


def _doubles(x: Tensor, alpha: Scalar, sigma: Scalar) -> tuple[Tensor, Tensor, Tensor]:
    """x, α and σ as (B, 1) in float64, α and σ bounded away from zero."""

    def column(value: Scalar) -> Tensor:
        return host(value).expand(len(x)).clamp(min=_NEVER)[:, None]

    return x.double(), column(alpha), column(sigma)

"""What a flow does to a density, in a clock r in which both ends are regular.

    x_first → z → … → z → x_last,      dz/dr = N(r, z),
    log |det dx_last/dx_first| = reference + ∫ tr A dr,      A = S (∂N/∂x − n I)

A change of variables knows N, the products vᵀ A, the part of the divergence that is known in closed form, and the
density at the noise end. It knows nothing of steps, nodes and probes.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from ...solvers import Field, PlainClock, Semilinear, Time
from ...solvers.common import pullback, widest
from ...solvers.noise import Keys
from ..denoiser import Denoiser, DenoiserField, own_dtype, per_sample
from ..paths import GaussianPath, Real, Scalar, log
from .clock import Clock
from .hutchinson import Hutchinson
from .trace import Products, exact_trace

__all__ = ["ChangeOfVariables", "ProbabilityFlow"]

MISMATCH = 8
"""Probes of the mismatch of the prior."""


class ChangeOfVariables(ABC):
    """The change of variables of samples of one shape.

    Attributes:
        shape: the shape of a sample.
        first: r where the samples are given.
        last: r at the other end.
        cost: the network evaluations in one call, at most.
    """

    shape: torch.Size
    cost: int = 1

    @property
    def dim(self) -> int:
        return self.shape.numel()

    @property
    @abstractmethod
    def first(self) -> float: ...

    @property
    @abstractmethod
    def last(self) -> float: ...

    @property
    def to_noise(self) -> bool:
        """Whether the samples are data."""
        return self.last < self.first

    @abstractmethod
    def of_rows(self, index: Tensor) -> Self:
        """That of the samples of these indices."""

    @abstractmethod
    def reversed(self) -> Self:
        """That from the other end."""

    @property
    @abstractmethod
    def field(self) -> Field:
        """N(r, z), for r a float or (B,) and z of shape (B, …)."""

    @abstractmethod
    def products(self, r: Tensor, z: Tensor) -> Products:
        """The map from directions v, (m, P, d), to vᵀ A at the points r, float64 (P,), and z, (P, …)."""

    @abstractmethod
    def entering(self, x: Tensor) -> Tensor:
        """z of the samples."""

    @abstractmethod
    def leaving(self, z: Tensor) -> Tensor:
        """x at the other end."""

    @abstractmethod
    def log_density(self, noise: Tensor) -> Tensor:
        """log p at the noise end, float64 (B,)."""

    @property
    @abstractmethod
    def reference(self) -> float:
        """The part of log |det dx_last/dx_first| that is known in closed form."""

    def mismatch(self, noise: Tensor, keys: Keys | None) -> tuple[Tensor, int]:
        """The change of log p if the law of the noised data replaces that of the noise, where it is known.

        Args:
            noise: the states at the noise end, (B, ...).
            keys: of the probes for a trace; None for an exact one.

        Returns:
            The mismatch in nats, float64 (B,), and the products with the Jacobian; without any the network was not
            called.
        """
        return noise.new_zeros(len(noise), dtype=widest(noise.device)), 0

    def precision(self, x: Tensor) -> float:
        """The relative rounding error of the field for samples of x's dtype."""
        return torch.finfo(x.dtype).eps

    def equation(self, clock: Clock) -> Semilinear:
        """dz/ds = N dr/ds, for z of shape (B, …)."""
        return Semilinear(_Clocked(self.field, clock), PlainClock())

    def value(self, x: Tensor, other: Tensor, integral: float | Tensor) -> Tensor:
        """log p of the data, float64 (B,), from both ends and ∫ tr A dr from the first to the last."""
        if self.to_noise:
            return self.log_density(other) + (self.reference + integral)
        return self.log_density(x) - (self.reference + integral)


@dataclass(frozen=True)
class _Clocked(Field):
    """N dr/ds at r(s)."""

    inner: Field
    clock: Clock

    def __call__(self, s: Time, z: Tensor) -> Tensor:
        r = self.clock.r(s)
        return per_sample(self.clock.rate(r), z) * self.inner(r, z)

    def evaluations(self, s: Time) -> int | Tensor:
        return self.inner.evaluations(self.clock.r(s))

    def of_rows(self, index: Tensor) -> Self:
        return type(self)(self.inner.of_rows(index), self.clock)


@dataclass(frozen=True)
class ProbabilityFlow(ChangeOfVariables):
    """That of the probability flow of a denoiser, with r = α/(α + σ), z = x/S and S = α + σ.

        N = x₀-hat − ε-hat,      n = (α − σ)/v,      v = α² + σ²,      reference = (d/2) log(v_last/v_first)

    v and n belong to the flow of N(0, I), whose divergence is integrated in closed form. The remaining trace of an
    exact network vanishes at the noise end, whatever the data are. z, N and A are finite at both ends of every path.

    The products vᵀ ∂N/∂x are computed in reverse mode, many at once. On the shipped networks they take little more than
    half the time of as many products ∂N/∂x · v in forward mode. The network is evaluated once for all of them, and
    every network has a reverse mode.

    Args:
        denoiser: the network.
        shape: the shape of a sample.
        start: the time of the samples.
        end: the time of the other end.
    """

    denoiser: Denoiser
    shape: torch.Size
    start: float
    end: float

    @property
    def cost(self) -> int:  # type: ignore[override]
        return self.denoiser.cost

    @property
    def path(self) -> GaussianPath:
        return self.denoiser.path

    @property
    def first(self) -> float:
        return ratio_clock(self.path, self.start)

    @property
    def last(self) -> float:
        return ratio_clock(self.path, self.end)

    def of_rows(self, index: Tensor) -> Self:
        return type(self)(self.denoiser.of_rows(index), self.shape, self.start, self.end)

    def reversed(self) -> Self:
        return type(self)(self.denoiser, self.shape, self.end, self.start)

    @property
    def field(self) -> Field:
        return _Net(self.denoiser)

    def products(self, r: Tensor, z: Tensor) -> Products:
        t = time_of(self.path, r)
        alpha, sigma = self.path.alpha(t), self.path.sigma(t)
        size = per_sample(alpha + sigma, z)
        at = (size * z).flatten(1)
        unit = per_sample((alpha - sigma) / (alpha**2 + sigma**2), at)
        _, pulled = self._linearised((1.0, -1.0), t, at)
        gain = per_sample(alpha + sigma, at)
        return lambda v: gain * (pulled(v) - unit * v)

    def precision(self, x: Tensor) -> float:
        own = own_dtype(self.denoiser.net)
        return max(super().precision(x), 0.0 if own is None else torch.finfo(own).eps)

    def entering(self, x: Tensor) -> Tensor:
        return x / scale(self.path, self.start)

    def leaving(self, z: Tensor) -> Tensor:
        return scale(self.path, self.end) * z

    def log_density(self, noise: Tensor) -> Tensor:
        """log N(x; 0, σ² I)."""
        flat = noise.to(widest(noise.device)).flatten(1)
        sigma = self.path.sigma(min(self.start, self.end))
        constant = flat.shape[1] * (math.log(sigma) + 0.5 * math.log(2.0 * math.pi))
        return -0.5 * (flat / sigma).square().sum(1) - constant

    @property
    def reference(self) -> float:
        v0, v1 = (self.path.alpha(t) ** 2 + self.path.sigma(t) ** 2 for t in (self.start, self.end))
        return 0.5 * self.dim * math.log(v1 / v0)

    def mismatch(self, noise: Tensor, keys: Keys | None) -> tuple[Tensor, int]:
        """log p_t(x) − log N(x; 0, σ² I) of the noised data, to second order in a = α/σ.

        Let m be the mean and C the covariance of the data. Then

            log E exp(a x·x₀/σ − a² |x₀|²/2) = a m·x/σ + (a²/2) (xᵀ C x/σ² − |m|² − tr C) + O(a³).

        The network knows both, x₀-hat(x) = m + a C x/σ + O(a²). It is called once at 0, and at x as for a trace; not at
        all where α = 0.
        """
        t = min(self.start, self.end)
        alpha, sigma = self.path.alpha(t), self.path.sigma(t)
        if alpha == 0.0:
            return super().mismatch(noise, keys)
        flat = noise.flatten(1)
        x0, products = self._linearised((1.0, 0.0), t, flat)
        if keys is None:
            trace, count = exact_trace(products, flat), self.dim
        else:
            trace, count = Hutchinson(keys, (MISMATCH,)).estimates([0], products, flat)[0].mean(1), MISMATCH
        mean = self.denoiser.predict("x0", t, torch.zeros_like(noise)).flatten(1).to(trace.dtype)
        linear = 0.5 * alpha / sigma**2 * (flat.to(trace.dtype) * (x0.to(trace.dtype) + mean)).sum(1)
        constant = 0.5 * (alpha / sigma) ** 2 * mean.square().sum(1) + 0.5 * alpha * trace
        return linear - constant, count

    def _linearised(self, row: tuple[Scalar, Scalar], t: Scalar, x: Tensor) -> tuple[Tensor, Products]:
        """p x₀-hat + q ε-hat at x, (B, d), and the products of vectors with its derivative there."""

        def function(flat: Tensor) -> Tensor:
            return self.denoiser.combination(*row, t, flat.reshape(-1, *self.shape)).flatten(1)

        return pullback(function, x, self.denoiser.net)


@dataclass(frozen=True)
class _Net(DenoiserField):
    """N = x₀-hat − ε-hat at the time t(r) and the state S z."""

    def __call__(self, r: Time, z: Tensor) -> Tensor:
        t = time_of(self.denoiser.path, r)
        return self.denoiser.combination(1.0, -1.0, t, per_sample(scale(self.denoiser.path, t), z) * z)

    def evaluations(self, r: Time) -> int | Tensor:
        return self.denoiser.evaluations(time_of(self.denoiser.path, r))


def ratio_clock(path: GaussianPath, t: Real) -> Real:
    """r = α/(α + σ): 0 where α = 0, 1 where σ = 0."""
    return path.alpha(t) / (path.alpha(t) + path.sigma(t))


def time_of(path: GaussianPath, r: Real) -> Real:
    """The t at which α/(α + σ) is r."""
    return path.time(2.0 * (log(r) - log(1.0 - r)))


def scale(path: GaussianPath, t: Real) -> Real:
    """S = α + σ."""
    return path.alpha(t) + path.sigma(t)

"""What the probability flow does to a density.

In the clock r = α/(α + σ), with z = x / S, S = α + σ,

    dz/dr = N = x₀-hat − ε-hat,
    log |det dx_end/dx_start| = (d/2) log(v_end/v_start) + ∫ S tr(∂N/∂x − n I) dr,      v = α² + σ²,  n = (α − σ)/v.

v and n belong to the flow of N(0, I), whose divergence is integrated in closed form. The remaining trace vanishes at
the noise end, whatever the data are. z, N and the integrand are finite at both ends of every path.

The products vᵀ ∂N/∂x are computed in reverse mode, many at once. On the shipped networks they take little more than
half the time of as many products ∂N/∂x · v in forward mode. The network is evaluated once for all of them, and every
network has a reverse mode.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...solvers import PlainClock, Semilinear, Time
from ...solvers.common import pullback, widest
from ..denoiser import Denoiser, DenoiserField, per_sample
from ..paths import GaussianPath, Real, Scalar, log
from .trace import Products, Trace

__all__ = ["ChangeOfVariables", "clock", "even_times", "scale", "time_of"]


def clock(path: GaussianPath, t: Real) -> Real:
    """r = α/(α + σ): 0 where α = 0, 1 where σ = 0."""
    return path.alpha(t) / (path.alpha(t) + path.sigma(t))


def time_of(path: GaussianPath, r: Real) -> Real:
    """The t at which the clock shows r."""
    return path.time(2.0 * (log(r) - log(1.0 - r)))


def even_times(path: GaussianPath, n: int) -> Tensor:
    """n steps of equal length in the clock, from noise to data: n + 1 times, float64."""
    r = torch.linspace(clock(path, 0.0), clock(path, 1.0), n + 1, dtype=torch.float64, device="cpu")
    t = time_of(path, r)
    t[0], t[-1] = 0.0, 1.0
    return t


def scale(path: GaussianPath, t: Real) -> Real:
    """S = α + σ."""
    return path.alpha(t) + path.sigma(t)


@dataclass(frozen=True)
class _InClock(DenoiserField):
    """N = x₀-hat − ε-hat at the time t(r) and the state S z."""

    def __call__(self, r: Time, z: Tensor) -> Tensor:
        t = time_of(self.denoiser.path, r)
        return self.denoiser.combination(1.0, -1.0, t, per_sample(scale(self.denoiser.path, t), z) * z)

    def evaluations(self, r: Time) -> int | Tensor:
        return self.denoiser.evaluations(time_of(self.denoiser.path, r))


@dataclass(frozen=True)
class ChangeOfVariables:
    """The change of variables of samples of one shape.

    Args:
        denoiser: the network.
        trace: the estimator of the trace for these samples.
        shape: the shape of a sample.
    """

    denoiser: Denoiser
    trace: Trace
    shape: torch.Size

    @property
    def dim(self) -> int:
        return self.shape.numel()

    @property
    def path(self) -> GaussianPath:
        return self.denoiser.path

    def of_rows(self, index: Tensor) -> ChangeOfVariables:
        return replace(self, denoiser=self.denoiser.of_rows(index), trace=self.trace.of_rows(index))

    def reference(self, start: float, end: float) -> float:
        """(d/2) log(v_end/v_start), the part of the flow of N(0, I)."""
        v0, v1 = (self.path.alpha(t) ** 2 + self.path.sigma(t) ** 2 for t in (start, end))
        return 0.5 * self.dim * math.log(v1 / v0)

    def flow(self) -> Semilinear:
        """The equation dz/dr = N, for z of shape (B, …)."""
        return Semilinear(_InClock(self.denoiser), PlainClock())

    def integrand(self, r: Tensor, x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """S tr(∂N/∂x − n I) at several points.

        Args:
            r: what the clock shows at the points, float64 (P,).
            x: the points, (P, ...).
            rows: the samples that they belong to, int64 (P,).

        Returns:
            k estimates of the integrand, float64 (P, k), and the evaluations that each point took, int64 (P,).
        """
        found, spent = [], []
        for some in torch.split(torch.arange(len(x), device="cpu"), self.trace.points):
            t = time_of(self.path, r[some])
            alpha, sigma = self.path.alpha(t), self.path.sigma(t)
            part, at = self.of_rows(rows[some]), x[some.to(x.device)].flatten(1)
            unit = per_sample((alpha - sigma) / (alpha**2 + sigma**2), at)
            _, products = part.linearised((1.0, -1.0), t, at, unit)
            trace = part.trace(products, at)
            found.append(per_sample(alpha + sigma, trace) * trace)
            spent.append(part.denoiser.evaluations(t) * torch.ones(len(some), dtype=torch.int64, device="cpu"))
        return torch.cat(found), torch.cat(spent)

    def prior_mismatch(self, x: Tensor, t: float) -> tuple[Tensor, int]:
        """log p_t(x) − log N(x; 0, σ² I) of the noised data, to second order in a = α/σ.

        Let m be the mean and C the covariance of the data. Then

            log E exp(a x·x₀/σ − a² |x₀|²/2) = a m·x/σ + (a²/2) (xᵀ C x/σ² − |m|² − tr C) + O(a³).

        The network knows both, x₀-hat(x) = m + a C x/σ + O(a²). It is called once at 0, and at x as for a trace; not at
        all where α = 0.

        Args:
            x: the states at the noise end, (B, ...).
            t: the time there.

        Returns:
            The mismatch in nats, float64 (B,), and the evaluations of one call; 0 if there was none.
        """
        alpha, sigma = self.path.alpha(t), self.path.sigma(t)
        if alpha == 0.0:
            return x.new_zeros(len(x), dtype=widest(x.device)), 0
        flat = x.flatten(1)
        x0, products = self.linearised((1.0, 0.0), t, flat, 0.0)
        trace = self.trace(products, flat)
        mean = self.denoiser.predict("x0", t, torch.zeros_like(x)).flatten(1).to(trace.dtype)
        linear = 0.5 * alpha / sigma**2 * (flat.to(trace.dtype) * (x0.to(trace.dtype) + mean)).sum(1)
        constant = 0.5 * (alpha / sigma) ** 2 * mean.square().sum(1) + 0.5 * alpha * trace.mean(1)
        return linear - constant, int(self.denoiser.evaluations(t))

    def linearised(self, row: tuple[Scalar, Scalar], t: Scalar, x: Tensor, unit: Scalar) -> tuple[Tensor, Products]:
        """p x₀-hat + q ε-hat at x, (B, d), and the products vᵀ (J − unit I) with its derivative J there."""

        def function(flat: Tensor) -> Tensor:
            return self.denoiser.combination(*row, t, flat.reshape(-1, *self.shape)).flatten(1)

        value, pulled = pullback(function, x, self.denoiser.net)
        return value, lambda directions: pulled(directions) - unit * directions

"""What the probability flow does to a density.

In the clock r = α/(α + σ), with z = x / S, S = α + σ,

    dz/dr = N = x₀-hat − ε-hat,
    log |det dx_end/dx_start| = (d/2) log(v_end/v_start) + ∫ S tr(∂N/∂x − n I) dr,      v = α² + σ²,  n = (α − σ)/v.

v and n belong to the flow of N(0, I), whose divergence is integrated in closed form; the trace that is left vanishes at
the noise end, whatever the data are. z, N and the integrand are finite at both ends of every path.

The products vᵀ ∂N/∂x are those of reverse mode, many at once: on the shipped networks they take little more than half
the time of as many products ∂N/∂x · v in forward mode, the network is evaluated once for all of them, and every network
has them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from ...solvers import Field, PlainClock, Semilinear, Time
from ..denoiser import Denoiser, per_sample
from ..paths import GaussianPath, Real, Scalar, log
from .trace import Products, Trace

__all__ = ["ChangeOfVariables", "clock", "even_times", "scale", "time_of"]


def clock(path: GaussianPath, t: Real) -> Real:
    """r = α/(α + σ): 0 where α = 0, 1 where σ = 0."""
    return path.alpha(t) / (path.alpha(t) + path.sigma(t))


def time_of(path: GaussianPath, r: Real) -> Real:
    """The t with that r."""
    return path.time(2.0 * (log(r) - log(1.0 - r)))


def even_times(path: GaussianPath, n: int) -> Tensor:
    """n steps of equal length in the clock, from noise to data: n + 1 times, float64."""
    r = torch.linspace(float(clock(path, 0.0)), float(clock(path, 1.0)), n + 1, dtype=torch.float64)
    t = torch.as_tensor(time_of(path, r))
    t[0], t[-1] = 0.0, 1.0
    return t


def scale(path: GaussianPath, t: Real) -> Real:
    """S = α + σ."""
    return path.alpha(t) + path.sigma(t)


@dataclass(frozen=True)
class _InClock(Field):
    """N = x₀-hat − ε-hat at the time t(r) and the state S z."""

    denoiser: Denoiser

    def __call__(self, r: Time, z: Tensor) -> Tensor:
        t = time_of(self.denoiser.path, r)
        return self.denoiser.combination(1.0, -1.0, t, per_sample(scale(self.denoiser.path, t), z) * z)

    def evaluations(self, r: Time) -> int | Tensor:
        return self.denoiser.evaluations(time_of(self.denoiser.path, r))

    def of_rows(self, index: Tensor) -> _InClock:
        return _InClock(self.denoiser.of_rows(index))


@dataclass(frozen=True)
class ChangeOfVariables:
    """Of samples of one shape, with an estimator of the trace for them."""

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
        """(d/2) log(v_end/v_start)."""
        v0, v1 = (float(self.path.alpha(t) ** 2 + self.path.sigma(t) ** 2) for t in (start, end))
        return 0.5 * self.dim * math.log(v1 / v0)

    def flow(self) -> Semilinear:
        """dz/dr = N, for z of shape (B, …)."""
        return Semilinear(_InClock(self.denoiser), PlainClock())

    def integrand(self, r: Tensor, x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """S tr(∂N/∂x − n I) at points x (P, …) of the samples `rows` (P,) at r (P,), float64: (P, k).

        And the evaluations of the network that each took, int64 (P,).
        """
        found, spent = [], []
        for some in torch.split(torch.arange(len(x)), self.trace.points):
            t = time_of(self.path, r[some])
            alpha, sigma = self.path.alpha(t), self.path.sigma(t)
            part, at = self.of_rows(rows[some]), x[some.to(x.device)].flatten(1)
            unit = per_sample((alpha - sigma) / (alpha**2 + sigma**2), at)
            _, products = part.linearised((1.0, -1.0), t, at, unit)
            trace = part.trace(products, at)
            found.append(per_sample(alpha + sigma, trace) * trace)
            spent.append(part.denoiser.evaluations(t) * torch.ones(len(some), dtype=torch.int64))
        return torch.cat(found), torch.cat(spent)

    def prior_mismatch(self, x: Tensor, t: float) -> tuple[Tensor, int]:
        """log p_t(x) − log N(x; 0, σ² I) of the noised data, (B,), and what a call of the network took of each.

        With a = α/σ, log E exp(a x·x₀/σ − a² |x₀|²/2) = a m·x/σ + (a²/2) (xᵀ C x/σ² − |m|² − tr C) + O(a³) of the
        data's mean m and covariance C, which the network knows: x₀-hat(x) = m + a C x/σ + O(a²). It takes one call at
        0, and at x what a trace takes; none where α = 0.
        """
        alpha, sigma = float(self.path.alpha(t)), float(self.path.sigma(t))
        if alpha == 0.0:
            return x.new_zeros(len(x), dtype=torch.float64), 0
        flat = x.flatten(1)
        x0, products = self.linearised((1.0, 0.0), t, flat, 0.0)
        trace = self.trace(products, flat)
        mean = self.denoiser.predict("x0", t, torch.zeros_like(x)).flatten(1).double()
        linear = 0.5 * alpha / sigma**2 * (flat.double() * (x0.double() + mean)).sum(1)
        constant = 0.5 * (alpha / sigma) ** 2 * mean.square().sum(1) + 0.5 * alpha * trace.mean(1)
        return linear - constant, int(self.denoiser.evaluations(t))

    def linearised(self, row: tuple[Scalar, Scalar], t: Scalar, x: Tensor, unit: Scalar) -> tuple[Tensor, Products]:
        """p x₀-hat + q ε-hat at x (B, d), and the products vᵀ J of its derivative J there, less `unit` vᵀ."""

        def function(flat: Tensor) -> Tensor:
            return self.denoiser.combination(*row, t, flat.reshape(-1, *self.shape)).flatten(1)

        with sdpa_kernel(SDPBackend.MATH):  # the fused kernels take one direction at a time
            value, pull = torch.func.vjp(function, x)  # type: ignore[misc]  # without has_aux

        def products(directions: Tensor) -> Tensor:
            pulled: Tensor = torch.vmap(lambda v: pull(v)[0])(directions)
            return pulled - unit * directions

        return value, products

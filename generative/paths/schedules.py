"""Further Gaussian paths.

    Polynomial     α = tⁿ         σ = 1 − tⁿ                        λ = log(tⁿ/(1 − tⁿ))
    GeometricVE    α = 1          σ = σ_max^{1−t} σ_min^t           λ = −log σ, linear in t
    NoisyCondOT    α = t          σ = √((1 − t)² + s²)              λ = log(t/σ)

Sources: Song et al. (2011.13456), appendix C; Lipman et al., Flow Matching Guide and Code (2412.06264); Tong et al.
(2302.00482).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...solvers.common import check_fields, real
from .elementary import Real, exp, expm1, log, ratio, sigmoid, sqrt
from .path import LEVELS, GaussianPath

__all__ = ["GeometricVE", "NoisyCondOT", "Polynomial"]


@dataclass(frozen=True)
class Polynomial(GaussianPath):
    """α = t^`power`, σ = 1 − t^`power`, with 1 ≤ power ≤ 100: `CondOT` in another clock, slow at the noise.

    With a larger power α vanishes in float64 from t = 10⁻³ on, and many steps at the noise would be alike.

    Source: Lipman et al. (2412.06264), the polynomial convex scheduler.
    """

    power: float = 2.0

    def __post_init__(self) -> None:
        check_fields(self, real, "power", low=1.0, high=100.0)

    def alpha(self, t: Real) -> Real:
        alpha: Real = t**self.power
        return alpha

    def sigma(self, t: Real) -> Real:
        return 0.0 - expm1(self.power * log(t))  # 1 − tⁿ without cancellation near t = 1, and no −0 there

    def d_alpha(self, t: Real) -> Real:
        slope: Real = self.power * t ** (self.power - 1.0)
        return slope

    def d_sigma(self, t: Real) -> Real:
        return -self.d_alpha(t)

    def d_half_log_snr(self, t: Real) -> Real:
        return ratio(0.0 * t + self.power, t * self.sigma(t))

    def time(self, log_snr: Real) -> Real:
        time: Real = sigmoid(0.5 * log_snr) ** (1.0 / self.power)
        return time


@dataclass(frozen=True)
class GeometricVE(GaussianPath):
    """The variance-exploding path of score matching: α = 1, σ from `sigma_max` at t = 0 to `sigma_min` at t = 1.

    The levels are in geometric progression, so that the log-SNR is linear in t, beyond both ends too. At t = 1 noise
    of the size σ_min remains. `VE` is EDM's path, which reaches σ = 0.

    Args:
        sigma_min: σ at t = 1, in units of the data; positive.
        sigma_max: σ at t = 0; larger than sigma_min.

    Source: Song and Ermon (1907.05600), section 4; Song et al. (2011.13456), appendix C.
    """

    sigma_min: float = 0.01
    sigma_max: float = 50.0

    def __post_init__(self) -> None:
        check_fields(self, real, "sigma_min", "sigma_max", **LEVELS)
        if not self.sigma_min < self.sigma_max:
            raise ValueError(
                f"GeometricVE needs 0 < sigma_min < sigma_max < inf, but got {self.sigma_min} and {self.sigma_max}."
            )

    @property
    def _rate(self) -> float:
        """dλ/dt = log(σ_max/σ_min)."""
        return math.log(self.sigma_max / self.sigma_min)

    def alpha(self, t: Real) -> Real:
        return 0.0 * t + 1.0

    def sigma(self, t: Real) -> Real:
        return self.sigma_max * exp(-self._rate * t)

    def d_alpha(self, t: Real) -> Real:
        return 0.0 * t

    def d_sigma(self, t: Real) -> Real:
        return -self._rate * self.sigma(t)

    def half_log_snr(self, t: Real) -> Real:
        return self._rate * t - math.log(self.sigma_max)

    def time(self, log_snr: Real) -> Real:
        return (0.5 * log_snr + math.log(self.sigma_max)) / self._rate


@dataclass(frozen=True)
class NoisyCondOT(GaussianPath):
    """α = t, σ = √((1 − t)² + s²): the straight line under further noise of the size `std` = s > 0.

    It is the law of x_t = t x₀ + (1 − t) ε₁ + s ε₂. At t = 1 noise of the size s
    remains: the largest log-SNR is log(1 + 1/s²), and no time has a larger one.

    Source: Tong et al. (2302.00482), section 3.
    """

    std: float

    def __post_init__(self) -> None:
        if isinstance(self.std, int | float) and self.std == 0:
            raise ValueError(f"NoisyCondOT needs a finite std > 0, but got {self.std}; without noise it is CondOT().")
        check_fields(self, real, "std", **LEVELS)

    def alpha(self, t: Real) -> Real:
        return t

    def sigma(self, t: Real) -> Real:
        sigma: Real = ((1.0 - t) * (1.0 - t) + self.std * self.std) ** 0.5
        return sigma

    def d_alpha(self, t: Real) -> Real:
        return 0.0 * t + 1.0

    def d_sigma(self, t: Real) -> Real:
        return (t - 1.0) / self.sigma(t)

    def time(self, log_snr: Real) -> Real:
        """The root of (1 − e^{−2λ}) t² − 2 t + 1 + s² = 0 that vanishes with α."""
        constant = 1.0 + self.std**2
        return constant / (1.0 + sqrt(1.0 - constant + constant * exp(-log_snr)))

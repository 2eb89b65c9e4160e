"""The paths of diffusion with a linear β.

    L = s β_min/2 + s² (β_max − β_min)/4,     s = 1 − t,     α = e^{−L}

    VP         σ = √(1 − α²)     λ = −½ log(e^{2L} − 1)
    SubVP      σ = 1 − α²        λ = −log(2 sinh L)

Source: Song et al., Score-Based Generative Modeling through SDEs (2011.13456), appendix C.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...solvers.common import check_fields, real
from .elementary import Real, asinh, exp, expm1, log, ratio, softplus, sqrt
from .path import GaussianPath

__all__ = ["VP", "LinearBeta", "SubVP"]

MOST_DECAY = 700.0
"""The largest −log α: α = e^−700 is above the least normal number of float64."""


@dataclass(frozen=True)
class LinearBeta(GaussianPath):
    """α = e^{−L} with a β that is linear in the time s = 1 − t of diffusion: L = s β_min/2 + s² (β_max − β_min)/4.

    Source: Song et al., Score-Based Generative Modeling through SDEs (2011.13456), appendix C.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        check_fields(self, real, "beta_min", "beta_max", above=0.0)
        if not self.beta_min < self.beta_max:
            name = type(self).__name__
            raise ValueError(f"{name} needs 0 < beta_min < beta_max, but got {self.beta_min} and {self.beta_max}.")
        if self._decay(0.0) > MOST_DECAY:
            raise ValueError(
                f"beta_max = {self.beta_max:g} is too large: alpha = exp(-(beta_min + beta_max)/4) at t = 0 would "
                f"vanish in float64; beta_min + beta_max may be {4.0 * MOST_DECAY:g} at most."
            )

    def _decay(self, t: Real) -> Real:
        """L = −log α."""
        s = 1.0 - t
        return s * (0.5 * self.beta_min + 0.25 * s * (self.beta_max - self.beta_min))

    def _d_decay(self, t: Real) -> Real:
        """dL/dt = −β/2."""
        return -0.5 * (self.beta_min + (1.0 - t) * (self.beta_max - self.beta_min))

    def _time_of_decay(self, decay: Real) -> Real:
        slope = self.beta_max - self.beta_min
        return 1.0 - 4.0 * decay / (self.beta_min + sqrt(self.beta_min**2 + 4.0 * slope * decay))

    def alpha(self, t: Real) -> Real:
        return exp(-self._decay(t))

    def d_alpha(self, t: Real) -> Real:
        return -self.alpha(t) * self._d_decay(t)

    def half_log_snr(self, t: Real) -> Real:
        return -self._decay(t) - log(self.sigma(t))


@dataclass(frozen=True)
class VP(LinearBeta):
    """The variance-preserving path with a linear β: α = e^{−L}, σ = √(1 − α²), L = s β_min/2 + s² (β_max − β_min)/4.

    s = 1 − t is the time of diffusion. The default is the linear schedule of DDPM in continuous time; at t = 0
    it stops at α = 0.0066, and t < 0 continues it: every log-SNR has its time, and α and σ are functions of the
    log-SNR alone.

    Args:
        beta_min: β at the data, s = 0; positive.
        beta_max: β at the noise, s = 1; larger than beta_min.

    Source: Song et al., Score-Based Generative Modeling through SDEs (2011.13456), eq. 33.
    """

    def sigma(self, t: Real) -> Real:
        return sqrt(-expm1(-2.0 * self._decay(t)))

    def d_sigma(self, t: Real) -> Real:
        return ratio(self.alpha(t) ** 2 * self._d_decay(t), self.sigma(t))

    def time(self, log_snr: Real) -> Real:
        return self._time_of_decay(0.5 * softplus(-log_snr))


@dataclass(frozen=True)
class SubVP(LinearBeta):
    """The sub-variance-preserving path: α = e^{−L}, σ = 1 − α², L = s β_min/2 + s² (β_max − β_min)/4, s = 1 − t.

    The variance stays below that of `VP` with the same β. At t = 0 it stops at α = 0.0066, and t < 0 continues it.

    Args:
        beta_min: β at the data, s = 0; positive.
        beta_max: β at the noise, s = 1; larger than beta_min.

    Source: Song et al. (2011.13456), section 3.4 and appendix C.
    """

    def sigma(self, t: Real) -> Real:
        return -expm1(-2.0 * self._decay(t))

    def d_sigma(self, t: Real) -> Real:
        return 2.0 * self.alpha(t) ** 2 * self._d_decay(t)

    def time(self, log_snr: Real) -> Real:
        return self._time_of_decay(asinh(0.5 * exp(-0.5 * log_snr)))

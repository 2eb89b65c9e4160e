"""Gaussian probability paths between noise (t = 0) and data (t = 1).

    x_t = α_t x₀ + σ_t ε,        ε ~ N(0, I),        λ_t = log(α_t / σ_t),        log SNR = 2 λ_t

`x₀` is the clean sample, whatever the direction of time. λ is half the logarithm of the signal-to-noise
ratio α²/σ²; it increases strictly with t, from −∞ where α = 0 to +∞ where σ = 0. A noisier time s < t is
reached from t by the transition kernel

    x_s | x_t ~ N((α_s/α_t) x_t, σ_s² (1 − e^{2(λ_s − λ_t)}) I).

Every method takes a float (and is then computed in float64 on the host) or a tensor (elementwise).

Sources: Kingma et al., Variational Diffusion Models (2107.00630), eqs. 1-4; Lipman et al., Flow Matching
(2210.02747), eqs. 10-20; Albergo et al., Stochastic Interpolants (2303.08797).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from inspect import isabstract
from typing import Any, ClassVar

from ...solvers.common import check_fields, real
from .elementary import Real, atan, derivative, exp, expm1, hypot, log, ratio, sin, sqrt

__all__ = ["LARGEST_SHIFT", "LEVELS", "VE", "CondOT", "Cosine", "GaussianPath"]

LEVELS = {"low": 1e-150, "high": 1e150}
"""The bounds of a noise level σ whose square is neither 0 nor infinite in float64."""
LARGEST_SHIFT = 300.0
"""The largest change of λ: with it e^{2λ} is a number of float64."""
CLOSEST_ANGLES = 2.0**-26
"""The root of float64's rounding: between closer angles a time has fewer than half of its digits."""


class GaussianPath(ABC):
    """x_t = α_t x₀ + σ_t ε. A path gives α, σ and the inverse of its log-SNR; the rest follows.

    Every subclass is registered under the name of its class; a checkpoint records the name and builds the path again.
    """

    _registry: ClassVar[dict[str, type[GaussianPath]]] = {}

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        known = cls._registry.get(cls.__name__, cls)
        if known.__module__ == cls.__module__:  # defined again, as in a notebook; no other module takes a name away
            cls._registry[cls.__name__] = cls

    @staticmethod
    def registered() -> dict[str, type[GaussianPath]]:
        """Every path that has been imported and can be built, by the name of its class."""
        return {name: kind for name, kind in GaussianPath._registry.items() if not isabstract(kind)}

    @abstractmethod
    def alpha(self, t: Real) -> Real:
        """α_t, the signal coefficient."""

    @abstractmethod
    def sigma(self, t: Real) -> Real:
        """σ_t, the standard deviation of the noise."""

    @abstractmethod
    def time(self, log_snr: Real) -> Real:
        """The t at which log(α_t²/σ_t²) = `log_snr`: the inverse of `log_snr`."""

    def d_alpha(self, t: Real) -> Real:
        """dα/dt, by automatic differentiation. A path overrides it for speed, and where α is singular at an end."""
        return derivative(self.alpha, t)

    def d_sigma(self, t: Real) -> Real:
        """dσ/dt, by automatic differentiation. A path overrides it for speed, and where σ is singular at an end."""
        return derivative(self.sigma, t)

    def log_snr(self, t: Real) -> Real:
        """log(α_t²/σ_t²) = 2 λ_t, the logarithm of the signal-to-noise ratio (the λ of 2107.00630)."""
        return 2.0 * self.half_log_snr(t)

    def half_log_snr(self, t: Real) -> Real:
        """λ_t = log(α_t/σ_t), the λ of DPM-Solver (2206.00927); −∞ where α = 0 and +∞ where σ = 0."""
        return log(self.alpha(t)) - log(self.sigma(t))

    def d_half_log_snr(self, t: Real) -> Real:
        """dλ/dt = α'/α − σ'/σ; infinite where α = 0 or σ = 0."""
        return ratio(self.d_alpha(t), self.alpha(t)) - ratio(self.d_sigma(t), self.sigma(t))

    def transition(self, t0: Real, t1: Real) -> tuple[Real, Real]:
        """The scale a and the standard deviation s of x_{t0} | x_{t1} ~ N(a x_{t1}, s² I), from cleaner to noisier.

        Args:
            t0: the noisier time.
            t1: the cleaner time, t1 > t0.

        Raises:
            ValueError: unless t0 < t1, for floats.
        """
        if isinstance(t0, float) and isinstance(t1, float) and not t0 < t1:
            raise ValueError(f"A transition goes from the cleaner t1 to the noisier t0 < t1, but got {t0} and {t1}.")
        scale = ratio(self.alpha(t0), self.alpha(t1))
        return scale, self.sigma(t0) * sqrt(-expm1(2.0 * (self.half_log_snr(t0) - self.half_log_snr(t1))))


@dataclass(frozen=True)
class CondOT(GaussianPath):
    """The straight line of flow matching: α = t, σ = 1 − (1 − `sigma_min`) t.

    With the published σ_min > 0 the data keep noise of this size (σ = σ_min at t = 1). 0 is the rectified flow.

    Source: Lipman et al. (2210.02747), eq. 20 and section 4.1; Liu et al., Rectified Flow (2209.03003).
    """

    sigma_min: float = 0.0

    def __post_init__(self) -> None:
        check_fields(self, real, "sigma_min", low=0.0, below=1.0)

    def alpha(self, t: Real) -> Real:
        return t

    def sigma(self, t: Real) -> Real:
        return (1.0 - t) + self.sigma_min * t

    def d_alpha(self, t: Real) -> Real:
        return 0.0 * t + 1.0

    def d_sigma(self, t: Real) -> Real:
        return 0.0 * t + (self.sigma_min - 1.0)

    def time(self, log_snr: Real) -> Real:
        return 1.0 / (exp(-0.5 * log_snr) + (1.0 - self.sigma_min))


@dataclass(frozen=True)
class Cosine(GaussianPath):
    """The cosine schedule with a truncated log-SNR and a resolution shift.

        λ = log tan(angle) + shift,      α = √sigmoid(2λ),      σ = √sigmoid(−2λ),      the angle linear in t.

    Infinite bounds give the untruncated α = sin(πt/2), σ = cos(πt/2). The bounds hold after the shift, unlike those of
    the published form; `Shifted` moves the ends with everything else.

    Args:
        log_snr_min: log α²/σ² at t = 0.
        log_snr_max: log α²/σ² at t = 1.
        shift: added to λ; log(r / d) for images of side d where the schedule was chosen for images of side r. At most
            300 in size, so that e^{2λ} stays a number.

    Raises:
        ValueError: unless log_snr_min < log_snr_max, and unless their angles differ by more than rounding.

    Source: Nichol and Dhariwal (2102.09672), eq. 17; Hoogeboom et al., Simple Diffusion (2301.11093), section 3.1.
    """

    log_snr_min: float = -15.0
    log_snr_max: float = 15.0
    shift: float = 0.0

    def __post_init__(self) -> None:
        check_fields(self, real, "log_snr_min", "log_snr_max", infinite=True)
        check_fields(self, real, "shift", low=-LARGEST_SHIFT, high=LARGEST_SHIFT)
        if not self.log_snr_min < self.log_snr_max:
            raise ValueError(
                f"Cosine needs log_snr_min < log_snr_max, but got {self.log_snr_min} and {self.log_snr_max}."
            )
        start, end = self._angles
        if not end - start > CLOSEST_ANGLES:
            raise ValueError(
                f"With shift = {self.shift:g} the angles of the log-SNRs {self.log_snr_min:g} and {self.log_snr_max:g} "
                f"of Cosine are {end - start:.1e} apart, which rounding blurs; move them apart, or change the shift."
            )

    @cached_property
    def _angles(self) -> tuple[float, float]:
        """The angles at t = 0 and at t = 1."""
        least, largest = 0.5 * self.log_snr_min, 0.5 * self.log_snr_max
        return float(atan(exp(least - self.shift))), float(atan(exp(largest - self.shift)))

    @cached_property
    def _complements(self) -> tuple[float, float]:
        """π/2 minus the angle at both ends; exactly zero where log_snr_max is infinite."""
        least, largest = 0.5 * self.log_snr_min, 0.5 * self.log_snr_max
        return float(atan(exp(self.shift - least))), float(atan(exp(self.shift - largest)))

    def _signal(self, t: Real) -> Real:
        """e^shift sin(angle): α before normalisation."""
        start, end = self._angles
        return exp(self.shift) * sin(start * (1.0 - t) + end * t)

    def _noise(self, t: Real) -> Real:
        """cos(angle): σ before normalisation."""
        start, end = self._complements
        return sin(start * (1.0 - t) + end * t)

    def _d_rotation(self, t: Real) -> Real:
        """d/dt atan2(α, σ)."""
        start, end = self._angles
        return exp(self.shift) * (end - start) / (self._signal(t) ** 2 + self._noise(t) ** 2)

    def alpha(self, t: Real) -> Real:
        return self._signal(t) / hypot(self._signal(t), self._noise(t))

    def sigma(self, t: Real) -> Real:
        return self._noise(t) / hypot(self._signal(t), self._noise(t))

    def d_alpha(self, t: Real) -> Real:
        return self.sigma(t) * self._d_rotation(t)

    def d_sigma(self, t: Real) -> Real:
        return -self.alpha(t) * self._d_rotation(t)

    def time(self, log_snr: Real) -> Real:
        start, end = self._angles
        return (atan(exp(0.5 * log_snr - self.shift)) - start) / (end - start)


@dataclass(frozen=True)
class VE(GaussianPath):
    """The variance-exploding path of EDM: α = 1, σ = `sigma_max` (1 − t), so that σ reaches 0 at t = 1.

    This is EDM's path, σ(t) = t and s(t) = 1, with its clock reversed. The grid (`grids.karras`) chooses the levels
    that a sampler visits, not the path; the levels of `GeometricVE` are in geometric progression.

    Source: Karras et al., Elucidating the Design Space (2206.00364), table 1.
    """

    sigma_max: float = 80.0

    def __post_init__(self) -> None:
        check_fields(self, real, "sigma_max", **LEVELS)

    def alpha(self, t: Real) -> Real:
        return 0.0 * t + 1.0

    def sigma(self, t: Real) -> Real:
        return self.sigma_max * (1.0 - t)

    def d_alpha(self, t: Real) -> Real:
        return 0.0 * t

    def d_sigma(self, t: Real) -> Real:
        return 0.0 * t - self.sigma_max

    def time(self, log_snr: Real) -> Real:
        return 1.0 - exp(-0.5 * log_snr) / self.sigma_max

"""The quantity that an exponential solver holds over a step: the rows of one table, as clocks.

Along x_t = α x₀ + σ ε, with λ = log(α/σ) and κ = η², one family of equations shares its marginals for every η,

    dx = [velocity + κ σ² λ' score] dt + σ √(2 κ λ') dW.

Each of them is semilinear, d(x / S) = N dr + dW_q, in several ways: the hold names N = p x₀-hat + q ε-hat.

    hold        S                  gain S r        power S² q     N
    x0          σ e^{−κλ}          α               σ²             x₀-hat
    eps         α                  (1 + κ) σ       −κ σ²          ε-hat
    velocity    α + σ              α               (η = 0)        x₀-hat − ε-hat
    v           √(α² + σ²)         S atan2(α, σ)   (η = 0)        (σ x₀-hat − α ε-hat) / S

x0 and eps are smooth functions of log r, which is an affine function of λ. velocity and v are smooth functions of r
itself, which is bounded. With D = α' σ − α σ' the rates are S'/S, S r' and S √|q'| = σ √(2 κ λ') = √(2 κ σ D/α).

Sources: Lu et al., DPM-Solver++ (2211.01095), prop. 4.1 (x0); Zhang and Chen, DEIS (2204.13902), eq. 11 (eps); Song et
al. (2011.13456), eqs. 6 and 13 (the family).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...solvers import Clock, Rates, Time
from ...solvers.common import choice, flag
from ..denoiser import coefficients
from ..paths import GaussianPath, Real, Scalar, hypot, ratio, sqrt

__all__ = ["HOLDS", "X0", "Drift", "Eps", "Hold", "V", "Velocity", "hold_of"]

ROUNDING = 1e-6
"""How far beyond 1 a time may lie that was computed, in single precision, say."""


@dataclass(frozen=True)
class Hold(Clock):
    """A row of the table: the clock of N = p x₀-hat + q ε-hat on a path.

    Args:
        path: the path.
        kappa: κ = η², the square of the noise level; 0 for the probability flow.
        in_log: interpolate N in log r (True) or in r (False); None takes what suits the hold.
    """

    path: GaussianPath
    kappa: float = 0.0
    in_log: bool | None = None

    name: ClassVar[str]
    has_noise: ClassVar[bool]
    """Whether there is a stochastic form. A hold that has one is smooth in log r."""

    @property
    def logarithmic(self) -> bool:
        return self.has_noise if self.in_log is None else self.in_log

    @property
    def stochastic(self) -> bool:
        return self.kappa > 0.0

    @abstractmethod
    def row(self, t: Time) -> tuple[Scalar, Scalar]:
        """(p, q) of N = p x₀ + q ε."""

    @abstractmethod
    def half_log_snr(self, r: Tensor) -> Tensor:
        """The λ at which the clock shows r."""

    def time(self, r: Tensor) -> Tensor:
        return self.path.time(2.0 * self.half_log_snr(r))

    def check_times(self, t0: float, t1: float) -> None:
        if max(t0, t1) > 1.0 + ROUNDING:
            raise ValueError(
                f"The times go to t = {max(t0, t1):g}, but the data are at t = 1, where the path ends; end there."
            )

    def basis(self, t: float) -> tuple[float, float]:
        """(a, b) with N = a x + b M, M = (σ x₀ − α ε)/(α² + σ²): the system that is regular at every time."""
        (p, q), alpha, sigma = map(float, self.row(t)), self.path.alpha(t), self.path.sigma(t)
        return (p * alpha + q * sigma) / (alpha**2 + sigma**2), p * sigma - q * alpha

    def _rotation(self, t: Real) -> Real:
        """D = α' σ − α σ'."""
        return self.path.d_alpha(t) * self.path.sigma(t) - self.path.alpha(t) * self.path.d_sigma(t)

    def _intensity(self, t: Real) -> Real:
        """√(2 κ σ D/α)."""
        if not self.kappa:
            return 0.0 * t
        return sqrt(2.0 * self.kappa * ratio(self.path.sigma(t) * self._rotation(t), self.path.alpha(t)))


@dataclass(frozen=True)
class X0(Hold):
    """N = x₀-hat: DDIM, DPM-Solver++."""

    name = "x0"
    has_noise = True

    def row(self, t: Time) -> tuple[Scalar, Scalar]:
        return 1.0, 0.0

    def scale(self, t: Tensor) -> Tensor:
        sigma = self.path.sigma(t)
        return sigma * torch.exp(-self.kappa * self.path.half_log_snr(t)) if self.kappa else sigma

    def gain(self, t: Tensor) -> Tensor:
        return self.path.alpha(t)

    def power(self, t: Tensor) -> Tensor:
        return self.path.sigma(t) ** 2 if self.kappa else torch.zeros_like(t)

    def half_log_snr(self, r: Tensor) -> Tensor:
        return r.log() / (1.0 + self.kappa)

    def rates(self, t: Time) -> Rates:
        alpha, sigma, rotation = self.path.alpha(t), self.path.sigma(t), self._rotation(t)
        noise = self.kappa * ratio(rotation, alpha * sigma) if self.kappa else 0.0
        linear = ratio(self.path.d_sigma(t), sigma) - noise
        return Rates(linear, (1.0 + self.kappa) * ratio(rotation, sigma), self._intensity(t))


@dataclass(frozen=True)
class Eps(Hold):
    """N = ε-hat: DPM-Solver, DEIS; EDM's equation in σ/α."""

    name = "eps"
    has_noise = True

    def row(self, t: Time) -> tuple[Scalar, Scalar]:
        return 0.0, 1.0

    def scale(self, t: Tensor) -> Tensor:
        return self.path.alpha(t)

    def gain(self, t: Tensor) -> Tensor:
        return (1.0 + self.kappa) * self.path.sigma(t)

    def power(self, t: Tensor) -> Tensor:
        return -self.kappa * self.path.sigma(t) ** 2

    def half_log_snr(self, r: Tensor) -> Tensor:
        return ((1.0 + self.kappa) / r).log()

    def rates(self, t: Time) -> Rates:
        alpha = self.path.alpha(t)
        forcing = -(1.0 + self.kappa) * ratio(self._rotation(t), alpha)
        return Rates(ratio(self.path.d_alpha(t), alpha), forcing, self._intensity(t))


@dataclass(frozen=True)
class Velocity(Hold):
    """N = x₀-hat − ε-hat: on the straight path the velocity itself."""

    name = "velocity"
    has_noise = False

    def row(self, t: Time) -> tuple[Scalar, Scalar]:
        return 1.0, -1.0

    def scale(self, t: Tensor) -> Tensor:
        return self.path.alpha(t) + self.path.sigma(t)

    def gain(self, t: Tensor) -> Tensor:
        return self.path.alpha(t)

    def half_log_snr(self, r: Tensor) -> Tensor:
        return (r / (1.0 - r)).log()

    def rates(self, t: Time) -> Rates:
        total = self.path.alpha(t) + self.path.sigma(t)
        return Rates((self.path.d_alpha(t) + self.path.d_sigma(t)) / total, self._rotation(t) / total)


@dataclass(frozen=True)
class V(Hold):
    """N = (σ x₀-hat − α ε-hat) / √(α² + σ²), the velocity of the rotation by the angle atan2(α, σ)."""

    name = "v"
    has_noise = False

    def row(self, t: Time) -> tuple[Scalar, Scalar]:
        alpha, sigma = self.path.alpha(t), self.path.sigma(t)
        norm = hypot(sigma, alpha)
        return sigma / norm, -alpha / norm

    def scale(self, t: Tensor) -> Tensor:
        return torch.hypot(self.path.alpha(t), self.path.sigma(t))

    def gain(self, t: Tensor) -> Tensor:
        return self.scale(t) * torch.atan2(self.path.alpha(t), self.path.sigma(t))

    def half_log_snr(self, r: Tensor) -> Tensor:
        return r.tan().log()

    def rates(self, t: Time) -> Rates:
        alpha, sigma = self.path.alpha(t), self.path.sigma(t)
        norm = hypot(alpha, sigma)
        linear = (alpha * self.path.d_alpha(t) + sigma * self.path.d_sigma(t)) / norm**2
        return Rates(linear, self._rotation(t) / norm)


@dataclass(frozen=True)
class Drift(Hold):
    """N = α' x₀-hat + σ' ε-hat, the drift itself, with S = 1 and r = t: of `flow`, on paths that start from rest."""

    name = "velocity"
    has_noise = False

    def row(self, t: Time) -> tuple[Scalar, Scalar]:
        return coefficients("velocity", self.path, t)

    def scale(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def gain(self, t: Tensor) -> Tensor:
        return t

    def half_log_snr(self, r: Tensor) -> Tensor:
        return self.path.half_log_snr(r)

    def time(self, r: Tensor) -> Tensor:
        return r

    def rates(self, t: Time) -> Rates:
        return Rates(0.0, 1.0)


HOLDS: dict[str, type[Hold]] = {hold.name: hold for hold in (X0, Eps, Velocity, V)}
"""The holds by name."""


def hold_of(path: GaussianPath, name: str, kappa: float = 0.0, in_log: bool | None = None) -> Hold:
    """The hold of that name on a path.

    Args:
        path: the path.
        name: "x0", "eps", "velocity" or "v".
        kappa: κ = η², the square of the noise level.
        in_log: interpolate in log r (True) or in r (False); None takes what suits the hold.

    Raises:
        ValueError: the name is unknown, or there is noise and the hold has no stochastic form.
        TypeError: in_log is neither a bool nor None.
    """
    choice("hold", name, HOLDS)
    in_log = None if in_log is None else flag("logarithmic", in_log)
    if kappa and not HOLDS[name].has_noise:
        raise ValueError(f"hold={name!r} has no stochastic form; use hold='x0' or hold='eps', or flow(denoiser).")
    return HOLDS[name](path, kappa, in_log)

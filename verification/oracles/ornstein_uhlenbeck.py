"""The Ornstein-Uhlenbeck process, dX = −θ X dt + σ dW: exact laws and exact paths.

    X_t | X_s ~ N(e^{−θ(t−s)} X_s, σ² (1 − e^{−2θ(t−s)}) / 2θ),        X_∞ ~ N(0, σ² / 2θ).

In semilinear form, with the scale S = e^{−θt} and the variance clock q = σ² (e^{2θt} − 1) / 2θ,

    d(X / S) = dW_q,        X_t = e^{−θ(t−s)} X_s + S_t (W_{q_t} − W_{q_s}),

so that given the Brownian path the solution is known without error.

Source: Uhlenbeck and Ornstein, On the Theory of the Brownian Motion, Phys. Rev. 36 (1930) 823.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from ...solvers import Clock, Noise, Rates, Semilinear, Time
from ...solvers.common import (
    check_fields,
    check_finite,
    check_floating,
    check_instance,
    check_memory,
    real,
    reals,
    whole,
)
from .gaussian import Gaussian

__all__ = ["OrnsteinUhlenbeck"]


@dataclass(frozen=True)
class _Clock(Clock):
    """S = e^{−θt}, S r = 1 − e^{−θt}, S² q = (σ²/2θ) (1 − e^{−2θt})."""

    theta: float
    sigma: float

    @property
    def stochastic(self) -> bool:
        return True

    def scale(self, t: Tensor) -> Tensor:
        return torch.exp(-self.theta * t)

    def gain(self, t: Tensor) -> Tensor:
        return -torch.expm1(-self.theta * t)

    def power(self, t: Tensor) -> Tensor:
        return -(self.sigma**2 / (2.0 * self.theta)) * torch.expm1(-2.0 * self.theta * t)

    def rates(self, t: Time) -> Rates:
        return Rates(-self.theta, self.theta, self.sigma)

    def time(self, r: Tensor) -> Tensor:
        return r.log1p() / self.theta


def _nothing(t: Time, x: Tensor) -> Tensor:
    """N: the level to which the process returns."""
    return torch.zeros_like(x)


@dataclass(frozen=True)
class OrnsteinUhlenbeck:
    """dX = −θ X dt + σ dW in every component.

    Args:
        theta: θ, the rate of return to 0; positive and finite.
        sigma: σ, the intensity of the noise; positive and finite.

    Raises:
        TypeError: θ or σ is no number.
        ValueError: θ or σ is out of range, or the stationary variance σ²/2θ is.
    """

    theta: float
    sigma: float

    def __post_init__(self) -> None:
        check_fields(self, real, "theta", "sigma", above=0.0)
        real("The stationary variance, sigma²/(2 theta),", self._stationary_variance, above=0.0)

    def transition(self, s: float, t: float) -> tuple[float, float]:
        """(a, v) with X_t | X_s ~ N(a X_s, v I), for s <= t."""
        s, t = real("s", s), real("t", t)
        if s > t:
            raise ValueError(f"A transition leads forward, but {s:g} is later than {t:g}; exchange them.")
        elapsed = self.theta * (t - s)
        return math.exp(-elapsed), -math.expm1(-2.0 * elapsed) * self._stationary_variance

    def mean(self, x: Tensor, t: float) -> Tensor:
        """E[X_t | X_0 = x]."""
        _check_states(x)
        return self.transition(0.0, t)[0] * x

    def variance(self, t: float, start: float = 0.0) -> float:
        """Var X_t of a component whose X_0 has the variance `start`."""
        factor, variance = self.transition(0.0, t)
        return factor**2 * real("start", start, 0.0) + variance

    def covariance(self, s: float, t: float, start: float = 0.0) -> float:
        """Cov(X_s, X_t) of a component whose X_0 has the variance `start`."""
        early, late = sorted((real("s", s), real("t", t)))
        return self.transition(early, late)[0] * self.variance(early, start)

    def stationary(self, dim: int = 1) -> Gaussian:
        """N(0, σ² / 2θ · I), in float64."""
        dim = whole("dim", dim, 1)
        check_memory("dim", dim, 4 * dim**2)
        eye = torch.eye(dim, dtype=torch.float64, device="cpu")
        return Gaussian(eye.new_zeros(dim), self._stationary_variance * eye)

    def equation(self) -> Semilinear:
        """The process as an equation for every stochastic solver."""
        return Semilinear(_nothing, _Clock(self.theta, self.sigma))

    def path(self, x: Tensor, times: Sequence[float], noise: Noise) -> Tensor:
        """The exact solution at every time.

        With a `BrownianTree` it is the path that every solver of `equation()` approximates on the same tree.

        Args:
            x: the states at times[0], (B, ...).
            times: increasing.
            noise: the Brownian path.

        Returns:
            (len(times), B, ...).

        Raises:
            TypeError: arguments of another kind.
            ValueError: times that do not rise.
        """
        _check_states(x)
        check_instance("noise", noise, Noise, "a BrownianTree, or WhiteNoise(seed)")
        times = reals("times", times)
        if not times or any(s >= t for s, t in pairwise(times)):
            raise ValueError(f"times are {[*times]}, but must rise.")
        clock = self.equation().variance
        states = [x]
        for s, t in pairwise(times):
            factor, variance = self.transition(s, t)
            states.append(factor * states[-1] + math.sqrt(variance) * noise.normal(s, t, clock, x))
        return torch.stack(states)

    @property
    def _stationary_variance(self) -> float:
        return self.sigma * self.sigma / self.theta / 2.0


def _check_states(x: Tensor) -> None:
    check_floating("x", x)
    check_finite("x", x)

"""The resolution shift as a change of time, for any path.

At time t the shifted path is where the inner path is at the time t' with λ(t') = λ(t) + shift. The vector (α, σ) of the
shifted path has the length h(t') = √(α(t')² + σ(t')²) of the inner path there, and the direction of its own log-SNR:

    (α, σ)_shifted = h(t') (e^{shift/2} α_t, e^{−shift/2} σ_t) / k,       k² = e^{shift} α_t² + e^{−shift} σ_t²

The direction does not pass through t', which is rounded where λ is steep. With D = α' σ − α σ' and λ' = D/(α σ),

    dt'/dt = λ'(t)/λ'(t') = D(t)/D(t') · h(t')²/k²,

is regular at both ends unless D is singular there. Where σ falls like √(1 − t) (VP at t = 1), D is infinite and dt'/dt
tends to e^{−2 shift}. Where α rises like tⁿ, n > 1, D vanishes with both derivatives, whatever the speed.

Sources: Hoogeboom et al., Simple Diffusion (2301.11093), section 3.1; Esser et al. (2403.03206), section 5.3.2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...solvers.common import check_fields, check_instance, real
from .elementary import Real, exp, hypot
from .path import LARGEST_SHIFT, GaussianPath

__all__ = ["Shifted"]


@dataclass(frozen=True)
class Shifted(GaussianPath):
    """`path` with every λ = log(α/σ) moved by `shift`, and so every log-SNR by twice that.

    A network that was trained on the inner path keeps its own time with Denoiser(..., time=shifted.inner_time). The
    shift of a shifted path is the sum of both shifts. An infinite end stays where it is. At a finite end (VP, VE and
    tables at t = 0, Cosine and GeometricVE at both) t' lies outside [0, 1] or strictly inside; there the formulas of
    every path of this library still hold.

    Args:
        path: the inner path.
        shift: added to λ. For images of side d and a path that was chosen for images of side r, log(r / d): negative,
            noisier, for larger images. The time shift s of Stable Diffusion 3, t' = t / (t + s (1 − t)) on `CondOT`,
            is −log s. At most 300 in size, so that e^{2λ} stays a number.

    Raises:
        TypeError: the path is no `GaussianPath`.
        ValueError: the shift is out of range, or the path does not reach the log-SNR of a shifted end.
    """

    path: GaussianPath
    shift: float

    def __post_init__(self) -> None:
        check_instance("path", self.path, GaussianPath, "a path, as in Shifted(CondOT(), -1.1)")
        check_fields(self, real, "shift")
        if isinstance(self.path, Shifted):
            object.__setattr__(self, "shift", self.path.shift + self.shift)
            object.__setattr__(self, "path", self.path.path)
        check_fields(self, real, "shift", low=-LARGEST_SHIFT, high=LARGEST_SHIFT)
        for t in (0.0, 1.0):
            self._check(t)

    def _check(self, t: float) -> None:
        """Raises ValueError unless the inner path has a time of the shifted log-SNR at t."""
        level, inner = self.half_log_snr(t), self.inner_time(t)
        signal = exp(level) * self.path.sigma(inner) if math.isfinite(level) else self.path.alpha(inner)
        if not math.isclose(self.path.alpha(inner), signal, rel_tol=1e-6):
            raise ValueError(
                f"{self.path} does not continue to the log-SNR {2.0 * level:g} that a shift of {self.shift:g} gives at "
                f"t = {t:g}; choose a smaller shift, or a path with infinite ends."
            )

    def inner_time(self, t: Real) -> Real:
        """t', the time of the inner path."""
        return self.path.time(self.log_snr(t))

    def _direction(self, t: Real) -> tuple[Real, Real]:
        """(e^{shift/2} α, e^{−shift/2} σ) of the inner path at t itself; k is its length."""
        root = math.exp(0.5 * self.shift)
        return root * self.path.alpha(t), self.path.sigma(t) / root

    def _stretch(self, t: Real) -> Real:
        """h(t')/k."""
        inner = self.inner_time(t)
        return hypot(self.path.alpha(inner), self.path.sigma(inner)) / hypot(*self._direction(t))

    def _speed(self, t: Real) -> Real:
        """dt'/dt."""
        here, there = _rotation(self.path, t), _rotation(self.path, self.inner_time(t))
        return _quotient(here, there, math.exp(-self.shift)) * self._stretch(t) ** 2

    def alpha(self, t: Real) -> Real:
        return self._stretch(t) * self._direction(t)[0]

    def sigma(self, t: Real) -> Real:
        return self._stretch(t) * self._direction(t)[1]

    def d_alpha(self, t: Real) -> Real:
        return self.path.d_alpha(self.inner_time(t)) * self._speed(t)

    def d_sigma(self, t: Real) -> Real:
        return self.path.d_sigma(self.inner_time(t)) * self._speed(t)

    def half_log_snr(self, t: Real) -> Real:
        return self.path.half_log_snr(t) + self.shift

    def d_half_log_snr(self, t: Real) -> Real:
        return self.path.d_half_log_snr(t)

    def time(self, log_snr: Real) -> Real:
        return self.path.time(log_snr - 2.0 * self.shift)


def _rotation(path: GaussianPath, t: Real) -> Real:
    """D = α' σ − α σ'."""
    return path.d_alpha(t) * path.sigma(t) - path.alpha(t) * path.d_sigma(t)


def _quotient(numerator: Real, denominator: Real, limit: float) -> Real:
    """numerator / denominator, and the limit where both are zero or infinite."""
    if isinstance(numerator, Tensor):
        quotient = numerator / denominator
        return torch.where(quotient.isnan(), limit, quotient)
    return limit if numerator == denominator and numerator in (0.0, math.inf) else numerator / denominator

"""How a convention uses a network, and when two of them are one.

In the frame in which a path only adds noise, y = x/α = x₀ + ρ ε with ρ = σ/α = e^{−λ}, a convention says at each
λ = log(α/σ)

    what the network sees:         m y and its clock c
    how its output o is read:      x₀-hat = a y + b o

For o = ±(p x₀ + q ε), the row (p, q) of a kind, a = −q/(ρ p − q) and b = ±ρ/(ρ p − q); inside the preconditioning of
EDM, a = α skip and b = output. Conventions with the same m, c, a, b at every λ use a network in the same way: they are
one convention in other words, such as the clock σ on the straight path and 1 − t. Where m, a, b agree within 2 % and c
to 0.1 nats of λ, in the root mean square, a network can hardly tell: the error of x₀-hat is of second order in that.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from ...generative.paths import GaussianPath, Real
from .network_clock import NetworkClock

__all__ = ["Levels", "View", "alike", "levels", "tensor"]

NEAR_IN_HALF_LOG_SNR, NEAR_IN_SCALE = 0.1, 0.02
STEP = 1e-4
"""In λ, of the slope of a clock."""


@dataclass(frozen=True)
class View:
    """m, c, dc/dλ, a and b at some log-SNRs: (L,), float64."""

    input: Tensor
    clock: Tensor
    slope: Tensor
    skip: Tensor
    gain: Tensor

    @cached_property
    def call(self) -> bytes:
        """What the network sees, to seven figures: the same for views that share its evaluations."""
        return _figures(torch.cat([self.input, self.clock]))

    @cached_property
    def whole(self) -> bytes:
        return self.call + _figures(torch.cat([self.skip, self.gain]))

    @property
    def finite(self) -> bool:
        return bool(torch.cat([self.input, self.clock, self.skip, self.gain]).isfinite().all())


class Levels(NamedTuple):
    """What a path and a clock are at some log-SNRs."""

    time: Tensor
    rho: Tensor
    alpha: Tensor
    sigma: Tensor
    clock: Tensor
    slope: Tensor


def alike(one: View, other: View) -> bool:
    """Whether two views use a network in the same way, within the tolerances above."""
    lag = (one.clock - other.clock).abs() / torch.minimum(one.slope.abs(), other.slope.abs())
    scale = (one.input / other.input).log().abs()
    read = torch.maximum((one.skip - other.skip).abs(), (one.gain / other.gain - 1.0).abs())
    return bool(
        lag.nan_to_num().square().mean().sqrt() <= NEAR_IN_HALF_LOG_SNR
        and (scale <= NEAR_IN_SCALE).all()
        and (read <= NEAR_IN_SCALE).all()
    )


def levels(path: GaussianPath, clock: NetworkClock, log_snr: Tensor) -> Levels | None:
    """None if the path does not have these log-SNRs (L,), float64, at times in [0, 1]."""
    t = _time(path, log_snr)
    if not bool(((t >= 0.0) & (t <= 1.0)).all()):
        return None
    alpha, sigma, now, later = (
        tensor(value, t)
        for value in (path.alpha(t), path.sigma(t), clock(path, t), clock(path, _time(path, log_snr + 2.0 * STEP)))
    )
    return Levels(t, torch.exp(-0.5 * log_snr), alpha, sigma, now, (later - now) / STEP)


def _time(path: GaussianPath, log_snr: Tensor) -> Tensor:
    return tensor(path.time(log_snr), log_snr)


def tensor(value: Real, like: Tensor) -> Tensor:
    """A number or tensor as one of the shape and dtype of another."""
    return torch.as_tensor(value, dtype=like.dtype).expand_as(like)


def _figures(values: Tensor) -> bytes:
    return values.float().numpy().tobytes()

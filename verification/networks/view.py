"""How a convention uses a network, and when two conventions are the same.

In the frame in which a path only adds noise, y = x/α = x₀ + ρ ε with ρ = σ/α = e^{−λ}, a convention determines at each
λ = log(α/σ)

    the input of the network:        m y and its clock c
    the use of its output o:         x₀-hat = a y + b o

For o = ±(p x₀ + q ε), the row (p, q) of a kind, a = −q/(ρ p − q) and b = ±ρ/(ρ p − q); inside the preconditioning of
EDM, a = α skip and b = output. Conventions with the same m, c, a, b at every λ use a network in the same way: they are
two names of one convention, such as the clocks σ and 1 − t on the straight path. If m, a, b agree within 2 % and c
within 0.1 of λ, in the root mean square, a network can hardly tell: the error of x₀-hat is of second order in the
differences.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from ...generative.paths import GaussianPath
from .network_clock import NetworkClock

__all__ = ["Levels", "View", "alike", "levels"]

NEAR_IN_HALF_LOG_SNR, NEAR_IN_SCALE = 0.1, 0.02
STEP = 1e-4
"""The difference of λ for the slope of a clock."""


@dataclass(frozen=True)
class View:
    """A convention's use of a network at several log-SNRs, each (L,), float64.

    Attributes:
        input: m.
        clock: c.
        slope: dc/dλ.
        skip: a.
        gain: b.
    """

    input: Tensor
    clock: Tensor
    slope: Tensor
    skip: Tensor
    gain: Tensor

    @cached_property
    def call(self) -> bytes:
        """The input to seven digits, the same for views that share evaluations of the network."""
        return _figures(torch.cat([self.input, self.clock]))

    @cached_property
    def whole(self) -> bytes:
        return self.call + _figures(torch.cat([self.skip, self.gain]))

    @property
    def finite(self) -> bool:
        return bool(torch.cat([self.input, self.clock, self.skip, self.gain]).isfinite().all())


class Levels(NamedTuple):
    """The values of a path and a clock at several log-SNRs, each (L,)."""

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
    """The values at log-SNRs (L,), float64; None if the path lacks one of them at times in [0, 1]."""
    t = path.time(log_snr)
    if not bool(((t >= 0.0) & (t <= 1.0)).all()):
        return None
    now, later = clock(path, t), clock(path, path.time(log_snr + 2.0 * STEP))
    return Levels(t, torch.exp(-0.5 * log_snr), path.alpha(t), path.sigma(t), now, (later - now) / STEP)


def _figures(values: Tensor) -> bytes:
    return values.float().numpy().tobytes()

"""Clocks: the functions of t that networks see in place of t.

    t               the time of the path, 0 at the noise and 1 at the data
    1-t             0 at the data
    sigma           σ(t), the standard deviation of the noise
    log_snr         log(α²/σ²), the logarithm of the signal-to-noise ratio
    half_log_snr    λ = log(α/σ), half of log_snr
    index           the position in a `Table` of betas, 0 at its cleanest level
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..paths import GaussianPath, Scalar, Table

__all__ = ["Clock", "NamedClock", "make_clock", "network_times"]

Clock = Callable[[Scalar], Scalar]
NAMES = ("t", "1-t", "sigma", "log_snr", "half_log_snr", "index")
WHOLE = 1e-6
"""An index that is this close to a whole number is rounded: 1 − (1 − (i + 1)/T) differs from (i + 1)/T by rounding."""


@dataclass(frozen=True)
class NamedClock:
    """A clock of a path, by its name in the table above.

    Args:
        path: the path on which the clock is read.
        name: "t", "1-t", "sigma", "log_snr" (log α²/σ²), "half_log_snr" (λ = log α/σ) or "index" (of a `Table`).

    Raises:
        ValueError: for an unknown name, and for "index" on a path that is no `Table`.

    Example:
        >>> NamedClock(CondOT(), "1-t")(0.25)
        0.75
    """

    path: GaussianPath
    name: str

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise ValueError(f"Unknown clock {self.name!r}; choose one of {', '.join(NAMES)}, or give a function of t.")
        if self.name == "index" and not isinstance(self.path, Table):
            raise ValueError(
                f"Only a Table of betas has the clock 'index', but the path is {self.path}; choose another clock."
            )

    def __call__(self, t: Scalar) -> Scalar:
        if self.name == "t":
            return t
        if self.name == "1-t":
            return 1.0 - t
        value: Scalar = getattr(self.path, self.name)(t)
        return _whole(value) if self.name == "index" else value


def _whole(index: Scalar) -> Scalar:
    """The index of a table, rounded if it is close to a whole number; 0 beyond the cleanest level."""
    if not isinstance(index, Tensor):
        return max(float(round(index)) if abs(index - round(index)) < WHOLE else index, 0.0)
    nearest = index.round()
    return torch.where((index - nearest).abs() < WHOLE, nearest, index).clamp(min=0.0)


def make_clock(path: GaussianPath, time: str | Clock) -> Clock:
    """The clock of a name on a path, a `NamedClock`; a function of t is returned unchanged."""
    return time if callable(time) else NamedClock(path, time)


def network_times(what: str, clock: Scalar, t: Scalar, x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """The value of a clock as a network sees it: (B,), on the device of x.

    Args:
        what: the name of the clock, for the message of an error.
        clock: its value at t, a float or (B,).
        t: the time, a float or (B,).
        x: the states, (B, ...).
        dtype: of the result; None takes that of x.

    Raises:
        ValueError: for a float that is infinite.
    """
    dtype = x.dtype if dtype is None else dtype
    if isinstance(clock, Tensor):
        return clock.to(x.device, dtype).expand(len(x))
    if not math.isfinite(clock):
        raise ValueError(f"{what} is {clock} at t = {t:g}; start or end at another time.")
    return x.new_full((len(x),), clock, dtype=dtype)

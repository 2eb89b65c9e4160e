"""Clocks: the functions of t that networks see in place of t.

    t               the time of the path, 0 at the noise and 1 at the data
    1-t             0 at the data
    sigma           σ(t), the standard deviation of the noise
    log_snr         log(α²/σ²), the logarithm of the signal-to-noise ratio
    half_log_snr    λ = log(α/σ), half of log_snr
    index           the position in a `Table` of betas, 0 at its cleanest level

A function of t may be written for floats, with `math`, or for tensors, with `torch`, and may return integers, as for an
embedding of T steps. It is asked as it can be, and its integers stay integers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...solvers.common import check_no_gradient, shown
from ..paths import GaussianPath, Scalar, Table
from .prediction import first_time

__all__ = ["Clock", "FunctionOfTime", "NamedClock", "make_clock", "network_times"]

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
            known = ", ".join(NAMES)
            raise ValueError(f"Unknown clock {shown(self.name)}; choose one of {known}, or give a function of t.")
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


@dataclass(frozen=True)
class FunctionOfTime:
    """A function of t as a clock of floats and of tensors alike.

    Args:
        function: of a float, of a tensor (B,), or of both.

    Example:
        >>> FunctionOfTime(math.sqrt)(torch.tensor([0.25, 1.0]))
        tensor([0.5000, 1.0000], dtype=torch.float64)
        >>> FunctionOfTime(torch.sqrt)(0.25)
        0.5
    """

    function: Callable[[Any], Any]

    def __call__(self, t: Scalar) -> Scalar:
        """The value at t, a float or (B,): a float, an int, or a tensor of one entry or (B,).

        Raises:
            TypeError: for a value that is no number.
            ValueError: where the function has no value, and for a value of another shape.
        """
        try:
            value = self.function(t)
        except (ArithmeticError, AttributeError, RuntimeError, TypeError, ValueError) as error:
            value = self._in_the_other_way(t, error)
        return self._checked(value, t)

    def _in_the_other_way(self, t: Scalar, error: Exception) -> Any:
        """The values for each entry of a tensor, by a function of floats; that for a float, by one of tensors."""
        if isinstance(t, Tensor):
            check_no_gradient("The time of a clock that is a function of floats", t)
            try:
                each = [self._checked(self.function(float(at)), float(at)) for at in t.flatten().tolist()]
            except (ArithmeticError, AttributeError, RuntimeError, TypeError, ValueError):
                raise error from None
            real = any(isinstance(at, float) for at in each)
            return torch.tensor(each, dtype=torch.float64 if real else None, device="cpu")
        if isinstance(error, ArithmeticError | ValueError):  # what math raises where a tensor is infinite or nan
            raise ValueError(f"The clock {self.function!r} fails at t = {t:g} ({error}); start or end elsewhere.")
        try:
            return self.function(torch.tensor(t, dtype=torch.float64, device="cpu"))
        except (RuntimeError, TypeError, ValueError):
            raise error from None

    def _checked(self, value: Any, t: Scalar) -> Scalar:
        if isinstance(value, np.ndarray):
            value = torch.from_numpy(value)
        if isinstance(value, Tensor):
            batch = t.numel() if isinstance(t, Tensor) else 1
            if value.numel() not in (1, batch):
                raise ValueError(
                    f"The clock {self.function!r} returned shape {tuple(value.shape)} for {batch} times; return one "
                    "number for each."
                )
            return value.flatten() if isinstance(t, Tensor) or not value.is_floating_point() else value.item()
        if not isinstance(value, Integral | Real):
            raise TypeError(f"The clock {self.function!r} returned a {type(value).__name__}; return numbers.")
        return int(value) if isinstance(value, Integral) else float(value)

    def __repr__(self) -> str:
        return repr(self.function)


def make_clock(path: GaussianPath, time: str | Clock) -> Clock:
    """The clock of a name on a path, a `NamedClock`, or of a function of t, a `FunctionOfTime`.

    Raises:
        TypeError: for what is neither.
        ValueError: for a name that is none.
    """
    if isinstance(time, str):
        return NamedClock(path, time)
    if not callable(time):
        raise TypeError(f"time is {time!r}, but must be the name of a clock, such as 't', or a function of t.")
    return FunctionOfTime(time)


def network_times(what: str, clock: Scalar, t: Scalar, x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """The value of a clock as a network sees it: (B,), on the device of x. Integers stay integers.

    Args:
        what: the name of the clock, for the message of an error.
        clock: its value at t, a float, an int, or a tensor of one entry or (B,).
        t: the time, a float or (B,).
        x: the states, (B, ...).
        dtype: of a result in floating point; None takes that of x.

    Raises:
        ValueError: for a value that is not finite, as far as the host knows it.
    """
    dtype = x.dtype if dtype is None else dtype
    wrong = ~clock.isfinite() if isinstance(clock, Tensor) else not math.isfinite(clock)
    if (at := first_time(wrong, t)) is not None:
        value = clock if not isinstance(clock, Tensor) else clock[wrong][0].item()
        raise ValueError(f"{what} is {value} at t = {at:g}; start or end at another time.")
    if isinstance(clock, Tensor):
        return clock.to(dtype if clock.is_floating_point() else clock.dtype).to(x.device).expand(len(x))
    return x.new_full((len(x),), clock, dtype=torch.int64 if isinstance(clock, int) else dtype)

"""The clock of a semilinear equation d(x / S) = N dr + dW_q: the functions of time that are known in closed form.

    scale        S(t)
    gain         G(t) = S r, finite where r is not (σ = 0, α = 0)
    power        P(t) = S² q, of a stochastic equation

They are elementwise functions of float64 times. Everything else that solvers need follows from them,

    r = G / S,        q = P / S²,        S'/S,        S r' = G' − (S'/S) G,        S √q' = √(P' − 2 (S'/S) P),

where automatic differentiation gives the derivatives unless a clock knows them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .common import check_callable, check_fields, check_no_gradient, flag, host
from .field import Time

__all__ = ["Clock", "FunctionClock", "PlainClock", "Rates", "checked_values"]


class Rates(NamedTuple):
    """The coefficients of dx = [(S'/S) x + S r' N] dt + S √|q'| dW, at one time or at several.

    Attributes:
        linear: S'/S.
        forcing: S r'.
        intensity: S √|q'|.
    """

    linear: Any
    forcing: Any
    intensity: Any = 0.0


class Clock(ABC):
    """S, S r and S² q as elementwise functions of float64 times of any shape."""

    @property
    def stochastic(self) -> bool:
        """Whether noise drives the equation."""
        return False

    @property
    def logarithmic(self) -> bool:
        """Whether exponential methods interpolate N in log|r| instead of r, because N is smoother in it."""
        return False

    @abstractmethod
    def scale(self, t: Tensor) -> Tensor:
        """S."""

    @abstractmethod
    def gain(self, t: Tensor) -> Tensor:
        """S r."""

    def power(self, t: Tensor) -> Tensor:
        """S² q; zero for an equation without noise."""
        return torch.zeros_like(t)

    def time(self, r: Tensor) -> Tensor:
        """The inverse: the time t at which the clock is at r, elementwise.

        `Semilinear.in_clock`, `ExponentialRK` and the start-up of `ExponentialAdams` above third order need it for
        stages within a step. Raises ValueError if the inverse is not known.
        """
        raise ValueError(
            f"A stage within a step needs the inverse of the clock, but {type(self).__name__} has none; give it "
            "time(r), or use ExponentialAdams up to order 3."
        )

    def check_times(self, t0: float, t1: float) -> None:  # noqa: B027  # by default it goes on for ever
        """Raise ValueError if the clock ends before one of these times; a solve between them asks once."""

    def rates(self, t: Time) -> Rates:
        """S'/S, S r' and S √|q'| at t: floats for a float, tensors of t's shape for a tensor."""
        times = host(t)
        scale, d_scale = _with_derivative(self.scale, times)
        gain, d_gain = _with_derivative(self.gain, times)
        linear = d_scale / scale
        forcing = d_gain - linear * gain
        intensity = torch.zeros_like(times)
        if self.stochastic:
            power, d_power = _with_derivative(self.power, times)
            intensity = (d_power - 2.0 * linear * power).sqrt()
        rates = Rates(linear, forcing, intensity)
        return rates if isinstance(t, Tensor) else Rates(*(rate.item() for rate in rates))

    def r(self, t: Tensor) -> Tensor:
        """r at t, infinite where S vanishes."""
        return self.gain(t) / self.scale(t)

    def variance(self, t: Tensor) -> Tensor:
        """q at t: the variance of the driving Brownian motion; t itself for an equation without noise."""
        if not self.stochastic:
            return t
        scale, power = self.scale(t), self.power(t)
        return torch.where(scale == 0.0, torch.copysign(scale.new_tensor(math.inf), power), power / scale**2)


@dataclass(frozen=True)
class PlainClock(Clock):
    """r = t and S = 1, so that dx/dt = N."""

    def scale(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def gain(self, t: Tensor) -> Tensor:
        return t

    def time(self, r: Tensor) -> Tensor:
        return r

    def rates(self, t: Time) -> Rates:
        return Rates(0.0, 1.0)


@dataclass(frozen=True)
class FunctionClock(Clock):
    """A clock made of functions of float64 times.

    Args:
        scale_of: S.
        gain_of: S r.
        power_of: S² q; None for an equation without noise.
        time_of: the inverse t(r); None if it is not known.
        in_log: whether exponential methods interpolate N in log|r| instead of r.

    Raises:
        TypeError: a function cannot be called, or `in_log` is no bool.
    """

    scale_of: Callable[[Tensor], Tensor]
    gain_of: Callable[[Tensor], Tensor]
    power_of: Callable[[Tensor], Tensor] | None = None
    time_of: Callable[[Tensor], Tensor] | None = None
    in_log: bool = False

    def __post_init__(self) -> None:
        for name in ("scale_of", "gain_of", "power_of", "time_of"):
            function = getattr(self, name)
            if function is not None or name in ("scale_of", "gain_of"):
                check_callable(name, function, "a function of float64 times")
        check_fields(self, flag, "in_log")

    @property
    def logarithmic(self) -> bool:
        return self.in_log

    def scale(self, t: Tensor) -> Tensor:
        return self.scale_of(t)

    def gain(self, t: Tensor) -> Tensor:
        return self.gain_of(t)

    @property
    def stochastic(self) -> bool:
        return self.power_of is not None

    def power(self, t: Tensor) -> Tensor:
        return super().power(t) if self.power_of is None else self.power_of(t)

    def time(self, r: Tensor) -> Tensor:
        return super().time(r) if self.time_of is None else self.time_of(r)


def checked_values(what: str, value: Any, times: Tensor) -> Tensor:
    """The values of a function at these times. Raises TypeError or ValueError if there is not one for each time."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{what} returned {type(value).__name__}; return a tensor, such as torch.ones_like(t) for 1.")
    if value.shape != times.shape or not value.is_floating_point():
        raise ValueError(
            f"{what} returned {value.dtype} of shape {tuple(value.shape)} for times of shape {tuple(times.shape)}; "
            "return one number for each time."
        )
    return value


def _with_derivative(function: Callable[[Tensor], Tensor], times: Tensor) -> tuple[Tensor, Tensor]:
    """The function and its derivative at float64 times, elementwise.

    Autograd is ten times as fast as `torch.func`, but it cannot begin inside a transform of the latter.

    Raises:
        ValueError: the function depends on what requires a gradient.
    """
    value = checked_values("A function of the clock", function(times), times)
    check_no_gradient("A function of time", value)
    with torch.inference_mode(False), torch.enable_grad():
        at = times.detach().clone()
        try:
            at.requires_grad_()
        except RuntimeError:
            return value, torch.func.grad(lambda t: function(t).sum())(times)
        found = function(at)
        constant = not found.requires_grad
        return value, torch.zeros_like(at) if constant else torch.autograd.grad(found.sum(), at)[0]

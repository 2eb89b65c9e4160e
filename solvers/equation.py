"""Three kinds of differential equation over a state x of shape (B, ...).

    ODE          dx = f(t, x) dt
    SDE          dx = f(t, x) dt + g(t, x) dW
    Semilinear   d(x / S) = N(t, x) dr + dW_q

A semilinear equation is an ODE or an SDE whose only costly part is the field N (the network). S(t) is a scale, r(t) a
clock and q(t) a variance clock: W_q is a Brownian motion of variance q, and a deterministic equation has none. For a
constant N the solution is exact,

    x_t = (S_t/S_s) x_s + (G_t − (S_t/S_s) G_s) N + S_t (W_{q_t} − W_{q_s}),        G = S r the gain,

where G is given instead of r, because S and G stay finite where r does not (σ = 0, α = 0). The derivative is

    dx = [(S'/S) x + S r' N] dt + S √q' dW,        S r' = G' − (S'/S) G,

so that every classical solver takes the equation too. In its own clock, with z = x / S, it is the plain ODE dz/dr = N.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, Self, get_args

from torch import Tensor

from .clock import Clock, Rates
from .common import check_callable, check_instance, choice, host, matching
from .diffusion import Diffusion, NoiseType
from .field import Field, Function, Time, as_field, column

__all__ = ["ODE", "SDE", "Calculus", "Equation", "Noising", "NoiseType", "Semilinear"]

Calculus = Literal["ito", "stratonovich"]
Wrap = Callable[[Field], Field]
"""A function that puts a field around a field."""


class Equation(ABC):
    """The contract between an equation and the solvers."""

    field: Field
    """The costly field, whose calls are counted."""
    drift: Function
    """f(t, x), of x's shape, for a float t, or for one time a sample, float64 (B,)."""

    @property
    @abstractmethod
    def stochastic(self) -> bool:
        """Whether noise drives the equation."""

    @abstractmethod
    def wrapped(self, wrap: Wrap) -> Self:
        """The same equation, with every field f replaced by wrap(f)."""

    def variance(self, times: Tensor) -> Tensor:
        """q, the variance clock of the driving Brownian motion, at float64 times of any shape."""
        return times

    def of_rows(self, index: Tensor) -> Self:
        """The equation of the samples with these indices: int64, of any length, in which samples may repeat."""
        return self.wrapped(lambda field: field.of_rows(index))


@dataclass(frozen=True)
class ODE(Equation):
    """dx = f(t, x) dt.

    Args:
        drift: f(t, x), a function or a `Field`; t a float, x of shape (B, ...), the value of x's shape and dtype.

    Raises:
        TypeError: drift cannot be called.
    """

    drift: Function
    field: Field = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "field", as_field(self.drift))

    @property
    def stochastic(self) -> bool:
        return False

    def wrapped(self, wrap: Wrap) -> Self:
        return replace(self, drift=wrap(self.field))


@dataclass(frozen=True)
class SDE(Equation):
    """dx = f(t, x) dt + g(t, x) dW, Ito or Stratonovich.

    Args:
        drift: f(t, x), a function or a `Field`; t a float, x of shape (B, ...), the value of x's shape and dtype.
        diffusion: g(t, x), in the shape that `noise` says.
        noise: "diagonal", g of x's shape (or what broadcasts to it), multiplied with dW of x's shape elementwise;
            "additive", the same, independent of x; "scalar", g of x's shape, multiplied with one dW a sample;
            "general", g of shape (B, d, m), applied to dW of shape (B, m), for x of shape (B, d).
        calculus: "ito" or "stratonovich".

    Raises:
        TypeError: drift or diffusion cannot be called.
        ValueError: noise or calculus is unknown.
    """

    drift: Function
    diffusion: Callable[[float, Tensor], Tensor | float]
    noise: NoiseType = "diagonal"
    calculus: Calculus = "ito"
    field: Field = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        choice("noise", self.noise, get_args(NoiseType))
        choice("calculus", self.calculus, get_args(Calculus))
        given = self.diffusion.function if isinstance(self.diffusion, Diffusion) else self.diffusion
        check_callable("diffusion", given, "a function g(t, x)")
        object.__setattr__(self, "diffusion", Diffusion(given, self.noise))
        object.__setattr__(self, "field", as_field(self.drift))

    @property
    def stochastic(self) -> bool:
        return True

    def loading(self, t: float, x: Tensor) -> Tensor | float:
        """L in dx = f dt + L dW_q. It is g, since q is t."""
        return self.diffusion(t, x)

    def wrapped(self, wrap: Wrap) -> Self:
        return replace(self, drift=wrap(self.field))


class Noising(Protocol):
    """The process x_t = α x₀ + σ ε whose marginals an equation keeps. Solvers that add noise of their own need it."""

    def alpha(self, t: Any, /) -> Any:
        """α at t, a float or a tensor."""
        ...

    def sigma(self, t: Any, /) -> Any:
        """σ at t, a float or a tensor."""
        ...

    def time(self, log_snr: Any, /) -> Any:
        """The time t at which log(α²/σ²) equals `log_snr`, a float or a tensor."""
        ...


@dataclass(frozen=True)
class Semilinear(Equation):
    """d(x / S) = N dr + dW_q, given by the field N and the clock, which knows S, S r and S² q.

    Args:
        field: N(t, x), a function or a `Field`; t a float, x of shape (B, ...), the value of x's shape and dtype.
        clock: S, S r and S² q as functions of time.
        score: ∇ log p_t(x), for solvers that add noise of their own.
        noising: the process whose marginals the equation keeps, for the same solvers.
        basis: (a, b) at a time, with N = a x + b M for a field M that all equations of one model share. `same` needs
            it to compare methods that hold different quantities.
        slope: the drift f(t, x) of the equation at one call of the network, for classical solvers; None makes it of N,
            which may not exist where the drift does.

    Raises:
        TypeError: a field or `basis` cannot be called, `clock` is not a `Clock`, or `noising` lacks a method.
    """

    field: Field
    clock: Clock
    score: Field | None = None
    noising: Noising | None = None
    basis: Callable[[float], tuple[float, float]] | None = None
    slope: Field | None = None

    def __init__(
        self,
        field: Field | Function,
        clock: Clock,
        score: Field | Function | None = None,
        noising: Noising | None = None,
        basis: Callable[[float], tuple[float, float]] | None = None,
        slope: Field | Function | None = None,
    ) -> None:
        check_instance("clock", clock, Clock, "a Clock, such as FunctionClock(scale, gain)")
        missing = [name for name in ("alpha", "sigma", "time") if not callable(getattr(noising, name, None))]
        if noising is not None and missing:
            raise TypeError(f"noising is a {type(noising).__name__} without {missing[0]}(t); give a path.")
        if basis is not None:
            check_callable("basis", basis, "a function of t with values (a, b)")
        fields = {"field": field, "score": score, "slope": slope}
        given = {name: None if value is None else as_field(value) for name, value in fields.items()}
        for name, value in (given | {"clock": clock, "noising": noising, "basis": basis}).items():
            object.__setattr__(self, name, value)

    @property
    def stochastic(self) -> bool:
        return self.clock.stochastic

    def drift(self, t: Time, x: Tensor) -> Tensor:
        """(S'/S) x + S r' N. Raises ValueError if t is a float at which a coefficient is not finite."""
        if self.slope is not None:
            return self.slope(t, x)
        if isinstance(t, Tensor):  # the loop finds a value that is not finite in the state, and names its sample
            t = t.flatten()
            rates = self.clock.rates(t)
            linear, forcing = (column(matching(rate, x), x) for rate in (rates.linear, rates.forcing))
            return linear * x + forcing * self.field(t, x)
        rates = self._finite_rates(t)
        forced = rates.forcing * self.field(t, x) if rates.forcing != 1.0 else self.field(t, x)
        return rates.linear * x + forced if rates.linear != 0.0 else forced

    def diffusion(self, t: float, x: Tensor) -> float:
        """S √|q'|, which is the same for every component."""
        intensity: float = self._rates(t).intensity
        if not math.isfinite(intensity):
            raise ValueError(f"The noise of this equation is infinite at t = {t:g}; keep the times away from it.")
        return intensity

    def loading(self, t: float, x: Tensor) -> float:
        """L in dx = f dt + L dW_q. It is S."""
        return self.clock.scale(host(t)).item()

    def variance(self, times: Tensor) -> Tensor:
        return self.clock.variance(times)

    def in_clock(self) -> ODE:
        """The equation in its own clock: dz/dr = N(t(r), S z) with z = x / S.

        Raises ValueError for a stochastic equation.
        """
        if self.stochastic:
            raise ValueError("A stochastic equation has no deterministic form in its clock; use flow(denoiser).")
        return ODE(_InClock(self.field, self.clock))

    def wrapped(self, wrap: Wrap) -> Self:
        score, slope = (None if field is None else wrap(field) for field in (self.score, self.slope))
        return replace(self, field=wrap(self.field), score=score, slope=slope)

    def _rates(self, t: float) -> Rates:
        """The rates at t; nan where a clock divides floats by zero, or leaves their range."""
        try:
            return self.clock.rates(t)
        except ArithmeticError:
            return Rates(math.nan, math.nan, math.nan)

    def _finite_rates(self, t: float) -> Rates:
        """The rates at t. Raises ValueError if one is not finite."""
        rates = self._rates(t)
        if not all(map(math.isfinite, rates)):
            raise ValueError(
                f"The drift of this equation is singular at t = {t:g}; keep the times away from it, hold another "
                "quantity, or use an exponential solver."
            )
        return rates


@dataclass(frozen=True)
class _InClock(Field):
    """N(t(r), S z) as a field of r and z."""

    field: Field
    clock: Clock

    def _time(self, r: Time) -> Time:
        times = self.clock.time(host(r))
        return times if isinstance(r, Tensor) else times.item()

    def __call__(self, r: Time, z: Tensor) -> Tensor:
        t = self._time(r)
        if isinstance(t, Tensor):
            return self.field(t, matching(column(self.clock.scale(t), z), z) * z)
        return self.field(t, self.clock.scale(host(t)).item() * z)

    def evaluations(self, r: Time) -> int | Tensor:
        return self.field.evaluations(self._time(r))

    def of_rows(self, index: Tensor) -> Field:
        return replace(self, field=self.field.of_rows(index))

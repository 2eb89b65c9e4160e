"""What is solved: three kinds of differential equation over a state x of shape (B, ...).

    ODE          dx = f(t, x) dt
    SDE          dx = f(t, x) dt + g(t, x) dW
    Semilinear   d(x / S) = N(t, x) dr + dW_q

A semilinear equation is an ODE or an SDE whose only costly part is the field N (the network): S(t) is a scale, r(t)
a clock and q(t) a variance clock (W_q is a Brownian motion whose variance is q; none: deterministic). With N frozen
it is solved exactly,

    x_t = (S_t/S_s) x_s + (G_t − (S_t/S_s) G_s) N + S_t (W_{q_t} − W_{q_s}),        G = S r the gain,

and G rather than r is what is given, because S and G stay finite where r does not (σ = 0, α = 0). Differentiated,

    dx = [(S'/S) x + S r' N] dt + S √q' dW,        S r' = G' − (S'/S) G,

so that every classical solver takes it too, and in its own clock, z = x / S, it is the plain ODE dz/dr = N.

Time is a Python float in every call, but where samples are at different times (`Adaptive(per_sample=True)`,
`Picard`): there it is a float64 tensor of shape (B, 1, …, 1) on the host, to be cast with `t.to(x)`, and a field
whose samples carry data of their own (labels) says by `rows` which of them are left.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor

__all__ = ["ODE", "SDE", "Calculus", "Equation", "Field", "Noising", "NoiseType", "Rates", "Semilinear", "Time"]

Time = float | Tensor
Field = Callable[[Any, Tensor], Tensor]
Rows = Callable[[Tensor], Any]
Spends = Callable[[Any], "int | Tensor"]
NoiseType = Literal["diagonal", "additive", "scalar", "general"]
Calculus = Literal["ito", "stratonovich"]


class Equation(ABC):
    """What solvers need to know of an equation."""

    drift: Field
    """f(t, x), of x's shape."""
    cost: int = 1
    """Evaluations of the network in one call of the costly field, per sample: the most that one takes."""
    spends: Spends | None = None
    """What a call at time t takes, an int, or int64 of the times' shape; None: `cost` at every time."""
    rows: Rows | None = None
    """The same equation for the samples of these indices (int64, repeated ones too); None: the same for all."""

    @property
    @abstractmethod
    def stochastic(self) -> bool: ...

    @abstractmethod
    def watched(self, watch: Callable[[Field], Field]) -> Equation:
        """The same equation with its costly field passed through `watch` (how evaluations are counted)."""

    def variance(self, times: Tensor) -> Tensor:
        """q: the variance clock of the driving Brownian motion, at float64 times."""
        return times

    def of_rows(self, index: Tensor) -> Equation:
        """The equation of these samples alone."""
        equation: Equation = self if self.rows is None else self.rows(index)
        return equation


@dataclass(frozen=True)
class ODE(Equation):
    """dx = f(t, x) dt.

    drift(t, x): t a float, x of shape (B, ...), returns x's shape.
    """

    drift: Field
    cost: int = 1
    rows: Rows | None = None
    spends: Spends | None = None

    @property
    def stochastic(self) -> bool:
        return False

    def watched(self, watch: Callable[[Field], Field]) -> ODE:
        return replace(self, drift=watch(self.drift), rows=_watched_rows(self.rows, watch))


@dataclass(frozen=True)
class SDE(Equation):
    """dx = f(t, x) dt + g(t, x) dW, Ito or Stratonovich.

    drift(t, x) returns x's shape. diffusion(t, x) returns, by `noise`,
    "diagonal": x's shape (or what broadcasts to it), multiplied with dW of x's shape elementwise;
    "additive": the same, independent of x; "scalar": x's shape, multiplied with one dW a sample;
    "general": shape (B, d, m), applied to dW of shape (B, m), for x of shape (B, d).
    """

    drift: Field
    diffusion: Callable[[float, Tensor], Tensor | float]
    noise: NoiseType = "diagonal"
    calculus: Calculus = "ito"
    cost: int = 1
    rows: Rows | None = None
    spends: Spends | None = None

    def __post_init__(self) -> None:
        if self.noise not in ("diagonal", "additive", "scalar", "general"):
            raise ValueError(f"Unknown noise {self.noise!r}; choose one of diagonal, additive, scalar, general.")
        if self.calculus not in ("ito", "stratonovich"):
            raise ValueError(f"Unknown calculus {self.calculus!r}; choose ito or stratonovich.")

    @property
    def stochastic(self) -> bool:
        return True

    def loading(self, t: float, x: Tensor) -> Tensor | float:
        """L in dx = f dt + L dW_q: g, as q is t."""
        return self.diffusion(t, x)

    def watched(self, watch: Callable[[Field], Field]) -> SDE:
        return replace(self, drift=watch(self.drift), rows=_watched_rows(self.rows, watch))


class Rates(NamedTuple):
    """The derivatives of a semilinear equation at one time, or at several: S'/S, S r' and S √|q'|."""

    linear: Any
    forcing: Any
    intensity: Any = 0.0


class Noising(Protocol):
    """The process x_t = α x₀ + σ ε whose marginals an equation keeps, for the solvers that add noise of their own."""

    def alpha(self, t: Any, /) -> Any: ...

    def sigma(self, t: Any, /) -> Any: ...

    def time(self, log_snr: Any, /) -> Any:
        """The t at which log(α²/σ²) is `log_snr`."""
        ...


@dataclass(frozen=True)
class Semilinear(Equation):
    """d(x / S) = N dr + dW_q, given by the field N, the scale S, the gain S r and, if stochastic, the power S² q.

    field(t, x): N, of x's shape, for a float t. scale(t), gain(t), power(t): elementwise functions of a float64
    tensor of times. logarithmic: N is a smooth function of log|r| rather than of r; exponential methods interpolate
    in that variable. rates(t): the derivatives for a float t or a float64 tensor; by default they are computed from
    scale, gain and power by automatic differentiation, exactly. time(r): the inverse of the clock, elementwise on
    float64, needed by `in_clock`, by `ExponentialRK` and by the start-up of multistep methods above third order.

    noising, score: the process whose marginals the equation keeps, and ∇ log p_t(x), needed by solvers which add
    noise of their own. basis(t): (a, b) with N = a x + b M for a field M that the equations of one model share, by
    which `same` compares methods that hold different quantities.
    """

    field: Field
    scale: Callable[[Tensor], Tensor]
    gain: Callable[[Tensor], Tensor]
    power: Callable[[Tensor], Tensor] | None = None
    logarithmic: bool = False
    rates: Callable[[Any], Rates] | None = None
    time: Callable[[Tensor], Tensor] | None = None
    cost: int = 1
    rows: Rows | None = None
    noising: Noising | None = None
    score: Field | None = None
    basis: Callable[[float], tuple[float, float]] | None = None
    spends: Spends | None = None

    @property
    def stochastic(self) -> bool:
        return self.power is not None

    def drift(self, t: Time, x: Tensor) -> Tensor:
        """(S'/S) x + S r' N. Raises ValueError where a coefficient is infinite."""
        rates = self._finite_rates(t)
        if isinstance(t, Tensor):
            linear, forcing = (torch.as_tensor(rate).to(x) for rate in (rates.linear, rates.forcing))
            return linear * x + forcing * self.field(t, x)
        forced = rates.forcing * self.field(t, x) if rates.forcing != 1.0 else self.field(t, x)
        return rates.linear * x + forced if rates.linear != 0.0 else forced

    def diffusion(self, t: float, x: Tensor) -> float:
        """S √|q'|, the same for every component."""
        intensity: float = self._finite_rates(t).intensity
        return intensity

    def loading(self, t: float, x: Tensor) -> float:
        """L in dx = f dt + L dW_q: S."""
        return self.scale(torch.tensor(t, dtype=torch.float64)).item()

    def clock(self, times: Tensor) -> Tensor:
        """r = (S r) / S at float64 times; infinite where S vanishes."""
        return self.gain(times) / self.scale(times)

    def variance(self, times: Tensor) -> Tensor:
        if self.power is None:
            return times
        scale, power = self.scale(times), self.power(times)
        return torch.where(scale == 0.0, torch.copysign(scale.new_tensor(math.inf), power), power / scale**2)

    def in_clock(self) -> ODE:
        """dz/dr = N(t(r), S z) with z = x / S: the equation in its own clock, for deterministic equations."""
        if self.power is not None:
            raise ValueError("A stochastic equation has no deterministic form in its clock; use flow(denoiser).")
        if self.time is None:
            raise ValueError("in_clock() needs the inverse of the clock; give Semilinear(..., time=...).")

        inverse, spends, rows = self.time, self.spends, self.rows

        def there(r: Time) -> Time:
            """t(r), a float for a float."""
            return inverse(r) if isinstance(r, Tensor) else inverse(torch.tensor(r, dtype=torch.float64)).item()

        def drift(r: Time, z: Tensor) -> Tensor:
            t = there(r)
            scale = self.scale(torch.as_tensor(t, dtype=torch.float64))
            return self.field(t, (scale.to(z) if isinstance(r, Tensor) else scale.item()) * z)

        return ODE(
            drift,
            self.cost,
            None if rows is None else lambda index: rows(index).in_clock(),
            None if spends is None else lambda r: spends(there(r)),
        )

    def watched(self, watch: Callable[[Field], Field]) -> Semilinear:
        score = None if self.score is None else watch(self.score)
        return replace(self, field=watch(self.field), score=score, rows=_watched_rows(self.rows, watch))

    def _finite_rates(self, t: Time) -> Rates:
        rates = self._differentiated(t) if self.rates is None else self.rates(t)
        if isinstance(t, Tensor):
            return rates  # what is not finite is found in the state, and named by its sample
        if not all(map(math.isfinite, rates)):
            raise ValueError(
                f"The drift of this equation is singular at t = {t:g}; keep the times away from it, hold another "
                "quantity, or use an exponential solver."
            )
        return rates

    def _differentiated(self, t: Time) -> Rates:
        times = torch.as_tensor(t, dtype=torch.float64)
        scale, d_scale = _with_derivative(self.scale, times)
        gain, d_gain = _with_derivative(self.gain, times)
        linear = d_scale / scale
        forcing = d_gain - linear * gain
        intensity = torch.zeros_like(times)
        if self.power is not None:
            power, d_power = _with_derivative(self.power, times)
            intensity = (d_power - 2.0 * linear * power).sqrt()
        rates = Rates(linear, forcing, intensity)
        return rates if isinstance(t, Tensor) else Rates(*(rate.item() for rate in rates))


def _watched_rows(rows: Rows | None, watch: Callable[[Field], Field]) -> Rows | None:
    return None if rows is None else lambda index: rows(index).watched(watch)


def _with_derivative(function: Callable[[Tensor], Tensor], times: Tensor) -> tuple[Tensor, Tensor]:
    """The function and its derivative at float64 times, elementwise."""
    with torch.inference_mode(False), torch.enable_grad():
        at = times.detach().clone().requires_grad_()
        value = function(at)
        if not value.requires_grad:  # a constant
            return value, torch.zeros_like(at)
        return value.detach(), torch.autograd.grad(value.sum(), at)[0]

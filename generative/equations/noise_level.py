"""The stochastic equation of any noise level: every g(t) ≥ 0 has the marginals of the path.

    dx = [velocity + ½ g² score] dt + g dW,        velocity = α' x₀ + σ' ε,  score = −ε/σ,

so that the drift is one combination of x₀-hat and ε-hat. g = 0 is the probability flow. g² = 2 σ² λ' is the reversal
of noising, `reverse_sde(denoiser)`.

The exact solution has the right marginals for any g, but Euler-Maruyama steps may blow up. On data of standard
deviation s the drift contracts at the rate

    ρ = (g² − V')/(2 V),        V = α² s² + σ²,

and a step h multiplies errors by 1 − h ρ: it is stable if h ρ ≤ 2. For data at points (s = 0), such as a data set, the
condition is h (g²/(2 σ²) − σ'/σ) ≤ 2. If g² does not vanish like σ, no grid is fine enough: with a constant g shorter
steps make things worse. Such a g is refused, and the error names the safe interval. A g that is negative or not finite
is refused, too.

Sources: Song et al. (2011.13456); Albergo et al. (2303.08797), corollary 2.10; Ma et al., SiT (2401.08740), section 3;
Karras et al. (2206.00364), appendix B.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...solvers import SDE, Time
from ...solvers.common import check_callable, check_fields, check_instance, check_no_gradient, real
from ..denoiser import Denoiser, DenoiserField, check_denoiser
from ..paths import GaussianPath, Real, Scalar, ratio, sin, sqrt
from . import grids

__all__ = ["constant", "diffusion_sde", "power_of_sigma", "reversal", "safe_interval", "sine"]

NoiseLevel = Callable[[Any], Any]
"""g(t), a function of a float t in (t0, t1)."""

STABLE = 2.0 * (1.0 + 1e-9)
"""The largest h ρ, with room for rounding."""
LEVELS = {"low": 0.0, "high": 1e150}
"""The bounds of what is squared: a level, the spread of the data."""


@dataclass(frozen=True)
class constant:
    """g = level."""

    level: float

    def __post_init__(self) -> None:
        check_fields(self, real, "level", **LEVELS)

    def __call__(self, t: Scalar) -> float:
        return self.level


@dataclass(frozen=True)
class reversal:
    """g = η σ √(2 λ'), the level of `reverse_sde(denoiser, eta)`. It is infinite where α = 0."""

    path: GaussianPath
    eta: float = 1.0

    def __post_init__(self) -> None:
        _check_path(self.path)
        check_fields(self, real, "eta", **LEVELS)

    def __call__(self, t: Real) -> Real:
        alpha, sigma = self.path.alpha(t), self.path.sigma(t)
        rotation = self.path.d_alpha(t) * sigma - alpha * self.path.d_sigma(t)  # α σ λ'
        return self.eta * sqrt(2.0 * ratio(sigma * rotation, alpha))


@dataclass(frozen=True)
class power_of_sigma:
    """g = level σ^power, power from 0 to 100.

    With power = 1 the rate ½ level² of the noise is constant; with ½ g² is SiT's w = σ.
    """

    path: GaussianPath
    level: float
    power: float = 1.0

    def __post_init__(self) -> None:
        _check_path(self.path)
        check_fields(self, real, "level", **LEVELS)
        check_fields(self, real, "power", low=0.0, high=100.0)

    def __call__(self, t: Real) -> Real:
        g: Real = self.level * self.path.sigma(t) ** self.power
        return g


@dataclass(frozen=True)
class sine:
    """g = level sin(π t): SiT's w = sin²(π t), which vanishes at both ends."""

    level: float

    def __post_init__(self) -> None:
        check_fields(self, real, "level", **LEVELS)

    def __call__(self, t: Real) -> Real:
        return self.level * sin(math.pi * t)


def _check_path(path: object) -> None:
    check_instance("path", path, GaussianPath, "a path, such as CondOT()")


def level_at(g: NoiseLevel, t: float) -> float:
    """g(t), nan where it cannot be computed. Raises TypeError if it is no number, ValueError if it has a gradient."""
    try:
        value = g(t)
    except (ArithmeticError, ValueError):  # what Python's division and roots raise where a tensor is infinite or nan
        return math.nan
    check_no_gradient("g(t)", value)
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"g(t) is a {type(value).__name__} at t = {t:g}, but must be one real number.") from None


def _rate(path: GaussianPath, g: NoiseLevel, t: float, spread: float) -> float:
    """ρ at t. Raises ValueError if g is negative or not finite there."""
    value = level_at(g, t)
    if not 0.0 <= value <= LEVELS["high"]:
        raise ValueError(f"g must be finite and not negative, but is {value:g} at t = {t:g}; change it, or t0 and t1.")
    alpha, sigma = path.alpha(t), path.sigma(t)
    variance = (alpha * spread) ** 2 + sigma**2
    slope = 2.0 * (alpha * path.d_alpha(t) * spread**2 + sigma * path.d_sigma(t))
    return ratio(value**2 - slope, 2.0 * variance)


def _starts(t0: float, t1: float) -> list[float]:
    """Times in [t0, t1), a thousand evenly and more towards both ends: where steps may start."""
    even = torch.linspace(0.0, 1.0, 1001, dtype=torch.float64, device="cpu")[:-1]
    near = 2.0 ** -torch.arange(4.0, 30.25, 0.25, dtype=torch.float64, device="cpu")
    times: list[float] = (t0 + (t1 - t0) * torch.cat([even, near, 1.0 - near]).sort().values).tolist()
    return times


def safe_interval(
    path: GaussianPath, g: NoiseLevel, step: float, t0: float = 0.0, t1: float = 1.0, *, spread: float = 0.0
) -> tuple[float, float]:
    """The longest part of [t0, t1] on which Euler-Maruyama steps up to a given length are stable.

    Every step starts at a time with step · ρ ≤ 2; the last one may end later. The interval is found on a fine grid, and
    its ends by bisection.

    Args:
        path: the path.
        g: the noise level, a function of a float t.
        step: the longest step.
        t0: the first time.
        t1: the last time.
        spread: s, the least standard deviation of the data in any direction; 0 is right for any data.

    Returns:
        The two ends of the interval.

    Raises:
        ValueError: the step is not positive, numbers are out of range, g has a gradient, or no time is safe.

    Example:
        >>> low, high = safe_interval(CondOT(), constant(1.0), step=0.02)
        >>> low, round(high, 3)
        (0.0, 0.944)
    """
    _check_path(path)
    t0, t1, spread = _checked(g, t0, t1, spread)
    step = real("step", step, above=0.0)

    def safe(t: float) -> bool:
        return 0.0 <= level_at(g, t) <= LEVELS["high"] and step * _rate(path, g, t, spread) <= STABLE

    starts = _starts(t0, t1)
    runs: list[tuple[int, int]] = []
    begin = None
    for i, ok in enumerate([*map(safe, starts), False]):
        if ok and begin is None:
            begin = i
        elif not ok and begin is not None:
            runs.append((begin, i - 1))
            begin = None
    if not runs:
        raise ValueError(f"No time between {t0:g} and {t1:g} is safe for steps of {step:g}; take shorter ones.")
    first, last = max(runs, key=lambda run: starts[run[1]] - starts[run[0]])
    low = starts[0] if first == 0 else _edge(safe, starts[first], starts[first - 1])
    late = t1 if last == len(starts) - 1 else _edge(safe, starts[last], starts[last + 1])
    return low, min(t1, late + step)


def _edge(safe: Callable[[float], bool], inside: float, outside: float) -> float:
    """The last safe time on the way from one that is safe to one that is not."""
    for _ in range(50):
        middle = 0.5 * (inside + outside)
        inside, outside = (middle, outside) if safe(middle) else (inside, middle)
    return inside


def diffusion_sde(
    denoiser: Denoiser,
    g: NoiseLevel,
    t0: float = 0.0,
    t1: float = 1.0,
    *,
    step: float | None = None,
    spread: float = 0.0,
) -> SDE:
    """The equation of noise level g on [t0, t1], with additive noise: for `EulerMaruyama`, `SRA1` and their like.

    A call of the drift is one evaluation of the network. At σ = 0 there is no score. A method that evaluates the drift
    at t1 needs a t1 < 1; `EulerMaruyama` does not evaluate it there.

    Args:
        denoiser: the network; it may be guided.
        g: the noise level, a function of a float t.
        t0: the first time.
        t1: the last time.
        step: the longest step that will be taken. With it the stability of every step is checked; without it only that
            the drift does not blow up towards t1.
        spread: s, the least standard deviation of the data in any direction; 0 is right for any data.

    Returns:
        An equation for `solve`, on states of shape (B, ...).

    Raises:
        ValueError: g is negative or not finite in [t0, t1), or has a gradient; another number is out of range; no step
            can follow the drift; steps of that length are not stable; or the network's prediction has no score at t0.

    Example:
        >>> denoiser = Denoiser(lambda x, time: torch.zeros_like(x), CondOT(), predicts="x0")
        >>> equation = diffusion_sde(denoiser, sine(1.0))
        >>> solve(equation, torch.ones(4, 2), grids.uniform(CondOT(), 50), EulerMaruyama(), WhiteNoise(0)).x.shape
        torch.Size([4, 2])
    """
    check_denoiser(denoiser)
    t0, t1, spread = _checked(g, t0, t1, spread)
    step = None if step is None else real("step", step, above=0.0)
    path = denoiser.path
    rates = {t: _rate(path, g, t, spread) for t in _starts(t0, t1)}
    near, nearer = ((t1 - t0) * 2.0**-k for k in (18, 28))
    towards = [distance * _rate(path, g, t1 - distance, spread) for distance in (near, nearer)]
    if towards[1] > max(2.0, 1.5 * towards[0]):
        length = 0.01 * (t1 - t0) if step is None else step
        low, high = safe_interval(path, g, length, t0, t1, spread=spread)
        raise ValueError(
            f"The drift blows up towards t = {t1:g}, where sigma² vanishes faster than g² times the distance: no grid "
            f"is fine enough. Steps of {length:g} are safe from {low:.6g} to {high:.6g}; give these as t0 and t1."
        )
    if step is not None and safe_interval(path, g, step, t0, t1, spread=spread) != (t0, t1):
        low, high = safe_interval(path, g, step, t0, t1, spread=spread)
        raise ValueError(
            f"Steps of {step:g} are stable from {low:.6g} to {high:.6g} alone, but the equation runs from {t0:g} to "
            f"{t1:g}; give these as t0 and t1, or take steps of {_stable_step(rates, step, t1):.3g}."
        )
    denoiser.conversion_to(*_row(path, g, t0), t0)  # raises where the prediction does not determine the drift
    return SDE(_Drift(denoiser, g), _Diffusion(g), noise="additive")


def _stable_step(rates: dict[float, float], step: float, t1: float) -> float:
    """A step, halved as often as it takes, with which every start of a step is safe."""
    while any(step * rate > STABLE for t, rate in rates.items() if t < t1 - step):
        step *= 0.5
    return step


def _checked(g: NoiseLevel, t0: float, t1: float, spread: float) -> tuple[float, float, float]:
    """t0, t1 and the spread."""
    check_callable("g", g, "a function g(t), such as noise_level.sine(1.0)")
    t0, t1, spread = real("t0", t0, grids.EARLIEST), real("t1", t1), real("spread", spread, 0.0, LEVELS["high"])
    if not t0 < t1 <= 1.0:
        raise ValueError(f"The equation runs from noise to data, t0 < t1 <= 1, but got t0 = {t0} and t1 = {t1}.")
    return t0, t1, spread


def _row(path: GaussianPath, g: NoiseLevel, t: Real) -> tuple[Real, Real]:
    """(p, q) of the drift p x₀ + q ε. Raises ValueError where σ = 0."""
    sigma = path.sigma(t)
    if not isinstance(sigma, Tensor) and sigma == 0.0:
        raise ValueError(f"The score does not exist at t = {t:g}, where σ = 0; end at an earlier time.")
    return path.d_alpha(t), path.d_sigma(t) - 0.5 * g(t) ** 2 / sigma


@dataclass(frozen=True)
class _Drift(DenoiserField):
    """velocity + ½ g² score."""

    g: NoiseLevel

    def __call__(self, t: Time, x: Tensor) -> Tensor:
        return self.denoiser.combination(*_row(self.denoiser.path, self.g, t), t, x)


@dataclass(frozen=True)
class _Diffusion:
    """g."""

    g: NoiseLevel

    def __call__(self, t: float, x: Tensor) -> float:
        return float(self.g(t))

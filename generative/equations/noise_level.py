"""The stochastic equation of any noise level: every g(t) ≥ 0 has the marginals of the path.

    dx = [velocity + ½ g² score] dt + g dW,        velocity = α' x₀ + σ' ε,  score = −ε/σ,

so that the drift is one combination of x₀-hat and ε-hat. g = 0 is the probability flow, g² = 2 σ² λ' the reversal of
noising, `reverse_sde(denoiser)`.

In exact arithmetic any g will do; steps of Euler and Maruyama it may blow up. On data of deviation s the drift
contracts at the rate

    ρ = (g² − V')/(2 V),        V = α² s² + σ²,

and a step h multiplies errors by 1 − h ρ: it is stable where h ρ ≤ 2. At a point (s = 0), as on a data set, that is
h (g²/(2 σ²) − σ'/σ) ≤ 2, and if g² does not vanish like σ no grid is fine enough: as the steps get smaller, a constant
g makes things worse. Such a g is refused, as is one that is negative or not finite, with the interval that is safe.

Sources: Song et al. (2011.13456); Albergo et al. (2303.08797), corollary 2.10; Ma et al., SiT (2401.08740), section 3;
Karras et al. (2206.00364), appendix B.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ...solvers import SDE, Field, Time
from ..denoiser import Denoiser
from ..paths import GaussianPath, Real, ratio, sin, sqrt

__all__ = ["constant", "diffusion_sde", "power_of_sigma", "reversal", "safe_interval", "sine"]

NoiseLevel = Callable[[Any], Any]
"""g(t), of a float t in (t0, t1)."""

STABLE = 2.0 * (1.0 + 1e-9)
"""The largest h ρ, with room for rounding."""


def constant(level: float) -> NoiseLevel:
    """g = level."""
    _check_level(level)
    return lambda t: level


def reversal(path: GaussianPath, eta: float = 1.0) -> NoiseLevel:
    """g = η σ √(2 λ'): that of `reverse_sde(denoiser, eta)`. Infinite where α = 0."""
    _check_level(eta)

    def g(t: Real) -> Real:
        alpha, sigma = path.alpha(t), path.sigma(t)
        rotation = path.d_alpha(t) * sigma - alpha * path.d_sigma(t)  # α σ λ'
        return eta * sqrt(2.0 * ratio(sigma * rotation, alpha))

    return g


def power_of_sigma(path: GaussianPath, level: float, power: float = 1.0) -> NoiseLevel:
    """g = level σ^power. With power = 1 the rate ½ level² of the noise is constant; with ½ g² is SiT's w = σ."""
    _check_level(level)
    return lambda t: level * path.sigma(t) ** power


def sine(level: float) -> NoiseLevel:
    """g = level sin(π t): SiT's w = sin²(π t), which vanishes at both ends."""
    _check_level(level)
    return lambda t: level * sin(math.pi * t)


def _check_level(level: float) -> None:
    if not 0.0 <= level < math.inf:
        raise ValueError(f"A noise level must be finite and not negative, but is {level}.")


def _rate(path: GaussianPath, g: NoiseLevel, t: float, spread: float) -> float:
    """ρ at t. Raises ValueError for a g that is negative or not finite there."""
    try:
        value = float(g(t))
    except (ArithmeticError, ValueError):  # what Python's division and roots raise where a tensor is infinite or nan
        value = math.nan
    if not 0.0 <= value < math.inf:
        raise ValueError(f"g must be finite and not negative, but is {value:g} at t = {t:g}; change it, or t0 and t1.")
    alpha, sigma = float(path.alpha(t)), float(path.sigma(t))
    variance = (alpha * spread) ** 2 + sigma**2
    slope = 2.0 * (alpha * float(path.d_alpha(t)) * spread**2 + sigma * float(path.d_sigma(t)))
    return float(ratio(value**2 - slope, 2.0 * variance))


def _starts(t0: float, t1: float) -> list[float]:
    """Times in [t0, t1), a thousand evenly and more towards both ends: where steps may start."""
    even = torch.linspace(0.0, 1.0, 1001, dtype=torch.float64)[:-1]
    near = 2.0 ** -torch.arange(4.0, 30.25, 0.25, dtype=torch.float64)
    times: list[float] = (t0 + (t1 - t0) * torch.cat([even, near, 1.0 - near]).sort().values).tolist()
    return times


def safe_interval(
    path: GaussianPath, g: NoiseLevel, step: float, t0: float = 0.0, t1: float = 1.0, *, spread: float = 0.0
) -> tuple[float, float]:
    """(low, high): the longest part of [t0, t1] on which Euler-Maruyama steps up to this length are stable.

    Every step starts at a time with step · ρ ≤ 2; the last one may end later. spread: s, the least deviation of the
    data in any direction; 0 is right for any data. Found on a fine grid, its ends by bisection. Raises ValueError for a
    step that is not positive, and where no time is safe.
    """
    if not 0.0 < step < math.inf:
        raise ValueError(f"safe_interval needs a positive step, but got {step}.")
    _check_interval(t0, t1)

    def safe(t: float) -> bool:
        try:
            return step * _rate(path, g, t, spread) <= STABLE
        except ValueError:
            return False

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
    """The equation of noise level g on [t0, t1], with additive noise: for `EulerMaruyama`, `SRA1`, …

    g: a function of a float t. step: the longest step that you will take; with it the stability of every step is
    checked, without it only that the drift does not blow up towards t1. spread: as in `safe_interval`.

    A call of the drift is one evaluation of the network. At σ = 0 there is no score: methods that evaluate there, as
    `EulerMaruyama` does not at t1, need a t1 < 1. Raises ValueError for a g that is negative or not finite in
    [t0, t1), a drift that no step can follow, and for a network whose prediction has no score at t0.
    """
    path = denoiser.path
    _check_interval(t0, t1)
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
    return SDE(_Drift(denoiser, g), lambda t, x: float(g(t)), noise="additive")


def _stable_step(rates: dict[float, float], step: float, t1: float) -> float:
    """A step, halved as often as it takes, with which every start of a step is safe."""
    while any(step * rate > STABLE for t, rate in rates.items() if t < t1 - step):
        step *= 0.5
    return step


def _check_interval(t0: float, t1: float) -> None:
    if not t0 < t1 <= 1.0:
        raise ValueError(f"The equation runs from noise to data, t0 < t1 <= 1, but got t0 = {t0} and t1 = {t1}.")


def _row(path: GaussianPath, g: NoiseLevel, t: Real) -> tuple[Real, Real]:
    """(p, q) of the drift p x₀ + q ε. Raises ValueError where σ = 0."""
    sigma = path.sigma(t)
    if not isinstance(sigma, Tensor) and sigma == 0.0:
        raise ValueError(f"The score does not exist at t = {t:g}, where σ = 0; end at an earlier time.")
    return path.d_alpha(t), path.d_sigma(t) - 0.5 * g(t) ** 2 / sigma


@dataclass(frozen=True)
class _Drift(Field):
    """velocity + ½ g² score."""

    denoiser: Denoiser
    g: NoiseLevel

    def __call__(self, t: Time, x: Tensor) -> Tensor:
        return self.denoiser.combination(*_row(self.denoiser.path, self.g, t), t, x)

    def evaluations(self, t: Time) -> int | Tensor:
        return self.denoiser.evaluations(t)

    def of_rows(self, index: Tensor) -> _Drift:
        return replace(self, denoiser=self.denoiser.of_rows(index))

"""The variance-preserving path of a discrete table of β, as DDPM and its descendants are trained on.

    ᾱ_i = Π_{j≤i} (1 − β_j),    α = √ᾱ,    σ = √(1 − ᾱ),        i = 0 (cleanest) … T − 1 (noisiest)

Index i is at the time t_i = 1 − (i + 1)/T, so that t = 1 is the clean sample and t = 0 the last index. With
s = T (1 − t), which counts the steps of noising, λ = log(α/σ) is linear between neighbouring indices, and

    s in [0, 1]        σ/α = s (σ/α)_0                     to σ = 0, exactly,
    s in [T − 1, T]    α/σ = (T − s) (α/σ)_{T−2}           if β_{T−1} = 1: to α = 0, exactly.

All else follows from λ: α² = 1/(1 + e^{−2λ}), σ² = 1/(1 + e^{2λ}), and with ω = α σ λ', which stays finite,
α' = σ ω and σ' = −α ω. At an index, where λ' jumps, derivatives are those of the noisier side.

Sources: Ho et al. (2006.11239), eq. 4; Nichol and Dhariwal (2102.09672), eq. 17; Lin et al. (2305.08891),
algorithm 1; Lu et al. (2206.00927), who continue tables in time through the log-SNR.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from ...solvers.common import MANY, host, matching, real, reals, whole
from .elementary import Real, exp, log, minimum, sigmoid, sqrt
from .path import GaussianPath

__all__ = ["Table", "linear_betas", "scaled_linear_betas", "squared_cosine_betas", "zero_terminal_snr"]


@dataclass(frozen=True, repr=False)
class Table(GaussianPath):
    """The path of T values β_0, …, β_{T−1}, from the cleanest to the noisiest (the order of diffusers).

    Args:
        betas: at least two numbers in (0, 1), kept as a tuple of floats. One more at the end may be 1, which is zero
            terminal SNR, α = 0 at t = 0. Without it the last interval continues to t < 0, and every log-SNR has a time.

    Raises:
        ValueError: the betas are no schedule.
    """

    betas: tuple[float, ...]

    def __post_init__(self) -> None:
        betas = reals("betas", self.betas)
        _check(betas)
        object.__setattr__(self, "betas", betas)

    @property
    def steps(self) -> int:
        """T, the length of the table."""
        return len(self.betas)

    def index(self, t: Real) -> Real:
        """The continuous index T (1 − t) − 1 of a time: 0 at the cleanest level of the table, −1 at t = 1."""
        return self.steps * (1.0 - t) - 1.0

    def at(self, index: Real) -> Real:
        """The time 1 − (index + 1)/T of an index: a float of an int or a float, float64 of an integer tensor."""
        if isinstance(index, Tensor) and not index.is_floating_point():
            index = index.double()
        return 1.0 - (index + 1.0) / self.steps

    @cached_property
    def _knots(self) -> list[float]:
        """λ at s = 1, 2, …, as far as it is finite: descending."""
        return _half_log_snrs(self.betas)

    @cached_property
    def _negated(self) -> list[float]:
        return [-level for level in self._knots]

    @cached_property
    def _pieces(self) -> list[tuple[float, float, float, float]]:
        """For s in [k, k + 1], k = 0 … T − 1: λ at k, dλ/ds there, and a, c with ω = T (a α² − dλ/ds α σ + c σ²)."""
        knots = self._knots
        first = (knots[0], 0.0, math.exp(-knots[0]), 0.0)
        between = [(before, after - before, 0.0, 0.0) for before, after in pairwise(knots)]
        last = (knots[-1], 0.0, 0.0, math.exp(knots[-1]))
        return [first, *between, last][: self.steps]

    @cached_property
    def _tensors(self) -> tuple[Tensor, Tensor]:
        """The pieces (T, 4) and the negated knots, float64."""
        return host(self._pieces), host(self._negated)

    def _piece(self, s: Real) -> tuple[Real, tuple[Real, ...]]:
        """The k with s in [k, k + 1], limited to the table, and the piece of this interval."""
        if isinstance(s, Tensor):
            k = s.detach().floor().nan_to_num(0.0).clamp(0, self.steps - 1).long()
            return k, self._tensors[0].to(s)[k].unbind(-1)
        index = self.steps - 1 if s >= self.steps else int(s) if s > 0.0 else 0
        return index, self._pieces[index]

    def _above(self, level: Real) -> Real:
        """The number of knots that are not below a λ, limited to the last interval between two knots."""
        most = len(self._knots) - 1
        if isinstance(level, Tensor):
            falling = -level.detach().contiguous()
            knots = matching(self._tensors[1], falling)
            return torch.searchsorted(knots, falling, right=True).clamp(max=most).to(falling)
        return min(bisect_right(self._negated, -level), most)

    def half_log_snr(self, t: Real) -> Real:
        s = self.steps * (1.0 - t)
        k, (start, slope, _, _) = self._piece(s)
        level = start + (s - k) * slope - log(minimum(s, 1.0))
        return level + log(minimum(self.steps * t, 1.0)) if self.betas[-1] == 1.0 else level

    def _omega(self, t: Real) -> Real:
        """ω = α σ λ', the derivative of atan2(α, σ)."""
        alpha, sigma = self.alpha(t), self.sigma(t)
        _, (_, slope, first, last) = self._piece(self.steps * (1.0 - t))
        omega: Real = self.steps * (first * alpha**2 - slope * alpha * sigma + last * sigma**2)
        return omega

    def alpha(self, t: Real) -> Real:
        return sqrt(sigmoid(self.log_snr(t)))

    def sigma(self, t: Real) -> Real:
        return sqrt(sigmoid(-self.log_snr(t)))

    def d_alpha(self, t: Real) -> Real:
        return self.sigma(t) * self._omega(t)

    def d_sigma(self, t: Real) -> Real:
        return -self.alpha(t) * self._omega(t)

    def time(self, log_snr: Real) -> Real:
        noisiest = self._knots[-1] if self.betas[-1] == 1.0 else -math.inf
        level = 0.5 * log_snr
        inside = -minimum(-minimum(level, self._knots[0]), -noisiest)
        k, (start, slope, _, _) = self._piece(self._above(inside))
        s = (k + (inside - start) / slope) * exp(minimum(self._knots[0] - level, 0.0))
        s = s + 1.0 - exp(minimum(level - noisiest, 0.0))
        return 1.0 - s / self.steps

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.steps} betas, {self.betas[0]:g} to {self.betas[-1]:g})"


def linear_betas(steps: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02) -> tuple[float, ...]:
    """Evenly spaced betas, those of DDPM (2006.11239, section 4).

    Args:
        steps: T, the number of betas.
        beta_start: the first, at the cleanest level.
        beta_end: the last, at the noisiest level.

    Raises:
        ValueError: fewer than two steps, or a beta that is not between 0 and 1.
    """
    return _evenly(steps, _beta("beta_start", beta_start), _beta("beta_end", beta_end))


def scaled_linear_betas(
    steps: int = 1000, beta_start: float = 0.00085, beta_end: float = 0.012
) -> tuple[float, ...]:
    """Betas with evenly spaced √β, those of latent diffusion (Rombach et al., 2112.10752, in their public code).

    Args:
        steps: T, the number of betas.
        beta_start: the first, at the cleanest level.
        beta_end: the last, at the noisiest level.

    Raises:
        ValueError: fewer than two steps, or a beta that is not between 0 and 1.
    """
    start, end = _beta("beta_start", beta_start), _beta("beta_end", beta_end)
    return tuple(root**2 for root in _evenly(steps, math.sqrt(start), math.sqrt(end)))


def squared_cosine_betas(steps: int = 1000, max_beta: float = 0.999) -> tuple[float, ...]:
    """The cosine schedule, β_i = 1 − f((i + 1)/T) / f(i/T) with f(s) = cos²((s + 0.008)/1.008 · π/2).

    Args:
        steps: T, at least two.
        max_beta: no β is larger.

    Raises:
        ValueError: fewer than two steps, or a `max_beta` that is not between 0 and 1.

    Source: Nichol and Dhariwal (2102.09672), eq. 17.
    """
    steps, max_beta = whole("steps", steps, 2, MANY), _beta("max_beta", max_beta)
    levels = [math.cos((i / steps + 0.008) / 1.008 * 0.5 * math.pi) ** 2 for i in range(steps + 1)]
    return tuple(min(1.0 - after / before, max_beta) for before, after in pairwise(levels))


def zero_terminal_snr(betas: Iterable[float]) -> tuple[float, ...]:
    """A table whose √ᾱ is shifted and scaled so that it ends in 0 and starts as before (2305.08891, algorithm 1).

    a = √ᾱ becomes b = (a − a_{T−1}) a_0 / (a_0 − a_{T−1}), and β_i = 1 − (b_i / b_{i−1})². Raises ValueError for
    betas that are no schedule.
    """
    betas = reals("betas", betas)
    _check(betas)
    alphas = [math.exp(0.5 * level) for level in _log_alpha_bars(betas)]
    shifted = [alpha - alphas[-1] for alpha in alphas]
    return (betas[0], *(1.0 - (after / before) ** 2 for before, after in pairwise(shifted)))


def _beta(name: str, value: float) -> float:
    return real(name, value, above=0.0, high=1.0)


def _evenly(steps: int, start: float, end: float) -> tuple[float, ...]:
    steps = whole("steps", steps, 2, MANY)
    return tuple(start + (end - start) * (i / (steps - 1)) for i in range(steps))


def _log_alpha_bars(betas: tuple[float, ...]) -> list[float]:
    """log ᾱ_i; −∞ from β = 1."""
    return list(accumulate(math.log1p(-beta) if beta < 1.0 else -math.inf for beta in betas))


def _half_log_snrs(betas: tuple[float, ...]) -> list[float]:
    """λ = ½ log ᾱ/(1 − ᾱ) of all indices before β = 1."""
    levels = (level for level in _log_alpha_bars(betas) if level > -math.inf)
    return [0.5 * (level - math.log(-math.expm1(level))) for level in levels]


def _check(betas: tuple[float, ...]) -> None:
    """Raises ValueError unless these are the betas of a schedule."""
    bad = next((i for i, beta in enumerate(betas) if not 0.0 < beta < 1.0), len(betas))
    if bad < len(betas) - 1 or (bad == len(betas) - 1 and betas[bad] != 1.0):
        raise ValueError(f"A table needs betas in (0, 1), the last perhaps 1, but beta {bad} is {betas[bad]:g}.")
    if bad < 2:
        raise ValueError(f"A table needs two betas below 1 at least, but got {len(betas)} in all; give more.")
    levels = _half_log_snrs(betas)
    for i, (before, after) in enumerate(pairwise(levels), 1):
        if not after < before:
            raise ValueError(f"alpha_bar must decrease at every index, but beta {i}, {betas[i]:g}, is too small.")

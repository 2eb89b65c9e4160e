"""Densities of the times at which a model is trained.

    t = F⁻¹(u),      u ~ U[0, 1),      L = ∫₀¹ ℓ(F⁻¹(u)) du

A density of times is given by its quantile function F⁻¹. Two functions draw u for all densities: `stratified` draws one
u in every interval of length 1/B, `independent` draws each alone. F rises from noise to data; t stays inside [0, 1].

    Uniform        t = start + (end − start) u
    LogitNormal    λ ~ N(mean, std²) within the path's own range of log-SNR, t = time(λ)
    Steps          t = ⌊count u⌋ / count, the integer times of DDPM
    Geometric      σ/α one of `levels` values in geometric progression, the levels of NCSN

A density changes the loss. `Importance` does not: it draws u from a density g that is large where the loss is large,
and weighs each draw by 1/g. The loss, its gradient and its minimiser stay the same; only the variance changes.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ...solvers.common import MANY, check_fields, check_floating, check_instance, matching, real, whole
from .path import LARGEST_SHIFT, LEVELS, GaussianPath

__all__ = [
    "Geometric", "Importance", "LogitNormal", "Steps", "TimeDensity", "Uniform", "independent", "stratified",
]

LEAST_PROBABILITY = 1e-6
"""The least share of a normal law that can be drawn from: a smaller one is lost in the rounding of u in float32."""
LARGEST_COUNT = 10**8
"""The most times that are drawn at once."""


def independent(count: int, generator: Generator | None = None, like: Tensor | None = None) -> Tensor:
    """`count` independent uniform numbers in [0, 1); the arguments are those of `stratified`."""
    count, device, dtype = _checked(count, generator, like)
    return torch.rand(count, generator=generator, device=device, dtype=dtype)


def stratified(count: int, generator: Generator | None = None, like: Tensor | None = None) -> Tensor:
    """Uniform numbers in [0, 1), one in every interval of length 1/count, in random order.

    u_k = (u + k/count) mod 1 with one common u. The loss varies with t by orders of magnitude; stratified times remove
    this part of its variance.

    Args:
        count: how many numbers.
        generator: draws them; None for torch's own.
        like: a tensor whose dtype and device they get.

    Source: Kingma et al. (2107.00630), appendix I.1.
    """
    count, device, dtype = _checked(count, generator, like)
    u = torch.rand((), generator=generator, device=device, dtype=dtype)
    order = torch.randperm(count, generator=generator, device=device)
    return (u + order.to(u.dtype) / count) % 1.0


def _checked(
    count: int, generator: Generator | None, like: Tensor | None
) -> tuple[int, torch.device | None, torch.dtype | None]:
    """The count, the device and the dtype of what is drawn."""
    count = whole("count", count, 0, LARGEST_COUNT)
    if generator is not None:
        check_instance("generator", generator, Generator, "torch.Generator().manual_seed(0)")
    if like is None:
        return count, None, None
    check_floating("like", like)
    return count, like.device, like.dtype


class TimeDensity(ABC):
    """A density of t in [0, 1], given by its quantile function."""

    @abstractmethod
    def quantile(self, path: GaussianPath, u: Tensor) -> Tensor:
        """F⁻¹(u), of u's shape and dtype, for u in [0, 1)."""


@dataclass(frozen=True)
class Uniform(TimeDensity):
    """Uniform on [start, end]. Choose a shorter interval where the loss is infinite at an end of the path."""

    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self, real, "start", "end")
        if not 0.0 <= self.start < self.end <= 1.0:
            raise ValueError(f"Uniform needs 0 <= start < end <= 1, but got {self.start} and {self.end}.")

    def quantile(self, path: GaussianPath, u: Tensor) -> Tensor:
        return self.start + (self.end - self.start) * u


@dataclass(frozen=True)
class LogitNormal(TimeDensity):
    """λ = log(α/σ) normal. On CondOT λ = logit t, and t is logit-normal.

    The normal law is truncated to the path's λ at t = 0 and t = 1, so that all times are in [0, 1]. EDM's
    ln σ ~ N(−1.2, 1.2²) is LogitNormal(1.2, 1.2) on VE.

    Source: Esser et al. (2403.03206), eq. 19; Karras et al. (2206.00364), table 1.
    """

    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self, real, "mean", low=-LARGEST_SHIFT, high=LARGEST_SHIFT)
        check_fields(self, real, "std", low=1e-30, high=LARGEST_SHIFT)  # 1e-30 is a number of float32, too

    def quantile(self, path: GaussianPath, u: Tensor) -> Tensor:
        low, high = (self._probability(path.half_log_snr(t)) for t in (0.0, 1.0))
        if not high - low > LEAST_PROBABILITY:
            raise ValueError(
                f"{self} has the probability {high - low:.1e} between the ends of {path}, too little to draw from; let "
                "its mean be a λ = log(α/σ) of the path."
            )
        level: Tensor = self.mean + self.std * torch.special.ndtri(low + (high - low) * u)
        return path.time(2.0 * level).clamp(0.0, 1.0)

    def _probability(self, level: float) -> float:
        return 0.5 * math.erfc((self.mean - level) / (self.std * math.sqrt(2.0)))


@dataclass(frozen=True)
class Steps(TimeDensity):
    """t = 0, 1/count, …, 1 − 1/count with equal probability: step T, …, 1 of a chain of T = `count` steps.

    Source: Ho et al. (2006.11239), algorithm 1.
    """

    count: int = 1000

    def __post_init__(self) -> None:
        check_fields(self, whole, "count", low=1, high=2**53)

    def quantile(self, path: GaussianPath, u: Tensor) -> Tensor:
        return (self.count * u).floor() / self.count


@dataclass(frozen=True)
class Geometric(TimeDensity):
    """Noise levels σ/α in geometric progression, equally probable.

    On `VE` they are the σ₁ > … > σ_L of NCSN. The kind "score" with `weightings.SNR`, the weight σ² of the score's
    error, then gives the loss of NCSN.

    Args:
        largest: the first level, in units of the data.
        smallest: the last level.
        levels: how many there are.

    Raises:
        ValueError: unless 1e-150 <= smallest < largest <= 1e150 and levels >= 2.

    Source: Song and Ermon (1907.05600), eqs. 5 and 6.
    """

    largest: float
    smallest: float
    levels: int

    def __post_init__(self) -> None:
        check_fields(self, real, "largest", "smallest", **LEVELS)
        check_fields(self, whole, "levels", low=2, high=2**53)
        if not self.smallest < self.largest:
            raise ValueError(f"Geometric needs 0 < smallest < largest, but got {self.smallest} and {self.largest}.")

    def quantile(self, path: GaussianPath, u: Tensor) -> Tensor:
        share = (self.levels * u).floor() / (self.levels - 1)
        level = -math.log(self.largest) + share * math.log(self.largest / self.smallest)
        return path.time(2.0 * level)


class Importance:
    """A density g of u that is learned from observed losses, with the factor 1/g that keeps the mean.

    g is constant on equal intervals: share + (1 − share) r, where r is the root mean square of the losses ℓ in the
    interval, divided by the mean of these over all intervals. g ∝ √E[ℓ²] has the least variance of all densities. g is
    1 until every interval has been observed. `moments`, (2, bins), is the state that a training saves: the weight of
    the observations and the weighted mean of ℓ².

    Args:
        bins: the number of intervals.
        share: the least value of g, in (0, 1), which bounds the factor by 1/share.
        memory: the factor, in (0, 1), by which each observation in an interval reduces the weight of the earlier ones.

    Raises:
        ValueError: a number outside these ranges.

    Source: Nichol and Dhariwal (2102.09672), eq. 18, on intervals instead of integer times.
    """

    def __init__(self, bins: int = 32, share: float = 0.1, memory: float = 0.999) -> None:
        self.bins = whole("bins", bins, 2, MANY)
        self.share = real("share", share, above=0.0, below=1.0)
        self.memory = real("memory", memory, above=0.0, below=1.0)
        self.moments = torch.zeros(2, self.bins, device="cpu")

    @property
    def density(self) -> Tensor:
        """g on each interval, shape (bins,), of mean 1."""
        weight, squares = self.moments
        rms = (squares / weight).sqrt()
        learned = self.share + (1.0 - self.share) * rms / rms.mean().clamp_min(torch.finfo(rms.dtype).tiny)
        return torch.where((weight > 0.0).all(), learned, torch.ones_like(learned))

    def warp(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Maps uniform u (B,) in [0, 1) to draws from g. Returns the draws and the factor 1/g of each."""
        density = matching(self.density, u)
        mass = density / self.bins
        upper = mass.cumsum(0)
        interval = torch.searchsorted(upper[:-1].contiguous(), u, right=True)
        inside = ((u - (upper - mass)[interval]) / mass[interval]).clamp(0.0, 1.0)
        below_one = 1.0 - 0.5 * torch.finfo(u.dtype).eps
        return ((interval + inside) / self.bins).clamp(max=below_one), 1.0 / density[interval]

    def observe(self, u: Tensor, loss: Tensor) -> None:
        """Updates g by the losses (B,) at u (B,), before they are multiplied by 1/g."""
        moments = matching(self.moments, loss)
        interval = (u * self.bins).long().clamp(0, self.bins - 1)
        count = torch.zeros_like(moments[0]).index_add(0, interval, torch.ones_like(loss))
        total = torch.zeros_like(moments[0]).index_add(0, interval, loss.square())
        seen = torch.stack([torch.ones_like(count), total / count.clamp_min(1.0)])
        self.moments = torch.lerp(seen, moments, (self.memory**count).expand_as(seen))

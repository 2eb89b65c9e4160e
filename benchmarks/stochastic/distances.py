"""Distances between equally many samples of two laws, with intervals, and with the floor of two sets of one law.

    sliced W2    √(mean over directions θ of W₂²(θ·x, θ·y)): for laws that differ by a shift, ‖shift‖/√d
    energy       2 E‖x − y‖ − E‖x − x'‖ − E‖y − y'‖, without bias, and hence negative at times
    Fréchet      ‖m − m'‖² + tr(C + C' − 2 (C C')^½) of features of x and y

Sample i of the one set and sample i of the other form a pair, and 20 blocks of pairs are left out in turn. The spread
of the 20 values gives the interval (the jackknife), and that of two samplers gives the interval of their difference:
samplers start from the same noise, so that much of the spread cancels.

The first and the last distance do not vanish between sets of one law. Two sets of reference samples tell what they are
then: each of 100 times a coin decides for every pair of the two sets whether it is exchanged, which gives two sets of
that law again. Their mean is the floor. What is below the 97.5 % quantile cannot be told from it.

Where labels are dealt out in turn, two samples of one set have the same label a little too rarely. Then the energy
distance of two sets of one law is negative in the mean, and so is its floor.

Sources: Bonneel et al., Sliced and Radon Wasserstein barycenters of measures (2015); Székely and Rizzo, Energy
statistics (2013); Heusel et al. (1706.08500), eq. 6; Shao and Tu, The jackknife and bootstrap (1995), section 2.3.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from scipy import stats
from torch import Tensor

from ...verification.statistics import gaussian_w2

__all__ = ["BLOCKS", "Distance", "Energy", "Floor", "Frechet", "Measured", "SlicedW2", "resolved"]

BLOCKS = 20
EXCHANGES = 100
DIRECTIONS = 32
ROUNDING = 1e-9
"""The relative difference below which two samplers are the same method under two names."""
_QUANTILE = float(stats.t.ppf(0.975, BLOCKS - 1))


@dataclass(frozen=True)
class Floor:
    """What a distance is between two independent sets of one law: its mean and its 97.5 % quantile."""

    mean: float
    high: float


@dataclass(frozen=True)
class Measured:
    """A distance with its 95 % interval, and its values without each block of pairs.

    An exact distance has no blocks, and its interval is the value.
    """

    value: float
    parts: tuple[float, ...] = field(default=(), repr=False)

    @property
    def interval(self) -> tuple[float, float]:
        margin = _margin(self.parts)
        return self.value - margin, self.value + margin


def resolved(smaller: Measured, larger: Measured) -> bool:
    """Whether the 95 % interval of the difference of two distances lies above 0, and above rounding."""
    gaps = tuple(b - a for a, b in zip(smaller.parts, larger.parts, strict=True))
    return larger.value - smaller.value > max(_margin(gaps), ROUNDING * larger.value)


def _margin(parts: tuple[float, ...]) -> float:
    """Half the length of the 95 % interval by the jackknife; 0 for none."""
    if not parts:
        return 0.0
    values = torch.tensor(parts, dtype=torch.float64, device="cpu")
    return _QUANTILE * math.sqrt((len(parts) - 1) * float(values.var(correction=0)))


class Distance(ABC):
    """A distance between two sets of samples, (n, d) each, in float64."""

    name: str

    @abstractmethod
    def values(self, pool: Tensor, first: Tensor, second: Tensor) -> list[float]:
        """The distances between parts of a pool of samples.

        Args:
            pool: (N, d).
            first: masks of the first sets, bool (S, N).
            second: masks of the second sets, of as many samples each.
        """

    def measure(self, x: Tensor, y: Tensor) -> Measured:
        """The distance of two sets of n ≥ 40 samples, with its interval."""
        n = len(x)
        block = torch.arange(n, device="cpu") * BLOCKS // n
        kept = torch.stack([torch.ones(n, dtype=torch.bool, device="cpu"), *(block != k for k in range(BLOCKS))])
        none = torch.zeros_like(kept)
        value, *parts = self.values(torch.cat([x, y]), torch.cat([kept, none], 1), torch.cat([none, kept], 1))
        return Measured(value, tuple(parts))

    def floor(self, x: Tensor, y: Tensor, seed: int) -> Floor:
        """The distance between sets of one law, from two such sets."""
        coins = torch.rand(EXCHANGES, len(x), generator=torch.Generator().manual_seed(seed), device="cpu") < 0.5
        first = torch.cat([coins, ~coins], 1)
        values = torch.tensor(self.values(torch.cat([x, y]), first, ~first), dtype=torch.float64, device="cpu")
        return Floor(float(values.mean()), float(values.quantile(0.975)))


@dataclass(frozen=True)
class SlicedW2(Distance):
    """Sliced W₂ on random directions, which the seed fixes."""

    seed: int = 0
    name: str = "sliced W2"

    def values(self, pool: Tensor, first: Tensor, second: Tensor) -> list[float]:
        generator = torch.Generator().manual_seed(self.seed)
        theta = torch.randn(pool.shape[1], DIRECTIONS, generator=generator, dtype=torch.float64, device="cpu")
        values, order = (pool @ (theta / theta.norm(dim=0))).sort(dim=0)
        columns, places = values.T.contiguous(), order.T

        def sorted_of(mask: Tensor) -> Tensor:
            kept: Tensor = columns[mask[places]]
            return kept.reshape(DIRECTIONS, -1)

        return [
            float((sorted_of(one) - sorted_of(two)).square().mean().sqrt())
            for one, two in zip(first, second, strict=True)
        ]


@dataclass(frozen=True)
class Energy(Distance):
    """The energy distance."""

    name: str = "energy"

    def values(self, pool: Tensor, first: Tensor, second: Tensor) -> list[float]:
        apart = torch.cdist(pool, pool).fill_diagonal_(0.0)
        one, two = first.double(), second.double()
        n = one.sum(1)
        to_one, to_two = one @ apart, two @ apart
        inside = ((to_one * one).sum(1) + (to_two * two).sum(1)) / (n * (n - 1.0))
        found: list[float] = (2.0 * (to_one * two).sum(1) / n**2 - inside).tolist()
        return found


@dataclass(frozen=True)
class Frechet(Distance):
    """The Fréchet distance of features, a function of samples (n, d) to (n, f)."""

    features: Callable[[Tensor], Tensor]
    name: str = "Fréchet"

    def values(self, pool: Tensor, first: Tensor, second: Tensor) -> list[float]:
        seen = self.features(pool)

        def moments(mask: Tensor) -> tuple[Tensor, Tensor]:
            return seen[mask].mean(0), torch.cov(seen[mask].T)

        return [gaussian_w2(*moments(one), *moments(two)) ** 2 for one, two in zip(first, second, strict=True)]

"""Distances between what a student gives and what it should give.

With m the mean of the squared components of the difference Δ of a sample,

    Square            m
    PseudoHuber(c)    √(m + c²) − c
    Adaptive(p, c)    m / sg(m + c)^p,      sg without gradient

The last two keep samples with large differences from ruling the gradient. All have their minimum at Δ = 0.

Sources: Song and Dhariwal (2310.14189), eq. 8, where c = 0.00054 √dim for the sum of squares; Geng et al. (2505.13447),
eq. 22.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from ....solvers.common import check_fields, real

__all__ = ["Adaptive", "Distance", "PseudoHuber", "Square"]


class Distance(ABC):
    """A distance, which vanishes where there is no difference."""

    @abstractmethod
    def of(self, square: Tensor) -> Tensor:
        """The distance of mean squared differences, (B,)."""

    def __call__(self, difference: Tensor) -> Tensor:
        """The distance of each sample, (B,), of differences (B, ...)."""
        return self.of(difference.square().flatten(1).mean(1))


@dataclass(frozen=True)
class Square(Distance):
    """The mean of the squared components."""

    def of(self, square: Tensor) -> Tensor:
        return square


@dataclass(frozen=True)
class PseudoHuber(Distance):
    """The root of the mean square beyond `c`, and half of the mean square over `c` below."""

    c: float = 0.00054

    def __post_init__(self) -> None:
        check_fields(self, real, "c", low=1e-12, high=1e12)

    def of(self, square: Tensor) -> Tensor:
        return (square + self.c**2).sqrt() - self.c


@dataclass(frozen=True)
class Adaptive(Distance):
    """The mean square, divided by its own value plus `c` to the power `p`, a number for the gradient."""

    p: float = 1.0
    c: float = 1e-3

    def __post_init__(self) -> None:
        check_fields(self, real, "p", low=0.0, high=10.0)
        check_fields(self, real, "c", low=1e-12, high=1e12)

    def of(self, square: Tensor) -> Tensor:
        return square / (square.detach() + self.c) ** self.p

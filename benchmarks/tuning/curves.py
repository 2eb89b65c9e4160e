"""Another Gaussian path between the ends of a network's path: two rising Bézier curves.

With r the clock α/(α + σ) of the ends and B, B' rising curves from 0 to 1,

    ᾱ(u) = r_first + (r_last − r_first) B(u),        σ̄(u) = 1 − r_first − (r_last − r_first) B'(u),        0 ≤ u ≤ 1.

Its states are c = ᾱ + σ̄ times x/(α + σ) of the network's path at the time whose clock shows ᾱ/c. At both ends c is 1,
and equal curves leave c = 1 throughout.

Source: Min et al. (2512.13255), section 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Curves", "Point", "bezier"]


def bezier(logits: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """A rising Bézier curve from 0 to 1 and its derivative, (len(u),) each.

    The control points are the sums of softmax(logits), so that equal logits give the line u.
    """
    degree = len(logits)
    jumps = logits.softmax(0)
    points = torch.cat([jumps.new_zeros(1), jumps.cumsum(0)])
    return _bernstein(degree, u) @ points, degree * (_bernstein(degree - 1, u) @ jumps)


def _bernstein(degree: int, u: Tensor) -> Tensor:
    """C(n, k) uᵏ (1 − u)ⁿ⁻ᵏ, (len(u), n + 1)."""
    k = torch.arange(degree + 1, dtype=u.dtype, device="cpu")
    counts = torch.tensor([math.comb(degree, i) for i in range(degree + 1)], dtype=u.dtype, device="cpu")
    return counts * u[:, None] ** k * (1.0 - u[:, None]) ** (degree - k)


class Point(NamedTuple):
    """ᾱ and σ̄ at some u, with their derivatives, (len(u),) each."""

    alpha: Tensor
    d_alpha: Tensor
    sigma: Tensor
    d_sigma: Tensor

    @property
    def scale(self) -> Tensor:
        """c = ᾱ + σ̄."""
        return self.alpha + self.sigma

    @property
    def clock(self) -> Tensor:
        """r = ᾱ/c."""
        return self.alpha / self.scale

    @property
    def d_clock(self) -> Tensor:
        """dr/du = (ᾱ_u σ̄ − ᾱ σ̄_u)/c²."""
        return (self.d_alpha * self.sigma - self.alpha * self.d_sigma) / self.scale**2

    @property
    def growth(self) -> Tensor:
        """d log c/dr."""
        return (self.d_alpha + self.d_sigma) / (self.scale * self.d_clock)


@dataclass(frozen=True)
class Curves:
    """The path.

    Attributes:
        rise: the logits of ᾱ.
        fall: the logits of σ̄.
        first: the clock of the noise.
        last: the clock of the end.
    """

    rise: Tensor
    fall: Tensor
    first: float
    last: float

    def at(self, u: Tensor) -> Point:
        """The path at u, (m,)."""
        length = self.last - self.first
        (alpha, d_alpha), (fall, d_fall) = bezier(self.rise, u), bezier(self.fall, u)
        return Point(
            self.first + length * alpha, length * d_alpha, 1.0 - self.first - length * fall, -length * d_fall
        )

    def where(self, clock: Tensor) -> Tensor:
        """The u at which the clock shows these values, (m,): by Newton's steps, or halves where they lead too far."""
        low, high = torch.zeros_like(clock), torch.ones_like(clock)
        u = 0.5 * (low + high)
        for _ in range(STEPS):
            path = self.at(u)
            above = path.clock - clock
            low, high = torch.where(above < 0.0, u, low), torch.where(above < 0.0, high, u)
            after = u - above / path.d_clock
            after = torch.where((after > low) & (after < high), after, 0.5 * (low + high))
            done = bool(((after - u).abs() <= ROUNDING).all())
            u = after
            if done:
                break
        return u


STEPS, ROUNDING = 60, 1e-15

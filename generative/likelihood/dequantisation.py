"""From grey levels to a density, and back to bits.

A pixel is a level k in 0 … levels − 1. It is mapped to the centre c_k of a cell of width w. Noise within the cell makes
it a continuous variable, x ~ q(x | k). For a density p of x, by Jensen's inequality,

    log P(k) = log E_q [p(x) / q(x | k)]  ≥  E_q [log p(x) − log q(x | k)],

and bits/dim = −(log p(x) − log q(x | k)) / (d log 2) with one draw of x bounds the code length of the image from above,
in expectation. With uniform noise −log q = d log w: the width alone gives the offset log₂(1/w).

A model may be trained on x = f(y) of images y, such as their logit. The cells are then those of y, and q(x | k) follows
from q(y | k): log q(x | k) = log q(y | k) − log |det dx/dy|.

Sources: Theis et al. (1511.01844), section 3.1; Zheng et al. (2305.03935), for the truncated normal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...solvers import standard_normal
from ...solvers.common import (
    check_dtype,
    check_fields,
    check_finite,
    check_instance,
    check_samples,
    host,
    real,
    whole,
    widest,
)
from .transforms import IDENTITY, Transform

__all__ = ["Dequantisation"]

MOST_LEVELS, LARGEST, NEAR = 2**53, 1e100, 1e-6
"""The most levels that float64 tells apart, the largest edge, and a distance from it that is small for a cell."""


@dataclass(frozen=True)
class Dequantisation:
    """`levels` cells of equal width between low and high, in units of the images y.

    low and high are outer edges: [−1, 1] for x = 2 (k + u)/levels − 1. Data that were scaled to k/127.5 − 1 have their
    *centres* at ±1: `Dequantisation.centred(256, -1.0, 1.0)`. The two differ by 0.0056 bits per dimension.

    Args:
        levels: the number of levels, at least 2.
        low: the lower edge of the first cell, in units of y.
        high: the upper edge of the last cell, in units of y.
        spread: None for uniform noise; or the standard deviation of normal noise that is truncated to the cell, in
            units of y, from a thousandth of a cell's width to a thousand widths.
        transform: from images y to states x of the model, such as `Logit(0.0, 1.0, margin=0.05)`.

    Raises:
        TypeError: a field is no number, or the transform no `Transform`.
        ValueError: there are fewer than two levels, low ≥ high, the spread is out of range, or the transform is not
            defined in all cells.

    Example:
        >>> cells = Dequantisation(4)
        >>> cells.centre(torch.arange(4))
        tensor([-0.7500, -0.2500,  0.2500,  0.7500], dtype=torch.float64)
        >>> cells.level(torch.tensor([-1.0, -0.4, 0.9]))
        tensor([0, 1, 3])
        >>> Dequantisation(4, 0.0, 1.0, transform=Logit()).centre(torch.tensor([0, 1]))  # log(1/7), log(3/5)
        tensor([-1.9459, -0.5108], dtype=torch.float64)
    """

    levels: int
    low: float = -1.0
    high: float = 1.0
    spread: float | None = None
    transform: Transform = IDENTITY

    def __post_init__(self) -> None:
        check_fields(self, whole, "levels", low=2, high=MOST_LEVELS)
        check_fields(self, real, "low", "high", low=-LARGEST, high=LARGEST)
        if not (self.low < self.low + self.width and self.high - self.width < self.high):
            raise ValueError(
                f"Dequantisation needs cells of some width, low < high, but got {self.levels} from {self.low:g} to "
                f"{self.high:g}."
            )
        if self.spread is not None:
            check_fields(self, real, "spread", low=1e-3 * self.width, high=1e3 * self.width)
        check_instance("transform", self.transform, Transform, "a transform, such as Logit()")
        inside = NEAR * self.width  # a logit is infinite at the edges themselves
        edges = torch.tensor([self.low + inside, self.high - inside], dtype=torch.float64, device="cpu")
        check_finite("The transform of the edges of the cells", self.transform.forward(edges))

    @classmethod
    def centred(
        cls,
        levels: int,
        first: float,
        last: float,
        spread: float | None = None,
        transform: Transform = IDENTITY,
    ) -> Dequantisation:
        """The cells whose first and last centre are given.

        Args:
            levels: the number of levels, at least 2.
            first: the centre of the first cell, in units of y.
            last: the centre of the last cell, in units of y.
            spread: as for the class.
            transform: as for the class.
        """
        levels = whole("levels", levels, 2, MOST_LEVELS)
        first, last = real("first", first, -LARGEST, LARGEST), real("last", last, -LARGEST, LARGEST)
        half = 0.5 * (last - first) / (levels - 1)
        return cls(levels, first - half, last + half, spread, transform)

    @property
    def width(self) -> float:
        """w, the width of a cell, in units of y."""
        return (self.high - self.low) / self.levels

    def centre(self, level: Tensor) -> Tensor:
        """x of c_k, the centres of the cells of these levels; float64, where the device has it, for integers."""
        return self.transform.forward(self._centre(level))

    def level(self, x: Tensor) -> Tensor:
        """k of the cell that holds x, int64; the first or the last one beyond the edges."""
        y = self.transform.inverse(x)
        return ((y - self.low) / self.width).floor().clamp(0, self.levels - 1).long()

    def __call__(
        self, level: Tensor, seed: int | Sequence[int] = 0, *, dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """A draw x ~ q(x | k).

        Args:
            level: k, of an integer dtype, (B, ...).
            seed: an int, or one int a sample. Sample i depends on (seed, i), or on its own seed, alone.
            dtype: the dtype of x.

        Returns:
            x, of the shape of the levels.

        Raises:
            ValueError: a level is no integer in 0 … levels − 1.
        """
        check_dtype("dtype", dtype)
        self.check_levels(level)
        uniform: Tensor = torch.special.ndtr(standard_normal(torch.empty_like(level, dtype=widest(level.device)), seed))
        if self.spread is None:
            offset = (uniform - 0.5) * self.width
        else:
            least = torch.special.ndtr(host(-0.5 * self.width / self.spread))
            offset = self.spread * torch.special.ndtri(least + (1.0 - 2.0 * least) * uniform)
        return self.transform.forward(self._centre(level) + offset).to(dtype)

    def check_levels(self, level: Tensor) -> None:
        """Raise ValueError unless the levels are a tensor of integers in 0 … levels − 1."""
        integers = isinstance(level, Tensor) and not level.is_floating_point() and level.dtype != torch.bool
        if not integers or (level.numel() and not 0 <= level.min() <= level.max() < self.levels):
            raise ValueError(f"Levels must be integers in 0 … {self.levels - 1}; quantise the images first.")

    def log_density(self, x: Tensor) -> Tensor:
        """log q(x | k) with k the levels of the cells that hold x, summed over each sample: float64 (B,)."""
        check_samples("x", x)
        exact = x.to(widest(x.device))
        if self.spread is None:
            of_noise = torch.full_like(exact, -math.log(self.width))
        else:
            distance = (self.transform.inverse(exact) - self._centre(self.level(exact))) / self.spread
            inside = math.erf(0.5 * self.width / self.spread / math.sqrt(2.0))
            constant = math.log(self.spread * inside) + 0.5 * math.log(2.0 * math.pi)
            of_noise = -0.5 * distance.square() - constant
        return (of_noise - self.transform.log_slope(exact)).flatten(1).sum(1)

    def _centre(self, level: Tensor) -> Tensor:
        """The y of the centres."""
        real = level if level.is_floating_point() else level.to(widest(level.device))
        return self.low + (real + 0.5) * self.width

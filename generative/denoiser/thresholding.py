"""Thresholds keep the denoised sample x₀-hat within the range of the data.

A guided x₀-hat leaves the range that the data have, and steps built on it go further astray. A threshold brings every
component back, of each sample apart:

    static       x₀ ← clip(x₀, −b, b)
    dynamic      s = max(b, q-quantile of |x₀|),    x₀ ← clip(x₀, −s, s) b/s

The thresholded field has kinks, and does not commute with affine maps: a solver keeps its accuracy no longer, and not
its order. A denoiser says so by `smooth`.

Source: Saharia et al., Imagen (2205.11487), section 2.3, with b = 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

__all__ = ["Dynamic", "Static", "Threshold"]


@dataclass(frozen=True)
class Static:
    """Clips x₀-hat to [−bound, bound]. Raises ValueError unless bound is positive and finite."""

    bound: float = 1.0

    def __post_init__(self) -> None:
        _check_bound(self)

    def __call__(self, x0: Tensor) -> Tensor:
        return x0.clamp(-self.bound, self.bound)


@dataclass(frozen=True)
class Dynamic:
    """Clips each x₀-hat to a quantile of its own components, and scales what is left to [−bound, bound].

    quantile: in (0, 1], interpolated linearly between order statistics; samples whose quantile is within the bound
    are clipped to the bound, and not scaled. largest: a bound of the quantile. Raises ValueError for a quantile or a
    bound out of range.
    """

    quantile: float = 0.995
    bound: float = 1.0
    largest: float = math.inf

    def __post_init__(self) -> None:
        _check_bound(self)
        if not 0.0 < self.quantile <= 1.0:
            raise ValueError(f"Dynamic needs a quantile in (0, 1], but got {self.quantile}; 0.995 is usual.")
        if not self.bound <= self.largest:
            raise ValueError(f"Dynamic needs bound <= largest, but got {self.bound} and {self.largest}.")

    def __call__(self, x0: Tensor) -> Tensor:
        size = x0.reshape(len(x0), -1).abs()
        place = self.quantile * (size.shape[1] - 1)
        above = size.topk(size.shape[1] - math.floor(place), dim=1).values  # the order statistics from there on
        low, high = above[:, -1], above[:, max(above.shape[1] - 2, 0)]
        limit = (low + (place - math.floor(place)) * (high - low)).clamp(self.bound, self.largest)
        limit = limit.reshape(-1, *(1,) * (x0.ndim - 1))
        return x0.clamp(-limit, limit) * (self.bound / limit)


Threshold = Static | Dynamic


def _check_bound(threshold: Threshold) -> None:
    if not 0.0 < threshold.bound < math.inf:
        name = type(threshold).__name__
        raise ValueError(f"{name} needs a finite bound > 0, but got {threshold.bound}; give the range of the data.")

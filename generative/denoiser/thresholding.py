"""Thresholds keep the denoised sample x₀-hat within the range of the data.

A guided x₀-hat leaves the range of the data, and a step that is built on it leads further away. A threshold brings
every component back, for each sample separately:

    static       x₀ ← clip(x₀, −b, b)
    dynamic      s = max(b, q-quantile of |x₀|),    x₀ ← clip(x₀, −s, s) b/s

The thresholded field has kinks and does not commute with affine maps: a solver loses its order. `Denoiser.smooth` says
whether there is a threshold.

Source: Saharia et al., Imagen (2205.11487), section 2.3, with b = 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

__all__ = ["Dynamic", "Static", "Threshold"]


@dataclass(frozen=True)
class Static:
    """Clips x₀-hat to [−bound, bound].

    Args:
        bound: b, in units of the data.

    Raises:
        ValueError: unless bound is positive and finite.

    Example:
        >>> Static(1.0)(torch.tensor([[-3.0, 0.5]]))
        tensor([[-1.0000,  0.5000]])
    """

    bound: float = 1.0

    def __post_init__(self) -> None:
        _check_bound(self)

    def __call__(self, x0: Tensor) -> Tensor:
        return x0.clamp(-self.bound, self.bound)


@dataclass(frozen=True)
class Dynamic:
    """Clips each x₀-hat to a quantile of its own components, and scales the result to [−bound, bound].

    A sample whose quantile is below the bound is clipped to the bound and not scaled.

    Args:
        quantile: q in (0, 1], interpolated linearly between order statistics.
        bound: b, in units of the data.
        largest: an upper bound of the quantile, in units of the data.

    Raises:
        ValueError: for a quantile or a bound out of range.

    Example:
        >>> Dynamic(quantile=1.0)(torch.tensor([[-4.0, 2.0]]))
        tensor([[-1.0000,  0.5000]])
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

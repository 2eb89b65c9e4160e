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

from ...solvers.common import check_fields, real

__all__ = ["Dynamic", "Static", "Threshold"]

SIZES = {"low": 1e-30, "high": 1e30}
"""The bounds of what divides and multiplies in float32."""


@dataclass(frozen=True)
class Static:
    """Clips x₀-hat to [−bound, bound].

    Args:
        bound: b, in units of the data.

    Raises:
        TypeError: for a bound that is no number.
        ValueError: unless bound is positive and finite.

    Example:
        >>> Static(1.0)(torch.tensor([[-3.0, 0.5]]))
        tensor([[-1.0000,  0.5000]])
    """

    bound: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self, real, "bound", **SIZES)

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
        TypeError: for a field that is no number.
        ValueError: for a quantile or a bound out of range.

    Example:
        >>> Dynamic(quantile=1.0)(torch.tensor([[-4.0, 2.0]]))
        tensor([[-1.0000,  0.5000]])
    """

    quantile: float = 0.995
    bound: float = 1.0
    largest: float = math.inf

    def __post_init__(self) -> None:
        check_fields(self, real, "bound", **SIZES)
        check_fields(self, real, "quantile", above=0.0, high=1.0)
        check_fields(self, real, "largest", high=math.inf, infinite=True)
        if not self.bound <= self.largest:
            raise ValueError(f"Dynamic needs bound <= largest, but got {self.bound} and {self.largest}.")

    def __call__(self, x0: Tensor) -> Tensor:
        if not x0.numel():
            return x0
        size = x0.reshape(len(x0), -1).abs()
        place = self.quantile * (size.shape[1] - 1)
        above = size.topk(size.shape[1] - math.floor(place), dim=1).values  # the order statistics from there on
        low, high = above[:, -1], above[:, max(above.shape[1] - 2, 0)]
        limit = (low + (place - math.floor(place)) * (high - low)).clamp(self.bound, self.largest)
        limit = limit.reshape(-1, *(1,) * (x0.ndim - 1))
        return x0.clamp(-limit, limit) * (self.bound / limit)


Threshold = Static | Dynamic

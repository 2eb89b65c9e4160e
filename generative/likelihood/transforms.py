"""Data on another scale, or in a box, as states x of a model; and the density of the data that follows.

A transform is an increasing or decreasing function of each component, x_i = f(y_i), from the data y to the model's x:

    log p(y) = log p(x) + log |det dx/dy|,        log |det dx/dy| = Σ_i log |f'(y_i)|.

The logit carries an interval to the whole line. Its slope is large near both ends of the interval, where y is coarse
and x is fine. The slope is therefore computed from x.

Sources: Dinh et al., Real NVP (1605.08803), section 4.1; Papamakarios et al. (1705.07057), for the margin of both
sides.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ...solvers.common import check_fields, check_samples, real, widest

__all__ = ["IDENTITY", "Logit", "Scaled", "Transform"]

LARGEST = 1e100
"""The largest shift, scale or edge; the scale and the length of an interval are at least its inverse."""


class Transform(ABC):
    """A monotone function x_i = f(y_i) of each component, from data y to the states x of a model."""

    @abstractmethod
    def forward(self, y: Tensor) -> Tensor:
        """x = f(y), of the shape and dtype of y."""

    @abstractmethod
    def inverse(self, x: Tensor) -> Tensor:
        """y = f⁻¹(x), of the shape and dtype of x."""

    @abstractmethod
    def log_slope(self, x: Tensor) -> Tensor:
        """log |f'(y)| of each component at y = f⁻¹(x): float64, of the shape of x."""

    def log_det(self, y: Tensor) -> Tensor:
        """log |det dx/dy|, the sum of each sample's slopes.

        Args:
            y: the data, (B, ...).

        Returns:
            float64 (B,), to be added to log p(x).

        Raises:
            TypeError: y is no floating-point tensor.
            ValueError: y is not finite, or outside the domain of the transform.
        """
        check_samples("y", y)
        return self.log_slope(self.forward(y.to(widest(y.device)))).reshape(len(y), -1).sum(1)


@dataclass(frozen=True)
class Scaled(Transform):
    """x = scale · y + shift.

    Args:
        scale: any number but 0.
        shift: any number.

    Raises:
        TypeError: a field is no number.
        ValueError: the scale is 0, or a number is not finite.

    Example:
        >>> signed = Scaled(2.0, -1.0)  # from [0, 1] to [−1, 1]
        >>> signed.forward(torch.tensor([[0.0, 0.75]]))
        tensor([[-1.0000,  0.5000]])
        >>> signed.log_det(torch.tensor([[0.0, 0.75]]))  # 2 log 2
        tensor([1.3863], dtype=torch.float64)
    """

    scale: float
    shift: float = 0.0

    def __post_init__(self) -> None:
        check_fields(self, real, "scale", "shift", low=-LARGEST, high=LARGEST)
        if abs(self.scale) < 1.0 / LARGEST:
            raise ValueError(f"scale is {self.scale:g}, which maps all data to one state; give another number than 0.")

    def forward(self, y: Tensor) -> Tensor:
        check_samples("y", y, axes=0)
        return self.scale * y + self.shift

    def inverse(self, x: Tensor) -> Tensor:
        check_samples("x", x, axes=0)
        return (x - self.shift) / self.scale

    def log_slope(self, x: Tensor) -> Tensor:
        check_samples("x", x, axes=0)
        return torch.full_like(x, math.log(abs(self.scale)), dtype=widest(x.device))


IDENTITY = Scaled(1.0)
"""x = y."""


@dataclass(frozen=True)
class Logit(Transform):
    """x = log(p/(1 − p)) with p = margin + (1 − 2 margin) (y − low)/(high − low).

    A margin of 0 carries the open interval to the whole line. With a margin both ends of the interval become finite,
    ± log((1 − margin)/margin), and the states beyond them become data outside the interval.

    Real NVP's p = α + (1 − α) y has a margin below alone: Logit(−α/(1 − α), 1).

    Args:
        low: the lower end of the interval.
        high: the upper end.
        margin: from 0 to less than ½. Papamakarios et al. take 1e-6 for MNIST and 0.05 for CIFAR-10.

    Raises:
        TypeError: a field is no number.
        ValueError: low ≥ high, or the margin is out of range.

    Example:
        >>> logit = Logit(0.0, 1.0, margin=0.05)
        >>> x = logit.forward(torch.tensor([[0.0, 0.5, 0.9]]))
        >>> x
        tensor([[-2.9444,  0.0000,  1.8153]])
        >>> logit.inverse(torch.tensor([[-3.0, 0.0, 3.0]]))  # a state beyond the edge is data outside the interval
        tensor([[-0.0029,  0.5000,  1.0029]])
    """

    low: float = 0.0
    high: float = 1.0
    margin: float = 0.0

    def __post_init__(self) -> None:
        check_fields(self, real, "low", "high", low=-LARGEST, high=LARGEST)
        check_fields(self, real, "margin", low=0.0, below=0.5)
        if not self.high - self.low >= 1.0 / LARGEST:
            raise ValueError(f"A logit needs low < high, but got {self.low:g} and {self.high:g}.")

    @property
    def slope(self) -> float:
        """dp/dy."""
        return (1.0 - 2.0 * self.margin) / (self.high - self.low)

    def forward(self, y: Tensor) -> Tensor:
        check_samples("y", y, axes=0)
        exact = y.to(widest(y.device))
        p, rest = (self.margin + self.slope * distance for distance in (exact - self.low, self.high - exact))
        outside = ~((p > 0.0) & (rest > 0.0))
        if bool(outside.any()):
            beyond = self.margin / self.slope
            raise ValueError(
                f"y holds {y[outside][0].item():g}, but a logit has values between {self.low - beyond:g} and "
                f"{self.high + beyond:g} alone; give data inside, or a larger margin."
            )
        return (p.log() - rest.log()).to(y.dtype)

    def inverse(self, x: Tensor) -> Tensor:
        check_samples("x", x, axes=0)
        exact = x.to(widest(x.device))
        below = self.low + (torch.sigmoid(exact) - self.margin) / self.slope
        above = self.high - (torch.sigmoid(-exact) - self.margin) / self.slope
        return torch.where(exact < 0.0, below, above).to(x.dtype)

    def log_slope(self, x: Tensor) -> Tensor:
        check_samples("x", x, axes=0)
        exact = x.to(widest(x.device))
        return math.log(self.slope) - logsigmoid(exact) - logsigmoid(-exact)

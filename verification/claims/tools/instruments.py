"""What the chapters on samplers and likelihoods measure with: quadrature, data at a point, laws of outputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ....solvers import Equation, Noise, Solver
from ...laws import impulse_response
from .measuring import gaussian
from .quadrature import hermite, legendre, point

__all__ = ["column", "hermite", "largest", "legendre", "order", "output_law", "point", "raises"]


def column(values: Sequence[float] | Tensor) -> Tensor:
    """Numbers as states: (B,) -> (B, 1), float64."""
    return torch.as_tensor(values, dtype=torch.float64).reshape(-1, 1)


def largest(difference: Tensor) -> float:
    """The largest absolute value; infinite if one is not a number."""
    return float(torch.nan_to_num(difference.abs(), nan=math.inf).max())


def order(steps: Sequence[int], errors: Sequence[float]) -> float:
    """The order that the last two errors show."""
    return math.log(abs(errors[-2] / errors[-1])) / math.log(steps[-1] / steps[-2])


def output_law(
    sampler: Solver | Callable[[Tensor, Noise], Tensor],
    equation: Equation | None = None,
    times: Tensor | None = None,
    start: tuple[float, float] = (0.0, 1.0),
) -> tuple[float, float]:
    """Mean and deviation of what a sampler of Gaussian data on the line makes of N(mean, deviation²), exactly."""
    mean, cov = impulse_response(sampler, equation, times, dim=1).law(gaussian(*start))
    return mean.item(), math.sqrt(cov.item())


def raises(kind: type[Exception], call: Callable[[], object]) -> float:
    """1 if the call raises an error of this kind, else 0."""
    try:
        call()
    except kind:
        return 1.0
    return 0.0

"""What the chapters on samplers and likelihoods measure with: quadrature, data at a point, laws of outputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ...generative import Denoiser, GaussianPath
from ...solvers import Equation, Noise, Solver
from ..impulse import impulse_response
from .measuring import gaussian

__all__ = ["column", "hermite", "largest", "legendre", "order", "output_law", "point", "raises"]


def column(values: Sequence[float] | Tensor) -> Tensor:
    """Numbers as states: (B,) -> (B, 1), float64."""
    return torch.as_tensor(values, dtype=torch.float64).reshape(-1, 1)


def point(value: float, path: GaussianPath) -> Denoiser:
    """The exact network of data that are one point: x₀-hat = value."""

    def constant(x: Tensor, time: Tensor) -> Tensor:
        return torch.full_like(x, value)

    return Denoiser(constant, path, predicts="x0")


def hermite(n: int) -> tuple[Tensor, Tensor]:
    """Nodes z and weights w, (n,), with E f(Z) = Σ w f(z) for Z ~ N(0, 1) and polynomials f of degree 2 n − 1."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(n)
    return torch.from_numpy(nodes), torch.from_numpy(weights / math.sqrt(2.0 * math.pi))


def legendre(n: int, start: float, end: float) -> tuple[Tensor, Tensor]:
    """Nodes, from start to end, and weights, (n,), of the integral of f between them."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    half = 0.5 * (end - start)
    return torch.from_numpy(start + half * (nodes + 1.0)), torch.from_numpy(half * weights)


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

"""Elementary functions of a float or of a tensor, with the limits a noise schedule needs.

A solver evaluates a schedule on Python floats (float64 on the host, without a trip to the device), training evaluates
it on tensors; one formula serves both. At the ends of a path the logarithm of zero is −∞ and the exponential of ∞ is ∞:
tensors do this already, Python's `math` would raise an error. Of nan every function is nan. Beyond the times of a path
a root or a logarithm may not exist: a tensor is nan there, a float raises ValueError.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor

from ...solvers.common import host

__all__ = [
    "Real",
    "Scalar",
    "asinh",
    "atan",
    "cos",
    "derivative",
    "exp",
    "expm1",
    "hypot",
    "log",
    "minimum",
    "ratio",
    "sigmoid",
    "sin",
    "softplus",
    "sqrt",
]

Scalar: TypeAlias = "float | Tensor"
"""A float or a tensor, where the type says no more. (0.0, −1/σ) is a pair of scalars, whatever the type of σ is."""

Real = TypeVar("Real", float, Tensor, Scalar)
"""The type of a function's argument and of its value: a float gives a float, a tensor a tensor, a scalar a scalar."""


def derivative(function: Callable[[Tensor], Tensor], t: Real) -> Real:
    """The derivative of an elementwise function at t, by automatic differentiation; of a float in float64."""
    if not isinstance(t, Tensor):
        return derivative(function, host(t)).item()
    slope: Tensor = torch.func.grad(lambda at: function(at).sum())(t)
    return slope


def exp(x: Real) -> Real:
    if isinstance(x, Tensor):
        return x.exp()
    return math.inf if x >= 709.0 else math.exp(x)


def expm1(x: Real) -> Real:
    if isinstance(x, Tensor):
        return x.expm1()
    return math.inf if x >= 709.0 else math.expm1(x)


def log(x: Real) -> Real:
    if isinstance(x, Tensor):
        return x.log()
    if x < 0.0:
        raise ValueError(f"The path needs the logarithm of {x:g} here, which does not exist; stay within its times.")
    return math.log(x) if x != 0.0 else -math.inf


def ratio(numerator: Real, denominator: Real) -> Real:
    """numerator / denominator; infinite, with the numerator's sign, over zero."""
    if isinstance(numerator, Tensor) or isinstance(denominator, Tensor):
        return numerator / denominator
    return numerator / denominator if denominator != 0.0 else math.copysign(math.inf, numerator)


def sqrt(x: Real) -> Real:
    if isinstance(x, Tensor):
        return x.sqrt()
    if x < 0.0:
        raise ValueError(f"The path needs the root of {x:g} here, which does not exist; stay within its times.")
    return math.sqrt(x)


def sin(x: Real) -> Real:
    return x.sin() if isinstance(x, Tensor) else math.sin(x)


def cos(x: Real) -> Real:
    return x.cos() if isinstance(x, Tensor) else math.cos(x)


def atan(x: Real) -> Real:
    return x.atan() if isinstance(x, Tensor) else math.atan(x)


def asinh(x: Real) -> Real:
    return x.asinh() if isinstance(x, Tensor) else math.asinh(x)


def hypot(x: Real, y: Real) -> Real:
    length: Real = (x * x + y * y) ** 0.5
    return length


def minimum(x: Real, bound: float) -> Real:
    return x.clamp(max=bound) if isinstance(x, Tensor) else min(x, bound)


def sigmoid(x: Real) -> Real:
    """1 / (1 + e⁻ˣ)."""
    return torch.sigmoid(x) if isinstance(x, Tensor) else 1.0 / (1.0 + exp(-x))


def softplus(x: Real) -> Real:
    """log(1 + eˣ), without overflow."""
    if isinstance(x, Tensor):
        return torch.logaddexp(x, torch.zeros_like(x))
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))

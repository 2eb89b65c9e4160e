"""Elementary functions of a float or of a tensor, with the limits a noise schedule needs.

A schedule is evaluated on Python floats inside solvers (float64 on the host, no device round trip) and on
tensors in training; one formula serves both. At the ends of a path the logarithm of zero is −∞ and the
exponential of ∞ is ∞, as they are for tensors, where Python's `math` would raise.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import torch
from torch import Tensor

__all__ = [
    "Real",
    "asinh",
    "atan",
    "cos",
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

Real: TypeAlias = "float | Tensor"


def exp(x: Real) -> Real:
    if isinstance(x, Tensor):
        return x.exp()
    return math.exp(x) if x < 709.0 else math.inf


def expm1(x: Real) -> Real:
    if isinstance(x, Tensor):
        return x.expm1()
    return math.expm1(x) if x < 709.0 else math.inf


def log(x: Real) -> Real:
    if isinstance(x, Tensor):
        return x.log()
    return math.log(x) if x != 0.0 else -math.inf


def ratio(numerator: Real, denominator: Real) -> Real:
    """numerator / denominator; infinite, with the numerator's sign, over zero."""
    if isinstance(numerator, Tensor) or isinstance(denominator, Tensor):
        return numerator / denominator
    return numerator / denominator if denominator != 0.0 else math.copysign(math.inf, numerator)


def sqrt(x: Real) -> Real:
    return x.sqrt() if isinstance(x, Tensor) else math.sqrt(x)


def sin(x: Real) -> Real:
    return x.sin() if isinstance(x, Tensor) else math.sin(x)


def cos(x: Real) -> Real:
    return x.cos() if isinstance(x, Tensor) else math.cos(x)


def atan(x: Real) -> Real:
    return x.atan() if isinstance(x, Tensor) else math.atan(x)


def asinh(x: Real) -> Real:
    return x.asinh() if isinstance(x, Tensor) else math.asinh(x)


def hypot(x: Real, y: Real) -> Real:
    return (x * x + y * y) ** 0.5


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

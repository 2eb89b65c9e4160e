"""How errors are read: the largest of them, the orders that they show, what is left without their leading terms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from ....solvers.common import host
from ...statistics import local_slopes

__all__ = ["extrapolated", "largest", "limiting_order", "order", "raises"]

Value = TypeVar("Value", float, Tensor)


def largest(*values: Tensor | float) -> float:
    """The largest absolute value of all entries of all arguments; nan if one is nan, so that no check passes."""
    sizes = [host(value).detach().abs().max() for value in values]
    return torch.stack(sizes).max().item()


def order(steps: Sequence[int], errors: Sequence[float]) -> float:
    """The order that the last two errors show, whatever their signs."""
    return local_slopes(steps, [abs(error) for error in errors])[-1]


def limiting_order(errors: Sequence[float]) -> float:
    """The order that errors at three steps, each half of the one before, tend to: p from p + c h and p + c h/2."""
    first, second = local_slopes((1, 2, 4), errors)
    return 2.0 * second - first


def extrapolated(values: Sequence[Value]) -> Value:
    """The limit of values at h, h/2 and h/4, without their errors of first and second order in h."""
    one, two, three = values
    return (one - 6.0 * two + 8.0 * three) / 3.0


def raises(kind: type[Exception], call: Callable[[], object]) -> float:
    """1 if the call raises an error of this kind, else 0."""
    try:
        call()
    except kind:
        return 1.0
    return 0.0

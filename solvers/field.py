"""The costly part of an equation: a function of time and state that counts its evaluations.

A solver calls a field with a time t, a Python float, and a state x of shape (B, ...). Where samples are at different
times (`Adaptive(per_sample=True)`, `Picard`) t is a float64 tensor of shape (B,) on the host. If the samples of a field
have data of their own, such as labels, `of_rows` selects the samples that a call contains.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

__all__ = ["Field", "Function", "Time", "as_field", "column", "when"]

Time = float | Tensor
"""A time, or one for each sample: float64, (B,), on the host."""
Function = Callable[[Any, Tensor], Tensor]
"""A function f(t, x) with values of x's shape and dtype."""


class Field(ABC):
    """A function of (t, x) with values of x's shape and dtype. By default a call takes one evaluation a sample."""

    @abstractmethod
    def __call__(self, t: Time, x: Tensor) -> Tensor:
        """The value at time t, a float or (B,), of the state x, (B, ...)."""

    def evaluations(self, t: Time) -> int | Tensor:
        """Evaluations of the network that a call at t takes for each sample: an int, or int64 of shape (B,)."""
        return 1

    def of_rows(self, index: Tensor) -> Field:
        """The field of the samples of these indices: int64 of any length, repeated ones too."""
        return self


@dataclass(frozen=True)
class _Plain(Field):
    """A function that takes one evaluation and has no data of its samples."""

    function: Function

    def __call__(self, t: Time, x: Tensor) -> Tensor:
        return self.function(t, x)


def as_field(function: Field | Function) -> Field:
    """A function f(t, x) as a field that takes one evaluation; a field is returned as it is.

    Raises TypeError for an object that cannot be called, and for a class.
    """
    if isinstance(function, Field):
        return function
    if isinstance(function, type) or not callable(function):
        got = f"the class {function.__name__}" if isinstance(function, type) else type(function).__name__
        raise TypeError(f"A field is a function f(t, x), but got {got}; give one.")
    return _Plain(function)


def column(t: Tensor, x: Tensor) -> Tensor:
    """The B numbers of t, one a sample, as (B, 1, …, 1), which multiplies x, (B, ...), sample by sample."""
    return t.reshape(-1, *(1,) * (x.ndim - 1))


def when(t: Time) -> str:
    """Words for a time, or for several."""
    if not isinstance(t, Tensor):
        return f"t = {t:g}"
    low, high = (t.min().item(), t.max().item()) if t.numel() else (math.nan, math.nan)
    return f"t = {low:g}" if low == high else f"t from {low:g} to {high:g}"

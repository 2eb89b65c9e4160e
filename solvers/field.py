"""The costly part of an equation: a function of time and state, what a call of it takes, and whose samples it knows.

A solver calls a field with a time t, a Python float, and a state x of shape (B, ...). Where samples are at different
times (`Adaptive(per_sample=True)`, `Picard`) t is a float64 tensor of shape (B,) on the host. A field whose samples
carry data of their own, such as labels, says by `of_rows` which of them are left.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

__all__ = ["Field", "Function", "Time", "as_field", "column"]

Time = float | Tensor
"""A time, or one for each sample: float64, on the host."""
Function = Callable[[Any, Tensor], Tensor]


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
    """A function that takes one evaluation and is the same for every sample."""

    function: Function

    def __call__(self, t: Time, x: Tensor) -> Tensor:
        return self.function(t, x)


def as_field(function: Field | Function) -> Field:
    """A field as it is; a plain function f(t, x) as a field that takes one evaluation.

    Raises TypeError for what cannot be called.
    """
    if isinstance(function, Field):
        return function
    if not callable(function):
        raise TypeError(f"A field is a function f(t, x), but got {type(function).__name__}; give one.")
    return _Plain(function)


def column(t: Tensor, x: Tensor) -> Tensor:
    """Numbers of the samples of x, (B, ...), of shape (B, 1, …, 1): what multiplies x sample by sample."""
    return t.reshape(-1, *(1,) * (x.ndim - 1))

"""One step of a method, and the linear arithmetic of which steps are made."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from torch import Tensor

from ..field import Time

__all__ = ["Step", "combined"]


class Step(NamedTuple):
    """The result of one step.

    Attributes:
        x: the state at the end of the step, (B, ...).
        state: the method's own state there.
        error: the estimate of the local error, of x's shape; None if the method has none.
        dense: the state at a time within the step, to the method's order; None if the method does not know it.
        stiffness: the fastest rate of the field that the step has met, in 1/time (see `diagnosis`); None if unknown.
    """

    x: Tensor
    state: Any = None
    error: Tensor | None = None
    dense: Callable[[Time], Tensor] | None = None
    stiffness: Callable[[], float] | None = None


def combined(x: Tensor, weights: Iterable[Any], values: Iterable[Tensor]) -> Tensor:
    """x + Σ_j w_j v_j, in one operation a term; the sum ends with the shorter of the two sequences.

    Args:
        x: a state, (B, ...).
        weights: for each value a float, or a tensor of shape (B, 1, …, 1) with one number a sample.
        values: tensors of x's shape.

    Returns:
        The sum, of x's shape.
    """
    for weight, value in zip(weights, values, strict=False):
        if isinstance(weight, Tensor):
            x = x + weight * value
        elif weight != 0.0:
            x = x.add(value, alpha=weight)
    return x

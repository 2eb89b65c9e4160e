"""Symbolic linear forms, on which a solver's steps run instead of tensors.

A form is Σ c_s s over symbols s: ("x", i), the state at time i; ("N", j), the value of the j-th evaluation; ("ξ", k),
the k-th normal. Steps only add forms and multiply them by numbers, so that every explicit method runs on them. An
operation that is not linear raises a TypeError.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

__all__ = ["Form", "LinearForm", "Symbol"]

Symbol = tuple[str, int]
"""Its kind, "x", "N" or "ξ", and its number."""
Form = Mapping[Symbol, float]
"""The coefficient of each symbol."""


class LinearForm:
    """An immutable linear form, which has the linear arithmetic of a tensor and nothing else."""

    __slots__ = ("terms",)
    terms: dict[Symbol, float]

    def __init__(self, terms: Form) -> None:
        self.terms = {symbol: value for symbol, value in terms.items() if value != 0.0}

    @classmethod
    def symbol(cls, kind: str, number: int) -> LinearForm:
        """The form that is a single symbol."""
        return cls({(kind, number): 1.0})

    def add(self, other: Any, *, alpha: float = 1.0) -> LinearForm:
        """self + alpha · other. Raises TypeError if `other` is neither a form nor zero."""
        if not isinstance(other, LinearForm):
            if isinstance(other, int | float) and other == 0:
                return self
            raise _not_linear(f"adds {type(other).__name__} to a state")
        terms = dict(self.terms)
        for symbol, value in other.terms.items():
            terms[symbol] = terms.get(symbol, 0.0) + alpha * value
        return LinearForm(terms)

    def __add__(self, other: Any) -> LinearForm:
        return self.add(other)

    def __sub__(self, other: Any) -> LinearForm:
        return self.add(other, alpha=-1.0)

    def __neg__(self) -> LinearForm:
        return self * -1.0

    def __mul__(self, factor: Any) -> LinearForm:
        number = _number(factor)
        return LinearForm({symbol: number * value for symbol, value in self.terms.items()})

    def __truediv__(self, divisor: Any) -> LinearForm:
        return self * (1.0 / _number(divisor))

    __radd__ = __add__
    __rmul__ = __mul__

    def __getattr__(self, name: str) -> Any:
        """Raises TypeError: a tensor has this attribute, and a linear form has not."""
        if name.startswith("__"):
            raise AttributeError(name)
        raise _not_linear(f"asks a state for its {name}")

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> LinearForm:
        """A product with a tensor of one element on the left is a product with a number; nothing else is linear."""
        if getattr(function, "__name__", "") in ("mul", "__mul__", "__rmul__") and len(args) == 2:
            factor, form = args if isinstance(args[1], LinearForm) else args[::-1]
            return LinearForm.__mul__(form, factor)
        raise _not_linear(f"applies {getattr(function, '__name__', function)} to a state")


def _number(value: Any) -> float:
    """A number, or a tensor of one element, as a float. Raises TypeError for a form and for other tensors."""
    if isinstance(value, Tensor) and value.numel() == 1:
        return float(value)
    if isinstance(value, LinearForm | Tensor):
        what = "a product of states" if isinstance(value, LinearForm) else "a tensor of coefficients"
        raise _not_linear(f"makes {what}")
    return float(value)


def _not_linear(what: str) -> TypeError:
    """The error of a method that does `what`."""
    return TypeError(
        f"This method {what}, so that it is no table of numbers; unroll needs steps that are linear in states, field "
        "values and additive noise of one intensity."
    )

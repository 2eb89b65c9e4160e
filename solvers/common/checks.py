"""The door of every public call: the values that people give become what the code behind may trust.

A check takes the name of the argument and its value, and returns the value in the one form that the code uses: a whole
number as an int, a real number as a float, a flag as a bool. It takes Python's numbers, those of numpy, and tensors and
arrays of one entry. For a value that does not fit it raises TypeError if the value is of another kind, and otherwise
ValueError, in one sentence: what was given, what is needed.

A number on the host carries no gradient, so that a tensor that requires one is refused where it would become a number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from itertools import islice
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from .tensor_checks import check_no_gradient, shown

__all__ = [
    "MANY",
    "check_callable",
    "check_fields",
    "check_instance",
    "choice",
    "flag",
    "real",
    "reals",
    "whole",
    "wholes",
]

Name = TypeVar("Name", bound=str)

MANY = 10**6
"""The largest count of what is done one after the other, such as the steps of a solve: beyond it lies a mistake."""


def whole(name: str, value: Any, low: int | None = None, high: int | None = None) -> int:
    """The value as an int.

    Args:
        name: the name of the argument.
        value: an int, or a number of numpy, a tensor or a float that is whole.
        low: the least value that is allowed; None for no bound.
        high: the largest; None for no bound.

    Raises:
        TypeError: it is no number.
        ValueError: it is not whole, or out of range.
    """
    needed = f"a whole number{_bounds(low, high, True, True)}"
    number = _number(name, value, needed)
    if not (isinstance(number, int) or number.is_integer()):
        raise ValueError(f"{name} is {number:g}, but must be {needed}.")
    number = int(number)
    if (low is not None and number < low) or (high is not None and number > high):
        raise ValueError(f"{name} is {number}, but must be {needed}.")
    return number


def real(
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    above: float | None = None,
    below: float | None = None,
    infinite: bool = False,
) -> float:
    """The value as a float.

    Args:
        name: the name of the argument.
        value: an int, a float, or a number of numpy or a tensor.
        low: the least value that is allowed.
        high: the largest.
        above: a bound that the value must exceed; None for none.
        below: a bound that the value must stay below; None for none.
        infinite: whether the value may be infinite, within the bounds.

    Raises:
        TypeError: it is no number.
        ValueError: it is not a number (nan), infinite without permission, out of range, or it requires a gradient.
    """
    inside = (above is None or value > above) and (below is None or value < below) if type(value) is float else False
    if inside and low <= value <= high and (infinite or math.isfinite(value)):  # the usual case, without words
        return float(value)
    least, largest = low if above is None else above, high if below is None else below
    needed = f"a {'' if infinite else 'finite '}number{_bounds(least, largest, above is None, below is None)}"
    number = _number(name, value, needed)
    try:
        found = float(number)
    except OverflowError:
        found = math.inf if number > 0 else -math.inf
    fits = low <= found <= high and (above is None or found > above) and (below is None or found < below)
    if not fits or (math.isinf(found) and not infinite):  # nan fits nowhere
        raise ValueError(f"{name} is {found:g}, but must be {needed}.")
    return found


def reals(name: str, values: Any) -> tuple[float, ...]:
    """The values of a sequence, or of a 1-D tensor or array, as finite floats.

    Raises:
        TypeError: it is no sequence of numbers.
        ValueError: it has another shape, more than a million values, one that is not finite, or it requires a gradient.
    """
    if isinstance(values, np.ndarray):
        values = torch.from_numpy(values.astype(np.float64)) if values.dtype.kind in "fiu" else values.tolist()
    if isinstance(values, Tensor):
        check_no_gradient(name, values)
        if values.ndim != 1:
            raise ValueError(f"{name} has shape {tuple(values.shape)}, but must be 1-D; flatten it.")
        if values.is_complex() or values.dtype == torch.bool:
            raise TypeError(f"{name} is {values.dtype}, but must hold real numbers.")
        if len(values) > MANY + 1:
            raise ValueError(f"{name} has {len(values)} entries, more than {MANY + 1}; give fewer.")
        values = _listed(name, values)
    elif isinstance(values, str | bytes | Mapping | Set) or not isinstance(values, Iterable):
        raise TypeError(f"{name} is {shown(values)}, but must be a sequence of numbers, such as [0.0, 0.5, 1.0].")
    found = tuple(islice(values, MANY + 2))
    if len(found) > MANY + 1:
        raise ValueError(f"{name} has more than {MANY + 1} entries; give fewer.")
    if {*map(type, found)} <= {float} and all(map(math.isfinite, found)):
        return found
    return tuple(real(f"{name}[{i}]", value) for i, value in enumerate(found))


def wholes(name: str, values: Any, low: int | None = None, high: int | None = None) -> tuple[int, ...]:
    """The values of a sequence, or of a 1-D tensor or array, as ints, each as `whole` takes it.

    Raises:
        TypeError: it is no sequence of numbers.
        ValueError: it has another shape, or a value that is not whole or out of range.
    """
    if isinstance(values, Tensor | np.ndarray):
        if values.ndim != 1:
            raise ValueError(f"{name} has shape {tuple(values.shape)}, but must be 1-D; flatten it.")
        values = _listed(name, values) if isinstance(values, Tensor) else values.tolist()
    if isinstance(values, str | bytes) or not isinstance(values, Sequence):
        raise TypeError(f"{name} is {shown(values)}, but must be a sequence of whole numbers, such as [0, 1, 2].")
    if {*map(type, values)} <= {int} and (not values or _within(min(values), max(values), low, high)):
        return tuple(values)
    return tuple(whole(f"{name}[{i}]", value, low, high) for i, value in enumerate(values))


def flag(name: str, value: Any) -> bool:
    """The value as a bool. Raises TypeError for what is neither True nor False."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise TypeError(f"{name} is {shown(value)}, but must be True or False.")


def choice(name: str, value: Name, choices: Iterable[str]) -> Name:
    """The value itself. Raises ValueError unless it is one of the choices."""
    known = tuple(choices)
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"Unknown {name} {shown(value)}; choose one of {', '.join(known)}.")
    return value


def check_fields(owner: object, check: Callable[..., object], *names: str, **bounds: Any) -> None:
    """Check fields of a frozen dataclass, and keep what the check returns.

    Args:
        owner: the dataclass, in its `__post_init__`.
        check: `real`, `whole` or another check that takes a name and a value.
        names: the fields.
        bounds: what the check takes besides, the same for all fields.
    """
    for name in names:
        object.__setattr__(owner, name, check(name, getattr(owner, name), **bounds))


def check_instance(name: str, value: Any, kind: type | tuple[type, ...], such_as: str) -> None:
    """Raise TypeError unless the value is an instance of `kind`, not a class; `such_as` says what to give instead."""
    if isinstance(value, type) or not isinstance(value, kind):
        got = value.__name__ if isinstance(value, type) else type(value).__name__
        raise TypeError(f"{name} is {'the class' if isinstance(value, type) else 'of type'} {got}; give {such_as}.")


def check_callable(name: str, value: Any, such_as: str) -> None:
    """Raise TypeError unless the value is a function, or an object that can be called; a class is none.

    `such_as` says what to give instead.
    """
    if isinstance(value, type) or not callable(value):
        got = f"the class {value.__name__}" if isinstance(value, type) else f"of type {type(value).__name__}"
        raise TypeError(f"{name} is {got}; give {such_as}.")


def _number(name: str, value: Any, needed: str) -> int | float:
    """The value as an int or a float."""
    check_no_gradient(name, value)
    if isinstance(value, Tensor | np.ndarray):
        size = value.numel() if isinstance(value, Tensor) else value.size
        if size != 1:
            raise ValueError(f"{name} has {size} entries in shape {tuple(value.shape)}, but must be {needed}.")
        try:
            value = value.item()
        except RuntimeError:  # vmap, the device "meta"
            raise ValueError(f"{name} is a tensor without a value of its own, but must be {needed}.") from None
    if isinstance(value, bool | np.bool_) or not isinstance(value, Integral | Real):
        raise TypeError(f"{name} is {shown(value)}, but must be {needed}.")
    return int(value) if isinstance(value, Integral) else float(value)


def _listed(name: str, values: Tensor) -> list[Any]:
    """The values of a tensor as a list."""
    try:
        found: list[Any] = values.tolist()
    except RuntimeError:  # vmap, the device "meta"
        raise ValueError(f"{name} is a tensor without values of its own, but must hold numbers.") from None
    return found


def _within(least: int, most: int, low: int | None, high: int | None) -> bool:
    return (low is None or least >= low) and (high is None or most <= high)


def _bounds(low: float | None, high: float | None, closed_low: bool, closed_high: bool) -> str:
    below = low is not None and low > -math.inf
    over = high is not None and high < math.inf
    if below and over and closed_low and closed_high:
        return f" from {low:.12g} to {high:.12g}"
    least = f" {'>=' if closed_low else '>'} {low:.12g}" if below else ""
    largest = f" {'<=' if closed_high else '<'} {high:.12g}" if over else ""
    return f"{least}{' and' if least and largest else ''}{largest}"

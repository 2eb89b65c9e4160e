"""Doors: wrong values of every kind, and the check that a public call refuses each in a sentence of its own."""

from __future__ import annotations

import linecache
import math
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import fokker

PAIR, GRADIENT = torch.tensor([0.5, 0.5]), torch.tensor(0.5, requires_grad=True)
_NO_NUMBERS = ("0.5", None, True, 0.5j, [0.5], PAIR, math.nan, torch.tensor(math.nan))
_SAMPLES = torch.ones(2, 3)
_OTHERS = (3, "x", None, [], torch.nn.Identity)

WRONG: dict[str, tuple[Any, ...]] = {
    "real": (*_NO_NUMBERS, math.inf, -math.inf, 1e300, -1e300, GRADIENT),
    "whole": (*_NO_NUMBERS, math.inf, 2.5, -1, 10**9, 10**40),
    "flag": ("no", 1, math.nan),
    "name": ("nonsense", "", 3, ["x"]),
    "samples": (None, "x", [[1.0]], _SAMPLES.numpy(), _SAMPLES.long(), _SAMPLES + 0j, _SAMPLES * math.nan),
    "object": _OTHERS,
    "function": _OTHERS,
    "seed": ("3", None, True, math.nan, 2.5, [0.1, 0.2], torch.tensor([0.1, 0.2]), [1] * 7, []),
}
PACKAGE = str(Path(fokker.__file__).parent)


def check_refusals(name: str, kind: str, call: Callable[[Any], Any], *, but: Sequence[Any] = ()) -> None:
    """Check that a call refuses every wrong value of a kind.

    Args:
        name: the argument, which the sentence names.
        kind: a key of `WRONG`.
        call: the call, as a function of this argument alone.
        but: values of `WRONG[kind]` that this argument takes.
    """
    for value in WRONG[kind]:
        if repr(value) in map(repr, but):
            continue
        with pytest.raises((TypeError, ValueError), match=name) as caught:
            pytest.fail(f"{name} = {value!r} gave {call(value)!r}")
        last = traceback.extract_tb(caught.value.__traceback__)[-1]
        assert last.filename.startswith(PACKAGE), f"{name} = {value!r}: {caught.value} in {last}"
        assert linecache.getline(last.filename, last.lineno or 0).strip().startswith("raise"), f"{name} = {value!r}"


def numbers_like(value: float) -> tuple[Any, ...]:
    """The same number in other types."""
    kinds = (np.int64, np.int32) if isinstance(value, int) else (np.float64, np.float32)
    return *(kind(value) for kind in kinds), torch.tensor(value), torch.tensor([value]), np.array(value)


def check_numbers(call: Callable[[Any], Any], value: float) -> None:
    """Check that a call gives the same for a number, exact in float32, in every type that people have it in."""
    expected = call(value)
    for number in numbers_like(value):
        found = call(number)
        assert type(found) is type(expected)
        if isinstance(expected, torch.Tensor):
            torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)
        else:
            assert found == expected

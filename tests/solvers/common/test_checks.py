"""The shared checks of arguments."""

from __future__ import annotations

import math
from itertools import count
from typing import Any

import numpy as np
import pytest
import torch

from fokker.solvers import Euler
from fokker.solvers.common import (
    MANY,
    check_callable,
    check_finite,
    check_floating,
    check_instance,
    check_memory,
    reals,
)


def test_more_memory_than_the_machine_has_is_refused() -> None:
    check_memory("n", 1000, 1000)
    with pytest.raises(ValueError, match=r"^n is 1000000000000, which takes 8000 GB of memory, but .*; take fewer\.$"):
        check_memory("n", 10**12, 10**12)
    with pytest.raises(ValueError, match="take fewer"):
        check_memory("n", 10**400, 10**400)


def test_a_value_that_is_not_finite_is_named_with_its_place() -> None:
    x = torch.zeros(2, 3)
    check_finite("x", x)
    x[1, 2] = -math.inf
    with pytest.raises(ValueError, match=r"^x is -inf at \[1, 2\], but must be finite everywhere\.$"):
        check_finite("x", x)


def test_a_tensor_without_values_of_its_own_passes_under_vmap_alone() -> None:
    def square(x: torch.Tensor) -> torch.Tensor:
        check_finite("x", x)
        return x**2

    torch.testing.assert_close(torch.func.vmap(square)(torch.tensor([2.0, 3.0])), torch.tensor([4.0, 9.0]))
    with pytest.raises(ValueError, match="on the device meta"):
        check_finite("x", torch.empty(2, device="meta"))


@pytest.mark.parametrize(
    "values",
    [
        [0, 0.5, np.float32(1.0)],
        (0.0, torch.tensor(0.5), np.array([1.0])),
        torch.tensor([0.0, 0.5, 1.0], dtype=torch.float16),
        np.array([0.0, 0.5, 1.0], dtype=np.longdouble),
        np.array([1.0, 0.5, 0.0])[::-1],
        (0.5 * i for i in range(3)),
    ],
    ids=["list", "of tensors", "half", "longdouble", "reversed", "generator"],
)
def test_numbers_of_every_kind_are_floats(values: Any) -> None:
    found = reals("times", values)
    assert found == (0.0, 0.5, 1.0)
    assert {*map(type, found)} == {float}


@pytest.mark.parametrize(
    ("values", "kind", "sentence"),
    [
        ([0.0, math.nan], ValueError, r"times\[1\] is nan, but must be a finite number"),
        (torch.tensor([0.0, math.inf]), ValueError, r"times\[1\] is inf, but must be a finite number"),
        (torch.zeros(2, 3), ValueError, r"has shape \(2, 3\), but must be 1-D"),
        (np.zeros((2, 3)), ValueError, r"has shape \(2, 3\), but must be 1-D"),
        (torch.zeros(2, device="meta"), ValueError, "without values of its own"),
        (torch.zeros(MANY + 2), ValueError, "has 1000002 entries, more than 1000001"),
        (count(), ValueError, "has more than 1000001 entries"),
        (torch.zeros(2, dtype=torch.complex64), TypeError, "must hold real numbers"),
        ("0.1", TypeError, "must be a sequence of numbers"),
        ({0.1: 1.0}, TypeError, "must be a sequence of numbers"),
        ({0.1, 0.5}, TypeError, "must be a sequence of numbers"),
        (0.5, TypeError, "must be a sequence of numbers"),
        ([0.0, "1.0"], TypeError, r"times\[1\] is '1.0', but must be a finite number"),
    ],
    ids=str,
)
def test_what_is_no_sequence_of_numbers_is_refused(values: Any, kind: type[Exception], sentence: str) -> None:
    with pytest.raises(kind, match=sentence):
        reals("times", values)


def test_a_class_is_no_instance_and_no_function() -> None:
    check_instance("solver", Euler(), Euler, "Euler()")
    with pytest.raises(TypeError, match=r"^solver is the class Euler; give Euler\(\)\.$"):
        check_instance("solver", Euler, Euler, "Euler()")
    check_callable("field", torch.nn.Identity(), "f(t, x)")
    with pytest.raises(TypeError, match=r"^field is the class Identity; give f\(t, x\)\.$"):
        check_callable("field", torch.nn.Identity, "f(t, x)")
    with pytest.raises(TypeError, match=r"^field is of type float; give"):
        check_callable("field", 1.0, "f(t, x)")


@pytest.mark.parametrize(
    ("x", "way"),
    [
        (torch.zeros(2, dtype=torch.complex64), r"torch\.view_as_real\(x\)"),
        ((torch.zeros(2), torch.zeros(2)), r"torch\.cat"),
        (torch.zeros(2, dtype=torch.int64), r"x\.float\(\)"),
        (torch.zeros(2).to(torch.float8_e4m3fn), r"x\.half\(\)"),
        (torch.zeros(2).to_sparse(), r"x\.to_dense\(\)"),
        ([1.0, 2.0], "must be a tensor of floating-point numbers"),
    ],
    ids=str,
)
def test_a_state_of_another_kind_is_told_the_way_out(x: Any, way: str) -> None:
    with pytest.raises(TypeError, match=way):
        check_floating("x", x)

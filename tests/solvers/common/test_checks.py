"""The shared checks of arguments."""

from __future__ import annotations

import math

import pytest
import torch

from fokker.solvers.common import check_finite, check_memory


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


def test_a_tensor_without_values_of_its_own_is_not_looked_at() -> None:
    def square(x: torch.Tensor) -> torch.Tensor:
        check_finite("x", x)
        return x**2

    torch.testing.assert_close(torch.func.vmap(square)(torch.tensor([2.0, 3.0])), torch.tensor([4.0, 9.0]))
    check_finite("x", torch.empty(2, device="meta"))

"""One thread, no gradients, and tables of what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from measured import show
from overhead import Overhead


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        yield
    torch.set_num_threads(threads)


@pytest.fixture
def overhead(benchmark: Callable[..., object]) -> Overhead:
    return Overhead(benchmark)


def pytest_terminal_summary() -> None:
    show()

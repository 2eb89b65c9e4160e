"""One thread, no gradients, and a table of what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from overhead import MEASURED, Overhead
from rich.console import Console
from rich.table import Table


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
    if not MEASURED:
        return
    table = Table(title="Overhead: solve time / (NFE × one field call)")
    table.add_column("field")
    table.add_column("method")
    table.add_column("overhead", justify="right")
    for problem, method, ratio in MEASURED:
        table.add_row(problem, method, f"{ratio:.3f}")
    Console().print(table)

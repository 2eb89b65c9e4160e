"""Numbers on the host are on the CPU whatever torch's default device is, and reach no device as float64.

The default device "meta" has no values: what is made there by accident shows at once.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from examples import EXAMPLES, MEASURED, assert_same, seen
from source import module_files

MAKERS = {
    "arange", "as_tensor", "empty", "eye", "full", "linspace", "logspace", "ones", "rand", "randint", "randn",
    "randperm", "tensor", "tril_indices", "triu_indices", "zeros",
}  # fmt: skip
"""The functions of torch that make a tensor on the default device."""
CHAPTERS = ("paths", "equations", "training", "sampling", "errata")
ELSEWHERE = (
    "fokker.generative.networks",  # a module is made where torch makes modules
    *(f"fokker.verification.claims.{chapter}" for chapter in CHAPTERS),  # `measured` runs them on the CPU
)


def unplaced(file: Path) -> Iterator[str]:
    """The calls that make a tensor and do not say where."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {f"torch.{name}" for name in MAKERS}:
            placed = any(keyword.arg == "device" for keyword in node.keywords)
            yield from () if placed else (f"{file.name}:{node.lineno}",)


def test_every_tensor_says_its_device() -> None:
    files = {module: file for module, file in module_files().items() if not module.startswith(ELSEWHERE)}
    assert [place for file in files.values() for place in unplaced(file)] == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_under_another_default_device(name: str) -> None:
    """Everything public is made and run where its numbers and states are, with the same values."""
    expected = seen(EXAMPLES[name]())
    for result in MEASURED:
        result.cache_clear()
    with torch.device("meta"):
        found = seen(EXAMPLES[name]())
    assert_same(found, expected)

"""The examples of the docstrings run as they are printed."""

from __future__ import annotations

import doctest
import importlib

import pytest
import torch

from fokker import generative
from fokker.generative import denoiser

MODULES = ("cfg", "classifier", "clocks", "conditioning", "denoiser", "prediction", "preconditioning", "thresholding")


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module(name: str) -> None:
    """After `import torch`, with the public names of `fokker.generative` and of this room."""
    module = importlib.import_module(f"fokker.generative.denoiser.{name}")
    names = {**vars(generative), **vars(denoiser), **vars(module), "torch": torch}
    found = doctest.testmod(module, globs=names)
    assert found.failed == 0 < found.attempted

"""The examples of the docstrings run as they are printed."""

from __future__ import annotations

import doctest
import importlib

import pytest
import torch

from fokker import generative, solvers

MODULES = {
    "denoiser": (
        *("cfg", "classifier", "clocks", "conditioning", "denoiser", "prediction", "preconditioning", "thresholding"),
    ),
    "equations": ("grids", "interpolant", "noise_level", "process"),
    "flow_maps": ("consistency", "flow_map"),
    "likelihood": (
        *("coloured", "dequantisation", "flow_likelihood", "importance", "likelihood", "orthogonal", "quadrature"),
        "transforms",
    ),
    "sampling": ("annealed_langevin", "encode", "interpolate", "jumps", "named", "plan", "sample", "sampler"),
}


@pytest.mark.parametrize(("room", "name"), [(room, name) for room, names in MODULES.items() for name in names])
def test_the_examples_of_a_module(room: str, name: str) -> None:
    """After `import torch`, with the public names of `fokker.solvers`, of `fokker.generative` and of the room."""
    module = importlib.import_module(f"fokker.generative.{room}.{name}")
    face = importlib.import_module(f"fokker.generative.{room}")
    names = {**vars(solvers), **vars(generative), **vars(face), **vars(module), "torch": torch}
    found = doctest.testmod(module, globs=names)
    assert found.failed == 0 < found.attempted

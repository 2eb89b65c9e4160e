"""Libraries that Fokker is measured against, imported without what they load and tests do not need."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import pytest

__all__ = ["k_diffusion", "without"]


class Nothing(ModuleType):
    """A module in which every name is None."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Nothing in place of modules that are not installed, which a library imports, and what is tested never uses."""
    missing = [name for name in names if find_spec(name.split(".")[0]) is None]
    for name in missing:
        sys.modules[name] = Nothing(name)
    try:
        yield
    finally:
        for name in missing:
            del sys.modules[name]


def k_diffusion() -> Any:
    """The library without its `__init__`, which loads CLIP, Inception and weights & biases."""
    if "k_diffusion" in sys.modules:
        return sys.modules["k_diffusion"]
    spec = find_spec("k_diffusion")
    if spec is None or spec.submodule_search_locations is None:
        pytest.skip("k-diffusion is not installed")
    package: Any = ModuleType("k_diffusion")
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules["k_diffusion"] = package
    with without("torchvision", "torchvision.transforms", "dctorch", "einops"):  # images, and weighted losses
        pytest.importorskip("k_diffusion.external")
        pytest.importorskip("k_diffusion.layers")
    return package

"""The neighbouring libraries, and small random networks of diffusers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import pytest
import torch


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


@pytest.fixture(scope="session")
def torchcfm() -> Any:
    with without("ot"):  # optimal transport, for its other matchers
        return pytest.importorskip("torchcfm")


@pytest.fixture(scope="session")
def k_diffusion() -> Any:
    """The library without its `__init__`, which loads CLIP, Inception and weights & biases."""
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


@pytest.fixture(scope="session")
def unet() -> Any:
    diffusers = pytest.importorskip("diffusers")
    torch.manual_seed(0)
    return diffusers.UNet2DModel(
        sample_size=8,
        in_channels=2,
        out_channels=2,
        layers_per_block=1,
        block_out_channels=(8,),
        down_block_types=("DownBlock2D",),
        up_block_types=("UpBlock2D",),
        norm_num_groups=4,
    ).eval().requires_grad_(False)


@pytest.fixture(scope="session")
def dit() -> Any:
    diffusers = pytest.importorskip("diffusers")
    torch.manual_seed(0)
    model = diffusers.DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=4,
        in_channels=4,
        out_channels=8,
        num_layers=1,
        norm_num_groups=2,
        sample_size=4,
        patch_size=2,
        num_embeds_ada_norm=1000,
    )
    return model.eval().requires_grad_(False)

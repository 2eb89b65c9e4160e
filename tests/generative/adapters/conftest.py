"""The neighbouring libraries, and small random networks of diffusers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peers import k_diffusion, without


@pytest.fixture(scope="session")
def torchcfm() -> Any:
    with without("ot"):  # optimal transport, for its other matchers
        return pytest.importorskip("torchcfm")


@pytest.fixture(scope="session", name="k_diffusion")
def _k_diffusion() -> Any:
    return k_diffusion()


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

"""A transformer on patches of an image, steered by time and label through its norms (adaLN-zero).

    tokens:    h = W patches + positions,                       positions: sines and cosines of row and column
    block:     h ← h + g₁ ⊙ attention((1 + a₁) ⊙ norm(h) + b₁)
               h ← h + g₂ ⊙ W₂ gelu(W₁ ((1 + a₂) ⊙ norm(h) + b₂))
    output:    patches = W ((1 + a) ⊙ norm(h) + b)

Every (b, a, g) is linear in silu(c(t, label)) and zero at the start, so that a new block is the identity, whatever its
attention; the last W is zero too, so that a new network returns zero. Attention is written out in matrix products: the
fused kernel has no forward-mode derivative.

Source: Peebles and Xie, Scalable Diffusion Models with Transformers (2212.09748), section 3.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, pixel_shuffle, pixel_unshuffle, silu

from ...solvers.common import whole
from .embedding import Embedding
from .network import LAYERS, WIDTH, OneTime, check_parameters, checked_frequency

__all__ = ["DiT"]

EXPANSION = 4  # hidden units of a block's perceptron over its width
WAVELENGTH = 10000.0  # of the slowest position feature, in patches over 2π


def zero(layer: nn.Linear) -> nn.Linear:
    """The layer, silent at the start of training."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def positions(side: int, width: int) -> Tensor:
    """Sines and cosines of row and column, a quarter of the `width` each: (side², width)."""
    frequency = WAVELENGTH ** -(torch.arange(width // 4) / (width // 4))
    angle = torch.arange(side)[:, None] * frequency
    wave = torch.cat([angle.sin(), angle.cos()], dim=1)
    rows, columns = wave[:, None].expand(-1, side, -1), wave[None].expand(side, -1, -1)
    return torch.cat([rows, columns], dim=2).flatten(0, 1)


class Attention(nn.Module):
    """W softmax(Q Kᵀ / √d) V over the tokens, (B, tokens, width)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, h: Tensor) -> Tensor:
        q, k, v = self.qkv(h).unflatten(2, (3, self.heads, -1)).transpose(1, 3).unbind(2)
        weight = torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), dim=-1)
        mixed: Tensor = self.out((weight @ v).transpose(1, 2).flatten(2))
        return mixed


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.modulation = zero(nn.Linear(width, 6 * width))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.attention = Attention(width, heads)
        self.first = nn.Linear(width, EXPANSION * width)
        self.second = nn.Linear(EXPANSION * width, width)

    def forward(self, h: Tensor, c: Tensor) -> Tensor:
        shift, scale, gate, shift_2, scale_2, gate_2 = self.modulation(c)[:, None].chunk(6, dim=2)
        h = h + gate * self.attention(self.norm(h) * (1 + scale) + shift)
        hidden = gelu(self.first(self.norm(h) * (1 + scale_2) + shift_2), approximate="tanh")
        output: Tensor = h + gate_2 * self.second(hidden)
        return output


class DiT(OneTime):
    """net(x, t, label=None) for images x of shape (B, channels, size, size); the output has x's shape and dtype.

    (size/patch)² tokens of `width`, through `depth` blocks with `heads` heads. `classes` labels 0 … classes−1;
    `null_label` = classes stands for "no label". Raises ValueError if size or width do not divide, and for states of
    another shape.
    """

    positions: Tensor

    def __init__(
        self,
        size: int,
        channels: int = 1,
        patch: int = 2,
        width: int = 64,
        depth: int = 4,
        heads: int = 4,
        classes: int = 0,
        top_frequency: float = 16.0,
    ) -> None:
        super().__init__()
        size, patch = whole("size", size, 1, WIDTH), whole("patch", patch, 1, WIDTH)
        channels, width = whole("channels", channels, 1, WIDTH), whole("width", width, 1, WIDTH)
        depth, heads = whole("depth", depth, 0, LAYERS), whole("heads", heads, 1, WIDTH)
        classes = whole("classes", classes, 0, WIDTH)
        top_frequency = checked_frequency(top_frequency)
        check_parameters(width * ((size // patch) ** 2 + 2 * channels * patch**2 + classes + (18 * depth + 3) * width))
        if size % patch:
            raise ValueError(f"size {size} must be a multiple of the patch, {patch}.")
        if width % 4 or width % heads:
            raise ValueError(f"width {width} must be a multiple of 4, for the positions, and of the {heads} heads.")
        self.shape, self.null_label, self.patch = (channels, size, size), classes, patch
        self.arguments = {
            "size": size, "channels": channels, "patch": patch, "width": width,
            "depth": depth, "heads": heads, "classes": classes, "top_frequency": top_frequency,
        }
        self.register_buffer("positions", positions(size // patch, width), persistent=False)
        self.embedding = Embedding(width, classes, top_frequency)
        self.stem = nn.Linear(channels * patch**2, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = zero(nn.Linear(width, 2 * width))
        self.head = zero(nn.Linear(width, channels * patch**2))

    def body(self, x: Tensor, c: Tensor) -> Tensor:
        c = silu(c)
        patches = pixel_unshuffle(x, self.patch)
        h = self.stem(patches.flatten(2).mT) + self.positions
        for block in self.blocks:
            h = block(h, c)
        shift, scale = self.modulation(c)[:, None].chunk(2, dim=2)
        output = self.head(self.norm(h) * (1 + scale) + shift)
        return pixel_shuffle(output.mT.unflatten(2, patches.shape[2:]), self.patch).to(x.dtype)

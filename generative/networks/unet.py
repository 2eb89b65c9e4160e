"""A small UNet: two resolutions, residual blocks steered by time and label, attention on the coarse one.

    residual:   h ← h + W₂ ∗ silu((1 + a(c)) ⊙ norm(W₁ ∗ silu(norm(h))) + b(c)),      c = c(t, label)
    output:     g(c) x + head(h)

The gate g carries the part of the answer that is linear in x (for N(0, I) data that is all of it), so that
the convolutions need not learn the identity. Larger images are folded first (`patch` = 2: each 2×2 square
becomes four channels), which cuts the cost fourfold. Attention is written out in matrix products: the fused
kernel has no forward-mode derivative.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_shuffle, pixel_unshuffle, silu

from ...solvers.common import whole
from .embedding import Embedding
from .network import WIDTH, OneTime, check_parameters, checked_frequency

__all__ = ["UNet"]

GROUPS = 8
HEADS = 4


def zero(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer, silent at the start of training."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, condition: int) -> None:
        super().__init__()
        self.enter = nn.GroupNorm(GROUPS, inputs)
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = nn.GroupNorm(GROUPS, outputs, affine=False)
        self.modulation = nn.Linear(condition, 2 * outputs)
        self.second = zero(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, h: Tensor, c: Tensor) -> Tensor:
        scale, shift = self.modulation(c)[:, :, None, None].chunk(2, dim=1)
        update = self.norm(self.first(silu(self.enter(h)))) * (1 + scale) + shift
        output: Tensor = self.skip(h) + self.second(silu(update))
        return output


class Attention(nn.Module):
    """h + W softmax(QᵀK / √d) V over the pixels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, width)
        self.qkv = nn.Conv2d(width, 3 * width, 1)
        self.out = zero(nn.Conv2d(width, width, 1))

    def forward(self, h: Tensor) -> Tensor:
        batch, width, rows, columns = h.shape
        heads = self.qkv(self.norm(h)).reshape(batch, 3, HEADS, width // HEADS, rows * columns)
        q, k, v = heads.unbind(1)
        weight = torch.softmax(q.mT @ k / math.sqrt(width // HEADS), dim=-1)
        mixed = (v @ weight.mT).reshape(batch, width, rows, columns)
        output: Tensor = h + self.out(mixed)
        return output


class UNet(OneTime):
    """net(x, t, label=None) for images x of shape (B, channels, size, size); the output has x's shape.

    The resolutions are size/patch and size/(2 patch), with `width` and 2 `width` channels. `classes` labels
    0 … classes−1; `null_label` = classes stands for "no label". Raises ValueError if size or width do not
    divide.
    """

    def __init__(
        self,
        size: int,
        channels: int = 1,
        width: int = 32,
        classes: int = 0,
        patch: int = 1,
        top_frequency: float = 16.0,
    ) -> None:
        super().__init__()
        size, patch = whole("size", size, 1, WIDTH), whole("patch", patch, 1, WIDTH)
        channels, width = whole("channels", channels, 1, WIDTH), whole("width", width, 1, WIDTH)
        classes = whole("classes", classes, 0, WIDTH)
        top_frequency = checked_frequency(top_frequency)
        check_parameters(width * (320 * width + 18 * channels * patch**2 + 4 * classes))
        if size % (2 * patch):
            raise ValueError(f"size {size} must be a multiple of {2 * patch}, which is twice the patch.")
        if width % GROUPS:
            raise ValueError(f"width {width} must be a multiple of {GROUPS}, the number of groups in a norm.")
        self.shape, self.null_label = (channels, size, size), classes
        self.arguments = {
            "size": size, "channels": channels, "width": width,
            "classes": classes, "patch": patch, "top_frequency": top_frequency,
        }
        self.patch = patch
        condition, inputs = 4 * width, channels * patch**2
        self.embedding = Embedding(condition, classes, top_frequency)
        self.gate = nn.Linear(condition, 1)
        self.stem = nn.Conv2d(inputs, width, 3, padding=1)
        self.fine = Residual(width, width, condition)
        self.down = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.coarse = Residual(2 * width, 2 * width, condition)
        self.attention = Attention(2 * width)
        self.middle = Residual(2 * width, 2 * width, condition)
        self.up = nn.Conv2d(2 * width, width, 1)
        self.merge = Residual(2 * width, width, condition)
        self.finish = Residual(width, width, condition)
        self.norm = nn.GroupNorm(GROUPS, width)
        self.head = zero(nn.Conv2d(width, inputs, 3, padding=1))

    def body(self, x: Tensor, c: Tensor) -> Tensor:
        c = silu(c)
        fine = self.fine(self.stem(pixel_unshuffle(x, self.patch)), c)
        coarse = self.attention(self.coarse(self.down(fine), c))
        coarse = self.middle(coarse, c)
        h = interpolate(self.up(coarse), scale_factor=2.0, mode="nearest")
        h = self.finish(self.merge(torch.cat([fine, h], dim=1), c), c)
        correction = pixel_shuffle(self.head(silu(self.norm(h))), self.patch)
        output: Tensor = self.gate(c)[:, :, None, None] * x + correction
        return output.to(x.dtype)

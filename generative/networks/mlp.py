"""A residual multilayer perceptron for points in ℝᵈ (or small images, flattened).

    h ← h + W₂ silu((1 + a(c)) ⊙ norm(W₁ h) + b(c)),      c = c(t, label),

with W₂ = 0 at the start, so that depth costs nothing until it is used.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import silu

from ...solvers.common import whole
from .embedding import Embedding
from .network import LAYERS, WIDTH, OneTime, check_parameters, checked_frequency

__all__ = ["MLP"]


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Linear(width, 2 * width)
        self.second = nn.Linear(width, width)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, h: Tensor, c: Tensor) -> Tensor:
        scale, shift = self.modulation(c).chunk(2, dim=1)
        update: Tensor = self.second(silu(self.norm(self.first(h)) * (1 + scale) + shift))
        return h + update


class MLP(OneTime):
    """net(x, t, label=None) for x of shape (B, ...) with `dim` entries a sample; the output has x's shape.

    `classes` labels 0 … classes−1; `null_label` = classes stands for "no label".
    """

    def __init__(
        self, dim: int, width: int = 128, depth: int = 3, classes: int = 0, top_frequency: float = 16.0
    ) -> None:
        super().__init__()
        dim, width = whole("dim", dim, 1, WIDTH), whole("width", width, 1, WIDTH)
        depth, classes = whole("depth", depth, 0, LAYERS), whole("classes", classes, 0, WIDTH)
        top_frequency = checked_frequency(top_frequency)
        check_parameters(width * (2 * dim + classes + (4 * depth + 1) * width))
        self.shape, self.null_label = (dim,), classes
        self.arguments = {
            "dim": dim, "width": width, "depth": depth, "classes": classes, "top_frequency": top_frequency,
        }
        self.embedding = Embedding(width, classes, top_frequency)
        self.stem = nn.Linear(dim, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.head = nn.Linear(width, dim)

    def check_shape(self, x: Tensor) -> None:
        if x.ndim == 0 or x.shape[1:].numel() != self.shape[0]:  # points may have any shape
            super().check_shape(x)

    def body(self, x: Tensor, c: Tensor) -> Tensor:
        c = silu(c)
        h = self.stem(x.flatten(1))
        for block in self.blocks:
            h = block(h, c)
        output: Tensor = self.head(silu(h))
        return output.reshape(x.shape).to(x.dtype)

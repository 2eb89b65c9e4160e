"""What every network of this package is."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...solvers.common import check_memory, real
from .embedding import Embedding

__all__ = ["LAYERS", "WIDTH", "Network", "OneTime", "check_parameters", "checked_frequency"]

LAYERS, WIDTH = 1000, 2**20
"""The largest depth and the largest width that are taken: beyond them lies a mistake."""


class Network(nn.Module):
    """net(x, times…, label=None) -> y: x and y (B, *shape), times (B,) in x's dtype, label (B,) int64 or None.

    `label=None` and `label == null_label` both mean "no label", which is what classifier-free guidance needs.
    `type(net)(**net.arguments)` builds the same architecture again.
    """

    shape: tuple[int, ...]
    null_label: int
    arguments: dict[str, Any]

    def check_shape(self, x: Tensor) -> None:
        """Raises ValueError unless the network takes states of x's shape."""
        if x.ndim == 0 or x.shape[1:] != self.shape:
            needed = ", ".join(map(str, self.shape))
            raise ValueError(
                f"The samples have shape {tuple(x.shape[1:])}, but the network's have {self.shape}; give (B, {needed})."
            )


class OneTime(Network):
    """net(x, t, label=None), which is told time and label by one vector: body(x, c(t, label))."""

    embedding: Embedding

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        self.check_shape(x)
        return self.body(x, self.embedding(t, label))

    def body(self, x: Tensor, c: Tensor) -> Tensor:
        """The output for states x, (B, *shape), and what the network is told besides, (B, width)."""
        raise NotImplementedError


def checked_frequency(value: float) -> float:
    """`top_frequency`, which exceeds the lowest, 1."""
    return real("top_frequency", value, above=1.0, high=1e6)


def check_parameters(count: int) -> None:
    """Raises ValueError for more parameters, in float32, than memory holds; on the device "meta" they take none."""
    if torch.empty(0).device.type != "meta":
        check_memory("The number of parameters", count, count // 2)

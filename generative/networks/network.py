"""What every network of this package is."""

from __future__ import annotations

from typing import Any

from torch import nn

__all__ = ["LAYERS", "WIDTH", "Network"]

LAYERS, WIDTH = 1000, 2**20
"""The largest depth and the largest width that are taken: beyond them lies a mistake."""


class Network(nn.Module):
    """net(x, t, label=None) -> y: x and y (B, *shape), t (B,) in x's dtype, label (B,) int64 or None.

    `label=None` and `label == null_label` both mean "no label", which is what classifier-free guidance needs.
    `type(net)(**net.arguments)` builds the same architecture again.
    """

    shape: tuple[int, ...]
    null_label: int
    arguments: dict[str, Any]

"""Networks net(x, t, label=None) that a path, a loss and a `Denoiser` can use.

They are smooth in (x, t) and made of operations that have a forward-mode derivative, so that high orders of
convergence are visible and exact traces possible; they work in float32 and in float64 (`net.double()`).
"""

from __future__ import annotations

from .mlp import MLP as MLP
from .network import Network as Network
from .unet import UNet as UNet

__all__ = ["MLP", "Network", "UNet"]

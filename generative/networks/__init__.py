"""Networks net(x, t, label=None) that a path, a loss and a `Denoiser` can use, and net(x, s, t, label) of flow maps.

They are smooth in (x, t) and made of operations that have a forward-mode derivative, so that high orders of
convergence are visible and exact traces possible; they work in float32, in float64 (`net.double()`) and under
`torch.autocast`, where what they return has the dtype of x all the same.

A network may be added without asking anyone. The layers of those that ship are fixed by their weights.
"""

from __future__ import annotations

from .dit import DiT as DiT
from .mlp import MLP as MLP
from .network import Network as Network
from .two_times import TwoTimes as TwoTimes
from .unet import UNet as UNet

__all__ = ["DiT", "MLP", "Network", "TwoTimes", "UNet"]


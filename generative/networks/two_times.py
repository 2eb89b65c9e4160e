"""A network of a flow map: it is told from which time to which it leads, and perhaps under which guidance.

    net(x, s, t, label, weight) = body(x, c),      c = c(s, label) + e(t, t − s) + g(w),

where body and c(s, label) are those of a network of one time, e and g are perceptrons of sines and cosines, and w is
the weight of guidance. The last layers of e and g are zero at the start, so that a new network is the one inside it,
whatever t and w: with the weights of a trained network it gives that network's prediction at s.

Sources: Kim et al. (2310.02279), section 3 and Geng et al. (2505.13447), section 4.3, for both times; Meng et al.
(2210.03142), section 3.1, for the weight.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...solvers.common import check_samples, flag, real
from .dit import DiT
from .embedding import Waves
from .mlp import MLP
from .network import Network
from .unet import UNet

__all__ = ["TwoTimes"]

INNER = {"DiT": DiT, "MLP": MLP, "UNet": UNet}


class TwoTimes(Network):
    """net(x, s, t, label=None, weight=None) for x as the network inside takes them; the output has x's shape.

    Args:
        network: the network inside, {"class": "UNet", "size": 8, …}.
        guided: whether it is told a weight of guidance.

    Raises:
        ValueError: for another class of network, or for arguments that do not fit it.
    """

    def __init__(self, network: dict[str, Any], guided: bool = False) -> None:
        super().__init__()
        arguments = dict(network) if isinstance(network, dict) else {}
        name = arguments.pop("class", None)
        if not isinstance(name, str) or name not in INNER:
            raise ValueError(f'The network inside is {network!r}; give {{"class": ..., ...}} of {", ".join(INNER)}')
        self.net = INNER[name](**arguments)
        self.shape, self.null_label = self.net.shape, self.net.null_label
        self.guided = flag("guided", guided)
        self.arguments = {"network": {"class": name, **self.net.arguments}, "guided": self.guided}
        top, width = self.net.arguments["top_frequency"], self.net.embedding.width
        self.target = Waves(2, width, top, silent=True)
        if self.guided:
            self.guidance = Waves(1, width, top, silent=True)

    def forward(
        self,
        x: Tensor,
        s: Tensor,
        t: Tensor,
        label: Tensor | None = None,
        weight: float | Tensor | None = None,
    ) -> Tensor:
        """The prediction at s of a step to t.

        Args:
            x: states, (B, *shape).
            s: the times of the states, (B,), in x's dtype.
            t: the times to which the step leads, (B,), in x's dtype.
            label: int64 (B,), or None.
            weight: the weight w of guidance, a number, (1,) or (B,); None for 1, the conditional model.

        Returns:
            A tensor of the shape and dtype of x.

        Raises:
            ValueError: for a weight that the network is not told, for another number of weights, and for states of
                another shape.
        """
        self.check_shape(x)
        c = self.net.embedding(s, label) + self.target(t, t - s)
        if self.guided:
            c = c + self.guidance(_weights(weight, s))
        elif weight is not None:
            raise ValueError("The network takes no weight of guidance; make it with guided=True, and train it.")
        output: Tensor = self.net.body(x, c)
        return output

    def check_shape(self, x: Tensor) -> None:
        self.net.check_shape(x)


def _weights(weight: float | Tensor | None, s: Tensor) -> Tensor:
    """The weight of each sample, like s."""
    if not isinstance(weight, Tensor):
        return torch.full_like(s, 1.0 if weight is None else real("weight", weight))
    check_samples("weight", weight, axes=0)
    if weight.numel() != 1 and weight.shape != s.shape:
        raise ValueError(f"weight has shape {tuple(weight.shape)} for {len(s)} samples; give ({len(s)},) or one.")
    return weight.to(s).expand(s.shape)

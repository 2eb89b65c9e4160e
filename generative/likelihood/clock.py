"""The clock in which a flow is solved and its divergence integrated.

    s ∝ log((r + a) / (1 − r + b)),  from 0 to 1,      r = α/(α + σ) in [0, 1]

a and b are the widths of a layer at the noise end and of one at the data end. For large a and b the clock shows r, and
for a = b = 0 it shows log α/σ. In between it is even in the middle and logarithmic towards the layers. Its rate dr/ds
is finite at both ends. In r the divergence of a mixture is smooth. That of a trained network changes fast where σ is
small, and where α is small if the network predicts the noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...solvers.common import host
from ..paths import Real, exp, log
from .quadrature import clenshaw_curtis

__all__ = ["CLOCKS", "LAYERS", "Clock", "Nodes"]

CLOCKS = ((10.0, 10.0), (10.0, 0.3), (1.0, 0.1), (0.3, 0.03), (0.3, 0.3), (0.1, 0.1), (0.03, 0.03))
"""The widths (a, b) from which a plan chooses."""
LAYERS = 0.3, 0.06
"""The widths of a clock that resolves both layers."""


@dataclass(frozen=True)
class Nodes:
    """The nodes of a rule for ∫ … dr.

    Attributes:
        s: what the clock shows there.
        r: r there.
        rate: dr/ds there.
        weights: w_i dr/ds.
    """

    s: Tensor
    r: Tensor
    rate: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Clock:
    """s, from 0 at r = start to 1 at r = end.

    Args:
        start: r at s = 0.
        end: r at s = 1.
        noise: a, the width of the layer at r = 0.
        data: b, the width of the layer at r = 1.
    """

    start: float
    end: float
    noise: float = 10.0
    data: float = 10.0

    @property
    def length(self) -> float:
        """The change of log((r + a)/(1 − r + b)) from the start to the end."""
        return self._log(self.end) - self._log(self.start)

    def _log(self, r: Real) -> Real:
        return log(r + self.noise) - log(1.0 - r + self.data)

    def shows(self, r: Real) -> Real:
        """s at r."""
        return (self._log(r) - self._log(self.start)) / self.length

    def r(self, s: Real) -> Real:
        """r at s, exactly so at both ends."""
        e = exp(self._log(self.start) + s * self.length)
        r: Any = (e * (1.0 + self.data) - self.noise) / (1.0 + e)
        low, high = min(self.start, self.end), max(self.start, self.end)
        if isinstance(s, Tensor):
            return torch.where(s == 0.0, self.start, torch.where(s == 1.0, self.end, r.clamp(low, high)))
        return self.start if s == 0.0 else self.end if s == 1.0 else min(max(r, low), high)

    def rate(self, r: Real) -> Real:
        """dr/ds at r."""
        return self.length * (r + self.noise) * (1.0 - r + self.data) / (1.0 + self.noise + self.data)

    def reversed(self) -> Clock:
        """The clock that runs from the end to the start, with the same nodes."""
        return Clock(self.end, self.start, self.noise, self.data)

    def nodes(self, intervals: int) -> Nodes:
        """Clenshaw and Curtis' nodes in this clock."""
        s, weights = (host(each) for each in clenshaw_curtis(intervals))
        r = self.r(s)
        rate = self.rate(r)
        return Nodes(s, r, rate, weights * rate)

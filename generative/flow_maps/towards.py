"""A denoiser whose network knows its target: the time at which the jump ends.

Its prediction at time s towards time t is a pair (x₀-hat, ε-hat) with x = α_s x₀-hat + σ_s ε-hat, from which

    X(x, s, t) = α_t x₀-hat + σ_t ε-hat.

For t → s the pair becomes that of the denoiser, since ∂_t X at t = s is the velocity α' x₀-hat + σ' ε-hat.

Source: Salimans and Ho, Progressive Distillation (2202.00512), appendix G, for the pair that makes one DDIM step end at
a given state.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import copy
from typing import Self

import torch
from torch import Tensor

from ..denoiser import KINDS, Denoiser, network_times
from ..paths import Scalar

__all__ = ["Towards"]


class Towards(Denoiser):
    """A network `net(x, s, t)` or `net(x, s, t, label)` with its target t, as a denoiser at time s.

    Its arguments are those of `Denoiser`. The network sees s and t on the clock `time`, and t as the time of the path
    if it is preconditioned, because log(σ/α) is infinite at the data. There is a further kind of prediction, "state":
    the network returns X(x, s, t) itself.

    Attributes:
        target: t, a float or (B,); None for t = s.
    """

    kinds = (*KINDS, "state")
    times = ("s", "t")
    target: Scalar | None = None

    def to(self, t: Scalar | None) -> Self:
        """The same denoiser with another target."""
        made = copy(self)
        made.target = t
        return made

    def map_rows(self, change: Callable[[Tensor], Tensor]) -> Self:
        target = self.target
        made = super().map_rows(change)
        return made.to(change(target) if isinstance(target, Tensor) and target.ndim else target)

    def _sees(self, t: float) -> bool:
        if isinstance(self.target, Tensor) or self.target is None or not super()._sees(t):
            return super()._sees(t)
        try:
            return math.isfinite(self._clock(self.target))
        except ValueError:
            return False

    def _network_times(self, name: str, clock: Scalar, t: Scalar, x: Tensor, dtype: torch.dtype) -> tuple[Tensor, ...]:
        target = t if self.target is None else self.target
        on_clock = f"The target on the network's clock, {self.time!r},"
        second = network_times(on_clock, self._clock(target), target, x, dtype)
        return *super()._network_times(name, clock, t, x, dtype), second

    def _row(self, kind: str, t: Scalar) -> tuple[Scalar, Scalar]:
        if kind != "state":
            return super()._row(kind, t)
        target = t if self.target is None else self.target
        return self.path.alpha(target), self.path.sigma(target)

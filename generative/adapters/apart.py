"""A denoiser apart from its network, which a pipeline calls: what the network sees, and what its outputs mean."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..denoiser import Conditions, Denoiser
from ..paths import Table
from .diffusers import Network

__all__ = ["Told", "apart", "clock_of", "denoised", "input_of", "told", "times_of"]


@dataclass(frozen=True, eq=False)
class Told:
    """In place of a model of diffusers, or of a network of ours: it returns the output that it was given, or zeros."""

    output: Tensor | None = None

    def __call__(self, x: Tensor, timestep: Tensor, return_dict: bool = True) -> Any:
        output = torch.zeros_like(x) if self.output is None else self.output
        return output if return_dict else (output,)


class _Seen:
    """In the same place: it keeps its arguments, and returns zeros."""

    x: Tensor
    times: Tensor

    def __call__(self, x: Tensor, timestep: Tensor, return_dict: bool = True) -> Any:
        self.x, self.times = x, timestep
        return Told()(x, timestep, return_dict)


def apart(denoiser: Denoiser) -> Denoiser:
    """The denoiser without its network, its conditions and a learned variance."""
    changed = _around(denoiser, Told())
    changed.learned_variance, changed.conditions = False, Conditions()
    return changed


def told(denoiser: Denoiser, output: Tensor) -> Denoiser:
    """The denoiser whose network returns this output."""
    return _around(denoiser, Told(output))


def input_of(denoiser: Denoiser, t: float, x: Tensor) -> Tensor:
    """The state x as the network sees it at t."""
    seen = _Seen()
    _around(denoiser, seen).output(t, x)
    return seen.x


def clock_of(denoiser: Denoiser, t: float | Tensor) -> Tensor:
    """The time as the network sees it: (1,) float32 for a float t, otherwise of t's shape and dtype."""
    seen = _Seen()
    x = t.new_zeros(len(t), 1) if isinstance(t, Tensor) else torch.zeros(1, 1, device="cpu")
    _around(denoiser, seen).output(t, x)
    return seen.times


def times_of(denoiser: Denoiser, shown: Tensor) -> Tensor:
    """The times in [0, 1] at which the network's monotone clock has the values `shown`, float64, to the last digit."""
    if isinstance(denoiser.path, Table) and denoiser.time == "index":
        return denoiser.path.at(shown)
    low, high = torch.zeros_like(shown), torch.ones_like(shown)
    early, late = clock_of(denoiser, low.new_tensor([0.25, 0.75])).unbind()
    sign = torch.sign(late - early)
    for _ in range(60):
        middle = 0.5 * (low + high)
        before = sign * (clock_of(denoiser, middle) - shown) < 0.0
        low, high = torch.where(before, middle, low), torch.where(before, high, middle)
    return high


def denoised(denoiser: Denoiser, t: float, x: Tensor) -> Tensor | None:
    """x₀-hat; None where the output does not determine it (ε-hat at α = 0)."""
    try:
        return denoiser.predict("x0", t, x)
    except ValueError:
        return None


def _around(denoiser: Denoiser, model: Callable[..., Any]) -> Denoiser:
    """The denoiser with another model in its network."""
    changed, net = copy(denoiser), denoiser.net
    changed.net = replace(net, model=model) if isinstance(net, Network) else model
    return changed

"""Networks of a bridge as the fields of its equations: labels, guidance, and one network with two outputs.

    (1 − w) u(x, t, ∅) + w u(x, t, y)

is the guided field, of any path, since it takes nothing but two values of the network. The drift of the stochastic
equation is u + ½ σ_t² s, with s itself or with s = −η/γ of a network that predicts η = E[z | x_t].

Sources: Albergo et al. (2303.08797), corollary 2.10; Ho and Salimans (2207.12598), eq. 6.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor

from ...solvers import Field, Time
from ..denoiser import check_output, own_dtype, per_sample
from .noise_level import NoiseLevel

__all__ = ["BridgeDrift", "BridgeNoise", "Conditioned", "Net", "Velocity"]

Net = Callable[..., Any]
NONE = 1e-30
"""A smaller σ² is 0: that of sin(π t) at t = 1 in floating point."""


@dataclass(frozen=True)
class Conditioned:
    """A network with its labels and its guidance.

    Args:
        net: net(x, t), or net(x, t, label).
        label: an int, int64 (B,), or None.
        guidance: w, or None for net(x, t, label) itself.
        null: the label that stands for none; with guidance.
    """

    net: Net
    label: int | Tensor | None = None
    guidance: float | None = None
    null: int | None = None

    @property
    def cost(self) -> int:
        """Evaluations of the network that a call takes."""
        return 1 if self.guidance is None else 2

    def of_rows(self, index: Tensor) -> Self:
        label = self.label
        return replace(self, label=label[index.to(label.device)]) if isinstance(label, Tensor) else self

    def __call__(self, t: Time, x: Tensor) -> tuple[Any, ...]:
        """What the network returns, as one output or two. The network sees its own dtype, and t of shape (B,)."""
        seen = x.to(own_dtype(self.net) or x.dtype)
        time = t.to(seen) if isinstance(t, Tensor) else seen.new_full((len(x),), t)
        if self.label is None:
            return _outputs(self.net(seen, time), x)
        label = torch.as_tensor(self.label, device=x.device).expand(len(x))
        if self.guidance is None or self.null is None:
            return _outputs(self.net(seen, time, label), x)
        labels = torch.cat([torch.full_like(label, self.null), label])
        twice = self.net(torch.cat([seen, seen]), torch.cat([time, time]), labels)
        pairs = [output.chunk(2) for output in _outputs(twice, torch.cat([x, x]), check=True)]
        return tuple(without + self.guidance * (told - without) for without, told in pairs)


def _outputs(value: Any, x: Tensor, check: bool = False) -> tuple[Any, ...]:
    """The outputs in x's dtype."""
    values = value if isinstance(value, tuple) else (value,)
    for each in values if check else ():
        check_output(each, x)
    return tuple(each.to(x.dtype) if isinstance(each, Tensor) else each for each in values)


@dataclass(frozen=True)
class Velocity(Field):
    """u(x, t), the first output of a network."""

    net: Conditioned

    def __call__(self, t: Time, x: Tensor) -> Tensor:
        value: Tensor = self.net(t, x)[0]
        return value

    def evaluations(self, t: Time) -> int:
        return self.net.cost

    def of_rows(self, index: Tensor) -> Self:
        return replace(self, net=self.net.of_rows(index))


@dataclass(frozen=True)
class BridgeDrift(Field):
    """u + ½ σ_t² s.

    Args:
        velocity: the network of u; with `score` None, that of u and s.
        score: the network of s, or None.
        sigma: σ_t.
        gamma: γ, where what stands for the score is η; None where it is s.
    """

    velocity: Conditioned
    score: Conditioned | None
    sigma: NoiseLevel
    gamma: NoiseLevel | None

    def _weight(self, t: float) -> float:
        """The factor of s, or of η. Raises ValueError where it is infinite."""
        square = float(self.sigma(t)) ** 2
        if self.gamma is None or square < NONE:
            return 0.5 * square if square >= NONE else 0.0
        gamma = float(self.gamma(t))
        if gamma < 1e-15:
            raise ValueError(
                f"The score −η/γ does not exist at t = {t:g}, where γ = 0; take a sigma that vanishes there, such as "
                "noise_level.sine(1.0), or other times."
            )
        return -0.5 * square / gamma

    def __call__(self, t: Time, x: Tensor) -> Tensor:
        outputs = self.velocity(t, x)
        if isinstance(t, Tensor):
            weights = torch.tensor([self._weight(each) for each in t.tolist()], dtype=t.dtype, device=t.device)
            weight: float | Tensor = per_sample(weights, x)
        elif (weight := self._weight(t)) == 0.0:
            return _first(outputs, x)
        if self.score is None and len(outputs) != 2:
            raise TypeError(f"The network returned {len(outputs)} outputs for velocity and score; give a score, too.")
        score = outputs[1:] if self.score is None else self.score(t, x)
        return _first(outputs, x) + weight * _first(score, x)

    def evaluations(self, t: Time) -> int:
        unasked = self.score is None or (not isinstance(t, Tensor) and float(self.sigma(t)) ** 2 < NONE)
        return self.velocity.cost + (0 if self.score is None or unasked else self.score.cost)

    def of_rows(self, index: Tensor) -> Self:
        score = None if self.score is None else self.score.of_rows(index)
        return replace(self, velocity=self.velocity.of_rows(index), score=score)


def _first(outputs: tuple[Any, ...], x: Tensor) -> Tensor:
    check_output(outputs[0], x)
    value: Tensor = outputs[0]
    return value


@dataclass(frozen=True)
class BridgeNoise:
    """σ_t as the diffusion of an equation."""

    sigma: NoiseLevel

    def __call__(self, t: float, x: Tensor) -> float:
        return float(self.sigma(t))

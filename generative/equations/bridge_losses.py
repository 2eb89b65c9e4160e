"""The regressions of a bridge: its velocity, and the mean η = E[z | x_t] of its latent noise.

    velocity    E ‖net(x_t, t) − ∂_t I − γ' z‖² − E γ'² ‖z‖²        minimiser u
    η           E ‖net(x_t, t) − z‖²                                minimiser −γ ∇ log p_t

Each pair is seen at I + γ z and at I − γ z. Then γ' z meets nothing but the difference of the net's two values, which
is of order γ, so that the variance stays finite where γ' does not (the antithetic sampling of 2303.08797). The constant
E γ'² ‖z‖² is left out, since it is infinite for γ = √(t (1 − t)). So with latent noise the loss may be negative.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from ..denoiser import check_output, per_sample
from ..paths import derivative

__all__ = ["NEAREST", "Drawn", "drawn"]

NEAREST = 1e-5
"""How near to an end of the path a time of training lies, where γ' may be infinite."""


@dataclass(frozen=True)
class Drawn:
    """What a network said of the states of one batch.

    Args:
        outputs: its outputs, each (S, B, ...): for S = 2 signs of the latent noise, or 1 without.
        slope: ∂_t I, (B, ...).
        z: the latent noise, (B, ...), or None.
        rate: γ', which multiplies z, or None.
    """

    outputs: tuple[Tensor, ...]
    slope: Tensor
    z: Tensor | None
    rate: Tensor | None

    def velocity_error(self, which: int = 0) -> Tensor:
        """The loss of the velocity, a scalar."""
        output = self.outputs[which]
        error = (output - self.slope).square().mean()
        if self.z is None or self.rate is None:
            return error
        return error - (self.rate * self.z * (output[0] - output[1])).mean()

    def eta_error(self, which: int = 0) -> Tensor:
        """The loss of η, a scalar."""
        output, z = self.outputs[which], self.z
        return (output - torch.stack([z, -z])).square().mean() if z is not None else output.new_zeros(())


def drawn(
    net: Callable[..., Any],
    outputs: int,
    mean: Tensor,
    slope: Tensor,
    t: Tensor,
    gamma: Callable[[Tensor], Tensor] | None,
    label: Tensor | None,
    generator: Generator | None,
) -> Drawn:
    """The outputs of a network at the states of a batch, in one call.

    Args:
        net: net(x, t), or net(x, t, label).
        outputs: how many outputs it has to return.
        mean: I at the times, (B, ...).
        slope: ∂_t I.
        t: the times, (B,).
        gamma: γ, or None.
        label: int64 (B,), or None.
        generator: draws z.
    """
    x, signs, z, rate = mean, 1, None, None
    if gamma is not None:
        signs, z = 2, torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
        part = per_sample(gamma(t), mean) * z
        x, rate = torch.cat([mean + part, mean - part]), per_sample(derivative(gamma, t), mean)
    labels = () if label is None else (label.repeat(signs),)
    value = net(x, t.repeat(signs), *labels)
    values = value if isinstance(value, tuple) else (value,)
    if len(values) != outputs:
        raise ValueError(f"The network returned {len(values)} output(s), but {outputs} are needed; return as many.")
    for each in values:
        check_output(each, x)
    return Drawn(tuple(each.reshape(signs, *mean.shape) for each in values), slope, z, rate)

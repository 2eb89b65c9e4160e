"""The frame of EDM: input, output and skip connection of a network are scaled so that each has standard deviation one.

In the coordinates x̃ = x/α and σ̃ = σ/α, where the path only adds noise,

    x₀-hat = c_skip x̃ + c_out F(c_in x̃, c_noise),

    c_skip = s²/(σ̃² + s²),    c_out = σ̃ s/√(σ̃² + s²),    c_in = 1/√(σ̃² + s²),    c_noise = log(σ̃)/4,

with s the standard deviation of the data. With n = √(σ² + α² s²), the standard deviation of x,

    x₀-hat = (α s²/n²) x + (σ s/n) F(x/n, c_noise),

where no divisor vanishes: at σ = 0 it is x/α, at α = 0 it is s F(x/σ, ∞), and c_noise alone is infinite.

Source: Karras et al., Elucidating the Design Space (2206.00364), eq. 7 and table 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Generic, NamedTuple

import torch
from torch import Tensor

from ..paths import Real, log, ratio, sqrt

__all__ = ["EDM", "Scales"]


class Scales(NamedTuple, Generic[Real]):
    """The coefficients of x₀-hat = skip x + output F(input x, clock): floats, or tensors (B,)."""

    skip: Real
    output: Real
    input: Real
    clock: Real


@dataclass(frozen=True)
class EDM:
    """The preconditioning of EDM, for any path: the frame in which a network is trained and called.

    `training.weightings.EDM` is the weight of the training loss that belongs to it.

    Args:
        sigma_data: s, the standard deviation of the data, in units of the data.

    Raises:
        ValueError: unless sigma_data is positive and finite.

    Example:
        >>> EDM(sigma_data=0.5).scales(alpha=1.0, sigma=0.5).skip
        0.5
    """

    sigma_data: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 < self.sigma_data < math.inf:
            raise ValueError(f"EDM needs a finite sigma_data > 0, but got {self.sigma_data}; give that of the data.")

    def scales(self, alpha: Real, sigma: Real) -> Scales[Real]:
        """The coefficients for a state x = α x₀ + σ ε.

        Where σ = 0 the network has the weight 0, so that its clock does not matter: it sees 0 and not −∞.

        Args:
            alpha: α, a float or (B,).
            sigma: σ, a float or (B,).
        """
        variance = sigma**2 + (alpha * self.sigma_data) ** 2
        norm = sqrt(variance)
        skip = alpha * self.sigma_data**2 / variance
        return Scales(skip, sigma * self.sigma_data / norm, 1.0 / norm, _clock(alpha, sigma))


def _clock(alpha: Real, sigma: Real) -> Real:
    rho = ratio(sigma, alpha)
    if isinstance(rho, Tensor):
        return torch.where(rho == 0.0, 1.0, rho).log() / 4.0
    return 0.0 if rho == 0.0 else log(rho) / 4.0

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

from dataclasses import dataclass
from typing import Any, Generic, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...solvers.common import real, reals
from ..paths import Real, log, ratio, sqrt

__all__ = ["EDM", "Scales"]


class Scales(NamedTuple, Generic[Real]):
    """The coefficients of x₀-hat = skip x + output F(input x, clock): floats, or tensors (B,).

    For a deviation of each channel all but the clock have a further axis, (B, C) or (1, C).
    """

    skip: Real
    output: Real
    input: Real
    clock: Real


@dataclass(frozen=True)
class EDM:
    """The preconditioning of EDM, for any path: the frame in which a network is trained and called.

    `training.weightings.EDM` is the weight of the training loss that belongs to it.

    Args:
        sigma_data: s, the standard deviation of the data, in units of the data: a number, or one for each channel
            (axis 1 of a state), which are kept as a tuple.

    Raises:
        TypeError: for what is no number and no sequence of numbers.
        ValueError: unless sigma_data is positive and finite.

    Example:
        >>> EDM(sigma_data=0.5).scales(alpha=1.0, sigma=0.5).skip
        0.5
    """

    sigma_data: float | tuple[float, ...] = 0.5

    def __post_init__(self) -> None:
        given: Any = self.sigma_data
        many = given.ndim > 0 if isinstance(given, Tensor | np.ndarray) else isinstance(given, list | tuple)
        values = reals("sigma_data", given) if many else (real("sigma_data", given),)
        if not values or not all(1e-15 <= value <= 1e15 for value in values):
            raise ValueError(f"EDM needs a finite sigma_data > 0, but got {self.sigma_data}; give that of the data.")
        object.__setattr__(self, "sigma_data", values if many else values[0])

    def scales(self, alpha: Real, sigma: Real) -> Scales[Real]:
        """The coefficients for a state x = α x₀ + σ ε.

        Where σ = 0 the network has the weight 0, so that its clock does not matter: it sees 0 and not −∞.

        Args:
            alpha: α, a float or (B,).
            sigma: σ, a float or (B,).
        """
        clock = _clock(alpha, sigma)
        alpha, sigma, spread = self.with_channels(alpha, sigma)
        variance = sigma**2 + (alpha * spread) ** 2
        norm = sqrt(variance)
        return Scales(alpha * spread**2 / variance, sigma * spread / norm, 1.0 / norm, clock)

    def with_channels(self, alpha: Any, sigma: Any) -> tuple[Any, Any, Any]:
        """α, σ and s, which broadcast: α and σ unchanged, or with a further axis for the channels of s."""
        if not isinstance(self.sigma_data, tuple):
            return alpha, sigma, self.sigma_data
        spread = torch.tensor(self.sigma_data, dtype=torch.float64, device="cpu")
        if not isinstance(alpha, Tensor):
            return alpha, sigma, spread[None]
        return alpha[..., None], sigma[..., None], spread.to(alpha)


def _clock(alpha: Real, sigma: Real) -> Real:
    rho = ratio(sigma, alpha)
    if isinstance(rho, Tensor):
        return torch.where(rho == 0.0, 1.0, rho).log() / 4.0
    return 0.0 if rho == 0.0 else log(rho) / 4.0

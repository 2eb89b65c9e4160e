"""Denoisers of the k-diffusion library.

There a network stands inside a wrapper that makes it a denoiser of a path that only adds noise,

    D(x₀ + σ ε, σ) = x₀-hat,

whatever it predicts itself (Karras' preconditioner, ε or v on a table). That is a denoiser on `VE` whose clock is σ.

Source: Karras et al., Elucidating the Design Space (2206.00364), section 2.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ..denoiser import Condition, Denoiser
from ..paths import VE

__all__ = ["from_k_diffusion"]


def from_k_diffusion(
    denoiser: Callable[..., Tensor], *, condition: Condition | None = None, sigma_max: float | None = None
) -> Denoiser:
    """A denoiser D(x, sigma, **condition) of k-diffusion, x of shape (B, ...) and sigma of shape (B,).

    condition: what its samplers take as extra_args. sigma_max: the noise at t = 0; by default the last σ of the
    denoiser's own table, or 80. Raises TypeError for what cannot be called.
    """
    if not callable(denoiser):
        raise TypeError(f"denoiser is a {type(denoiser).__name__}; give a wrapper D(x, sigma) of k-diffusion.")
    largest = getattr(denoiser, "sigma_max", 80.0) if sigma_max is None else sigma_max
    return Denoiser(denoiser, VE(float(largest)), predicts="x0", time="sigma", condition=condition)

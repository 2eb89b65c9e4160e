"""Denoisers of the k-diffusion library.

A wrapper of k-diffusion makes any network (Karras' preconditioner, ε or v on a table) a denoiser of a path that only
adds noise,

    D(x₀ + σ ε, σ) = x₀-hat.

This is a denoiser on `VE` whose clock is σ.

Source: Karras et al., Elucidating the Design Space (2206.00364), section 2.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ...solvers.common import real
from ..denoiser import Condition, Denoiser
from ..paths import VE
from .wrapped import unwrapped

__all__ = ["from_k_diffusion"]


def from_k_diffusion(
    denoiser: Callable[..., Tensor], *, condition: Condition | None = None, sigma_max: float | None = None
) -> Denoiser:
    """A denoiser of k-diffusion as a `Denoiser`.

    Args:
        denoiser: D(x, sigma, **condition), for x (B, ...) and sigma (B,).
        condition: the extra_args of its samplers.
        sigma_max: σ at t = 0; None for the last σ of the denoiser's own table, or 80 if it has none.

    Raises:
        TypeError: the denoiser cannot be called, or sigma_max is no number.
        ValueError: sigma_max is not positive and finite.
    """
    if not callable(denoiser):
        raise TypeError(f"denoiser is a {type(denoiser).__name__}; give a wrapper D(x, sigma) of k-diffusion.")
    largest = getattr(unwrapped(denoiser), "sigma_max", 80.0) if sigma_max is None else sigma_max
    path = VE(real("sigma_max", largest, above=0.0))
    return Denoiser(denoiser, path, predicts="x0", time="sigma", condition=condition)

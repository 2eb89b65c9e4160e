"""The equations of a denoiser: probability flow, reverse SDE, any noise level, interpolants; and grids of times.

The marginals of an equation are its contract. How its coefficients are computed may be changed freely.
"""

from __future__ import annotations

from . import grids as grids, noise_level as noise_level
from .coupling import minibatch_ot as minibatch_ot
from .holds import HOLDS as HOLDS, Hold as Hold, hold_of as hold_of
from .interpolant import Interpolant as Interpolant
from .latent_noise import (
    BrownianLatent as BrownianLatent,
    EncoderDecoder as EncoderDecoder,
    SineSquaredLatent as SineSquaredLatent,
)
from .noise_level import (
    constant as constant,
    diffusion_sde as diffusion_sde,
    reversal as reversal,
    safe_interval as safe_interval,
)
from .process import LARGEST_ETA as LARGEST_ETA, Held as Held, Slope as Slope, flow as flow, reverse_sde as reverse_sde

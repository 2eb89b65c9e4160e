"""The table of β that the configuration of a scheduler of diffusers describes, computed in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import accumulate, pairwise
from typing import Any

from ..paths import Table, linear_betas, scaled_linear_betas, squared_cosine_betas, zero_terminal_snr
from .configuration import choice_of

__all__ = ["betas_of"]


def betas_of(settings: dict[str, Any]) -> tuple[float, ...]:
    """The table of a configuration. Raises ValueError for a schedule that is not known, or none of betas in (0, 1)."""
    steps, start, end = settings["num_train_timesteps"], settings.get("beta_start", 0.0), settings.get("beta_end", 0.0)
    given = settings.get("trained_betas")
    schedules: dict[str, Callable[[], tuple[float, ...]]] = {
        "linear": lambda: linear_betas(steps, start, end),
        "scaled_linear": lambda: scaled_linear_betas(steps, start, end),
        "squaredcos_cap_v2": lambda: squared_cosine_betas(steps),
        "sigmoid": lambda: _sigmoid(steps, start, end),
        "exp": lambda: (-math.expm1(-12.0 / steps),) * steps,
    }
    betas = Table(given if given is not None else choice_of(settings, "beta_schedule", schedules)()).betas
    if (shift := settings.get("snr_shift_scale", 1.0)) != 1.0:
        betas = _shifted(betas, shift)
    return zero_terminal_snr(betas) if settings.get("rescale_betas_zero_snr") else betas


def _sigmoid(steps: int, start: float, end: float) -> tuple[float, ...]:
    return tuple(start + (end - start) / (1.0 + math.exp(6.0 - 12.0 * i / (steps - 1))) for i in range(steps))


def _shifted(betas: tuple[float, ...], shift: float) -> tuple[float, ...]:
    """The table of α²/σ² divided by `shift`."""
    levels = accumulate((1.0 - beta for beta in betas), lambda level, factor: level * factor)
    shifted = [1.0, *(level / (shift + (1.0 - shift) * level) for level in levels)]
    return tuple(1.0 - after / before for before, after in pairwise(shifted))

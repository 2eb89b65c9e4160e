"""Amounts γ(t) of latent noise between two samples, and a curve that needs one: for `Interpolant`.

γ vanishes at t = 0 and t = 1, where the state is a sample itself, and is positive between. Any such function of a float
or a tensor t serves; `noise_level.sine` does, too.

Source: Albergo et al., Stochastic Interpolants (2303.08797), eq. 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from ...solvers.common import check_callable, check_fields, real
from ..paths import Scalar, sin, sqrt
from .noise_level import NoiseLevel, level_at

__all__ = ["INSIDE", "BrownianLatent", "EncoderDecoder", "SineSquaredLatent", "check_latent"]

INSIDE = tuple(k / 64 for k in range(1, 64))
"""The times at which functions of time are checked."""


@dataclass(frozen=True)
class BrownianLatent:
    """γ = level √(t (1 − t)), the deviation of a Brownian bridge.

    γ' is infinite at both ends, where γ γ' is level²/2 and −level²/2.

    Args:
        level: the deviation at t = 1/2, times 2.

    Raises:
        ValueError: the level is not positive.

    Example:
        >>> BrownianLatent(2.0)(0.5)
        1.0
    """

    level: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self, real, "level", above=0.0)

    def __call__(self, t: Scalar) -> Scalar:
        return self.level * sqrt(t * (1.0 - t))


@dataclass(frozen=True)
class SineSquaredLatent:
    """γ = level sin²(π t), whose derivative vanishes at both ends.

    Args:
        level: the deviation at t = 1/2.

    Raises:
        ValueError: the level is not positive.
    """

    level: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self, real, "level", above=0.0)

    def __call__(self, t: Scalar) -> Scalar:
        return self.level * sin(math.pi * t) ** 2


@dataclass(frozen=True)
class EncoderDecoder:
    """I(t, x₀, x₁) = cos²(π t) x₀ before t = 1/2 and cos²(π t) x₁ after: the source fades out, and then the data in.

    At t = 1/2 the state is the latent noise alone, so that an `Interpolant` with this curve needs a γ.
    """

    def __call__(self, t: Tensor, source: Tensor, data: Tensor) -> Tensor:
        """I at times of shape (B, 1, ...)."""
        return (math.pi * t).cos().square() * data.where(t >= 0.5, source)


def check_latent(gamma: NoiseLevel) -> None:
    """Raises unless γ is a function that is 0 at both ends and positive and finite between."""
    check_callable("gamma", gamma, "a function γ(t), such as BrownianLatent(1.0)")
    for t in (0.0, *INSIDE, 1.0):
        level = level_at(gamma, t)
        if not (abs(level) < 1e-12 if t in (0.0, 1.0) else 0.0 < level < math.inf):
            raise ValueError(
                f"gamma is {level:g} at t = {t:g}, but must be 0 at both ends, and positive and finite between; take "
                "BrownianLatent(1.0) or noise_level.sine(1.0)."
            )

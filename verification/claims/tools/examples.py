"""Worked examples that several chapters share."""

from __future__ import annotations

from torch import Tensor

from ....generative import (
    GaussianPath,
    Table,
    ancestral,
)
from .instruments import output_law
from .measuring import gaussian

__all__ = ["EXAMPLE", "EXAMPLE_TIMES", "MEAN", "DEVIATION", "chain_law"]

EXAMPLE = Table((1.0 - 0.5 / 0.93, 0.07, 0.1))
"""Three levels with ᾱ = 0.5376…, 0.5, 0.45."""
EXAMPLE_TIMES = EXAMPLE.at(2), EXAMPLE.at(1)
"""Of its last step, with β = 0.1."""
MEAN, DEVIATION = 0.7, 0.5
"""Of the data of worked chains."""


def chain_law(path: GaussianPath, times: Tensor | None, variance: str) -> tuple[float, float]:
    """Mean and deviation of what `ancestral` makes of N(0, 1), with the exact network of N(0.7, 0.25)."""
    denoiser = gaussian(MEAN, DEVIATION).denoiser(path)
    return output_law(lambda x, noise: ancestral(denoiser, x, noise, times, variance=variance).x)

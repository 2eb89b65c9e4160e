"""Tests of draws, with the smallest fault that they find."""

from __future__ import annotations

import math

import torch
from scipy.stats import kstwo, norm
from torch import Tensor

from ..claim import Statistical

__all__ = ["ks_test", "mean_test"]


def mean_test(values: Tensor, expected: float, what: str) -> Statistical:
    """Whether independent values have this mean: the normal test with the standard error that they show.

    A shift of 6.2 standard errors is found with probability 0.99 even if 100 tests share the level of 1 %.
    """
    mean, error = float(values.mean()), float(values.std()) / math.sqrt(len(values))
    p = 2.0 * float(norm.sf(abs(mean - expected) / error))
    return Statistical(p, len(values), f"a mean that is off by {6.2 * error:.2g}", mean, expected, what)


def ks_test(probabilities: Tensor, what: str) -> Statistical:
    """Whether the values of a distribution function at independent draws are uniform (Kolmogorov and Smirnov).

    The statistic is √n D, with the mean √(π/2) log 2 = 0.869 under the claim. A distance of 3.4/√n between the
    distribution functions is found with probability 0.99 even if 100 tests share the level of 1 %.
    """
    n = len(probabilities)
    ordered = probabilities.sort().values
    steps = torch.arange(n + 1, dtype=torch.float64, device="cpu") / n
    distance = float(torch.maximum(steps[1:] - ordered, ordered - steps[:-1]).max())
    fault = f"distribution functions that are {3.4 / math.sqrt(n):.2g} apart"
    scale = math.sqrt(n)
    return Statistical(
        float(kstwo.sf(distance, n)), n, fault, scale * distance, math.sqrt(0.5 * math.pi) * math.log(2.0), what
    )

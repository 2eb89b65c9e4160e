"""Confidence intervals of measured errors: the bootstrap over initial noises.

With e_i the error of the i-th initial noise, the error of a sampler is E = √(mean e_i²). A resample draws n noises
with replacement. If noise i is drawn n w_i times, its error is E* = √(Σ w_i e_i²): all resamples of all samplers are
one matrix product. All samplers have the same resamples, so that the ratio of two errors is a paired comparison,
whose interval is much narrower than two separate intervals.

Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13 (the percentile interval).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["interval", "ratio_interval", "resampled"]

LEVEL = 0.95
RESAMPLES = 1000


@lru_cache
def _weights(samples: int, seed: int) -> NDArray[np.float64]:
    """(resamples, samples), each line summing to one."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(samples, np.full(samples, 1.0 / samples), size=RESAMPLES) / samples


def resampled(errors: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    """The error in each resample: errors of shape (..., samples) -> (..., 1000)."""
    squares: NDArray[np.float64] = errors**2 @ _weights(errors.shape[-1], seed).T
    return np.sqrt(squares)


def _percentiles(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(values, [0.5 * (1.0 - LEVEL), 0.5 * (1.0 + LEVEL)])
    return float(low), float(high)


def interval(errors: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % interval of the root mean square of errors of shape (samples,)."""
    return _percentiles(resampled(errors))


def ratio_interval(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % interval of the ratio of two errors on the same noises, both of shape (samples,)."""
    return _percentiles(resampled(numerator) / resampled(denominator))

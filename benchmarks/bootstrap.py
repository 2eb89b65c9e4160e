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

from ..solvers.common import check_instance, check_memory, whole

__all__ = ["interval", "ratio_interval", "resampled"]

LEVEL = 0.95
RESAMPLES = 1000


@lru_cache
def _weights(samples: int, seed: int) -> NDArray[np.float64]:
    """(resamples, samples), each line summing to one."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(samples, np.full(samples, 1.0 / samples), size=RESAMPLES) / samples


def resampled(errors: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    """The error in each resample: errors of shape (..., samples) -> (..., 1000).

    Raises TypeError for what is no array of floats, and ValueError for no samples, for errors that are negative or not
    finite, and for more samples than memory holds.
    """
    check_instance("errors", errors, np.ndarray, "an array of floats, (samples,)")
    if errors.dtype.kind != "f" or errors.ndim == 0 or errors.size == 0:
        raise ValueError(f"errors are {errors.dtype} of shape {errors.shape}; give floats of at least one sample.")
    if not (np.isfinite(errors).all() and (errors >= 0.0).all()):
        raise ValueError(f"errors go from {errors.min():g} to {errors.max():g}, but must be finite and at least 0.")
    seed = whole("seed", seed, 0)
    check_memory("The number of samples", errors.shape[-1], 2 * RESAMPLES * errors.shape[-1])
    squares: NDArray[np.float64] = errors**2 @ _weights(errors.shape[-1], seed).T
    return np.sqrt(squares)


def _percentiles(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(values, [0.5 * (1.0 - LEVEL), 0.5 * (1.0 + LEVEL)])
    return float(low), float(high)


def interval(errors: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % interval of the root mean square of errors of shape (samples,)."""
    return _percentiles(resampled(errors))


def ratio_interval(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % interval of the ratio of two errors on the same noises, both of shape (samples,).

    Raises ValueError for errors of different shapes, and for a denominator that vanishes.
    """
    above, below = resampled(numerator), resampled(denominator)
    if numerator.shape != denominator.shape or numerator.ndim != 1:
        raise ValueError(f"The errors have shapes {numerator.shape} and {denominator.shape}; give (samples,) twice.")
    if not denominator.any():
        raise ValueError("The errors of the denominator are all 0, so that no ratio to them is finite.")
    return _percentiles(above / below)

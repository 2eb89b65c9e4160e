"""Errors over initial noises in three numbers, with confidence intervals: the bootstrap.

With e_i the error of the i-th of n initial noises, the error of a sampler is

    rms        √(mean e_i²)
    median     the middle one: what half of the noises stay below
    trimmed    the rms of the best 99 %, √(Σ w_i e_i² / Σ w_i): w_i = 1, but 0 for the largest 0.01 n of the errors,
               and a fraction for the one at the border

A few noises near a separatrix can carry nearly all of Σ e_i², and then the rms ranks samplers by luck, and its interval
is too short: the median and the trimmed rms tell. A resample draws n noises with replacement, noise i c_i times. A
statistic of a resample is that of the sorted errors with the counts c_i, so that all resamples are a few operations on
one matrix. All samplers have the same resamples, so that the ratio of two errors is a paired comparison, whose interval
is much narrower than two separate intervals.

Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13 (the percentile interval).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..solvers.common import check_instance, check_memory, choice, whole

__all__ = ["STATISTICS", "Statistic", "estimate", "interval", "ratio_interval", "resampled", "tail_share"]

Statistic = Literal["rms", "median", "trimmed"]
STATISTICS: tuple[Statistic, ...] = ("rms", "median", "trimmed")

LEVEL = 0.95
RESAMPLES = 1000
TAIL = 0.01
"""The share of the noises that the trimmed rms leaves out."""


def estimate(errors: NDArray[np.float64], statistic: Statistic = "rms") -> float:
    """A statistic of errors of shape (samples,)."""
    choice("statistic", statistic, STATISTICS)
    _check(errors, ndim=1)
    return float(_of_counts(errors, np.ones((errors.size, 1)), statistic)[0])


def resampled(errors: NDArray[np.float64], statistic: Statistic = "rms", seed: int = 0) -> NDArray[np.float64]:
    """The statistic in each resample: errors of shape (..., samples) -> (..., 1000).

    Args:
        errors: of each initial noise.
        statistic: "rms", "median" or "trimmed".
        seed: of the resamples.

    Raises:
        TypeError: what is no array of floats.
        ValueError: no samples, errors that are negative or not finite, more samples than memory holds.
    """
    choice("statistic", statistic, STATISTICS)
    _check(errors)
    seed = whole("seed", seed, 0)
    check_memory("The number of samples", errors.shape[-1], 4 * RESAMPLES * errors.shape[-1])
    counts = _counts(errors.shape[-1], seed)
    lines = [_of_counts(line, counts, statistic) for line in errors.reshape(-1, errors.shape[-1])]
    return np.reshape(lines, (*errors.shape[:-1], RESAMPLES))


def interval(errors: NDArray[np.float64], statistic: Statistic = "rms") -> tuple[float, float]:
    """The 95 % interval of a statistic of errors of shape (samples,)."""
    return _percentiles(resampled(errors, statistic))


def ratio_interval(
    numerator: NDArray[np.float64], denominator: NDArray[np.float64], statistic: Statistic = "rms"
) -> tuple[float, float]:
    """The 95 % interval of the ratio of a statistic of two errors on the same noises, both of shape (samples,).

    Raises ValueError for errors of different shapes, and for a denominator that vanishes.
    """
    above, below = resampled(numerator, statistic), resampled(denominator, statistic)
    if numerator.shape != denominator.shape or numerator.ndim != 1:
        raise ValueError(f"The errors have shapes {numerator.shape} and {denominator.shape}; give (samples,) twice.")
    if not below.any():
        raise ValueError(f"The {statistic} of the denominator is 0, so that no ratio to it is finite.")
    never = np.where(above > 0.0, np.inf, 1.0)  # of resamples that leave nothing of the denominator
    return _percentiles(np.divide(above, below, out=never, where=below > 0.0))


def tail_share(errors: NDArray[np.float64]) -> float:
    """The share of Σ e² that the worst 1 % of the errors carry: 0.01 if all are equal, 1 at most; 0 without errors."""
    best, whole_error = estimate(errors, "trimmed"), estimate(errors, "rms")
    return 1.0 - (1.0 - TAIL) * (best / whole_error) ** 2 if whole_error > 0.0 else 0.0


def _check(errors: NDArray[np.float64], ndim: int | None = None) -> None:
    check_instance("errors", errors, np.ndarray, "an array of floats, (samples,)")
    if errors.dtype.kind != "f" or errors.ndim == 0 or errors.size == 0 or errors.ndim != (ndim or errors.ndim):
        raise ValueError(f"errors are {errors.dtype} of shape {errors.shape}; give floats of at least one sample.")
    if not (np.isfinite(errors).all() and (errors >= 0.0).all()):
        raise ValueError(f"errors go from {errors.min():g} to {errors.max():g}, but must be finite and at least 0.")


@lru_cache(maxsize=4)
def _counts(samples: int, seed: int) -> NDArray[np.float64]:
    """How often each resample draws each noise: (samples, resamples), each column summing to `samples`."""
    drawn = np.random.default_rng(seed).integers(samples, size=(samples, RESAMPLES)) * RESAMPLES + np.arange(RESAMPLES)
    return np.bincount(drawn.ravel(), minlength=samples * RESAMPLES).reshape(samples, RESAMPLES).astype(np.float64)


def _of_counts(errors: NDArray[np.float64], counts: NDArray[np.float64], statistic: Statistic) -> NDArray[np.float64]:
    """The statistic for each column of counts: (samples,), (samples, n) -> (n,)."""
    scale, total = float(errors.max()) or 1.0, errors.size
    squares: NDArray[np.float64]
    if statistic == "rms":
        squares = (errors / scale) ** 2 @ counts / total
        return scale * np.sqrt(squares)
    order = np.argsort(errors)
    ranked = errors[order]
    drawn = np.cumsum(counts[order], axis=0)  # how many are at most ranked[i]
    if statistic == "median":
        lower: NDArray[np.float64] = ranked[(drawn < (total + 1) // 2).sum(axis=0)]
        upper: NDArray[np.float64] = ranked[(drawn < total // 2 + 1).sum(axis=0)]
        return 0.5 * lower + 0.5 * upper
    kept = (1.0 - TAIL) * total
    weights = np.diff(np.minimum(drawn, kept), axis=0, prepend=0.0)
    squares = (ranked / scale) ** 2 @ weights / kept
    return scale * np.sqrt(squares)


def _percentiles(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(values, [0.5 * (1.0 - LEVEL), 0.5 * (1.0 + LEVEL)], method="nearest")
    return float(low), float(high)

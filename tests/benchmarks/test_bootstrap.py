"""The bootstrap interval against the standard error that theory gives."""

from __future__ import annotations

import numpy as np

from fokker.benchmarks import bootstrap


def test_interval_has_the_width_of_the_known_standard_error() -> None:
    """The rms of |N(0, 1)| errors is 1 with standard error √(2 / n) / 2, since var(e²) = 2."""
    n = 2000
    errors = np.abs(np.random.default_rng(0).standard_normal(n))
    low, high = bootstrap.interval(errors)
    expected = 2 * 1.96 * np.sqrt(2 / n) / 2
    assert abs((high - low) / expected - 1) < 0.1
    assert low < np.sqrt(np.mean(errors**2)) < high


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    """About 190 of 200 intervals hold the true value 1: within 3 binomial standard deviations."""
    draws = np.abs(np.random.default_rng(1).standard_normal((200, 300)))
    covered = sum(low <= 1.0 <= high for low, high in map(bootstrap.interval, draws))
    assert 181 <= covered <= 199


def test_ratio_is_paired() -> None:
    """Errors in a fixed proportion have that ratio without any doubt, however much they vary."""
    errors = np.random.default_rng(2).lognormal(0, 2, 100)
    low, high = bootstrap.ratio_interval(3.0 * errors, errors)
    np.testing.assert_allclose([low, high], 3.0, rtol=1e-12)


def test_resamples_are_the_same_every_time() -> None:
    errors = np.random.default_rng(3).random(50)
    np.testing.assert_array_equal(bootstrap.resampled(errors), bootstrap.resampled(errors))
    assert bootstrap.resampled(np.stack([errors, errors])).shape == (2, bootstrap.RESAMPLES)

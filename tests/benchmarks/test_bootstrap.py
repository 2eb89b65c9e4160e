"""The bootstrap intervals against the standard errors that theory gives, and how often they hold the truth."""

from __future__ import annotations

from math import erf, exp, pi, sqrt

import numpy as np
import pytest

from fokker.benchmarks import bootstrap
from fokker.benchmarks.bootstrap import STATISTICS, Statistic

MEDIAN = 0.6744897501960817  # of |N(0, 1)|
CUT = 2.5758293035489004  # 99 % of |N(0, 1)| lie below
TRIMMED = sqrt((erf(CUT / sqrt(2.0)) - 2.0 * CUT * exp(-(CUT**2) / 2.0) / sqrt(2.0 * pi)) / 0.99)
TRUTH: dict[Statistic, float] = {"rms": 1.0, "median": MEDIAN, "trimmed": TRIMMED}


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.abs(np.random.default_rng(seed).standard_normal(shape))


def test_statistics_of_few_numbers() -> None:
    """Of 50 errors the worst half of one is left out: 49.5 weights. Of 200 the worst two are."""
    errors = np.array([4.0, 1.0, 2.0, 3.0])
    assert bootstrap.estimate(errors) == pytest.approx(sqrt(30 / 4), rel=1e-15)
    assert bootstrap.estimate(errors, "median") == 2.5
    assert bootstrap.estimate(errors[:3], "median") == 2.0
    fifty = np.array([1.0] * 49 + [10.0])
    assert bootstrap.estimate(fifty, "trimmed") == pytest.approx(sqrt((49 + 0.5 * 100) / 49.5), rel=1e-14)
    tailed = np.array([1e8, 1e9] + [1.0, 2.0] * 99)
    assert bootstrap.estimate(tailed, "trimmed") == pytest.approx(sqrt(2.5), rel=1e-14)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_resample_is_what_its_counts_say(statistic: Statistic) -> None:
    """The matrix operations agree with the statistic of the noises themselves, drawn one by one."""
    errors = draw(4, 150)
    counts = bootstrap._counts(150, 0).astype(int)
    assert (counts.sum(axis=0) == 150).all()
    drawn = [bootstrap.estimate(np.repeat(errors, counts[:, i]), statistic) for i in range(40)]
    np.testing.assert_allclose(bootstrap.resampled(errors, statistic)[:40], drawn, rtol=1e-13)


def test_intervals_have_the_width_of_the_known_standard_error() -> None:
    """Of |N(0, 1)|: rms 1 with √(2 / n) / 2, since var(e²) = 2; median with 1 / (2 f √n), f its density there.

    The width of an interval of 1000 resamples scatters by about 5 %, that of the median by more, since it is drawn from
    few of the values.
    """
    n = 2000
    errors = draw(0, n)
    density = 2.0 * exp(-(MEDIAN**2) / 2.0) / sqrt(2.0 * pi)
    known: tuple[tuple[Statistic, float, float], ...] = (
        ("rms", sqrt(2.0 / n) / 2.0, 0.1),
        ("median", 1.0 / (2.0 * density * sqrt(n)), 0.25),
    )
    for statistic, deviation, tolerance in known:
        low, high = bootstrap.interval(errors, statistic)
        assert abs((high - low) / (2 * 1.96 * deviation) - 1) < tolerance
        assert low < bootstrap.estimate(errors, statistic) < high


@pytest.mark.parametrize("statistic", STATISTICS)
def test_an_interval_covers_the_truth_as_often_as_it_says(statistic: Statistic) -> None:
    """About 190 of 200 intervals of 300 noises hold the true value.

    181 to 199 are 3 binomial standard deviations, so that a sound interval fails once in 300 seeds. One that covers
    87 % is found out nine times in ten.
    """
    truth = TRUTH[statistic]
    covered = sum(low <= truth <= high for low, high in (bootstrap.interval(e, statistic) for e in draw(1, 200, 300)))
    assert 181 <= covered <= 199


@pytest.mark.parametrize("statistic", STATISTICS)
def test_the_interval_of_a_ratio_covers_the_truth_as_often_as_it_says(statistic: Statistic) -> None:
    """Errors 2 e and e' of correlated noises, whose laws are the same up to the factor 2; sizes as above."""
    shared, own, other = draw(5, 200, 300), draw(6, 200, 300), draw(7, 200, 300)
    pairs = zip(2.0 * np.hypot(shared, own), np.hypot(shared, other), strict=True)
    covered = sum(low <= 2.0 <= high for low, high in (bootstrap.ratio_interval(*pair, statistic) for pair in pairs))
    assert 181 <= covered <= 199


@pytest.mark.parametrize("statistic", STATISTICS)
def test_ratio_is_paired(statistic: Statistic) -> None:
    """Errors in a fixed proportion have that ratio without any doubt, however much they vary."""
    errors = np.random.default_rng(2).lognormal(0, 2, 100)
    np.testing.assert_allclose(bootstrap.ratio_interval(3.0 * errors, errors, statistic), 3.0, rtol=1e-12)


def test_resamples_are_the_same_every_time() -> None:
    errors = np.random.default_rng(3).random(50)
    for statistic in STATISTICS:
        found = bootstrap.resampled(errors, statistic)
        bootstrap._counts.cache_clear()
        np.testing.assert_array_equal(found, bootstrap.resampled(errors, statistic))
        stacked = bootstrap.resampled(np.stack([errors, 2.0 * errors]), statistic)
        assert stacked.shape == (2, bootstrap.RESAMPLES)
        np.testing.assert_allclose(stacked[1], 2.0 * found, rtol=1e-14)


def test_an_interval_leaves_out_one_resample_in_forty_on_each_side() -> None:
    errors = draw(10, 300)
    low, high = bootstrap.interval(errors)
    found = bootstrap.resampled(errors)
    assert abs(np.sum(found < low) - 25) <= 1
    assert abs(np.sum(found > high) - 25) <= 1


def test_the_tail() -> None:
    """20 of 2000 noises with error a beside 1980 with error b carry 20 a² / (20 a² + 1980 b²)."""
    errors = np.array([30.0] * 20 + [1.0] * 1980)
    assert bootstrap.tail_share(errors) == pytest.approx(18000 / 19980, rel=1e-14)
    assert bootstrap.tail_share(np.ones(77)) == pytest.approx(0.01, rel=1e-12)
    assert bootstrap.tail_share(np.zeros(3)) == 0.0


def test_errors_that_vanish_or_overflow_their_squares() -> None:
    """A third of the resamples lack the one noise of the denominator that has an error: their ratio has no bound."""
    one, other = np.ones(20), np.zeros(20)
    other[0] = 1.0
    low, high = bootstrap.ratio_interval(one, other)
    assert low < sqrt(20.0)
    assert high == np.inf
    with pytest.raises(ValueError, match="The median of the denominator is 0"):
        bootstrap.ratio_interval(one, other, "median")
    for statistic in STATISTICS:
        np.testing.assert_allclose(bootstrap.interval(np.full(20, 1e200), statistic), 1e200, rtol=1e-14)

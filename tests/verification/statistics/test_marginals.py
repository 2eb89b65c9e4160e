"""Tests of two samples: exact statistics, the uniformity of their p-values, and the faults that they find.

Statistical checks count rejections over R runs on fixed seeds and allow 4 standard errors √(a (1 − a)/R) around the
level a: a false alarm in 6e-5 of such tests.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from fokker.verification import Gaussian
from fokker.verification.statistics import holm, local_slopes, rms
from fokker.verification.statistics.discrepancies import energy, mmd, sample_w2, sliced_w2
from fokker.verification.statistics.marginals import Result, coupled_w2, hotelling, ks, moments, paired
from fokker.verification.statistics.power import power, smallest_shift
from fokker.verification.statistics.slopes import slope

FLOAT = torch.float64


def normals(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=FLOAT)


def same(n: int, d: int) -> Callable[[int], tuple[Tensor, Tensor]]:
    return lambda run: (normals(n, d, 2 * run), normals(n, d, 2 * run + 1))


def test_hotelling_on_the_line_is_welchs_test() -> None:
    """Yao's degrees of freedom are Welch's in one dimension: T² = t² and one p-value, to rounding."""
    x, y = normals(40, 1, 0), 0.3 + 2.0 * normals(25, 1, 1)
    found, expected = hotelling(x, y), stats.ttest_ind(x[:, 0].numpy(), y[:, 0].numpy(), equal_var=False)
    assert found.statistic == pytest.approx(expected.statistic**2, rel=1e-12)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.n == (40, 25)


def test_hotelling_is_invariant_under_affine_maps() -> None:
    x, y, matrix = normals(30, 3, 0), normals(40, 3, 1), normals(3, 3, 2)
    one, two = hotelling(x, y), hotelling(x @ matrix + 5.0, y @ matrix + 5.0)
    assert one.statistic == pytest.approx(two.statistic, rel=1e-9)
    assert one.p_value == pytest.approx(two.p_value, rel=1e-9)


def test_a_paired_test_on_the_line_is_students() -> None:
    x, noise = normals(30, 1, 0), normals(30, 1, 1)
    y = x + 0.1 + 0.2 * noise
    expected = stats.ttest_rel(x[:, 0].numpy(), y[:, 0].numpy())
    assert paired(x, y).p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert paired(x, x).p_value == 1.0
    assert paired(x, x + 1e-3).p_value == 0.0
    # A shift of 0.1 that coupling shows and independent samples of this size cannot.
    assert paired(x, y).p_value < 0.05 < hotelling(x, y).p_value


def test_kolmogorov_and_smirnov_are_scipys_by_coordinate() -> None:
    x, y = normals(60, 2, 0), normals(50, 2, 1)
    each = [stats.ks_2samp(a, b) for a, b in zip(x.numpy().T, y.numpy().T, strict=True)]
    found = ks(x, y)
    assert found.statistic == pytest.approx(max(result.statistic for result in each), rel=1e-12)
    assert found.p_value == pytest.approx(min(1.0, 2.0 * min(result.pvalue for result in each)), rel=1e-9)
    against = ks(x[:, :1], lambda values: torch.special.ndtr(values))
    assert against.p_value == pytest.approx(stats.kstest(x[:, 0].numpy(), "norm").pvalue, rel=1e-9)
    assert against.n == (60, 0)


def test_holms_adjustment() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == pytest.approx([])
    # Rejecting at α is Holm's own procedure: 0.002 <= 0.01/4, 0.003 <= 0.01/3, 0.006 > 0.01/2.
    assert (holm([0.006, 0.002, 0.5, 0.003]) <= 0.01).tolist() == [False, True, False, True]


def test_holm_keeps_the_family_wise_level() -> None:
    """4000 families of 20 true hypotheses: false alarms at 1 % within 4 standard errors, 0.0063; without it 18 %."""
    draws = torch.rand(4000, 20, generator=torch.Generator().manual_seed(1), dtype=FLOAT)
    alarms = sum(bool((holm(row) <= 0.01).any()) for row in draws.tolist()) / 4000
    assert abs(alarms - 0.01) < 4.0 * math.sqrt(0.01 / 4000)


@pytest.mark.parametrize(
    ("test", "d", "n", "runs"),
    [
        (hotelling, 3, 60, 400),
        (moments, 2, 400, 300),
        (energy, 2, 30, 300),
        (mmd, 2, 30, 300),
        pytest.param(sliced_w2, 2, 30, 300, marks=pytest.mark.slow),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_false_alarms_come_at_the_level(test: Callable[[Tensor, Tensor], Result], d: int, n: int, runs: int) -> None:
    level = 0.1
    found = power(test, same(n, d), alpha=level, runs=runs)
    assert abs(found.value - level) < 4.0 * math.sqrt(level * (1.0 - level) / runs)


def test_ks_errs_on_the_safe_side() -> None:
    assert power(ks, same(40, 2), alpha=0.1, runs=300).value < 0.1 + 4.0 * math.sqrt(0.09 / 300)


@pytest.mark.parametrize(("test", "name"), [(hotelling, "hotelling"), (moments, "moments")])
def test_the_smallest_shift_is_found_as_often_as_stated(test: Callable[[Tensor, Tensor], Result], name: str) -> None:
    """A shift that is found with probability 0.9 at 1 %: 300 runs, within 4 standard errors, 0.07."""
    n, d = 400, 2
    shift = smallest_shift(name, n, d=d)

    def draw(run: int) -> tuple[Tensor, Tensor]:
        x, y = same(n, d)(run)
        return x, y + torch.tensor([shift, 0.0], dtype=FLOAT)

    assert abs(power(test, draw, runs=300).value - 0.9) < 4.0 * math.sqrt(0.09 / 300)


def test_the_smallest_shift_of_ks_and_of_pairs() -> None:
    """Both are bounds or exact: at least 0.9 of 200 runs, less 4 standard errors, 0.085."""
    shift = smallest_shift("ks", 300, d=2)
    found = power(ks, lambda run: (normals(300, 2, 2 * run), normals(300, 2, 2 * run + 1) + shift), runs=200)
    assert found.value > 0.9 - 0.085
    assert found.low <= found.value <= found.high
    shift = smallest_shift("paired", 50, d=1)

    def coupled(run: int) -> tuple[Tensor, Tensor]:
        x = normals(50, 1, 2 * run)
        return x, x + shift + normals(50, 1, 2 * run + 1)

    assert abs(power(paired, coupled, runs=300).value - 0.9) < 4.0 * math.sqrt(0.09 / 300)


def test_a_wrong_covariance_is_seen_by_moments_and_not_by_means() -> None:
    x, y = normals(1000, 2, 0), 1.3 * normals(1000, 2, 1)
    assert moments(x, y).p_value < 1e-6
    assert hotelling(x, y).p_value > 0.01
    assert energy(x[:300], y[:300]).p_value < 0.05


def test_the_best_pairing_on_the_line_is_sorting() -> None:
    x, y = normals(50, 1, 0), normals(50, 1, 1)
    sorted_apart = (x.sort(0).values - y.sort(0).values).square().mean().sqrt()
    assert sample_w2(x, y) == pytest.approx(sorted_apart.item(), rel=1e-12)
    assert sliced_w2(x, y).statistic == pytest.approx(sorted_apart.item(), rel=1e-12)
    assert sample_w2(x + 3.0, x) == pytest.approx(3.0, rel=1e-12)


def test_sliced_w2_of_unequal_numbers_is_the_distance_of_the_quantiles() -> None:
    """Two points against three: the quantile functions differ on six intervals of length 1/6."""
    x, y = torch.tensor([[0.0], [6.0]], dtype=FLOAT), torch.tensor([[1.0], [2.0], [9.0]], dtype=FLOAT)
    apart = np.array([0.0, 0.0, 0.0, 6.0, 6.0, 6.0]) - np.array([1.0, 1.0, 2.0, 2.0, 9.0, 9.0])
    assert sliced_w2(x, y).statistic == pytest.approx(math.sqrt((apart**2).mean()), rel=1e-12)


def test_kernel_statistics_by_hand() -> None:
    x, y = normals(6, 2, 0), normals(5, 2, 1)

    def mean(one: Tensor, two: Tensor, kernel: Callable[[Tensor], Tensor], own: bool) -> float:
        values = kernel(torch.cdist(one, two))
        total = values.sum() - (values.diagonal().sum() if own else 0.0)
        return float(total) / (len(one) * (len(two) - own))

    for found, kernel in (
        (mmd(x, y, width=0.7), lambda r: torch.exp(-0.5 * (r / 0.7) ** 2)),
        (energy(x, y), lambda r: -r),
    ):
        expected = mean(x, x, kernel, True) + mean(y, y, kernel, True) - 2.0 * mean(x, y, kernel, False)
        assert found.statistic == pytest.approx(expected, rel=1e-12)
        assert 0.0 < found.p_value <= 1.0


def test_the_smallest_p_value_counts_the_permutation_at_hand() -> None:
    x, y = normals(20, 1, 0), normals(20, 1, 1) + 10.0
    assert energy(x, y, permutations=99).p_value == pytest.approx(0.01, rel=1e-12)


def test_a_coupled_distance_has_its_interval() -> None:
    """N(0, 1) and its copy moved by N(0.5, 0.01) have E|x − y|² = 0.26. 95 % of 300 intervals hold it, ± 5 %."""
    held = 0
    for run in range(300):
        x = normals(200, 1, 2 * run)
        found = coupled_w2(x, x + 0.5 + 0.1 * normals(200, 1, 2 * run + 1))
        held += found.low <= math.sqrt(0.26) <= found.high
    assert abs(held / 300 - 0.95) < 4.0 * math.sqrt(0.95 * 0.05 / 300)
    law = Gaussian(torch.zeros(1).double(), torch.eye(1).double())
    x = law.sample(100, 0)
    assert coupled_w2(x, x).value == 0.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hotelling(normals(4, 3, 0), normals(9, 3, 1)), "too few to test 3 moments; give more than 4"),
        (lambda: hotelling(torch.ones(9, 1), torch.ones(9, 1)), "lie in a subspace"),
        (lambda: ks(normals(4, 3, 0), normals(4, 2, 0)), r"give \(n, d\) and \(m, d\)"),
        (lambda: paired(normals(4, 1, 0), normals(5, 1, 0)), "not pairs"),
        (lambda: paired(normals(3, 4, 0), normals(3, 4, 1)), "3 pairs are too few"),
        (lambda: coupled_w2(normals(4, 1, 0), normals(4, 1, 0), confidence=1.0), "confidence is 1"),
        (lambda: sample_w2(normals(4, 1, 0), normals(5, 1, 0)), "give as many of each"),
        (lambda: mmd(normals(4, 1, 0), normals(5, 1, 0), width=0.0), "width is 0"),
        (lambda: mmd(torch.ones(4, 1), torch.ones(5, 1)), "Most of the points are the same"),
        (lambda: energy(normals(4, 1, 0), normals(5, 1, 0), permutations=0), "permutations is 0"),
        (lambda: smallest_shift("mmd", 100), "Unknown test 'mmd'; choose one of hotelling"),
        (lambda: smallest_shift("ks", 10, alpha=0.9, found=0.5), "0 < alpha < found < 1"),
        (lambda: smallest_shift("hotelling", 2, d=4), "too few samples"),
        (lambda: power(ks, same(4, 1), runs=0), "runs is 0"),
        (lambda: power(lambda x, y: 1.0, same(4, 1)), "What the test returned is of type float"),
        (lambda: power(ks, lambda run: normals(4, 1, run)), "must return two samples"),
        (lambda: hotelling(normals(9, 2, 0).tolist(), normals(9, 2, 0)), "first sample is no tensor"),
        (lambda: ks(normals(9, 2, 0), normals(9, 2, 0) * 1j), "second sample is torch.complex128"),
        (lambda: hotelling(normals(9, 2, 0).to("meta"), normals(9, 2, 0)), "first sample is .* on meta"),
        (lambda: smallest_shift("hotelling", 100, alpha=1e-300), "alpha is 1e-300"),
        (lambda: moments(normals(9, 2, 0), 1e200 * normals(9, 2, 0)), "squares of the second samples are too large"),
        (lambda: ks(normals(9, 2, 0), "normal"), "y is of type str"),
        (lambda: ks(normals(9, 2, 0), lambda value: value), "must return probabilities"),
        (lambda: sliced_w2(normals(9, 2, 0), normals(9, 2, 0), directions=10**12), "directions is .*, which takes"),
        (lambda: energy(normals(9, 2, 0), normals(9, 2, 0), permutations=10**12), "permutations is .*, which takes"),
        (lambda: mmd(normals(9, 2, 0), normals(9, 2, 0), seed=0.5), "seed is 0.5"),
        (lambda: holm([0.1, 1.5]), r"p_values\[1\] is 1.5"),
        (lambda: holm("ab"), "p_values is 'ab'"),
        (lambda: smallest_shift("paired", 2.5), "n is 2.5"),
        (lambda: rms([1.0]), "must be a tensor"),
        (lambda: local_slopes([1, 2], [1.0]), "2 steps and 1 errors"),
        (lambda: local_slopes([0, 2], [1.0, 1.0]), "must rise from above 0"),
        (lambda: local_slopes([1, 2], [1.0, -1.0]), "none may be negative"),
        (lambda: slope([1, 2], [1.0, 0.0]), "leave out those that are 0"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_one_sentence(call: Callable[[], object], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message) as failure:
        call()
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("test", [hotelling, moments, ks, paired, coupled_w2, sample_w2, sliced_w2, mmd, energy])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_samples_that_are_not_finite_are_refused(test: Callable[[Tensor, Tensor], object], value: float) -> None:
    """A run that diverged must not be told from nothing."""
    x, y = normals(50, 2, 0), normals(50, 2, 1)
    y[3, 1] = y[7, 0] = value
    with pytest.raises(ValueError, match="2 of the 50 second samples are not finite"):
        test(x, y)
    with pytest.raises(ValueError, match="2 of the 50 first samples are not finite"):
        test(y, x)

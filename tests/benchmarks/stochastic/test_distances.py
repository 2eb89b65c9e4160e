"""Distances of sets of samples against closed forms; their intervals and floors on sets whose law is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fokker.benchmarks.stochastic.distances import Distance, Energy, Frechet, Measured, SlicedW2, resolved
from fokker.verification.statistics import discrepancies


def same(x: Tensor) -> Tensor:
    return x


DISTANCES = [SlicedW2(), Energy(), Frechet(same)]
NAMES = [each.name for each in DISTANCES]


def normal(n: int, seed: int, d: int = 3) -> Tensor:
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_distances_of_a_shift_are_closed_forms() -> None:
    """A shift δ: sliced W₂ is √(mean (θ·δ)²) over the directions, and the Fréchet distance ‖δ‖². Roundings of sums of
    a hundred numbers of order one; the square root of the covariance of 3 dimensions, squared: 1e-12."""
    x, shift = normal(100, 0), torch.tensor([0.3, -0.1, 0.2], dtype=torch.float64)
    theta = torch.randn(3, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = float((shift @ (theta / theta.norm(dim=0))).square().mean().sqrt())
    assert math.isclose(SlicedW2().measure(x, x + shift).value, expected, abs_tol=1e-12)
    assert math.isclose(Frechet(same).measure(x, x + shift).value, float(shift.square().sum()), abs_tol=1e-12)


def test_distances_are_those_of_the_two_sample_tests() -> None:
    x, y = normal(100, 0), 1.2 * normal(100, 1)
    for own, other in ((SlicedW2(), discrepancies.sliced_w2), (Energy(), discrepancies.energy)):
        assert math.isclose(own.measure(x, y).value, other(x, y, permutations=1).statistic, rel_tol=1e-12)


@pytest.mark.parametrize("distance", DISTANCES, ids=NAMES)
def test_a_block_is_left_out_of_both_sets(distance: Distance) -> None:
    x, y = normal(100, 0), normal(100, 1) + 0.5
    parts = distance.measure(x, y).parts
    kept = torch.cat([torch.arange(5), torch.arange(10, 100)])  # without the second block
    assert len(parts) == 20
    assert math.isclose(parts[1], distance.measure(x[kept], y[kept]).value, rel_tol=1e-12)


@pytest.mark.parametrize("distance", DISTANCES, ids=NAMES)
def test_floors_are_what_two_sets_of_one_law_have(distance: Distance) -> None:
    """120 pairs of sets of 100, fixed seeds. The mean of the floors is the mean of the distances, up to 4 standard
    errors (a false alarm in 6e-5); a standard error is 3 % of the two distances that do not vanish in the mean, so
    that a floor that is 15 % too low is seen. Above the 97.5 % quantile are 3 of 120 in the mean, and at most 10 (a
    false alarm in 7e-4)."""
    above, gaps = 0, []
    for run in range(120):
        x, y, a, b = (normal(100, 4 * run + k) for k in range(4))
        floor, value = distance.floor(a, b, run), distance.measure(x, y).value
        above += value > floor.high
        gaps.append(value - floor.mean)
    values = torch.tensor(gaps)
    assert abs(float(values.mean())) < 4.0 * float(values.std()) / math.sqrt(120)
    assert above <= 10


@pytest.mark.parametrize("distance", DISTANCES, ids=NAMES)
def test_intervals_cover_the_distance_of_the_laws(distance: Distance) -> None:
    """Laws that are 1.5 apart in each coordinate. What the interval covers is the mean over sets of this size. Of 100
    intervals of 95 % at least 86 cover it (4 standard errors of 2.2 %: a false alarm in 3e-4 of the fixed seeds).
    Intervals of half the length would cover 67, and are seen."""
    found = [distance.measure(normal(100, 2 * run), normal(100, 2 * run + 1) + 1.5) for run in range(100)]
    mean = sum(each.value for each in found) / len(found)
    assert sum(each.interval[0] <= mean <= each.interval[1] for each in found) >= 86


def test_a_difference_is_resolved_by_what_the_sets_share() -> None:
    """Values without each block that move together: the difference is exact though both intervals are long."""
    wide = [1.0 + 0.01 * (-1) ** k for k in range(20)]
    one, two = Measured(1.0, tuple(wide)), Measured(1.01, tuple(value + 0.01 for value in wide))
    assert one.interval[1] > two.value
    assert resolved(one, two)
    assert not resolved(two, one)


def test_exact_distances_are_resolved_up_to_rounding() -> None:
    assert not resolved(Measured(1.0), Measured(1.0 + 1e-12))
    assert resolved(Measured(1.0), Measured(1.0 + 1e-6))
    assert Measured(1.0).interval == (1.0, 1.0)

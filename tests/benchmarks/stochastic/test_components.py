"""The components of a mixture in sets of samples: one standard error off where the law is right."""

from __future__ import annotations

import math

import pytest
import torch

from fokker.benchmarks.stochastic.components import Components
from fokker.verification import GaussianMixture

MEANS = torch.tensor([[0.0, 0.0], [1.0, 0.5], [-1.0, 0.7]], dtype=torch.float64)
COVS = torch.tensor(
    [[[0.1, 0.02], [0.02, 0.05]], [[0.02, 0.0], [0.0, 0.02]], [[0.05, 0.0], [0.0, 0.2]]], dtype=torch.float64
)
WEIGHTS = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
LAW = GaussianMixture(WEIGHTS, MEANS, COVS)
EXACT = LAW.sample(20000, 12345)


def test_exact_samples_are_off_by_one_standard_error() -> None:
    """40 sets of 2000, fixed seeds. Of 120 weights two in three are free: the mean of 80 squares of N(0, 1) is 1 ±
    0.16. The mean of 240 squares for the coordinates of the means is 1 ± 0.09, and that of 480 entries of the
    covariances, of which a quarter are there twice, 1 ± 0.08. Each within 4.4 standard errors, false alarms in 1e-5."""
    found = [Components.of(LAW.sample(2000, seed), LAW, EXACT) for seed in range(40)]
    for name, bound in (("weights", 0.7), ("means", 0.4), ("covs", 0.35)):
        square = sum(getattr(each, name) ** 2 for each in found) / len(found)
        assert abs(square - 1.0) < bound, name
    shares = sum(torch.tensor([part.share for part in each.each]).double() for each in found) / len(found)
    torch.testing.assert_close(shares, WEIGHTS, atol=4.0 * 0.5 / math.sqrt(80000), rtol=0.0)


@pytest.mark.parametrize(
    ("fault", "law"),
    [
        ("weights", GaussianMixture(WEIGHTS + 0.1 * torch.tensor([-1.0, 1.0, 0.0]).double(), MEANS, COVS)),
        ("means", GaussianMixture(WEIGHTS, MEANS + 0.1 * torch.tensor([[0.0], [1.0], [0.0]]).double(), COVS)),
        ("covs", GaussianMixture(WEIGHTS, MEANS, 1.44 * COVS)),
    ],
    ids=["weights", "means", "covs"],
)
def test_a_wrong_moment_is_seen(fault: str, law: GaussianMixture) -> None:
    """4000 samples: two weights are off by 0.1, 12 standard errors; a mean by 0.1, 20 standard errors; variances by
    44 %, 10 standard errors and more. The root mean square over all components is above 4."""
    assert getattr(Components.of(law.sample(4000, 0), LAW, EXACT), fault) > 4.0


def test_a_component_without_samples_is_missed() -> None:
    two = GaussianMixture(torch.tensor([0.5, 0.5], dtype=torch.float64), MEANS[:2], COVS[:2])
    found = Components.of(two.sample(1000, 0), LAW, EXACT)
    assert found.each[2].share < 0.01
    assert found.each[2].weight < -14.0  # 0.2 of √(0.2 · 0.8/1000), and a little by overlap


def test_samples_that_are_far_off_do_not_hide_in_their_own_spread() -> None:
    x = LAW.sample(1000, 0)
    x[::100] *= 1e6
    assert Components.of(x, LAW, EXACT).covs > 1e6

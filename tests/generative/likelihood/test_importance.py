"""Importance-weighted bounds against probabilities in closed form, by quadrature over the draws."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fokker.generative import (
    CondOT,
    Denoiser,
    Dequantisation,
    ImportanceWeightedBound,
    Logit,
    LogLikelihood,
    importance_weighted_bound,
    log_likelihood,
)
from fokker.solvers import standard_normal
from fokker.solvers.noise import standard_normals
from fokker.verification import GaussianClasses, GaussianMixture

LAW = GaussianMixture(
    torch.tensor([0.3, 0.7], dtype=torch.float64),
    torch.tensor([[-0.4], [0.5]], dtype=torch.float64),
    torch.tensor([[[0.02]], [[0.01]]], dtype=torch.float64),
)
CELLS = Dequantisation(4, -1.0, 1.0)
NET = LAW.denoiser(CondOT())
LEVELS = torch.arange(4)[:, None]
POINTS, WEIGHTS = (torch.from_numpy(each) for each in np.polynomial.legendre.leggauss(24))


def probabilities(cells: Dequantisation = CELLS) -> Tensor:
    """P(k) in bits: −log₂ of the mass of each cell."""
    edges = torch.linspace(cells.low, cells.high, cells.levels + 1, dtype=torch.float64)
    cdf = torch.special.ndtr((edges[:, None] - LAW.means[:, 0]) / LAW.covs[:, 0, 0].sqrt()) @ LAW.weights
    return -cdf.diff().log2()


def likelihood(value: Tensor, stderr: Tensor) -> LogLikelihood:
    """Known values as a likelihood of data in one dimension."""
    return replace(log_likelihood(NET, torch.zeros(1, 1).double()), value=value, probe_stderr=stderr)


def bound(log_weights: Tensor, stderr: Tensor | None = None) -> ImportanceWeightedBound:
    """The bound of given weights, (K, B), in one dimension."""
    error = torch.zeros_like(log_weights) if stderr is None else stderr
    return ImportanceWeightedBound(log_weights, likelihood(log_weights.flatten(), error.flatten()))


def all_draws(k: int, count: int) -> tuple[Tensor, Tensor]:
    """log w at all combinations of `count` Gauss points in cell k, (count, 24^count), and the shares of q."""
    x = CELLS.low + (k + 0.5 + 0.5 * POINTS) * CELLS.width
    single = LAW.log_prob(x[:, None]) - CELLS.log_density(x[:, None])
    logs = torch.stack(torch.meshgrid(*[single] * count, indexing="ij")).flatten(1)
    shares = torch.stack(torch.meshgrid(*[0.5 * WEIGHTS] * count, indexing="ij")).flatten(1).prod(0)
    return logs, shares


@pytest.mark.parametrize("k", [0, 3])
def test_the_bound_falls_with_the_draws_towards_the_code_length(k: int) -> None:
    """Means over all draws: E mean w = P(k), L_1 ≤ L_2 ≤ L_3 ≤ L_4 ≤ log P(k), and the mean of the jackknife.

    The integrals are of analytic functions, by 24 Gauss points a draw. Their own error, from 20 points, is 1e-7.
    """
    expected, means, left = float(probabilities()[k]), [], []
    for count in (2, 3, 4):
        logs, shares = all_draws(k, count)
        found = bound(logs)
        if count == 2:
            means.append(float(shares @ found.one_draw))
        assert float(shares @ found.one_draw) == pytest.approx(means[0], rel=1e-12)
        assert float(shares @ torch.exp2(-found.bits_per_dim)) == pytest.approx(2.0**-expected, rel=1e-6)
        means.append(float(shares @ found.bits_per_dim))
        left.append(float(shares @ found.remaining))
        torch.testing.assert_close(found.gap, found.one_draw - found.bits_per_dim)
        assert float(found.gap.min()) >= -1e-14
        assert not found.noise.any()
    assert means[0] > means[1] > means[2] > means[3] > expected + 1e-3
    for n, each in enumerate(left):  # (K − 1)(L_K − L_{K−1}), whatever the weights
        assert each == pytest.approx((n + 1) * (means[n] - means[n + 1]), rel=1e-10)


def test_what_remains_is_estimated_where_the_draws_are_effective() -> None:
    """v/(2K) with K = 64 and v = Var w/P² by quadrature. Mean over 2000 sets of draws; standard error 1 %, fixed seed.

    The estimate and the truth differ by O(1/K²); a factor of two in the estimate, or K for K − 1 at K = 2, are seen.
    """
    k, draws = 1, 64
    logs, shares = all_draws(k, 1)
    ratio = logs[0].exp() * 2.0 ** float(probabilities()[k])
    v = float(shares @ ratio.square()) - 1.0
    x = CELLS(torch.full((draws * 2000, 1), k), seed=0, dtype=torch.float64)
    found = bound((LAW.log_prob(x) - CELLS.log_density(x)).reshape(draws, 2000))
    expected = v / (2.0 * draws) / math.log(2.0)
    assert float(found.remaining.mean()) == pytest.approx(expected, rel=0.08)
    truth = float(found.bits_per_dim.mean() - probabilities()[k])
    deviation = float(found.bits_per_dim.std())
    assert truth == pytest.approx(expected, abs=4.0 * deviation / math.sqrt(2000.0) + 0.08 * expected)
    assert float(found.stderr.mean()) == pytest.approx(deviation, rel=0.1)
    assert float(found.gap_stderr.mean()) == pytest.approx(float(found.gap.std()), rel=0.1)
    assert float(found.effective.mean()) == pytest.approx(draws / (1.0 + v), rel=0.05)


@pytest.mark.parametrize("s", [0.5, *(pytest.param(s, marks=pytest.mark.slow) for s in (0.1, 1.0))])
def test_normal_errors_of_log_p_leave_a_bound(s: float) -> None:
    """E of the mean weight is P(k), by Gauss-Hermite in two errors: without correction it is e^(s²/2) P(k).

    exp(s z) has 40 Hermite points, which are exact to rounding.
    """
    z, weights = (torch.from_numpy(each) for each in np.polynomial.hermite_e.hermegauss(40))
    weights = weights / weights.sum()
    logs, shares = all_draws(2, 2)
    errors = s * torch.stack(torch.meshgrid(z, z, indexing="ij")).flatten(1)
    chances = (weights[:, None] * weights).flatten()
    noisy = (logs[:, :, None] + errors[:, None, :]).flatten(1)
    each = (shares[:, None] * chances).flatten()
    found, plain = bound(noisy, torch.full_like(noisy, s)), bound(noisy)
    expected = 2.0 ** -float(probabilities()[2])
    assert float(each @ torch.exp2(-found.bits_per_dim)) == pytest.approx(expected, rel=1e-6)
    assert float(each @ torch.exp2(-plain.bits_per_dim)) == pytest.approx(expected * math.exp(0.5 * s * s), rel=1e-6)
    torch.testing.assert_close(found.noise, torch.full_like(found.noise, 0.5 * s * s / math.log(2.0)))
    torch.testing.assert_close(found.one_draw, plain.one_draw)  # no correction where none is needed
    torch.testing.assert_close(found.gap, plain.gap - found.noise)
    assert float(each @ found.bits_per_dim) > float(probabilities()[2])


def test_the_gap_of_normal_weights() -> None:
    """log w ~ N(−2, 9) has log E w = 2.5: a gap of 4.5 nats, also where probes add a variance of 1; fixed seed.

    4000 sets of 8 draws: the standard error of the mean of half a variance of 9 is 4.5 √(2/7/4000), 0.04; of 10, 0.042.
    The draws close less than half of it, and the jackknife misses most of the rest.
    """
    logs = 3.0 * standard_normal(torch.empty(8, 4000, dtype=torch.float64), 1) - 2.0
    found, unit = bound(logs), math.log(2.0)
    assert float(found.gap_if_normal.mean()) == pytest.approx(4.5 / unit, abs=4.0 * 0.04 / unit)
    assert float((found.gap + found.remaining).mean()) < 0.8 * 4.5 / unit
    noisy = bound(logs + standard_normal(torch.empty(8, 4000, dtype=torch.float64), 2), torch.ones_like(logs))
    assert float(noisy.gap_if_normal.mean()) == pytest.approx(4.5 / unit, abs=4.0 * 0.045 / unit)


def test_weights_of_any_size() -> None:
    """Weights e^±1000 apart, by hand: the mean is the largest over K, and without it the next over K − 1."""
    found = bound(torch.tensor([[1000.0], [0.0], [-1000.0]], dtype=torch.float64))
    unit = math.log(2.0)
    assert float(found.bits_per_dim) == pytest.approx(-(1000.0 - math.log(3.0)) / unit)
    assert float(found.effective) == 1.0
    means = [-math.log(2.0), 1000.0 - math.log(2.0), 1000.0 - math.log(2.0)]
    assert float(found.remaining) == pytest.approx(2.0 * (1000.0 - math.log(3.0) - sum(means) / 3.0) / unit)
    assert float(found.stderr) == pytest.approx(math.sqrt(2.0) * float(np.std(means)) / unit)
    same = bound(torch.full((5, 2), -3.0, dtype=torch.float64))
    torch.testing.assert_close(same.bits_per_dim, same.one_draw)
    for each in (same.gap, same.remaining, same.stderr, same.gap_stderr):
        assert float(each.abs().max()) < 1e-14
    torch.testing.assert_close(same.effective, torch.full((2,), 5.0).double())


def test_bits_of_a_model() -> None:
    """From levels to N(0, 1/4), whose cells have known masses; 256 draws leave v/512 and their scatter; fixed seed."""
    law = GaussianMixture(torch.ones(1).double(), torch.zeros(1, 1).double(), torch.full((1, 1, 1), 0.25).double())
    found = importance_weighted_bound(law.denoiser(CondOT()), LEVELS, CELLS, 256, error=1e-3, dtype=torch.float64)
    assert found.log_weights.shape == (256, 4)
    x = found.likelihood.data
    expected = (law.log_prob(x) - CELLS.log_density(x)).reshape(256, 4)
    torch.testing.assert_close(found.log_weights, expected, rtol=0.0, atol=5e-3)
    mass = torch.special.ndtr(torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0], dtype=torch.float64)).diff()
    error = found.bits_per_dim - found.remaining + mass.log2()
    assert bool((error.abs() < 4.0 * found.stderr + 1e-2).all())
    assert bool((found.gap > 10.0 * found.remaining).all())
    assert torch.equal(CELLS.level(x).reshape(256, 4), torch.arange(4).expand(256, 4))


def test_a_draw_depends_on_seed_image_and_number_alone() -> None:

    def watched(denoiser: Denoiser, x: Tensor, seed: Any, **options: Any) -> LogLikelihood:
        probe = standard_normals(seed.values, [0], (), torch.float64)[0]
        return likelihood(x[:, 0] + 10.0 * probe, 0.0 * probe)

    options: dict[str, Any] = {"dtype": torch.float64, "likelihood": watched}
    four = importance_weighted_bound(NET, LEVELS, CELLS, 4, seed=7, **options)
    two = importance_weighted_bound(NET, LEVELS[:2], CELLS, 2, seed=7, **options)
    assert torch.equal(two.log_weights, four.log_weights[:2, :2])
    assert len(set(four.log_weights.flatten().tolist())) == 16
    own = importance_weighted_bound(NET, LEVELS, CELLS, 3, seed=[4, 5, 6, 7], **options)
    last = importance_weighted_bound(NET, LEVELS[3:], CELLS, 3, seed=[7], **options)
    assert torch.equal(last.log_weights, own.log_weights[:, 3:])
    other = importance_weighted_bound(NET, LEVELS, CELLS, 4, seed=8, **options)
    assert not bool((other.log_weights == four.log_weights).any())


def test_draws_and_probes_are_independent() -> None:
    """Signs of the probes and of the noise within the cell agree half the time: 16384 pairs, 5 standard deviations."""
    seeds = []

    def watched(denoiser: Denoiser, x: Tensor, seed: Any, **options: Any) -> LogLikelihood:
        seeds.append((x, seed))
        return likelihood(x[:, 0], 0.0 * x[:, 0])

    importance_weighted_bound(NET, LEVELS, CELLS, 1024, dtype=torch.float64, likelihood=watched)
    ((x, seed),) = seeds
    signs = standard_normals(seed.values, [-1, 0, 1, 2], (1,), torch.float64).sign().flatten(0, 1)
    noise = (x - CELLS.centre(CELLS.level(x))).sign()
    assert abs(float((signs * noise.repeat(4, 1)).mean())) < 5.0 / 128.0
    assert abs(float((noise[:2048] * noise[2048:]).mean())) < 5.0 / math.sqrt(2048.0)


def test_conditions_and_shapes_of_images() -> None:
    """Each image has its own class, and four pixels with a law of their own each: the bits of the classes' laws."""
    laws = [
        GaussianMixture(torch.ones(1).double(), torch.full((1, 4), mean).double(), 0.05 * torch.eye(4)[None].double())
        for mean in (-0.5, 0.25)
    ]
    classes = GaussianClasses(laws).denoiser(CondOT()).given([1, 0, 1])
    flat = Denoiser(
        lambda x, t, label: classes.net(x.flatten(1), t, label).reshape(x.shape), CondOT(), predicts=classes.predicts
    ).given([1, 0, 1])
    levels = torch.tensor([[2, 2, 3, 2], [0, 1, 1, 2], [1, 3, 2, 2]]).reshape(3, 1, 2, 2)
    found = importance_weighted_bound(flat, levels, CELLS, 3, error=1e-3, dtype=torch.float64)
    x = found.likelihood.data
    assert x.shape == (9, 1, 2, 2)
    values = [laws[label].log_prob(x.reshape(3, 3, 4)[:, j]) for j, label in enumerate((1, 0, 1))]
    expected = torch.stack(values, 1) - CELLS.log_density(x).reshape(3, 3)
    torch.testing.assert_close(found.log_weights, expected, rtol=0.0, atol=5e-3)


def test_levels_of_logits() -> None:
    cells = Dequantisation(4, -1.0, 1.0, transform=Logit(-1.0, 1.0, 0.05))
    found = importance_weighted_bound(NET, LEVELS, cells, 512, dtype=torch.float64)
    edges = cells.transform.forward(torch.linspace(-1.0, 1.0, 5, dtype=torch.float64))
    cdf = torch.special.ndtr((edges[:, None] - LAW.means[:, 0]) / LAW.covs[:, 0, 0].sqrt()) @ LAW.weights
    known = cdf.diff() > 1e-3  # beyond, 512 draws of a cell miss the mass of its edge
    error = found.bits_per_dim - found.remaining + cdf.diff().log2()
    assert bool((error.abs() < 4.0 * found.stderr + 5e-3)[known].all())
    assert int(known.sum()) >= 2


def without_spread(denoiser: Denoiser, x: Tensor, **options: Any) -> LogLikelihood:
    return likelihood(x[:, 0], x[:, 0] * math.nan)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: importance_weighted_bound(NET, LEVELS, CELLS, 1), "draws is 1, but must be a whole number from 2"),
        (lambda: importance_weighted_bound(NET, LEVELS + 1, CELLS), "Levels must be integers in 0 … 3"),
        (lambda: importance_weighted_bound(NET, LEVELS.double(), CELLS), "Levels must be integers in 0 … 3"),
        (lambda: importance_weighted_bound(NET, LEVELS[:, 0], CELLS), r"levels has shape \(4,\), but must hold images"),
        (lambda: importance_weighted_bound(NET, LEVELS[:0], CELLS), "levels has shape"),
        (
            lambda: importance_weighted_bound(NET, LEVELS, CELLS, 2, likelihood=without_spread),
            "A single probe has no standard error",
        ),
    ],
)
def test_what_has_no_bound_is_refused(call: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()

"""Quantile functions against their laws; importance sampling changes no mean; every draw can be stratified."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from scipy.special import roots_legendre
from torch import Tensor

from fokker.generative.paths import (
    VE,
    VP,
    CondOT,
    Cosine,
    Geometric,
    Importance,
    Table,
    TimeDensity,
    Uniform,
    independent,
    linear_betas,
    stratified,
)
from fokker.generative.paths.time_densities import LogitNormal, Steps

U = torch.linspace(0.001, 0.999, 333, dtype=torch.float64)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def phi(z: Tensor) -> Tensor:
    return 0.5 * torch.special.erfc(-z / math.sqrt(2))


@pytest.mark.parametrize("count", [1, 2, 7, 64])
def test_one_number_in_every_stratum(count: int) -> None:
    u = stratified(count, generator())
    assert sorted((u * count).floor().int().tolist()) == list(range(count))


def test_stratified_numbers_come_in_random_order_and_share_one_offset() -> None:
    u = stratified(64, generator(), like=torch.zeros(0, dtype=torch.float64))
    assert (u.diff() < 0).sum() > 16
    offset = u.sort().values - torch.arange(64, dtype=torch.float64) / 64
    assert u.dtype == torch.float64
    torch.testing.assert_close(offset, offset[:1].expand(64), rtol=0, atol=1e-15)


def test_the_common_offset_is_uniform() -> None:
    """1000 batches of 4, whose first stratum is [0, 1/4): Kolmogorov-Smirnov at 1.95/√n, false alarm 1e-3."""
    source = generator()
    first = 4 * torch.stack([stratified(4, source).min() for _ in range(1000)]).sort().values
    grid = torch.arange(1, 1001) / 1000
    assert (first - grid).abs().max() < 1.95 / math.sqrt(1000) + 1e-3


def test_independent_numbers_are_the_generators() -> None:
    assert torch.equal(independent(5, generator(3)), torch.rand(5, generator=generator(3)))
    assert independent(5, generator(), like=torch.zeros(0, dtype=torch.float64)).dtype == torch.float64


def test_the_whole_interval_leaves_u_alone_bit_for_bit() -> None:
    u = stratified(257, generator())
    assert torch.equal(Uniform().quantile(CondOT(), u), u)


def test_a_cut_interval_still_has_a_time_in_every_stratum() -> None:
    """Scaled after the wrap: (u + k/B) mod (1 − ε) would leave strata empty and crowd the first."""
    for seed in range(50):
        t = Uniform(0.0, 0.95).quantile(CondOT(), stratified(64, generator(seed)))
        assert sorted((t / 0.95 * 64).floor().int().tolist()) == list(range(64))
    torch.testing.assert_close(Uniform(0.2, 0.7).quantile(VP(), U), 0.2 + 0.5 * U, rtol=1e-15, atol=0)


def test_logit_normal_on_the_straight_path() -> None:
    t = LogitNormal(-0.5, 1.3).quantile(CondOT(), U)
    torch.testing.assert_close(phi((t.logit() + 0.5) / 1.3), U, rtol=0, atol=1e-13)


def test_the_noise_levels_of_edm_are_log_normal() -> None:
    """ln σ ~ N(−1.2, 1.2²), of which σ > 80 has the probability 1.7e-6."""
    sigma = VE(80.0).sigma(LogitNormal(1.2, 1.2).quantile(VE(80.0), U))
    torch.testing.assert_close(phi(-(sigma.log() + 1.2) / 1.2), U, rtol=0, atol=3e-6)


def test_a_range_of_log_snr_cuts_the_law() -> None:
    path = Cosine(-2.0, 4.0)
    t = LogitNormal(0.3, 1.5).quantile(path, torch.cat([torch.zeros(1, dtype=torch.float64), U]))
    assert t[0] == pytest.approx(0.0, abs=1e-12)
    assert bool((t.diff() > 0).all())
    low, high = (phi(torch.tensor((bound - 0.3) / 1.5, dtype=torch.float64)) for bound in (-1.0, 2.0))
    shares = (phi((path.half_log_snr(t[1:]) - 0.3) / 1.5) - low) / (high - low)
    torch.testing.assert_close(shares, U, rtol=0, atol=1e-12)


@pytest.mark.parametrize("path", [CondOT(), Cosine(), VP(), VE()], ids=str)
@pytest.mark.parametrize(
    "times", [Uniform(), Uniform(0.1, 0.9), LogitNormal(), Steps(10), Geometric(50.0, 0.01, 10)], ids=str
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_quantiles_rise_and_stay_inside(times: TimeDensity, path, dtype: torch.dtype) -> None:
    u = torch.cat([torch.zeros(1), U, torch.tensor([1 - 2**-24])]).to(dtype)
    t = times.quantile(path, u)
    assert t.dtype == dtype
    assert bool(((t >= 0) & (t <= 1)).all())
    assert bool((t.diff() >= 0).all())


def test_steps_are_the_times_of_a_table() -> None:
    table = Table(linear_betas(20))
    t = Steps(20).quantile(table, stratified(20, generator(), like=U))
    expected = table.at(torch.arange(20)).flip(0)
    torch.testing.assert_close(t.sort().values, expected, rtol=0, atol=1e-15)


def test_geometric_levels_fall_by_one_ratio() -> None:
    path = VE(80.0)
    sigma = path.sigma(Geometric(50.0, 0.01, 10).quantile(path, (torch.arange(10, dtype=torch.float64) + 0.5) / 10))
    ratio = (0.01 / 50.0) ** (1 / 9)
    torch.testing.assert_close(sigma, 50.0 * ratio ** torch.arange(10, dtype=torch.float64), rtol=1e-10, atol=0)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Uniform(0.5, 0.5), "0 <= start < end <= 1, but got 0.5 and 0.5"),
        (lambda: Uniform(0.0, 1.1), "0 <= start < end <= 1"),
        (lambda: LogitNormal(0.0, 0.0), "std is 0, but must be"),
        (lambda: Steps(0), "count is 0, but must be a whole number from 1"),
        (lambda: Geometric(0.01, 50.0, 10), "0 < smallest < largest"),
        (lambda: Geometric(50.0, 0.01, 1), "levels is 1, but must be a whole number from 2"),
        (lambda: Importance(1), "bins is 1, but must be a whole number from 2"),
        (lambda: Importance(8, share=0.0), "share is 0, but must be a finite number > 0 and < 1"),
    ],
)
def test_what_is_no_density(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def taught(loss: Callable[[Tensor], Tensor], bins: int = 8, share: float = 0.1) -> Importance:
    """Has seen the loss on 100 numbers in each interval."""
    importance = Importance(bins, share=share)
    u = (torch.arange(100 * bins, dtype=torch.float64) + 0.5) / (100 * bins)
    importance.observe(u, loss(u))
    return importance


def cells(importance: Importance, count: int = 20) -> tuple[Tensor, Tensor]:
    """Gauss-Legendre nodes in (0, 1) and their weights, on each interval of the warp."""
    edges = torch.cat([torch.zeros(1, dtype=torch.float64), (importance.density.double() / importance.bins).cumsum(0)])
    node, weight = (torch.from_numpy(values) for values in roots_legendre(count))
    width = edges.diff()[:, None]
    return (edges[:-1, None] + width * (node + 1) / 2).flatten(), (width * weight / 2).flatten()


def steep(u: Tensor) -> Tensor:
    return 0.1 + 3.0 * u**4


@pytest.mark.parametrize("moment", [steep, lambda u: u, lambda u: torch.cos(3 * u), torch.ones_like])
def test_importance_sampling_changes_no_mean(moment) -> None:
    """∫ f(G⁻¹(u)) / g du = ∫ f du for every f, whatever g has learned."""
    importance = taught(steep)
    importance.moments = importance.moments.double()
    node, weight = cells(importance)
    u, factor = importance.warp(node)
    plain, share = cells(Importance(8))
    expected = (share * moment(plain)).sum()
    torch.testing.assert_close((weight * factor * moment(u)).sum(), expected, rtol=1e-12, atol=0)


def test_importance_sampling_reduces_the_variance() -> None:
    importance = taught(steep)
    importance.moments = importance.moments.double()
    node, weight = cells(importance)
    u, factor = importance.warp(node)
    plain, share = cells(Importance(8))
    mean = (share * steep(plain)).sum()
    before, after = (share * steep(plain) ** 2).sum() - mean**2, (weight * (factor * steep(u)) ** 2).sum() - mean**2
    assert after < 0.2 * before


def test_a_loss_that_is_constant_on_the_intervals_is_sampled_without_variance() -> None:
    """With g ∝ |f| the product f/g is constant; what is left is the share of uniform draws."""

    def staircase(u: Tensor) -> Tensor:
        return 1.0 + (4 * u).floor()

    importance = taught(staircase, bins=4, share=1e-9)
    u, factor = importance.warp(U)
    torch.testing.assert_close(factor * staircase(u), torch.full_like(U, 2.5), rtol=1e-6, atol=0)


def test_the_density_follows_the_root_mean_square() -> None:
    importance = taught(lambda u: torch.where(u < 0.5, 1.0, torch.where((u * 200).floor() % 2 == 0, 0.0, 6.0)), bins=2)
    rms = torch.tensor([1.0, math.sqrt(18.0)])
    torch.testing.assert_close(importance.density, 0.1 + 0.9 * rms / rms.mean(), rtol=1e-6, atol=0, check_dtype=False)


def test_until_every_interval_has_been_seen_draws_are_uniform() -> None:
    importance = Importance(4)
    importance.observe(torch.tensor([0.1, 0.3, 0.6]), torch.tensor([1.0, 5.0, 9.0]))
    u, factor = importance.warp(U)
    torch.testing.assert_close(u, U, rtol=1e-12, atol=1e-15)
    assert torch.equal(factor, torch.ones_like(U))
    importance.observe(torch.tensor([0.9]), torch.tensor([1.0]))
    assert importance.density.max() > 2 * importance.density.min()


def test_an_interval_that_was_seen_seldom_counts_no_less() -> None:
    importance = Importance(2)
    u = torch.tensor([0.1] * 100 + [0.9])
    importance.observe(u, torch.full((101,), 3.0))
    torch.testing.assert_close(importance.density, torch.ones(2), rtol=1e-4, atol=0)  # 1 − 0.999 has 4 digits


def test_a_loss_of_zero_everywhere_leaves_every_interval_its_share() -> None:
    assert torch.equal(taught(torch.zeros_like, bins=3).density, torch.full((3,), 0.1, dtype=torch.float64))


def test_old_losses_are_forgotten_at_the_stated_rate() -> None:
    importance, source = Importance(2, memory=0.9), generator()
    mean, total = torch.zeros(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for _ in range(5):
        u = torch.rand(6, generator=source, dtype=torch.float64)
        loss = torch.rand(6, generator=source, dtype=torch.float64)
        importance.observe(u, loss)
        for i in range(2):
            seen = loss[(u * 2).floor() == i] ** 2
            if len(seen):
                kept = 0.9 ** len(seen)
                mean[i], total[i] = kept * mean[i] + (1 - kept) * seen.mean(), kept * total[i] + 1 - kept
    torch.testing.assert_close(importance.moments, torch.stack([total, mean]), rtol=1e-12, atol=0)


def test_warped_numbers_stay_below_one() -> None:
    importance = taught(steep)
    for dtype in (torch.float32, torch.float64):
        last = torch.tensor([0.0, 1 - torch.finfo(dtype).eps / 2], dtype=dtype)
        u, _ = importance.warp(last)
        assert u.dtype == dtype
        assert 0.0 <= float(u[0]) < float(u[1]) < 1.0

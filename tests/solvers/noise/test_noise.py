"""The driving path: its law exactly, and its independence of everything but seed, sample and time."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from fokker.solvers import BrownianTree, Noise, WhiteNoise, standard_normal
from fokker.solvers.noise import Interval, per_sample_keys, standard_normals
from fokker.solvers.noise.brownian import Clock

LIKE = torch.zeros(5, 3, dtype=torch.float64)
TIMES = [0.0, 1e-7, 3e-7, 0.1, 1.0 / 3.0, 0.5, 0.625, 0.9, 1.0 - 3e-7, 1.0 - 1e-7, 1.0]
CLOCKS: dict[str, Clock] = {
    "t": lambda t: t,
    "e^2t": lambda t: torch.exp(2.0 * t),
    "t²": lambda t: t**2,
    "flat": lambda t: t.clamp(0.3, 0.7),
}
each_clock = pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)


def covariance(a: Fraction, b: Fraction, c: Fraction, d: Fraction) -> Fraction:
    """Of the means of W over [a, b] and over [c, d], of its values where the interval is a point: from min(s, t)."""

    def mean(t: Fraction) -> Fraction:
        def integral(q: Fraction) -> Fraction:
            return q * q / 2 if q <= t else t * q - t * t / 2

        return min(t, c) if c == d else (integral(d) - integral(c)) / (d - c)

    def double(s: Fraction, t: Fraction) -> Fraction:
        s, t = min(s, t), max(s, t)
        return t * s * s / 2 - s**3 / 6

    if a == b:
        return mean(a)
    if c == d:
        return covariance(c, d, a, b)
    return (double(b, d) - double(a, d) - double(b, c) + double(a, c)) / ((b - a) * (d - c))


def exact_covariances(first: tuple[float, float], second: tuple[float, float]) -> Tensor:
    """Those of (ξ, η) on the first interval of q with (ξ, η) on the second, by exact fractions.

    √Δ ξ = W_b − W_a, √(Δ/12) η = mean of W over [a, b] − ½ W_a − ½ W_b.
    """

    def functionals(interval: tuple[float, float]) -> list[list[tuple[Fraction, Fraction, Fraction]]]:
        a, b = map(Fraction, interval)
        one, half = Fraction(1), Fraction(1, 2)
        return [[(one, b, b), (-one, a, a)], [(one, a, b), (-half, a, a), (-half, b, b)]]

    both = [
        [float(sum(u * v * covariance(*p, *q) for u, *p in f for v, *q in g)) for g in functionals(second)]
        for f in functionals(first)
    ]
    scales = [torch.tensor([1.0, math.sqrt(12.0)], dtype=torch.float64) / math.sqrt(b - a) for a, b in (first, second)]
    return torch.tensor(both, dtype=torch.float64) * torch.outer(*scales)


def covariances(interval: Interval, pair: Sequence[tuple[float, float]], clock: Clock) -> Tensor:
    """Those of ξ, or of (ξ, η), on the two steps, from their weights on independent normals."""
    (numbers, a), (others, b) = (interval.weights(*step, clock, interval.k) for step in pair)
    place = {number: i for i, number in enumerate(others)}
    common = [(i, place[number]) for i, number in enumerate(numbers) if number in place]
    i, j = map(list, zip(*common, strict=True))
    return torch.from_numpy(a[:, i] @ b[:, j].T)


@pytest.mark.parametrize("functions", [1, 2])
@each_clock
def test_the_path_has_the_law_of_brownian_motion(clock: Clock, functions: int) -> None:
    """ξ and η are combinations of independent normals: the covariances of their weights are those of W and H.

    300 pairs of disjoint, nested and overlapping intervals, down to 2e-7 long at either end, to rounding.
    """
    interval, draw = Interval(0.0, 1.0, functions, 2.0**-16), random.Random(0)
    times = sorted(TIMES + [draw.random() for _ in range(8)])
    q = dict(zip(times, clock(torch.tensor(times, dtype=torch.float64)).tolist(), strict=True))
    steps = [(s, t) for s, t in itertools.combinations(times, 2) if q[s] < q[t]]
    for _ in range(300):
        pair = draw.choice(steps), draw.choice(steps)
        exact = exact_covariances(*((q[s], q[t]) for s, t in pair))[:functions, :functions]
        torch.testing.assert_close(covariances(interval, pair, clock), exact, rtol=0.0, atol=1e-14)


def path(seed: int | list[int], times: list[float], like: Tensor = LIKE) -> list[Tensor]:
    tree = BrownianTree(like, 0.0, 1.0, seed)
    return [tree.normal(s, t, CLOCKS["t"], like) * math.sqrt(t - s) for s, t in itertools.pairwise(times)]


@each_clock
def test_increments_and_areas_add_up_whatever_the_steps(clock: Clock) -> None:
    """W and J = ∫ (W_q − W_{q₀}) dq = Δq (ΔW/2 + H): J_{s,t} = J_{s,u} + J_{u,t} + (q_t − q_u) W_{s,u}.

    Below the resolution too, of which the last times are a hundredth apart. To rounding, with q up to 4.
    """
    tree, sums = BrownianTree(LIKE, 0.0, 1.0, 3, area=True), []
    times = [0.0, 0.1, 0.35, 0.5, 0.5 + 1e-6, 0.7, 0.7 + 1e-7, 0.7 + 3e-7]
    for steps in (times, [0.0, 0.5, times[-2], times[-1]], [0.0, times[-1]]):
        w, j = torch.zeros_like(LIKE), torch.zeros_like(LIKE)
        for s, t in itertools.pairwise(steps):
            q = clock(torch.tensor([s, t], dtype=torch.float64)).diff().item()
            xi, eta = tree.normal_and_area(s, t, clock, LIKE)
            j += q * (w + 0.5 * math.sqrt(q) * xi + math.sqrt(q / 12.0) * eta)
            w += math.sqrt(q) * xi
            assert torch.equal(tree.normal(s, t, clock, LIKE), xi)
            assert torch.equal(tree.normal(t, s, clock, LIKE), -xi)
        sums.append(torch.stack([w, j]))
    for total in sums[1:]:
        torch.testing.assert_close(total, sums[0], rtol=0.0, atol=1e-13)
    plain = BrownianTree(LIKE, 0.0, 1.0, 3)
    parts = [plain.normal(s, t, CLOCKS["t"], LIKE) * math.sqrt(t - s) for s, t in itertools.pairwise(times)]
    whole = plain.normal(0.0, times[-1], CLOCKS["t"], LIKE) * math.sqrt(times[-1])
    torch.testing.assert_close(torch.stack(parts).sum(0), whole, rtol=0.0, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(5, 3), (64, 33), (7, 1), (3,)])
def test_a_sample_does_not_depend_on_its_batch(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """Bitwise: row i of one seed in any batch; a sample with its own seed in any batch and at any place."""
    like = torch.zeros(shape, dtype=dtype)
    whole = path(7, TIMES, like)
    for rows in (1, 2):
        assert all(torch.equal(a[:rows], b) for a, b in zip(whole, path(7, TIMES, like[:rows]), strict=True))
    seeds = [4, 9, 2, *range(10, 7 + len(like))]
    own, moved = path(seeds, TIMES, like), path([9, 2, 9], TIMES, like[:3])
    assert all(torch.equal(a[[1, 2, 1]], b) for a, b in zip(own, moved, strict=True))
    assert torch.equal(standard_normal(like, 7)[:2], standard_normal(like[:2], 7))
    assert torch.equal(standard_normal(like, seeds)[:2], standard_normal(like[:2], [4, 9]))


@pytest.mark.parametrize("area", [False, True])
def test_nothing_depends_on_the_queries_before(area: bool) -> None:
    """Bitwise: one tree asked 200 times at random against a fresh one each time. What it keeps stays bounded."""
    like, draw, asked = LIKE.float(), random.Random(1), BrownianTree(LIKE.float(), 0.0, 1.0, area=area)
    for _ in range(200):
        s, t = sorted(draw.choice([draw.random(), draw.randrange(17) / 16.0]) for _ in range(2))
        fresh = BrownianTree(like, 0.0, 1.0, area=area)
        assert torch.equal(asked.normal(s, t, CLOCKS["t"], like), fresh.normal(s, t, CLOCKS["t"], like))
        if area:
            both = zip(*(tree.normal_and_area(s, t, CLOCKS["t"], like) for tree in (asked, fresh)), strict=True)
            assert all(torch.equal(a, b) for a, b in both)
        assert len(asked._kept) <= max(64, len(fresh._kept))


def test_single_precision_follows_the_same_path() -> None:
    """The bits are the same; what is left is the rounding of the transform, 6e-8 times numbers below 7."""
    double, single = path(1, TIMES), path(1, TIMES, LIKE.float())
    for a, b in zip(double, single, strict=True):
        torch.testing.assert_close(a, b.double(), rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("area", [False, True])
@pytest.mark.parametrize("clock", [lambda t: 1.0 / (1.0 - t), lambda t: -1.0 / t, lambda t: 1.0 / (1.0 - t) - 1.0 / t])
def test_the_variance_may_be_infinite_at_the_ends(clock: Clock, area: bool) -> None:
    """Steps up to there have any normal, but no area; finite steps have their law, independent of one another."""
    tree, interval = BrownianTree(LIKE, 0.0, 1.0, area=area), Interval(0.0, 1.0, 1 + area, 2.0**-16)
    assert torch.isfinite(tree.normal(0.5, 1.0, clock, LIKE)).all()
    assert torch.isfinite(tree.normal(0.0, 0.5, clock, LIKE)).all()
    for pair in itertools.product([(0.2, 0.4), (0.4, 0.7), (0.1, 0.9)], repeat=2):
        q = [tuple(clock(torch.tensor(step, dtype=torch.float64)).tolist()) for step in pair]
        exact = exact_covariances(*q)[: 1 + area, : 1 + area]
        torch.testing.assert_close(covariances(interval, pair, clock), exact, rtol=0.0, atol=1e-14)
    if area:
        with pytest.raises(ValueError, match="infinite, so that its path has no area"):
            tree.normal_and_area(*((0.5, 1.0) if math.isinf(clock(torch.ones(1)).item()) else (0.0, 0.5)), clock, LIKE)


@pytest.mark.parametrize("area", [False, True])
def test_a_clock_that_is_not_quite_monotone(area: bool) -> None:
    """Rounded to 2⁻⁴⁰ up or down by its place in the tensor, as vectorised arithmetic may: the increments add up."""

    def clock(t: Tensor) -> Tensor:
        up = torch.arange(len(t)) % 3 - 1
        return torch.exp(2.0 * t) + 2.0**-40 * up

    tree = BrownianTree(LIKE, 0.01, 0.99, seed=3, area=area)
    times = [0.01, *(0.01 + 0.98 * i / 32.0 for i in range(1, 32)), 0.99]  # halves of halves, almost
    steps = [tree.normal(s, t, clock, LIKE) for s, t in itertools.pairwise(times)]
    q = [math.exp(2.0 * t) for t in times]
    total = sum(math.sqrt(b - a) * step for step, (a, b) in zip(steps, itertools.pairwise(q), strict=True))
    whole = math.sqrt(q[-1] - q[0]) * tree.normal(0.01, 0.99, clock, LIKE)
    torch.testing.assert_close(total, whole, rtol=0.0, atol=1e-4)  # √(2⁻⁴⁰ · 33 · log₂) at the most


def test_nodes_fit_into_64_bits_however_near_an_end_a_time_is() -> None:
    for t0, t1 in ((0.0, 1.0), (-3.0, 1000.0)):
        interval = Interval(t0, t1, 2, 0.01)
        times = {math.nextafter(t0, t1), math.nextafter(t1, t0), t0 + 1e-30, t0 + 1e-12 * (t1 - t0)} - {t0, t1}
        assert all(2 * max(interval.cells(t)) + 1 < 2**63 for t in times)


def test_extra_numbers_are_functions_of_seed_sample_and_index() -> None:
    tree, other = (BrownianTree(LIKE, 0.0, 1.0, seed, area=area) for seed, area in ((3, False), (3, True)))
    tree.normal(0.0, 0.5, CLOCKS["t"], LIKE)
    assert torch.equal(tree.extra(4, LIKE), other.extra(4, LIKE))
    assert torch.equal(tree.extra(4, LIKE)[:2], BrownianTree(LIKE[:2], 0.0, 1.0, 3).extra(4, LIKE[:2]))
    assert not torch.equal(tree.extra(4, LIKE), tree.extra(5, LIKE))
    assert not torch.equal(tree.extra(4, LIKE), BrownianTree(LIKE, 0.0, 1.0, 4).extra(4, LIKE))


def test_what_a_tree_cannot_do_is_refused() -> None:
    with pytest.raises(ValueError, match=r"carries no area; make BrownianTree\(\.\.\., area=True\)"):
        BrownianTree(LIKE, 0.0, 1.0).normal_and_area(0.0, 0.5, CLOCKS["t"], LIKE)
    for resolution in (0.0, 1.0):
        with pytest.raises(ValueError, match=f"resolution is {resolution:g}, but must be a finite number > 0 and < 1"):
            BrownianTree(LIKE, 0.0, 1.0, resolution=resolution)
    with pytest.raises(ValueError, match=r"finite t0 < t1, but got 1\.0 and 0\.0"):
        BrownianTree(LIKE, 1.0, 0.0)


def test_the_hash_is_normal_and_uncorrelated() -> None:
    """n = 4·10⁵ numbers; every statistic within 4.5 standard errors, a false alarm of 2e-4 over all 28.

    Detected: a mean off by 0.7 %, a variance by 1 %, a correlation of 0.7 % between samples, nodes or components.
    """
    samples, nodes, components = 100, 40, 100
    z = standard_normals(per_sample_keys(0, samples).values, list(range(nodes)), (components,), torch.float64)
    n = z.numel()
    assert z.shape == (nodes, samples, components)
    for power, moment, variance in ((1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)):
        assert abs((z**power).mean().item() - moment) < 4.5 * math.sqrt(variance / n)
    for axis in range(3):
        for lag in (1, 2, 3, 7):
            shifted = z.roll(lag, dims=axis)
            assert abs((z * shifted).mean().item()) < 4.5 / math.sqrt(n)
            assert abs(((z**2 - 1.0) * (shifted**2 - 1.0)).mean().item()) < 4.5 * 2.0 / math.sqrt(n)


def test_seeds_nodes_and_the_initial_noise_are_unrelated() -> None:
    """Each correlation of 4·10⁵ pairs lies within 4.5 standard errors (false alarm 7e-6 each)."""
    like = torch.zeros(4000, 100, dtype=torch.float64)
    draws = [standard_normal(like, seed) for seed in (0, 1, 2**63, -1)]
    tree = BrownianTree(like, 0.0, 1.0, 0, area=True)
    draws += [*tree.normal_and_area(0.0, 1.0, CLOCKS["t"], like), tree.extra(0, like), tree.extra(1, like)]
    for a, b in itertools.combinations(draws, 2):
        assert abs((a * b).mean().item()) < 4.5 / math.sqrt(like.numel())


def test_children_of_keys_are_other_samples() -> None:
    """16 000 normals of four children and their parents: unrelated within 5/√4000, and each its own function."""
    keys = per_sample_keys(3, 4)
    families = [keys, *(keys.child(n) for n in (0, 1, 2, 10**6))]
    drawn = torch.stack([standard_normals(each.values, [-1], (1000,), torch.float64).flatten() for each in families])
    correlations = torch.corrcoef(drawn) - torch.eye(5, dtype=torch.float64)
    assert float(correlations.abs().max()) < 5.0 / math.sqrt(4000.0)
    alone = per_sample_keys(3, 4).of_rows(torch.tensor([2])).child(1)
    assert torch.equal(alone.values, families[2].values[2:3])


def test_white_noise_is_reproducible_and_fresh() -> None:
    first, second = WhiteNoise(5), WhiteNoise(torch.Generator().manual_seed(5))
    draws = [first.normal(0.0, 1.0, CLOCKS["t"], LIKE) for _ in range(2)]
    assert torch.equal(draws[0], second.normal(0.3, 0.4, CLOCKS["t"], LIKE))
    draws += [*first.normal_and_area(0.0, 1.0, CLOCKS["t"], LIKE), first.extra(0, LIKE), first.extra(0, LIKE)]
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(draws, 2))


def test_which_noise_replays() -> None:
    noises: list[Noise] = [WhiteNoise(0), BrownianTree(LIKE, 0.0, 1.0)]
    assert all(isinstance(noise, Noise) for noise in noises)
    assert [noise.replays for noise in noises] == [False, True]

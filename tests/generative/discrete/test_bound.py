"""The bound on Gaussian data in closed form, without Monte Carlo; the subset of terms; grey levels; training losses.

With a linear network every term is quadratic in (x₀, ε), so that its expectation is the mean over x₀ = m ± s, ε = ±1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from numpy.polynomial.legendre import leggauss
from scipy.stats import norm
from torch import Tensor
from toy import LINE, MEAN, PATHS, VARIANCE, marginal

from fokker.generative import VE, VP, CondOT, Cosine, Denoiser, GaussianPath
from fokker.generative.discrete import Bound, bound_loss, hybrid_loss, posterior, variational_bound
from fokker.generative.discrete.bound import Chain
from fokker.generative.discrete.grey_levels import check_levels, grey_levels_log_prob
from fokker.generative.equations import grids
from fokker.generative.paths import Table, linear_betas
from fokker.solvers import BrownianTree, WhiteNoise

S = math.sqrt(VARIANCE)
CORNERS = torch.tensor([[MEAN - S], [MEAN - S], [MEAN + S], [MEAN + S]], dtype=torch.float64)
SIGNS = torch.tensor([[-1.0], [1.0], [-1.0], [1.0]], dtype=torch.float64)
TABLE = Table(linear_betas(20, 0.005, 0.5))


class Corners:
    """ε = ±1 for every draw, of x₀ in `CORNERS`."""

    replays = True

    def normal(self, *query: Any) -> Tensor:
        raise AssertionError

    normal_and_area = normal

    def extra(self, index: int, like: Tensor) -> Tensor:
        return SIGNS.to(like)


def expected(path: GaussianPath, times: Tensor, variance: str | float, denoiser: Denoiser | None = None) -> Bound:
    given = LINE.denoiser(path) if denoiser is None else denoiser
    return variational_bound(given, CORNERS, Corners(), times, variance=variance, chunk=50)


def latents(path: GaussianPath, times: Tensor) -> list[float]:
    return [t for t in times.tolist() if path.sigma(t) > 0.0]


def exact_variances(path: GaussianPath, times: Tensor) -> tuple[list[float], list[float], list[float]]:
    """For each step and the decoder: β̃ (of the decoder that of the step before), B, and Var(x_t | x_s) = B V_t/V_s."""
    at = latents(path, times)
    small, large, true = [], [], []
    for s, t in pairwise(at):
        b = path.transition(s, t)[1] ** 2
        large.append(b)
        small.append(b * (path.sigma(t) / path.sigma(s)) ** 2)
        true.append(b * marginal(path, t)[1] / marginal(path, s)[1])
    small.append(small[-1])
    large.append(path.sigma(at[-1]) ** 2)
    true.append(large[-1] * VARIANCE / marginal(path, at[-1])[1])
    return small, large, true


def excess(true: list[float], used: list[float]) -> float:
    """Σ KL(N(·, true) ‖ N(·, used))."""
    ratio = np.array(true) / np.array(used)
    return float(0.5 * (ratio - 1.0 - np.log(ratio)).sum())


def ideal(path: GaussianPath, t: float) -> float:
    """H(x₀) + KL(q(x_t) ‖ N(0, P²)), P² = α² + σ²."""
    mean, variance = marginal(path, t)
    p2 = path.alpha(t) ** 2 + path.sigma(t) ** 2
    kl = 0.5 * ((variance + mean**2) / p2 - 1.0 - math.log(variance / p2))
    return 0.5 * math.log(2.0 * math.pi * math.e * VARIANCE) + kl


def perfect(path: GaussianPath, times: Tensor) -> Denoiser:
    """The exact network with the exact variance of every reverse kernel."""
    at = torch.tensor(latents(path, times), dtype=torch.float64)
    small, large, true = (torch.tensor(values, dtype=torch.float64).log() for values in exact_variances(path, times))
    v = (true - small) / (large - small)

    def net(x: Tensor, t: Tensor) -> Tensor:
        index = (t[:, None] - at).abs().argmin(1)
        return torch.cat([LINE.v(x, t, path), 2.0 * v[index][:, None] - 1.0], 1)

    return Denoiser(net, path, predicts="v", learned_variance=True)


@pytest.mark.parametrize("path", [*PATHS, TABLE, VE(3.0)], ids=repr)
def test_on_every_path(path: GaussianPath) -> None:
    """Also where the cleanest time still has noise (Cosine), or the noisiest no signal (CondOT)."""
    times = grids.uniform(path, 30)
    for variance, denoiser in (("learned", perfect(path, times)), ("small", None), ("large", None), (0.3, None)):
        found = expected(path, times, variance, denoiser)
        small, large, true = exact_variances(path, times)
        v = {"small": 0.0, "large": 1.0, "learned": math.nan}.get(variance, variance)
        used = true if variance == "learned" else [b**v * a ** (1.0 - v) for a, b in zip(small, large, strict=True)]
        total = ideal(path, float(times[0])) + excess(true, used)
        assert found.total.mean().item() == pytest.approx(total, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("v", [0.0, 0.35, 1.0, "learned"])
def test_a_step_is_a_divergence_of_two_normal_laws(v: float | str) -> None:
    path = Cosine()
    times = torch.tensor([0.1, 0.35, 0.6, 0.95], dtype=torch.float64)
    chain = Chain.of(LINE.denoiser(path), times)
    generator = torch.Generator().manual_seed(0)
    x0, guess, x = (torch.randn(3, 2, 4, generator=generator, dtype=torch.float64) for _ in range(3))
    at = torch.rand(3, 2, 4, generator=generator, dtype=torch.float64) if v == "learned" else v
    index = torch.tensor([2, 0, 1])
    found = chain.step_terms(index, at, x0 - guess)
    for i in range(3):
        s, t = times[index[i]].item(), times[index[i] + 1].item()
        step, share = posterior(path, s, t), at[i] if isinstance(at, Tensor) else at
        q = torch.distributions.Normal(step.mean(x[i], x0[i]), math.sqrt(step.variance))
        deviation = (step.transition**share * step.variance ** (1.0 - share)) ** 0.5
        p = torch.distributions.Normal(step.mean(x[i], guess[i]), deviation)
        assert found[i].item() == pytest.approx(torch.distributions.kl_divergence(q, p).sum().item(), rel=1e-12)


class Strata(Corners):
    """ε = 1, and one u for all strata, midpoints of [0, 1] over the batch."""

    def __init__(self, terms: int) -> None:
        self.terms = terms

    def extra(self, index: int, like: Tensor) -> Tensor:
        if index <= self.terms or like.shape[1] != self.terms:
            return torch.ones_like(like)
        u = (torch.arange(len(like), dtype=torch.float64) + 0.5) / len(like)
        return torch.special.ndtri(u)[:, None].expand(like.shape)


@pytest.mark.parametrize(("steps", "terms", "batch"), [(12, 6, 8), (10, 8, 5), (7, 20, 7), (9, 2, 9)])
def test_a_subset_of_the_terms_is_unbiased(steps: int, terms: int, batch: int) -> None:
    """Over u exactly, whether the strata hold whole steps or not. Each stratum holds two of the terms."""
    path, times = CondOT(), torch.linspace(0.1, 0.9, steps + 1, dtype=torch.float64)
    x0 = torch.full((batch, 1), 0.4, dtype=torch.float64)
    some = variational_bound(LINE.denoiser(path), x0, Strata(terms), times, variance="large", terms=terms)
    every = variational_bound(LINE.denoiser(path), x0, Strata(terms), times, variance="large")
    assert some.transitions.mean().item() == pytest.approx(every.transitions[0].item(), rel=1e-12)
    assert some.steps.shape == some.which.shape == (batch, terms)
    width = 2.0 * steps / terms
    stratum = torch.arange(terms) // 2
    assert (some.which >= (stratum * width).floor()).all()
    assert (some.which < ((stratum + 1) * width).ceil()).all()
    assert torch.equal(some.decoder, every.decoder)
    assert (some.nfe, every.nfe) == (terms + 1, steps + 1)


def test_the_standard_error_of_a_subset() -> None:
    """4000 estimates of one number: the mean of the squared errors is their variance. Its own standard error is 3 to
    4 %, so that 15 % is a false alarm in ten thousand, and sees a factor of 1.2."""
    path, times = VP(), grids.uniform(VP(), 60)
    x0 = torch.full((4000, 1), 0.9, dtype=torch.float64)
    found = variational_bound(LINE.denoiser(path), x0, WhiteNoise(0), times, variance="small", terms=8)
    assert found.standard_error.square().mean().item() == pytest.approx(found.transitions.var().item(), rel=0.15)


def test_the_standard_error_pairs_neighbours() -> None:
    bound = expected(VP(), grids.uniform(VP(), 4), "large")
    steps = torch.tensor([[1.0, 3.0, 6.0, 2.0]])
    assert replace(bound, steps=steps, weight=2.0).standard_error.item() == pytest.approx(2.0 * math.sqrt(4.0 + 16.0))
    assert replace(bound, steps=steps[:, :3], weight=1.0).standard_error.item() == pytest.approx(math.sqrt(4.0 + 9.0))
    five = torch.tensor([[1.0, 3.0, 6.0, 2.0, 9.0]])
    assert replace(bound, steps=five, weight=1.0).standard_error.item() == pytest.approx(math.sqrt(4.0 + 16.0 + 49.0))
    assert replace(bound, steps=steps[:, :0], weight=1.0).standard_error.item() == 0.0


class Labelled:
    """A network that knows its label, and counts the samples that it sees."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def __call__(self, x: Tensor, t: Tensor, label: Tensor) -> Tensor:
        self.seen.append(len(x))
        return torch.sin(x + t[:, None]) * (1.0 + label[:, None])


@pytest.mark.parametrize("terms", [None, 6])
def test_chunks_change_nothing_but_memory(terms: int | None) -> None:
    """Nor does the batch: each sample has its own label, its own noise and its own steps."""
    net = Labelled()
    denoiser = Denoiser(net, CondOT(), predicts="velocity", label=[0, 1, 2])
    times = grids.uniform(CondOT(), 9)
    x0 = torch.randn(3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    tree = BrownianTree(x0, 0.0, 1.0, [5, 6, 7])
    one = variational_bound(denoiser, x0, tree, times, variance="large", terms=terms)
    calls = 9 if terms is None else 7
    assert net.seen == [3] * calls
    assert one.nfe == calls
    net.seen.clear()
    four = variational_bound(denoiser, x0, tree, times, variance="large", terms=terms, chunk=4)
    assert max(net.seen) == 12
    alone = Denoiser(net, CondOT(), predicts="velocity", label=[2])
    last = variational_bound(
        alone, x0[2:], BrownianTree(x0[2:], 0.0, 1.0, [7]), times, variance="large", terms=terms, chunk=3
    )
    for name in ("prior", "steps", "decoder", "total", "bits_per_dim"):
        torch.testing.assert_close(getattr(four, name), getattr(one, name), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(getattr(last, name), getattr(one, name)[2:], rtol=1e-12, atol=1e-12)


def test_bits_are_nats_over_the_dimensions() -> None:
    found = variational_bound(
        Denoiser(lambda x, t: 0.0 * x, CondOT(), predicts="x0"), torch.ones(2, 3, 5), WhiteNoise(0), [0.0, 0.5, 1.0],
        variance="large",
    )
    torch.testing.assert_close(found.bits_per_dim, found.total / (15 * math.log(2.0)))
    assert found.total.shape == (2,)


def test_the_prior_is_what_is_asked_for() -> None:
    """KL(N(α x₀, σ²) ‖ N(0, P²)), P by default √(α² + σ²): 1 on a variance-preserving path."""
    for path, start in ((VE(3.0), 0.0), (CondOT(), 0.2)):
        times = grids.uniform(path, 3, t0=start)
        for prior in (None, 2.0):
            deviation = math.hypot(path.alpha(start), path.sigma(start)) if prior is None else prior
            found = variational_bound(
                LINE.denoiser(path), CORNERS, WhiteNoise(0), times, variance="small", prior=prior
            )
            q, p = (
                torch.distributions.Normal(scale * CORNERS, 0.0 * CORNERS + sd)
                for scale, sd in ((path.alpha(start), path.sigma(start)), (0.0, deviation))
            )
            kl = torch.distributions.kl_divergence(q, p)
            torch.testing.assert_close(found.prior, kl.sum(1), rtol=1e-12, atol=1e-12)


def test_it_is_differentiable_if_asked() -> None:
    scale = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    denoiser = Denoiser(lambda x, t: scale * x, VP(), predicts="x0")
    times = grids.uniform(VP(), 5)
    assert not variational_bound(denoiser, CORNERS, Corners(), times, variance="large").total.requires_grad

    def total(value: Tensor) -> Tensor:
        given = Denoiser(lambda x, t: value * x, VP(), predicts="x0")
        return variational_bound(
            given, CORNERS, Corners(), times, variance="large", differentiable=True
        ).total.mean()

    assert torch.autograd.gradcheck(total, (scale,))


def double(*values: Any) -> list[Tensor]:
    return [torch.as_tensor(value, dtype=torch.float64) for value in values]


def test_single_precision() -> None:
    """Coefficients are in float64 all the same; what is left is the rounding of states, 1e-7 of terms near 1."""
    denoiser = Denoiser(lambda x, t: 0.8 * x, VP(), predicts="x0")
    times = grids.uniform(VP(), 12)
    for terms in (None, 4):
        for variance in ("small", "large"):
            double = variational_bound(denoiser, CORNERS, Corners(), times, variance=variance, terms=terms)
            single = variational_bound(denoiser, CORNERS.float(), Corners(), times, variance=variance, terms=terms)
            assert single.total.dtype == torch.float32
            torch.testing.assert_close(single.total.double(), double.total, rtol=2e-5, atol=2e-5)


LEVELS = [2, 3, 17, 256]


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize(("mean", "deviation"), [(0.1, 0.3), (-1.4, 0.01), (0.0, 1e-6), (3.0, 5.0), (1.0, 0.004)])
def test_the_masses_of_the_grey_levels_sum_to_one(levels: int, mean: float, deviation: float) -> None:
    x = torch.linspace(-1.0, 1.0, levels, dtype=torch.float64)
    made = grey_levels_log_prob(x, torch.full_like(x, mean), torch.full_like(x, deviation), levels)
    assert torch.logsumexp(made, 0).item() == pytest.approx(0.0, abs=1e-13 * levels)


@pytest.mark.parametrize("levels", LEVELS[1:])
def test_the_mass_of_a_grey_level_is_that_of_its_cell(levels: int) -> None:
    """By scipy's normal law, where its differences have digits left."""
    x, w = np.linspace(-1.0, 1.0, levels), 1.0 / (levels - 1)
    for mean, deviation in ((0.1, 0.5), (-0.7, 0.2), (1.3, 1.0)):
        upper = np.where(x > 1.0 - 0.5 * w, 1.0, norm.cdf(x + w, mean, deviation))
        lower = np.where(x < -1.0 + 0.5 * w, 0.0, norm.cdf(x - w, mean, deviation))
        some = upper - lower > 1e-6
        made = grey_levels_log_prob(*double(x, mean, deviation), levels)
        np.testing.assert_allclose(made.exp().numpy()[some], (upper - lower)[some], rtol=1e-9)


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_far_from_its_cell_the_mass_keeps_its_logarithm(side: float) -> None:
    """By quadrature of the density over the cell, its largest value taken out."""
    nodes, weights = leggauss(600)
    x, w = side * 31.0 / 255.0, 1.0 / 255.0
    for mean, deviation in ((side * 0.9, 0.01), (-side * 0.9, 0.01), (side * 2.0, 0.02), (0.0, 0.001)):
        logs = norm.logpdf(x + w * nodes, mean, deviation)
        expected = logs.max() + np.log(w * (weights * np.exp(logs - logs.max())).sum())
        at, given, sd = double(x, mean, deviation)
        made = grey_levels_log_prob(at, given.requires_grad_(), sd, 256)
        assert made.item() == pytest.approx(expected, rel=1e-10)
        (slope,) = torch.autograd.grad(made, given)
        assert math.isfinite(slope.item())
        assert slope.item() * (x - mean) > 0.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_where_the_noise_vanishes_all_mass_is_in_one_cell(dtype: torch.dtype) -> None:
    x = torch.linspace(-1.0, 1.0, 256, dtype=dtype)
    mean, deviation = x.clone().requires_grad_(), torch.full((), 1e-6, dtype=dtype)
    own = grey_levels_log_prob(x, mean, deviation, 256)
    assert (own == 0.0).all()
    assert (grey_levels_log_prob(x[1:], x[:-1], deviation, 256) < -1e5).all()
    assert torch.autograd.grad(own.sum(), mean)[0].isfinite().all()


def test_the_gradient_of_the_grey_levels() -> None:
    x = torch.linspace(-1.0, 1.0, 5, dtype=torch.float64)
    mean = (x + torch.tensor([0.3, -0.2, 0.0, 0.4, -0.1], dtype=torch.float64)).requires_grad_()
    deviation = torch.full((5,), 0.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda m, s: grey_levels_log_prob(x, m, s, 5), (mean, deviation))


def test_the_decoders_of_a_bound() -> None:
    """With σ = 0.05 at the cleanest time: B = σ² for v = 1, and for v = 0 the β̃ of the step before."""
    times = [0.2, 0.6, 0.95, 1.0]
    x0 = torch.tensor([[-1.0, 0.0], [1.0, 0.2]], dtype=torch.float64)
    denoiser = Denoiser(lambda x, t: 0.3 + 0.0 * x, CondOT(), predicts="x0")
    for variance, deviation in (("large", 0.05), ("small", math.sqrt(posterior(CondOT(), 0.6, 0.95).variance))):
        found = variational_bound(denoiser, x0, WhiteNoise(0), times, variance=variance, levels=11)
        expected = -grey_levels_log_prob(x0, *double(0.3, deviation), 11).sum(1)
        torch.testing.assert_close(found.decoder, expected, rtol=1e-11, atol=0.0)
        found = variational_bound(denoiser, x0, WhiteNoise(0), times, variance=variance)
        expected = -torch.distributions.Normal(*double(0.3, deviation)).log_prob(x0).sum(1)
        torch.testing.assert_close(found.decoder, expected, rtol=1e-11, atol=0.0)


def test_what_does_not_fit_is_refused() -> None:
    def bound(**given: Any) -> Bound:
        return variational_bound(
            given.pop("denoiser", LINE.denoiser(CondOT())), CORNERS, Corners(), given.pop("times", [0.1, 0.5, 1.0]),
            **{"variance": "large", **given},
        )

    refused: list[tuple[dict[str, Any], str]] = [
        ({"times": None}, "no times of its own"),
        ({"variance": "learned"}, "has not learned a variance"),
        ({"variance": "huge"}, "Unknown reverse variance"),
        ({"terms": 3}, "even number"),
        ({"terms": 0}, "terms is 0, but must be a whole number from 2"),
        ({"chunk": 0}, "chunk is 0"),
        ({"levels": 256}, "does not lie on 256 grey levels"),
        ({"levels": 1}, "levels is 1, but must be a whole number from 2"),
        ({"prior": 0.0}, "prior is 0, but must be"),
        ({"times": [0.1, 1.0], "terms": 2}, "for 0 steps"),
        ({"denoiser": Denoiser(lambda x, t: x, CondOT(), predicts="eps"), "times": [0.0, 0.5]}, "does not determine"),
    ]
    for given, message in refused:
        with pytest.raises(ValueError, match=message):
            bound(**given)
    check_levels(torch.tensor([-1.0, 0.0, 1.0]), 3)
    with pytest.raises(ValueError, match="grey levels"):
        check_levels(torch.tensor([-1.0, 2.0]), 3)
    one = bound(times=[0.5, 1.0])
    assert one.steps.shape == (4, 0)
    assert one.nfe == 1


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("levels", [None, 11])
@pytest.mark.parametrize("variance", ["small", "large", "learned"])
def test_the_loss_of_one_step_each_is_the_bound(variance: str, levels: int | None) -> None:
    """A batch of as many samples as steps holds every step once; a network that guesses a constant needs no ε."""
    path = TABLE

    def net(x: Tensor, t: Tensor) -> Tensor:
        return torch.cat([0.3 + 0.0 * x, 0.0 * x + (2.0 * path.index(t) / 20.0 - 1.0).reshape(-1, 1)], 1)

    denoiser = Denoiser(net, path, predicts="x0", learned_variance=True)
    x0 = torch.full((20, 2), 0.4, dtype=torch.float64)
    found = bound_loss(denoiser, x0, variance=variance, levels=levels, generator=generator())
    whole = variational_bound(denoiser, x0[:1], WhiteNoise(0), variance=variance, levels=levels)
    assert found.mean().item() == pytest.approx((whole.transitions + whole.decoder).item(), rel=1e-12)


@pytest.mark.parametrize("batch", [1, 20])
def test_the_hybrid_loss_teaches_the_prediction_by_the_simple_one(batch: int) -> None:
    """The gradient of the prediction is that of ‖ε − ε-hat‖²/dim; that of v is the bound's."""
    guess = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    v = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)

    def net(x: Tensor, t: Tensor) -> Tensor:
        return torch.cat([guess + 0.0 * x, 2.0 * v - 1.0 + 0.0 * x], 1)

    denoiser = Denoiser(net, TABLE, predicts="eps", learned_variance=True)
    x0 = torch.full((batch, 2), 0.4, dtype=torch.float64)
    found = hybrid_loss(denoiser, x0, weight=0.5, generator=generator())
    bound = bound_loss(denoiser, x0, variance="learned", generator=generator())
    random = generator()
    torch.rand((), generator=random, dtype=torch.float64)
    torch.randperm(batch, generator=random)
    eps = torch.randn(x0.shape, generator=random, dtype=torch.float64)
    simple = (guess - eps).square().mean(1)
    torch.testing.assert_close(found, simple + 0.5 * bound / 2.0, rtol=1e-9, atol=1e-9)
    by_guess, by_v = torch.autograd.grad(found.sum(), (guess, v))
    torch.testing.assert_close(by_guess, torch.autograd.grad(simple.sum(), guess)[0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(by_v, 0.25 * torch.autograd.grad(bound.sum(), v)[0], rtol=1e-9, atol=1e-9)


def test_losses_refuse_what_the_bound_refuses() -> None:
    denoiser = LINE.denoiser(TABLE)
    losses: list[Callable[[], Tensor]] = [
        lambda: bound_loss(denoiser, CORNERS, variance="large", levels=3),
        lambda: bound_loss(denoiser, CORNERS, variance="learned"),
        lambda: bound_loss(denoiser, CORNERS, variance="huge"),
        lambda: hybrid_loss(denoiser, CORNERS),
        lambda: hybrid_loss(denoiser, CORNERS, levels=3),
    ]
    for loss in losses:
        with pytest.raises(ValueError, match=r"grey levels|variance"):
            loss()

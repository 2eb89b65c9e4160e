"""The empirical measure against narrow mixtures, autograd, the continuity equation, and its limits."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from oracle_contract import ENDLESS, PATHS, TIMES, check_fields, check_per_sample_times, check_transport

from fokker.generative import VP, CondOT, GaussianPath, flow
from fokker.solvers import Heun, solve
from fokker.verification import GaussianMixture
from fokker.verification.oracles import Empirical, PointMass

FLOAT = torch.float64
DATA = torch.randn(20, 2, generator=torch.Generator().manual_seed(0), dtype=FLOAT)
WEIGHTS = torch.softmax(torch.randn(20, generator=torch.Generator().manual_seed(1), dtype=FLOAT), 0)
LAW = Empirical(DATA, WEIGHTS, chunk=7)
LINE = Empirical(DATA[:, :1], WEIGHTS, chunk=6)


@pytest.mark.parametrize("path", PATHS, ids=str)
@pytest.mark.parametrize("t", TIMES)
def test_its_fields_are_consistent(path: GaussianPath, t: float) -> None:
    check_fields(LAW, path, t)
    check_transport(LAW, path, t)


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_times_per_sample(path: GaussianPath) -> None:
    check_per_sample_times(LAW, path)


@pytest.mark.parametrize("path", PATHS, ids=str)
@pytest.mark.parametrize("t", [0.0, 0.5])
def test_it_is_the_mixture_of_vanishing_widths(path: GaussianPath, t: float) -> None:
    """Components of variance v change a field by less than v α²/σ² times its own scale: 1e-14 for v = 1e-14 here."""
    narrow = GaussianMixture(WEIGHTS, DATA, 1e-14 * torch.eye(2, dtype=FLOAT).expand(20, 2, 2))
    x = LAW.sample(6, 0, t, path)
    for field in ("log_prob", "x0", "score", "velocity", "divergence"):
        torch.testing.assert_close(
            getattr(LAW, field)(x, t, path), getattr(narrow, field)(x, t, path), rtol=1e-11, atol=1e-11
        )
    frequency = torch.randn(5, 2, generator=torch.Generator().manual_seed(2), dtype=FLOAT)
    torch.testing.assert_close(LAW.characteristic(frequency), narrow.characteristic(frequency), rtol=0, atol=1e-12)
    for mine, other in zip(LAW.moments(t, path), narrow.moments(t, path), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-12)


def test_the_chunks_do_not_matter() -> None:
    x = LAW.sample(6, 0, 0.7, CondOT())
    for chunk in (1, 20, 1000):
        other = Empirical(DATA, WEIGHTS, chunk=chunk)
        for field in ("log_prob", "x0", "divergence"):
            torch.testing.assert_close(
                getattr(other, field)(x, 0.7, CondOT()), getattr(LAW, field)(x, 0.7, CondOT()), rtol=1e-13, atol=1e-13
            )


def test_without_noise_it_is_the_nearest_point() -> None:
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(3), dtype=FLOAT)
    nearest = DATA[torch.cdist(x, DATA).argmin(1)]
    for t in (1.0, 1.0 - 1e-9):  # w y/w is y to two roundings
        torch.testing.assert_close(LAW.x0(x, t, CondOT()), nearest, rtol=1e-15, atol=0)
    # Between two points that are equally near stands their weighted mean.
    pair = Empirical(torch.tensor([[-1.0], [1.0]], dtype=FLOAT), torch.tensor([0.25, 0.75], dtype=FLOAT))
    assert pair.x0(torch.zeros(1, 1, dtype=FLOAT), 1.0, CondOT()).item() == 0.5
    # On the data nothing is known of the noise, and its mean is zero.
    assert torch.equal(LAW.eps(DATA, 1.0, CondOT()), torch.zeros_like(DATA))
    torch.testing.assert_close(LAW.velocity(DATA, 1.0, CondOT()), DATA, rtol=1e-15, atol=0)


def test_where_no_signal_is_left_it_is_the_mean() -> None:
    x = torch.randn(4, 2, generator=torch.Generator().manual_seed(3), dtype=FLOAT)
    torch.testing.assert_close(LAW.x0(x, 0.0, ENDLESS), (WEIGHTS @ DATA).expand(4, 2), rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(LAW.score(x, 0.0, ENDLESS), -x, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("path", [CondOT(), VP()], ids=str)
def test_solvers_end_on_the_data(path: GaussianPath) -> None:
    """A memorising network: its flow leads to points of the data set, to the width σ of the last time."""
    x = LAW.sample(32, 5, 0.01, path)
    times = torch.linspace(0.01, 1.0 - 1e-3, 200, dtype=FLOAT)
    end = solve(flow(LAW.denoiser(path)), x, times, Heun()).x
    assert torch.cdist(end, path.alpha(0.999) * DATA).amin(1).max() < 10.0 * path.sigma(0.999)


def test_images_are_flattened_inside() -> None:
    images = DATA.reshape(10, 1, 2, 2)
    law, flat = Empirical(images), Empirical(images.flatten(1))
    x = law.sample(3, 0, 0.6, CondOT())
    assert x.shape == (3, 1, 2, 2)
    for field in ("score", "x0", "velocity", "log_prob", "divergence"):
        expected = getattr(flat, field)(x.flatten(1), 0.6, CondOT())
        assert torch.equal(getattr(law, field)(x, 0.6, CondOT()).reshape(expected.shape), expected)


def test_single_precision_agrees_with_double() -> None:
    single = Empirical(DATA.float(), WEIGHTS.float())
    x = LAW.sample(8, 0, 0.5, CondOT())
    for field in ("score", "x0", "log_prob", "divergence"):
        double = getattr(LAW, field)(x, 0.5, CondOT())
        value = getattr(single, field)(x.float(), 0.5, CondOT())
        assert value.dtype == torch.float32
        assert (value - double).norm() < 1e-4 * double.norm()


def test_draws_are_data_in_their_shares() -> None:
    """n = 20 000: a share of w is off by more than 5 √(w (1 − w)/n) in one run of 10^5 for all 20 points."""
    drawn = LAW.sample(20_000, 0)
    counts = (drawn[:, None] == DATA).all(2).double().mean(0)
    assert abs(float(counts.sum()) - 1.0) < 1e-12
    assert ((counts - WEIGHTS).abs() < 5.0 * (WEIGHTS * (1.0 - WEIGHTS) / 20_000).sqrt()).all()
    assert torch.equal(LAW.sample(50, 4)[:7], LAW.sample(7, 4))
    assert torch.equal(LAW.sample(50, 4, 0.5, CondOT())[:7], LAW.sample(7, 4, 0.5, CondOT()))


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_on_the_line_its_flow_is_the_quantile_map(path: GaussianPath) -> None:
    """d/dt of the map is the velocity where it arrives; it composes; and at σ = 0 it is the quantile of the data."""
    x, s, e = LINE.sample(9, 0, 0.1, path), 0.1, 1e-5
    for t in (0.4, 0.8):
        arrived = LINE.flow_map(x, s, t, path)
        rate = (LINE.flow_map(x, s, t + e, path) - LINE.flow_map(x, s, t - e, path)) / (2.0 * e)
        torch.testing.assert_close(rate, LINE.velocity(arrived, t, path), rtol=1e-5, atol=1e-5)  # e², and 1e-13/e
        torch.testing.assert_close(LINE.flow_map(arrived, t, s, path), x, rtol=1e-10, atol=1e-10)


def test_the_flow_to_the_data_is_the_quantile() -> None:
    order = DATA[:, 0].argsort()
    cumulative = WEIGHTS[order].cumsum(0)
    middle = cumulative - 0.5 * WEIGHTS[order]
    x = torch.special.ndtri(middle)[:, None]
    torch.testing.assert_close(LINE.flow_map(x, 0.0, 1.0, CondOT())[:, 0], DATA[order, 0], rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_a_point_has_its_flow_in_every_dimension(path: GaussianPath) -> None:
    point = PointMass(DATA[0])
    x = point.sample(6, 0, 0.2, path)
    mapped = point.flow_map(x, 0.2, 0.7, path)
    times = torch.full((6,), 0.7, dtype=FLOAT, requires_grad=True)
    arrived = point.flow_map(x, 0.2, times, path)
    rate = torch.stack([torch.autograd.grad(arrived[:, i].sum(), times, retain_graph=True)[0] for i in (0, 1)], 1)
    torch.testing.assert_close(rate, point.velocity(mapped, 0.7, path), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(point.flow_map(mapped, 0.7, 0.2, path), x, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(point.x0(x, 0.2, path), DATA[0].expand(6, 2), rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(point.log_prob(x, 0.2, path), _normal_log_prob(x, path, 0.2), rtol=1e-12, atol=1e-12)


def _normal_log_prob(x: torch.Tensor, path: GaussianPath, t: float) -> torch.Tensor:
    sigma = torch.full((2,), path.sigma(t), dtype=FLOAT)
    return torch.distributions.Normal(path.alpha(t) * DATA[0], sigma).log_prob(x).sum(1)


X = torch.zeros(3, 2, dtype=FLOAT)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Empirical(DATA[:, 0]), r"shape \(n, d\)"),
        (lambda: Empirical(DATA[:0]), "floats of shape"),
        (lambda: Empirical(DATA, WEIGHTS[:3]), r"shape \(20,\)"),
        (lambda: Empirical(DATA, WEIGHTS.float()), "float64 of shape"),
        (lambda: Empirical(DATA, 2.0 * WEIGHTS), "sum 2"),
        (lambda: LAW.log_prob(X), "has not got a density where σ = 0"),
        (lambda: LAW.score(X, 1.0, CondOT()), "a score where σ = 0"),
        (lambda: LAW.divergence(X, 1.0, CondOT()), "a finite divergence"),
        (lambda: LAW.log_prob(X[:, :1], 0.5, CondOT()), r"shape \(B, 2\)"),
        (lambda: LAW.log_cdf(X, 0.5, CondOT()), "distribution function"),
        (lambda: LAW.flow_map(X, 0.5, 0.6, CondOT()), "distribution function"),
        (lambda: PointMass(DATA[0]).flow_map(X, 1.0, 0.5, CondOT()), "a way back"),
        (lambda: LAW.denoiser(CondOT(), "noise"), "Unknown kind"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as failure:
        make()
    assert "\n" not in str(failure.value)


def test_far_from_all_data_nothing_overflows() -> None:
    x = torch.full((2, 2), 1e4, dtype=FLOAT)
    for field in ("log_prob", "score", "x0", "velocity", "divergence"):
        assert getattr(LAW, field)(x, 0.999, CondOT()).isfinite().all()
    assert math.isfinite(float(LINE.log_cdf(x[:, :1], 0.5, CondOT(), upper=True).max()))

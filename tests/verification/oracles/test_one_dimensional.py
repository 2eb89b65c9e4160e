"""Uniform, Laplace and Student against scipy, independent quadrature, autograd, transport, and the ends of a path."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from oracle_contract import ENDLESS, PATHS, TIMES, check_fields, check_per_sample_times, check_transport
from scipy import integrate, special, stats

from fokker.generative import VE, VP, CondOT, GaussianPath, flow
from fokker.solvers import RK4, solve
from fokker.verification import Gaussian, GaussianMixture
from fokker.verification.oracles import Laplace, Oracle, Student, Uniform, monotone_map

FLOAT = torch.float64


def student(freedom: float) -> Student:
    return Student(freedom, torch.tensor([0.2], dtype=FLOAT), torch.tensor([[0.5]], dtype=FLOAT))


LAWS: dict[str, tuple[Oracle, Any, list[float]]] = {  # with scipy's, and where a quadrature must stop
    "uniform": (Uniform(-1.0, 2.0), stats.uniform(-1.0, 3.0), [-1.0, 2.0]),
    "laplace": (Laplace(0.3, 0.7), stats.laplace(0.3, 0.7), [-40.0, 0.3, 40.0]),
    "student 2": (student(2.0), stats.t(2.0, 0.2, 0.5**0.5), [-1e7, -1e3, -10.0, 0.2, 10.0, 1e3, 1e7]),
    "student 3": (student(3.0), stats.t(3.0, 0.2, 0.5**0.5), [-1e5, -1e3, -10.0, 0.2, 10.0, 1e3, 1e5]),
    "student 50": (student(50.0), stats.t(50.0, 0.2, 0.5**0.5), [-20.0, 0.2, 20.0]),
}
laws = pytest.mark.parametrize("name", LAWS)
paths = pytest.mark.parametrize("path", PATHS, ids=str)


@laws
def test_without_noise_it_is_the_law_itself(name: str) -> None:
    law, reference, _ = LAWS[name]
    # Beyond 50 standard deviations and inside; scipy's Student is good to 2e-14 there.
    x = torch.tensor([-30.0, -3.0, -0.9, -0.2, 0.3, 0.31, 1.9, 2.1, 30.0], dtype=FLOAT)
    for mine, expected in (
        (law.log_prob(x[:, None]), reference.logpdf(x.numpy())),
        (law.log_cdf(x[:, None]), reference.logcdf(x.numpy())),
        (law.log_cdf(x[:, None], upper=True), reference.logsf(x.numpy())),
    ):
        torch.testing.assert_close(mine, torch.from_numpy(expected), rtol=1e-13, atol=4e-14)


def noised(reference: Any, breaks: list[float], x: float, alpha: float, sigma: float, power: int, cdf: bool) -> float:
    """∫ p(y) yᵏ N(x; α y, σ²) dy, or with Φ in place of the normal density, by scipy's adaptive rule."""

    def integrand(y: float) -> float:
        z = (x - alpha * y) / sigma
        kernel = special.ndtr(z) if cdf else math.exp(-0.5 * z * z) / (sigma * math.sqrt(2.0 * math.pi))
        return float(reference.pdf(y)) * y**power * kernel

    middle = [x / alpha + k * sigma / alpha for k in (-8.0, 0.0, 8.0)]
    stops = sorted({*breaks, *(y for y in middle if breaks[0] < y < breaks[-1])})
    parts = [integrate.quad(integrand, a, b, epsabs=1e-15, epsrel=1e-12, limit=200)[0] for a, b in pairwise(stops)]
    return math.fsum([*parts, float(reference.cdf(breaks[0])) if cdf else 0.0])  # Φ is 1 before the first stop


@pytest.mark.thinned(4)
@laws
@pytest.mark.parametrize("path", [CondOT(), VP(), VE()], ids=str)
@pytest.mark.parametrize("t", [0.3, 0.9])
def test_density_denoiser_and_distribution_are_their_integrals(name: str, path: GaussianPath, t: float) -> None:
    law, reference, breaks = LAWS[name]
    alpha, sigma = path.alpha(t), path.sigma(t)
    x = law.sample(4, 3, t, path)
    for value, log_prob, x0, log_cdf in zip(
        x[:, 0].tolist(),
        law.log_prob(x, t, path).tolist(),
        law.x0(x, t, path)[:, 0].tolist(),
        law.log_cdf(x, t, path).tolist(),
        strict=True,
    ):
        density = noised(reference, breaks, value, alpha, sigma, 0, False)
        mean = noised(reference, breaks, value, alpha, sigma, 1, False) / density
        assert math.exp(log_prob) == pytest.approx(density, rel=1e-9)
        assert x0 == pytest.approx(mean, rel=1e-8, abs=1e-8)
        assert math.exp(log_cdf) == pytest.approx(noised(reference, breaks, value, alpha, sigma, 0, True), rel=1e-9)


@laws
@paths
@pytest.mark.parametrize("t", [*TIMES, 1.0 - 1e-6])
def test_its_fields_are_consistent(name: str, path: GaussianPath, t: float) -> None:
    law = LAWS[name][0]
    if t in TIMES:
        check_fields(law, path, t)
    check_transport(law, path, t)


@laws
@paths
def test_the_distribution_function_has_the_density_as_its_slope(name: str, path: GaussianPath) -> None:
    law = LAWS[name][0]
    x = law.sample(40, 4, 0.6, path).requires_grad_()
    density = law.log_prob(x, 0.6, path)
    for upper, sign in ((False, 1.0), (True, -1.0)):
        tail = law.log_cdf(x, 0.6, path, upper=upper)
        (slope,) = torch.autograd.grad(tail.sum(), x)
        torch.testing.assert_close(sign * slope[:, 0], torch.exp(density - tail), rtol=1e-9, atol=1e-9)
    one = torch.logaddexp(law.log_cdf(x, 0.6, path), law.log_cdf(x, 0.6, path, upper=True))
    torch.testing.assert_close(one, torch.zeros_like(one), rtol=0, atol=4e-14)
    upper = torch.arange(40) % 2 == 0
    each = torch.where(upper, law.log_cdf(x, 0.6, path, upper=True), law.log_cdf(x, 0.6, path))
    assert torch.equal(law.log_cdf(x, 0.6, path, upper=upper), each)


@laws
@paths
def test_times_per_sample(name: str, path: GaussianPath) -> None:
    check_per_sample_times(LAWS[name][0], path)


@laws
@pytest.mark.parametrize("path", [CondOT(), ENDLESS, VE()], ids=str)
def test_the_ends_are_limits(name: str, path: GaussianPath) -> None:
    """Each field at an end is that of a time 1e-10 away: VE's velocity, −80 σ_t times a score there, moves by 6e-7."""
    law = LAWS[name][0]
    x = law.sample(6, 5, 0.0, path)
    fields = ["log_prob", "score", "x0", "eps", "v", "velocity", "divergence", "log_cdf"]
    for end, near in ((0.0, 1e-10), (1.0, 1.0 - 1e-10)):
        x = law.sample(6, 5, end, path)
        for field in fields:
            value = getattr(law, field)(x, end, path)
            torch.testing.assert_close(value, getattr(law, field)(x, near, path), rtol=1e-5, atol=1e-5)
    if path.alpha(0.0) == 0.0:
        x = law.sample(6, 5, 0.0, path)
        assert torch.equal(law.sample(6, 5, 0.0, path), x)
        torch.testing.assert_close(law.score(x, 0.0, path), -x, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(law.log_cdf(x, 0.0, path), torch.special.log_ndtr(x[:, 0]), rtol=1e-12, atol=1e-13)


@laws
@paths
def test_the_flow_map_follows_the_velocity(name: str, path: GaussianPath) -> None:
    """It composes, and its derivative in time is the velocity: differences of order e², and of rounding 1e-13/e."""
    law, e = LAWS[name][0], 1e-5
    x = law.sample(7, 6, 0.2, path)
    for t in (0.5, 0.9):
        arrived = law.flow_map(x, 0.2, t, path)
        rate = (law.flow_map(x, 0.2, t + e, path) - law.flow_map(x, 0.2, t - e, path)) / (2.0 * e)
        torch.testing.assert_close(rate, law.velocity(arrived, t, path), rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(law.flow_map(arrived, t, 0.2, path), x, rtol=1e-10, atol=1e-10)


@laws
def test_from_end_to_end_the_map_is_the_quantile_for_every_path(name: str) -> None:
    """F⁻¹(Φ(x)): the same for all schedules, 1e-13 of F in the tails of x = ±5 (claim of the lecture notes, A018)."""
    law, reference, _ = LAWS[name]
    x = torch.linspace(-5.0, 5.0, 11, dtype=FLOAT)[:, None]
    expected = np.where(x[:, 0] < 0, reference.ppf(stats.norm.cdf(x[:, 0])), reference.isf(stats.norm.sf(x[:, 0])))
    for path in (CondOT(), ENDLESS):
        mapped = law.flow_map(x, 0.0, 1.0, path)[:, 0]
        torch.testing.assert_close(mapped, torch.from_numpy(expected), rtol=1e-9, atol=1e-11)  # scipy's ppf: 1e-10


def test_a_solver_finds_the_flow_map() -> None:
    """Fourth order: 200 steps of Runge and Kutta on the smooth part of the way."""
    law, path = LAWS["laplace"][0], CondOT()
    x = torch.linspace(-2.0, 2.0, 9, dtype=FLOAT)[:, None]
    end = solve(flow(law.denoiser(path)), x, torch.linspace(0.0, 0.7, 201, dtype=FLOAT), RK4()).x
    torch.testing.assert_close(end, law.flow_map(x, 0.0, 0.7, path), rtol=0, atol=1e-7)


@pytest.mark.parametrize("path", [CondOT(), VE()], ids=str)
def test_a_mixture_on_the_line_has_its_flow_too(path: GaussianPath) -> None:
    weights, means, stds = torch.tensor([[0.3, 0.7], [-1.5, 0.8], [0.3, 0.6]], dtype=FLOAT)
    law = GaussianMixture(weights, means[:, None], stds[:, None, None] ** 2)
    x = law.sample(9, 0, 0.1, path)
    arrived = law.flow_map(x, 0.1, 0.8, path)
    rate = (law.flow_map(x, 0.1, 0.8 + 1e-5, path) - law.flow_map(x, 0.1, 0.8 - 1e-5, path)) / 2e-5
    torch.testing.assert_close(rate, law.velocity(arrived, 0.8, path), rtol=1e-6, atol=1e-6)
    one = Gaussian(means[:1], stds[:1, None] ** 2)
    quantiles = GaussianMixture.flow_map(one, x, 0.1, 0.8, path)
    torch.testing.assert_close(quantiles, one.flow_map(x, 0.1, 0.8, path), rtol=1e-11, atol=1e-11)


@laws
def test_characteristic_function_and_moments(name: str) -> None:
    """Those of Student by a cosine integral, of the others in closed form; n = 40 000 draws agree to 5 errors."""
    law, reference, _ = LAWS[name]
    omega = torch.tensor([0.0, 0.3, 1.0, 2.7], dtype=FLOAT)
    value = law.characteristic(omega[:, None])
    x = law.sample(40_000, 7)[:, 0]
    wave = torch.exp(1j * omega[:, None] * x)
    assert (wave.mean(1) - value).abs().max() < 5.0 / 200.0
    if name.startswith("student"):
        freedom, scaled = reference.args[0], np.sqrt(reference.args[0]) * math.sqrt(0.5) * omega.numpy()[1:]
        half = 0.5 * freedom
        amplitude = special.kv(half, scaled) * scaled**half / special.gamma(half) * 2.0 ** (1.0 - half)
        torch.testing.assert_close(value[1:].abs(), torch.from_numpy(amplitude), rtol=1e-11, atol=1e-12)
        torch.testing.assert_close(value[1:].angle(), 0.2 * omega[1:], rtol=1e-11, atol=1e-12)
    mean, cov = law.moments()
    assert cov.item() == pytest.approx(float(reference.var()), rel=1e-12)
    if math.isfinite(cov.item()):
        assert mean.item() == pytest.approx(float(reference.mean()), abs=1e-12)
        assert law.moments(0.3, CondOT())[1].item() == pytest.approx(0.09 * cov.item() + 0.49, rel=1e-12)
    assert stats.kstest(x.numpy(), reference.cdf).pvalue > 1e-3


def test_student_in_the_plane_is_scipys() -> None:
    mean, scale = torch.tensor([0.3, -1.0], dtype=FLOAT), torch.tensor([[0.5, 0.2], [0.2, 0.4]], dtype=FLOAT)
    law = Student(4.0, mean, scale)
    x = torch.tensor([[0.0, 0.0], [0.3, -1.0], [50.0, 20.0], [-1e4, 1e3]], dtype=FLOAT)
    expected = stats.multivariate_t(mean.numpy(), scale.numpy(), 4.0).logpdf(x.numpy())
    torch.testing.assert_close(law.log_prob(x), torch.from_numpy(expected), rtol=1e-13, atol=1e-13)
    check_fields(law, CondOT(), 0.4)
    check_transport(law, CondOT(), 0.4)


def test_single_precision_agrees_with_double() -> None:
    for single, double in (
        (Uniform(-1.0, 2.0, dtype=torch.float32), LAWS["uniform"][0]),
        (Laplace(0.3, 0.7, dtype=torch.float32), LAWS["laplace"][0]),
    ):
        x = double.sample(8, 0, 0.5, CondOT())
        for field in ("score", "x0", "log_prob", "divergence", "log_cdf"):
            value = getattr(single, field)(x.float(), 0.5, CondOT())
            assert value.dtype == torch.float32
            assert (value - getattr(double, field)(x, 0.5, CondOT())).norm() < 1e-5 * value.norm()


def test_monotone_maps_reach_far_into_the_tails() -> None:
    def normal(y: torch.Tensor, upper: torch.Tensor) -> torch.Tensor:
        return torch.special.log_ndtr(torch.where(upper, -y, y))

    def wide(y: torch.Tensor, upper: torch.Tensor) -> torch.Tensor:
        return normal((y - 3.0) / 1e6, upper)

    x = torch.linspace(-30.0, 30.0, 61, dtype=FLOAT)
    torch.testing.assert_close(monotone_map(normal, wide, x), 3.0 + 1e6 * x, rtol=1e-14, atol=1e-8)
    torch.testing.assert_close(monotone_map(wide, normal, 3.0 + 1e6 * x), x, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Uniform(1.0, 1.0), "low < high"),
        (lambda: student(1.0), "1 < freedom"),
        (lambda: student(1000.0), "take a Gaussian"),
        (lambda: Student(3.0, torch.zeros(1), torch.eye(1)), "give float64"),
        (lambda: Laplace().score(torch.zeros(3, 2, dtype=FLOAT), 0.5, CondOT()), r"shape \(B, 1\)"),
        (lambda: Laplace().log_prob(torch.zeros(3, 1, dtype=FLOAT), 0.5), "give path="),
        (lambda: Laplace().sample(3, 0, 0.5), "give path="),
        (lambda: Laplace().velocity(torch.zeros(3, 1, dtype=FLOAT), 1.0, VP()), "slope of sigma is infinite"),
        (lambda: Uniform(0.0, 1.0).flow_map(2.0 * torch.ones(1, 1).double(), 1.0, 0.5, CondOT()), "inside the support"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as failure:
        make()
    assert "\n" not in str(failure.value)


def test_outside_the_support_there_is_no_density() -> None:
    x = torch.tensor([[-2.0], [0.0], [3.0]], dtype=FLOAT)
    log_prob = LAWS["uniform"][0].log_prob(x)
    assert log_prob.isinf().tolist() == [True, False, True]

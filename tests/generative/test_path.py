"""Every schedule against its definition: ends, derivatives, inverse log-SNR, transition kernel."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from fokker.generative.path import VE, VP, CondOT, Cosine, GaussianPath

PATHS = [
    CondOT(),
    Cosine(),
    Cosine(shift=-1.4),
    Cosine(log_snr_min=-4.0, log_snr_max=5.0, shift=0.7),
    Cosine(-math.inf, math.inf),
    VP(),
    VP(beta_min=0.5, beta_max=12.0),
    VE(),
    VE(sigma_max=20.0),
]
COEFFICIENTS = ["alpha", "sigma", "d_alpha", "d_sigma", "log_snr", "d_log_snr"]
INSIDE = torch.linspace(0.02, 0.98, 25, dtype=torch.float64)

each_path = pytest.mark.parametrize("path", PATHS, ids=str)


def derivative(function: str, path: GaussianPath, t: torch.Tensor) -> torch.Tensor:
    t = t.clone().requires_grad_()
    (slope,) = torch.autograd.grad(getattr(path, function)(t).sum(), t)
    return slope


@pytest.mark.parametrize(
    ("path", "noise", "data"),
    [
        (CondOT(), (0.0, 1.0), (1.0, 0.0)),
        (Cosine(-math.inf, math.inf), (0.0, 1.0), (1.0, 0.0)),
        (Cosine(-math.inf, math.inf, shift=-0.8), (0.0, 1.0), (1.0, 0.0)),
        (VE(sigma_max=50.0), (1.0, 50.0), (1.0, 0.0)),
        (VP(), (math.exp(-5.025), math.sqrt(1.0 - math.exp(-10.05))), (1.0, 0.0)),
    ],
    ids=str,
)
def test_ends(path: GaussianPath, noise: tuple[float, float], data: tuple[float, float]) -> None:
    for t, (alpha, sigma) in ((0.0, noise), (1.0, data)):
        assert path.alpha(t) == pytest.approx(alpha, rel=1e-14, abs=0.0)
        assert path.sigma(t) == pytest.approx(sigma, rel=1e-14, abs=0.0)
        log_snr = math.log(alpha / sigma) if alpha * sigma else math.copysign(math.inf, alpha - sigma)
        assert path.log_snr(t) == pytest.approx(log_snr, rel=1e-13)


@pytest.mark.parametrize("shift", [0.0, -1.4, 0.7])
def test_cosine_is_truncated_where_it_says(shift: float) -> None:
    path = Cosine(-6.0, 4.0, shift)
    assert path.log_snr(0.0) == pytest.approx(-6.0, rel=1e-13)
    assert path.log_snr(1.0) == pytest.approx(4.0, rel=1e-13)


def test_cosine_is_the_published_schedule() -> None:
    """α = sin(πt/2), σ = cos(πt/2); a shift moves the log-SNR and nothing else (2301.11093, section 3.1)."""
    angle = 0.5 * math.pi * INSIDE
    torch.testing.assert_close(Cosine(-math.inf, math.inf).alpha(INSIDE), angle.sin(), rtol=1e-13, atol=0.0)
    torch.testing.assert_close(Cosine(-math.inf, math.inf).sigma(INSIDE), angle.cos(), rtol=1e-13, atol=0.0)
    shifted = Cosine(-math.inf, math.inf, shift=-1.4).log_snr(INSIDE)
    torch.testing.assert_close(shifted, angle.tan().log() - 1.4, rtol=1e-12, atol=1e-12)


def test_vp_is_the_integral_of_its_beta() -> None:
    """−2 log α_t = ∫ β over the time s = 1 − t of diffusion, β = 0.1 + 19.9 s (2011.13456, eq. 33)."""
    nodes = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000  # midpoints are exact for a linear β
    for t in INSIDE.tolist():
        integral = ((0.1 + 19.9 * (1.0 - t) * nodes) * (1.0 - t)).mean().item()
        assert VP().alpha(t) == pytest.approx(math.exp(-0.5 * integral), rel=1e-13)


@each_path
def test_derivatives_are_those_of_autograd(path: GaussianPath) -> None:
    for function in ("alpha", "sigma", "log_snr"):
        slope = getattr(path, f"d_{function}")(INSIDE)
        torch.testing.assert_close(slope, derivative(function, path, INSIDE), rtol=1e-10, atol=1e-10)


@each_path
@pytest.mark.parametrize("function", COEFFICIENTS)
def test_floats_equal_tensors(path: GaussianPath, function: str) -> None:
    floats = [getattr(path, function)(t) for t in INSIDE.tolist()]
    assert all(isinstance(value, float) for value in floats)
    tensors = getattr(path, function)(INSIDE)
    assert tensors.dtype == torch.float64
    torch.testing.assert_close(tensors, torch.tensor(floats, dtype=torch.float64), rtol=1e-12, atol=1e-12)
    assert getattr(path, function)(INSIDE.reshape(5, 5)).shape == (5, 5)


@each_path
def test_single_precision(path: GaussianPath) -> None:
    for function in ("alpha", "sigma"):
        single = getattr(path, function)(INSIDE.float())
        assert single.dtype == torch.float32
        torch.testing.assert_close(single.double(), getattr(path, function)(INSIDE), rtol=1e-4, atol=1e-6)


@each_path
def test_log_snr_grows_and_is_inverted_by_time(path: GaussianPath) -> None:
    log_snr = path.log_snr(INSIDE)
    assert (log_snr.diff() > 0.0).all()
    assert (path.d_log_snr(INSIDE) > 0.0).all()
    torch.testing.assert_close(log_snr, (path.alpha(INSIDE) / path.sigma(INSIDE)).log(), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(path.time(log_snr), INSIDE, rtol=1e-11, atol=1e-11)
    for t in INSIDE.tolist():
        assert path.time(path.log_snr(t)) == pytest.approx(t, rel=1e-11)


@each_path
@pytest.mark.parametrize("t", [1e-3, 1e-6])
def test_log_snr_is_inverted_close_to_both_ends(path: GaussianPath, t: float) -> None:
    assert path.time(path.log_snr(t)) == pytest.approx(t, rel=1e-7)
    assert 1.0 - path.time(path.log_snr(1.0 - t)) == pytest.approx(t, rel=1e-7)


def test_vp_continues_to_every_log_snr() -> None:
    """Beyond t = 0 too, α and σ are functions of the log-SNR alone."""
    for log_snr in (-20.0, -9.0, -5.1, 0.0, 12.0, 20.0):
        t = VP().time(log_snr)
        assert VP().alpha(t) ** 2 == pytest.approx(1.0 / (1.0 + math.exp(-2.0 * log_snr)), rel=1e-10)
        assert VP().sigma(t) ** 2 == pytest.approx(1.0 / (1.0 + math.exp(2.0 * log_snr)), rel=1e-8)


@each_path
def test_variance_preserving_where_it_should_be(path: GaussianPath) -> None:
    if isinstance(path, Cosine | VP):
        total = path.alpha(INSIDE) ** 2 + path.sigma(INSIDE) ** 2
        torch.testing.assert_close(total, torch.ones_like(total), rtol=1e-14, atol=0.0)


@each_path
def test_transition_joins_the_marginals(path: GaussianPath) -> None:
    """q(x_r|x_t) q(x_t|x₀) = q(x_r|x₀) (2107.00630, eqs. 1-2): α_r = a α_t and σ_r² = a² σ_t² + s²."""
    r, t = 0.2, 0.7
    scale, std = path.transition(r, t)
    assert path.alpha(r) == pytest.approx(scale * path.alpha(t), rel=1e-13)
    assert path.sigma(r) ** 2 == pytest.approx(scale**2 * path.sigma(t) ** 2 + std**2, rel=1e-12)


@each_path
def test_transitions_compose(path: GaussianPath) -> None:
    r, s, t = 0.1, 0.45, 0.8
    (first, first_std), (second, second_std) = path.transition(s, t), path.transition(r, s)
    scale, std = path.transition(r, t)
    assert scale == pytest.approx(second * first, rel=1e-13)
    assert std**2 == pytest.approx((second * first_std) ** 2 + second_std**2, rel=1e-12)


def test_transition_from_the_data_is_the_marginal() -> None:
    scale, std = CondOT().transition(0.3, 1.0)
    assert (scale, std) == (pytest.approx(0.3), pytest.approx(0.7))


@each_path
def test_a_path_is_its_configuration(path: GaussianPath) -> None:
    assert type(path)(**dataclasses.asdict(path)) == path


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (Cosine, {"log_snr_min": 3.0, "log_snr_max": 3.0}, "log_snr_min < log_snr_max"),
        (VP, {"beta_min": 0.0}, "beta_min"),
        (VP, {"beta_min": 3.0, "beta_max": 2.0}, "beta_max"),
        (VE, {"sigma_max": 0.0}, "sigma_max"),
        (VE, {"sigma_max": math.inf}, "sigma_max"),
    ],
)
def test_impossible_schedules_are_refused(kind: type, arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**arguments)

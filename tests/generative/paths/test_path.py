"""Every schedule against its definition: ends, derivatives, inverse log-SNR, transition kernel."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest
import torch

from fokker.generative.paths import (
    VE,
    VP,
    CondOT,
    Cosine,
    GaussianPath,
    GeometricVE,
    NoisyCondOT,
    Polynomial,
    Shifted,
    SubVP,
    Table,
    linear_betas,
    scaled_linear_betas,
    squared_cosine_betas,
    zero_terminal_snr,
)
from fokker.generative.paths.elementary import Real, atan, cos, exp, sin
from fokker.generative.training.checkpoint import build_path, describe_path

PATHS = [
    CondOT(),
    CondOT(sigma_min=0.02),
    Cosine(),
    Cosine(shift=-1.4),
    Cosine(log_snr_min=-8.0, log_snr_max=10.0, shift=0.7),
    Cosine(-math.inf, math.inf),
    VP(),
    VP(beta_min=0.5, beta_max=12.0),
    VE(),
    VE(sigma_max=20.0),
    SubVP(),
    SubVP(beta_min=0.5, beta_max=12.0),
    Polynomial(2.0),
    Polynomial(2.5),
    GeometricVE(),
    GeometricVE(sigma_min=0.1, sigma_max=3.0),
    NoisyCondOT(0.1),
    NoisyCondOT(2.0),
    Table(linear_betas()),
    Table(scaled_linear_betas(11)),  # few enough for INSIDE to reach the first and the last interval
    Table(squared_cosine_betas(50)),
    Table(zero_terminal_snr(scaled_linear_betas(11, 0.1, 0.6))),
    Table(zero_terminal_snr(linear_betas())),
    Shifted(CondOT(), -1.1),
    Shifted(Cosine(), 0.7),
    Shifted(VP(), -0.9),
    Shifted(SubVP(), 0.8),
    Shifted(Polynomial(2.0), -0.6),
    Shifted(GeometricVE(), 1.3),
    Shifted(Table(scaled_linear_betas(11)), -0.7),
    Shifted(Table(zero_terminal_snr(linear_betas())), 0.9),
]
COEFFICIENTS = ["alpha", "sigma", "d_alpha", "d_sigma", "half_log_snr", "d_half_log_snr"]
INSIDE = torch.linspace(0.02, 0.98, 25, dtype=torch.float64)

each_path = pytest.mark.parametrize("path", PATHS, ids=str)


@dataclasses.dataclass(frozen=True)
class Arc(GaussianPath):
    """α = sin(rate t π/2), σ = cos(rate t π/2), with no more than a path must have."""

    rate: float = 0.9

    def alpha(self, t: Real) -> Real:
        return sin(self.rate * 0.5 * math.pi * t)

    def sigma(self, t: Real) -> Real:
        return cos(self.rate * 0.5 * math.pi * t)

    def time(self, log_snr: Real) -> Real:
        return atan(exp(0.5 * log_snr)) / (self.rate * 0.5 * math.pi)


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
        (CondOT(sigma_min=0.02), (0.0, 1.0), (1.0, 0.02)),
        (SubVP(), (math.exp(-5.025), 1.0 - math.exp(-10.05)), (1.0, 0.0)),
        (Polynomial(3.0), (0.0, 1.0), (1.0, 0.0)),
        (GeometricVE(0.1, 30.0), (1.0, 30.0), (1.0, 0.1)),
        (NoisyCondOT(0.5), (0.0, math.sqrt(1.25)), (1.0, 0.5)),
        (Table((0.1, 0.2, 0.5)), (0.6, 0.8), (1.0, 0.0)),
        (Table((0.1, 0.2, 0.5, 1.0)), (0.0, 1.0), (1.0, 0.0)),
        (Shifted(Polynomial(3.0), -0.7), (0.0, 1.0), (1.0, 0.0)),
        (Shifted(VE(sigma_max=50.0), math.log(5.0)), (1.0, 10.0), (1.0, 0.0)),
        (Shifted(Table((0.1, 0.2, 0.5, 1.0)), 2.0), (0.0, 1.0), (1.0, 0.0)),
    ],
    ids=str,
)
def test_ends(path: GaussianPath, noise: tuple[float, float], data: tuple[float, float]) -> None:
    for t, (alpha, sigma) in ((0.0, noise), (1.0, data)):
        assert path.alpha(t) == pytest.approx(alpha, rel=1e-14, abs=0.0)
        assert path.sigma(t) == pytest.approx(sigma, rel=1e-14, abs=0.0)
        log_snr = math.log(alpha / sigma) if alpha * sigma else math.copysign(math.inf, alpha - sigma)
        assert path.half_log_snr(t) == pytest.approx(log_snr, rel=1e-13)


@pytest.mark.parametrize("shift", [0.0, -1.4, 0.7])
def test_cosine_is_truncated_where_it_says(shift: float) -> None:
    path = Cosine(-12.0, 8.0, shift)
    for t, bound in ((0.0, -12.0), (1.0, 8.0)):
        assert path.log_snr(t) == pytest.approx(bound, rel=1e-13)
        assert path.half_log_snr(t) == pytest.approx(0.5 * bound, rel=1e-13)


def test_cosine_is_the_published_schedule() -> None:
    """α = sin(πt/2), σ = cos(πt/2); a shift moves the log-SNR and nothing else (2301.11093, section 3.1)."""
    angle = 0.5 * math.pi * INSIDE
    torch.testing.assert_close(Cosine(-math.inf, math.inf).alpha(INSIDE), angle.sin(), rtol=1e-13, atol=0.0)
    torch.testing.assert_close(Cosine(-math.inf, math.inf).sigma(INSIDE), angle.cos(), rtol=1e-13, atol=0.0)
    shifted = Cosine(-math.inf, math.inf, shift=-1.4).half_log_snr(INSIDE)
    torch.testing.assert_close(shifted, angle.tan().log() - 1.4, rtol=1e-12, atol=1e-12)


def test_vp_is_the_integral_of_its_beta() -> None:
    """−2 log α_t = ∫ β over the time s = 1 − t of diffusion, β = 0.1 + 19.9 s (2011.13456, eq. 33)."""
    nodes = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000  # midpoints are exact for a linear β
    for t in INSIDE.tolist():
        integral = ((0.1 + 19.9 * (1.0 - t) * nodes) * (1.0 - t)).mean().item()
        assert VP().alpha(t) == pytest.approx(math.exp(-0.5 * integral), rel=1e-13)


def test_condot_with_noise_left_is_published() -> None:
    """Lipman et al. (2210.02747), eq. 20, and its constant velocity x₁ − (1 − σ_min) x₀."""
    path = CondOT(sigma_min=0.05)
    assert (path.alpha(0.3), path.sigma(0.3)) == (0.3, pytest.approx(1.0 - 0.95 * 0.3, rel=1e-15))
    assert (path.d_alpha(0.3), path.d_sigma(0.3)) == (1.0, pytest.approx(-0.95, rel=1e-15))


def test_sub_vp_solves_the_variance_of_its_equation() -> None:
    """dx = −β/2 x ds + √(β (1 − e^{−4L})) dw (2011.13456, eq. 12) gives dv/ds = −β v + β (1 − e^{−4L})."""
    path, s = SubVP(), 1.0 - INSIDE
    beta = 0.1 + 19.9 * s
    variance, d_variance = path.sigma(INSIDE) ** 2, -2.0 * path.sigma(INSIDE) * path.d_sigma(INSIDE)
    expected = -beta * variance + beta * (1.0 - path.alpha(INSIDE) ** 4)
    torch.testing.assert_close(d_variance, expected, rtol=1e-11, atol=0.0)
    torch.testing.assert_close(path.alpha(INSIDE), VP().alpha(INSIDE), rtol=0.0, atol=0.0)


def test_polynomial_is_condot_at_the_power_of_its_time() -> None:
    torch.testing.assert_close(Polynomial(3.0).alpha(INSIDE), INSIDE**3, rtol=1e-15, atol=0.0)
    torch.testing.assert_close(Polynomial(3.0).sigma(INSIDE), 1.0 - INSIDE**3, rtol=1e-13, atol=0.0)
    distance = 2.0**-30  # 1 − (1 − d)³ = 3 d (1 − d) + d³
    assert Polynomial(3.0).sigma(1.0 - distance) == pytest.approx(3.0 * distance * (1.0 - distance), rel=1e-14, abs=0.0)


def test_geometric_ve_has_its_levels_in_geometric_progression() -> None:
    levels = GeometricVE(0.01, 50.0).sigma(torch.linspace(0.0, 1.0, 11, dtype=torch.float64))
    expected = 50.0 * (0.01 / 50.0) ** (torch.arange(11, dtype=torch.float64) / 10.0)
    torch.testing.assert_close(levels, expected, rtol=1e-13, atol=0.0)


def test_no_path_is_missing_here() -> None:
    """`Scheduled` wraps a scheduler of flow_matching; its tests are beside those of the adapter."""
    ours = {name for name, kind in GaussianPath.registered().items() if kind.__module__.startswith("fokker.")}
    assert {type(path).__name__ for path in PATHS} == ours - {"Scheduled"}


def test_a_path_of_your_own_needs_alpha_sigma_and_time() -> None:
    """Its slopes are rate σ π/2 and −rate α π/2, of floats and tensors of any shape, and have slopes themselves."""
    path, rate = Arc(), 0.45 * math.pi
    torch.testing.assert_close(path.d_alpha(INSIDE), rate * path.sigma(INSIDE), rtol=1e-14, atol=0.0)
    torch.testing.assert_close(path.d_sigma(INSIDE), -rate * path.alpha(INSIDE), rtol=1e-14, atol=0.0)
    assert path.d_alpha(0.3) == pytest.approx(rate * path.sigma(0.3), rel=1e-14)
    assert isinstance(path.d_sigma(0.3), float)
    assert path.d_alpha(INSIDE.float().reshape(5, 5)).dtype == torch.float32
    with torch.no_grad():
        assert torch.equal(path.d_alpha(INSIDE), Arc().d_alpha(INSIDE))
    bend = derivative("d_alpha", path, INSIDE)
    torch.testing.assert_close(bend, -(rate**2) * path.alpha(INSIDE), rtol=1e-13, atol=0.0)


def test_the_default_slopes_are_the_closed_forms() -> None:
    for path in PATHS:
        for slope in ("d_alpha", "d_sigma"):
            default = getattr(GaussianPath, slope)(path, INSIDE)
            torch.testing.assert_close(default, getattr(path, slope)(INSIDE), rtol=1e-10, atol=1e-10)


@each_path
def test_derivatives_are_those_of_autograd(path: GaussianPath) -> None:
    for function in ("alpha", "sigma", "half_log_snr"):
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
@pytest.mark.parametrize("function", ["alpha", "sigma", "half_log_snr"])
def test_single_precision_close_to_both_ends(path: GaussianPath, function: str) -> None:
    """t = 2⁻ᵏ and 1 − 2⁻ᵏ are numbers of float32, and so is 1 − t: no digits are lost but those of rounding.

    It enters exponents of at most 15 as 2⁻²⁴ of them, a few times.
    """
    distances = [2.0**-k for k in (5, 8, 12, 16, 20)]
    for t in [*distances, *(1.0 - distance for distance in distances)]:
        single = getattr(path, function)(torch.tensor(t, dtype=torch.float32))
        assert single.dtype == torch.float32
        assert single.item() == pytest.approx(getattr(path, function)(t), rel=60 * 2.0**-24, abs=60 * 2.0**-24)


@each_path
def test_both_ends_are_limits(path: GaussianPath) -> None:
    """Tensors equal floats there, all is finite but λ and √(1 − t), and slopes are those of a short step inwards."""
    h = 1e-6
    for end, inner in ((0.0, h), (1.0, 1.0 - h)):
        for function in COEFFICIENTS:
            tensor = getattr(path, function)(torch.tensor(end, dtype=torch.float64)).item()
            assert tensor == pytest.approx(getattr(path, function)(end), rel=1e-12, abs=1e-12)
        for function in ("alpha", "sigma"):
            slope = getattr(path, f"d_{function}")(end)
            secant = (getattr(path, function)(inner) - getattr(path, function)(end)) / (inner - end)
            if math.isfinite(slope):
                assert secant == pytest.approx(slope, rel=1e-4, abs=1e-4)
            else:
                assert slope == -math.inf
                assert secant < -100.0
        assert math.isfinite(path.alpha(end) * path.sigma(end))


@each_path
def test_log_snr_grows_from_end_to_end(path: GaussianPath) -> None:
    times = torch.linspace(0.0, 1.0, 1001, dtype=torch.float64)
    assert (path.half_log_snr(times).diff() > 0.0).all()
    assert path.time(path.log_snr(0.0)) == pytest.approx(0.0, abs=1e-12)
    assert path.time(path.log_snr(1.0)) == pytest.approx(1.0, rel=1e-12)


@each_path
def test_log_snr_grows_and_is_inverted_by_time(path: GaussianPath) -> None:
    log_snr = path.log_snr(INSIDE)
    assert (log_snr.diff() > 0.0).all()
    assert (path.d_half_log_snr(INSIDE) > 0.0).all()
    torch.testing.assert_close(log_snr, (path.alpha(INSIDE) / path.sigma(INSIDE)).square().log(), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(path.time(log_snr), INSIDE, rtol=1e-11, atol=1e-11)
    assert torch.equal(path.time(log_snr.reshape(5, 5).T), path.time(log_snr).reshape(5, 5).T)
    for t in INSIDE.tolist():
        assert path.time(path.log_snr(t)) == pytest.approx(t, rel=1e-11)


@each_path
@pytest.mark.parametrize("t", [1e-3, 1e-6])
def test_log_snr_is_inverted_close_to_both_ends(path: GaussianPath, t: float) -> None:
    assert path.time(path.log_snr(t)) == pytest.approx(t, rel=1e-7)
    assert 1.0 - path.time(path.log_snr(1.0 - t)) == pytest.approx(t, rel=1e-7)


@pytest.mark.parametrize("path", [SubVP(), GeometricVE(), Table(scaled_linear_betas(11))], ids=str)
def test_what_is_truncated_continues(path: GaussianPath) -> None:
    for log_snr in (-40.0, path.log_snr(0.0) - 2.0):
        t = path.time(log_snr)
        assert t < 0.0
        assert 2.0 * math.log(path.alpha(t) / path.sigma(t)) == pytest.approx(log_snr, rel=1e-10)


def test_vp_continues_to_every_log_snr() -> None:
    """Beyond t = 0 too, α and σ are functions of the log-SNR alone."""
    for log_snr in (-40.0, -18.0, -10.2, 0.0, 24.0, 40.0):
        t = VP().time(log_snr)
        assert VP().alpha(t) ** 2 == pytest.approx(1.0 / (1.0 + math.exp(-log_snr)), rel=1e-10)
        assert VP().sigma(t) ** 2 == pytest.approx(1.0 / (1.0 + math.exp(log_snr)), rel=1e-8)


@each_path
def test_variance_preserving_where_it_should_be(path: GaussianPath) -> None:
    if isinstance(path, Cosine | VP | Table):
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
    again = build_path(json.loads(json.dumps(describe_path(path))))
    assert again == path
    assert hash(again) == hash(path)
    assert len(str(path)) < 80
    with pytest.raises(dataclasses.FrozenInstanceError):
        path.alpha = 1.0  # type: ignore[misc, method-assign]


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (Cosine, {"log_snr_min": 3.0, "log_snr_max": 3.0}, "log_snr_min < log_snr_max"),
        (VP, {"beta_min": 0.0}, "beta_min"),
        (VP, {"beta_min": 3.0, "beta_max": 2.0}, "beta_max"),
        (VE, {"sigma_max": 0.0}, "sigma_max"),
        (VE, {"sigma_max": math.inf}, "sigma_max"),
        (CondOT, {"sigma_min": -0.1}, ">= 0 and < 1"),
        (CondOT, {"sigma_min": 1.0}, ">= 0 and < 1"),
        (SubVP, {"beta_min": 3.0, "beta_max": 2.0}, "SubVP needs"),
        (Polynomial, {"power": 0.5}, "power is .* from 1 to 100"),
        (Polynomial, {"power": math.inf}, "power is .* from 1 to 100"),
        (GeometricVE, {"sigma_min": 3.0, "sigma_max": 2.0}, "sigma_min < sigma_max"),
        (GeometricVE, {"sigma_min": 0.0}, "sigma_min is 0"),
        (NoisyCondOT, {"std": 0.0}, "finite std > 0, but got 0"),
    ],
)
def test_impossible_schedules_are_refused(kind: type, arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**arguments)

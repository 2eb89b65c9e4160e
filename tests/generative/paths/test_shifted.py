"""The shift of any path: closed forms where they are known, the log-SNR everywhere, the ends exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from toy import MIXTURE, states

from fokker.generative import Denoiser, flow
from fokker.generative.equations import grids
from fokker.generative.paths import (
    VE,
    VP,
    CondOT,
    Cosine,
    GaussianPath,
    GeometricVE,
    Polynomial,
    Real,
    Shifted,
    SubVP,
    Table,
    scaled_linear_betas,
    zero_terminal_snr,
)
from fokker.solvers import ExponentialAdams, solve

TABLE = Table(scaled_linear_betas())
PATHS = [
    CondOT(),
    CondOT(0.02),
    Cosine(),
    Cosine(-math.inf, math.inf),
    VP(),
    SubVP(),
    VE(),
    GeometricVE(),
    Polynomial(2.0),
    TABLE,
    Table(zero_terminal_snr(TABLE.betas)),
]
INSIDE = torch.linspace(0.02, 0.98, 25, dtype=torch.float64)
FUNCTIONS = ["alpha", "sigma", "d_alpha", "d_sigma"]
each_path = pytest.mark.parametrize("path", PATHS, ids=str)
each_shift = pytest.mark.parametrize("shift", [-1.3, 0.7])


@each_path
@each_shift
def test_every_log_snr_moves_by_the_shift(path: GaussianPath, shift: float) -> None:
    """λ(t') = λ(t) + shift, on the inner path."""
    shifted = Shifted(path, shift)
    ratio = (shifted.alpha(INSIDE) / shifted.sigma(INSIDE)).log()
    torch.testing.assert_close(ratio, path.half_log_snr(INSIDE) + shift, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(shifted.half_log_snr(INSIDE), ratio, rtol=1e-12, atol=1e-12)
    inner = shifted.inner_time(INSIDE)
    for function in ("alpha", "sigma"):
        expected = getattr(path, function)(inner)
        torch.testing.assert_close(getattr(shifted, function)(INSIDE), expected, rtol=1e-10, atol=1e-12)
    assert ((inner < INSIDE) == (shift < 0.0)).all()


@pytest.mark.parametrize("s", [0.4, 1.0, 3.0])
def test_the_time_shift_of_stable_diffusion_3(s: float) -> None:
    """σ' = s σ / (1 + (s − 1) σ) (Esser et al. 2403.03206, eq. 23), which is shift = −log s on the straight line."""
    shifted, sigma = Shifted(CondOT(), -math.log(s)), 1.0 - INSIDE
    expected = s * sigma / (1.0 + (s - 1.0) * sigma)
    slope = s / (1.0 + (s - 1.0) * sigma) ** 2
    torch.testing.assert_close(shifted.sigma(INSIDE), expected, rtol=1e-14, atol=0.0)
    torch.testing.assert_close(shifted.alpha(INSIDE), 1.0 - expected, rtol=1e-13, atol=0.0)
    torch.testing.assert_close(shifted.d_alpha(INSIDE), slope, rtol=1e-13, atol=0.0)
    torch.testing.assert_close(shifted.d_sigma(INSIDE), -slope, rtol=1e-13, atol=0.0)


@each_shift
@pytest.mark.parametrize(
    ("path", "closed"),
    [
        (VE(80.0), lambda scale: VE(80.0 / scale)),
        (GeometricVE(0.01, 50.0), lambda scale: GeometricVE(0.01 / scale, 50.0 / scale)),
        (Cosine(-math.inf, math.inf), lambda scale: Cosine(-math.inf, math.inf, math.log(scale))),
        (Cosine(), lambda s: Cosine(-15.0 + 2.0 * math.log(s), 15.0 + 2.0 * math.log(s), math.log(s))),
    ],
    ids=["VE", "GeometricVE", "Cosine", "truncated Cosine"],
)
def test_shifts_that_stay_in_the_family(path: GaussianPath, closed, shift: float) -> None:
    expected = closed(math.exp(shift))
    for function in FUNCTIONS:
        value = getattr(Shifted(path, shift), function)
        torch.testing.assert_close(value(INSIDE), getattr(expected, function)(INSIDE), rtol=1e-10, atol=1e-12)
        for t in (0.0, 1.0):
            assert value(t) == pytest.approx(getattr(expected, function)(t), rel=1e-9, abs=1e-12)


@each_path
def test_shifts_add_up(path: GaussianPath) -> None:
    assert Shifted(Shifted(path, -0.5), 1.25) == Shifted(path, 0.75)
    assert hash(Shifted(Shifted(path, -0.5), 1.25)) == hash(Shifted(path, 0.75))
    once = Shifted(path, -0.5).inner_time(Shifted(path, 1.25).inner_time(0.4))
    assert Shifted(path, 0.75).inner_time(0.4) == pytest.approx(once, rel=1e-11)


@each_path
def test_no_shift_is_no_change(path: GaussianPath) -> None:
    for function in FUNCTIONS:
        same = getattr(Shifted(path, 0.0), function)(INSIDE)
        torch.testing.assert_close(same, getattr(path, function)(INSIDE), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(Shifted(path, 0.0).inner_time(INSIDE), INSIDE, rtol=1e-12, atol=1e-13)


@each_path
@each_shift
def test_infinite_ends_stay(path: GaussianPath, shift: float) -> None:
    for t in (0.0, 1.0):
        if math.isinf(path.half_log_snr(t)):
            assert Shifted(path, shift).inner_time(t) == t
            assert (Shifted(path, shift).alpha(t), Shifted(path, shift).sigma(t)) == (path.alpha(t), path.sigma(t))


@each_shift
def test_speeds_at_the_ends(shift: float) -> None:
    """With α ~ t and σ ~ (1 − t) the time scales by e^{shift} and e^{−shift}; with σ ~ √(1 − t) by e^{−2 shift}."""
    for t, speed in ((0.0, math.exp(shift)), (1.0, math.exp(-shift))):
        assert Shifted(CondOT(), shift).d_alpha(t) == pytest.approx(speed, rel=1e-14)
        assert Shifted(CondOT(), shift).d_sigma(t) == pytest.approx(-speed, rel=1e-14)
    for t in (1.0, torch.tensor(1.0, dtype=torch.float64)):
        assert float(Shifted(VP(), shift).d_alpha(t)) == pytest.approx(0.05 * math.exp(-2.0 * shift), rel=1e-13)
        assert float(Shifted(VP(), shift).d_sigma(t)) == -math.inf
    assert Shifted(Polynomial(), shift).d_alpha(0.0) == 0.0
    assert Shifted(Polynomial(), shift).d_alpha(1.0) == pytest.approx(2.0 * math.exp(-shift), rel=1e-14)


def test_close_to_the_data_the_level_keeps_its_digits() -> None:
    """σ/α = e^{−shift} (1 − t)/t, although t' differs from 1 by a number with few digits left."""
    distance = 2.0**-40
    level = Shifted(CondOT(), 2.0).sigma(1.0 - distance)
    assert level == pytest.approx(math.exp(-2.0) * distance, rel=1e-11, abs=0.0)


def test_cosine_has_a_shift_of_its_own_with_its_bounds_kept() -> None:
    own, moved = Cosine(shift=-1.0), Shifted(Cosine(), -1.0)
    assert (own.half_log_snr(0.0), own.half_log_snr(1.0)) == (pytest.approx(-7.5), pytest.approx(7.5))
    assert (moved.half_log_snr(0.0), moved.half_log_snr(1.0)) == (pytest.approx(-8.5), pytest.approx(6.5))


@each_shift
@pytest.mark.parametrize("path", [CondOT(), VP(), VE(), TABLE], ids=str)
def test_a_network_goes_on_seeing_its_own_time(path: GaussianPath, shift: float) -> None:
    """Sampling on the shifted path is sampling on the path itself at the inner times."""
    shifted = Shifted(path, shift)
    net = MIXTURE.denoiser(path).net
    times = grids.uniform(shifted, 10)
    x = states(shifted, 0.0)
    there = solve(
        flow(Denoiser(net, shifted, predicts="v", time=shifted.inner_time)), x, times, ExponentialAdams(2)
    ).x
    here = solve(flow(Denoiser(net, path, predicts="v")), x, shifted.inner_time(times), ExponentialAdams(2)).x
    torch.testing.assert_close(there, here, rtol=1e-9, atol=1e-9)


@dataclass(frozen=True)
class Stopping(CondOT):
    """Its inverse ends at t = 1, where σ is still 0.1."""

    sigma_min: float = 0.1

    def time(self, log_snr: Real) -> Real:
        t = super().time(log_snr)
        return t.clamp(max=1.0) if isinstance(t, torch.Tensor) else min(t, 1.0)


def test_what_cannot_be_shifted_is_refused() -> None:
    with pytest.raises(TypeError, match="path is of type float; give a path"):
        Shifted(1.0, 0.5)  # type: ignore[arg-type]
    for shift in (math.inf, math.nan):
        with pytest.raises(ValueError, match=r"shift is .* must be a finite number"):
            Shifted(CondOT(), shift)
    with pytest.raises(ValueError, match=r"does not continue to the log-SNR 5.60517 that a shift of 0.5 gives"):
        Shifted(Stopping(), 0.5)
    assert Shifted(Stopping(), -0.5).sigma(1.0) > 0.1
    with pytest.raises(ValueError, match="does not continue"):
        Shifted(Cosine(), 40.0)  # beyond what an angle in float64 can say

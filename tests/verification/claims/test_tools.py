"""What the claims measure with tells right from wrong: errors, orders, laws of samplers, tests of draws."""

from __future__ import annotations

import math

import pytest
import torch

from fokker.generative import CondOT
from fokker.solvers import SDE, EulerMaruyama
from fokker.verification.claims.tools.errors import extrapolated, largest, limiting_order, order, raises
from fokker.verification.claims.tools.points import MIXTURE, cdf, gaussian, grid
from fokker.verification.claims.tools.samplers import Given, PathImpulses, path_response, response
from fokker.verification.claims.tools.tests import ks_test, mean_test


def test_the_largest_error_is_that_of_all_entries_and_nan_if_one_is() -> None:
    assert largest(torch.tensor([[1.0, -3.0]]), 2.0) == 3.0
    assert math.isnan(largest(torch.tensor([1.0, math.nan]), 2.0))
    assert math.isnan(largest(2.0, math.nan))


def test_an_order_is_that_of_the_last_two_errors() -> None:
    assert order((10, 20, 40), (1.0, -0.5, 0.125)) == pytest.approx(2.0, abs=1e-15)


def test_extrapolation_removes_the_first_two_orders() -> None:
    assert extrapolated([1.0 + 2.0 * h - 3.0 * h**2 for h in (0.1, 0.05, 0.025)]) == pytest.approx(1.0, abs=1e-14)


def test_raising_is_seen_and_other_errors_pass_through() -> None:
    assert raises(ValueError, lambda: int("x")) == 1.0
    assert raises(ValueError, lambda: 1) == 0.0
    with pytest.raises(ZeroDivisionError):
        raises(ValueError, lambda: 1 / 0)


def test_a_limiting_order_removes_the_first_correction() -> None:
    """C hᵖ (1 + c h) at h, h/2 and h/4 leaves an error of (c h)² and less."""
    errors = [3.0 * h**2 * (1.0 + 4.0 * h) for h in (1 / 64, 1 / 128, 1 / 256)]
    assert limiting_order(errors) == pytest.approx(2.0, abs=(4 / 64) ** 2)


def test_the_distribution_function_is_that_of_the_density() -> None:
    x = torch.linspace(-6.0, 6.0, 2401, dtype=torch.float64).unsqueeze(1)
    for t in (0.0, 0.4, 1.0):
        density = MIXTURE.log_prob(x, t, CondOT()).exp()
        total = torch.cumulative_trapezoid(density, dx=0.005)
        # The trapezoidal rule errs by h² p'/12 ≤ 2.1e-6 · 2 inside, and by the tail left of −6.
        assert float((cdf(MIXTURE, x[1:], t, CondOT()) - total).abs().max()) < 5e-6


def test_a_response_has_the_coefficients_of_its_steps() -> None:
    equation = SDE(lambda t, x: 1.0 - 2.0 * x, lambda t, x: 3.0, noise="additive")
    made = response(EulerMaruyama(), equation, [0.0, 0.25, 0.5])
    assert (made.offset, made.gain) == pytest.approx((0.375, 0.25), abs=1e-15)
    assert made.kicks.tolist() == pytest.approx([0.75, 1.5], abs=1e-15)
    assert made.law(2.0, 2.0) == pytest.approx((0.875, math.sqrt(0.25 + 0.5625 + 2.25)))
    assert response(lambda x, noise: 0.6 * x + 0.4 * noise.next(x)).kept_variance == pytest.approx(0.16 / 0.64)


def test_a_path_is_the_sum_of_its_steps() -> None:
    path = PathImpulses(0.0, 1.0)
    noise = SDE(lambda t, x: torch.zeros_like(x), lambda t, x: 1.0, noise="additive")
    fine, coarse = (path_response(EulerMaruyama(), noise, grid(n), path) for n in (8, 2))
    assert torch.allclose(fine.kicks, coarse.kicks, atol=1e-14)
    assert fine.law(0.0, 0.0)[1] == pytest.approx(1.0, abs=1e-14)


def test_given_noise_answers_every_question_alike() -> None:
    noise, x = Given(torch.tensor([[2.0], [-1.0]])), torch.zeros(2, 1)
    assert noise.normal(0.0, 1.0, None, x).tolist() == [[2.0], [-1.0]]
    assert torch.equal(noise.extra(3, x), noise.normal_and_area(0.0, 1.0, None, x)[1])


def test_tests_of_draws_find_the_faults_that_they_state() -> None:
    draws = gaussian(0.0, 1.0).sample(10_000, seed=4)[:, 0]
    assert mean_test(draws, 0.0, "").p_value > 0.01
    assert mean_test(draws + 0.062, 0.0, "").p_value < 1e-4
    uniform = torch.special.ndtr(draws)
    assert ks_test(uniform, "").p_value > 0.01
    # A shift of c moves the distribution function by c/√(2π) at most.
    shifted = torch.special.ndtr(draws + 0.034 * math.sqrt(2.0 * math.pi))
    assert ks_test(shifted, "").p_value < 1e-4


def test_draws_are_uniform_when_the_law_is_right() -> None:
    """p-values of 200 true hypotheses, of samples of 500: uniform themselves, at a level of 1 % once."""
    values = [
        float(ks_test(torch.special.ndtr(gaussian(0.0, 1.0).sample(500, seed)[:, 0]), "").p_value)
        for seed in range(200)
    ]
    assert ks_test(torch.tensor(values, dtype=torch.float64), "").p_value > 0.01

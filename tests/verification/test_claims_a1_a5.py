"""Chapters A.1 to A.5 of the catalogue: every claim holds, and what they measure with tells right from wrong."""

from __future__ import annotations

import math
from functools import cache

import pytest
import torch
from torch import Tensor

from fokker.generative import CondOT, GaussianPath
from fokker.solvers import SDE, Euler, EulerMaruyama, Heun
from fokker.verification import GaussianMixture
from fokker.verification.claims import CATALOGUE, Outcome, run
from fokker.verification.claims.measuring import (
    MIXTURE,
    PathImpulses,
    affine_map,
    cdf,
    gaussian,
    grid,
    ks_test,
    law,
    limiting_order,
    mean_test,
)

NUMBERS = [*range(1, 9), *range(11, 21), *range(31, 40), *range(51, 66), *range(71, 85), *range(221, 225)]
IDS = [f"A{number:03}" for number in NUMBERS]


@cache
def outcomes() -> dict[str, Outcome]:
    return {outcome.claim.id: outcome for outcome in run([CATALOGUE[id] for id in IDS])}


@pytest.mark.parametrize("id", IDS)
def test_the_claim_holds(id: str) -> None:
    outcome = outcomes()[id]
    failed = [check for check, passed in zip(outcome.checks, outcome.passed, strict=True) if not passed]
    assert outcome.error is None
    assert failed == []
    assert outcome.verdict == ("not covered" if id >= "A221" else "pass")


def fails(id: str) -> bool:
    (outcome,) = run([CATALOGUE[id]])
    return outcome.verdict == "fail"


# What a claim measures is broken, and the claim sees it.


def test_a_velocity_with_sigma_for_its_slope_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CondOT, "d_sigma", lambda self, t: -1.01 + 0.0 * t)
    assert all(fails(id) for id in ("A054", "A057", "A060", "A075"))


def test_a_score_of_the_other_sign_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = GaussianMixture.score
    monkeypatch.setattr(GaussianMixture, "score", lambda self, x, t, path: -right(self, x, t, path))
    assert all(fails(id) for id in ("A007", "A071", "A073", "A074", "A081", "A082"))


def test_a_divergence_without_its_second_term_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = GaussianMixture.divergence

    def wrong(self: GaussianMixture, x: Tensor, t: float, path: GaussianPath) -> Tensor:
        return 0.99 * right(self, x, t, path)

    monkeypatch.setattr(GaussianMixture, "divergence", wrong)
    assert all(fails(id) for id in ("A007", "A059", "A060"))


def test_a_method_that_is_not_of_its_order_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Heun, "tableau", Euler.tableau)
    assert all(fails(id) for id in ("A012", "A013", "A015", "A018"))


def test_a_step_with_the_wrong_noise_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = EulerMaruyama.step

    def doubled(self, equation, t0, t1, x, state, noise):  # type: ignore[no-untyped-def]
        step = right(self, equation, t0, t1, x, state, noise)
        still = right(self, equation, t0, t1, x, state, None)
        return step._replace(x=step.x + (step.x - still.x))

    monkeypatch.setattr(EulerMaruyama, "step", doubled)
    assert all(fails(id) for id in ("A032", "A034", "A036", "A038", "A039", "A077", "A080"))


# The measures themselves.


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


def test_an_affine_map_has_the_coefficients_of_its_steps() -> None:
    equation = SDE(lambda t, x: 1.0 - 2.0 * x, lambda t, x: 3.0, noise="additive")
    b, a, first, second = affine_map(equation, EulerMaruyama(), [0.0, 0.25, 0.5]).tolist()
    assert (b, a) == pytest.approx((0.375, 0.25), abs=1e-15)
    assert (first, second) == pytest.approx((0.75, 1.5), abs=1e-15)
    assert law(torch.tensor([b, a, first, second]), 2.0, 4.0) == pytest.approx((0.875, 0.25 + 0.5625 + 2.25))


def test_a_path_is_the_sum_of_its_steps() -> None:
    path = PathImpulses(0.0, 1.0)
    noise = SDE(lambda t, x: torch.zeros_like(x), lambda t, x: 1.0, noise="additive")
    for _ in range(2):
        fine, coarse = (affine_map(noise, EulerMaruyama(), grid(n), path) for n in (8, 2))
    assert torch.allclose(fine, coarse, atol=1e-14)
    assert law(fine, 0.0, 0.0)[1] == pytest.approx(1.0, abs=1e-14)


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

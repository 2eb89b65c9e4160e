"""The Ornstein-Uhlenbeck process against its equation, its semigroup and solvers on the same path."""

from __future__ import annotations

import math

import pytest
import torch

from fokker.solvers import BrownianTree, EulerMaruyama, ExponentialAdams, WhiteNoise, solve
from fokker.verification import OrnsteinUhlenbeck

PROCESS = OrnsteinUhlenbeck(theta=1.3, sigma=0.8)


def test_moments_solve_their_equations() -> None:
    """m' = −θ m and v' = −2θ v + σ², by central differences of order 2."""
    h, t = 1e-4, 0.7
    x = torch.tensor([[2.0]], dtype=torch.float64)
    d_mean = (PROCESS.mean(x, t + h) - PROCESS.mean(x, t - h)) / (2.0 * h)
    torch.testing.assert_close(d_mean, -1.3 * PROCESS.mean(x, t), rtol=1e-7, atol=0.0)
    for start in (0.0, 3.0):
        slope = (PROCESS.variance(t + h, start) - PROCESS.variance(t - h, start)) / (2.0 * h)
        assert slope == pytest.approx(-2.6 * PROCESS.variance(t, start) + 0.64, rel=1e-6)
        assert PROCESS.variance(0.0, start) == start


def test_transitions_compose() -> None:
    (a, v), (b, w) = PROCESS.transition(0.2, 0.9), PROCESS.transition(0.9, 2.0)
    assert PROCESS.transition(0.2, 2.0) == pytest.approx((a * b, b**2 * v + w), rel=1e-14)


def test_stationary_law_is_stationary() -> None:
    stationary = PROCESS.stationary(2)
    variance = stationary.covs[0, 0, 0].item()
    assert variance == pytest.approx(0.64 / 2.6, rel=1e-14)
    assert PROCESS.variance(1.7, variance) == pytest.approx(variance, rel=1e-14)
    assert PROCESS.covariance(2.0, 0.5, variance) == pytest.approx(variance * math.exp(-1.3 * 1.5), rel=1e-14)
    assert PROCESS.variance(50.0) == pytest.approx(variance, rel=1e-14)
    assert torch.equal(stationary.means, torch.zeros(1, 2, dtype=torch.float64))


def test_covariance_is_that_of_the_conditional_means() -> None:
    """Cov(X_s, X_t) = Cov(X_s, E[X_t | X_s])."""
    factor, _ = PROCESS.transition(0.4, 1.1)
    for start in (0.0, 2.0):
        expected = factor * PROCESS.variance(0.4, start)
        assert PROCESS.covariance(0.4, 1.1, start) == pytest.approx(expected, rel=1e-14)
        assert PROCESS.covariance(1.1, 0.4, start) == PROCESS.covariance(0.4, 1.1, start)
        assert PROCESS.covariance(1.1, 1.1, start) == PROCESS.variance(1.1, start)


def test_equation_is_the_process() -> None:
    equation = PROCESS.equation()
    x = torch.linspace(-2.0, 2.0, 5, dtype=torch.float64)[:, None]
    for t in (0.0, 0.6, 3.0):
        torch.testing.assert_close(equation.drift(t, x), -1.3 * x, rtol=1e-14, atol=0.0)
        assert equation.diffusion(t, x) == pytest.approx(0.8, rel=1e-14)
    times = torch.tensor([0.0, 0.4, 1.5], dtype=torch.float64)
    variance = 0.64 * torch.expm1(2.6 * times) / 2.6
    torch.testing.assert_close(equation.variance(times), variance, rtol=1e-13, atol=0.0)
    inverse = equation.clock.time(equation.clock.r(times)).tolist()
    assert inverse == pytest.approx(times.tolist(), rel=1e-13)


def test_path_is_the_limit_of_euler_maruyama_on_the_same_tree() -> None:
    """Additive noise: the strong order is 1."""
    x = torch.linspace(-1.0, 1.0, 200, dtype=torch.float64)[:, None]
    tree = BrownianTree(x, 0.0, 1.0, seed=5)
    exact = PROCESS.path(x, [0.0, 1.0], tree)[-1]
    errors = []
    for n in (64, 512):
        times = torch.linspace(0.0, 1.0, n + 1, dtype=torch.float64)
        error = solve(PROCESS.equation(), x, times, EulerMaruyama(), tree).x - exact
        errors.append(error.square().mean().sqrt().item())
    assert math.log2(errors[0] / errors[1]) / 3.0 == pytest.approx(1.0, abs=0.1)


def test_path_does_not_depend_on_the_times_it_is_asked_at() -> None:
    x = torch.ones(4, 3, dtype=torch.float64)
    tree = BrownianTree(x, 0.0, 2.0, seed=1)
    path = PROCESS.path(x, [0.0, 0.1, 0.35, 0.9, 1.7, 2.0], tree)
    assert path.shape == (6, 4, 3)
    torch.testing.assert_close(path[0], x, rtol=0.0, atol=0.0)
    fewer = PROCESS.path(x, [0.0, 0.9, 2.0], tree)
    torch.testing.assert_close(fewer, path[[0, 3, 5]], rtol=1e-12, atol=1e-12)


def test_one_exponential_step_is_exact() -> None:
    """One step and sixty-four give the same state on one Brownian path."""
    x = torch.linspace(-2.0, 2.0, 6, dtype=torch.float64)[:, None].expand(6, 3)
    tree = BrownianTree(x, 0.0, 1.5, seed=3)
    exact = PROCESS.path(x, [0.0, 1.5], tree)[-1]
    for n in (1, 3, 64):
        times = torch.linspace(0.0, 1.5, n + 1, dtype=torch.float64)
        solved = solve(PROCESS.equation(), x, times, ExponentialAdams(1), tree).x
        torch.testing.assert_close(solved, exact, rtol=1e-12, atol=1e-12)


def test_path_has_the_moments() -> None:
    n = 20_000
    x = torch.full((n, 1), 1.5, dtype=torch.float64)
    states = PROCESS.path(x, [0.0, 0.5, 1.3], WhiteNoise(0))[1:, :, 0]
    early, late, both = PROCESS.variance(0.5), PROCESS.variance(1.3), PROCESS.covariance(0.5, 1.3)
    for state, t, variance in zip(states, (0.5, 1.3), (early, late), strict=True):
        mean = 1.5 * math.exp(-1.3 * t)
        assert state.mean().item() == pytest.approx(mean, abs=4.0 * math.sqrt(variance / n))
    sampled = torch.cov(states)
    assert sampled[0, 1].item() == pytest.approx(both, abs=4.0 * math.sqrt((early * late + both**2) / n))
    assert sampled[1, 1].item() == pytest.approx(late, abs=4.0 * late * math.sqrt(2.0 / n))


def test_a_transition_does_not_lead_back() -> None:
    with pytest.raises(ValueError, match="leads forward"):
        PROCESS.transition(1.0, 0.5)

"""Strong orders on shared Brownian paths with exact solutions, weak orders by exact moment recursion.

On a linear equation every sampler is an affine map of (x₀, ξ₁ … ξ_n): run with unit impulses in place of the noise it
gives that map, and with it the mean and the variance of its output without any sampling.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import pairwise

import pytest
import torch
from cases import STOCHASTIC, label
from torch import Tensor

from fokker.generative import CondOT, Denoiser, grids, reverse_sde
from fokker.solvers import (
    SDE,
    BrownianTree,
    Equation,
    EulerMaruyama,
    ExponentialAdams,
    Semilinear,
    Solver,
    WhiteNoise,
    solve,
)
from fokker.verification import OrnsteinUhlenbeck

OU = OrnsteinUhlenbeck(theta=0.4, sigma=0.8)


class Impulses:
    """Noise that is 1 in row k + 2 at the k-th step; rows 0 and 1 are without noise."""

    def __init__(self) -> None:
        self.drawn = 1

    def normal(self, t0: float, t1: float, clock: Callable[[Tensor], Tensor], like: Tensor) -> Tensor:
        self.drawn += 1
        impulse = torch.zeros_like(like)
        impulse[self.drawn] = 1.0
        return impulse


def output_moments(
    equation: Equation, solver: Solver, times: Tensor, mean: float, variance: float
) -> tuple[float, float]:
    """Mean and variance of the solver's output, from N(mean, variance)."""
    impulses = torch.zeros(len(times) + 1, 1, dtype=torch.float64)
    impulses[1] = 1.0
    response = solve(equation, impulses, times, solver, Impulses()).x[:, 0]
    offset, slope, *kicks = (response - torch.cat([response.new_zeros(1), response[:1].expand(len(times))])).tolist()
    return offset + slope * mean, slope**2 * variance + sum(kick**2 for kick in kicks)


def slope(steps: list[int], errors: list[float]) -> float:
    x, y = (torch.tensor(values, dtype=torch.float64).log() for values in (steps, errors))
    return -(((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()).item()


def kept_level() -> Semilinear:
    """OU with S = 1 and N = −θx, so that every solver has something to approximate; W_q is σ times Brownian motion."""
    return Semilinear(
        lambda t, x: -OU.theta * x, torch.ones_like, lambda t: t, lambda t: OU.sigma**2 * t, time=lambda r: r
    )


LIKE = torch.ones(300, 1, dtype=torch.float64)


@cache
def exact_path() -> tuple[BrownianTree, Tensor]:
    """A tree and X₁ = e^{−θ} X₀ + W₁ − θ ∫ e^{−θ(1−s)} W_s ds on it, by the trapezium rule on 4096 steps.

    Its own error is a twentieth of that of 256 Euler steps, and independent of it.
    """
    tree, clock = BrownianTree(LIKE, 0.0, 1.0, seed=0), kept_level().variance
    fine = torch.linspace(0.0, 1.0, 4097, dtype=torch.float64)
    steps = [tree.normal(s, t, clock, LIKE) for s, t in pairwise(fine.tolist())]
    brownian = torch.cat([torch.zeros_like(LIKE)[None], OU.sigma / 64.0 * torch.stack(steps).cumsum(0)])
    kernel = torch.exp(-OU.theta * (1.0 - fine)).reshape(-1, 1, 1)
    memory = OU.theta * torch.trapezoid(kernel * brownian, fine, dim=0)
    return tree, math.exp(-OU.theta) * LIKE + brownian[-1] - memory


@pytest.mark.parametrize("solver", STOCHASTIC, ids=label)
def test_strong_order(solver: Solver) -> None:
    """Rms over 300 paths against the exact solution on the same paths; the slope's standard error is below 0.03."""
    tree, exact = exact_path()
    steps = [64, 128, 256]
    errors = []
    for n in steps:
        times = torch.linspace(0.0, 1.0, n + 1, dtype=torch.float64)
        errors.append((solve(kept_level(), LIKE, times, solver, tree).x - exact).square().mean().sqrt().item())
    assert abs(slope(steps, errors) - solver.strong_order) <= 0.15


@pytest.mark.parametrize("eta", [0.5, 1.0])
@pytest.mark.parametrize("solver", STOCHASTIC, ids=label)
def test_weak_order(solver: Solver, eta: float) -> None:
    """Mean and variance after the reverse equation of data N(m, v), against the path's own."""
    path, t0, t1, m, v = CondOT(), 0.1, 0.9, 0.7, 0.25

    def exact(t: float) -> tuple[float, float]:
        return path.alpha(t) * m, path.alpha(t) ** 2 * v + path.sigma(t) ** 2

    def posterior_mean(x: Tensor, times: Tensor) -> Tensor:
        mean, variance = exact(times[0].item())
        return m + path.alpha(times[0].item()) * v / variance * (x - mean)

    equation = reverse_sde(Denoiser(posterior_mean, path, predicts="x0"), eta)
    steps = [512, 1024, 2048]
    errors = []
    for n in steps:
        mean, variance = output_moments(equation, solver, grids.log_snr(path, n, t0=t0, t1=t1), *exact(t0))
        errors.append(max(abs(mean - exact(t1)[0]), abs(variance - exact(t1)[1])))
    assert abs(slope(steps, errors) - solver.weak_order) <= 0.15


@pytest.mark.parametrize("t", [0.0, 0.3, 2.0])
def test_automatic_rates_are_the_closed_ones(t: float) -> None:
    """Drift θ (N − X) with N = 1 and diffusion σ from S = e^{−θt}, S r = 1 − e^{−θt} and S² q alone."""
    automatic = replace(OU.equation(), rates=None, field=lambda t, x: torch.ones_like(x))
    x = torch.linspace(-1.0, 1.0, 5, dtype=torch.float64).reshape(-1, 1)
    torch.testing.assert_close(automatic.drift(t, x), OU.theta * (1.0 - x), rtol=1e-14, atol=1e-14)
    assert automatic.diffusion(t, x) == pytest.approx(OU.sigma, rel=1e-14)


def test_stationary_variance_of_euler_maruyama() -> None:
    """On OU with step h it is σ² / (2θ − θ² h), exactly."""
    h, n = 0.125, 400
    equation = SDE(lambda t, x: -OU.theta * x, lambda t, x: OU.sigma, noise="additive")
    times = torch.linspace(0.0, n * h, n + 1, dtype=torch.float64)
    _, variance = output_moments(equation, EulerMaruyama(), times, 0.0, 0.0)
    assert variance == pytest.approx(OU.sigma**2 / (2.0 * OU.theta - OU.theta**2 * h), rel=1e-12)


@pytest.mark.parametrize("solver", STOCHASTIC, ids=label)
def test_noise_is_asked_for_once_a_step(solver: Solver) -> None:
    noise = Impulses()
    solve(kept_level(), torch.zeros(9, 1, dtype=torch.float64), torch.linspace(0.0, 1.0, 8), solver, noise)
    assert noise.drawn == 1 + 7


def test_noise_types() -> None:
    """The same equation by each of the four types of noise."""
    x = torch.linspace(-1.0, 1.0, 8, dtype=torch.float64).reshape(4, 2)
    times = torch.linspace(0.0, 1.0, 5)

    def run(noise: str, diffusion: Callable[[float, Tensor], Tensor], like: Tensor) -> Tensor:
        equation = SDE(lambda t, x: -x, diffusion, noise=noise)
        return solve(equation, x, times, EulerMaruyama(), BrownianTree(like, 0.0, 1.0, seed=2)).x

    diagonal = run("diagonal", lambda t, x: torch.full_like(x, 0.5), x)
    assert torch.equal(run("additive", lambda t, x: torch.full_like(x, 0.5), x), diagonal)
    general = run("general", lambda t, x: 0.5 * torch.eye(2, dtype=x.dtype).expand(4, 2, 2), x)
    torch.testing.assert_close(general, diagonal, rtol=0.0, atol=1e-15)
    one = x[:, :1]
    scalar = run("scalar", lambda t, x: 0.5 * torch.tensor([1.0, -2.0], dtype=x.dtype), one)
    columns = run("general", lambda t, x: 0.5 * torch.tensor([[1.0], [-2.0]], dtype=x.dtype).expand(4, 2, 1), one)
    torch.testing.assert_close(scalar, columns, rtol=0.0, atol=1e-15)


def test_geometric_brownian_motion_converges_at_order_one_half() -> None:
    """Multiplicative noise, 2000 paths: X₁ = X₀ exp((μ − s²/2) + s W₁) on the same tree; slope s.e. below 0.03."""
    x = torch.ones(2000, 1, dtype=torch.float64)
    drift, volatility = 0.3, 0.7
    equation = SDE(lambda t, x: drift * x, lambda t, x: volatility * x)
    tree = BrownianTree(x, 0.0, 1.0, seed=1)
    exact = torch.exp(drift - volatility**2 / 2.0 + volatility * tree.normal(0.0, 1.0, equation.variance, x))
    steps = [16, 32, 64, 128]
    ends = [solve(equation, x, torch.linspace(0.0, 1.0, n + 1), EulerMaruyama(), tree).x for n in steps]
    errors = [(end - exact).square().mean().sqrt().item() for end in ends]
    assert abs(slope(steps, errors) - 0.5) <= 0.15


def test_a_solve_can_be_resumed_on_its_path() -> None:
    """White noise has no path between its steps; a tree has, and two halves make the whole."""
    x, equation = torch.ones(3, 2, dtype=torch.float64), OU.equation()
    tree = BrownianTree(x, 0.0, 1.0, seed=4)
    middle = solve(equation, x, [0.0, 0.5], ExponentialAdams(1), tree).x
    halves = solve(equation, middle, [0.5, 1.0], ExponentialAdams(1), tree).x
    whole = solve(equation, x, [0.0, 1.0], ExponentialAdams(1), tree).x
    torch.testing.assert_close(halves, whole, rtol=0.0, atol=1e-14)
    assert not torch.equal(solve(equation, x, [0.0, 1.0], ExponentialAdams(1), WhiteNoise(4)).x, halves)

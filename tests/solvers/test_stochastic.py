"""Stochastic steps: weak orders on a nonlinear drift, stationary laws, kinds of noise; all without any sampling.

On a linear equation a solver is an affine map, which gives the mean and the variance of its output; its weak order
there is measured by the certificates. On a nonlinear one the expectation over a step is a Gauss-Hermite sum, and
averages go backwards through the steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor
from toy import output, response
from trials import grid

from fokker.solvers import (
    SDE,
    SRA1,
    BrownianTree,
    EulerMaruyama,
    ExponentialAdams,
    FunctionClock,
    LeimkuhlerMatthews,
    Milstein,
    Semilinear,
    Solver,
    Stepper,
    StochasticHeun,
    TorchSDE,
    WhiteNoise,
    solve,
)
from fokker.solvers.equation import NoiseType
from fokker.verification import OrnsteinUhlenbeck
from fokker.verification.certificates.table import CLASSICAL, STOCHASTIC
from fokker.verification.laws import Impulses
from fokker.verification.statistics.slopes import rms, slope

OU = OrnsteinUhlenbeck(theta=0.4, sigma=0.8)
Clock = Callable[[Tensor], Tensor]


def kept_level() -> Semilinear:
    """OU with S = 1 and N = −θx, so that every solver has something to approximate; W_q is σ times Brownian motion."""
    return Semilinear(
        lambda t, x: -OU.theta * x,
        FunctionClock(torch.ones_like, lambda t: t, lambda t: OU.sigma**2 * t, time_of=lambda r: r),
    )


class Nodes:
    """Given numbers for a step: the nodes of a quadrature rule."""

    replays = True

    def __init__(self, xi: Tensor, eta: Tensor) -> None:
        self.xi, self.eta = xi, eta

    def normal(self, t0: float, t1: float, clock: Clock, like: Tensor) -> Tensor:
        return self.xi

    def normal_and_area(self, t0: float, t1: float, clock: Clock, like: Tensor) -> tuple[Tensor, Tensor]:
        return self.xi, self.eta

    def extra(self, index: int, like: Tensor) -> Tensor:
        raise AssertionError("not asked for here")


POINTS, HERMITE = 32, 12
CIRCLE = torch.arange(POINTS, dtype=torch.float64) * (2.0 * math.pi / POINTS)
MODES = torch.arange(1 - POINTS // 2, POINTS // 2, dtype=torch.float64)
NODES, WEIGHTS = (torch.from_numpy(rule) for rule in np.polynomial.hermite_e.hermegauss(HERMITE))
# All points of the circle with all nodes for two normals, one triple a row.
X, XI, ETA = (axis.reshape(-1, 1) for axis in torch.meshgrid(CIRCLE, NODES, NODES, indexing="ij"))


def transfer(ends: Tensor) -> Tensor:
    """P with E[φ(end) | point] = P φ, for functions φ by their values on the circle, interpolated by trigonometry."""
    waves = torch.exp(1j * ends.reshape(POINTS, HERMITE, HERMITE, 1) * MODES)
    weights = torch.outer(WEIGHTS, WEIGHTS).to(waves.dtype) / WEIGHTS.sum() ** 2
    analysis = torch.exp(-1j * torch.outer(MODES, CIRCLE)) / POINTS
    return (torch.einsum("xijm,ij->xm", waves, weights) @ analysis).real


FORCED = SDE(lambda t, x: (2.0 * x + t).sin() + (3.0 * t - x).cos(), lambda t, x: 0.7 + 0.3 * t, noise="additive")


@cache
def average(solver: Stepper, n: int) -> Tensor:
    """E[cos X₁ | X₀ = x] in n steps of the solver, backwards, at every point x."""
    values = CIRCLE.cos()
    for t0, t1 in reversed(list(pairwise(grid(n).tolist()))):
        values = transfer(solver.step(FORCED, t0, t1, X, None, Nodes(XI, ETA)).x) @ values
    return values


FINE = SRA1()


@pytest.mark.parametrize("solver", [solver for solver in CLASSICAL if solver.one_step], ids=repr)
def test_weak_order_of_nonlinear_drift(solver: Stepper) -> None:
    """Against SRA1 in 256 steps, whose error is a sixteenth of that in 64 steps."""
    steps = [8, 16, 32, 64]
    errors = [rms(average(solver, n) - average(FINE, 256)) for n in steps]
    assert abs(slope(steps, errors) - solver.weak_order) <= 0.15


def force(t: float, x: Tensor) -> Tensor:
    """−U' for U = ½ cos x + ¼ sin 2x."""
    return 0.5 * x.sin() - 0.5 * (2.0 * x).cos()


LANGEVIN = SDE(force, lambda t, x: 0.9, noise="additive")


def stationary_average(ends: Tensor, observed: Tensor) -> float:
    """The average of cos(observed) over the stationary law π = π P of a chain, from its ends and what is seen of it."""
    chain = transfer(ends)
    one = torch.eye(POINTS, dtype=torch.float64)
    equations = torch.cat([chain.T - one, torch.ones_like(one[:1])])
    law = torch.linalg.lstsq(equations, torch.eye(POINTS + 1, 1, dtype=torch.float64).flip(0)).solution[:, 0]
    return (law @ transfer(observed) @ CIRCLE.cos()).item()


def stationary_bias(solver: Stepper, h: float) -> float:
    """Against exp(−2U/g²). Leimkuhler and Matthews' chain is of X = x − ½ g ΔW, the state less its half kick."""
    if isinstance(solver, LeimkuhlerMatthews):
        half = 0.5 * 0.9 * math.sqrt(h) * XI
        step = solver.step(LANGEVIN, 0.0, h, X + half, half, Nodes(ETA, XI))
        ends, observed = step.x - step.state, X + half
        torch.testing.assert_close(ends, X + h * force(0.0, X + half) + 2.0 * half, rtol=0.0, atol=1e-14)
    else:
        ends, observed = solver.step(LANGEVIN, 0.0, h, X, None, Nodes(XI, ETA)).x, X
    density = torch.exp(-2.0 * (0.5 * CIRCLE.cos() + 0.25 * (2.0 * CIRCLE).sin()) / 0.9**2)
    return stationary_average(ends, observed) - ((density @ CIRCLE.cos()) / density.sum()).item()


@pytest.mark.parametrize(("solver", "order"), [(EulerMaruyama(), 1.0), (LeimkuhlerMatthews(), 2.0)], ids=str)
def test_order_of_stationary_averages(solver: Stepper, order: float) -> None:
    steps = [8, 16, 32]
    errors = [abs(stationary_bias(solver, 1.0 / n)) for n in steps]
    assert abs(slope(steps, errors) - order) <= 0.15


@pytest.mark.parametrize("h", [0.125, 1.0, 4.0])
def test_stationary_variances_of_a_quadratic_potential(h: float) -> None:
    """σ²/(2θ − θ²h) for Euler-Maruyama, the exact σ²/2θ for Leimkuhler-Matthews at every h < 2/θ."""
    equation = SDE(lambda t, x: -OU.theta * x, lambda t, x: OU.sigma, noise="additive")
    exact = OU.sigma**2 / (2.0 * OU.theta)
    for solver, expected in (
        (EulerMaruyama(), exact / (1.0 - 0.5 * OU.theta * h)),
        (LeimkuhlerMatthews(), exact),
    ):
        _, variance = output(response(equation, solver, grid(400, 400 * h)), 0.0, 0.0)
        assert variance == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("t", [0.0, 0.3, 2.0])
def test_automatic_rates_are_the_closed_ones(t: float) -> None:
    """Drift θ (N − X) with N = 1 and diffusion σ from S = e^{−θt}, S r = 1 − e^{−θt} and S² q alone."""
    clock = OU.equation().clock
    automatic = Semilinear(lambda t, x: torch.ones_like(x), FunctionClock(clock.scale, clock.gain, clock.power))
    x = torch.linspace(-1.0, 1.0, 5, dtype=torch.float64).reshape(-1, 1)
    torch.testing.assert_close(automatic.drift(t, x), OU.theta * (1.0 - x), rtol=1e-14, atol=1e-14)
    assert automatic.diffusion(t, x) == pytest.approx(OU.sigma, rel=1e-14)


@pytest.mark.parametrize("solver", STOCHASTIC, ids=repr)
def test_the_noise_of_every_moment_is_asked_for_once(solver: Solver) -> None:
    """A step may ask for its parts, but they neither overlap nor leave a gap, nor reach across its ends."""
    noise, times = Impulses(), [0.0, 0.1, 0.35, 0.5, 1.0]
    solve(kept_level(), torch.zeros(2, 1, dtype=torch.float64), times, solver, noise)
    starts, ends = zip(*noise.asked, strict=True)
    assert starts == (0.0, *ends[:-1])
    assert set(times[1:]) <= set(ends)
    assert ends[-1] == 1.0


@pytest.mark.parametrize("solver", CLASSICAL, ids=repr)
def test_kinds_of_noise(solver: Solver) -> None:
    """The same equation by each kind that the solver takes: one W for each of two components, and one for both."""
    x = torch.linspace(-1.0, 1.0, 8, dtype=torch.float64).reshape(4, 2)
    one, speeds = x[:, :1], torch.tensor([1.0, -2.0], dtype=torch.float64)
    calculus = min(solver.calculi)

    def run(kind: NoiseType, diffusion: Callable[[float, Tensor], Tensor | float], like: Tensor = x) -> Tensor:
        path = BrownianTree(like, 0.0, 1.0, seed=2, area=True)
        equation = SDE(lambda t, x: -x, diffusion, kind, calculus)
        return solve(equation, x, grid(4), solver, path).x

    additive = run("additive", lambda t, x: 0.5 + t)
    assert torch.equal(run("additive", lambda t, x: torch.full((1, 2), 0.5 + t, dtype=x.dtype)), additive)
    if "diagonal" in solver.noises:
        diagonal = run("diagonal", lambda t, x: torch.full_like(x, 0.5 + t))
        torch.testing.assert_close(diagonal, additive, rtol=0.0, atol=1e-15)
    if "general" in solver.noises:
        matrix = torch.eye(2, dtype=torch.float64).expand(4, 2, 2)
        torch.testing.assert_close(run("general", lambda t, x: (0.5 + t) * matrix), additive, rtol=0.0, atol=1e-15)
        scalar = run("scalar", lambda t, x: speeds * x, one)
        column = run("general", lambda t, x: (speeds * x).unsqueeze(-1), one)
        torch.testing.assert_close(column, scalar, rtol=0.0, atol=1e-15)


@pytest.mark.parametrize(("solver", "method"), [(SRA1(), "srk"), (StochasticHeun(), "heun")], ids=str)
def test_the_steps_are_those_of_another_implementation(solver: Solver, method: str) -> None:
    """torchsde's on the same path, to rounding: of what is evaluated where, an order does not see everything."""
    x = torch.linspace(-1.0, 1.0, 6, dtype=torch.float64).reshape(3, 2)
    equation = SDE(lambda t, x: (2.0 * x + 3.0 * t).cos(), lambda t, x: torch.full_like(x, 0.5 + t), noise="additive")
    path = BrownianTree(x, 0.0, 1.0, area=True)
    ours, theirs = (solve(equation, x, [0.0, 0.2, 0.7, 1.0], method, path).x for method in (solver, TorchSDE(method)))
    torch.testing.assert_close(ours, theirs, rtol=0.0, atol=1e-14)


def test_milstein_differentiates() -> None:
    """On a linear equation dx₁/dx₀ = x₁/x₀, through the derivative that the step itself takes."""
    x = torch.linspace(0.5, 2.0, 6, dtype=torch.float64).reshape(3, 2).requires_grad_()
    equation = SDE(lambda t, x: 0.3 * x, lambda t, x: 0.7 * x)
    end = solve(equation, x, grid(8), Milstein(), BrownianTree(x, 0.0, 1.0)).x
    (gradient,) = torch.autograd.grad(end.sum(), x)
    torch.testing.assert_close(gradient, (end / x).detach(), rtol=1e-13, atol=0.0)
    with torch.inference_mode():
        assert torch.equal(solve(equation, x, grid(8), Milstein(), BrownianTree(x, 0.0, 1.0)).x, end)


def test_a_constant_diffusion_has_no_derivative() -> None:
    x = torch.ones(3, 2, dtype=torch.float64)
    constant, path = SDE(lambda t, x: -x, lambda t, x: 0.5), BrownianTree(x, 0.0, 1.0)
    euler = solve(constant, x, grid(8), EulerMaruyama(), path).x
    torch.testing.assert_close(solve(constant, x, grid(8), Milstein(), path).x, euler, rtol=0.0, atol=1e-15)


def test_a_solve_can_be_resumed_on_its_path() -> None:
    """White noise has no path between its steps; a tree has, and two halves make the whole."""
    x, equation = torch.ones(3, 2, dtype=torch.float64), OU.equation()
    tree = BrownianTree(x, 0.0, 1.0, seed=4)
    middle = solve(equation, x, [0.0, 0.5], ExponentialAdams(1), tree).x
    halves = solve(equation, middle, [0.5, 1.0], ExponentialAdams(1), tree).x
    whole = solve(equation, x, [0.0, 1.0], ExponentialAdams(1), tree).x
    torch.testing.assert_close(halves, whole, rtol=0.0, atol=1e-14)
    assert not torch.equal(solve(equation, x, [0.0, 1.0], ExponentialAdams(1), WhiteNoise(4)).x, halves)

"""Strong orders: root mean squares over a thousand paths, on one Brownian tree that every step size and solver shares.

Slopes are those of the least squares over halved steps. Their standard error, over twelve seeds, is at most 0.04.
"""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise

import pytest
import torch
from cases import CLASSICAL, STOCHASTIC, label
from convergence import grid, rms, slope
from torch import Tensor

from fokker.solvers import (
    SDE,
    SRA1,
    BrownianTree,
    Equation,
    EulerMaruyama,
    FunctionClock,
    Milstein,
    Semilinear,
    Solver,
    StochasticHeun,
    solve,
)
from fokker.solvers.equation import Calculus, NoiseType
from fokker.verification import OrnsteinUhlenbeck

THETA, SIGMA = 0.4, 0.8
OU = OrnsteinUhlenbeck(THETA, SIGMA)
LIKE = torch.ones(1000, 1, dtype=torch.float64)


@cache
def tree() -> BrownianTree:
    return BrownianTree(LIKE, 0.0, 1.0, seed=0, area=True)


def observed_order(equation: Equation, solver: Solver, exact: Tensor, steps: list[int]) -> float:
    return slope(steps, [rms(solve(equation, LIKE, grid(n), solver, tree()).x - exact) for n in steps])


def swelling(t: float, x: Tensor) -> float:
    """A g that depends on time."""
    return SIGMA * (1.0 + 0.5 * math.sin(3.0 * t))


LINEAR: dict[str, Equation] = {
    # S = 1 and N = −θx, so that every solver has something to approximate; q = σ² t.
    "kept level": Semilinear(
        lambda t, x: -THETA * x,
        FunctionClock(torch.ones_like, lambda t: t, lambda t: SIGMA**2 * t, time_of=lambda r: r),
    ),
    "swelling noise": SDE(lambda t, x: -THETA * x, swelling, noise="additive"),
    # S = e^{−θt} and q = σ² (e^{2θt} − 1)/2θ.
    "own clock": OU.equation(),
}


@cache
def solution(name: str) -> Tensor:
    """X₁ = e^{−θ} X₀ + ∫ κ(s) dW_s with κ = e^{−θ(1−s)} g(s), which is linear on each of 1024 steps:

    ∫ κ dW = κ ΔW − κ' Δ H + O(Δ^{5/2}), κ and κ' in the middle. Its error is 1e-8, a hundredth of the smallest here.
    """
    if name == "own clock":
        return OU.path(LIKE, [0.0, 1.0], tree())[-1]

    def kernel(s: float) -> float:
        return math.exp(-THETA * (1.0 - s)) * (SIGMA if name == "kept level" else swelling(s, LIKE))

    total = math.exp(-THETA) * LIKE
    for s, t in pairwise(grid(1024).tolist()):
        xi, eta = tree().normal_and_area(s, t, LINEAR[name].variance, LIKE)
        rise = kernel(t) - kernel(s)
        total = total + math.sqrt(t - s) * (kernel(0.5 * (s + t)) * xi - rise / math.sqrt(12.0) * eta)
    return total


@pytest.mark.parametrize("solver", STOCHASTIC, ids=label)
def test_every_solver_on_linear_drift(solver: Solver) -> None:
    """What holds SRA1 at order 1.5 is f'': here it is of order 2."""
    order = 2.0 if isinstance(solver, SRA1) else solver.strong_order
    found = observed_order(LINEAR["kept level"], solver, solution("kept level"), [64, 128, 256])
    assert abs(found - order) <= 0.15


@pytest.mark.parametrize("solver", CLASSICAL, ids=label)
@pytest.mark.parametrize("name", ["swelling noise", "own clock"])
def test_noise_that_depends_on_time(name: str, solver: Solver) -> None:
    """Heun's ξ is that of ∫ S dW_q, so that for the process in its own clock it is of order 2, too."""
    better = isinstance(solver, SRA1) or (isinstance(solver, StochasticHeun) and name == "own clock")
    found = observed_order(LINEAR[name], solver, solution(name), [32, 64, 128, 256])
    assert abs(found - (2.0 if better else solver.strong_order)) <= 0.15


def turning(t: float, x: Tensor) -> Tensor:
    """A nonlinear field that depends on time."""
    return (2.0 * x + 3.0 * t).cos()


def scale(t: Tensor) -> Tensor:
    return torch.exp(-t) + t


NONLINEAR: dict[str, Equation] = {
    "sde": SDE(turning, swelling, noise="additive"),
    # r = sin t and q = e^t / 4: nothing is the same at the two ends of a step.
    "semilinear": Semilinear(
        turning,
        FunctionClock(scale, lambda t: scale(t) * torch.sin(t), lambda t: 0.25 * scale(t) ** 2 * torch.exp(t)),
    ),
}


@cache
def reference(name: str) -> Tensor:
    """By SRA1 in 2048 steps, whose error is a sixtieth of that in 128 steps."""
    return solve(NONLINEAR[name], LIKE, grid(2048), SRA1(), tree()).x


@pytest.mark.parametrize("solver", CLASSICAL, ids=label)
@pytest.mark.parametrize("name", NONLINEAR)
def test_nonlinear_drift(name: str, solver: Solver) -> None:
    found = observed_order(NONLINEAR[name], solver, reference(name), [16, 32, 64, 128])
    assert abs(found - solver.strong_order) <= 0.15


@pytest.mark.parametrize("kind", ["diagonal", "scalar"])
@pytest.mark.parametrize(
    ("solver", "calculus", "order"),
    [
        (EulerMaruyama(), "ito", 0.5),
        (Milstein(), "ito", 1.0),
        (Milstein(), "stratonovich", 1.0),
        (StochasticHeun(), "stratonovich", 1.0),
    ],
    ids=str,
)
def test_geometric_brownian_motion(solver: Solver, calculus: Calculus, order: float, kind: NoiseType) -> None:
    """X₁ = X₀ exp(μ − s²/2 + s W₁), in Stratonovich's calculus without −s²/2: one W a component, or one for both."""
    x = torch.ones(1000, 2, dtype=torch.float64)
    growth, volatility = 0.3, torch.tensor([0.7, -0.5], dtype=torch.float64)
    equation = SDE(lambda t, x: growth * x, lambda t, x: volatility * x, kind, calculus)
    path = BrownianTree(x if kind == "diagonal" else x[:, :1], 0.0, 1.0, seed=1)
    ends = path.normal(0.0, 1.0, equation.variance, x if kind == "diagonal" else x[:, :1])
    mean = growth - (0.5 * volatility**2 if calculus == "ito" else 0.0)
    steps = [16, 32, 64, 128]
    solved = [solve(equation, x, grid(n), solver, path).x for n in steps]
    found = slope(steps, [rms(end - torch.exp(mean + volatility * ends)) for end in solved])
    assert abs(found - order) <= 0.15

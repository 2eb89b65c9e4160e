"""What a solver costs beyond its network: ours beside torchdiffeq's fixed-grid methods, above a bare loop."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import pytest
import torch
from overhead import Overhead
from torch import Tensor

from fokker.generative import CondOT, Denoiser, flow
from fokker.solvers import ODE, RK4, Euler, ExponentialAdams, Heun, Semilinear, Solver, TorchDiffEq, solve

STEPS, BATCH = 100, 256
FIELD = "MLP 2-128-128-2, batch 256"


@pytest.fixture
def x() -> Tensor:
    return torch.randn(BATCH, 2, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def net() -> torch.nn.Module:
    torch.manual_seed(0)
    widths = (2, 128, 128, 2)
    layers: list[torch.nn.Module] = []
    for a, b in pairwise(widths):
        layers += [torch.nn.Linear(a, b), torch.nn.SiLU()]
    return torch.nn.Sequential(*layers[:-1])


METHODS: list[Solver] = [
    *(Euler(), TorchDiffEq("euler"), Heun(), TorchDiffEq("heun2"), RK4(), TorchDiffEq("rk4"), ExponentialAdams(2))
]


@pytest.mark.parametrize("solver", METHODS, ids=repr)
def test_overhead(overhead: Overhead, solver: Solver, x: Tensor, net: torch.nn.Module) -> None:
    equation = ODE(lambda t, x: net(x))
    if solver.semilinear:
        equation = Semilinear(lambda t, x: net(x), torch.ones_like, lambda t: t)
    times = torch.linspace(0.0, 1.0, STEPS + 1, dtype=torch.float64)
    overhead(FIELD, repr(solver), lambda: solve(equation, x, times, solver), lambda: net(x), solver.evaluations(STEPS))


def test_overhead_of_a_bare_loop(overhead: Overhead, x: Tensor, net: torch.nn.Module) -> None:
    def loop() -> Tensor:
        state, h = x, 1.0 / STEPS
        for _ in range(STEPS):
            state = state + h * net(state)
        return state

    overhead(FIELD, "bare Euler loop", loop, lambda: net(x), STEPS)


def test_overhead_of_a_denoiser(overhead: Overhead, x: Tensor, net: torch.nn.Module) -> None:
    """With everything between a network and a sampler: clock, conversion of the prediction, coefficients."""
    equation = flow(Denoiser(lambda x, t: net(x), CondOT(), predicts="eps"), hold="x0")
    times = torch.linspace(0.01, 0.99, STEPS + 1, dtype=torch.float64)
    solver = ExponentialAdams(2)
    run = partial(solve, equation, x, times, solver)
    overhead(FIELD, f"{solver}, eps denoiser", run, lambda: net(x), STEPS)

"""What a solver costs beyond its network: ours beside its peers, and a loop written by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import pytest
import torch
import torchdiffeq
import torchsde
from overhead import Overhead
from torch import Tensor

from fokker.generative import CondOT, Denoiser, flow
from fokker.solvers import (
    ODE,
    RK4,
    SDE,
    Adaptive,
    BrownianTree,
    Dopri5,
    Equation,
    Euler,
    EulerMaruyama,
    ExponentialAdams,
    ExponentialRK,
    Heun,
    PlainClock,
    Semilinear,
    Solver,
    Tsit5,
    WhiteNoise,
    solve,
    unroll,
)


def mlp(*widths: int) -> torch.nn.Module:
    torch.manual_seed(0)
    layers: list[torch.nn.Module] = []
    for a, b in pairwise(widths):
        layers += [torch.nn.Linear(a, b), torch.nn.SiLU()]
    return torch.nn.Sequential(*layers[:-1])


class Case(NamedTuple):
    """A field on a state of this shape; steps of a solve, the end of an adaptive one, and how often it is timed."""

    net: Callable[[Tensor], Tensor]
    shape: tuple[int, int]
    steps: int
    end: float
    rounds: int

    @property
    def x(self) -> Tensor:
        return torch.randn(self.shape, generator=torch.Generator().manual_seed(0))

    @property
    def times(self) -> Tensor:
        return torch.linspace(0.0, 1.0, self.steps + 1, dtype=torch.float64)


FIELDS = {
    "trivial": Case(lambda x: x, (256, 2), 100, 20.0, 60),
    "MLP 2-128-128-2, batch 256": Case(mlp(2, 128, 128, 2), (256, 2), 100, 100.0, 30),
    "MLP 64-512-512-512-64, batch 512": Case(mlp(64, 512, 512, 512, 64), (512, 64), 20, 40.0, 5),
}
TOL = 1e-5
"""Of adaptive solves."""

each_field = pytest.mark.parametrize("name", FIELDS)


def bare_loop(case: Case, stages: int, noise: float = 0.0) -> Tensor:
    """Euler's method, or another of that many evaluations a step, as one would write it by hand."""
    x, h = case.x, 1.0 / case.steps
    for _ in range(case.steps):
        slope = case.net(x)
        for _ in range(stages - 1):
            slope = case.net(x + h * slope)
        x = x + h * slope
        if noise:
            x = x + noise * math.sqrt(h) * torch.randn_like(x)
    return x


def measure(
    overhead: Overhead, name: str, method: str, run: Callable[[], object], nfe: int, noise: float = 0.0
) -> None:
    """The floor makes as many steps as the solve's `nfe` evaluations; it is a tenth of a step off for odd numbers."""
    case = FIELDS[name]
    x, stages = case.x, max(1, round(nfe / case.steps))
    floor = partial(bare_loop, case, stages, noise)
    overhead(name, method, run, lambda: case.net(x), floor, nfe, stages * case.steps, case.rounds)


def equation(name: str, solver: Solver) -> Equation:
    net = FIELDS[name].net
    if solver.semilinear:
        return Semilinear(lambda t, x: net(x), PlainClock())
    return ODE(lambda t, x: net(x))


@each_field
@pytest.mark.parametrize("solver", [Euler(), Heun(), RK4(), ExponentialAdams(2), ExponentialRK(2)], ids=repr)
def test_grid(overhead: Overhead, solver: Solver, name: str) -> None:
    case = FIELDS[name]
    run = partial(solve, equation(name, solver), case.x, case.times, solver)
    measure(overhead, name, repr(solver), run, int(run().nfe))


@each_field
@pytest.mark.parametrize(("method", "stages"), [("euler", 1), ("heun2", 2), ("rk4", 4)])
def test_torchdiffeq_on_a_grid(overhead: Overhead, method: str, stages: int, name: str) -> None:
    case = FIELDS[name]
    run = partial(torchdiffeq.odeint, lambda t, x: case.net(x), case.x, case.times, method=method)
    measure(overhead, name, f"torchdiffeq {method}", run, stages * case.steps)


@each_field
@pytest.mark.parametrize("solver", [Euler(), Heun(), ExponentialAdams(2)], ids=repr)
def test_scheme(overhead: Overhead, solver: Solver, name: str) -> None:
    case, made = FIELDS[name], equation(name, solver)
    scheme = unroll(made, case.times, solver)
    measure(overhead, name, f"Scheme of {solver!r}", partial(scheme.run, made, case.x), scheme.nfe)


@each_field
@pytest.mark.parametrize("solver", [Dopri5(), Tsit5()], ids=repr)
def test_adaptive(overhead: Overhead, solver: Solver, name: str) -> None:
    case = FIELDS[name]
    run = partial(solve, equation(name, solver), case.x, Adaptive(0.0, case.end, rtol=TOL, atol=TOL), solver)
    measure(overhead, name, f"{solver!r}, adaptive", run, int(run().nfe))


@each_field
def test_torchdiffeq_adaptive(overhead: Overhead, name: str) -> None:
    case, calls = FIELDS[name], [0]
    ends = torch.tensor([0.0, case.end], dtype=torch.float64)

    def drift(t: Tensor, x: Tensor) -> Tensor:
        calls[0] += 1
        return case.net(x)

    run = partial(torchdiffeq.odeint, drift, case.x, ends, method="dopri5", rtol=TOL, atol=TOL)
    run()
    measure(overhead, name, "torchdiffeq dopri5, adaptive", run, calls[0])


@each_field
@pytest.mark.parametrize("path", [False, True], ids=["WhiteNoise", "BrownianTree"])
def test_stochastic(overhead: Overhead, path: bool, name: str) -> None:
    case = FIELDS[name]
    noisy = SDE(lambda t, x: case.net(x), lambda t, x: 0.5, noise="additive")

    def run() -> object:
        noise = BrownianTree(case.x, 0.0, 1.0, seed=0) if path else WhiteNoise(0)
        return solve(noisy, case.x, case.times, EulerMaruyama(), noise)

    measure(overhead, name, f"EulerMaruyama, {'BrownianTree' if path else 'WhiteNoise'}", run, case.steps, 0.5)


@each_field
def test_torchsde(overhead: Overhead, name: str) -> None:
    case = FIELDS[name]

    class Noisy:
        noise_type, sde_type = "diagonal", "ito"

        def f(self, t: Tensor, x: Tensor) -> Tensor:
            return case.net(x)

        def g(self, t: Tensor, x: Tensor) -> Tensor:
            return torch.full_like(x, 0.5)

    def run() -> object:
        """With the step told to the path, without which it is many times slower on some grids."""
        dt = 1.0 / case.steps
        path = torchsde.BrownianInterval(0.0, 1.0, size=case.shape, dtype=torch.float32, dt=dt)
        return torchsde.sdeint(Noisy(), case.x, torch.tensor([0.0, 1.0]), bm=path, method="euler", dt=dt)

    measure(overhead, name, "torchsde euler, BrownianInterval", run, case.steps, 0.5)


def test_denoiser(overhead: Overhead) -> None:
    """With everything between a network and a sampler: clock, conversion of the prediction, coefficients."""
    name = "MLP 2-128-128-2, batch 256"
    case = FIELDS[name]
    made = flow(Denoiser(lambda x, t: case.net(x), CondOT(), predicts="eps"), hold="x0")
    times = torch.linspace(0.01, 0.99, case.steps + 1, dtype=torch.float64)
    run = partial(solve, made, case.x, times, ExponentialAdams(2))
    measure(overhead, name, "ExponentialAdams(2), eps denoiser", run, case.steps)

"""What cannot be timed in one number: memory against steps, evaluations saved, depth against work."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from measured import enter
from memory import peak_mebibytes
from torch import Tensor, nn

from fokker.benchmarks.problems import problem
from fokker.generative.equations import flow, grids
from fokker.solvers import (
    ODE,
    RK4,
    Adaptive,
    Dopri5,
    Euler,
    ExponentialAdams,
    ExponentialRK,
    Heun,
    Picard,
    PlainClock,
    Semilinear,
    Solver,
    Stepper,
    Time,
    TorchDiffEq,
    solve,
)

SOLVERS: dict[str, Solver] = {
    "RK4()": RK4(),
    "ExponentialAdams(3)": ExponentialAdams(3),
    "Dopri5(), adaptive": Dopri5(),
}


def solve_large(name: str, steps: int) -> None:
    """A state of 16 MiB; adaptive solves run so long that they take about that many steps."""
    equation = Semilinear(lambda t, x: math.cos(t) * x, PlainClock())
    times: Any = torch.linspace(0.0, 1.0, steps + 1, dtype=torch.float64)
    if "adaptive" in name:
        times = Adaptive(0.0, 0.4 * steps, rtol=1e-4, atol=1e-4)
    solve(equation, torch.ones(4, 2**20), times, SOLVERS[name])


@pytest.mark.parametrize("name", SOLVERS)
def test_memory_of_a_solve(benchmark: Any, name: str) -> None:
    few, many = benchmark.pedantic(
        lambda: [peak_mebibytes("test_work", "solve_large", name, n) for n in (10, 1000)], rounds=1
    )
    title = "Peak memory of a process that solves for a state of 16 MiB (MiB)"
    enter(title, method=name, steps_10=f"{few:.0f}", steps_1000=f"{many:.0f}")


WAYS = ("plain", "checkpoint", "adjoint")


def differentiate(way: str, steps: int) -> None:
    """The gradient of a solve by RK4 with respect to the network, whose evaluation leaves 6 MiB behind."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 1024), nn.Tanh(), nn.Linear(1024, 64))
    field, x, times = ODE(lambda t, x: net(x)), torch.ones(512, 64), torch.linspace(0.0, 1.0, steps + 1)
    solver = TorchDiffEq("rk4", adjoint=True, parameters=net) if way == "adjoint" else RK4()
    with torch.enable_grad():
        solve(field, x, times, solver, checkpoint=way == "checkpoint").x.sum().backward()


@pytest.mark.parametrize("way", WAYS)
def test_memory_of_a_gradient(benchmark: Any, way: str) -> None:
    few, many = benchmark.pedantic(
        lambda: [peak_mebibytes("test_work", "differentiate", way, n) for n in (2, 100)], rounds=1
    )
    enter("Peak memory of a gradient through RK4 (MiB)", method=way, steps_2=f"{few:.0f}", steps_100=f"{many:.0f}")


@pytest.mark.parametrize("stiff", [0.02, 0.1, 0.5])
def test_steps_of_each_sample(benchmark: Any, stiff: float) -> None:
    """256 oscillators, of which a share turns a hundred times faster than the rest."""
    turns = torch.where(torch.arange(256) < stiff * 256, 200.0, 2.0).double().reshape(-1, 1)

    def drift(t: Time, x: Tensor) -> Tensor:
        speed = x[:, 2:]
        return torch.cat([-speed * x[:, 1:2], speed * x[:, :1], torch.zeros_like(speed)], dim=1)

    x = torch.cat([torch.ones_like(turns), torch.zeros_like(turns), turns], dim=1)

    def work() -> list[int]:
        found = []
        for per_sample in (False, True):
            times = Adaptive(0.0, 1.0, rtol=1e-6, atol=1e-6, per_sample=per_sample)
            found.append(solve(ODE(drift), x, times, Dopri5()).nfe.total)
        return found

    shared, apart = benchmark.pedantic(work, rounds=1)
    enter(
        "Adaptive steps of each sample's own: evaluations of 256 samples, Dopri5 at 1e-6",
        fast_samples=f"{stiff:.0%}",
        shared_steps=shared,
        own_steps=apart,
        saved=f"{1 - apart / shared:.0%}",
    )


@pytest.mark.parametrize("steps", [50, 200])
@pytest.mark.parametrize(
    ("solver", "hold"),
    [(ExponentialAdams(1), "x0"), (Euler(), "velocity"), (Heun(), "velocity"), (ExponentialRK(2), "velocity")],
    ids=str,
)
@pytest.mark.parametrize("share", [1.0, 0.1])
def test_depth_of_picard(benchmark: Any, solver: Stepper, hold: str, steps: int, share: float) -> None:
    chosen = problem("mixture64")
    x, times = chosen.noise(32, 0), grids.quadratic(chosen.path, steps)
    equation = flow(chosen.labelled(32), hold)

    def rms(x: Tensor) -> float:
        return x.square().mean().sqrt().item()

    exact = solve(chosen.equation(32), x, grids.quadratic(chosen.path, 600), ExponentialAdams(4, corrector=True)).x
    sequential = solve(equation, x, times, solver)
    window = max(1, round(share * steps))
    parallel = benchmark.pedantic(lambda: solve(equation, x, times, Picard(solver, window)), rounds=1)
    enter(
        "Picard on mixture64, tolerance 0.1: calls one after the other, and all evaluations",
        method=f"{solver!r}, hold {hold}",
        steps=str(steps),
        window=str(window),
        sequential=str(sequential.nfe),
        depth=str(parallel.nfe.depth),
        evaluations=str(parallel.nfe),
        discretisation=f"{rms(sequential.x - exact):.1e}",
        iteration=f"{rms(parallel.x - sequential.x):.1e}",
    )

"""Batches without samples, and samples without components, go through everything, or are refused in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from fokker.generative import CondOT, Denoiser, flow, reverse_sde
from fokker.solvers import (
    EDM_HEUN,
    ODE,
    RK4,
    SDE,
    SRA1,
    Adaptive,
    Ancestral,
    BrownianTree,
    Churn,
    Dopri5,
    Euler,
    EulerMaruyama,
    ExponentialAdams,
    ExponentialRK,
    Halving,
    Heun,
    Langevin,
    LeimkuhlerMatthews,
    Milstein,
    Noise,
    Picard,
    Restart,
    SciPy,
    Solution,
    Solver,
    StochasticHeun,
    TorchDiffEq,
    TorchSDE,
    Tsit5,
    WhiteNoise,
    solve,
    standard_normal,
    unroll,
)

SHAPES = [(0, 3), (0,), (2, 0), (0, 1, 4, 4), (0, 0)]
GRID = [0.1, 0.25, 0.5, 0.8, 0.9]
ONE = ExponentialAdams(1)
DENOISER = Denoiser(lambda x, t: torch.tanh(x), CondOT(), predicts="x0")
DECAY, FLOW, REVERSE = ODE(lambda t, x: -x), flow(DENOISER), reverse_sde(DENOISER)
shapes = pytest.mark.parametrize("shape", SHAPES)


def empty(shape: tuple[int, ...]) -> Tensor:
    return torch.empty(shape, dtype=torch.float64)


def check(solution: Solution, x: Tensor) -> None:
    assert solution.status == "completed"
    assert solution.x.shape == x.shape
    assert solution.nfe.per_sample.shape == x.shape[:1]
    assert solution.nfe.total == len(x) * int(solution.nfe)
    if solution.xs is not None:
        assert solution.xs.shape == (len(solution.ts), *x.shape)


@shapes
@pytest.mark.parametrize("save", [True, [0.5, 0.9]])
@pytest.mark.parametrize(
    "solver",
    [Euler(), RK4(), Dopri5(), ONE, ExponentialAdams(4), ExponentialAdams(2, corrector=True), ExponentialRK(4),
     ExponentialRK(EDM_HEUN), Halving(Heun()), Picard(Heun(), 3)],
    ids=repr,
)  # fmt: skip
def test_on_a_grid(solver: Solver, save: Any, shape: tuple[int, ...]) -> None:
    x = empty(shape)
    equation = FLOW if solver.semilinear else DECAY
    check(solve(equation, x, GRID, solver, save=save), x)


@shapes
@pytest.mark.parametrize("norm", ["rms", "max", lambda error: error.new_ones(len(error))])
@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("solver", [Heun(), Tsit5(), ExponentialRK(3), Halving(RK4())])
def test_adaptively(solver: Solver, per_sample: bool, norm: Any, shape: tuple[int, ...]) -> None:
    x = empty(shape)
    times = Adaptive(0.1, 0.9, rtol=1e-3, atol=torch.tensor(1e-3), per_sample=per_sample, norm=norm)
    equation = FLOW if solver.semilinear else DECAY
    check(solve(equation, x, times, solver, save=[0.3, 0.9] if solver.dense else False), x)


@shapes
@pytest.mark.parametrize("kind", ["diagonal", "additive", "scalar", "general"])
def test_with_noise(kind: str, shape: tuple[int, ...]) -> None:
    x = empty(shape)
    if kind == "general" and x.ndim != 2:
        pytest.skip("matrices need states (B, d)")
    like = {"general": x.new_empty(len(x), 2), "scalar": x[(slice(None), *(slice(1),) * (x.ndim - 1))]}.get(kind, x)
    noises: list[Noise] = [WhiteNoise(0), BrownianTree(like, 0.0, 1.0, [*range(len(x))])]
    for solver in (EulerMaruyama(), StochasticHeun(), *([Milstein()] if kind != "general" else [])):
        calculus = "ito" if "ito" in solver.calculi else "stratonovich"

        def diffusion(t: float, x: Tensor) -> Tensor:
            return x.new_ones(*x.shape, 2) if kind == "general" else 1.0 + 0.1 * x

        equation = SDE(lambda t, x: -x, diffusion, noise=kind, calculus=calculus)
        for noise in noises:
            check(solve(equation, x, GRID, solver, noise), x)


@shapes
@pytest.mark.parametrize(
    "solver",
    [SRA1(), LeimkuhlerMatthews(), EulerMaruyama(), ExponentialAdams(2), ExponentialRK(2), Halving(EulerMaruyama()),
     Langevin(ONE, 1, 0.1), Picard(EulerMaruyama(), 3)],
    ids=repr,
)  # fmt: skip
def test_along_the_reverse_equation(solver: Solver, shape: tuple[int, ...]) -> None:
    x = empty(shape)
    tree = BrownianTree(x, 0.0, 1.0, area=True)
    check(solve(REVERSE, x, GRID, solver, tree), x)
    if solver.embedded:
        check(solve(REVERSE, x, Adaptive(0.1, 0.9, rtol=1e-2, atol=1e-2), solver, tree), x)


@shapes
@pytest.mark.parametrize(
    "solver",
    [Ancestral(ONE), Churn(ONE, 1.0), Langevin(ONE, 2, 0.1), Langevin(None, 2, 0.1), Restart(ONE, [0.2, 0.5], 2)],
    ids=repr,
)
def test_with_noise_of_their_own(solver: Solver, shape: tuple[int, ...]) -> None:
    x = empty(shape)
    check(solve(FLOW, x, GRID, solver, WhiteNoise(0)), x)
    check(unroll(FLOW, GRID, solver).run(FLOW, x, BrownianTree(x, 0.0, 1.0), save=True), x)


@shapes
@pytest.mark.parametrize("method", SciPy.METHODS)
def test_scipy(method: str, shape: tuple[int, ...]) -> None:
    x = empty(shape)
    check(solve(DECAY, x, Adaptive(0.1, 0.9, rtol=1e-3, atol=1e-3), SciPy(method), save=[0.5]), x)


REFUSED: list[Callable[[Tensor], object]] = [
    lambda x: solve(DECAY, x, GRID, TorchDiffEq("rk4")),
    lambda x: solve(DECAY, x, Adaptive(0.1, 0.9, rtol=1e-3, atol=1e-3), TorchDiffEq("dopri5")),
    lambda x: solve(DECAY, x, GRID, TorchSDE("euler")),
]


@shapes
@pytest.mark.parametrize("call", REFUSED)
def test_other_libraries_take_none(call: Callable[[Tensor], object], shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^torch\w+ takes no state without entries, such as \(.*\); use \w+\.$"):
        call(empty(shape))


@shapes
def test_gradients_and_normal_numbers(shape: tuple[int, ...]) -> None:
    x = empty(shape).requires_grad_()
    solve(DECAY, x, GRID, RK4(), checkpoint=True).x.sum().backward()
    assert x.grad is not None
    assert x.grad.shape == x.shape
    for seed in (3, range(len(x)), torch.arange(len(x))):
        assert standard_normal(x, seed).shape == x.shape


def test_a_parallel_solve_takes_states_of_one_number() -> None:
    """x of shape (B,): the same as of shape (B, 1)."""
    x = torch.linspace(-1.0, 1.0, 5, dtype=torch.float64)
    flat, deep = (solve(DECAY, state, GRID, Picard(Heun(), 3)) for state in (x, x[:, None]))
    assert torch.equal(flat.x, deep.x[:, 0])
    assert flat.nfe == deep.nfe

"""torchsde's methods: equal to our own where the scheme is the same; orders that no certificate measures."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import get_args

import pytest
import torch
import torchsde
from torch import Tensor
from torch.autograd import gradcheck
from trials import UNEQUAL, Counted, grid, within

from fokker.solvers import (
    ODE,
    SDE,
    SRA1,
    BrownianTree,
    Equation,
    EulerMaruyama,
    ExponentialAdams,
    Milstein,
    Solver,
    StochasticHeun,
    TorchSDE,
    WhiteNoise,
    solve,
)
from fokker.solvers.backends.torch_sde import _Increments, _System
from fokker.solvers.equation import Calculus, NoiseType
from fokker.verification import OrnsteinUhlenbeck
from fokker.verification.certificates.problems import INITIAL
from fokker.verification.statistics.slopes import rms, slope


def flat(t: Tensor) -> Tensor:
    return t


def damped(t: float, x: Tensor) -> Tensor:
    return math.cos(t) - x


START = torch.tensor([[0.3, -0.4], [0.1, 0.8], [-0.5, 0.2]], dtype=torch.float64)
COLUMNS = torch.tensor([[0.1, 0.2], [0.3, -0.4], [0.5, 0.6]], dtype=torch.float64)
IMAGE = torch.linspace(-1.0, 1.0, 48, dtype=torch.float64).reshape(3, 1, 4, 4)
ROWS = IMAGE[:, 0, 0, :3]
NOISY: dict[str, tuple[Equation, Tensor, Tensor]] = {
    "diagonal": (SDE(damped, lambda t, x: (0.3 + t) * x), ROWS, ROWS),
    "additive": (SDE(damped, lambda t, x: (1.0 + t) * COLUMNS[:, 0], noise="additive"), ROWS, ROWS),
    "scalar": (SDE(damped, lambda t, x: (1.0 + t) * x, noise="scalar"), ROWS, ROWS[:, :1]),
    "general": (SDE(damped, lambda t, x: (1.0 + t) * COLUMNS * x.unsqueeze(-1), noise="general"), ROWS, ROWS[:, :2]),
    "image": (SDE(damped, lambda t, x: (0.3 + t) * x), IMAGE, IMAGE),
    "image, scalar": (SDE(damped, lambda t, x: x, noise="scalar"), IMAGE, IMAGE[:, :1, :1, :1]),
    "vector": (SDE(damped, lambda t, x: x), IMAGE[:, 0, 0, 0], IMAGE[:, 0, 0, 0]),
    "semilinear": (OrnsteinUhlenbeck(0.4, 0.8).equation(), ROWS, ROWS),
}


EQUAL: list[tuple[str, Solver, str, Calculus]] = [
    *(("euler", EulerMaruyama(), name, "ito") for name in NOISY),
    *(("heun", StochasticHeun(), name, "stratonovich") for name in NOISY),
    *(("milstein", Milstein(), name, each) for name in NOISY if name != "general" for each in get_args(Calculus)),
    ("srk", SRA1(), "additive", "ito"),
]


@pytest.mark.parametrize(("method", "ours", "name", "calculus"), EQUAL, ids=str)
def test_the_same_scheme_gives_the_same_paths(method: str, ours: Solver, name: str, calculus: Calculus) -> None:
    """To rounding, from states of order 1."""
    equation, x, like = NOISY[name]
    equation = replace(equation, calculus=calculus) if isinstance(equation, SDE) else equation
    tree = BrownianTree(like, 0.0, 1.0, seed=3, area=True)
    expected, found = (solve(equation, x, UNEQUAL, solver, tree, save=True) for solver in (ours, TorchSDE(method)))
    torch.testing.assert_close(found.xs, expected.xs, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("method", TorchSDE.METHODS)
def test_a_solve_is_resumed_by_x_alone_where_steps_depend_on_nothing_else(method: str) -> None:
    solver, (equation, x, _) = TorchSDE(method), NOISY["additive"]
    tree = BrownianTree(x, 0.0, 1.0, seed=3, area=True)
    middle = solve(equation, x, UNEQUAL[:3], solver, tree).x
    resumed = solve(equation, middle, UNEQUAL[2:], solver, tree).x
    assert torch.equal(resumed, solve(equation, x, UNEQUAL, solver, tree).x) == solver.one_step


@pytest.mark.parametrize("method", TorchSDE.METHODS)
def test_the_steps_are_those_of_sdeint(method: str) -> None:
    """On steps that add up without rounding."""
    solver = TorchSDE(method)
    equation = SDE(damped, lambda t, x: (0.3 + t) * x.sin(), calculus=min(solver.calculi))
    tree = BrownianTree(ROWS, 0.0, 1.0, seed=1, area=True)
    system = _System(equation, ROWS.shape, "diagonal", min(solver.calculi))
    increments = _Increments(tree, equation, ROWS, method)
    direct = torchsde.sdeint(system, ROWS, grid(8), bm=increments, method=method, dt=0.125)
    assert torch.equal(solve(equation, ROWS, grid(8), solver, tree, save=True).xs, direct)


# Strong orders


@cache
def geometric(noise: NoiseType, calculus: Calculus) -> tuple[SDE, Tensor, BrownianTree, Tensor]:
    """dX = a(t) X dt + b X dW with b by component: X₁ = X₀ exp(∫a dt + b W₁), in the Ito calculus times e^{−b²/2}."""
    x = torch.linspace(0.5, 1.5, 3000, dtype=torch.float64).reshape(-1, 2)
    volatility = torch.tensor([0.8, -0.5], dtype=torch.float64)
    like = x[:, :1] if noise == "scalar" else x
    tree = BrownianTree(like, 0.0, 1.0, seed=5, area=True)
    growth = 0.1 * math.sin(3.0) - (volatility**2 / 2.0 if calculus == "ito" else 0.0)
    exact = x * torch.exp(growth + volatility * tree.normal(0.0, 1.0, flat, like))
    equation = SDE(lambda t, x: 0.3 * math.cos(3.0 * t) * x, lambda t, x: volatility * x, noise, calculus)
    return equation, x, tree, exact


@cache
def swept() -> tuple[Tensor, BrownianTree, Tensor]:
    """dX = dW¹, dY = X dW², the same in both calculi: Y₁ = Y₀ + ∫ X dW², by an Ito sum over 2048 cells.

    No method sees the Lévy area within its steps, nor does the sum within its cells, whose squared error is 2048/n
    times smaller than that of n steps.
    """
    x = torch.zeros(500, 2, dtype=torch.float64)
    tree = BrownianTree(x, 0.0, 1.0, seed=4)
    increments = [math.sqrt(t - s) * tree.normal(s, t, flat, x) for s, t in pairwise(grid(2048).tolist())]
    first, second = torch.stack(increments).unbind(-1)
    before = torch.cat([torch.zeros_like(first[:1]), first[:-1].cumsum(0)])
    return x, tree, torch.stack([first.sum(0), (before * second).sum(0)], dim=-1)


def sweeping(t: float, x: Tensor) -> Tensor:
    return torch.diag_embed(torch.stack([torch.ones_like(x[:, 0]), x[:, 0]], dim=-1))


STRONG = [
    (method, noise, calculus)
    for method, found in TorchSDE.METHODS.items()
    for noise in sorted(found.strong.keys() - {"additive"})  # which the certificates measure
    for calculus in sorted(found.calculi)
]


@pytest.mark.parametrize(("method", "noise", "calculus"), STRONG)
def test_strong_order(method: str, noise: NoiseType, calculus: Calculus) -> None:
    """Rms over at least 500 paths against the exact solution on the same tree; the slope's standard error is 0.04."""
    solver, steps = TorchSDE(method), [8, 16, 32, 64]
    if noise == "general":
        x, tree, exact = swept()
        equation = SDE(lambda t, x: torch.zeros_like(x), sweeping, noise, calculus)
    else:
        equation, x, tree, exact = geometric(noise, calculus)
    errors = [rms(solve(equation, x, grid(n), solver, tree).x - exact) for n in steps]
    assert abs(slope(steps, errors) - solver.METHODS[method].strong[noise]) <= 0.15
    assert solver.strong_order == solver.METHODS[method].strong["additive"]


@pytest.mark.parametrize("method", TorchSDE.METHODS)
def test_a_variance_clock_that_is_not_t_leaves_strong_order_one(method: str) -> None:
    """Or more, on the Ornstein-Uhlenbeck equation, whose q grows like e^{2θt}, and which one step of ours solves."""
    equation, steps = OrnsteinUhlenbeck(0.4, 0.8).equation(), [8, 16, 32, 64]
    x = torch.linspace(-1.0, 1.0, 1000, dtype=torch.float64).reshape(-1, 1)
    tree = BrownianTree(x, 0.0, 1.0, seed=6, area=True)
    exact = solve(equation, x, [0.0, 1.0], ExponentialAdams(1), tree).x
    errors = [rms(solve(equation, x, grid(n), TorchSDE(method), tree).x - exact) for n in steps]
    assert slope(steps, errors) >= 0.85


@pytest.mark.parametrize("noise", ["diagonal", "scalar"])
def test_log_ode_is_midpoint_where_it_needs_no_area(noise: NoiseType) -> None:
    equation, x, tree, _ = geometric(noise, "stratonovich")
    ends = [solve(equation, x, grid(4), TorchSDE(method), tree).x for method in ("log_ode", "midpoint")]
    assert torch.equal(*ends)


@pytest.mark.parametrize("checkpoint", [False, True])
@pytest.mark.parametrize("method", ["euler", "milstein", "reversible_heun"])
def test_a_stochastic_solve_differentiates(method: str, checkpoint: bool) -> None:
    tree, solver = BrownianTree(START, 0.0, 1.0, seed=8), TorchSDE(method)
    weight = torch.tensor([0.6, -0.4], dtype=torch.float64, requires_grad=True)

    def end(x: Tensor, weight: Tensor) -> Tensor:
        equation = SDE(damped, lambda t, x: weight * x.sin(), "diagonal", min(solver.calculi))
        return solve(equation, x, grid(4), solver, tree, checkpoint=checkpoint).x

    assert gradcheck(end, (START.clone().requires_grad_(), weight))


@pytest.mark.parametrize("steps", [1, 2, 3, 10])
@pytest.mark.parametrize("solver", [*map(TorchSDE, TorchSDE.METHODS)], ids=repr)
def test_evaluations_declared_are_evaluations_counted(solver: Solver, steps: int) -> None:
    """srk declares none, since it takes three a step here and with additive noise, but ten with other noise."""
    counted, x = Counted(), INITIAL[:2]
    solution = solve(counted.equation, x, grid(steps), solver)
    declared = solver.evaluations(steps)
    assert solution.nfe == counted.calls == (3 * steps if declared is None else declared)
    assert solution.accepted == steps
    if declared is None:
        noisy = SDE(counted.drift, lambda t, x: 0.1 * x)
        assert solve(noisy, x, grid(steps), solver, WhiteNoise(0)).nfe == 10 * steps


# Bad input


DECAY = ODE(lambda t, x: -x)
ITO = SDE(damped, lambda t, x: x)
GENERAL = SDE(damped, lambda t, x: torch.diag_embed(x), noise="general", calculus="stratonovich")
TREE = BrownianTree(START, 0.0, 1.0)
BAD_INPUT: dict[str, tuple[Callable[[], object], str]] = {
    "an unknown method": (lambda: TorchSDE("adjoint_reversible_heun"), "choose one of euler, milstein, srk, midpoint"),
    "tolerances": (lambda: solve(DECAY, START, within(1e-3), TorchSDE("srk")), "no error estimate"),
    "an area of a tree without": (lambda: solve(ITO, START, grid(4), TorchSDE("srk"), TREE), "area=True"),
    "a Lévy area": (lambda: solve(GENERAL, START, grid(4), TorchSDE("log_ode"), TREE), "but the equation's is general"),
    "the other calculus": (lambda: solve(ITO, START, grid(4), TorchSDE("heun"), TREE), "in the stratonovich calculus"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_gets_one_clear_sentence(case: str) -> None:
    call, sentence = BAD_INPUT[case]
    with pytest.raises(ValueError, match=sentence) as error:
        call()
    assert str(error.value).endswith(".")

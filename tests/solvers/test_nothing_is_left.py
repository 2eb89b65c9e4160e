"""What a solve leaves behind: no hooks, no graphs that nobody asked for, no states, and no work that grows with n²."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fokker.generative import CondOT, Denoiser, flow
from fokker.solvers import (
    ODE,
    RK4,
    Adaptive,
    Ancestral,
    BrownianTree,
    Dopri5,
    Euler,
    EulerMaruyama,
    ExponentialAdams,
    ExponentialRK,
    Heun,
    Noise,
    Picard,
    PlainClock,
    SciPy,
    Semilinear,
    SolveError,
    Solver,
    TorchDiffEq,
    TorchSDE,
    solve,
    unroll,
)

GRID = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
WITHIN = Adaptive(0.1, 0.9, rtol=1e-3, atol=1e-3)
EACH = Adaptive(0.1, 0.9, rtol=1e-3, atol=1e-3, per_sample=True)
ONE = ExponentialAdams(1)
CASES: list[tuple[Any, Solver]] = [
    (GRID, Euler()),
    (GRID, EulerMaruyama()),
    (GRID, ExponentialAdams(3, corrector=True)),
    (GRID, ExponentialRK(3)),
    (GRID, Picard(Heun(), window=3)),
    (GRID, Ancestral(ONE)),
    (WITHIN, Dopri5()),
    (WITHIN, ExponentialRK(3)),
    (EACH, Dopri5()),
    (GRID, TorchDiffEq("rk4")),
    (WITHIN, TorchDiffEq("dopri5")),
    (GRID, TorchSDE("midpoint")),
]
cases = pytest.mark.parametrize(("times", "solver"), CASES, ids=lambda case: type(case).__name__)


def state() -> Tensor:
    return torch.linspace(-1.0, 1.0, 6, dtype=torch.float64).reshape(3, 2)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2)).double()


def equation(solver: Solver, field: Callable[..., Tensor]) -> ODE | Semilinear:
    if solver.draws:
        return flow(Denoiser(lambda x, t: field(t, x), CondOT(), predicts="x0"))
    return Semilinear(field, PlainClock()) if solver.semilinear else ODE(field)


def driving(solver: Solver, x: Tensor) -> Noise | None:
    return BrownianTree(x, 0.0, 1.0) if solver.draws else None


@cases
def test_a_field_may_return_what_it_was_given(times: Any, solver: Solver) -> None:
    """x, a parameter, a result of other work: they keep no hook, and what becomes of them later is not counted."""
    x, parameter = state().requires_grad_(), nn.Parameter(torch.ones(3, 2, dtype=torch.float64))
    other = 2.0 * parameter
    for given in (None, parameter, other):
        made = equation(solver, lambda t, x, given=given: x if given is None or len(x) != 3 else given)
        solution = solve(made, x, times, solver, driving(solver, x.detach()))
        solution.x.sum().backward(retain_graph=True)
        counted = solution.nfe.vjp
        assert counted > 0
        assert not x._backward_hooks
        assert not parameter._backward_hooks
        assert not other._backward_hooks
        (other * x).sum().backward(retain_graph=True)
        assert solution.nfe.vjp == counted


@cases
def test_without_gradients_there_is_no_graph(times: Any, solver: Solver) -> None:
    """The state and the network require gradients, but nobody asked for a graph."""
    x, net = state().requires_grad_(), network()
    with torch.no_grad():
        solution = solve(equation(solver, lambda t, x: net(x)), x, times, solver, driving(solver, x), save=[0.1, 0.9])
    assert solution.xs is not None
    assert not solution.x.requires_grad
    assert not solution.xs.requires_grad
    assert not any(isinstance(value, Tensor) and value.requires_grad for value in vars(solution.ledger).values())


@cases
def test_a_partial_solution_has_no_graph_either(times: Any, solver: Solver) -> None:
    """Of a field that raises at its first call, and of one that is not finite."""

    def raising(t: Any, x: Tensor) -> Tensor:
        raise KeyError("first")

    x = state().requires_grad_()
    for field, kind in ((raising, KeyError), (lambda t, x: x / 0.0, SolveError)):
        with torch.no_grad(), pytest.raises(kind) as failure:
            solve(equation(solver, field), x, times, solver, driving(solver, x))
        assert not failure.value.solution.x.requires_grad  # type: ignore[attr-defined]


@contextmanager
def counting_alone() -> Iterator[None]:
    """Objects vanish with their last reference, or not at all."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@cases
@pytest.mark.parametrize("gradients", [False, True])
def test_no_state_outlives_its_solution(times: Any, solver: Solver, gradients: bool) -> None:
    net, x = network(), state()
    made = equation(solver, lambda t, x: net(x))
    solve(made, x, times, solver, driving(solver, x))  # what is loaded once
    with counting_alone(), torch.set_grad_enabled(gradients):
        x = state().requires_grad_(gradients)
        solution = solve(made, x, times, solver, driving(solver, x.detach()), save=True if times is not EACH else [0.9])
        if gradients:
            solution.x.sum().backward()
        kept = [weakref.ref(each) for each in (x, solution.x, solution.xs, solution.ledger)]
        del x, solution
        assert [ref() for ref in kept] == [None, None, None, None]


def test_no_state_outlives_a_scheme_or_scipy() -> None:
    net = network()
    made = flow(Denoiser(lambda x, t: net(x), CondOT(), predicts="x0"))
    scheme = unroll(made, GRID, ExponentialRK(3))
    runs: list[Callable[[Tensor], Any]] = [
        lambda x: scheme.run(made, x, save=True),
        lambda x: solve(ODE(lambda t, x: net(x)), x, WITHIN, SciPy("RK45"), save=True),
    ]
    for run in runs:
        with torch.no_grad():
            run(state())
        with counting_alone(), torch.no_grad():
            x = state()
            solution = run(x)
            kept = [weakref.ref(each) for each in (x, solution.x, solution.ledger)]
            del x, solution
            assert [ref() for ref in kept] == [None, None, None]


def work(solver: Solver, n: int) -> tuple[int, int]:
    """The evaluations, and the calls of Python's functions, of a solve on n steps and of its backward pass."""
    evaluations = calls = 0

    def field(t: float, x: Tensor) -> Tensor:
        nonlocal evaluations
        evaluations += 1
        return torch.tanh(x)

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    x = state().requires_grad_()
    made = Semilinear(field, PlainClock()) if solver.semilinear else ODE(field)
    sys.setprofile(count)
    try:
        solve(made, x, torch.linspace(0.0, 1.0, n + 1), solver, checkpoint=True).x.sum().backward()
    finally:
        sys.setprofile(None)
    return evaluations, calls


@pytest.mark.parametrize("solver", [RK4(), Dopri5(), ExponentialAdams(3), ExponentialRK(3)], ids=repr)
def test_checkpoints_take_work_in_proportion_to_the_steps(solver: Solver) -> None:
    """Each step is taken twice, whatever the number of steps: from 50 to 200 of them the work grows fourfold."""
    work(solver, 8)
    (few, little), (many, much) = work(solver, 50), work(solver, 200)
    assert few == 2 * solver.evaluations(50)
    assert many == 2 * solver.evaluations(200)
    assert much < 4.2 * little

"""Every exported solver converges at the order it declares, on nonlinear non-autonomous equations with closed forms."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from cases import CERTIFIED_IN, EXPORTED, FIXED_STEP, INITIAL, PROBLEMS, Problem, label
from convergence import slope

from fokker.solvers import ODE, Adaptive, Bosh3, Dopri5, Semilinear, Solver, TorchDiffEq, solve

ROUNDING = 5e-14  # of order 1 states after a thousand steps, ten times over: below it a slope says nothing


def error(problem: Problem, solver: Solver, steps: int) -> float:
    """The root mean square over the initial points."""
    times = torch.linspace(0.0, 1.0, steps + 1, dtype=torch.float64)
    solution = solve(problem.equation, INITIAL, times, solver)
    return (solution.x - problem.exact(INITIAL)).square().mean().sqrt().item()


def observed_order(problem: Problem, solver: Solver) -> float:
    """The least-squares slope over the finest doubling above the rounding floor, of three points."""
    ladder = [(steps, error(problem, solver, steps)) for steps in (45, 64, 90, 128, 181, 256, 362, 512, 724, 1024)]
    steps, errors = zip(*[(steps, e) for steps, e in ladder if e > ROUNDING][-3:], strict=True)
    return slope(steps, errors)


def test_the_table_holds_every_exported_solver() -> None:
    """Or names the file that measures it."""
    assert {type(solver) for solver in FIXED_STEP} | CERTIFIED_IN.keys() == EXPORTED
    for solver, file in CERTIFIED_IN.items():
        (found,) = Path(__file__).parent.rglob(f"{file}.py")
        assert f"{solver.__name__}(" in found.read_text()


SOLVABLE = [
    pytest.param(solver, name, id=f"{label(solver)}-{name}")
    for solver in FIXED_STEP
    for name, problem in PROBLEMS.items()
    if isinstance(problem.equation, Semilinear) or not solver.semilinear
]


@pytest.mark.parametrize(("solver", "problem"), SOLVABLE)
def test_order(solver: Solver, problem: str) -> None:
    assert abs(observed_order(PROBLEMS[problem], solver) - solver.order) <= 0.15


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 10])
@pytest.mark.parametrize("solver", FIXED_STEP, ids=label)
def test_evaluations_declared_are_evaluations_counted(solver: Solver, steps: int) -> None:
    calls = 0
    problem = PROBLEMS["log clock"].equation
    assert isinstance(problem, Semilinear)

    def field(t: float, x: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return problem.field(t, x)

    equation = Semilinear(field, problem.clock)
    solution = solve(equation, INITIAL, torch.linspace(0.0, 1.0, steps + 1), solver)
    assert solution.nfe == solution.nfe.forward == calls == solver.evaluations(steps)
    assert solver.evaluations(solver.steps(calls)) == calls
    assert solution.accepted == steps


def adaptive_errors(solver: Solver) -> list[float]:
    problem, errors = PROBLEMS["ode"], []
    for tolerance in (1e-4, 1e-6, 1e-8):
        solution = solve(problem.equation, INITIAL, Adaptive(0.0, 1.0, rtol=tolerance, atol=tolerance), solver)
        errors.append((solution.x - problem.exact(INITIAL)).square().mean().sqrt().item())
    return errors


@pytest.mark.parametrize("method", TorchDiffEq.ADAPTIVE)
def test_an_adaptive_backend_reaches_the_end(method: str) -> None:
    """torchdiffeq interpolates to the end of the interval, whose error does not follow the tolerance; it is small."""
    assert adaptive_errors(TorchDiffEq(method))[-1] < 1e-5


@pytest.mark.parametrize("solver", [Bosh3(), Dopri5()], ids=label)
def test_adaptive_counts_every_evaluation_and_runs_backwards(solver: Solver) -> None:
    calls = 0

    def drift(t: float, x: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return x * 20.0 * math.exp(-(((t - 0.5) / 0.05) ** 2))  # a pulse that no step foresees

    forth = solve(ODE(drift), INITIAL, Adaptive(0.0, 1.0, rtol=1e-6, atol=1e-6), solver)
    assert forth.nfe == calls
    assert forth.rejected > 0
    assert forth.nfe.rejected == forth.rejected * solver.evaluations(1)
    problem = PROBLEMS["ode"]
    tight = {"rtol": 1e-10, "atol": 1e-10}
    there = solve(problem.equation, INITIAL, Adaptive(0.0, 1.0, **tight), solver).x
    back = solve(problem.equation, there, Adaptive(1.0, 0.0, **tight), solver).x
    torch.testing.assert_close(back, INITIAL, rtol=0.0, atol=1e-8)

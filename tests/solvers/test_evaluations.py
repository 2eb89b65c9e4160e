"""The evaluations that a solver declares are those that it makes; orders are measured by the certificates."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fokker.solvers import ODE, Adaptive, Bosh3, Dopri5, Semilinear, Solver, solve
from fokker.verification.certificates import PROBLEMS
from fokker.verification.certificates.problems import INITIAL
from fokker.verification.certificates.table import FIXED_STEP


@pytest.mark.parametrize("solver", FIXED_STEP, ids=repr)
def test_evaluations_declared_are_evaluations_counted(solver: Solver) -> None:
    """Multistep methods start up in their first steps: up to five of them, and ten."""
    calls = 0
    problem = PROBLEMS["log clock"].equation
    assert isinstance(problem, Semilinear)

    def field(t: float, x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return problem.field(t, x)

    equation = Semilinear(field, problem.clock)
    for steps in (1, 2, 3, 4, 5, 10):
        calls = 0
        solution = solve(equation, INITIAL, torch.linspace(0.0, 1.0, steps + 1), solver)
        assert solution.nfe == solution.nfe.forward == calls == solver.evaluations(steps)
        assert solver.evaluations(solver.steps(calls)) == calls
        assert solution.accepted == steps


@pytest.mark.parametrize("solver", [Bosh3(), Dopri5()], ids=repr)
def test_rejected_steps_are_counted(solver: Solver) -> None:
    """A pulse that no step foresees."""
    calls = 0

    def drift(t: float, x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return x * 20.0 * math.exp(-(((t - 0.5) / 0.05) ** 2))

    solution = solve(ODE(drift), INITIAL, Adaptive(0.0, 1.0, rtol=1e-6, atol=1e-6), solver)
    assert solution.nfe == calls
    assert solution.rejected > 0
    assert solution.nfe.rejected == solution.rejected * solver.evaluations(1)

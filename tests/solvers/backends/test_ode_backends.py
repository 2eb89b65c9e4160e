"""What torchdiffeq and SciPy both owe: errors near the tolerance, and clear failures."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from trials import Counted, grid, within

from fokker.solvers import ODE, SciPy, SolveError, Solver, TorchDiffEq, solve
from fokker.verification.certificates.problems import INITIAL
from fokker.verification.statistics.slopes import rms

ADAPTIVE: list[Solver] = [*map(TorchDiffEq, TorchDiffEq.ADAPTIVE), *map(SciPy, SciPy.METHODS)]


@pytest.mark.parametrize("solver", ADAPTIVE, ids=repr)
def test_an_adaptive_error_stays_near_the_tolerance(solver: Solver) -> None:
    """The tolerance bounds the error of each of some tens of steps, which the equation amplifies by no more than e⁴.

    A tolerance a hundred times smaller gives at least twenty times less error.
    """
    errors = []
    for tolerance in (1e-4, 1e-6):
        counted = Counted()
        solution = solve(counted.equation, INITIAL, within(tolerance), solver, save=True)
        exact = torch.stack([counted.problem.exact(INITIAL, t) for t in solution.ts.tolist()])
        errors.append(rms(solution.x - exact[-1]))
        assert solution.nfe == counted.calls
        assert (solution.xs - exact).abs().max() < 1000.0 * tolerance  # at the solver's own steps
        assert len(solution.ts) == solution.accepted + 1
        assert (solution.ts[0], solution.ts[-1]) == (0.0, 1.0)
    assert errors[1] < 0.05 * errors[0]


FAILING: list[Solver] = [*map(TorchDiffEq, ("bosh3", "dopri8")), *map(SciPy, SciPy.METHODS)]


@pytest.mark.parametrize("solver", FAILING, ids=repr)
def test_a_budget_is_never_exceeded(solver: Solver) -> None:
    counted = Counted()
    with pytest.raises(SolveError, match=r"max_nfe = 90 evaluations were spent inside .* at t = 0") as failure:
        solve(counted.equation, INITIAL[:1], within(1e-10), solver, save=True, max_nfe=90)
    partial = failure.value.solution
    assert partial.status == "budget"
    assert counted.calls == partial.nfe <= 90
    assert 0.0 < partial.ts[-1] < 1.0
    assert torch.equal(partial.xs[-1], partial.x)
    exact = counted.problem.exact(INITIAL[:1], partial.ts[-1].item())
    torch.testing.assert_close(partial.x, exact, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("solver", FAILING, ids=repr)
def test_a_singularity_ends_a_solve_with_what_was_done(solver: Solver) -> None:
    """x' = x² from 2 reaches infinity at t = 1/2."""
    with pytest.raises(SolveError, match=r"at t = 0\.[45]") as failure:
        solve(ODE(lambda t, x: x**2), torch.full((1, 1), 2.0, dtype=torch.float64), within(1e-6), solver)
    partial = failure.value.solution
    assert partial.status == "underflow"
    assert abs(partial.ts[-1] - 0.5) < 1e-4
    assert partial.x > 1e4


@pytest.mark.parametrize("bad_from", [0.0, 0.5])
@pytest.mark.parametrize("solver", [*FAILING, TorchDiffEq("rk4"), TorchDiffEq("explicit_adams")], ids=repr)
def test_a_field_that_is_not_finite_is_named(solver: Solver, bad_from: float) -> None:
    def drift(t: float, x: Tensor) -> Tensor:
        return -x if t < bad_from else -x * torch.tensor([1.0, math.nan], dtype=x.dtype)

    times = within(1e-6) if solver.embedded else grid(4)
    with pytest.raises(SolveError, match="not finite") as failure:
        solve(ODE(drift), torch.ones(3, 2, dtype=torch.float64), times, solver)
    partial = failure.value.solution
    assert partial.status == "nonfinite"
    assert partial.ts[-1] <= bad_from
    assert torch.isfinite(partial.x).all()

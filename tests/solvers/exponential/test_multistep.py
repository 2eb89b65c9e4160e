"""The start of a multistep method."""

from __future__ import annotations

import pytest
import torch
from toy import MIXTURE

from fokker import solve
from fokker.generative import CondOT, flow, grids
from fokker.solvers import Adaptive, Dopri5, ExponentialAdams


@pytest.mark.parametrize(("values", "corrector"), [(3, True), (4, False), (4, True)])
def test_without_a_start_up_every_step_takes_one_evaluation(values: int, corrector: bool) -> None:
    """The first step has the error O(h³) of a corrected first order: twice as many steps leave an eighth of it."""
    solver = ExponentialAdams(values, corrector=corrector, start_up=False)
    assert solver.order == 3
    equation, x = flow(MIXTURE.denoiser(CondOT()), "eps"), torch.tensor([[1.0, -0.5]], dtype=torch.float64)
    exact, errors = solve(equation, x, Adaptive(0.1, 0.9, rtol=1e-12, atol=1e-13), Dopri5()).x, []
    for n in (1, 2, 80, 160):
        solution = solve(equation, x, grids.uniform(CondOT(), n, t0=0.1, t1=0.9), solver)
        assert solution.nfe == solver.evaluations(n) == n
        errors.append(float((solution.x - exact).abs().max()))
    assert errors[2] / errors[3] == pytest.approx(8.0, rel=0.2)


def test_a_method_whose_start_is_accurate_has_no_start_up() -> None:
    kept, left = (ExponentialAdams(2, corrector=True, start_up=start_up) for start_up in (True, False))
    assert kept.abilities == left.abilities
    assert repr(kept) == "ExponentialAdams(2, corrector=True)"
    assert repr(left) == "ExponentialAdams(2, corrector=True, start_up=False)"
    x, times = torch.ones(1, 2, dtype=torch.float64), grids.uniform(CondOT(), 5)
    equation = flow(MIXTURE.denoiser(CondOT()))
    assert torch.equal(solve(equation, x, times, kept).x, solve(equation, x, times, left).x)

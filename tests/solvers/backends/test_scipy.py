"""SciPy's methods: the numbers of `solve_ivp`, on states of any shape, and stiff equations.

What they share with torchdiffeq's is in `test_ode_backends`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor
from trials import SAVED, grid, within

from fokker.solvers import ODE, Adaptive, SciPy, solve
from fokker.verification.certificates.problems import INITIAL, PROBLEMS


@pytest.mark.parametrize("span", [(0.0, 1.0), (1.0, 0.0)], ids=["forwards", "backwards"])
@pytest.mark.parametrize("method", SciPy.METHODS)
def test_scipy_is_solve_ivp(method: str, span: tuple[float, float]) -> None:
    """The same numbers, and no evaluation more but three of DOP853's interpolation in a step that needs it."""
    x, drift = INITIAL[:2], PROBLEMS["log clock"].equation.drift
    save = sorted(SAVED, reverse=span[0] > span[1])

    def vector_field(t: float, y: Any) -> Any:
        return drift(t, torch.from_numpy(y).reshape(x.shape)).flatten().numpy()

    tolerances = {"rtol": 1e-6, "atol": 1e-8}
    direct = solve_ivp(vector_field, span, x.flatten().numpy(), method, t_eval=save, **tolerances)
    solution = solve(ODE(drift), x, Adaptive(*span, **tolerances), SciPy(method), save=save)
    torch.testing.assert_close(solution.xs.flatten(1).T, torch.from_numpy(direct.y), rtol=1e-14, atol=1e-15)
    steps = solve(ODE(drift), x, Adaptive(*span, **tolerances), SciPy(method), save=True)
    assert torch.equal(steps.x, solution.x)
    between = {sum(abs(s - span[0]) < abs(t - span[0]) for s in steps.ts.tolist()) for t in save[1:-1]}
    assert solution.nfe == int(steps.nfe) + (3 * len(between) if method == "DOP853" else 0)
    assert steps.ts.tolist() == solve_ivp(vector_field, span, x.flatten().numpy(), method, **tolerances).t.tolist()


def test_scipy_returns_the_state_as_it_was_given() -> None:
    """An image in single precision, which is what the field gets too."""

    def drift(t: float, x: Tensor) -> Tensor:
        assert (x.dtype, x.shape) == (torch.float32, (2, 1, 2, 2))
        return -x

    x = torch.linspace(0.0, 1.0, 8).reshape(2, 1, 2, 2)
    solution = solve(ODE(drift), x, within(1e-5), SciPy("RK45"), save=True)
    assert solution.xs.dtype == solution.x.dtype == x.dtype
    torch.testing.assert_close(solution.x, x / math.e, rtol=0.0, atol=1e-4)


@pytest.mark.parametrize("method", SciPy.METHODS)
def test_a_field_may_write_into_its_last_value(method: str) -> None:
    """It is not SciPy's own memory; x' = −x, within a factor of 100 of the tolerance."""
    x = INITIAL[:2].clone()
    buffer = torch.empty_like(x)
    drift = ODE(lambda t, x: torch.neg(x, out=buffer))
    solution = solve(drift, x, within(1e-6), SciPy(method), save=True, max_nfe=2000)
    exact = torch.exp(-solution.ts).reshape(-1, 1, 1) * x
    assert (solution.xs - exact).abs().max() < 1e-4


@pytest.mark.parametrize("method", ["Radau", "BDF", "LSODA"])
def test_scipy_solves_stiff_equations(method: str) -> None:
    """x' = −10⁴ (x − cos t): stability limits explicit steps to 3e-4, so that RK45 takes 6 / 3e-4 evaluations."""
    stiff, x = ODE(lambda t, x: -1e4 * (x - math.cos(t))), torch.ones(2, 2, dtype=torch.float64)
    solution = solve(stiff, x, within(1e-5), SciPy(method))
    assert (solution.x - math.cos(1.0)).abs().max() < 1e-3
    assert solution.nfe < 300


# Bad input


START = torch.ones(3, 2, dtype=torch.float64)
WEIGHT = torch.eye(2, dtype=torch.float64, requires_grad=True)
DECAY = ODE(lambda t, x: -x)
BAD_INPUT: dict[str, tuple[Callable[[], object], str]] = {
    "an unknown method": (lambda: SciPy("rk45"), "choose one of RK23, RK45, DOP853, Radau, BDF, LSODA"),
    "a grid": (lambda: solve(DECAY, START, grid(4), SciPy("BDF")), "BDF chooses its own steps"),
    "a gradient": (
        lambda: solve(DECAY, START.clone().requires_grad_(), within(1e-3), SciPy("RK45")),
        "No gradient flows through SciPy",
    ),
    "a network's gradient": (
        lambda: solve(ODE(lambda t, x: x @ WEIGHT), START, within(1e-3), SciPy("RK45")),
        "No gradient flows through SciPy",
    ),
    "less than SciPy's rtol": (
        lambda: solve(DECAY, START, Adaptive(0.0, 1.0, rtol=1e-14, atol=1e-6), SciPy("RK45")),
        "no rtol below 2.2e-14",
    ),
    "a Jacobian in single precision": (lambda: solve(DECAY, START.float(), within(1e-3), SciPy("BDF")), "use RK45"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_gets_one_clear_sentence(case: str) -> None:
    call, sentence = BAD_INPUT[case]
    with pytest.raises(ValueError, match=sentence) as error:
        call()
    assert str(error.value).endswith(".")

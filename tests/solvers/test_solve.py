"""The door: what `solve` returns, and the one sentence it answers bad input with."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from fokker.solvers import (
    ODE,
    RK4,
    SDE,
    Adaptive,
    BrownianTree,
    Dopri5,
    Euler,
    EulerMaruyama,
    ExponentialAdams,
    Field,
    FunctionClock,
    Heun,
    PlainClock,
    Semilinear,
    SolveError,
    Solver,
    Time,
    TorchDiffEq,
    WhiteNoise,
    solve,
)
from fokker.solvers.loop.diagnosis import FiniteWatch
from fokker.verification.certificates.problems import INITIAL, PROBLEMS, SPEEDS

X = INITIAL[::4]
DECAY = ODE(lambda t, x: -x)
BROWNIAN = SDE(lambda t, x: -x, lambda t, x: 1.0, noise="additive")
STRATONOVICH = SDE(lambda t, x: x, lambda t, x: x, calculus="stratonovich")
GRID = torch.linspace(0.0, 1.0, 5)


def test_a_solution_says_what_was_done() -> None:
    solution = solve(DECAY, X, GRID, Heun(), save=True)
    assert solution.status == "completed"
    assert (solution.nfe, solution.accepted, solution.rejected) == (8, 4, 0)
    assert solution.ts.tolist() == GRID.tolist()
    assert solution.xs is not None
    assert solution.xs.shape == (5, 3, 7)
    torch.testing.assert_close(solution.xs[-1], solution.x, rtol=0.0, atol=0.0)
    torch.testing.assert_close(solution.xs[0], X, rtol=0.0, atol=0.0)
    assert solve(DECAY, X, GRID, Heun()).xs is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("solver", [RK4(), ExponentialAdams(3), TorchDiffEq("rk4")], ids=repr)
def test_the_state_keeps_its_dtype(solver: Any, dtype: torch.dtype) -> None:
    """Single precision agrees with double to its rounding, 64 steps of 6e-8 each."""
    equation, times = PROBLEMS["log clock"].equation, torch.linspace(0.0, 1.0, 65)
    solution = solve(equation, X.to(dtype), times, solver)
    assert solution.x.dtype == dtype
    torch.testing.assert_close(solution.x.double(), solve(equation, X, times, solver).x, rtol=0.0, atol=64 * 6e-8)


def test_a_semilinear_equation_differentiates_itself() -> None:
    """Automatic derivatives against S'/S and S r' by hand: S = e^{−t} + t, r = e^{t − 1}."""
    equation = PROBLEMS["log clock"].equation
    t = 0.37
    scale, d_scale, clock = math.exp(-t) + t, 1.0 - math.exp(-t), math.exp(t - 1.0)
    field = -0.25 * SPEEDS * (SPEEDS * clock).cos() * (X / scale) ** 2
    expected = d_scale / scale * X + scale * clock * field
    torch.testing.assert_close(equation.drift(t, X), expected, rtol=1e-14, atol=1e-14)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            torch.testing.assert_close(equation.drift(t, X), expected, rtol=1e-14, atol=1e-14)
    times = torch.tensor([0.1, t, 0.9], dtype=torch.float64)[:, None]
    for drift in (equation.drift, equation.in_clock().drift):
        rows = [drift(time.item(), row) for time, row in zip(times, X.split(1), strict=True)]
        torch.testing.assert_close(drift(times, X), torch.cat(rows), rtol=1e-14, atol=1e-14)


def test_a_drift_that_is_infinite_is_refused() -> None:
    """r = √t: S r' is infinite at t = 0, while S'/S is not."""
    equation = Semilinear(lambda t, x: x, FunctionClock(torch.ones_like, torch.sqrt))
    with pytest.raises(ValueError, match=r"drift of this equation is singular at t = 0; keep the times away"):
        equation.drift(0.0, X)


def test_in_its_clock_a_semilinear_equation_is_a_plain_ode() -> None:
    problem = PROBLEMS["log clock"]
    clocks = torch.linspace(math.exp(-1.0), 1.0, 401, dtype=torch.float64)
    z = solve(problem.equation.in_clock(), X, clocks, RK4()).x  # S(0) = 1
    torch.testing.assert_close(z * (math.exp(-1.0) + 1.0), problem.exact(X), rtol=0.0, atol=1e-9)


def nan_after(t_bad: float) -> ODE:
    def drift(t: float, x: Tensor) -> Tensor:
        y = -x
        if t >= t_bad:
            y = y.clone()
            y[2, 1] = math.nan
        return y

    return ODE(drift)


def test_a_state_that_is_not_finite_is_named_with_the_work_done() -> None:
    sentence = r"after step 3, from t = 0\.5 to t = 0\.75 \(first: sample 2, component \(1,\)\)"
    with pytest.raises(SolveError, match=sentence) as failure:
        solve(nan_after(0.5), X, GRID, Euler(), save=True)
    partial = failure.value.solution
    assert partial.status == "nonfinite"
    assert partial.ts.tolist() == [0.0, 0.25, 0.5]
    assert torch.isfinite(partial.x).all()
    assert partial.nfe == 4  # the step after it was taken too
    backwards = ODE(lambda t, x: x if t > 0.5 else math.nan * x)
    with pytest.raises(SolveError, match=r"from t = 0\.5 to t = 0\.25") as failure:
        solve(backwards, X, GRID.flip(0), Euler(), save=True)
    assert failure.value.solution.ts.tolist() == [1.0, 0.75, 0.5]
    assert failure.value.solution.xs is not None
    assert len(failure.value.solution.xs) == 3


@pytest.mark.parametrize(("size", "late"), [(7, 7), (2**16, 0)])
@pytest.mark.parametrize("bad", [1, 6, 9, 16, 27])
def test_a_state_that_is_not_finite_is_found_soon(bad: int, size: int, late: int) -> None:
    """Small states within eight steps, large ones at once; what is left is the one before, (1 − 1/32)^{bad − 1}."""
    times = torch.linspace(0.0, 1.0, 33, dtype=torch.float64)
    field = ODE(lambda t, x: -x if t < times[bad - 1] else x * math.nan)
    with pytest.raises(SolveError, match=f"after step {bad},") as failure:
        solve(field, torch.ones(2, size, dtype=torch.float64), times, Euler())
    partial = failure.value.solution
    assert bad <= partial.nfe <= bad + late
    assert partial.ts.tolist() == times[:bad].tolist()
    torch.testing.assert_close(partial.x[0, 0].item(), (31.0 / 32.0) ** (bad - 1), rtol=1e-14, atol=0.0)


def test_on_a_device_the_end_is_looked_at() -> None:
    """Without a sync on the way: how many of the states at the end are not finite, and a component of the last."""
    watch = FiniteWatch(X)
    watch.soon = False
    last = X.clone()
    last[1, 2] = math.nan
    for x in (X, last, last):
        assert not watch.due(x)
    assert watch.trouble() == (2, (1, 2))
    watch = FiniteWatch(X)
    watch.soon = False
    assert not watch.due(X)
    assert watch.trouble() is None


def test_a_budget_is_never_exceeded() -> None:
    with pytest.raises(SolveError, match="max_nfe = 20 evaluations were spent at t = ") as failure:
        solve(DECAY, X, Adaptive(0.0, 1.0, rtol=1e-9, atol=1e-9), Dopri5(), max_nfe=20)
    assert failure.value.solution.nfe <= 20
    assert failure.value.solution.status == "budget"
    assert "stiff" not in str(failure.value)
    with pytest.raises(SolveError, match="max_nfe = 9 ") as failure:
        solve(DECAY, X, Adaptive(0.0, 1.0, rtol=1e-9, atol=1e-9), Dopri5(), max_nfe=9, save=[0.9, 1.0])
    assert failure.value.solution.ts.tolist() == []
    assert failure.value.solution.xs is not None
    assert failure.value.solution.xs.shape == (0, 3, 7)
    with pytest.raises(SolveError, match="inside torchdiffeq"):
        solve(DECAY, X, Adaptive(0.0, 1.0, rtol=1e-9, atol=1e-9), TorchDiffEq("dopri5"), max_nfe=20)
    assert solve(DECAY, X, GRID, Heun(), max_nfe=8).nfe == 8


def test_evaluations_are_those_of_the_network() -> None:
    """Of a field that takes three a call; its products with Jacobians too. In its clock an equation costs the same."""

    class Three(Field):
        def __call__(self, t: Time, x: torch.Tensor) -> torch.Tensor:
            return -x

        def evaluations(self, t: Time) -> int:
            return 3

    three = ODE(Three())
    x = X.clone().requires_grad_()
    solution = solve(three, x, GRID, Heun())
    solution.x.sum().backward()
    assert (solution.nfe, solution.nfe.depth, solution.nfe.branches, solution.nfe.vjp) == (24, 8, 3, 24)
    assert solution.nfe.per_sample.tolist() == [24, 24, 24]
    ends = []
    torch.func.jvp(lambda x: ends.append(solve(three, x, GRID, Heun())) or ends[0].x, (X,), (X,))
    assert ends[0].nfe.jvp == 24
    with pytest.raises(SolveError, match="max_nfe = 20 evaluations were spent") as failure:
        solve(three, X, Adaptive(0.0, 1.0, rtol=1e-9, atol=1e-9), Dopri5(), max_nfe=20)
    assert failure.value.solution.nfe == 18
    assert Semilinear(Three(), PlainClock()).in_clock().field.evaluations(0.5) == 3


@pytest.mark.parametrize("solver", [Heun(), RK4(), Dopri5()], ids=repr)
def test_stages_at_the_end_of_a_step_are_at_its_time(solver: Solver) -> None:
    """Not beside it: 0.3 + (0.9 − 0.3) is above 0.9."""
    asked = []
    solve(ODE(lambda t, x: asked.append(t) or -x), X, [0.3, 0.9], solver)
    assert max(asked) <= 0.9


Bad = Callable[[], object]
BAD_INPUT: dict[str, tuple[Bad, type[Exception], str]] = {
    "a bare function": (lambda: solve(lambda t, x: x, X, GRID, Euler()), TypeError, "wrap a field as ODE"),
    "a solver class": (lambda: solve(DECAY, X, GRID, Heun), TypeError, "write for example Heun"),
    "repeated times": (lambda: solve(DECAY, X, [0.0, 0.5, 0.5, 1.0], Heun()), ValueError, "repeats at entry 2"),
    "times that turn": (lambda: solve(DECAY, X, [0.0, 0.5, 0.2], Heun()), ValueError, "turns back at entry 2"),
    "one time": (lambda: solve(DECAY, X, [0.0], Heun()), ValueError, "at least two"),
    "infinite times": (
        lambda: solve(DECAY, X, [0.0, math.inf], Heun()),
        ValueError,
        r"times\[1\] is inf, but must be a finite number",
    ),
    "times in two dimensions": (lambda: solve(DECAY, X, GRID[None], Heun()), ValueError, "1-D"),
    "noise for Heun": (
        lambda: solve(BROWNIAN, X, GRID, Heun(), WhiteNoise(0)),
        ValueError,
        "Heun cannot integrate a stochastic equation; use EulerMaruyama",
    ),
    "no noise": (lambda: solve(BROWNIAN, X, GRID, EulerMaruyama()), ValueError, "needs noise"),
    "noise by number": (lambda: solve(BROWNIAN, X, GRID, EulerMaruyama(), 3), TypeError, r"WhiteNoise\(seed\) or"),
    "an ODE for Adams": (lambda: solve(DECAY, X, GRID, ExponentialAdams(2)), TypeError, "needs a Semilinear equation"),
    "integers": (lambda: solve(DECAY, torch.ones(2, 2, dtype=torch.int64), GRID, Heun()), TypeError, "floating-point"),
    "a list": (lambda: solve(DECAY, [1.0], GRID, Heun()), TypeError, "must be a tensor of floating-point numbers"),
    "no axes": (lambda: solve(DECAY, torch.tensor(1.0), GRID, Heun()), ValueError, r"must hold samples, \(B, \.\.\.\)"),
    "NaN": (lambda: solve(DECAY, X / torch.ones(3, 7).tril(), GRID, Heun()), ValueError, r"x is inf at \[0, 1\]"),
    "another shape": (lambda: solve(ODE(lambda t, x: x[:1]), X, GRID[:2], Euler()), ValueError, r"shape \(1, 7\)"),
    "a field of another dtype": (lambda: solve(ODE(lambda t, x: x.float()), X, GRID, Heun()), ValueError, "float32"),
    "steps beyond the budget": (lambda: solve(DECAY, X, GRID, RK4(), max_nfe=15), ValueError, "3 steps fit"),
    "adaptive RK4": (
        lambda: solve(DECAY, X, Adaptive(0.0, 1.0, rtol=1e-3, atol=1e-3), RK4()),
        ValueError,
        "no error estimate",
    ),
    "adaptive without tolerance": (lambda: Adaptive(0.0, 1.0), TypeError, "rtol"),
    "adaptive of no length": (lambda: Adaptive(1.0, 1.0, rtol=1e-3, atol=1e-3), ValueError, "two different"),
    "adaptive from −∞": (lambda: Adaptive(-math.inf, 1.0, rtol=1e-3, atol=1e-3), ValueError, "t0 is -inf, but"),
    "adaptive to ∞": (lambda: Adaptive(0.0, math.inf, rtol=1e-3, atol=1e-3), ValueError, "t1 is inf, but"),
    "no tolerance": (lambda: Adaptive(0.0, 1.0, rtol=0.0, atol=0.0), ValueError, "positive tolerances"),
    "an unknown order": (lambda: ExponentialAdams(5), ValueError, "orders 1, 2, 3 and 4"),
    "an unknown noise": (lambda: SDE(lambda t, x: x, lambda t, x: x, noise="white"), ValueError, "diagonal"),
    "Stratonovich": (
        lambda: solve(STRATONOVICH, X, GRID, EulerMaruyama(), WhiteNoise(0)),
        ValueError,
        "reads noise in the ito calculus",
    ),
    "a tree of another shape": (
        lambda: solve(BROWNIAN, X, GRID, EulerMaruyama(), BrownianTree(X[:2], 0.0, 1.0)),
        ValueError,
        "make the tree like the state",
    ),
    "a tree that is too short": (
        lambda: solve(BROWNIAN, X, GRID, EulerMaruyama(), BrownianTree(X, 0.0, 0.5)),
        ValueError,
        "leaves the BrownianTree's interval",
    ),
    "a seed too few": (lambda: BrownianTree(X, 0.0, 1.0, seed=[1, 2]), ValueError, "2 seeds were given for 3 samples"),
    "a scale that vanishes": (
        lambda: solve(Semilinear(
            lambda t, x: x,
            FunctionClock(lambda t: t, lambda t: 1.0 - t),
        ), X, GRID, ExponentialAdams(1)),
        ValueError,
        "scale S vanishes at t = 0",
    ),
    "noise backwards": (
        lambda: solve(BROWNIAN, X, GRID.flip(0), EulerMaruyama(), WhiteNoise(0)),
        ValueError,
        "runs forward in time",
    ),
    "an unknown keyword": (lambda: solve(DECAY, X, GRID, Heun(), steps=3), TypeError, "steps"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_gets_one_clear_sentence(case: str) -> None:
    call, kind, sentence = BAD_INPUT[case]
    with pytest.raises(kind, match=sentence):
        call()

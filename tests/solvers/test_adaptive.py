"""Adaptive steps: errors follow the tolerance, states between steps, samples with steps of their own, failures."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from cases import INITIAL, PROBLEMS, Problem
from convergence import rms, slope
from torch import Tensor, nn

from fokker.generative import CondOT, Denoiser, flow
from fokker.solvers import (
    ODE,
    TRAPEZOID,
    Adaptive,
    Bosh3,
    Dopri5,
    ExponentialRK,
    Heun,
    SolveError,
    Solver,
    Stepper,
    Tsit5,
    solve,
)

PAIRS: list[Stepper] = [Heun(), Bosh3(), Dopri5(), Tsit5()]
EXPONENTIAL: list[Stepper] = [ExponentialRK(order) for order in (2, 3, 4, TRAPEZOID)]
CASES = [(solver, "ode") for solver in PAIRS] + [(solver, "log clock") for solver in EXPONENTIAL]
each = pytest.mark.parametrize(("solver", "name"), CASES, ids=str)


def dense_order(solver: Solver) -> int:
    """Local order of the interpolant: a Runge-Kutta pair declares it; N is interpolated by k values to h^k."""
    tableau = solver.tableau
    return (len(tableau.dense) if isinstance(solver, ExponentialRK) else tableau.dense_order) + 1


@each
def test_a_step_estimates_its_error_and_knows_the_states_within(solver: Stepper, name: str) -> None:
    """Of one step from the exact state: the estimate is O(h^p), the error at its end smaller, between as declared."""
    problem, sizes = PROBLEMS[name], [0.02 / 2**k for k in range(3)]
    estimates, inside = [], []
    for h in sizes:
        times = Adaptive(0.0, h, rtol=1.0, atol=1.0)
        step = solver.step(problem.equation, 0.0, h, INITIAL, solver.init(problem.equation, INITIAL, times), None)
        assert step.error is not None
        assert step.at is not None
        estimates.append(rms(step.error))
        inside.append(math.hypot(*(rms(step.at(u * h) - problem.exact(INITIAL, u * h)) for u in (0.2, 0.45, 0.8))))
        torch.testing.assert_close(step.at(h), step.x, rtol=0.0, atol=8 * h ** dense_order(solver))
    assert abs(-slope(sizes, estimates) - solver.error_order(problem.equation)) <= 0.15
    assert -slope(sizes, inside) >= dense_order(solver) - 0.15


@each
@pytest.mark.parametrize("control", ["I", "PI", "PID"])
def test_the_error_follows_the_tolerance(solver: Stepper, name: str, control: str) -> None:
    """A tolerance bounds each step's error: the whole is proportional to it, up to the factor by which steps miss it.

    The states between the steps, which cost nothing, are as good as the end within the same factor.
    """
    problem, asked = PROBLEMS[name], [0.0, 0.31, 0.77, 1.0]
    errors = []
    for tolerance in (1e-4, 1e-6, 1e-8) if solver.order > 2 else (1e-3, 1e-5):
        times = Adaptive(0.0, 1.0, rtol=tolerance, atol=tolerance, control=control)
        solution = solve(problem.equation, INITIAL, times, solver, save=asked)
        assert solution.ts.tolist() == asked
        assert solution.xs is not None
        exact = torch.stack([problem.exact(INITIAL, t) for t in asked])
        assert solution.nfe == solve(problem.equation, INITIAL, times, solver).nfe
        errors.append(rms(solution.xs - exact))
        assert errors[-1] < 200.0 * tolerance
    assert all(tight < 0.1 * loose for loose, tight in pairwise(errors))


@each
def test_each_sample_has_steps_of_its_own(solver: Stepper, name: str) -> None:
    """Of an elementwise field: bitwise what the sample gets alone, at the end and at the times asked for."""
    problem = PROBLEMS[name]
    times = Adaptive(0.0, 1.0, rtol=1e-5, atol=1e-5, per_sample=True)
    together = solve(problem.equation, INITIAL, times, solver, save=[0.4, 1.0])
    alone = [solve(problem.equation, row, times, solver, save=[0.4, 1.0]) for row in INITIAL.split(1)]
    assert together.xs is not None
    assert torch.equal(together.x, torch.cat([solution.x for solution in alone]))
    assert torch.equal(together.xs, torch.cat([solution.xs for solution in alone], dim=1))
    assert together.nfe.per_sample.tolist() == [solution.nfe for solution in alone]
    assert len(together.nfe.histogram()) > 1
    assert together.nfe == together.nfe.depth == max(together.nfe.histogram())
    assert together.nfe.total == sum(solution.nfe for solution in alone)
    assert rms(together.x - problem.exact(INITIAL)) < 2e-3
    backwards = Adaptive(1.0, 0.0, rtol=1e-7, atol=1e-7, per_sample=True)
    assert rms(solve(problem.equation, problem.exact(INITIAL), backwards, solver).x - INITIAL) < 2e-5


def test_per_sample_steps_of_a_conditional_network() -> None:
    """To round-off: labels leave the batch with their samples, and the network's time is each sample's own."""
    torch.manual_seed(0)
    embedding, net = nn.Embedding(3, 4).double(), nn.Sequential(nn.Linear(7, 32), nn.SiLU(), nn.Linear(32, 2)).double()

    def predict(x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        return 4.0 * net(torch.cat([x, time[:, None], embedding(label)], dim=1))

    x, labels = torch.randn(6, 2, dtype=torch.float64), [0, 1, 2, 2, 1, 0]
    denoiser = Denoiser(predict, CondOT(), predicts="velocity")
    times = Adaptive(0.0, 0.999, rtol=1e-6, atol=1e-6, per_sample=True)
    for hold, solver in (("velocity", Dopri5()), ("x0", Tsit5()), ("velocity", ExponentialRK(3))):
        with torch.no_grad():
            together = solve(flow(denoiser.given(labels), hold), x, times, solver)
            each_alone = [
                solve(flow(denoiser.given(label), hold), row, times, solver)
                for label, row in zip(labels, x.split(1), strict=True)
            ]
        torch.testing.assert_close(together.x, torch.cat([one.x for one in each_alone]), rtol=0.0, atol=1e-12)
        assert together.nfe.per_sample.tolist() == [one.nfe for one in each_alone]


def test_a_stiff_field_is_named_with_its_rate() -> None:
    """y' = −2000 (y − cos t): explicit steps stay near 3.3 / 2000, and the budget is spent on them."""
    rate = 2000.0
    stiff = ODE(lambda t, x: -rate * (x - math.cos(t)))
    x = torch.ones(2, 3, dtype=torch.float64)
    for solver in (Dopri5(), Tsit5(), Heun()):
        with pytest.raises(SolveError, match=r"limited by sample \d, component \(\d,\).*it is stiff, use") as failure:
            solve(stiff, x, Adaptive(0.0, 10.0, rtol=1e-3, atol=1e-3), solver, max_nfe=1500)
        named = float(str(failure.value).split("fastest rate is about ")[1].split(",")[0])
        assert named == pytest.approx(rate, rel=0.05)
        partial = failure.value.solution
        assert partial.status == "budget"
        assert 0.1 < partial.ts[-1] < 10.0
        assert abs(partial.x[0, 0].item() - math.cos(partial.ts[-1])) < 1e-2


@pytest.mark.parametrize("per_sample", [False, True])
def test_a_singularity_is_named_with_time_sample_and_component(per_sample: bool) -> None:
    """x' = x² from 2 reaches infinity at t = 1/2; every other component lives on."""
    x = torch.full((4, 3), 0.5, dtype=torch.float64)
    x[2, 1] = 2.0
    times = Adaptive(0.0, 1.0, rtol=1e-6, atol=1e-6, per_sample=per_sample)
    sentence = r"fell to .* at t = 0\.5, limited by sample 2, component \(1,\): the field is singular"
    with pytest.raises(SolveError, match=sentence) as failure:
        solve(ODE(lambda t, x: x**2), x, times, Dopri5())
    partial = failure.value.solution
    assert partial.status == "underflow"
    assert torch.isfinite(partial.x).all()
    assert abs(partial.ts[-1].item() - 0.5) < 1e-5
    if per_sample:
        torch.testing.assert_close(partial.x[0], torch.full((3,), 1.0, dtype=torch.float64), rtol=0.0, atol=1e-4)


def test_a_field_that_is_not_finite_is_named() -> None:
    def drift(t: float, x: Tensor) -> Tensor:
        y = -x
        return y if t < 0.5 else torch.where(torch.arange(3) == 2, math.nan, y)

    with pytest.raises(SolveError, match=r"component \(2,\): the field is not finite there"):
        solve(ODE(drift), torch.ones(2, 3, dtype=torch.float64), Adaptive(0.0, 1.0, rtol=1e-6, atol=1e-6), Bosh3())


def test_a_budget_of_each_sample() -> None:
    problem = PROBLEMS["ode"]
    times = Adaptive(0.0, 1.0, rtol=1e-8, atol=1e-8, per_sample=True)
    with pytest.raises(SolveError, match="max_nfe = 100 evaluations were spent") as failure:
        solve(problem.equation, INITIAL, times, Dopri5(), max_nfe=100)
    assert failure.value.solution.nfe <= 100
    assert failure.value.solution.nfe.per_sample.max() <= 100


Bad = Callable[[], object]
X = INITIAL[:3]
ADAPTIVE = Adaptive(0.0, 1.0, rtol=1e-3, atol=1e-3)
EACH = Adaptive(0.0, 1.0, rtol=1e-3, atol=1e-3, per_sample=True)
LOGISTIC: Problem = PROBLEMS["ode"]
BAD_INPUT: dict[str, tuple[Bad, str]] = {
    "a tolerance below single precision": (
        lambda: solve(LOGISTIC.equation, X.float(), Adaptive(0.0, 1.0, rtol=1e-7, atol=1e-9), Dopri5()),
        r"below the rounding of a torch.float32 state \(1\.2e-07 of it\); loosen rtol to 1e-06",
    ),
    "an unknown control": (lambda: Adaptive(0.0, 1.0, rtol=1e-3, atol=1e-3, control="PD"), "choose one of I, PI, PID"),
    "a time outside": (lambda: solve(LOGISTIC.equation, X, ADAPTIVE, Dopri5(), save=[0.5, 1.5]), "outside the solve"),
    "times that are not sorted": (
        lambda: solve(LOGISTIC.equation, X, ADAPTIVE, Dopri5(), save=[0.5, 0.2]),
        "strictly monotone",
    ),
    "a time beside the grid": (
        lambda: solve(LOGISTIC.equation, X, [0.0, 0.5, 1.0], Dopri5(), save=[0.25]),
        "not on the grid; add it to times",
    ),
    "every step of every sample": (lambda: solve(LOGISTIC.equation, X, EACH, Dopri5(), save=True), "ask for some"),
    "an infinite node": (
        lambda: solve(flow(Denoiser(lambda x, t: x, CondOT(), predicts="v"), "x0"), X, ADAPTIVE, ExponentialRK(2)),
        "hold the velocity, or keep away from the end",
    ),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_gets_one_clear_sentence(case: str) -> None:
    call, sentence = BAD_INPUT[case]
    with pytest.raises(ValueError, match=sentence):
        call()

"""Adaptive steps: errors follow the tolerance, states between steps, samples with steps of their own, failures."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fokker.generative import CondOT, Denoiser, flow
from fokker.solvers import (
    ODE,
    TRAPEZOID,
    Adaptive,
    Bosh3,
    Dopri5,
    Equation,
    ExponentialRK,
    Field,
    Heun,
    PlainClock,
    Semilinear,
    SolveError,
    Solver,
    Stepper,
    Time,
    Tsit5,
    solve,
)
from fokker.solvers.common import Progress
from fokker.solvers.loop import spent
from fokker.solvers.loop.control import StepController, Underflow
from fokker.solvers.loop.diagnosis import STIFF_FROM
from fokker.verification.certificates.problems import INITIAL, PROBLEMS, Problem
from fokker.verification.statistics.slopes import rms, slope

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
    problem, sizes = PROBLEMS[name], [0.005, 0.01, 0.02]
    estimates, inside = [], []
    for h in sizes:
        times = Adaptive(0.0, h, rtol=1.0, atol=1.0)
        state = solver.init_adaptive(problem.equation, INITIAL, times)
        step = solver.step(problem.equation, 0.0, h, INITIAL, state, None)
        assert step.error is not None
        assert step.dense is not None
        estimates.append(rms(step.error))
        inside.append(math.hypot(*(rms(step.dense(u * h) - problem.exact(INITIAL, u * h)) for u in (0.2, 0.45, 0.8))))
        torch.testing.assert_close(step.dense(h), step.x, rtol=0.0, atol=8 * h ** dense_order(solver))
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
        assert torch.equal(solution.xs[-1], solution.x)
        exact = torch.stack([problem.exact(INITIAL, t) for t in asked])
        assert solution.nfe == solve(problem.equation, INITIAL, times, solver).nfe
        errors.append(rms(solution.xs - exact))
        assert errors[-1] < 200.0 * tolerance
    assert all(tight < 0.1 * loose for loose, tight in pairwise(errors))


@pytest.mark.thinned(3)
@each
def test_each_sample_has_steps_of_its_own(solver: Stepper, name: str) -> None:
    """Of an elementwise field: bitwise what the sample gets alone, at the end and at the times asked for."""
    problem = PROBLEMS[name]
    times = Adaptive(0.0, 1.0, rtol=1e-3, atol=1e-3, per_sample=True)
    asked = [0.0, 0.4, 1.0]
    together = solve(problem.equation, INITIAL, times, solver, save=asked)
    alone = [solve(problem.equation, row, times, solver, save=asked) for row in INITIAL.split(1)]
    assert together.xs is not None
    assert torch.equal(together.x, torch.cat([solution.x for solution in alone]))
    assert torch.equal(together.xs, torch.cat([solution.xs for solution in alone], dim=1))
    assert torch.equal(together.xs[-1], together.x)
    assert rms(together.xs - torch.stack([problem.exact(INITIAL, t) for t in asked])) < 2e-3
    assert together.nfe.per_sample.tolist() == [solution.nfe for solution in alone]
    assert len(together.nfe.histogram()) > 1
    assert together.nfe == together.nfe.depth == max(together.nfe.histogram())
    assert together.nfe.total == sum(int(solution.nfe) for solution in alone)
    backwards = Adaptive(1.0, 0.0, rtol=1e-7, atol=1e-7, per_sample=True)
    assert rms(solve(problem.equation, problem.exact(INITIAL), backwards, solver).x - INITIAL) < 2e-5


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize(("solver", "name"), [(Dopri5(), "ode"), (ExponentialRK(3), "log clock")], ids=str)
def test_states_on_the_way_back(solver: Stepper, name: str, per_sample: bool) -> None:
    problem, asked = PROBLEMS[name], [1.0, 0.77, 0.31, 0.0]
    exact = torch.stack([problem.exact(INITIAL, t) for t in asked])
    times = Adaptive(1.0, 0.0, rtol=1e-6, atol=1e-6, per_sample=per_sample)
    solution = solve(problem.equation, exact[0], times, solver, save=asked)
    assert solution.ts.tolist() == asked
    assert solution.xs is not None
    assert rms(solution.xs - exact) < 1e-4
    assert torch.equal(solution.xs[-1], solution.x)


def test_the_account_of_samples_with_steps_of_their_own() -> None:
    """A pulse of another height for each sample, which no step foresees: rejected are the steps of those it hits."""
    heights = torch.tensor([[0.0], [5.0], [40.0]], dtype=torch.float64)

    @dataclass(frozen=True)
    class Pulse(Field):
        heights: Tensor

        def __call__(self, t: Time, x: Tensor) -> Tensor:
            return x * self.heights * torch.exp(-(((torch.as_tensor(t).reshape(-1, 1) - 0.5) / 0.05) ** 2))

        def of_rows(self, index: Tensor) -> Field:
            return Pulse(self.heights[index])

    def pulse(heights: Tensor) -> ODE:
        return ODE(Pulse(heights))

    times = Adaptive(0.0, 1.0, rtol=1e-6, atol=1e-6, per_sample=True)
    x, solver = torch.ones(3, 2, dtype=torch.float64), Dopri5()
    together = solve(pulse(heights), x, times, solver)
    alone = [solve(pulse(heights[i : i + 1]), x[:1], times, solver) for i in range(3)]
    growth = math.exp(math.sqrt(math.pi) * 0.05 * math.erf(10.0))
    torch.testing.assert_close(together.x, growth ** heights.expand(3, 2), rtol=1e-4, atol=0.0)
    assert together.accepted == sum(one.accepted for one in alone)
    assert together.rejected == sum(one.rejected for one in alone)
    assert together.nfe.rejected == max(one.nfe.rejected for one in alone)
    assert alone[0].rejected < alone[1].rejected < alone[2].rejected
    for one in alone:
        assert one.nfe == 2 + 6 * (one.accepted + one.rejected)
        assert one.nfe.rejected == 6 * one.rejected


def test_per_sample_steps_of_a_conditional_network() -> None:
    """To round-off: labels leave the batch with their samples, and the network's time is each sample's own."""
    torch.manual_seed(0)
    embedding, net = nn.Embedding(3, 4).double(), nn.Sequential(nn.Linear(7, 32), nn.SiLU(), nn.Linear(32, 2)).double()

    def predict(x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        return 4.0 * net(torch.cat([x, time[:, None], embedding(label)], dim=1))

    x, labels = torch.randn(6, 2, dtype=torch.float64), [0, 1, 2, 2, 1, 0]
    denoiser = Denoiser(predict, CondOT(), predicts="velocity")
    times = Adaptive(0.0, 0.999, rtol=1e-6, atol=1e-6, per_sample=True)
    for hold, solver, clocked in (
        ("velocity", Dopri5(), False),
        ("x0", Tsit5(), False),
        ("velocity", ExponentialRK(3), False),
        ("velocity", Dopri5(), True),  # on CondOT its clock is t itself
    ):

        def equation(label: int | list[int], hold: str = hold, clocked: bool = clocked) -> Equation:
            made = flow(denoiser.given(label), hold)
            return made.in_clock() if clocked else made

        with torch.no_grad():
            together = solve(equation(labels), x, times, solver)
            each_alone = [
                solve(equation(label), row, times, solver) for label, row in zip(labels, x.split(1), strict=True)
            ]
        torch.testing.assert_close(together.x, torch.cat([one.x for one in each_alone]), rtol=0.0, atol=1e-12)
        assert together.nfe.per_sample.tolist() == [one.nfe for one in each_alone]


def test_a_field_is_called_stiff_from_the_limit_on() -> None:
    for share, stiff in ((0.9, False), (1.1, True)):
        text = spent(100, 0.01, 0.5, None, share * STIFF_FROM / 0.01)
        assert ("it is stiff" in text) == stiff
        assert f"{share * STIFF_FROM:.2g} of a step" in text


def test_a_stiff_field_is_named_with_its_rate() -> None:
    """y' = −2000 (y − cos t): explicit steps stay near 3.3 / 2000, and the budget is spent on them."""
    rate = 2000.0
    stiff = ODE(lambda t, x: -rate * (x - math.cos(t)))
    x = torch.ones(2, 3, dtype=torch.float64)
    for solver in (Dopri5(), Tsit5(), Heun()):
        with pytest.raises(SolveError, match=r"limited by sample \d, component \(\d,\).*it is stiff, use") as failure:
            solve(stiff, x, Adaptive(0.0, 10.0, rtol=1e-3, atol=1e-3), solver, max_nfe=1500)
        h, named, share = map(float, re.findall(r"steps of (\S+),.* about (\S+), (\S+) of", str(failure.value))[0])
        assert named == pytest.approx(rate, rel=0.05)
        assert share == pytest.approx(h * named, rel=0.1)  # of two digits each
        partial = failure.value.solution
        assert partial.status == "budget"
        assert 0.1 < partial.ts[-1] < 10.0
        assert abs(partial.x[0, 0].item() - math.cos(partial.ts[-1])) < 1e-2


def test_a_rate_is_named_where_it_is_known() -> None:
    """Bogacki and Shampine's stages lie at different times, and of a constant field every rate is 0/0."""
    x = torch.ones(2, 3, dtype=torch.float64)
    quick, constant = (lambda t, x: -2000.0 * x), (lambda t, x: torch.ones_like(x))
    for field, solver, nfe in ((quick, Bosh3(), 200), (constant, Dopri5(), 8)):
        with pytest.raises(SolveError, match="evaluations were spent") as failure:
            solve(ODE(field), x, Adaptive(0.0, 10.0, rtol=1e-6, atol=1e-6), solver, max_nfe=nfe)
        assert "rate" not in str(failure.value)
    with pytest.raises(SolveError, match=r"fastest rate is about [0-9.e+-]+, 0\.\d+ of a step; allow more"):
        solve(ODE(lambda t, x: -x), x, Adaptive(0.0, 10.0, rtol=1e-6, atol=1e-6), Dopri5(), max_nfe=60)


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


@pytest.mark.parametrize("start", [0.0, -0.4])
def test_a_partial_solution_of_samples_apart(start: float) -> None:
    """x' = x², 1/x = 1/x₀ − (t − t₀): whatever the budget, x is where each sample is; ts and the message name the last.
    """
    x = torch.tensor([[0.5, 0.1], [0.1, 2.0], [0.9, 0.1]], dtype=torch.float64)
    largest, times = torch.tensor([0, 1, 0]), Adaptive(start, start + 0.9, rtol=1e-9, atol=1e-9, per_sample=True)
    limited = set()
    for budget in range(3, 270, 6):
        with pytest.raises(SolveError, match=f"max_nfe = {budget} evaluations were spent at t = ") as failure:
            solve(ODE(lambda t, x: x**2), x, times, Dopri5(), max_nfe=budget)
        partial, message = failure.value.solution, str(failure.value)
        reached = start + (1.0 / x - 1.0 / partial.x)[torch.arange(3), largest]
        last = reached.min().item()
        assert partial.ts.tolist() == pytest.approx([start, last], abs=1e-7)
        assert float(message.split("at t = ")[1].split()[0].rstrip(";")) == pytest.approx(last, abs=1e-5)
        for sample, component in re.findall(r"limited by sample (\d), component \((\d),\)", message):
            assert abs(reached[int(sample)] - last) < 1e-7
            assert int(component) == largest[int(sample)]
            limited.add(int(sample))
    assert limited == {1}


@pytest.mark.parametrize("per_sample", [False, True])
def test_progress_is_the_time_that_is_reached(per_sample: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """By all samples together: the mean of theirs."""
    seen: list[float] = []
    monkeypatch.setattr(Progress, "reach", lambda self, t: seen.append(t))
    times = Adaptive(-1.0, 1.0, rtol=1e-6, atol=1e-6, per_sample=per_sample)
    solve(PROBLEMS["ode"].equation, INITIAL, times, Dopri5())
    assert -1.0 < seen[0] < 0.0
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_a_bar_shows_the_share_of_the_way() -> None:
    with Progress(-1.0, 1.0, shown=True) as progress:
        progress.reach(0.0)
        assert progress.bar is not None
        assert progress.bar.tasks[0].percentage == 50.0


@pytest.mark.parametrize("per_sample", [False, True])
def test_a_step_that_is_taken_back_goes_nowhere(per_sample: bool) -> None:
    """x' = 1 until t = 0.37, and 3 from then on: whatever the budget, x is where it is at the time that is named."""
    times, rejected = Adaptive(0.0, 1.0, rtol=1e-8, atol=1e-8, per_sample=per_sample), set()
    for budget in range(8, 150, 6):
        with pytest.raises(SolveError, match=f"max_nfe = {budget} evaluations were spent at t = ") as failure:
            solve(
                ODE(lambda t, x: torch.where(torch.as_tensor(t) < 0.37, 1.0, 3.0) * torch.ones_like(x)),
                torch.zeros(1, 2, dtype=torch.float64),
                times,
                Dopri5(),
                max_nfe=budget,
            )
        partial = failure.value.solution
        rejected.add(partial.rejected)
        x = partial.x[0, 0].item()
        assert partial.ts[-1].item() == pytest.approx(x if x < 0.37 else 0.37 + (x - 0.37) / 3.0, abs=1e-6)
    assert len(rejected) > 3


def test_a_budget_of_each_sample() -> None:
    problem = PROBLEMS["ode"]
    times = Adaptive(0.0, 1.0, rtol=1e-8, atol=1e-8, per_sample=True)
    with pytest.raises(SolveError, match="max_nfe = 100 evaluations were spent") as failure:
        solve(problem.equation, INITIAL, times, Dopri5(), max_nfe=100)
    assert failure.value.solution.nfe <= 100
    assert failure.value.solution.nfe.per_sample.max() <= 100


FORMULAS = {"I": (1.0, 0.0, 0.0), "PI": (0.7, -0.4, 0.0), "PID": (0.58, -0.21, 0.1)}
NORMS = [
    *((0.5, 0.9, 0.1), (0.2, 0.99, 0.1), (3.0, 0.7, 0.1), (0.04, 1.2), (1e-9, 0.3), (0.9, 0.6)),
    *((2.0, 8.0), (math.nan, 0.5), (1e5, 1.0)),
]
"""Of three groups, of which one leaves after three steps."""


@pytest.mark.parametrize("control", FORMULAS)
def test_step_sizes_follow_the_formula(control: str) -> None:
    """h ← 0.9 h Π ‖e_{n−i}‖^{−β/p} over the last three accepted steps, from h/5 to 10 h, after a rejection to h.

    Of a rejected step h ← 0.9 h ‖e‖^{−1/p}, and no less than h/10.
    """
    order, betas = 3.0, FORMULAS[control]
    h, t, past, most = np.full(3, 1e-3), np.zeros(3), [[1.0, 1.0] for _ in range(3)], [10.0] * 3
    controller = StepController(Adaptive(0.0, 1.0, rtol=1e-3, atol=1e-3, control=control), h.copy(), order)
    for norms in NORMS:
        h, t = h[: len(norms)], t[: len(norms)]
        controller.keep(np.arange(len(controller.h)) < len(norms))
        assert controller.propose() == pytest.approx(t + h, rel=1e-14)
        accepted = controller.judge(np.array(norms))
        for i, norm in enumerate(norms):
            assert accepted[i] == (norm <= 1.0)
            if norm <= 1.0:
                t[i] += h[i]
                recent = [norm, *past[i]]
                factor = 0.9 * math.prod(e ** (-beta / order) for e, beta in zip(recent, betas, strict=True))
                h[i] *= min(max(factor, 0.2), most[i])
                past[i], most[i] = recent[:2], 10.0
            else:
                h[i] *= max(0.9 * norm ** (-1.0 / order), 0.1) if norm > 1.0 else 0.1
                most[i] = 1.0
        assert controller.h == pytest.approx(h, rel=1e-12)
        assert controller.t == pytest.approx(t, rel=1e-14)


def test_the_last_step_ends_at_the_end() -> None:
    """A step that would leave less than a hundredth is stretched, a longer one is cut, and judged as it was taken."""
    controller = StepController(Adaptive(0.0, 1.0, rtol=1e-3, atol=1e-3), np.array([0.98, 0.995, 1.0, 1.005, 4.0]), 3.0)
    assert controller.propose().tolist() == [0.98, 1.0, 1.0, 1.0, 1.0]
    controller.judge(np.full(5, 8.0))
    assert controller.h == pytest.approx([0.98 * 0.45, 0.45, 0.45, 0.45, 0.45], rel=1e-12)


def test_a_step_is_lost_below_sixteen_spacings_of_floats() -> None:
    """3.6e-15 at t = 1."""
    times = Adaptive(1.0, 2.0, rtol=1e-3, atol=1e-3)
    assert StepController(times, np.array([4e-15]), 5.0).propose() > 1.0
    for h in (3e-15, math.nan):
        with pytest.raises(Underflow) as failure:
            StepController(times, np.array([0.1, h]), 5.0).propose()
        assert failure.value.group == 1


FIRST = [(2.0, 0.5, 0.5, 1.0), (2.0, 40.0, -0.5, 3.0), (2.0, -300.0, 1.0, 5.0), (20.0, 0.0, 1.0, 5.0)]
STILL = [(0.0, 1.0, 1.0, 2.0), (2.0, 1.0, 0.0, 2.0), (0.01, 0.0, 1e-3, 5.0)]


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(("rate", "mu", "x", "order"), [*FIRST, *STILL])
def test_the_first_step(sign: float, rate: float, mu: float, x: float, order: float) -> None:
    """Hairer et al., II.4, in closed form, of x' = λ x + μ t: h₀ = 0.01 d₀/d₁, h₁ = (0.01 / max(d₁, d₂))^{1/p}.

    Each of h₁, 100 h₀ and the whole interval is the shortest once; where d₀ or d₁ vanishes, h₀ = 10⁻⁶.
    """
    state, length = torch.tensor([[x]], dtype=torch.float64), 0.2
    times = Adaptive(0.0, sign * length, rtol=0.02, atol=0.01)

    def drift(t: float, y: Tensor) -> Tensor:
        assert 0.0 <= sign * t <= length
        return rate * y + mu * t

    found = times.first_steps(drift, state, drift(0.0, state), order).item()
    unit = 0.01 + 0.02 * abs(x)
    d0, d1, d2 = abs(x) / unit, abs(rate * x) / unit, abs(rate**2 * x + mu) / unit
    guess = min(0.01 * d0 / d1, length) if d0 > 0.0 and d1 > 0.0 else 1e-6
    assert found == pytest.approx(min(100.0 * guess, (0.01 / max(d1, d2)) ** (1.0 / order), length), rel=1e-9)


def test_errors_are_measured_in_what_is_allowed() -> None:
    """rms(e / (atol + rtol max(|x₀|, |x₁|))), over the state or each sample; in half precision without overflow."""
    x0, x1 = (torch.tensor(x, dtype=torch.float64) for x in ([[0.0, 3.0], [-1.0, 2.0]], [[-4.0, 1.0], [0.0, 0.5]]))
    error, units = torch.tensor([[1.0, -2.0], [3.0, 4.0]]), [1.0 / 0.9, 2.0 / 0.7, 3.0 / 0.3, 4.0 / 0.5]
    for per_sample, groups in ((False, [units]), (True, [units[:2], units[2:]])):
        times = Adaptive(0.0, 1.0, rtol=0.2, atol=0.1, per_sample=per_sample)
        expected = [math.sqrt(sum(unit**2 for unit in group) / len(group)) for group in groups]
        assert times.norms(error.double(), x0, x1) == pytest.approx(expected, rel=1e-14)
        half = times.norms(100.0 * error.half(), x0.half(), x1.half())  # 1000² is above 65504
        assert half == pytest.approx([100.0 * norm for norm in expected], rel=1e-2)


def test_the_tolerance_that_is_recommended_is_enough() -> None:
    """Eight roundings of the state; of two the error itself would be half."""
    x, eps = torch.tensor([[0.0], [1.0], [-3.0]]), torch.finfo(torch.float32).eps
    Adaptive(0.0, 1.0, rtol=8 * eps, atol=1e-30, per_sample=True).like(x)
    with pytest.raises(ValueError, match="loosen rtol to 1e-06"):
        Adaptive(0.0, 1.0, rtol=2 * eps, atol=1e-30, per_sample=True).like(x)


def test_times_of_samples_keep_double_precision() -> None:
    """Of a state in single precision too."""
    kinds = set()

    def field(t: Tensor, x: Tensor) -> Tensor:
        kinds.add((t.dtype, x.dtype))
        return -t.to(x)[:, None] * x

    semilinear = Semilinear(field, PlainClock())
    times = Adaptive(0.0, 1.0, rtol=1e-3, atol=1e-3, per_sample=True)
    for solver in (Dopri5(), ExponentialRK(3)):
        end = solve(semilinear, INITIAL.float(), times, solver).x
        torch.testing.assert_close(end, math.exp(-0.5) * INITIAL.float(), rtol=0.0, atol=2e-3)
    assert kinds == {(torch.float64, torch.float32)}


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
    "an infinite node at the end": (
        lambda: solve(
            flow(Denoiser(lambda x, t: x, CondOT(), predicts="v"), "x0"),
            X,
            Adaptive(0.1, 1.0, rtol=1e-3, atol=1e-3),
            ExponentialRK(2),
        ),
        "hold the velocity, or keep away from the end",
    ),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_gets_one_clear_sentence(case: str) -> None:
    call, sentence = BAD_INPUT[case]
    with pytest.raises(ValueError, match=sentence):
        call()

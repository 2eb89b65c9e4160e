"""Guidance in an interval costs what it takes, at every time, and the account is exact."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from toy import states

from fokker.generative import CFG, VP, CondOT, Denoiser, flow, reverse_sde, variational_bound
from fokker.generative.denoiser import AutoGuidance
from fokker.generative.denoiser.clocks import make_clock
from fokker.generative.equations import grids
from fokker.solvers import (
    ODE,
    RK4,
    SDE,
    Adaptive,
    Dopri5,
    Euler,
    EulerMaruyama,
    ExponentialAdams,
    Field,
    Heun,
    Picard,
    SolveError,
    Time,
    WhiteNoise,
    solve,
)

LOW, HIGH = -2.0, 1.0
PATH = VP()
X = states(PATH, 0.0)
GRID = grids.uniform(PATH, 12)


class Counted:
    """A network that counts the states that it evaluates, and remembers their labels."""

    def __init__(self) -> None:
        self.states, self.calls = 0, 0

    def __call__(self, x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        self.states, self.calls, self.label = self.states + len(x), self.calls + 1, label
        return torch.sin(x * (1.0 + label[:, None]) + time[:, None])


def inside(t: float) -> bool:
    return LOW <= PATH.log_snr(t) <= HIGH


def made(net: Counted | None = None, weight: float = 3.0) -> CFG:
    denoiser = Denoiser(net or Counted(), PATH, predicts="v", label=[1, 2, 3, 1, 2, 3, 1, 2])
    return CFG(denoiser, weight, null=0, interval=(LOW, HIGH))


@pytest.mark.parametrize("clock", ["half_log_snr", "sigma", "1-t"])
def test_an_interval_may_be_given_in_another_clock(clock: str) -> None:
    """log SNR = 2 log(α/σ); σ and 1 − t fall where it rises."""
    low, high = sorted(float(make_clock(PATH, clock)(PATH.time(level))) for level in (LOW, HIGH))
    denoiser = made().denoiser
    guided = CFG(denoiser, 3.0, null=0, interval=(low, high), interval_in=clock)
    for t in (0.2, float(PATH.time(LOW)) + 1e-9, 0.65, float(PATH.time(HIGH)) + 1e-9, 0.9):
        assert torch.equal(guided.output(t, X), made().output(t, X))


def test_outside_there_is_the_conditional_model_alone() -> None:
    net = Counted()
    guided = made(net)
    always = CFG(guided.denoiser, 3.0, null=0)
    for t in (0.2, float(PATH.time(LOW)) + 1e-9, 0.65, float(PATH.time(HIGH)) + 1e-9, 0.9):
        before = net.states
        output = guided.output(t, X)
        spent = (net.states - before) // len(X)
        expected = always if inside(t) else guided.denoiser
        assert torch.equal(output, expected.output(t, X))
        assert spent == guided.evaluations(t) == (2 if inside(t) else 1)
    assert (guided.cost, always.evaluations(0.2), guided.smooth) == (2, 2, False)


def test_both_bounds_are_inside() -> None:
    """log(α/σ) of CondOT at t = 1/2 is 0, exactly."""
    denoiser = Denoiser(Counted(), CondOT(), predicts="v", label=1)
    assert CFG(denoiser, 2.0, null=0, interval=(0.0, 1.0)).evaluations(0.5) == 2
    assert CFG(denoiser, 2.0, null=0, interval=(-1.0, 0.0)).evaluations(0.5) == 2
    assert CFG(denoiser, 2.0, null=0, interval=(0.1, math.inf)).evaluations(1.0) == 2
    assert CFG(denoiser, 2.0, null=0, interval=(0.1, math.inf)).evaluations(0.5) == 1


def test_times_per_sample_take_two_evaluations_only_where_there_is_guidance() -> None:
    net = Counted()
    guided, times = made(net), torch.linspace(0.3, 0.95, 8, dtype=torch.float64)
    output, each = guided.output(times, X), [1 + inside(t) for t in times.tolist()]
    assert guided.evaluations(times).tolist() == each
    assert (net.states, net.calls) == (sum(each), 1)
    assert 8 < sum(each) < 16
    for i, t in enumerate(times.tolist()):
        alone = guided.of_rows(torch.tensor([i])).output(t, X[i : i + 1])
        torch.testing.assert_close(output[i : i + 1], alone, rtol=1e-14, atol=1e-14)
    for t in (0.2, 0.6):
        same = torch.full((8,), t, dtype=torch.float64)
        torch.testing.assert_close(guided.output(same, X), guided.output(t, X), rtol=1e-14, atol=1e-14)


def test_a_bound_spends_what_the_network_sees() -> None:
    """Near the data alone there is guidance: the decoder's evaluation costs two, those of the first steps one."""
    net = Counted()
    denoiser = CFG(Denoiser(net, PATH, predicts="v", label=[1]), 2.0, null=0, interval=(LOW, math.inf))
    bound = variational_bound(denoiser, X[:1], WhiteNoise(0), GRID, variance="large")
    assert bound.nfe == net.states
    assert len(GRID) < int(bound.nfe) + 1 < 2 * len(GRID)


def test_evaluations_add_up_over_parts() -> None:
    bad = Denoiser(Counted(), PATH, predicts="v", label=1)
    both = AutoGuidance(made(), bad, 2.0)
    assert (both.cost, both.evaluations(0.2), both.evaluations(0.65)) == (3, 2, 3)
    twice = CFG(made(), 2.0, null=0, interval=(-math.inf, LOW))
    assert (twice.cost, twice.evaluations(0.2), twice.evaluations(0.65), twice.evaluations(0.99)) == (4, 2, 2, 1)


@pytest.mark.parametrize(
    ("solver", "nodes"),
    [
        (ExponentialAdams(1), [0.0]),
        (Euler(), [0.0]),
        (RK4(), [0.0, 0.5, 0.5, 1.0]),
    ],
    ids=repr,
)
def test_the_account_is_exact(solver: ExponentialAdams | Euler | RK4, nodes: list[float]) -> None:
    """Evaluation times are known: at nodes of every step."""
    net = Counted()
    times = torch.linspace(0.05, 0.95, 13, dtype=torch.float64).tolist()
    expected = sum(1 + inside(a + node * (b - a)) for a, b in pairwise(times) for node in nodes)
    nfe = solve(flow(made(net), "x0"), X, times, solver).nfe
    assert nfe == expected == net.states // len(X)
    assert (nfe.depth, nfe.branches) == (len(nodes) * 12, 2)
    assert len(nodes) * 12 < expected < len(nodes) * 24
    assert nfe.per_sample.tolist() == [expected] * 8


def test_the_account_is_exact_for_stochastic_and_adaptive_and_clocked_equations() -> None:
    for equation, times, options in (
        (reverse_sde, GRID, {"solver": ExponentialAdams(2), "noise": WhiteNoise(0)}),
        (flow, Adaptive(0.0, 0.95, rtol=1e-4, atol=1e-4), {"solver": Dopri5()}),
    ):
        net = Counted()
        nfe = solve(equation(made(net)), X, times, **options).nfe
        assert nfe == net.states // len(X)
        assert nfe.depth < nfe < 2 * nfe.depth
    net = Counted()
    equation = flow(made(net), "v")
    clocked = equation.in_clock()
    clock = equation.clock.r(torch.tensor([0.1, 0.3, 0.5, 0.65, 0.7, 0.9], dtype=torch.float64))
    nfe = solve(clocked, X, clock, Heun()).nfe
    assert nfe == net.states // len(X)
    assert [clocked.field.evaluations(r) for r in clock.tolist()] == [1, 1, 1, 2, 2, 1]


def test_samples_with_steps_of_their_own() -> None:
    """A call is entered as what it takes of the sample that it takes most of: never less than a sample took."""
    net = Counted()
    times = Adaptive(0.0, 0.95, rtol=1e-5, atol=1e-5, per_sample=True)
    together = solve(flow(made(net)), X, times, Dopri5())
    assert together.nfe.depth < together.nfe < 2 * together.nfe.depth
    assert net.states <= together.nfe.total
    for i in range(8):
        net.states = 0
        alone = solve(flow(made(net).of_rows(torch.tensor([i]))), X[i : i + 1], times, Dopri5())
        torch.testing.assert_close(together.x[i], alone.x[0], rtol=0.0, atol=1e-12)
        assert alone.nfe == net.states <= together.nfe.per_sample[i]


def test_parallel_steps_add_up_over_the_window() -> None:
    net = Counted()
    nfe = solve(flow(made(net), "x0"), X, 0.95 * GRID, Picard(Heun(), window=5, tolerance=1e-3)).nfe
    assert nfe == net.states // len(X)


def test_the_door_refuses_only_what_does_not_fit() -> None:
    """Where all of a grid is within, or without, what a call takes is known; else a solve stops at the budget."""
    equation, times = flow(made(), "x0"), torch.linspace(0.05, 0.95, 13, dtype=torch.float64)
    needed = int(solve(equation, X, times, ExponentialAdams(1)).nfe)
    assert solve(equation, X, times, ExponentialAdams(1), max_nfe=needed).nfe == needed
    with pytest.raises(SolveError, match=f"max_nfe = {needed - 1} evaluations were spent"):
        solve(equation, X, times, ExponentialAdams(1), max_nfe=needed - 1)
    with pytest.raises(ValueError, match="12 steps of ExponentialAdams take at least 12 evaluations, more than"):
        solve(equation, X, times, ExponentialAdams(1), max_nfe=11)
    within = torch.linspace(float(PATH.time(LOW)) + 1e-6, float(PATH.time(HIGH)) - 1e-6, 5, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"4 steps of ExponentialAdams take 8 evaluations, more than .* 7; 3 steps"):
        solve(equation, X, within, ExponentialAdams(1), max_nfe=7)


def test_any_equation_may_say_what_a_call_takes() -> None:
    class Sometimes(Field):
        def __call__(self, t: Time, x: Tensor) -> Tensor:
            return -x

        def evaluations(self, t: Time) -> int:
            return 3 if t < 0.5 else 1

    x = torch.ones(2, dtype=torch.float64)
    for equation, noise in (
        (ODE(Sometimes()), None),
        (SDE(Sometimes(), lambda t, x: 1.0, noise="additive"), WhiteNoise(0)),
    ):
        solver = Euler() if noise is None else EulerMaruyama()
        nfe = solve(equation, x, [0.0, 0.25, 0.5, 0.75, 1.0], solver, noise).nfe
        assert (int(nfe), nfe.depth, nfe.branches) == (8, 4, 3)

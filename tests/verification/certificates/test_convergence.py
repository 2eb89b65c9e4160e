"""Certificates of methods whose orders, biases and starts are known."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from fokker.generative import VE, VP, CondOT
from fokker.solvers import ODE, RK4, SRA1, Dopri5, Euler, ExponentialAdams, ExponentialRK, Heun
from fokker.verification.certificates.convergence import certify, declared_order
from fokker.verification.certificates.problems import PROBLEMS, Problem, sampling
from fokker.verification.certificates.stochastic_problems import arriving, curved, keeping


def euler(equation: Any, x: Tensor, times: Tensor, noise: Any) -> Tensor:
    for s, t in pairwise(times.tolist()):
        x = x + (t - s) * equation.drift(s, x)
    return x


@pytest.mark.parametrize("problem", list(PROBLEMS.values()), ids=list(PROBLEMS))
def test_the_flows_of_the_problems_are_exact(problem: Problem) -> None:
    """They compose, and their slope is the field: central differences of order e², 1e-10."""
    e, x = 1e-5, problem.x
    torch.testing.assert_close(problem.flow(problem.flow(x, 0.0, 0.4), 0.4, 0.9), problem.flow(x, 0.0, 0.9))
    rate = (problem.flow(x, 0.0, 0.5 + e) - problem.flow(x, 0.0, 0.5 - e)) / (2.0 * e)
    drift = problem.equation.drift(0.5, problem.flow(x, 0.0, 0.5))
    torch.testing.assert_close(rate, drift, rtol=1e-7, atol=1e-7)


def test_anyones_code_is_measured() -> None:
    found = certify(euler, declared=1)
    assert found.passed
    assert found.order == pytest.approx(1.0, abs=0.15)
    assert found.method == "euler"
    assert certify(euler).verdict == "undecided"  # nothing is declared


def test_a_published_sampler_by_its_name() -> None:
    found = certify("dpm++2m", apart=False)
    assert found.passed
    assert (found.method, found.declared) == ("dpm++2m", 2.0)
    with pytest.raises(ValueError, match="dpm\\+\\+2m"):
        certify("dpm-2m-plus")


def test_an_order_that_is_declared_too_high_or_too_low() -> None:
    assert certify(Heun(), declared=3, apart=False).verdict == "fail"
    assert certify(Heun(), declared=1, apart=False).verdict == "higher"


def test_a_bias_is_no_order() -> None:
    """Euler's method that adds 0.1 to its result converges, with order 1, to something else."""
    found = certify(lambda equation, x, times, noise: euler(equation, x, times, noise) + 0.1, declared=1)
    assert found.verdict == "fail"
    assert found.bias == pytest.approx(0.1, rel=0.1)
    assert "to something else: its errors stop falling" in found.reason


def test_what_an_early_stop_leaves_is_told_apart() -> None:
    """The flow from its last time to t = 1, exactly; the order is that of the way before."""
    problem = sampling(VP(), "x0")
    found = certify(ExponentialAdams(2), problem, apart=False)
    stop = problem.grid(1).tolist()[1]
    left = problem.exact(problem.x, 1.0) - problem.exact(problem.x, stop)
    assert found.passed
    assert found.early_stop == pytest.approx(left.square().mean().sqrt().item(), rel=1e-12)
    assert found.early_stop > 0.001


def test_the_start_and_the_end_are_measured_apart() -> None:
    """Heun's method whose last step stands still is of order 1, and of order 2 but for that step."""

    class Halt(Heun):
        def step(self, equation: Any, t0: Any, t1: Any, x: Tensor, state: Any, noise: Any) -> Any:
            step = super().step(equation, t0, t1, x, state, noise)
            return step._replace(x=x) if t1 == 1.0 else step

    found = certify(Halt(), PROBLEMS["ode"])
    assert found.verdict == "fail"
    assert found.order == pytest.approx(1.0, abs=0.15)
    assert found.last_exact == pytest.approx(2.0, abs=0.15)
    assert "the last step limits it" in found.reason


def test_single_precision_has_a_floor_of_its_own() -> None:
    """Errors of RK4 in float32 stop near 1e-7; the order is read off above that."""

    def drift(t: Any, x: Tensor) -> Tensor:
        return PROBLEMS["ode"].equation.drift(t, x.float()).double()

    ode = PROBLEMS["ode"]
    found = certify(RK4(), Problem("single", ODE(drift), ode.flow, ode.x), declared=4, steps=(8, 11, 16, 23, 32, 45))
    assert found.verdict in ("pass", "undecided")
    assert found.order is None or found.order == pytest.approx(4.0, abs=0.4)


@pytest.mark.parametrize("solver", [ExponentialAdams(2), ExponentialRK(3)], ids=repr)
def test_strong_orders_on_shared_paths(solver: Any) -> None:
    """Those of the classical methods are in the table that is measured first."""
    found = certify(solver, curved())
    assert (found.kind, found.declared) == ("strong", 1.0)
    assert found.passed


@pytest.mark.parametrize("path", [VP(), CondOT(), VE()], ids=str)
def test_weak_orders_from_exact_laws(path: Any) -> None:
    found = certify(ExponentialAdams(2), arriving(path, "eps"))
    assert (found.kind, found.declared) == ("weak", 2.0)
    assert found.passed


def test_a_declared_order_depends_on_the_kind_of_problem() -> None:
    assert declared_order(SRA1(), PROBLEMS["ode"]) == SRA1().order
    assert declared_order(SRA1(), curved()) == 1.5
    assert declared_order(SRA1(), arriving(CondOT())) == 2.0
    assert declared_order(ExponentialAdams(3), keeping(CondOT())) == 3.0


def test_a_method_that_diverges_certifies_nothing() -> None:
    found = certify(lambda equation, x, times, noise: x * math.nan, declared=1)
    assert (found.verdict, found.reason) == ("undecided", "No run on the ladder ended in finite numbers.")
    assert found.order is None


def test_adaptive_schemes_take_the_steps_of_a_grid() -> None:
    assert certify(Dopri5(), apart=False).passed
    assert certify(Euler(), apart=False).passed


@pytest.mark.parametrize("steps", [(8, 16), (8, 8, 16, 32), (32, 16, 8, 4)])
def test_a_ladder_rises(steps: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at least 4 step counts that rise"):
        certify(Euler(), steps=steps)

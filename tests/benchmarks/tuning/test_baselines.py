"""The published ways of tuning: exact where the mathematics says so, and not worse than their own start."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
import torch
from toy import MIXTURE

from fokker.benchmarks.problems import Problem
from fokker.benchmarks.reference import reference
from fokker.benchmarks.tuning.baselines import BASELINES, LD3, S4S, BespokeNonStationary, BezierFlow, DyWeight, Gits
from fokker.benchmarks.tuning.baselines.descent import Descent
from fokker.benchmarks.tuning.baselines.gits import cheapest
from fokker.benchmarks.tuning.baselines.gradient import gradient, loss_of
from fokker.benchmarks.tuning.baselines.multistep import (
    adams,
    as_coefficients,
    first_grid,
    hold_of,
    multistep,
    shifted,
)
from fokker.benchmarks.tuning.coefficients import Coefficients
from fokker.benchmarks.tuning.curves import bezier
from fokker.benchmarks.tuning.trajectories import Trajectories
from fokker.generative import VP, CondOT, GaussianPath, flow, named
from fokker.solvers import unroll

NFE = 4
AT_THE_START = Descent(steps=0)
DESCENTS: list[Any] = [LD3(), BespokeNonStationary(), S4S(), DyWeight(), BezierFlow()]


def problem_on(path: GaussianPath) -> Problem:
    return Problem("mixture", "", MIXTURE.denoiser(path), (2,), 8)


@pytest.fixture(scope="module", params=[VP(), CondOT()], ids=["VP", "CondOT"])
def some(request: pytest.FixtureRequest) -> Trajectories:
    problem = problem_on(request.param)
    return Trajectories.of(problem, reference(problem, 32, 3, 200), 32, 3)


def start_of(some: Trajectories, order: int) -> Coefficients:
    hold = hold_of(some)
    clocks = first_grid(some, NFE, hold)
    return as_coefficients(clocks[:-1], multistep(adams(NFE, order), clocks, clocks[:-1], hold))


def same(found: Coefficients, expected: Coefficients) -> None:
    np.testing.assert_allclose(found.r, expected.r, rtol=0.0, atol=1e-12)
    np.testing.assert_allclose(found.a, expected.a, rtol=0.0, atol=1e-9)  # 1/r is 150 at the start of VP


@pytest.mark.parametrize("gamma", [1.0, 1.15])
@pytest.mark.parametrize("steps", range(1, 8))
def test_the_grid_is_the_best_of_all(steps: int, gamma: float) -> None:
    """All grids of a few of 8 times are tried."""
    costs = np.random.default_rng(steps).random((8, 8))
    grids = [(0, *inner, 7) for inner in combinations(range(1, 7), steps - 1)]

    def total(grid: tuple[int, ...]) -> float:
        return sum(float(gamma**i * costs[pair]) for i, pair in enumerate(pairwise(grid)))

    assert cheapest(costs, steps, gamma) == min(grids, key=total)
    with pytest.raises(ValueError, match="8 steps"):
        cheapest(costs, 8)


def test_local_errors_of_one_step_of_the_grid_are_those_of_its_solver(some: Trajectories) -> None:
    """With as many steps as the trajectories have, the grid is theirs."""
    same(Gits(fine=NFE).fit(some, NFE), start_of(some, 4))


@pytest.mark.parametrize("path", [VP(), CondOT()], ids=["VP", "CondOT"])
def test_one_value_of_the_noise_or_of_the_velocity_is_ddim(path: GaussianPath) -> None:
    """On the same grid, as `named` has it."""
    problem = problem_on(path)
    some = Trajectories.of(problem, reference(problem, 8, 3, 200), 8, 3)
    hold = hold_of(some)
    assert hold == ("eps" if isinstance(path, VP) else "velocity")
    clocks = first_grid(some, NFE, hold)
    sampler = named("ddim")
    times = [problem.start, *(some.time(float(r)) for r in clocks[1:-1]), problem.end]
    scheme = unroll(sampler.equation(problem.denoiser), times, sampler.solver)
    same(start_of(some, 1), Coefficients.of(scheme, flow(problem.denoiser, "velocity")))


@pytest.mark.parametrize("baseline", DESCENTS, ids=lambda each: type(each).__name__)
def test_a_descent_of_no_steps_is_the_solver_itself(baseline: Any, some: Trajectories) -> None:
    """On its own grid; the path of equal control points is the straight one, whose grid is even."""
    found = replace(baseline, descent=AT_THE_START).fit(some, NFE)
    if isinstance(baseline, BezierFlow):
        clocks = torch.linspace(*some_ends(some), NFE + 1, dtype=torch.float64)
        same(found, as_coefficients(clocks[:-1], multistep(adams(NFE), clocks, clocks[:-1], "velocity")))
    else:
        same(found, start_of(some, 1 if isinstance(baseline, BespokeNonStationary) else 4))


def some_ends(some: Trajectories) -> tuple[float, float]:
    clocks = first_grid(some, 1, "velocity")
    return float(clocks[0]), float(clocks[1])


@pytest.mark.parametrize("baseline", DESCENTS, ids=lambda each: type(each).__name__)
def test_a_descent_lowers_its_own_loss(baseline: Any, some: Trajectories) -> None:
    short = replace(baseline.descent, steps=120, batch=16)

    def loss(descent: Descent) -> float:
        found = replace(baseline, descent=descent).fit(some, NFE)
        return float(loss_of(torch.from_numpy(some.errors(found)) ** 2, short.loss))

    before, after = loss(AT_THE_START), loss(short)
    assert after < (before - 0.1 if short.loss == "log" else 0.9 * before)


@pytest.mark.parametrize("loss", ["mse", "log"])
def test_the_gradient_is_that_of_the_loss(loss: Any, some: Trajectories) -> None:
    """Beside central differences of width 1e-5; ∂N/∂r is right to 5e-6 of ∂²N/∂r², which is up to 100 ∂N/∂r."""
    start = start_of(some, 4)
    rng = np.random.default_rng(0)
    rows = np.tril(0.01 * rng.standard_normal((NFE + 1, NFE + 1)))
    start = start.moved(Coefficients(0.01 * rng.random(NFE), rows))
    calls, table = torch.from_numpy(start.r), torch.from_numpy(start.a)
    of_clocks, of_rows, of_start = gradient(calls, table, some, some.z0, loss)

    def value(by: Coefficients, factor: float, z0: torch.Tensor = some.z0) -> float:
        moved, here = start.moved(by, factor), replace(some, z0=z0)
        return float(loss_of(here.misses(moved, here.values(moved)).flatten(1).square().mean(1), loss))

    for _ in range(3):
        by = Coefficients(rng.standard_normal(NFE), np.tril(rng.standard_normal((NFE + 1, NFE + 1))))
        expected = (value(by, 1e-5) - value(by, -1e-5)) / 2e-5
        found = float((of_clocks * torch.from_numpy(by.r)).sum() + (of_rows * torch.from_numpy(by.a)).sum())
        assert found == pytest.approx(expected, rel=1e-3)
    none = Coefficients(np.zeros(NFE), np.zeros((NFE + 1, NFE + 1)))
    aside = torch.from_numpy(rng.standard_normal(tuple(some.z0.shape)))
    ahead, behind = value(none, 0.0, some.z0 + 1e-5 * aside), value(none, 0.0, some.z0 - 1e-5 * aside)
    assert float((of_start * aside).sum()) == pytest.approx((ahead - behind) / 2e-5, rel=1e-4)


def test_the_times_of_the_network_are_factors_of_the_noise() -> None:
    clocks, by = torch.tensor([0.0, 0.2, 0.9], dtype=torch.float64), torch.tensor([1.0, 0.5, -2.0], dtype=torch.float64)
    moved = shifted(clocks, by)
    assert moved[0] == 0.0
    noise = ((1.0 - moved) / moved)[1:]
    torch.testing.assert_close(noise, ((1.0 - clocks) / clocks * (-by).exp())[1:])


def test_curves_rise_from_0_to_1_and_have_their_derivative() -> None:
    logits = torch.randn(7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    u = torch.linspace(0.0, 1.0, 101, dtype=torch.float64)
    curve, slope = bezier(logits, u)
    torch.testing.assert_close(curve[[0, -1]], torch.tensor([0.0, 1.0], dtype=torch.float64))
    assert (slope > 0.0).all()
    ahead, behind = bezier(logits, u + 1e-6)[0], bezier(logits, u - 1e-6)[0]
    torch.testing.assert_close((ahead - behind) / 2e-6, slope, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(bezier(torch.zeros(32, dtype=torch.float64), u)[0], u)


def test_every_baseline_says_its_source_and_its_budget(some: Trajectories) -> None:
    for baseline in BASELINES.values():
        assert "(2" in baseline.source
        assert baseline.relation
        assert baseline.evaluations(some, NFE) > 0

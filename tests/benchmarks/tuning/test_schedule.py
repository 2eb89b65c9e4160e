"""A known sampler on another path: its own table at first, and a solver of the same flow wherever the path goes."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from toy import MIXTURE

from fokker.benchmarks.problems import Problem
from fokker.benchmarks.reference import reference
from fokker.benchmarks.tuning.curves import Curves
from fokker.benchmarks.tuning.schedule import DEGREE, Schedule
from fokker.benchmarks.tuning.sensitivity import derivatives
from fokker.benchmarks.tuning.starts import starts_of
from fokker.benchmarks.tuning.trajectories import Trajectories
from fokker.generative import VP, CondOT, GaussianPath, Sampler, grids
from fokker.solvers import RK4, ExponentialAdams, ExponentialRK

NFE = 4


def problem_on(path: GaussianPath) -> Problem:
    return Problem("mixture", "", MIXTURE.denoiser(path), (2,), 8)


@cache
def some_on(path: GaussianPath) -> Trajectories:
    problem = problem_on(path)
    return Trajectories.of(problem, reference(problem, 4, 3, 1500), 4, 3)


@pytest.fixture
def some() -> Trajectories:
    return some_on(VP())


def moving(sampler: Sampler, steps: int, some: Trajectories) -> Schedule:
    denoiser: Any = problem_on(some.equation.clock.path).denoiser  # type: ignore[attr-defined]
    equation, times, _ = sampler(denoiser, steps, t0=some.first, t1=some.last)
    return Schedule(sampler, equation, some.equation, tuple(map(float, times)))


def parameters(freedom: Schedule) -> Any:
    return np.random.default_rng(0).standard_normal(freedom.size)


def test_it_starts_as_the_sampler(some: Trajectories) -> None:
    """Of every held quantity, with stages and without; 1/(1 − r) magnifies the rounding by up to 400."""
    problem = problem_on(some.equation.clock.path)  # type: ignore[attr-defined]
    for start in starts_of(problem, NFE):
        freedom = moving(start.sampler, start.sampler.solver.steps(NFE), some)
        found = freedom.at(np.zeros(freedom.size))
        np.testing.assert_allclose(found.r, start.numbers.r, rtol=0.0, atol=1e-13)
        np.testing.assert_allclose(found.a, start.numbers.a, rtol=0.0, atol=1e-12)


@pytest.mark.parametrize(
    ("sampler", "order", "steps", "path"),
    [
        (Sampler(ExponentialAdams(3)), 3, 40, CondOT()),
        (Sampler(ExponentialRK(3), "x0", grid=grids.log_snr), 3, 16, VP()),
        (Sampler(RK4()), 4, 24, CondOT()),
    ],
    ids=str,
)
def test_on_any_path_it_solves_the_same_flow(sampler: Sampler, order: int, steps: int, path: GaussianPath) -> None:
    """The error of twice the steps over that of the steps is 2^−p; half an order is left for what higher orders add.

    The scale of the states is far from 1 on this path, so that a scale without its derivative would not converge.
    """
    some, errors = some_on(path), []
    for n in (steps, 2 * steps):
        freedom = moving(sampler, n, some)
        p = 0.5 * parameters(freedom)
        errors.append(float(np.median(some.errors(freedom.at(p)))))
    scales = freedom.curves(p).at(torch.linspace(0.0, 1.0, 9, dtype=torch.float64)).scale
    assert float((scales - 1.0).abs().max()) > 0.05
    assert errors[1] < 2.0 ** (0.5 - order) * errors[0]


def test_the_derivatives_are_those_of_the_end(some: Trajectories) -> None:
    """Central differences of width 1e-5; the forward ones are right to 1e-5 of a second derivative."""
    freedom = moving(Sampler(ExponentialAdams(2)), NFE, some)
    p, h = 0.3 * parameters(freedom), 1e-5
    _, moves = derivatives(freedom.at(p), some, freedom.directions(p), torch.float64)
    for i in (0, DEGREE - 1):
        ahead, behind = (freedom.at(p + step * np.eye(freedom.size)[i]) for step in (h, -h))
        expected = (some.misses(ahead, some.values(ahead)) - some.misses(behind, some.values(behind))) / (2 * h)
        torch.testing.assert_close(moves[i], expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def test_the_place_of_a_clock_is_found_to_rounding() -> None:
    """Of steep curves too: r(u) is what it was asked to be, to 1e-14."""
    rng = np.random.default_rng(1)
    curves = Curves(*(torch.from_numpy(4.0 * rng.standard_normal(8)) for _ in range(2)), 0.01, 0.99)
    clock = torch.linspace(0.01, 0.99, 101, dtype=torch.float64)
    torch.testing.assert_close(curves.at(curves.where(clock)).clock, clock, rtol=0.0, atol=1e-14)


def test_its_parameters_leave_out_what_does_not_move_the_curves() -> None:
    """Logits that are equally larger are the same curve, so that one of each is 0."""
    curves = moving(Sampler(ExponentialAdams(2)), NFE, some_on(CondOT())).curves(np.ones(2 * (DEGREE - 1)))
    assert float(curves.rise[-1]) == float(curves.fall[-1]) == 0.0
    assert (len(curves.rise), len(curves.fall)) == (DEGREE, DEGREE)

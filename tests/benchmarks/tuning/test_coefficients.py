"""Every explicit method is times and a triangular matrix: the published samplers as such run as they do."""

from __future__ import annotations

import pytest
import torch
from toy import MIXTURE

from fokker.benchmarks.problems import Problem
from fokker.benchmarks.reference import reference
from fokker.benchmarks.tuning.coefficients import Coefficients
from fokker.benchmarks.tuning.starts import starts_of
from fokker.benchmarks.tuning.trajectories import Trajectories
from fokker.generative import VE, VP, CondOT, GaussianPath
from fokker.solvers import solve

ROUNDING = 1e-9
"""Coefficients near 1/(1 − r) magnify the rounding of float64 by up to 400 at each of 5 evaluations' conversions."""


@pytest.mark.parametrize("path", [CondOT(), VP(), VE()], ids=repr)
def test_published_samplers_as_numbers_end_where_they_do(path: GaussianPath) -> None:
    problem = Problem("mixture", "", MIXTURE.denoiser(path), (2,), 16)
    x = problem.noise(16, 3)
    some = Trajectories.of(problem, reference(problem, 16, 3, 200), 16, 3)
    seen = set()
    for start in starts_of(problem, 4):
        equation, times, solver = start.sampler(
            problem.denoiser, start.sampler.solver.steps(4), t0=problem.start, t1=problem.end
        )
        expected = solve(equation, x, times, solver).x
        scheme = start.numbers.scheme(some.equation, some.first, some.last, start.name)
        tolerance = ROUNDING * float(expected.abs().max())
        torch.testing.assert_close(scheme.run(some.equation, x).x, expected, rtol=0.0, atol=tolerance)
        found = some.misses(start.numbers, some.values(start.numbers)) + some.end
        assert start.numbers.nfe == 4 == scheme.nfe
        last = float(some.equation.clock.scale(torch.tensor(problem.end, dtype=torch.float64)))
        torch.testing.assert_close(last * found, expected, rtol=0.0, atol=tolerance)
        again = Coefficients.of(scheme, some.equation)
        torch.testing.assert_close(torch.from_numpy(again.a), torch.from_numpy(start.numbers.a), rtol=0.0, atol=1e-9)
        seen.add(start.name)
    assert len(seen) >= 5

"""The derivatives by differences, beside those of a run whose numbers are moved."""

from __future__ import annotations

import numpy as np
import torch
from toy import MIXTURE

from fokker.benchmarks.problems import Problem
from fokker.benchmarks.reference import reference
from fokker.benchmarks.tuning.freedoms import Freedom, Numbers, Times
from fokker.benchmarks.tuning.sensitivity import derivatives
from fokker.benchmarks.tuning.starts import starts_of
from fokker.benchmarks.tuning.trajectories import Trajectories
from fokker.generative import VP

H = 1e-5
"""Central differences of this width are right to its square; the forward ones to 1e-5 of a second derivative."""


def test_derivatives_are_those_of_the_end() -> None:
    problem = Problem("mixture", "", MIXTURE.denoiser(VP()), (2,), 8)
    some = Trajectories.of(problem, reference(problem, 8, 3, 200), 8, 3)
    start = next(starts_of(problem, 4))
    grid = start.sampler(problem.denoiser, 4, t0=problem.start, t1=problem.end)
    freedoms: list[Freedom] = [
        Numbers(start.numbers, some.bounds),
        Numbers(start.numbers, some.bounds, coefficients=False),
        Times(start.sampler, grid[0], some.equation, tuple(grid[1].tolist())),
    ]
    for freedom in freedoms:
        p = 0.01 * np.random.default_rng(0).standard_normal(freedom.size)
        p[0] = abs(p[0])  # the first clock of all stays above its bound
        _, moves = derivatives(freedom.at(p), some, freedom.directions(p), torch.float64)
        for i, found in enumerate(moves):
            step = H * np.eye(freedom.size)[i]
            one, two = freedom.at(p + step), freedom.at(p - step)
            expected = (some.misses(one, some.values(one)) - some.misses(two, some.values(two))) / (2 * H)
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()) + 1e-6)

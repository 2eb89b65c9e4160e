"""Exact laws of what solvers around solvers make of Gaussian data: the marginals that they keep."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import Tensor
from toy import ENDS, LINE, marginal, output, response

from fokker.generative import GaussianPath, flow
from fokker.generative.equations import grids
from fokker.solvers import (
    Abilities,
    Ancestral,
    Churn,
    Equation,
    ExponentialAdams,
    Noise,
    Restart,
    Semilinear,
    Step,
    Stepper,
)

ONE = ExponentialAdams(1)
Wrap = Callable[[Stepper[Semilinear]], Stepper[Semilinear]]


class ExactFlow(Stepper[Equation]):
    """The probability flow of the Gaussian data without any error."""

    abilities = Abilities(order=9, one_step=True)
    evaluations_per_step = 0

    def __init__(self, path: GaussianPath) -> None:
        self.path = path

    def step(self, equation: Equation, t0: float, t1: float, x: Tensor, state: None, noise: Noise | None) -> Step:
        return Step(LINE.flow_map(x, t0, t1, self.path))


@pytest.mark.parametrize("wrap", [lambda s: Ancestral(s, 0.4), Ancestral, lambda s: Churn(s, 1.0)], ids="aAc")
@pytest.mark.parametrize("path", ENDS, ids=repr)
def test_detours_keep_the_marginals(path: GaussianPath, wrap: Wrap) -> None:
    """With an exact solver of the flow inside, in four steps from end to end; only rounding is left.

    There is no noise to add before the step from α = 0, nor after the one to σ = 0.
    """
    times = grids.karras(path, 4)
    draws = 3 + ((path.alpha(0.0) if isinstance(wrap(ONE), Churn) else path.sigma(1.0)) > 0.0)
    affine = response(flow(LINE.denoiser(path)), wrap(ExactFlow(path)), times)
    assert len(affine.noises) == draws
    assert output(affine, *marginal(path, 0.0)) == pytest.approx(marginal(path, 1.0), rel=1e-11)


@pytest.mark.parametrize("path", ENDS, ids=repr)
def test_restarts_keep_the_marginals(path: GaussianPath) -> None:
    """From t = 1 back to the very start, where α may be 0, too."""
    for t_a, t_b in ((0.2, 0.6), (0.0, 1.0)):
        solver = Restart(ExactFlow(path), [t_a, 0.5, t_b], 3)
        affine = response(flow(LINE.denoiser(path)), solver, [0.0, 0.6, 1.0])
        assert len(affine.noises) == 3
        assert output(affine, *marginal(path, 0.0)) == pytest.approx(marginal(path, 1.0), rel=1e-11)

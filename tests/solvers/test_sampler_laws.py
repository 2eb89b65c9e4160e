"""Exact laws of what solvers around solvers make of Gaussian data: marginals, weak orders, stationary variances."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from convergence import slope
from impulses import DATA, MEAN, VARIANCE, affine_map, marginal, output_law
from torch import Tensor
from toy import ENDS

from fokker.generative import CondOT, GaussianPath, flow, reverse_sde
from fokker.generative.equations import grids
from fokker.solvers import (
    EDM_HEUN,
    Ancestral,
    Churn,
    Equation,
    ExponentialAdams,
    ExponentialRK,
    Langevin,
    Noise,
    Restart,
    Step,
    Stepper,
)

ONE = ExponentialAdams(1)


def reverse_law(path: GaussianPath, eta: float, x: float, s: float, t: float) -> tuple[float, float]:
    """The law of the reverse equation of level η at t, from the point x at s.

    In y = (x − α m)/√V, V = α² v + σ², it is dy = −y dτ + √2 dW_τ, dτ = η² σ²/V dλ, τ = η² (λ − ½ log(1 + v e^{2λ})).
    """
    ends = map(path.half_log_snr, (s, t))
    elapsed = [eta**2 * (lam - 0.5 * math.log1p(VARIANCE * math.exp(2.0 * lam))) for lam in ends]
    decay = math.exp(elapsed[0] - elapsed[1])
    (mean0, variance0), (mean1, variance1) = marginal(path, s), marginal(path, t)
    return mean1 + math.sqrt(variance1 / variance0) * decay * (x - mean0), variance1 * (1.0 - decay**2)


class ExactFlow(Stepper):
    """The probability flow of the Gaussian data without any error."""

    order = 9
    one_step = True

    def __init__(self, path: GaussianPath) -> None:
        self.path = path

    def evaluations(self, n: int) -> int:
        return 0

    def step(self, equation: Equation, t0: float, t1: float, x: Tensor, state: None, noise: Noise | None) -> Step:
        return Step(DATA.flow_map(x, t0, t1, self.path))


@pytest.mark.parametrize("wrap", [lambda s: Ancestral(s, 0.4), Ancestral, lambda s: Churn(s, 1.0)], ids="aAc")
@pytest.mark.parametrize("path", ENDS, ids=repr)
def test_detours_keep_the_marginals(path: GaussianPath, wrap: Callable[[Stepper], Stepper]) -> None:
    """With an exact solver of the flow inside, in four steps from end to end; only rounding is left.

    There is no noise to add before the step from α = 0, nor after the one to σ = 0.
    """
    times = grids.karras(path, 4)
    draws = 3 + ((path.alpha(0.0) if isinstance(wrap(ONE), Churn) else path.sigma(1.0)) > 0.0)
    affine = affine_map(flow(DATA.denoiser(path)), wrap(ExactFlow(path)), times)
    assert len(affine) == 2 + draws
    assert output_law(affine, *marginal(path, 0.0)) == pytest.approx(marginal(path, 1.0), rel=1e-11)


@pytest.mark.parametrize("path", ENDS, ids=repr)
def test_restarts_keep_the_marginals(path: GaussianPath) -> None:
    """From t = 1 back to the very start, where α may be 0, too."""
    for t_a, t_b in ((0.2, 0.6), (0.0, 1.0)):
        solver = Restart(ExactFlow(path), [t_a, 0.5, t_b], 3)
        affine = affine_map(flow(DATA.denoiser(path)), solver, [0.0, 0.6, 1.0])
        assert len(affine) == 2 + 3
        assert output_law(affine, *marginal(path, 0.0)) == pytest.approx(marginal(path, 1.0), rel=1e-11)


T0, T1 = 0.1, 0.9
SPAN = CondOT().half_log_snr(T1) - CondOT().half_log_snr(T0)

PROCESSES: dict[str, tuple[Callable[[int], Stepper], int, float, float]] = {
    "ancestral": (lambda n: Ancestral(ONE, 0.6), 1, 0.0, 0.6**2),
    "ancestral, order 2": (lambda n: Ancestral(ExponentialRK(2)), 1, 0.0, 1.0),
    "churn": (lambda n: Churn(ONE, 2.0), 1, 0.0, 2.0 / SPAN),
    "churn, order 2": (lambda n: Churn(ExponentialRK(EDM_HEUN), 6.0), 1, 0.0, 6.0 / SPAN),
    "langevin": (lambda n: Langevin(ONE, 2, 1.0 / n), 2, 0.0, 2.0 / SPAN),
    "langevin, stochastic": (lambda n: Langevin(ONE, 1, 2.0 / n), 2, 1.0, 1.0 + 2.0 / SPAN),
    "langevin, ancestral": (lambda n: Langevin(Ancestral(ONE), 1, 2.0 / n), 2, 0.0, 1.0 + 2.0 / SPAN),
}
"""For n steps the solver, its draws a step, the η of the equation that it gets and the η² of the one that it solves."""


@pytest.mark.parametrize("case", PROCESSES)
def test_weak_order_as_a_process(case: str) -> None:
    """From a point, on a grid uniform in log-SNR, to the law of the reverse equation of that η."""
    make, draws, eta, squared = PROCESSES[case]
    equation = reverse_sde(DATA.denoiser(CondOT()), eta) if eta else flow(DATA.denoiser(CondOT()), "x0")
    mean, variance = reverse_law(CondOT(), math.sqrt(squared), 1.5, T0, T1)
    steps, errors = [128, 256, 512], []
    for n in steps:
        affine = affine_map(equation, make(n), grids.log_snr(CondOT(), n, t0=T0, t1=T1))
        assert len(affine) == 2 + draws * n
        found = output_law(affine, 1.5, 0.0)
        errors.append(max(abs(found[0] - mean), abs(found[1] - variance)))
    assert abs(slope(steps, errors) - make(1).weak_order) <= 0.15


@pytest.mark.parametrize("inner", [ONE, ExponentialRK(2), ExponentialRK(EDM_HEUN), ExponentialRK(3)], ids=repr)
@pytest.mark.parametrize("wrapper", ["ancestral", "churn", "restart"])
def test_the_law_of_the_output_is_of_the_order_of_the_solver(wrapper: str, inner: Stepper) -> None:
    """From the marginal itself; the error is that of mean and variance together."""
    equation, steps, errors = flow(DATA.denoiser(CondOT()), "x0"), [64, 128, 256], []
    for n in steps:
        again = grids.log_snr(CondOT(), n, t0=0.3, t1=0.7)
        halves = [grids.log_snr(CondOT(), n // 2, t0=a, t1=b) for a, b in ((T0, 0.7), (0.7, T1))]
        times = torch.cat([halves[0], halves[1][1:]])
        made: dict[str, Stepper] = {
            "ancestral": Ancestral(inner, 0.8), "churn": Churn(inner, 2.0), "restart": Restart(inner, again, 3)
        }
        solver = made[wrapper]
        assert solver.order == inner.order
        affine = affine_map(equation, solver, times)
        assert len(affine) == 2 + (3 if wrapper == "restart" else n)
        errors.append(math.dist(output_law(affine, *marginal(CondOT(), T0)), marginal(CondOT(), T1)))
    assert abs(slope(steps, errors) - inner.order) <= 0.15


@pytest.mark.parametrize("size", [0.05, 0.5])
def test_stationary_variance_of_langevin_dynamics(size: float) -> None:
    """After k steps at t = 1/2 from variance 0, exactly, and in the limit s²/(1 − δ/(2 s²))."""
    s2, delta = marginal(CondOT(), 0.5)[1], size * 0.25
    decay = 1.0 - delta / s2
    stationary = s2 / (1.0 - delta / (2.0 * s2))
    for k in (1, 7, 700):
        affine = affine_map(flow(DATA.denoiser(CondOT())), Langevin(None, k, size), [0.5, 0.75])
        assert len(affine) == 2 + k
        mean, variance = output_law(affine, 0.0, 0.0)
        assert variance / 1.5**2 == pytest.approx(stationary * (1.0 - decay ** (2 * k)), rel=1e-12)
        assert mean / 1.5 == pytest.approx(0.5 * MEAN * (1.0 - decay**k), rel=1e-12)

"""Step doubling: its half steps, its estimate, and errors that follow the tolerance, on one Brownian path too."""

from __future__ import annotations

import pytest
import torch
from toy import LINE, MIXTURE, states
from trials import grid, within

from fokker.generative import CondOT, flow, reverse_sde
from fokker.solvers import (
    RK4,
    SDE,
    SRA1,
    Adaptive,
    BrownianTree,
    Euler,
    EulerMaruyama,
    ExponentialAdams,
    ExponentialRK,
    Halving,
    Heun,
    Stepper,
    solve,
)
from fokker.verification import OrnsteinUhlenbeck
from fokker.verification.certificates.problems import INITIAL, PROBLEMS
from fokker.verification.statistics.slopes import rms, slope

ONE = ExponentialAdams(1)


@pytest.mark.parametrize("inner", [ONE, ExponentialRK(3), RK4(), EulerMaruyama()], ids=repr)
def test_on_a_grid_two_half_steps_are_made(inner: Stepper) -> None:
    """Bitwise the solver on the grid with its middles, on the same path."""
    x = states(CondOT(), 0.1)
    make = reverse_sde if inner.stochastic else flow
    equation, tree = make(MIXTURE.denoiser(CondOT())), BrownianTree(x, 0.0, 1.0)
    halves = solve(equation, x, [0.125, 0.25, 0.375, 0.5, 0.625], inner, tree)
    doubled = solve(equation, x, [0.125, 0.375, 0.625], Halving(inner), tree, save=True)
    assert torch.equal(doubled.x, halves.x)
    assert doubled.nfe == halves.nfe
    assert (doubled.accepted, doubled.ts.tolist()) == (2, [0.125, 0.375, 0.625])


@pytest.mark.parametrize("inner", [Euler(), Heun(), RK4(), ONE, ExponentialRK(2), ExponentialRK(3)], ids=repr)
def test_the_estimate_of_step_doubling_is_the_error(inner: Stepper) -> None:
    """To leading order: their ratio tends to 1 like h, from 20 % at h = 0.04 to half of its distance at h = 0.02."""
    equation, x = flow(LINE.denoiser(CondOT()), "x0"), torch.tensor([[-0.8], [1.7]], dtype=torch.float64)
    distance, sizes = [], []
    for h in (0.04, 0.02):
        step = Halving(inner).step(equation, 0.4, 0.4 + h, x, None, None)
        ratio = (LINE.flow_map(x, 0.4, 0.4 + h, CondOT()) - step.x) / step.error
        distance.append((ratio - 1.0).abs().max().item())
        sizes.append(step.error.norm().item())
    assert distance[0] < 0.2
    assert distance[1] < 0.65 * distance[0]
    assert abs(slope([1, 2], sizes) - Halving(inner).error_order(equation)) <= 0.15


@pytest.mark.parametrize("inner", [EulerMaruyama(), SRA1()], ids=repr)
def test_the_estimate_on_a_path_is_half_an_order_above_the_strong_order(inner: Stepper) -> None:
    """Rms over 2000 paths, each within 2 % (standard error): 0.02 for the slope. It bounds the error's own rms, which
    SRA1 on 32 steps measures on the same paths.
    """
    equation = SDE(lambda t, x: -2.0 * (3.0 * x).sin(), lambda t, x: 1.5, noise="additive")
    x, sizes = torch.full((2000, 1), 2.0, dtype=torch.float64), []
    tree = BrownianTree(x, 0.0, 1.0, seed=0, area=True)
    for h in (2.0**-9, 2.0**-11):
        step = Halving(inner).step(equation, 0.0, h, x, None, tree)
        reference = solve(equation, x, grid(32, h), SRA1(), tree).x
        sizes.append(rms(step.error))
        assert rms(step.x - reference) < sizes[-1]
    assert abs(slope([1, 4], sizes) - Halving(inner).error_order(equation)) <= 0.15


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("inner", [RK4(), ExponentialRK(3)], ids=repr)
def test_an_adaptive_error_falls_with_the_tolerance(inner: Stepper, per_sample: bool) -> None:
    """The errors of n = O(tolerance^{−1/(p + 1)}) steps add up, for this equation with a factor below 1; a hundred
    times less tolerance gives 100^{p/(p + 1)} > 31 times less error, and at least 10 is asked.
    """
    problem, errors = PROBLEMS["log clock"], []
    for tolerance in (1e-4, 1e-6, 1e-8):
        times = Adaptive(0.0, 1.0, rtol=tolerance, atol=tolerance, per_sample=per_sample)
        solution = solve(problem.equation, INITIAL, times, Halving(inner))
        errors.append(rms(solution.x - problem.exact(INITIAL)))
        assert errors[-1] < tolerance ** (inner.order / (inner.order + 1.0))
    assert errors[1] < errors[0] / 10.0
    assert errors[2] < errors[1] / 10.0


@pytest.mark.parametrize("inner", [EulerMaruyama(), SRA1()], ids=repr)
def test_adaptive_steps_follow_one_brownian_path(inner: Stepper) -> None:
    """The Ornstein-Uhlenbeck process, against its exact solution on the same tree.

    An error of a step a hundred times smaller comes with an h that is 100^{1/(p + 1/2)} times smaller, and n = 1/h of
    them add up as √n: 22 times less in all for p = 1, 32 for p = 3/2; at least 10 is asked. Rejected steps have seen
    the same path: the accepted steps, taken as a grid, make the same solution to the last bit. (The integral control,
    which sees the last error alone, has many of them.)
    """
    process = OrnsteinUhlenbeck(theta=2.0, sigma=1.5)
    x, equation = torch.full((6, 1), 2.0, dtype=torch.float64), process.equation()
    tree = BrownianTree(x, 0.0, 1.0, seed=3, area=True)
    exact = process.path(x, [0.0, 1.0], tree)[-1]
    errors, rejected = [], 0
    for tolerance in (3e-2, 3e-4):
        times = Adaptive(0.0, 1.0, rtol=tolerance, atol=tolerance, control="I")
        solution = solve(equation, x, times, Halving(inner), tree, save=True)
        errors.append(rms(solution.x - exact))
        rejected += solution.rejected
        assert torch.equal(solve(equation, x, solution.ts, Halving(inner), tree).x, solution.x)
        assert solution.nfe == 2 + 3 * inner.evaluations(1) * (solution.accepted + solution.rejected)
    assert errors[1] < errors[0] / 10.0
    assert rejected > 0


def test_a_class_is_no_solver() -> None:
    with pytest.raises(TypeError, match="goes around a one-step solver"):
        Halving(Heun)


def test_noise_that_depends_on_the_state_chooses_no_steps() -> None:
    x = states(CondOT(), 0.1)
    equation, tree = SDE(lambda t, x: x, lambda t, x: x), BrownianTree(x, 0.0, 1.0)
    with pytest.raises(ValueError, match="need additive noise, but the equation's is diagonal"):
        solve(equation, x, within(1e-2), Halving(EulerMaruyama()), tree)

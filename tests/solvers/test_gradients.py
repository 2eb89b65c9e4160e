"""A solve differentiates, with respect to the state and to what the field depends on, and its products are counted."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck

from fokker.solvers import (
    ODE,
    RK4,
    Adaptive,
    BrownianTree,
    Dopri5,
    EulerMaruyama,
    ExponentialAdams,
    ExponentialRK,
    FunctionClock,
    Heun,
    Semilinear,
    Solver,
    WhiteNoise,
    solve,
)
from fokker.verification.certificates.problems import INITIAL, PROBLEMS

GRID = torch.linspace(0.0, 1.0, 5)
SOLVERS: list[Solver] = [RK4(), ExponentialAdams(3, corrector=True), ExponentialAdams(4), ExponentialRK(3)]


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2)).double()


def equation(field: nn.Module) -> Semilinear:
    return Semilinear(
        lambda t, x: field(x),
        FunctionClock(lambda t: torch.exp(-t), torch.sin, time_of=lambda r: torch.zeros_like(r)),
    )


def gradients(model: nn.Module, end: Tensor, x: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad((end * torch.arange(1.0, 3.0)).sum(), [x, *model.parameters()]))


@pytest.mark.parametrize("checkpoint", [False, True])
@pytest.mark.parametrize("solver", SOLVERS, ids=repr)
def test_gradcheck(solver: Solver, checkpoint: bool) -> None:
    problem = PROBLEMS["log clock"].equation
    x = INITIAL[::4, :2].clone().requires_grad_()
    weight = torch.tensor([0.7, 1.3], dtype=torch.float64, requires_grad=True)
    assert isinstance(problem, Semilinear)

    def end(x: Tensor, weight: Tensor) -> Tensor:
        scaled = Semilinear(
            lambda t, y: -weight * torch.sin(y + t),
            problem.clock,
        )
        return solve(scaled, x, GRID, solver, checkpoint=checkpoint).x

    assert gradcheck(end, (x, weight))


@pytest.mark.parametrize("times", [GRID, Adaptive(0.0, 1.0, rtol=1e-6, atol=1e-6)], ids=["grid", "adaptive"])
def test_checkpoints_change_nothing_but_the_account(times: Tensor | Adaptive) -> None:
    """Bitwise the same gradients; each step's evaluations are made again, and every one is pulled back once."""
    model, x = net(), INITIAL[:, :2].clone().requires_grad_()
    field = ODE(lambda t, x: model(x))
    solver = Dopri5()
    plain, repeated = (solve(field, x, times, solver, checkpoint=checkpoint) for checkpoint in (False, True))
    forward = plain.nfe
    assert repeated.nfe == forward
    assert all(map(torch.equal, gradients(model, plain.x, x), gradients(model, repeated.x, x)))
    assert (plain.nfe, plain.nfe.vjp) == (forward, int(forward) - (0 if isinstance(times, Tensor) else 2))
    assert repeated.nfe.vjp == plain.nfe.vjp
    assert repeated.nfe > forward


def test_gradients_of_samples_with_steps_of_their_own() -> None:
    """They are those of the same samples alone."""
    model, x = net(), INITIAL[:, :2].clone().requires_grad_()
    times = Adaptive(0.0, 1.0, rtol=1e-6, atol=1e-6, per_sample=True)
    field = ODE(lambda t, x: 5.0 * model(x))
    together = gradients(model, solve(field, x, times, Dopri5()).x, x)
    alone = [gradients(model, solve(field, row, times, Dopri5()).x, x) for row in x.split(1)]
    for all_at_once, parts in zip(together, zip(*alone, strict=True), strict=True):
        torch.testing.assert_close(all_at_once, torch.stack(parts).sum(0), rtol=0.0, atol=1e-12)


def test_checkpoints_see_the_same_noise() -> None:
    x = INITIAL[:, :2].clone().requires_grad_()
    noisy = Semilinear(
        lambda t, x: torch.sin(x),
        FunctionClock(torch.ones_like, lambda t: t, lambda t: 0.25 * t, time_of=lambda r: r),
    )
    tree = BrownianTree(x, 0.0, 1.0, seed=1)
    for solver in (EulerMaruyama(), ExponentialRK(2)):
        ends = [solve(noisy, x, GRID, solver, tree, checkpoint=checkpoint).x for checkpoint in (False, True)]
        assert torch.equal(*(torch.autograd.grad(end.sum(), x)[0] for end in ends))
    with pytest.raises(ValueError, match="must see the same noise; use BrownianTree"):
        solve(noisy, x, GRID, EulerMaruyama(), WhiteNoise(0), checkpoint=True)


def test_forward_derivatives_are_counted_too() -> None:
    """d x₁ / d x₀ · v by dual numbers against the reverse mode; every evaluation of a solve was one product."""
    problem, x, v = PROBLEMS["ode"], INITIAL, torch.ones_like(INITIAL)
    solutions = []

    def end(x: Tensor) -> Tensor:
        solutions.append(solve(problem.equation, x, GRID, Heun()))
        return solutions[-1].x

    _, forward = torch.func.jvp(end, (x,), (v,))
    _, pull = torch.func.vjp(end, x)
    torch.testing.assert_close(forward, pull(v)[0], rtol=1e-12, atol=1e-12)
    assert [(s.nfe, s.nfe.jvp, s.nfe.vjp) for s in solutions] == [(8, 8, 0), (8, 0, 8)]

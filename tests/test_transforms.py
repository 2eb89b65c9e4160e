"""Transforms of torch.func go through everything that is differentiable: the numbers on the host stay out of the way.

The denoiser of Gaussian data is affine in x, and so is every sampler: its Jacobian is the product of its steps'
matrices. `impulse_response` has that product from the method's table, without a derivative. In float64 a product of
some ten matrices near 1 is exact to 1e-13; ten times that is allowed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from toy import GAUSSIAN

from fokker.generative import (
    CFG,
    AutoGuidance,
    ClassifierGuidance,
    CondOT,
    Denoiser,
    decode,
    encode,
    flow,
    log_likelihood,
    plan_likelihood,
    reverse_sde,
)
from fokker.generative.denoiser import KINDS
from fokker.generative.sampling import PUBLISHED
from fokker.solvers import (
    RK4,
    SDE,
    SRA1,
    Adaptive,
    Ancestral,
    Bosh3,
    BrownianTree,
    Churn,
    Dopri5,
    Euler,
    EulerMaruyama,
    ExponentialAdams,
    ExponentialRK,
    FunctionClock,
    Halving,
    Heun,
    Langevin,
    LeimkuhlerMatthews,
    Midpoint,
    Milstein,
    Picard,
    Ralston,
    Restart,
    Semilinear,
    Solver,
    StochasticHeun,
    Tsit5,
    WhiteNoise,
    solve,
    unroll,
)
from fokker.verification import GaussianClasses, impulse_response

TIGHT = {"rtol": 0.0, "atol": 1e-12}
PATH = CondOT()
NET = GAUSSIAN.denoiser(PATH)
FLOW, REVERSED = flow(NET, "x0"), reverse_sde(NET)
TIMES = [0.1, 0.3, 0.55, 0.7, 0.9]
X = torch.tensor([[0.3, -0.7], [1.1, 0.2]], dtype=torch.float64)
TREE = BrownianTree(X, 0.1, 0.9, seed=3, area=True)
DETERMINISTIC = [
    Euler(), Midpoint(), Heun(), Ralston(), RK4(), Bosh3(), Dopri5(), Tsit5(), ExponentialAdams(1), ExponentialAdams(3),
    ExponentialAdams(4, corrector=True), ExponentialRK(2), ExponentialRK(4), Halving(Heun()), Picard(Heun(), 2),
    Restart(Heun(), (0.3, 0.7), 2), Ancestral(ExponentialAdams(1), 0.5), Churn(Heun(), 1.0),
    Langevin(ExponentialAdams(1), 1, 0.1), Langevin(None, 1, 0.1),
]  # fmt: skip
STOCHASTIC = [
    EulerMaruyama(), Milstein(), StochasticHeun(), SRA1(), LeimkuhlerMatthews(), ExponentialAdams(2), ExponentialRK(2),
]  # fmt: skip

Function = Callable[[Tensor], Tensor]


def by_jvp(function: Function) -> Tensor:
    columns = [torch.func.jvp(function, (X,), (each.reshape(X.shape),))[1] for each in torch.eye(X.numel()).double()]
    return torch.stack(columns, -1).reshape(X.numel(), X.numel())


def by_grad(function: Function) -> Tensor:
    def component(x: Tensor, i: int) -> Tensor:
        return function(x).flatten()[i]

    return torch.stack([torch.func.grad(component)(X, i).flatten() for i in range(X.numel())])


WAYS: dict[str, Callable[[Function], Tensor]] = {
    "jacrev": lambda function: torch.func.jacrev(function)(X).reshape(X.numel(), X.numel()),
    "jacfwd": lambda function: torch.func.jacfwd(function)(X).reshape(X.numel(), X.numel()),
    "jvp": by_jvp,
    "grad": by_grad,
}


def by_autograd(function: Function) -> Tensor:
    found: Any = torch.autograd.functional.jacobian(function, X)
    return found.reshape(X.numel(), X.numel())


def of_affine(function: Function) -> Tensor:
    """The matrix of an affine map, from what it makes of unit vectors."""
    units = torch.eye(X.numel(), dtype=torch.float64).reshape(-1, *X.shape)
    return torch.stack([(function(unit) - function(torch.zeros_like(X))).flatten() for unit in units], -1)


def each(solver: Solver, equation: Any) -> Function:
    return lambda x: solve(equation, x, TIMES, solver, TREE).x


CASES = [pytest.param(solver, FLOW, id=repr(solver)) for solver in DETERMINISTIC]
CASES += [pytest.param(solver, REVERSED, id=f"{solver!r}, noise") for solver in STOCHASTIC]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("solver", "equation"), CASES)
def test_jacobians(solver: Solver, equation: Any, way: str) -> None:
    expected = torch.block_diag(*[impulse_response(solver, equation, TIMES, dim=2).matrix] * len(X))
    torch.testing.assert_close(WAYS[way](each(solver, equation)), expected, **TIGHT)


@pytest.mark.parametrize(("solver", "equation"), CASES)
def test_vmap(solver: Solver, equation: Any) -> None:
    """Picard alone stops by the numbers of the state."""
    states = torch.stack([X, -X, 2.0 * X])
    run = each(solver, equation)
    if isinstance(solver, Picard):
        with pytest.raises(ValueError, match="under vmap a state has none of its own; give the whole batch"):
            torch.func.vmap(run)(states)
        return
    torch.testing.assert_close(torch.func.vmap(run)(states), torch.stack([run(x) for x in states]), **TIGHT)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_samplers(name: str) -> None:
    equation, times, solver = PUBLISHED[name](NET, 6, t0=0.1, t1=0.9)

    def run(x: Tensor) -> Tensor:
        return solve(equation, x, times, solver, TREE).x

    expected = of_affine(run)
    for way in ("jacrev", "jvp"):
        torch.testing.assert_close(WAYS[way](run), expected, **TIGHT)


CLASSES = GaussianClasses([GAUSSIAN, GAUSSIAN]).denoiser(PATH).given(1)


def log_prob(x: Tensor, time: Tensor, label: Tensor) -> Tensor:
    return -(x - label[:, None]).square().sum(1)


MODELS = {
    "v": NET,
    "eps": GAUSSIAN.denoiser(PATH, "eps"),
    "x0": GAUSSIAN.denoiser(PATH, "x0"),
    "CFG": CFG(CLASSES, 2.0),
    "CFG in an interval": CFG(CLASSES, 2.0, interval=(-2.0, 2.0)),
    "CFG, weights": CFG(CLASSES, torch.tensor([1.0, 3.0], dtype=torch.float64)),
    "AutoGuidance": AutoGuidance(NET, CLASSES, 2.0),
    "ClassifierGuidance": ClassifierGuidance(GAUSSIAN.denoiser(PATH, "eps"), log_prob, 2.0, label=1),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", MODELS)
def test_encode_and_decode(name: str, way: str) -> None:
    for function in (encode, decode):
        assert_transformed(way, lambda x, function=function: function(MODELS[name], x, 6))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_conversions(kind: str, way: str) -> None:
    for model in ("v", "eps", "CFG"):
        assert_transformed(way, lambda x, model=model: MODELS[model].predict(kind, 0.4, x))


def assert_transformed(way: str, run: Function) -> None:
    """A transform, and vmap, agree with what the affine map makes of unit vectors, to its rounding."""
    expected = of_affine(run)
    tolerance = 1e-12 * max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(WAYS[way](run), expected, rtol=0.0, atol=tolerance)
    torch.testing.assert_close(torch.func.vmap(run)(X[None])[0], run(X), **TIGHT)


@pytest.mark.parametrize("way", ["jacrev", "jacfwd"])
@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("solver", [Dopri5(), Bosh3(), ExponentialRK(3), Halving(Heun())], ids=repr)
def test_adaptive_steps(solver: Solver, alone: bool, way: str) -> None:
    """The derivative is that of the accepted steps, as autograd has it, and near that of the exact flow."""
    times = Adaptive(0.1, 0.9, rtol=1e-3, atol=1e-3, per_sample=alone)

    def run(x: Tensor) -> Tensor:
        solution = solve(FLOW, x, times, solver, save=[0.4, 0.9] if solver.dense else False)
        return solution.x if solution.xs is None else solution.xs.sum(0)

    expected = by_autograd(run)
    torch.testing.assert_close(WAYS[way](run), expected, **TIGHT)

    def exact(x: Tensor) -> Tensor:
        ends = [GAUSSIAN.flow_map(x, 0.1, t, PATH) for t in ([0.4, 0.9] if solver.dense else [0.9])]
        return torch.stack(ends).sum(0)

    torch.testing.assert_close(expected, of_affine(exact), rtol=0.0, atol=2e-2)  # some ten steps of 1e-3
    with pytest.raises(ValueError, match="none of its own under vmap; give a grid"):
        torch.func.vmap(run)(X[None])


def test_the_other_arguments() -> None:
    """Saved states, the equation in its clock, a clock of functions, a table, noise that depends on the state."""
    table = unroll(FLOW, TIMES, ExponentialAdams(3))
    grown = Semilinear(lambda t, x: -x, FunctionClock(torch.exp, lambda t: 2.0 * t))
    diagonal = SDE(lambda t, x: -x, lambda t, x: 0.3 * x)
    runs: list[Function] = [
        lambda x: solve(FLOW, x, TIMES, Heun(), save=True).xs.sum(0),  # type: ignore[union-attr]
        lambda x: solve(FLOW.in_clock(), x, [0.2, 0.5, 0.9], Heun()).x,
        lambda x: solve(grown, x, TIMES, Heun()).x,
        lambda x: solve(diagonal, x, TIMES, Milstein(), TREE).x,
        lambda x: table.run(FLOW, x).x,
    ]
    for run in runs:
        for way in WAYS:
            assert_transformed(way, run)


def test_likelihoods() -> None:
    """∇ log p is the score at t = 1, for the density that a fine flow has. The plan is made outside."""
    plan = plan_likelihood(NET, X, nodes=41)

    def value(x: Tensor) -> Tensor:
        return log_likelihood(NET, x, plan).value.sum()

    score = -torch.linalg.solve(GAUSSIAN.covs[0], (X - GAUSSIAN.means[0]).mT).mT
    torch.testing.assert_close(torch.func.grad(value)(X), score, rtol=0.0, atol=1e-4)


def test_a_path_outlives_the_transform() -> None:
    """Normals that a tree made inside a transform are numbers like any other afterwards."""
    tree = BrownianTree(X, 0.1, 0.9, seed=3)
    torch.func.jacrev(lambda x: solve(REVERSED, x, TIMES, EulerMaruyama(), tree).x)(X)
    expected = solve(REVERSED, X, TIMES, EulerMaruyama(), BrownianTree(X, 0.1, 0.9, seed=3)).x
    torch.testing.assert_close(solve(REVERSED, X, TIMES, EulerMaruyama(), tree).x, expected, rtol=0.0, atol=0.0)


def test_white_noise_is_drawn_as_vmap_is_told() -> None:
    def run(x: Tensor) -> Tensor:
        return solve(REVERSED, x, TIMES, EulerMaruyama(), WhiteNoise(0)).x

    same, different = (torch.func.vmap(run, randomness=how)(torch.stack([X, X])) for how in ("same", "different"))
    torch.testing.assert_close(same[0], same[1], rtol=0.0, atol=0.0)
    assert not torch.allclose(different[0], different[1])


def test_checkpoints_are_refused() -> None:
    """torch keeps its checkpoints by hooks, which its reverse transforms do not take; forward ones need none."""

    def run(x: Tensor) -> Tensor:
        return solve(FLOW, x, TIMES, Heun(), checkpoint=True).x

    with pytest.raises(ValueError, match=r"checkpoint=True cannot be inside torch\.func\.grad"):
        torch.func.jacrev(run)(X)
    torch.testing.assert_close(by_jvp(run), of_affine(run), **TIGHT)


def test_a_clock_with_a_gradient_is_refused() -> None:
    """A coefficient is a number on the host, which would lose the gradient."""
    rate = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    clock = FunctionClock(lambda t: torch.exp(-rate * t), lambda t: t * torch.exp(-rate * t))
    equation = Semilinear(lambda t, x: x, clock)
    for solver in (Heun(), ExponentialAdams(2), ExponentialRK(2)):
        with pytest.raises(ValueError, match="A function of time requires a gradient, but becomes a number"):
            solve(equation, X, TIMES, solver)
    with torch.no_grad():
        assert solve(equation, X, TIMES, Heun()).x.isfinite().all()


def test_gradients_of_parameters() -> None:
    """The gradient of a network's parameter, by torch.func.grad and by autograd."""
    weight = torch.tensor([[0.3, -0.2], [0.1, 0.4]], dtype=torch.float64)

    def end(weight: Tensor) -> Tensor:
        net = Denoiser(lambda x, time: torch.tanh(x @ weight), PATH, predicts="velocity")
        return decode(net, X, 6).square().sum()

    own = weight.clone().requires_grad_()
    end(own).backward()
    assert own.grad is not None
    torch.testing.assert_close(torch.func.grad(end)(weight), own.grad, **TIGHT)

"""Other people's integrators: equal to our own where the scheme is the same, else of the order that they declare."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any, get_args

import pytest
import torch
import torchdiffeq
import torchsde
from cases import INITIAL, PROBLEMS, label
from scipy.integrate import solve_ivp
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.autograd.graph import saved_tensors_hooks

from fokker.solvers import (
    ODE,
    SDE,
    SRA1,
    Adaptive,
    BrownianTree,
    Dopri5,
    Equation,
    Euler,
    EulerMaruyama,
    ExponentialAdams,
    Heun,
    Midpoint,
    Milstein,
    SciPy,
    SolveError,
    Solver,
    StochasticHeun,
    TorchDiffEq,
    TorchSDE,
    WhiteNoise,
    solve,
)
from fokker.solvers.equation import Calculus, NoiseType
from fokker.solvers.torch_sde import _Increments, _System
from fokker.verification import OrnsteinUhlenbeck

UNEQUAL = torch.tensor([0.0, 0.05, 0.2, 0.25, 0.6, 1.0], dtype=torch.float64)
ADAPTIVE: list[Solver] = [*map(TorchDiffEq, TorchDiffEq.ADAPTIVE), *map(SciPy, SciPy.METHODS)]
SAVED = [0.0, 0.3, 0.31, 0.8, 1.0]


def rms(x: Tensor) -> float:
    return x.square().mean().sqrt().item()


def slope(steps: list[int], errors: list[float]) -> float:
    """The order that errors show: minus the least-squares slope of log error against log steps."""
    x, y = (torch.tensor(values, dtype=torch.float64).log() for values in (steps, errors))
    return -(((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()).item()


def grid(n: int, t1: float = 1.0) -> Tensor:
    return torch.linspace(0.0, t1, n + 1, dtype=torch.float64)


def within(tolerance: float, t0: float = 0.0, t1: float = 1.0) -> Adaptive:
    return Adaptive(t0, t1, rtol=tolerance, atol=tolerance)


class Counted:
    """The logistic equation of `cases`, with its own count of calls."""

    def __init__(self) -> None:
        self.calls = 0
        self.problem = PROBLEMS["ode"]
        self.equation = ODE(self.drift)

    def drift(self, t: float, x: Tensor) -> Tensor:
        self.calls += 1
        return self.problem.equation.drift(t, x)


# Deterministic methods on a grid


@pytest.mark.parametrize("times", [UNEQUAL, UNEQUAL.flip(0)], ids=["forwards", "backwards"])
@pytest.mark.parametrize(("method", "ours"), [("euler", Euler()), ("midpoint", Midpoint()), ("heun2", Heun())])
def test_the_same_scheme_gives_the_same_states(method: str, ours: Solver, times: Tensor) -> None:
    """To rounding: five steps, each of whose sums is taken in another order."""
    equation, theirs = PROBLEMS["clock"].equation, TorchDiffEq(method)
    found, expected = (solve(equation, INITIAL, times, solver, save=True) for solver in (theirs, ours))
    torch.testing.assert_close(found.xs, expected.xs, rtol=1e-13, atol=1e-14)
    assert torch.equal(found.ts, times)
    assert (found.nfe, found.accepted) == (expected.nfe, expected.accepted)
    some = solve(equation, INITIAL, times, theirs, save=times[1:4])
    assert torch.equal(some.xs, found.xs[1:4])
    assert torch.equal(some.ts, times[1:4])


GRID_ONLY = [
    *((TorchDiffEq("explicit_adams"), name, [256, 512, 1024]) for name in ("clock", "log clock")),
    *((TorchDiffEq("implicit_adams"), name, [64, 128, 256]) for name in ("clock", "log clock")),
    *((TorchSDE(method), name, [32, 64, 128]) for method in TorchSDE.METHODS for name in ("clock", "log clock")),
]


@pytest.mark.parametrize(("solver", "name", "steps"), GRID_ONLY, ids=str)
def test_orders_on_a_grid(solver: Solver, name: str, steps: list[int]) -> None:
    """explicit_adams is unstable on longer steps; on shorter ones implicit_adams meets the limits of its iteration."""
    problem = PROBLEMS[name]
    errors = [rms(solve(problem.equation, INITIAL, grid(n), solver).x - problem.exact(INITIAL)) for n in steps]
    assert abs(slope(steps, errors) - solver.order) <= 0.15


@pytest.mark.parametrize("steps", [1, 2, 3, 10])
@pytest.mark.parametrize("solver", [TorchDiffEq("explicit_adams"), *map(TorchSDE, TorchSDE.METHODS)], ids=label)
def test_evaluations_declared_are_evaluations_counted(solver: Solver, steps: int) -> None:
    """srk declares none, since it takes three a step here and with additive noise, but ten with other noise."""
    counted, x = Counted(), INITIAL[:2]
    solution = solve(counted.equation, x, grid(steps), solver)
    declared = solver.evaluations(steps)
    assert solution.nfe == counted.calls == (3 * steps if declared is None else declared)
    assert solution.accepted == steps
    if declared is None:
        noisy = SDE(counted.drift, lambda t, x: 0.1 * x)
        assert solve(noisy, x, grid(steps), solver, WhiteNoise(0)).nfe == 10 * steps


def test_the_evaluations_of_an_iteration_are_counted() -> None:
    counted = Counted()
    solver = TorchDiffEq("fixed_adams")
    assert solver.evaluations(256) is None
    assert solve(counted.equation, INITIAL, grid(256), solver, max_nfe=10_000).nfe == counted.calls > 256
    with pytest.raises(SolveError, match=r"did not converge at t = 0\.25; take smaller steps") as failure:
        solve(counted.equation, INITIAL, grid(8), solver, save=True)
    assert failure.value.solution.status == "unconverged"
    assert failure.value.solution.xs.shape == (3, *INITIAL.shape)


# Deterministic methods with steps of their own


@pytest.mark.parametrize("solver", ADAPTIVE, ids=label)
def test_an_adaptive_error_stays_near_the_tolerance(solver: Solver) -> None:
    """The tolerance bounds the error of each of some tens of steps, which the equation amplifies by no more than e⁴.

    A tolerance a hundred times smaller gives at least twenty times less error.
    """
    errors = []
    for tolerance in (1e-4, 1e-6):
        counted = Counted()
        solution = solve(counted.equation, INITIAL, within(tolerance), solver, save=True)
        exact = torch.stack([counted.problem.exact(INITIAL, t) for t in solution.ts.tolist()])
        errors.append(rms(solution.x - exact[-1]))
        assert solution.nfe == counted.calls
        assert (solution.xs - exact).abs().max() < 1000.0 * tolerance  # at the solver's own steps
        assert len(solution.ts) == solution.accepted + 1
        assert (solution.ts[0], solution.ts[-1]) == (0.0, 1.0)
    assert errors[1] < 0.05 * errors[0]


ONE_STEP = [
    *((TorchDiffEq(method), [32, 64, 128]) for method in ("adaptive_heun", "fehlberg2", "bosh3")),
    (SciPy("RK23"), [32, 64, 128]),
    *((solver, [32, 48, 64]) for solver in (TorchDiffEq("dopri5"), SciPy("RK45"))),
    *((solver, [12, 16, 20]) for solver in (TorchDiffEq("dopri8"), SciPy("DOP853"))),
]


@pytest.mark.parametrize(("solver", "steps"), ONE_STEP, ids=str)
def test_orders_of_adaptive_schemes(solver: Solver, steps: list[int]) -> None:
    """With a tolerance that any step meets, a solve over a short interval is one step of the scheme."""
    problem, errors = PROBLEMS["log clock"], []
    for n in steps:
        x = INITIAL
        for t0, t1 in pairwise(grid(n).tolist()):
            step = solve(problem.equation, x, within(300.0, t0, t1), solver)
            assert step.accepted == 1
            x = step.x
        errors.append(rms(x - problem.exact(INITIAL)))
    assert abs(slope(steps, errors) - solver.order) <= 0.15


@pytest.mark.parametrize("span", [(0.0, 1.0), (1.0, 0.0)], ids=["forwards", "backwards"])
def test_torchdiffeq_tells_its_rejected_steps_and_the_states_between(span: tuple[float, float]) -> None:
    """dopri5 takes two evaluations to start, and six in a step; states between steps come from its interpolation."""
    times = within(1e-6, *span)
    bump = ODE(lambda t, x: x * (math.cos(t) + 20.0 * math.exp(-(((t - 0.5) / 0.05) ** 2))))  # no step foresees it
    plain, save = solve(bump, INITIAL, times, TorchDiffEq("dopri5")), sorted(SAVED, reverse=span[0] > span[1])
    assert plain.rejected > 0
    assert plain.nfe == 2 + 6 * (plain.accepted + plain.rejected)
    assert plain.nfe.rejected == 6 * plain.rejected
    saved = solve(bump, INITIAL, times, TorchDiffEq("dopri5"), save=save)
    assert torch.equal(saved.x, plain.x)
    assert saved.nfe == plain.nfe
    ts = torch.tensor(save, dtype=torch.float64)
    options = {"rtol": 1e-6, "atol": 1e-6, "method": "dopri5", "options": {"step_t": ts[-1:]}}
    direct = torchdiffeq.odeint(lambda t, x: bump.drift(t.item(), x), INITIAL, ts, **options)
    assert torch.equal(saved.xs, direct)
    assert torch.equal(saved.ts, ts)


@pytest.mark.parametrize("span", [(0.0, 1.0), (1.0, 0.0)], ids=["forwards", "backwards"])
@pytest.mark.parametrize("method", SciPy.METHODS)
def test_scipy_is_solve_ivp(method: str, span: tuple[float, float]) -> None:
    """The same numbers, and no evaluation more but three of DOP853's interpolation in a step that needs it."""
    x, drift = INITIAL[:2], PROBLEMS["log clock"].equation.drift
    save = sorted(SAVED, reverse=span[0] > span[1])

    def vector_field(t: float, y: Any) -> Any:
        return drift(t, torch.from_numpy(y).reshape(x.shape)).flatten().numpy()

    tolerances = {"rtol": 1e-6, "atol": 1e-8}
    direct = solve_ivp(vector_field, span, x.flatten().numpy(), method, t_eval=save, **tolerances)
    solution = solve(ODE(drift), x, Adaptive(*span, **tolerances), SciPy(method), save=save)
    torch.testing.assert_close(solution.xs.flatten(1).T, torch.from_numpy(direct.y), rtol=1e-14, atol=1e-15)
    steps = solve(ODE(drift), x, Adaptive(*span, **tolerances), SciPy(method), save=True)
    assert torch.equal(steps.x, solution.x)
    between = {sum(abs(s - span[0]) < abs(t - span[0]) for s in steps.ts.tolist()) for t in save[1:-1]}
    assert solution.nfe == steps.nfe + (3 * len(between) if method == "DOP853" else 0)
    assert steps.ts.tolist() == solve_ivp(vector_field, span, x.flatten().numpy(), method, **tolerances).t.tolist()


def test_scipy_returns_the_state_as_it_was_given() -> None:
    """An image in single precision, which is what the field gets too."""

    def drift(t: float, x: Tensor) -> Tensor:
        assert (x.dtype, x.shape) == (torch.float32, (2, 1, 2, 2))
        return -x

    x = torch.linspace(0.0, 1.0, 8).reshape(2, 1, 2, 2)
    solution = solve(ODE(drift), x, within(1e-5), SciPy("RK45"), save=True)
    assert solution.xs.dtype == solution.x.dtype == x.dtype
    torch.testing.assert_close(solution.x, x / math.e, rtol=0.0, atol=1e-4)


@pytest.mark.parametrize("method", SciPy.METHODS)
def test_a_field_may_write_into_its_argument_and_its_last_value(method: str) -> None:
    """Neither is SciPy's own memory; x' = −x, within a factor of 100 of the tolerance."""
    x = INITIAL[:2].clone()
    buffer = torch.empty_like(x)
    drift = ODE(lambda t, x: torch.mul(x.neg_(), 1.0, out=buffer))
    solution = solve(drift, x, within(1e-6), SciPy(method), save=True, max_nfe=2000)
    assert torch.equal(x, INITIAL[:2])
    exact = torch.exp(-solution.ts).reshape(-1, 1, 1) * x
    assert (solution.xs - exact).abs().max() < 1e-4


@pytest.mark.parametrize("method", ["Radau", "BDF", "LSODA"])
def test_scipy_solves_stiff_equations(method: str) -> None:
    """x' = −10⁴ (x − cos t): stability limits explicit steps to 3e-4, so that RK45 takes 6 / 3e-4 evaluations."""
    stiff, x = ODE(lambda t, x: -1e4 * (x - math.cos(t))), torch.ones(2, 2, dtype=torch.float64)
    solution = solve(stiff, x, within(1e-5), SciPy(method))
    assert (solution.x - math.cos(1.0)).abs().max() < 1e-3
    assert solution.nfe < 300


# What cannot be solved


FAILING: list[Solver] = [*map(TorchDiffEq, ("bosh3", "dopri8")), *map(SciPy, SciPy.METHODS)]


@pytest.mark.parametrize("solver", FAILING, ids=label)
def test_a_budget_is_never_exceeded(solver: Solver) -> None:
    counted = Counted()
    with pytest.raises(SolveError, match=r"max_nfe = 90 evaluations were spent inside .* at t = 0") as failure:
        solve(counted.equation, INITIAL[:1], within(1e-10), solver, save=True, max_nfe=90)
    partial = failure.value.solution
    assert partial.status == "budget"
    assert counted.calls == partial.nfe <= 90
    assert 0.0 < partial.ts[-1] < 1.0
    assert torch.equal(partial.xs[-1], partial.x)
    exact = counted.problem.exact(INITIAL[:1], partial.ts[-1].item())
    torch.testing.assert_close(partial.x, exact, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("solver", FAILING, ids=label)
def test_a_singularity_ends_a_solve_with_what_was_done(solver: Solver) -> None:
    """x' = x² from 2 reaches infinity at t = 1/2."""
    with pytest.raises(SolveError, match=r"at t = 0\.[45]") as failure:
        solve(ODE(lambda t, x: x**2), torch.full((1, 1), 2.0, dtype=torch.float64), within(1e-6), solver)
    partial = failure.value.solution
    assert partial.status == "underflow"
    assert abs(partial.ts[-1] - 0.5) < 1e-4
    assert partial.x > 1e4


@pytest.mark.parametrize("bad_from", [0.0, 0.5])
@pytest.mark.parametrize("solver", [*FAILING, TorchDiffEq("rk4"), TorchDiffEq("explicit_adams")], ids=label)
def test_a_field_that_is_not_finite_is_named(solver: Solver, bad_from: float) -> None:
    def drift(t: float, x: Tensor) -> Tensor:
        return -x if t < bad_from else -x * torch.tensor([1.0, math.nan], dtype=x.dtype)

    times = within(1e-6) if solver.embedded else grid(4)
    with pytest.raises(SolveError, match="not finite") as failure:
        solve(ODE(drift), torch.ones(3, 2, dtype=torch.float64), times, solver)
    partial = failure.value.solution
    assert partial.status == "nonfinite"
    assert partial.ts[-1] <= bad_from
    assert torch.isfinite(partial.x).all()


# The adjoint


class Field(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        draw = {"dtype": torch.float64, "generator": generator}
        self.inner, self.outer = (nn.Parameter(torch.randn(2, 2, **draw)) for _ in range(2))

    def forward(self, t: float, x: Tensor) -> Tensor:
        return torch.tanh(x @ self.inner + math.sin(3.0 * t)) @ self.outer


START = torch.tensor([[0.3, -0.4], [0.1, 0.8], [-0.5, 0.2]], dtype=torch.float64)
READ = torch.linspace(0.5, 1.5, 6, dtype=torch.float64).reshape(3, 2)


def gradients(solver: Callable[[Field], Solver], times: Tensor | Adaptive, save: Any = False) -> list[Tensor]:
    """Of a loss that reads the last state, or the saved ones."""
    field, x = Field(), START.clone().requires_grad_()
    solution = solve(ODE(field), x, times, solver(field), save=save)
    states = solution.x[None] if solution.xs is None else solution.xs
    loss = (states.square() * READ).mean(0).sum()
    return list(torch.autograd.grad(loss, [x, *field.parameters()]))


def difference(first: list[Tensor], second: list[Tensor]) -> float:
    return max((a - b).abs().max().item() for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("span", [(0.0, 1.0), (1.0, 0.0)], ids=["forwards", "backwards"])
@pytest.mark.parametrize(("method", "save"), [("dopri8", False), ("dopri8", True), ("dopri5", SAVED)], ids=str)
def test_adjoint_gradients_are_those_of_the_equation(method: str, save: Any, span: tuple[float, float]) -> None:
    """They follow the tolerance of 1e-9, within a factor for tens of steps there and back. `True` saves both ends."""
    save = sorted(save, reverse=span[0] > span[1]) if isinstance(save, list) else save
    adjoint = gradients(lambda field: TorchDiffEq(method, adjoint=True, parameters=field), within(1e-9, *span), save)
    expected = gradients(lambda field: Dopri5(), within(1e-12, *span), list(span) if save is True else save)
    assert difference(adjoint, expected) < 1e-7


@pytest.mark.parametrize("method", ["bosh3", "dopri5"])
def test_plain_gradients_take_the_steps_as_given(method: str) -> None:
    """A first step that depends on the state would leave a derivative that does not follow the tolerance of 1e-7."""
    plain = gradients(lambda field: TorchDiffEq(method), within(1e-7))
    assert difference(plain, gradients(lambda field: Dopri5(), within(1e-12))) < 1e-5


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("save", [False, True, [0.25, 0.5]], ids=["end", "steps", "times"])
def test_adjoint_gradients_on_a_grid_have_the_order_of_the_method(save: Any, backwards: bool) -> None:
    """They differ from those of the discrete solution by O(h⁴)."""
    steps, errors = [16, 32, 64], []
    for n in steps:
        times = grid(n).flip(0) if backwards else grid(n)
        asked = save[::-1] if isinstance(save, list) and backwards else save
        adjoint = gradients(lambda field: TorchDiffEq("rk4", adjoint=True, parameters=field), times, asked)
        errors.append(difference(adjoint, gradients(lambda field: TorchDiffEq("rk4"), times, asked)))
    assert abs(slope(steps, errors) - 4.0) <= 0.15


def test_adjoint_gradcheck() -> None:
    """Finite differences with steps of 1e-6 see a solve that is accurate to 1e-11 to about 1e-5."""

    def end(x: Tensor, weight: Tensor) -> Tensor:
        solver = TorchDiffEq("dopri8", adjoint=True, parameters=[weight])
        return solve(ODE(lambda t, y: torch.sin(y @ weight + t)), x, within(1e-11), solver).x

    weight = torch.tensor([[0.5, -1.0], [0.3, 0.8]], dtype=torch.float64, requires_grad=True)
    assert gradcheck(end, (START.clone().requires_grad_(), weight), atol=1e-5)


def test_the_adjoint_keeps_no_steps() -> None:
    def kept(solver: Callable[[Field], Solver], n: int) -> int:
        count, field = 0, Field()

        def pack(x: Tensor) -> Tensor:
            nonlocal count
            count += x.numel()
            return x

        with saved_tensors_hooks(pack, lambda x: x):
            solve(ODE(field), START.clone().requires_grad_(), grid(n), solver(field))
        return count

    assert kept(lambda field: TorchDiffEq("rk4"), 64) > 10 * kept(lambda field: TorchDiffEq("rk4"), 4)
    few, many = (kept(lambda field: TorchDiffEq("rk4", adjoint=True, parameters=field), n) for n in (4, 64))
    assert few == many


def test_no_gradient_is_lost_in_silence() -> None:
    field, x = Field(), START.clone().requires_grad_()

    def loss(*parameters: Tensor) -> Tensor:
        return solve(ODE(field), x, grid(4), TorchDiffEq("rk4", adjoint=True, parameters=parameters)).x.sum()

    lossy = loss(field.inner)
    with pytest.raises(ValueError, match=r"depends on a tensor of shape \(2, 2\) .* switch its requires_grad off"):
        lossy.backward()
    expected = torch.autograd.grad(loss(*field.parameters()), field.inner)[0]
    field.outer.requires_grad_(False)
    assert torch.equal(torch.autograd.grad(loss(field.inner), field.inner)[0], expected)


def test_a_parameter_of_the_adjoint_may_be_computed() -> None:
    found = []
    for adjoint in (True, False):
        source = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
        weight = source * torch.tensor([[1.0, -2.0], [0.5, 1.5]], dtype=torch.float64)
        solver = TorchDiffEq("rk4", adjoint=True, parameters=[weight]) if adjoint else TorchDiffEq("rk4")
        end = solve(ODE(lambda t, y, weight=weight: torch.sin(y @ weight)), START, grid(64), solver).x
        found.append(torch.autograd.grad(end.sum(), source)[0])
    torch.testing.assert_close(found[0], found[1], rtol=1e-7, atol=0.0)


def test_the_backward_pass_is_counted_but_not_stopped() -> None:
    field, calls = Field(), 0

    def drift(t: float, x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return field(t, x)

    solver = TorchDiffEq("rk4", adjoint=True, parameters=field)
    solution = solve(ODE(drift), START.clone().requires_grad_(), grid(4), solver, max_nfe=16)
    assert solution.nfe == calls == 16
    solution.x.sum().backward()
    assert solution.nfe == calls == 32
    assert solution.nfe.vjp == 16


# Stochastic methods


def flat(t: Tensor) -> Tensor:
    return t


def damped(t: float, x: Tensor) -> Tensor:
    return math.cos(t) - x


COLUMNS = torch.tensor([[0.1, 0.2], [0.3, -0.4], [0.5, 0.6]], dtype=torch.float64)
IMAGE = torch.linspace(-1.0, 1.0, 48, dtype=torch.float64).reshape(3, 1, 4, 4)
ROWS = IMAGE[:, 0, 0, :3]
NOISY: dict[str, tuple[Equation, Tensor, Tensor]] = {
    "diagonal": (SDE(damped, lambda t, x: (0.3 + t) * x), ROWS, ROWS),
    "additive": (SDE(damped, lambda t, x: (1.0 + t) * COLUMNS[:, 0], noise="additive"), ROWS, ROWS),
    "scalar": (SDE(damped, lambda t, x: (1.0 + t) * x, noise="scalar"), ROWS, ROWS[:, :1]),
    "general": (SDE(damped, lambda t, x: (1.0 + t) * COLUMNS * x.unsqueeze(-1), noise="general"), ROWS, ROWS[:, :2]),
    "image": (SDE(damped, lambda t, x: (0.3 + t) * x), IMAGE, IMAGE),
    "image, scalar": (SDE(damped, lambda t, x: x, noise="scalar"), IMAGE, IMAGE[:, :1, :1, :1]),
    "vector": (SDE(damped, lambda t, x: x), IMAGE[:, 0, 0, 0], IMAGE[:, 0, 0, 0]),
    "semilinear": (OrnsteinUhlenbeck(0.4, 0.8).equation(), ROWS, ROWS),
}


EQUAL: list[tuple[str, Solver, str, Calculus]] = [
    *(("euler", EulerMaruyama(), name, "ito") for name in NOISY),
    *(("heun", StochasticHeun(), name, "stratonovich") for name in NOISY),
    *(("milstein", Milstein(), name, each) for name in NOISY if name != "general" for each in get_args(Calculus)),
    ("srk", SRA1(), "additive", "ito"),
]


@pytest.mark.parametrize(("method", "ours", "name", "calculus"), EQUAL, ids=str)
def test_the_same_scheme_gives_the_same_paths(method: str, ours: Solver, name: str, calculus: Calculus) -> None:
    """To rounding, from states of order 1."""
    equation, x, like = NOISY[name]
    equation = replace(equation, calculus=calculus) if isinstance(equation, SDE) else equation
    tree = BrownianTree(like, 0.0, 1.0, seed=3, area=True)
    expected, found = (solve(equation, x, UNEQUAL, solver, tree, save=True) for solver in (ours, TorchSDE(method)))
    torch.testing.assert_close(found.xs, expected.xs, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("method", TorchSDE.METHODS)
def test_a_solve_is_resumed_by_x_alone_where_steps_depend_on_nothing_else(method: str) -> None:
    solver, (equation, x, _) = TorchSDE(method), NOISY["additive"]
    tree = BrownianTree(x, 0.0, 1.0, seed=3, area=True)
    middle = solve(equation, x, UNEQUAL[:3], solver, tree).x
    resumed = solve(equation, middle, UNEQUAL[2:], solver, tree).x
    assert torch.equal(resumed, solve(equation, x, UNEQUAL, solver, tree).x) == solver.one_step


@pytest.mark.parametrize("method", TorchSDE.METHODS)
def test_the_steps_are_those_of_sdeint(method: str) -> None:
    """On steps that add up without rounding."""
    solver = TorchSDE(method)
    equation = SDE(damped, lambda t, x: (0.3 + t) * x.sin(), calculus=min(solver.calculi))
    tree = BrownianTree(ROWS, 0.0, 1.0, seed=1, area=True)
    system = _System(equation, ROWS.shape, "diagonal", min(solver.calculi))
    increments = _Increments(tree, equation, ROWS, method)
    direct = torchsde.sdeint(system, ROWS, grid(8), bm=increments, method=method, dt=0.125)
    assert torch.equal(solve(equation, ROWS, grid(8), solver, tree, save=True).xs, direct)


@cache
def geometric(noise: NoiseType, calculus: Calculus) -> tuple[SDE, Tensor, BrownianTree, Tensor]:
    """dX = a(t) X dt + b X dW with b by component: X₁ = X₀ exp(∫a dt + b W₁), in the Ito calculus times e^{−b²/2}."""
    x = torch.linspace(0.5, 1.5, 3000, dtype=torch.float64).reshape(-1, 2)
    volatility = torch.tensor([0.8, -0.5], dtype=torch.float64)
    like = x[:, :1] if noise == "scalar" else x
    tree = BrownianTree(like, 0.0, 1.0, seed=5, area=True)
    growth = 0.1 * math.sin(3.0) - (volatility**2 / 2.0 if calculus == "ito" else 0.0)
    exact = x * torch.exp(growth + volatility * tree.normal(0.0, 1.0, flat, like))
    equation = SDE(lambda t, x: 0.3 * math.cos(3.0 * t) * x, lambda t, x: volatility * x, noise, calculus)
    return equation, x, tree, exact


@cache
def logarithmic() -> tuple[SDE, Tensor, BrownianTree, Tensor]:
    """dX = (a e^{−X} + c) dt + b dW, with additive noise and a drift that is not linear: for Φ_t = e^{c t + b W_t},

    e^{X₁} = Φ₁ (e^{X₀} + a ∫ dt / Φ_t). The integral is a sum over 1024 cells, in each of which 1 / Φ is expanded to
    second order, with U = ∫ (W_s − W₀) ds and the mean h²/2 of ∫ (W_s − W₀)² ds; its error is a twentieth of srk's at
    64 steps.
    """
    a, b, c, cells = 0.3, 1.0, 0.3, 1024
    x, h = torch.linspace(-0.5, 0.5, 500, dtype=torch.float64).reshape(-1, 1), 1.0 / cells
    tree = BrownianTree(x, 0.0, 1.0, seed=2, area=True)
    pairs = [tree.normal_and_area(s, t, flat, x) for s, t in pairwise(grid(cells).tolist())]
    xi, eta = (torch.stack(values) for values in zip(*pairs, strict=True))
    w, u = math.sqrt(h) * xi, h * math.sqrt(h) * (0.5 * xi + eta / math.sqrt(12.0))
    phi = torch.exp(c * grid(cells)[1:].reshape(-1, 1, 1) + b * w.cumsum(0))
    before = torch.cat([torch.ones_like(phi[:1]), phi[:-1]])
    inside = h - 0.5 * c * h**2 - b * u + 0.25 * b**2 * h**2
    exact = torch.log(phi[-1] * (x.exp() + a * (inside / before).sum(0)))
    return SDE(lambda t, x: a * torch.exp(-x) + c, lambda t, x: b, noise="additive"), x, tree, exact


@cache
def swept() -> tuple[Tensor, BrownianTree, Tensor]:
    """dX = dW¹, dY = X dW², the same in both calculi: Y₁ = Y₀ + ∫ X dW², by an Ito sum over 2048 cells.

    No method sees the Lévy area within its steps, nor does the sum within its cells, whose squared error is 2048/n
    times smaller than that of n steps.
    """
    x = torch.zeros(500, 2, dtype=torch.float64)
    tree = BrownianTree(x, 0.0, 1.0, seed=4)
    increments = [math.sqrt(t - s) * tree.normal(s, t, flat, x) for s, t in pairwise(grid(2048).tolist())]
    first, second = torch.stack(increments).unbind(-1)
    before = torch.cat([torch.zeros_like(first[:1]), first[:-1].cumsum(0)])
    return x, tree, torch.stack([first.sum(0), (before * second).sum(0)], dim=-1)


def sweeping(t: float, x: Tensor) -> Tensor:
    return torch.diag_embed(torch.stack([torch.ones_like(x[:, 0]), x[:, 0]], dim=-1))


STRONG = [
    (method, noise, calculus)
    for method, found in TorchSDE.METHODS.items()
    for noise in sorted(found.strong)
    for calculus in sorted(found.calculi)
]


@pytest.mark.parametrize(("method", "noise", "calculus"), STRONG)
def test_strong_order(method: str, noise: NoiseType, calculus: Calculus) -> None:
    """Rms over at least 500 paths against the exact solution on the same tree; the slope's standard error is 0.04."""
    solver, steps = TorchSDE(method), [8, 16, 32, 64]
    if noise == "general":
        x, tree, exact = swept()
        equation = SDE(lambda t, x: torch.zeros_like(x), sweeping, noise, calculus)
    else:
        equation, x, tree, exact = logarithmic() if noise == "additive" else geometric(noise, calculus)
    errors = [rms(solve(equation, x, grid(n), solver, tree).x - exact) for n in steps]
    assert abs(slope(steps, errors) - solver.METHODS[method].strong[noise]) <= 0.15
    assert solver.strong_order == solver.METHODS[method].strong["additive"]


@pytest.mark.parametrize("method", TorchSDE.METHODS)
def test_a_variance_clock_that_is_not_t_leaves_strong_order_one(method: str) -> None:
    """Or more, on the Ornstein-Uhlenbeck equation, whose q grows like e^{2θt}, and which one step of ours solves."""
    equation, steps = OrnsteinUhlenbeck(0.4, 0.8).equation(), [8, 16, 32, 64]
    x = torch.linspace(-1.0, 1.0, 1000, dtype=torch.float64).reshape(-1, 1)
    tree = BrownianTree(x, 0.0, 1.0, seed=6, area=True)
    exact = solve(equation, x, [0.0, 1.0], ExponentialAdams(1), tree).x
    errors = [rms(solve(equation, x, grid(n), TorchSDE(method), tree).x - exact) for n in steps]
    assert slope(steps, errors) >= 0.85


class Lattice:
    """In place of n normals and n areas all combinations of ±√3 and 0, and of ±1, as rows of a batch with weights.

    Their moments up to the fifth, and the third, are the normal ones, so that means over the rows have the weak order
    of the method up to order 2 (Kloeden and Platen, section 14.2).
    """

    replays = True

    def __init__(self, n: int, t1: float, area: bool) -> None:
        self.n, self.t1 = n, t1
        kinds = 6 if area else 3
        index = torch.arange(kinds**n)
        self.digits = [index // kinds**k % kinds for k in range(n)]
        share = torch.tensor([1.0, 4.0, 1.0], dtype=torch.float64) / (12.0 if area else 6.0)
        self.weights = torch.stack([share[digit % 3] for digit in self.digits]).prod(0)

    def normal_and_area(self, t0: float, t1: float, clock: Any, like: Tensor) -> tuple[Tensor, Tensor]:
        digit = self.digits[round(t0 / self.t1 * self.n)].reshape(-1, 1).double()
        return math.sqrt(3.0) * (digit % 3 - 1.0), 2.0 * (digit // 3) - 1.0

    def normal(self, t0: float, t1: float, clock: Any, like: Tensor) -> Tensor:
        return self.normal_and_area(t0, t1, clock, like)[0]

    def extra(self, index: int, like: Tensor) -> Tensor:
        raise NotImplementedError


@pytest.mark.parametrize("method", TorchSDE.METHODS)
def test_weak_order(method: str) -> None:
    """The mean of e^X for dX = (a e^{−X} + c) dt + b dW is that of a linear equation of rate c + b²/2; no sampling."""
    a, b, c, x0, t1 = 0.5, 0.6, 0.3, 0.3, 0.5
    equation = SDE(lambda t, x: a * torch.exp(-x) + c, lambda t, x: b, noise="additive")
    rate = c + b**2 / 2.0
    exact = math.exp(rate * t1 + x0) + a * math.expm1(rate * t1) / rate
    area, solver = method == "srk", TorchSDE(method)
    steps, errors = [2, 4, 6] if area else [4, 6, 8], []
    for n in steps:
        lattice = Lattice(n, t1, area)
        x = torch.full((len(lattice.weights), 1), x0, dtype=torch.float64)
        end = solve(equation, x, grid(n, t1), solver, lattice).x
        errors.append(abs((lattice.weights @ end.exp()).item() - exact))
    assert abs(slope(steps, errors) - solver.weak_order) <= 0.15


@pytest.mark.parametrize("noise", ["diagonal", "scalar"])
def test_log_ode_is_midpoint_where_it_needs_no_area(noise: NoiseType) -> None:
    equation, x, tree, _ = geometric(noise, "stratonovich")
    ends = [solve(equation, x, grid(4), TorchSDE(method), tree).x for method in ("log_ode", "midpoint")]
    assert torch.equal(*ends)


@pytest.mark.parametrize("checkpoint", [False, True])
@pytest.mark.parametrize("method", ["euler", "milstein", "reversible_heun"])
def test_a_stochastic_solve_differentiates(method: str, checkpoint: bool) -> None:
    tree, solver = BrownianTree(START, 0.0, 1.0, seed=8), TorchSDE(method)
    weight = torch.tensor([0.6, -0.4], dtype=torch.float64, requires_grad=True)

    def end(x: Tensor, weight: Tensor) -> Tensor:
        equation = SDE(damped, lambda t, x: weight * x.sin(), "diagonal", min(solver.calculi))
        return solve(equation, x, grid(4), solver, tree, checkpoint=checkpoint).x

    assert gradcheck(end, (START.clone().requires_grad_(), weight))


# Bad input


DECAY = ODE(lambda t, x: -x)
ITO = SDE(damped, lambda t, x: x)
GENERAL = SDE(damped, lambda t, x: torch.diag_embed(x), noise="general", calculus="stratonovich")
TREE = BrownianTree(START, 0.0, 1.0)
BAD_INPUT: dict[str, tuple[Callable[[], object], str]] = {
    "torchdiffeq's unknown": (lambda: TorchDiffEq("rk5"), "'rk5'; choose one of euler, .*, explicit_adams, .*dopri8"),
    "torchdiffeq's SciPy": (lambda: TorchDiffEq("scipy_solver"), "choose one of"),
    "torchsde's unknown": (lambda: TorchSDE("adjoint_reversible_heun"), "choose one of euler, milstein, srk, midpoint"),
    "SciPy's unknown": (lambda: SciPy("rk45"), "choose one of RK23, RK45, DOP853, Radau, BDF, LSODA"),
    "a grid for dopri5": (lambda: solve(DECAY, START, grid(4), TorchDiffEq("dopri5")), "dopri5 chooses its own steps"),
    "a grid for BDF": (lambda: solve(DECAY, START, grid(4), SciPy("BDF")), "BDF chooses its own steps"),
    "tolerances for rk4": (lambda: solve(DECAY, START, within(1e-3), TorchDiffEq("rk4")), "no error estimate"),
    "tolerances for srk": (lambda: solve(DECAY, START, within(1e-3), TorchSDE("srk")), "no error estimate"),
    "unequal steps": (lambda: solve(DECAY, START, UNEQUAL, TorchDiffEq("fixed_adams")), "the weights of equal steps"),
    "an adjoint of nothing": (lambda: TorchDiffEq("rk4", adjoint=True), "adjoint=True, parameters=network"),
    "parameters for nothing": (lambda: TorchDiffEq("rk4", parameters=[START]), "adjoint=True, parameters=network"),
    "an area of a tree without": (lambda: solve(ITO, START, grid(4), TorchSDE("srk"), TREE), "area=True"),
    "a Lévy area": (lambda: solve(GENERAL, START, grid(4), TorchSDE("log_ode"), TREE), "but the equation's is general"),
    "the other calculus": (lambda: solve(ITO, START, grid(4), TorchSDE("heun"), TREE), "in the stratonovich calculus"),
    "a gradient of SciPy": (
        lambda: solve(DECAY, START.clone().requires_grad_(), within(1e-3), SciPy("RK45")),
        "No gradient flows through SciPy",
    ),
    "a network's gradient of SciPy": (lambda: solve(ODE(Field()), START, within(1e-3), SciPy("RK45")), "No gradient"),
    "less than SciPy's rtol": (
        lambda: solve(DECAY, START, Adaptive(0.0, 1.0, rtol=1e-14, atol=1e-6), SciPy("RK45")),
        "no rtol below 2.2e-14",
    ),
    "a Jacobian in single precision": (lambda: solve(DECAY, START.float(), within(1e-3), SciPy("BDF")), "use RK45"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_gets_one_clear_sentence(case: str) -> None:
    call, sentence = BAD_INPUT[case]
    with pytest.raises(ValueError, match=sentence) as error:
        call()
    assert str(error.value).endswith(".")

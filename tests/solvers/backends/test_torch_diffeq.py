"""torchdiffeq's methods: equal to our own where the scheme is the same; evaluations; the adjoint.

What they share with SciPy's is in `test_ode_backends`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchdiffeq
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.autograd.graph import saved_tensors_hooks
from trials import SAVED, UNEQUAL, Counted, grid, within

from fokker.solvers import ODE, Adaptive, Dopri5, Euler, Heun, Midpoint, SolveError, Solver, TorchDiffEq, solve
from fokker.verification.certificates.problems import INITIAL, PROBLEMS
from fokker.verification.statistics.slopes import slope


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


@pytest.mark.parametrize("steps", [1, 2, 3, 10])
def test_evaluations_declared_are_evaluations_counted(steps: int) -> None:
    counted, solver = Counted(), TorchDiffEq("explicit_adams")
    solution = solve(counted.equation, INITIAL[:2], grid(steps), solver)
    assert solution.nfe == counted.calls == solver.evaluations(steps)
    assert solution.accepted == steps


def test_the_evaluations_of_an_iteration_are_counted() -> None:
    counted = Counted()
    solver = TorchDiffEq("fixed_adams")
    assert solver.evaluations(256) is None
    assert solve(counted.equation, INITIAL, grid(256), solver, max_nfe=10_000).nfe == counted.calls > 256
    with pytest.raises(SolveError, match=r"did not converge at t = 0\.25; take smaller steps") as failure:
        solve(counted.equation, INITIAL, grid(8), solver, save=True)
    assert failure.value.solution.status == "unconverged"
    assert failure.value.solution.xs.shape == (3, *INITIAL.shape)


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


# Bad input


DECAY = ODE(lambda t, x: -x)
BAD_INPUT: dict[str, tuple[Callable[[], object], str]] = {
    "an unknown method": (lambda: TorchDiffEq("rk5"), "'rk5'; choose one of euler, .*, explicit_adams, .*dopri8"),
    "SciPy's": (lambda: TorchDiffEq("scipy_solver"), "choose one of"),
    "a grid for dopri5": (lambda: solve(DECAY, START, grid(4), TorchDiffEq("dopri5")), "dopri5 chooses its own steps"),
    "tolerances for rk4": (lambda: solve(DECAY, START, within(1e-3), TorchDiffEq("rk4")), "no error estimate"),
    "unequal steps": (lambda: solve(DECAY, START, UNEQUAL, TorchDiffEq("fixed_adams")), "the weights of equal steps"),
    "an adjoint of nothing": (lambda: TorchDiffEq("rk4", adjoint=True), "adjoint=True, parameters=network"),
    "parameters for nothing": (lambda: TorchDiffEq("rk4", parameters=[START]), "adjoint=True, parameters=network"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_gets_one_clear_sentence(case: str) -> None:
    call, sentence = BAD_INPUT[case]
    with pytest.raises(ValueError, match=sentence) as error:
        call()
    assert str(error.value).endswith(".")

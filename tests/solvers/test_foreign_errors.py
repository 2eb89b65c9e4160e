"""A field is checked at every call, and an exception of its own tells where it was raised and keeps the solution."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from fokker.solvers import (
    ODE,
    SDE,
    Adaptive,
    BrownianTree,
    Dopri5,
    Euler,
    EulerMaruyama,
    ExponentialAdams,
    ExponentialRK,
    FunctionClock,
    Heun,
    Langevin,
    Picard,
    PlainClock,
    SciPy,
    Semilinear,
    SolveError,
    Solver,
    Time,
    TorchDiffEq,
    solve,
)

X = torch.tensor([[1.0, -0.5], [0.3, 0.2], [-1.0, 2.0]], dtype=torch.float64)
GRID = torch.linspace(0.0, 1.0, 9, dtype=torch.float64)
WITHIN = Adaptive(0.0, 1.0, rtol=1e-3, atol=1e-3)
EACH = Adaptive(0.0, 1.0, rtol=1e-3, atol=1e-3, per_sample=True)


class NoMoreMemory(RuntimeError):
    """Stands for an exception of a network."""


def late(then: Callable[[Tensor], Any], after: float = 0.5) -> Callable[[Time, Tensor], Any]:
    """−x, and from a time on what `then` makes of it."""

    def field(t: Time, x: Tensor) -> Any:
        return then(-x) if torch.as_tensor(t).max() >= after else -x

    return field


def raising(x: Tensor) -> Tensor:
    raise NoMoreMemory("no more memory")


WRONG: dict[str, tuple[Callable[[Tensor], Any], type[Exception], str]] = {
    "another shape": (lambda x: x[:1], ValueError, r"shape \(1, 2\) .* for a state of .* shape \(3, 2\)"),
    "another dtype": (lambda x: x.float(), ValueError, "returned torch.float32"),
    "None": (lambda x: None, TypeError, "returned NoneType"),
    "a float": (lambda x: 1.0, TypeError, "returned float"),
    "a tuple": (lambda x: (x,), TypeError, "returned tuple"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize(
    ("times", "solver"), [(GRID, Heun()), (GRID, ExponentialAdams(2)), (WITHIN, Dopri5()), (EACH, Dopri5())], ids=str
)
def test_a_field_is_checked_at_every_call(case: str, times: Any, solver: Solver) -> None:
    """Whose values become wrong at t = 0.5."""
    then, kind, sentence = WRONG[case]
    field = late(then)
    equation = Semilinear(field, PlainClock()) if solver.semilinear else ODE(field)
    with pytest.raises(kind, match=rf"{sentence}.*, at t (= 0\.[5-9]|= 1|from 0)"):
        solve(equation, X, times, solver)


def test_a_field_stays_on_its_device() -> None:
    with pytest.raises(ValueError, match=r"returned .* on meta for a state of .* on cpu, at t = 0;"):
        solve(ODE(lambda t, x: x.to("meta")), X, GRID, Heun())


def test_a_score_is_checked_as_the_field_is() -> None:
    class Straight:
        """α = t, σ = 1 − t."""

        def alpha(self, t: Any) -> Any:
            return t

        def sigma(self, t: Any) -> Any:
            return 1.0 - t

        def time(self, log_snr: Any) -> Any:
            return 1.0 / (1.0 + (-0.5 * log_snr).exp())

    equation = Semilinear(late(lambda x: x, 2.0), PlainClock(), score=late(lambda x: x[:1]), noising=Straight())
    with pytest.raises(ValueError, match=r"returned .* shape \(1, 2\) .* at t = 0\.5;"):
        solve(equation, X, GRID, Langevin(Heun(), 1, 0.1), BrownianTree(X, 0.0, 1.0))


SOLVES: list[tuple[Any, Solver]] = [
    (GRID, Heun()),
    (GRID, ExponentialAdams(3)),
    (GRID, ExponentialRK(2)),
    (GRID, Picard(Euler(), window=2)),
    (WITHIN, Dopri5()),
    (WITHIN, SciPy("RK45")),
    (GRID, TorchDiffEq("rk4")),
    (WITHIN, TorchDiffEq("dopri5")),
]


@pytest.mark.parametrize(("times", "solver"), SOLVES, ids=str)
def test_an_exception_of_a_network_keeps_its_type_and_the_solution(times: Any, solver: Solver) -> None:
    """The solution until it was raised is the one that a solve to there gives."""
    equation = Semilinear(late(raising), PlainClock()) if solver.semilinear else ODE(late(raising))
    with pytest.raises(NoMoreMemory, match="no more memory") as failure:
        solve(equation, X, times, solver, save=True)
    partial = failure.value.solution  # type: ignore[attr-defined]
    assert str(failure.value) == "no more memory"
    assert partial.status == "failed"
    assert 0.0 < partial.ts[-1] <= 0.5
    assert len(partial.xs) == len(partial.ts) == partial.accepted + 1
    assert torch.equal(partial.xs[-1], partial.x)
    assert partial.nfe > 0
    until = solve(equation, X, partial.ts, Euler() if isinstance(solver, Picard) else solver) if times is GRID else None
    if until is not None:
        torch.testing.assert_close(partial.x, until.x, rtol=0.0, atol=1e-2 if isinstance(solver, Picard) else 1e-15)
    assert (partial.x - X * torch.exp(-partial.ts[-1])).abs().max() < 0.1
    (note,) = failure.value.__notes__
    assert note.startswith("This was raised within a solve. The field was called at t ")
    assert f"`solution` is the solution until t = {partial.ts[-1]:g}, after {partial.accepted} accepted steps" in note


def test_an_exception_with_steps_of_each_sample() -> None:
    with pytest.raises(NoMoreMemory) as failure:
        solve(ODE(late(raising)), X, EACH, Dopri5())
    partial = failure.value.solution  # type: ignore[attr-defined]
    assert partial.status == "failed"
    assert partial.x.shape == X.shape
    assert 0.0 < partial.ts[-1] < 0.5
    assert partial.nfe.per_sample.min() > 0


def test_a_partial_solution_ends_where_the_states_are_finite() -> None:
    """The state is infinite after the third step, and an exception ends the solve before anyone has looked."""

    def field(t: float, x: Tensor) -> Tensor:
        if t >= 0.6:
            raise NoMoreMemory
        return x / 0.0 if t >= 0.25 else -x

    with pytest.raises(NoMoreMemory) as failure:
        solve(ODE(field), X, GRID, Euler())
    partial = failure.value.solution  # type: ignore[attr-defined]
    assert partial.ts.tolist() == [0.0, 0.125, 0.25]
    torch.testing.assert_close(partial.x, 0.875**2 * X, rtol=1e-15, atol=0.0)


def test_the_arguments_are_left_to_the_door() -> None:
    """What is found out before any evaluation is no exception of a network."""
    singular = Semilinear(lambda t, x: x, FunctionClock(torch.ones_like, torch.sqrt))
    with pytest.raises(ValueError, match="singular at t = 0") as failure:
        solve(singular, X, GRID, Heun())
    assert not hasattr(failure.value, "solution")
    assert not hasattr(failure.value, "__notes__")


def test_a_solve_within_a_field_keeps_its_own_error() -> None:
    def field(t: float, x: Tensor) -> Tensor:
        return solve(ODE(lambda s, y: y / 0.0), x[:1], [0.0, 1.0], Euler()).x.expand_as(x)

    with pytest.raises(SolveError) as failure:
        solve(ODE(field), X, GRID, Euler())
    assert failure.value.solution.x.shape == (1, 2)
    assert failure.value.solution.nfe == 1
    assert failure.value.solution.nfe.per_sample.shape == (1,)


def test_an_exception_that_keeps_no_solution_or_takes_no_note_passes() -> None:
    class Closed(Exception):
        def __setattr__(self, name: str, value: Any) -> None:
            if name == closed:
                raise AttributeError(name)
            super().__setattr__(name, value)

    def field(t: float, x: Tensor) -> Tensor:
        raise Closed("closed")

    for closed in ("solution", "__notes__"):
        with pytest.raises(Closed, match="closed") as failure:
            solve(ODE(field), X, GRID, Euler())
        assert hasattr(failure.value, "solution") == (closed == "__notes__")
        assert hasattr(failure.value, "__notes__") == (closed == "solution")


DIFFUSIONS: dict[str, tuple[str, Callable[[Tensor], Any], type[Exception], str]] = {
    "of a larger shape": ("diagonal", lambda x: x.expand(2, 3, 2), ValueError, r"shape \(2, 3, 2\)"),
    "of another batch": ("additive", lambda x: x[:2], ValueError, r"shape \(2, 2\)"),
    "of another dtype": ("additive", lambda x: x + 0j, ValueError, "complex128"),
    "None": ("diagonal", lambda x: None, TypeError, "NoneType"),
    "no number": ("diagonal", lambda x: math.nan, ValueError, "nan"),
    "no matrix": ("general", lambda x: x, ValueError, r"shape \(3, 2\)"),
    "a matrix of other rows": ("general", lambda x: x.new_ones(3, 5, 2), ValueError, r"\(3, 5, 2\)"),
}


@pytest.mark.parametrize("case", DIFFUSIONS)
def test_a_diffusion_is_checked_at_every_call(case: str) -> None:
    kind, then, error, sentence = DIFFUSIONS[case]

    def diffusion(t: float, x: Tensor) -> Any:
        good = x.new_ones(3, 2, 2) if kind == "general" else torch.ones_like(x)
        return then(x) if t >= 0.5 else good

    equation = SDE(lambda t, x: -x, diffusion, noise=kind)
    like = X.new_empty(3, 2)
    with pytest.raises(error, match=rf"diffusion returned .*{sentence}.* t = 0\.5"):
        solve(equation, X, GRID, EulerMaruyama(), BrownianTree(like, 0.0, 1.0))


@pytest.mark.parametrize("kind", ["diagonal", "additive", "general", "scalar"])
def test_a_diffusion_may_broadcast(kind: str) -> None:
    """A float, a number of the state's dtype or another, a row, a column: the same solution."""
    whole = 0.5 * (X.new_ones(3, 2, 2) if kind == "general" else torch.ones_like(X))
    parts = [whole[0], whole[:1]] if kind == "general" else [0.5, torch.tensor(0.5), whole[0], whole[:, :1]]
    noise = BrownianTree(X.new_empty(3, 1 if kind == "scalar" else 2), 0.0, 1.0, seed=3)

    def end(g: Tensor | float) -> Tensor:
        return solve(SDE(lambda t, x: -x, lambda t, x: g, noise=kind), X, GRID, EulerMaruyama(), noise).x

    for part in parts:
        torch.testing.assert_close(end(part), end(whole), rtol=0.0, atol=1e-15)

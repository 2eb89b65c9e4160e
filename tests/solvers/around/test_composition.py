"""Solvers around solvers: their limits, what they count, how they go on after a restart, and what they refuse."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields, replace

import pytest
import torch
from toy import LINE, MIXTURE, PATHS, states
from trials import within

from fokker.generative import CondOT, GaussianPath, flow, reverse_sde
from fokker.solvers import (
    EDM_HEUN,
    RK4,
    SRA1,
    Abilities,
    Ancestral,
    BrownianTree,
    Churn,
    ExponentialAdams,
    ExponentialRK,
    Halving,
    Heun,
    Langevin,
    Picard,
    PlainClock,
    Restart,
    Semilinear,
    SolveError,
    Stepper,
    WhiteNoise,
    solve,
    unroll,
)
from fokker.solvers.field import as_field
from fokker.verification.laws import Impulses

ONE = ExponentialAdams(1)

WRAPPED: list[tuple[Stepper, Stepper]] = [
    *((Ancestral(inner, 0.0), inner) for inner in (ONE, ExponentialRK(2), Heun())),
    *((Churn(inner, 0.0), inner) for inner in (ONE, ExponentialRK(EDM_HEUN), Heun())),
    *((Langevin(inner, 0, 0.1), inner) for inner in (ONE, Heun())),
    *((Restart(inner, [0.25, 0.5], 0), inner) for inner in (ONE, ExponentialAdams(3), Heun())),
]


@pytest.mark.parametrize("path", PATHS, ids=repr)
@pytest.mark.parametrize(("wrapped", "inner"), WRAPPED, ids=repr)
def test_without_noise_a_wrapper_is_its_solver(wrapped: Stepper, inner: Stepper, path: GaussianPath) -> None:
    """Bitwise, without noise= and with the solver's order."""
    equation, x = flow(MIXTURE.denoiser(path)), states(path, 0.1)
    times = [0.1, 0.25, 0.5, 0.6, 0.85, 0.9]
    assert torch.equal(solve(equation, x, times, wrapped).x, solve(equation, x, times, inner).x)
    assert wrapped.order == inner.order


@pytest.mark.parametrize("inner", [ONE, ExponentialRK(2), Heun(), SRA1()], ids=repr)
def test_a_wrapper_takes_over_what_it_does_not_change(inner: Stepper) -> None:
    """Halving and Picard keep the orders and the noise of their solver, and every ability is read from the solver."""
    assert Halving(inner).abilities == replace(inner.abilities, embedded=True, dense=False)
    parallel = replace(inner.abilities, embedded=False, dense=False, one_step=False, timewise=False)
    assert Picard(inner, 4).abilities == parallel
    for solver in (inner, Halving(inner)):
        for field in fields(Abilities):
            assert getattr(solver, field.name) == getattr(solver.abilities, field.name)


COUNTED: list[tuple[Stepper, int, int]] = [
    (Ancestral(ExponentialRK(2)), 1, 0),
    (Churn(RK4(), 1.0), 1, 0),
    (Langevin(None, 3, 0.1), 3, 0),
    (Langevin(ExponentialRK(3), 2, 0.1), 2, 0),
    (Langevin(Ancestral(Heun()), 2, 0.1), 3, 0),
    (Langevin(Churn(ONE, 1.0), 2, 0.1), 3, 0),
    (Ancestral(Halving(ONE)), 1, 0),
    (Restart(ExponentialAdams(2, corrector=True), [0.25, 0.5, 0.75], 2), 0, 2),
    (Halving(ExponentialRK(2)), 0, 0),
]
"""A solver, its normals a step, and in a solve."""


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize(("solver", "a_step", "a_solve"), COUNTED, ids=repr)
def test_evaluations_and_normals_are_those_declared(solver: Stepper, a_step: int, a_solve: int, steps: int) -> None:
    """Counted by the ledger and by the noise, which also sees that no normal is used twice."""
    times = torch.linspace(0.125, 0.75, steps + 1, dtype=torch.float64)
    noise, x = Impulses(), torch.zeros(50, 1, dtype=torch.float64)
    solution = solve(flow(LINE.denoiser(CondOT())), x, times, solver, noise)
    assert solution.nfe == solver.evaluations(steps)
    assert solution.accepted == steps
    assert noise.drawn == a_step * steps + a_solve


@pytest.mark.parametrize("solver", [case[0] for case in COUNTED], ids=repr)
def test_wrappers_run_on_symbols(solver: Stepper) -> None:
    """The table of coefficients, replayed, makes the same numbers to rounding."""
    equation, x = flow(MIXTURE.denoiser(CondOT())), states(CondOT(), 0.1)
    tree, times = BrownianTree(x, 0.0, 1.0, seed=1), [0.1, 0.3, 0.75, 0.8]
    replayed = unroll(equation, times, solver).run(equation, x, tree)
    solution = solve(equation, x, times, solver, tree)
    torch.testing.assert_close(replayed.x, solution.x, rtol=1e-12, atol=1e-12)
    assert replayed.nfe == solution.nfe


def test_a_failure_after_a_restart_keeps_what_was_done() -> None:
    equation, x = flow(MIXTURE.denoiser(CondOT())), states(CondOT(), 0.1)
    good = equation.field
    broken = replace(equation, field=lambda t, x: good(t, x) if t < 0.65 else x * math.nan)
    tree, solver = BrownianTree(x, 0.0, 1.0), Restart(ONE, [0.2, 0.4], 2)
    whole = solve(equation, x, [0.1, 0.4, 0.7, 0.9], solver, tree, save=True)
    with pytest.raises(SolveError, match=r"not finite after step 3, from t = 0\.7") as failure:
        solve(broken, x, [0.1, 0.4, 0.7, 0.9], solver, tree, save=True)
    partial = failure.value.solution
    assert partial.ts.tolist() == [0.1, 0.4, 0.7]
    assert torch.equal(partial.xs, whole.xs[:3])
    assert partial.nfe == 5


# Bad input


X = states(CondOT(), 0.1)
FLOW = flow(MIXTURE.denoiser(CondOT()))
TIMES = [0.1, 0.5, 0.9]
BARE = Semilinear(lambda t, x: x, PlainClock())
BAD_INPUT: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "eta": (lambda: Ancestral(ONE, 1.2), ValueError, r"eta is 1\.2, but must be a finite number from 0 to 1"),
    "a multistep method": (lambda: Ancestral(ExponentialAdams(2)), TypeError, "Ancestral goes around a one-step"),
    "a solver that draws": (lambda: Churn(Ancestral(ONE), 1.0), TypeError, "draws no noise of its own, but got Ances"),
    "negative churn": (lambda: Churn(ONE, -1.0), ValueError, "churn is -1, but must be a finite number >= 0"),
    "exchanged bounds": (lambda: Churn(ONE, 1.0, 2.0, 1.0), ValueError, "exchange them"),
    "half a step": (lambda: Langevin(ONE, 1.5, 0.1), ValueError, "steps is 1.5, but must be a whole number"),
    "no size": (lambda: Langevin(ONE, 1, 0.0), ValueError, "size is 0, but must be a finite number > 0"),
    "langevin twice": (lambda: Langevin(Langevin(ONE, 1, 0.1), 1, 0.1), TypeError, "draws no noise of its own"),
    "a multistep predictor": (lambda: Langevin(ExponentialAdams(2), 1, 0.1), TypeError, "one-step solver"),
    "a restart that draws": (lambda: Restart(Ancestral(ONE), TIMES, 1), TypeError, "Restart goes around a solver"),
    "a start-up": (lambda: Restart(ExponentialAdams(4), TIMES, 1), ValueError, "3 evaluations in 1 step and 10 in 8"),
    "a restart backwards": (lambda: Restart(ONE, [0.5, 0.1], 1), ValueError, "from noise to data"),
    "half a restart": (lambda: Restart(ONE, TIMES, 0.5), ValueError, "repeats is 0.5, but must be a whole number"),
    "a restart beside the grid": (
        lambda: solve(FLOW, X, TIMES, Restart(ONE, [0.1, 0.6], 1), WhiteNoise(0)),
        ValueError,
        r"needs t = 0\.6 on the way of the solve",
    ),
    "a restart at the start": (
        lambda: solve(FLOW, X, TIMES[1:], Restart(ONE, [0.1, 0.5], 1), WhiteNoise(0)),
        ValueError,
        r"needs t = 0\.5 on the way of the solve",
    ),
    "no noise": (lambda: solve(FLOW, X, TIMES, Ancestral(ONE)), ValueError, "Ancestral needs noise"),
    "data to noise": (
        lambda: solve(FLOW, X, TIMES[::-1], Churn(ONE, 1.0), WhiteNoise(0)),
        ValueError,
        r"runs from noise to data, but times go from 0\.9 down to 0\.1",
    ),
    "no path": (lambda: solve(BARE, X, TIMES, Ancestral(ONE), WhiteNoise(0)), ValueError, "give Semilinear.*noising"),
    "no score": (
        lambda: solve(replace(BARE, noising=CondOT()), X, TIMES, Langevin(ONE, 1, 0.1), WhiteNoise(0)),
        ValueError,
        "give Semilinear.*score",
    ),
    "a stochastic equation": (
        lambda: unroll(reverse_sde(MIXTURE.denoiser(CondOT())), TIMES, Ancestral(ONE)),
        ValueError,
        "to a deterministic equation",
    ),
    "levels from alpha = 0": (
        lambda: solve(FLOW, X, [0.0, 0.5], Langevin(None, 1, 0.1), WhiteNoise(0)),
        ValueError,
        "alpha = 0 at t = 0; start later",
    ),
    "adaptive steps of a wrapper": (
        lambda: solve(FLOW, X, within(1e-2, 0.1, 0.9), Ancestral(ONE), BrownianTree(X, 0.0, 1.0)),
        ValueError,
        "no error estimate",
    ),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_gets_one_clear_sentence(case: str) -> None:
    call, kind, sentence = BAD_INPUT[case]
    with pytest.raises(kind, match=sentence):
        call()


def test_bad_input_is_found_before_any_evaluation() -> None:
    evaluated = []
    watched = FLOW.wrapped(lambda field: as_field(lambda t, x: evaluated.append(t) or field(t, x)))
    for solver in (Restart(ONE, [0.1, 0.6], 1), Langevin(None, 1, 0.1)):
        with pytest.raises(ValueError, match=r"add it|start later"):
            solve(watched, X, [0.0, 0.5], solver, WhiteNoise(0))
    assert evaluated == []

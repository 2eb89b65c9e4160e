"""A table as a solver: `solve` takes its steps, on its times alone, and unrolls to the table again."""

from __future__ import annotations

import pickle
import re
from dataclasses import replace
from itertools import chain

import pytest
import torch
from torch import Tensor
from toy import MIXTURE

from fokker.generative import CondOT, flow, reverse_sde
from fokker.solvers import (
    ODE,
    SRA1,
    Adaptive,
    Ancestral,
    BrownianTree,
    ExponentialAdams,
    ExponentialRK,
    Heun,
    Langevin,
    Replay,
    Scheme,
    Semilinear,
    Solver,
    Stepper,
    WhiteNoise,
    same,
    solve,
    unroll,
)
from fokker.solvers.scheme import Evaluation
from fokker.verification.certificates.problems import INITIAL, PROBLEMS
from fokker.verification.certificates.table import FIXED_STEP, STOCHASTIC

TIMES = [0.05, 0.12, 0.2, 0.31, 0.5, 0.63, 0.8, 0.9, 0.95]
OWN = [solver for solver in FIXED_STEP if isinstance(solver, Stepper)]
DENOISER = MIXTURE.denoiser(CondOT())
X = MIXTURE.sample(5, seed=1)
NOISY = [Langevin(Ancestral(ExponentialAdams(1)), 2, 0.1), *STOCHASTIC]


def problem(solver: Solver) -> Semilinear | ODE:
    made = PROBLEMS["log clock" if solver.semilinear else "ode"].equation
    assert isinstance(made, Semilinear | ODE)
    return made


@pytest.mark.parametrize("solver", OWN, ids=repr)
def test_a_replay_is_its_solver(solver: Solver) -> None:
    """To 1e-12 (8 steps of states of order 1, in another order of sums), and the table to the last bit."""
    equation = problem(solver)
    table = unroll(equation, TIMES, solver)
    replay = Replay(table)
    found, expected = (solve(equation, INITIAL, TIMES, each, save=True) for each in (replay, solver))
    torch.testing.assert_close(found.xs, expected.xs, rtol=0.0, atol=1e-12)
    assert found.nfe == expected.nfe == table.nfe
    assert torch.equal(found.x, table.run(equation, INITIAL).x)
    again = unroll(equation, table.times, replay)
    assert replace(again, name=table.name) == table
    assert again.name == repr(replay) == f"Replay({solver!r})"


@pytest.mark.parametrize("solver", NOISY, ids=repr)
def test_a_replay_draws_as_its_solver(solver: Solver) -> None:
    """On the path of a tree, and with the normals of a generator in their order; a solve without noise is refused."""
    equation = flow(DENOISER, "x0") if isinstance(solver, Langevin) else reverse_sde(DENOISER)
    replay = Replay(unroll(equation, TIMES, solver))
    assert replay.draws
    assert replay.stochastic
    tree = BrownianTree(X, 0.0, 1.0, seed=3, area=True)
    for first, second in ((tree, tree), (WhiteNoise(5), WhiteNoise(5))):
        found, expected = solve(equation, X, TIMES, replay, first), solve(equation, X, TIMES, solver, second)
        torch.testing.assert_close(found.x, expected.x, rtol=0.0, atol=1e-11)
    assert same(replay.scheme, unroll(equation, TIMES, replay))
    with pytest.raises(ValueError, match="needs noise; give WhiteNoise"):
        solve(equation, X, TIMES, replay)


def test_one_step_of_several_evaluations_in_any_order() -> None:
    """What a search may find: 3 evaluations of one step, of which the second goes back in time."""
    start = ("x", 0)
    table = Scheme(
        "found",
        (0.1, 0.9),
        ({start: 0.7, ("N", 0): 0.1, ("N", 2): 0.5},),
        (
            Evaluation(0, 0.5, {start: 1.0}),
            Evaluation(0, 0.2, {start: 0.9, ("N", 0): 0.1}),
            Evaluation(0, 0.8, {start: 0.8, ("N", 1): 0.3}),
        ),
    )
    field = flow(DENOISER, "velocity").field
    first = field(0.5, X)
    third = field(0.8, 0.8 * X + 0.3 * field(0.2, 0.9 * X + 0.1 * first))
    found = solve(flow(DENOISER, "velocity"), X, (0.1, 0.9), Replay(table))
    torch.testing.assert_close(found.x, 0.7 * X + 0.1 * first + 0.5 * third, rtol=0.0, atol=1e-14)
    assert (found.nfe, found.accepted) == (3, 1)


def test_gradients_pass_through_a_replay() -> None:
    """With and without checkpoints, as through the solver: to 1e-12, the rounding of 8 steps."""
    equation, solver = PROBLEMS["log clock"].equation, ExponentialAdams(3)
    replay = Replay(unroll(equation, TIMES, solver))

    def gradient(chosen: Solver, checkpoint: bool) -> Tensor:
        x = INITIAL.clone().requires_grad_()
        solve(equation, x, TIMES, chosen, checkpoint=checkpoint).x.square().sum().backward()
        assert x.grad is not None
        return x.grad

    expected = gradient(solver, False)
    for checkpoint in (False, True):
        torch.testing.assert_close(gradient(replay, checkpoint), expected, rtol=0.0, atol=1e-12)


def test_it_has_the_steps_of_its_table() -> None:
    replay = Replay(unroll(PROBLEMS["log clock"].equation, TIMES, ExponentialRK(2)))
    assert [replay.evaluations(n) for n in (0, 1, 7, 8, 9)] == [0, None, None, 16, None]
    assert [replay.steps(nfe) for nfe in (0, 15, 16, 17, 10**6)] == [0, 0, 8, 8, 8]
    equation = PROBLEMS["log clock"].equation
    with pytest.raises(ValueError, match="8 steps of Replay take 16 evaluations, more than max_nfe = 15"):
        solve(equation, INITIAL, TIMES, replay, max_nfe=15)
    assert solve(equation, INITIAL, TIMES, replay, max_nfe=16).nfe == 16


def test_copies_are_the_same() -> None:
    replay = Replay(unroll(PROBLEMS["log clock"].equation, TIMES, ExponentialRK(2)))
    assert pickle.loads(pickle.dumps(replay)) == replay  # noqa: S301  # made here
    with pytest.raises(AttributeError):
        replay.scheme = replay.scheme  # type: ignore[misc]


EQUATION = flow(DENOISER, "x0")
REPLAY = Replay(unroll(EQUATION, TIMES, ExponentialAdams(2)))


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (TIMES[::-1], r"times are 9 from t = 0.95 to t = 0.05, but the table has its own 9 times from t = 0.05"),
        (TIMES[:-1], r"times are 8 from t = 0.05 to t = 0.9, but the table has its own 9 times .* to t = 0.95"),
        ([*TIMES[:3], 0.35, *TIMES[4:]], r"times have t = 0.35 at entry 3, but the table has t = 0.31 there"),
        ([0.05, 0.95], r"times are 2 from"),
        (Adaptive(0.05, 0.95, rtol=1e-3, atol=1e-3), r"Replay\(ExponentialAdams\(2\)\) has no error estimate"),
    ],
)
def test_other_times_are_refused(times: list[float] | Adaptive, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^{message}.*; give [^;]*$"):
        solve(EQUATION, X, times, REPLAY)


def test_times_are_its_own_to_single_precision() -> None:
    """A rounded grid is this grid: the states are those of the table's own times."""
    rounded = torch.tensor(TIMES, dtype=torch.float32)
    assert torch.equal(solve(EQUATION, X, rounded, REPLAY).x, solve(EQUATION, X, TIMES, REPLAY).x)


def test_an_equation_that_does_not_fit_is_refused() -> None:
    """Before any evaluation: one that has no score, and one with noise for a table that draws none."""
    scored = Replay(unroll(EQUATION, TIMES, Langevin(ExponentialAdams(1), 1, 0.1)))
    calls: list[float] = []

    def field(t: float, x: Tensor) -> Tensor:
        calls.append(t)
        return x

    with pytest.raises(ValueError, match=r"^Replay\(.*\) needs a score; give an equation that has one"):
        solve(ODE(field), X, TIMES, scored, WhiteNoise(0))
    assert not calls
    with pytest.raises(ValueError, match="Replay cannot integrate a stochastic equation"):
        solve(reverse_sde(DENOISER), X, TIMES, REPLAY, WhiteNoise(0))
    with pytest.raises(TypeError, match="scheme is of type Heun; give a Scheme"):
        Replay(Heun())  # type: ignore[arg-type]


def test_areas_are_drawn_with_their_increments() -> None:
    equation = reverse_sde(DENOISER)
    table = unroll(equation, TIMES, SRA1())
    assert {draw.kind for draw in table.draws} == {"increment", "area"}
    draws = list(chain.from_iterable(step.draws for step in table.program))
    assert all(len(places) == 2 for _, places in draws)
    assert re.match(r"Replay\(SRA1", repr(Replay(table)))

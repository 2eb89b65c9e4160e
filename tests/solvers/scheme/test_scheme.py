"""A method is its table: it runs as the solver does, survives a file, and is compared with others."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from toy import MIXTURE, PATHS, Draws, states

from fokker.generative import VP, CondOT, Denoiser, GaussianPath, flow, reverse_sde
from fokker.solvers import (
    EDM_HEUN,
    ODE,
    SDE,
    TRAPEZOID,
    Abilities,
    Ancestral,
    BrownianTree,
    Euler,
    EulerMaruyama,
    ExponentialAdams,
    ExponentialRK,
    Field,
    FunctionClock,
    Heun,
    Langevin,
    Scheme,
    Semilinear,
    Solver,
    Step,
    Stepper,
    Time,
    TorchDiffEq,
    TorchSDE,
    WhiteNoise,
    same,
    solve,
    unroll,
)
from fokker.solvers.scheme import Form, Symbol
from fokker.solvers.scheme.linear_form import LinearForm
from fokker.solvers.scheme.table import Draw, Evaluation
from fokker.verification.certificates.problems import INITIAL, PROBLEMS
from fokker.verification.certificates.table import FIXED_STEP, STOCHASTIC

TIMES = [0.0, 0.07, 0.2, 0.31, 0.5, 0.63, 0.8, 0.9, 1.0]
OWN = [solver for solver in FIXED_STEP if isinstance(solver, Stepper)]
NOISY = Semilinear(
    lambda t, x: torch.sin(x + t),
    FunctionClock(
        lambda t: torch.exp(-t),
        lambda t: torch.exp(-t) * (1.0 + t),
        lambda t: 0.3 * t,
        time_of=lambda r: r - 1.0,
    ),
)


def problems(solver: Solver) -> list[str]:
    return [name for name, it in PROBLEMS.items() if isinstance(it.equation, Semilinear) or not solver.semilinear]


@pytest.mark.parametrize(("solver", "name"), [(s, name) for s in OWN for name in problems(s)], ids=str)
def test_a_scheme_is_its_solver(solver: Solver, name: str, tmp_path: Path) -> None:
    """Within 1e-12 (8 steps of states of order 1); as many evaluations; the same after a file, by a bare field too."""
    equation = PROBLEMS[name].equation
    scheme = unroll(equation, TIMES, solver)
    solved = solve(equation, INITIAL, TIMES, solver, save=True)
    ran = scheme.run(equation, INITIAL, save=True)
    torch.testing.assert_close(ran.xs, solved.xs, rtol=0.0, atol=1e-12)
    assert scheme.nfe == ran.nfe == solved.nfe == solver.evaluations(8)
    assert (scheme.name, ran.accepted) == (repr(solver), 8)
    assert ran.ts.tolist() == solved.ts.tolist()
    scheme.save(tmp_path / "scheme.json")
    loaded = Scheme.load(tmp_path / "scheme.json")
    assert loaded == scheme
    field = equation.field if isinstance(equation, Semilinear) else equation.drift
    assert torch.equal(loaded.run(field, INITIAL).x, ran.x)


@pytest.mark.parametrize("solver", STOCHASTIC, ids=repr)
def test_a_stochastic_scheme_is_its_solver(solver: Solver) -> None:
    """On the path of a tree, and with the normals of a generator in the same order."""
    scheme, tree = unroll(NOISY, TIMES, solver), BrownianTree(INITIAL, 0.0, 1.0, seed=3, area=True)
    for noises in ((tree, tree), (WhiteNoise(5), WhiteNoise(5))):
        solved = solve(NOISY, INITIAL, TIMES, solver, noises[0]).x
        torch.testing.assert_close(scheme.run(NOISY, INITIAL, noises[1]).x, solved, rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("solver", [ExponentialAdams(4), ExponentialRK(3), Heun()], ids=repr)
def test_expanded_rows_are_the_states(solver: Solver) -> None:
    """x_i = a_i x₀ + Σ b_ij N_j + Σ c_ik ξ_k, with the values and normals of a run."""
    equation = NOISY if solver.stochastic else PROBLEMS["clock"].equation
    values: list[Tensor] = []
    scheme, generator = unroll(equation, TIMES, solver), torch.Generator().manual_seed(0)
    normals = [torch.randn(INITIAL.shape, dtype=torch.float64, generator=generator) for _ in scheme.draws]

    def field(t: float, x: Tensor) -> Tensor:
        values.append(equation.field(t, x))
        return values[-1]

    run = scheme.run(field, INITIAL, Draws(normals) if equation.stochastic else None, save=True)
    rows, arguments = scheme.expanded()
    assert rows.start.shape == (9,)
    assert rows.values.shape == (9, scheme.nfe)
    assert arguments.normals.shape == (scheme.nfe, len(scheme.draws))
    for i in range(9):
        state = rows.start[i] * INITIAL + sum(b * N for b, N in zip(rows.values[i], values, strict=True))
        state = state + sum(c * xi for c, xi in zip(rows.normals[i], normals, strict=True))
        torch.testing.assert_close(run.xs[i], state, rtol=0.0, atol=1e-12)


def test_rows_in_terms_of_the_model() -> None:
    """Of a predictor and corrector: values of the score and of ε-hat are those of M = (σ x₀ − α ε)/(α² + σ²)."""
    path, models = VP(), []
    equation = flow(MIXTURE.denoiser(path), "eps")

    def watch(function: Field) -> Field:
        def watched(t: float, x: Tensor) -> Tensor:
            alpha, sigma = path.alpha(t), path.sigma(t)
            models.append((sigma * MIXTURE.x0(x, t, path) - alpha * MIXTURE.eps(x, t, path)) / (alpha**2 + sigma**2))
            return function(t, x)

        return watched

    scheme = unroll(equation, UNEVEN, Langevin(ExponentialRK(2), 2, 0.1))
    generator = torch.Generator().manual_seed(0)
    x = states(path, UNEVEN[0])
    normals = [torch.randn(x.shape, dtype=torch.float64, generator=generator) for _ in scheme.draws]
    run = scheme.run(equation.wrapped(watch), x, Draws(normals), save=True)
    rows, _ = scheme.expanded()
    for i in range(8):
        state = rows.start[i] * x + sum(b * M for b, M in zip(rows.values[i], models, strict=True))
        state = state + sum(c * xi for c, xi in zip(rows.normals[i], normals, strict=True))
        torch.testing.assert_close(run.xs[i], state, rtol=0.0, atol=1e-11)


def test_a_file_keeps_everything(tmp_path: Path) -> None:
    """Kinds of evaluations and their bases, kinds of draws and their numbers; another format is refused."""
    scheme = unroll(flow(MIXTURE.denoiser(CondOT()), "x0"), UNEVEN, Langevin(Ancestral(ExponentialAdams(1)), 2, 0.1))
    assert {evaluation.kind for evaluation in scheme.evaluations} == {"field", "score"}
    assert all(evaluation.basis is not None for evaluation in scheme.evaluations)
    assert sorted(draw.index for draw in scheme.draws) == list(range(21))
    scheme.save(tmp_path / "scheme.json")
    assert Scheme.load(tmp_path / "scheme.json") == scheme
    table = json.loads((tmp_path / "scheme.json").read_text()) | {"format": "fokker-scheme-0"}
    del table["sha256"]
    (tmp_path / "scheme.json").write_text(json.dumps(table))
    with pytest.raises(ValueError, match=r"no scheme that Fokker wrote \(another format\)"):
        Scheme.load(tmp_path / "scheme.json")


def test_a_table_is_read_as_numbers() -> None:
    """DDIM on the straight path with a third, half and all of the noise removed: Euler's steps of x₀-hat."""
    equation = flow(Denoiser(lambda x, t: x, CondOT(), predicts="x0"), "x0")
    assert str(unroll(equation, [0.0, 0.25, 0.625, 1.0], ExponentialAdams(1))).splitlines() == [
        "ExponentialAdams(1): 3 steps, 3 evaluations, 0 normals",
        "step 0, t = 0 to 0.25",
        "    N0 = N(t = 0, x0)",
        "    x1 = 0.75 x0 + 0.25 N0",
        "step 1, t = 0.25 to 0.625",
        "    N1 = N(t = 0.25, x1)",
        "    x2 = 0.5 x1 + 0.5 N1",
        "step 2, t = 0.625 to 1",
        "    N2 = N(t = 0.625, x2)",
        "    x3 = N2",
    ]


def test_a_run_keeps_the_account_of_its_equation() -> None:
    class Twice(Field):
        def __call__(self, t: Time, x: Tensor) -> Tensor:
            return -x

        def evaluations(self, t: Time) -> int:
            return 2

    equation = ODE(Twice())
    nfe = unroll(equation, TIMES, Heun()).run(equation, INITIAL).nfe
    assert (nfe, nfe.depth, nfe.per_sample.tolist()) == (32, 16, [32] * 9)


def test_a_file_needs_no_solver(tmp_path: Path) -> None:
    """It is replayed with a few lines of plain Python, from the JSON alone."""
    equation, x = PROBLEMS["log clock"].equation, 0.3
    unroll(equation, TIMES, ExponentialAdams(3, corrector=True)).save(tmp_path / "scheme.json")
    table = json.loads((tmp_path / "scheme.json").read_text())
    known = {("x", 0): torch.full((1, 7), x, dtype=torch.float64)}
    evaluations = iter(enumerate(table["evaluations"]))
    j, following = next(evaluations)
    for i, state in enumerate(table["states"]):
        while following is not None and following["step"] == i:
            argument = sum(value * known[kind, number] for kind, number, value in following["argument"])
            known["N", j] = equation.field(following["time"], argument)
            j, following = next(evaluations, (None, None))
        known["x", i + 1] = sum(value * known[kind, number] for kind, number, value in state)
    solved = solve(equation, known["x", 0], TIMES, ExponentialAdams(3, corrector=True)).x
    torch.testing.assert_close(known["x", len(table["states"])], solved, rtol=0.0, atol=1e-12)


def test_memory_does_not_grow_with_the_steps() -> None:
    """What no later row needs is dropped: as many values stay as the method has history."""
    scheme = unroll(PROBLEMS["clock"].equation, torch.linspace(0.0, 1.0, 201), ExponentialAdams(3))
    kept = 1
    for step in scheme.program:
        kept += len(step.evaluations) + 1 - len(step.finished)
        assert kept <= 1 + 3 + 1
    idle = Evaluation(0, 0.0, {("x", 0): 1.0}), Draw(0, "normal", 0.0, 1.0)
    unused = Scheme("", (0.0, 1.0, 2.0), ({("x", 0): 1.0}, {("x", 1): 1.0}), idle[:1], idle[1:])
    assert [set(step.finished) for step in unused.program] == [{("x", 0), ("N", 0), ("ξ", 0)}, {("x", 1)}]


each_path = pytest.mark.parametrize("path", PATHS, ids=str)
UNEVEN = [0.05, 0.11, 0.3, 0.34, 0.6, 0.81, 0.9, 0.97]


@each_path
def test_what_is_the_same(path: GaussianPath) -> None:
    """DDIM in every form that freezes both predictions; with noise, or at second order, forms differ."""
    denoiser = MIXTURE.denoiser(path)
    for solver, alike in ((ExponentialAdams(1), True), (ExponentialAdams(2), False), (ExponentialRK(2), False)):
        x0, eps, velocity = (unroll(flow(denoiser, hold), UNEVEN, solver) for hold in ("x0", "eps", "velocity"))
        assert bool(same(x0, eps)) == bool(same(x0, velocity)) == alike
        noisy = [unroll(reverse_sde(denoiser, hold=hold), UNEVEN, solver) for hold in ("x0", "eps")]
        assert not same(*noisy)
        assert same(noisy[0], unroll(reverse_sde(denoiser, 1.0 + 1e-12), UNEVEN, solver))
    heun = unroll(flow(denoiser, "eps"), UNEVEN, ExponentialRK(EDM_HEUN))
    assert not same(heun, unroll(flow(denoiser, "eps"), UNEVEN, ExponentialRK(TRAPEZOID)))
    held_v, held_x0 = (unroll(flow(denoiser, hold), UNEVEN, ExponentialAdams(1)) for hold in ("v", "x0"))
    assert same(held_v, held_x0).step == 0


def test_where_two_methods_part() -> None:
    denoiser = MIXTURE.denoiser(CondOT())

    def table(solver: Solver, times: list[float] = UNEVEN) -> Scheme:
        return unroll(flow(denoiser), times, solver)

    one, two, three = (table(ExponentialAdams(order)) for order in (1, 2, 3))
    assert str(same(one, one)) == "the same method"
    first = same(one, two)
    assert (first.step, first.term) == (0, "start")  # whose first step is corrected
    assert "They part in step 0, the state, term start" in str(first)
    assert same(two, three).step == 1
    assert "7 steps against 6" in str(same(one, table(ExponentialAdams(1), UNEVEN[:-1])))
    later = same(one, table(ExponentialAdams(1), [*UNEVEN[:-1], 0.98]))
    assert "They part at time 7: t = 0.97 against 0.98" in str(later)
    assert (later.step, later.term) == (6, "time")
    assert "the time of evaluation 1: t = 0.11 against 0.08" in str(same(one, table(ExponentialRK(2))))


def test_a_relative_change_of_1e_8_is_a_difference() -> None:
    """Of any coefficient of a state or an argument; and so is one evaluation or draw more."""
    table = unroll(NOISY, TIMES, ExponentialRK(2))

    def changed(form: Form, symbol: Symbol) -> Form:
        return {each: value * (1.0 + (1e-8 if each == symbol else 0.0)) for each, value in form.items()}

    for symbol, term in ((("x", 3), "start"), (("N", 7), "N7"), (("ξ", 7), "ξ7")):
        states = [changed(state, symbol) if i == 3 else state for i, state in enumerate(table.states)]
        found = same(table, replace(table, states=tuple(states)))
        assert not found
        assert (found.step, found.term) == (3, term)
        assert "step 3, the state" in str(found)
    assert same(table, replace(table, states=(*table.states[:-1], changed(table.states[-1], ("ξ", 15))))).step == 7
    evaluations = list(table.evaluations)
    evaluations[7] = replace(evaluations[7], argument=changed(evaluations[7].argument, ("N", 6)))
    found = same(table, replace(table, evaluations=tuple(evaluations)))
    assert (found.step, found.term) == (3, "N6")
    assert "step 3, the argument of evaluation 7" in str(found)
    more = replace(table, evaluations=(*table.evaluations, table.evaluations[-1]))
    assert "16 evaluations against 17" in str(same(table, more))
    assert "16 normals against 17" in str(same(table, replace(table, draws=(*table.draws, table.draws[-1]))))


def test_arithmetic_of_forms() -> None:
    """As that of tensors, as far as it is linear; a tensor of one number may stand on either side."""
    x, n = LinearForm.symbol("x", 0), LinearForm.symbol("N", 3)
    number = torch.tensor([3.0], dtype=torch.float64)
    assert (2.0 * x + n * 0.5).terms == {("x", 0): 2.0, ("N", 3): 0.5}
    assert (x - 2.0 * n).terms == {("x", 0): 1.0, ("N", 3): -2.0}
    assert (-x / 4.0 + 0).terms == {("x", 0): -0.25}
    assert x.add(n, alpha=-3.0).terms == (x - n * number).terms == (x - number * n).terms
    assert torch.mul(number, n).terms == torch.mul(n, number).terms == {("N", 3): 3.0}
    assert (x - x).terms == {}
    assert sum([x, n]).terms == {("x", 0): 1.0, ("N", 3): 1.0}
    tensors = lambda: torch.ones(2) * x, lambda: x * torch.ones(2), lambda: torch.add(number, n)
    for wrong in (lambda: x + 1.0, lambda: x * n, *tensors):
        with pytest.raises(TypeError, match="no table of numbers"):
            wrong()


class Bent(Stepper[Any]):
    """No method: its step is not linear in the state."""

    abilities = Abilities(order=1)
    evaluations_per_step = 1

    def step(self, equation: Any, t0: float, t1: float, x: Any, state: Any, noise: Any) -> Step:
        return Step(torch.sin(x))


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    x = INITIAL
    quadratic = SDE(lambda t, x: -x, lambda t, x: 0.3 * x)
    with pytest.raises(TypeError, match=r"a product of states.*no table of numbers"):
        unroll(quadratic, TIMES, EulerMaruyama())
    with pytest.raises(TypeError, match="asks a state for its ndim"):
        unroll(SDE(lambda t, x: -x, lambda t, x: 0.3, noise="scalar"), TIMES, EulerMaruyama())
    with pytest.raises(TypeError, match="asks a state for its numel"):
        unroll(NOISY, TIMES, TorchSDE("euler"))
    with pytest.raises(TypeError, match="applies sin to a state"):
        unroll(ODE(lambda t, x: x), TIMES, Bent())
    with pytest.raises(TypeError, match="not made of steps of its own"):
        unroll(ODE(lambda t, x: x), TIMES, TorchDiffEq("rk4"))
    with pytest.raises(TypeError, match="needs a Semilinear equation"):
        unroll(ODE(lambda t, x: x), TIMES, ExponentialAdams(1))
    corrected = unroll(flow(MIXTURE.denoiser(CondOT())), UNEVEN, Langevin(Euler(), 1, 0.1))
    with pytest.raises(ValueError, match=r"needs a score; give an equation that has one"):
        corrected.run(lambda t, x: x, x, WhiteNoise(0))
    with pytest.raises(ValueError, match="needs noise; give WhiteNoise"):
        unroll(NOISY, TIMES, EulerMaruyama()).run(NOISY, x)
    (tmp_path / "other.json").write_text('{"format": "other"}')
    with pytest.raises(ValueError, match="no scheme that Fokker wrote"):
        Scheme.load(tmp_path / "other.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ValueError, match="no scheme that Fokker wrote"):
        Scheme.load(tmp_path / "broken.json")
    with pytest.raises(FileNotFoundError):
        Scheme.load(tmp_path / "none.json")

"""Parallel in time: bitwise the sequential result where nothing is tolerated, and an account of work and depth."""

from __future__ import annotations

import math
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fokker.generative import CondOT, Denoiser, flow, reverse_sde
from fokker.generative.equations import grids
from fokker.solvers import (
    ODE,
    RK4,
    Adaptive,
    BrownianTree,
    ButcherTableau,
    Euler,
    EulerMaruyama,
    ExponentialAdams,
    ExponentialRK,
    Heun,
    Langevin,
    Midpoint,
    Picard,
    RungeKutta,
    SolveError,
    Stepper,
    WhiteNoise,
    solve,
    unroll,
)
from fokker.solvers.equation import Field
from fokker.verification.certificates.problems import INITIAL, PROBLEMS
from fokker.verification.statistics.slopes import rms

TIMES = torch.linspace(0.0, 1.0, 33, dtype=torch.float64)
SOLVERS: list[Stepper] = [Euler(), Heun(), RK4(), ExponentialAdams(1), ExponentialRK(3)]


@pytest.mark.parametrize("window", [1, 5, 32, 100])
@pytest.mark.parametrize("solver", SOLVERS, ids=repr)
def test_without_tolerance_it_is_the_sequential_result(solver: Stepper, window: int) -> None:
    """Bitwise, of an elementwise field, with the table of the method in sequence; after at most n sweeps."""
    problem = PROBLEMS["log clock"]
    parallel = solve(problem.equation, INITIAL, TIMES, Picard(solver, window, tolerance=0.0), save=True)
    sequential = unroll(problem.equation, TIMES, solver).run(problem.equation, INITIAL, save=True)
    assert torch.equal(parallel.xs, sequential.xs)
    assert parallel.ts.tolist() == TIMES.tolist()
    assert parallel.nfe.depth <= sequential.nfe
    assert parallel.nfe == int(parallel.nfe.per_sample[0])
    assert parallel.accepted == 32
    if window == 1:
        assert parallel.nfe == parallel.nfe.depth == sequential.nfe


def test_after_k_sweeps_the_first_k_states_are_final() -> None:
    """x^{k+1}_i = x₀ + h Σ u(x^k_j): of x' = −x the error of a sweep falls faster than its factorial."""
    decay, n = ODE(lambda t, x: -x), 16
    times = torch.linspace(0.0, 1.0, n + 1, dtype=torch.float64)
    parallel = solve(decay, INITIAL, times, Picard(Euler(), n, tolerance=0.0))
    assert parallel.nfe.depth <= n
    assert parallel.nfe <= n * (n + 1) // 2
    assert rms(parallel.x - (1.0 - 1.0 / n) ** n * INITIAL) < 1e-15


@pytest.mark.parametrize("solver", SOLVERS, ids=repr)
def test_the_tolerance_is_a_share_of_the_discretisation_error(solver: Stepper) -> None:
    """For every method and step size; in fewer sweeps than steps, which hardly grow with their number."""
    problem, depths = PROBLEMS["clock" if solver.order < 3 else "log clock"], []
    for n in (32, 128):
        times = torch.linspace(0.0, 1.0, n + 1, dtype=torch.float64)
        sequential = solve(problem.equation, INITIAL, times, solver)
        parallel = solve(problem.equation, INITIAL, times, Picard(solver, n, tolerance=0.1))
        discretisation = rms(sequential.x - problem.exact(INITIAL))
        assert rms(parallel.x - sequential.x) <= 0.1 * discretisation
        depths.append(parallel.nfe.depth / (int(sequential.nfe) / n))
        assert depths[-1] < n
    assert depths[1] < 2.0 * depths[0]


def stages(tableau: ButcherTableau, drift: Field, t0: float, t1: float, x: Tensor) -> tuple[Tensor, Tensor]:
    """The first slope of a Runge-Kutta step, and its end."""
    slopes: list[Tensor] = []
    for c, row in zip(tableau.c[: tableau.evaluations], tableau.a, strict=False):
        inside = sum((a * k for a, k in zip(row, slopes, strict=True)), torch.zeros_like(x))
        slopes.append(drift(t0 + c * (t1 - t0), x + (t1 - t0) * inside))
    return slopes[0], x + (t1 - t0) * sum(b * k for b, k in zip(tableau.b, slopes, strict=False))


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("solver", [Euler(), Midpoint(), RK4()], ids=repr)
def test_sweeps_and_work_are_those_of_the_algorithm(solver: RungeKutta, backwards: bool) -> None:
    """Algorithm 1 of Shih et al. (2305.16317) in sequence, with the tolerance e = |h| |∇^p N| / (2^p (p + 1)!)."""
    drift, n, window, tolerance, p = PROBLEMS["ode"].equation.drift, 40, 16, 0.3, solver.order
    times = (torch.linspace(0.0, 1.0, n + 1, dtype=torch.float64) ** 1.2).tolist()
    times = times[::-1] if backwards else times
    states, begin, depth, work = [INITIAL] * (n + 1), 0, 0, 0
    while begin < n:
        end = min(begin + window, n)
        made = [stages(solver.tableau, drift, times[i], times[i + 1], states[i]) for i in range(begin, end)]
        depth, work = depth + solver.evaluations(1), work + solver.evaluations(end - begin)
        ends = torch.stack([after for _, after in made])
        off = ends - torch.stack(states[begin + 1 : end + 1])
        moved = ends + off.cumsum(0) - off
        change = (moved - torch.stack(states[begin + 1 : end + 1])).square().mean(2).sqrt()
        differences = torch.stack([first for first, _ in made]).diff(n=p, dim=0) if end - begin > p else 0.0 * ends[:1]
        settled = 0
        for k in range(end - begin):
            share = (times[begin + k + 1] - times[begin + k]) / (2**p * math.factorial(p + 1))
            error = share * differences[min(k, len(differences) - 1)]
            if (change[k] > tolerance * error.square().mean(1).sqrt()).any():
                break
            settled += 1
        states[begin + 1 :] = [*moved, *[moved[-1]] * (n - end)]
        begin += max(settled, 1)
    parallel = solve(PROBLEMS["ode"].equation, INITIAL, times, Picard(solver, window, tolerance))
    torch.testing.assert_close(parallel.x, states[-1], rtol=0.0, atol=1e-12)
    assert (parallel.nfe.depth, parallel.nfe) == (depth, work)


def test_what_no_longer_changes_is_final() -> None:
    """x' = 1 in steps of 1/32: the first sweep is exact, and the second one sees it."""
    start = torch.zeros(1, 1, dtype=torch.float64)
    parallel = solve(ODE(lambda t, x: torch.ones_like(x)), start, TIMES, Picard(Euler(), 32, tolerance=0.0))
    assert (parallel.nfe.depth, parallel.nfe) == (2, 32 + 31)


def test_steps_of_different_stages() -> None:
    """From α = 0 and to σ = 0 a step has one stage alone."""
    equation = flow(Denoiser(lambda x, t: torch.sin(x), CondOT(), predicts="x0"), "x0")
    times, solver = grids.uniform(CondOT(), 9), ExponentialRK(3)
    sequential = solve(equation, INITIAL, times, solver)
    parallel = solve(equation, INITIAL, times, Picard(solver, 5, tolerance=0.0))
    torch.testing.assert_close(parallel.x, sequential.x, rtol=0.0, atol=1e-12)
    assert sequential.nfe == 3 * 7 + 2


def test_normals_of_steps_that_are_done_are_dropped() -> None:
    drawn: list[Any] = []

    class Remembered(WhiteNoise):
        def normal(self, t0: float, t1: float, clock: Any, like: Tensor) -> Tensor:
            made = super().normal(t0, t1, clock, like)
            drawn.append(weakref.ref(made))
            assert sum(each() is not None for each in drawn) <= 7
            return made

    equation = reverse_sde(Denoiser(lambda x, t: torch.sin(x), CondOT(), predicts="x0"))
    times = grids.log_snr(CondOT(), 24, t0=0.1, t1=0.9)
    solve(equation, INITIAL, times, Picard(ExponentialAdams(1), 7, tolerance=0.0), Remembered(3))
    assert len(drawn) == 24


def test_noise_is_drawn_once_a_step() -> None:
    """In the order of the steps: from a generator as well as from a path."""
    torch.manual_seed(0)
    denoiser = Denoiser(lambda x, t: torch.sin(x), CondOT(), predicts="x0")
    times = grids.log_snr(CondOT(), 24, t0=0.1, t1=0.9)
    for solver, equation in (
        (ExponentialAdams(1), reverse_sde(denoiser)),
        (ExponentialRK(2), reverse_sde(denoiser, 0.5)),
        (EulerMaruyama(), reverse_sde(denoiser, hold="eps")),
    ):
        for noises in ((WhiteNoise(3), WhiteNoise(3)), (BrownianTree(INITIAL, 0.0, 1.0, 2),) * 2):
            sequential = solve(equation, INITIAL, times, solver, noises[0]).x
            parallel = solve(equation, INITIAL, times, Picard(solver, 7, tolerance=0.0), noises[1]).x
            torch.testing.assert_close(parallel, sequential, rtol=0.0, atol=1e-12)


def test_steps_that_ask_for_the_score_alone() -> None:
    """Annealed Langevin dynamics has no other evaluation; its normals are drawn once, in the order of the steps."""
    equation = flow(Denoiser(lambda x, t: torch.sin(x), CondOT(), predicts="x0"))
    times, solver = grids.log_snr(CondOT(), 12, t0=0.1, t1=0.9), Langevin(None, 2, 0.1)
    sequential = solve(equation, INITIAL, times, solver, WhiteNoise(1)).x
    parallel = solve(equation, INITIAL, times, Picard(solver, 5, tolerance=0.0), WhiteNoise(1)).x
    torch.testing.assert_close(parallel, sequential, rtol=0.0, atol=1e-12)


def test_labels_go_with_their_samples() -> None:
    torch.manual_seed(0)
    embedding, net = nn.Embedding(3, 4).double(), nn.Sequential(nn.Linear(7, 32), nn.SiLU(), nn.Linear(32, 2)).double()

    def predict(x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        return net(torch.cat([x, time[:, None], embedding(label)], dim=1))

    equation = flow(Denoiser(predict, CondOT(), predicts="velocity", label=[0, 2, 1, 2]))
    x, times = torch.randn(4, 2, dtype=torch.float64), grids.uniform(CondOT(), 20)
    with torch.no_grad():
        sequential = solve(equation, x, times, Euler()).x
        parallel = solve(equation, x, times, Picard(Euler(), 8, 0.0)).x
    torch.testing.assert_close(parallel, sequential, rtol=0.0, atol=1e-13)


def test_failures_keep_what_is_done() -> None:
    def drift(t: Any, x: Tensor) -> Tensor:
        return torch.where(torch.as_tensor(t).reshape(-1, 1) > 0.6, torch.nan, -x)

    with pytest.raises(SolveError, match=r"not finite after step 21, .*sample 0, component \(0,\)") as failure:
        solve(ODE(drift), INITIAL, TIMES, Picard(Euler(), 8), save=True)
    assert failure.value.solution.ts[-1] == TIMES[20]
    with pytest.raises(SolveError, match="max_nfe = 50 evaluations were spent at t = ") as failure:
        solve(PROBLEMS["ode"].equation, INITIAL, TIMES, Picard(Euler(), 8, tolerance=0.0), max_nfe=50)
    partial = failure.value.solution
    assert 0 < partial.nfe <= 50
    sequential = solve(PROBLEMS["ode"].equation, INITIAL, TIMES, Euler(), save=True)
    torch.testing.assert_close(partial.x, sequential.xs[partial.accepted], rtol=0.0, atol=1e-14)
    assert partial.ts.tolist() == TIMES[: partial.accepted + 1].tolist()


def test_bad_input_gets_one_clear_sentence() -> None:
    with pytest.raises(ValueError, match="whose steps do not look back"):
        Picard(ExponentialAdams(2), 8)
    with pytest.raises(ValueError, match="whose steps do not look back"):
        Picard(ExponentialAdams(1, corrector=True), 8)
    equation = flow(Denoiser(lambda x, t: torch.sin(x), CondOT(), predicts="x0"))
    with pytest.raises(ValueError, match="Picard needs noise"):
        solve(equation, INITIAL, TIMES[1:], Picard(Langevin(None, 2, 0.1), 8))
    with pytest.raises(ValueError, match="window is 0, but must be a whole number from 1"):
        Picard(Euler(), 0)
    with pytest.raises(ValueError, match="no error estimate"):
        solve(ODE(lambda t, x: x), INITIAL, Adaptive(0.0, 1.0, rtol=1e-3, atol=1e-3), Picard(Euler(), 8))

"""Parallel in time: bitwise the sequential result where nothing is tolerated, and an account of work and depth."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from cases import INITIAL, PROBLEMS, label
from convergence import rms
from torch import Tensor, nn

from fokker.generative import CondOT, Denoiser, flow, grids, reverse_sde
from fokker.solvers import (
    ODE,
    RK4,
    Adaptive,
    BrownianTree,
    Euler,
    EulerMaruyama,
    ExponentialAdams,
    ExponentialRK,
    Heun,
    Langevin,
    Picard,
    SolveError,
    Stepper,
    WhiteNoise,
    solve,
    unroll,
)

TIMES = torch.linspace(0.0, 1.0, 33, dtype=torch.float64)
SOLVERS: list[Stepper] = [Euler(), Heun(), RK4(), ExponentialAdams(1), ExponentialRK(3)]


@pytest.mark.parametrize("window", [1, 5, 32, 100])
@pytest.mark.parametrize("solver", SOLVERS, ids=label)
def test_without_tolerance_it_is_the_sequential_result(solver: Stepper, window: int) -> None:
    """Bitwise, of an elementwise field, with the table of the method in sequence; after at most n sweeps."""
    problem = PROBLEMS["log clock"]
    parallel = solve(problem.equation, INITIAL, TIMES, Picard(solver, window, tolerance=0.0), save=True)
    sequential = unroll(problem.equation, TIMES, solver).run(problem.equation, INITIAL, save=True)
    assert torch.equal(parallel.xs, sequential.xs)
    assert parallel.ts.tolist() == TIMES.tolist()
    assert parallel.nfe.depth <= sequential.nfe
    assert parallel.nfe == parallel.nfe.per_sample[0]
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


@pytest.mark.parametrize("solver", SOLVERS, ids=label)
def test_the_tolerance_is_a_share_of_the_discretisation_error(solver: Stepper) -> None:
    """For every method and step size; in fewer sweeps than steps, which hardly grow with their number."""
    problem, depths = PROBLEMS["clock" if solver.order < 3 else "log clock"], []
    for n in (32, 128):
        times = torch.linspace(0.0, 1.0, n + 1, dtype=torch.float64)
        sequential = solve(problem.equation, INITIAL, times, solver)
        parallel = solve(problem.equation, INITIAL, times, Picard(solver, n, tolerance=0.1))
        discretisation = rms(sequential.x - problem.exact(INITIAL))
        assert rms(parallel.x - sequential.x) <= 0.1 * discretisation
        depths.append(parallel.nfe.depth / (sequential.nfe / n))
        assert depths[-1] < n
    assert depths[1] < 2.0 * depths[0]


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
        return torch.where(torch.as_tensor(t) > 0.6, torch.nan, -x)

    with pytest.raises(SolveError, match=r"not finite after step 21, .*sample 0, component \(0,\)") as failure:
        solve(ODE(drift), INITIAL, TIMES, Picard(Euler(), 8), save=True)
    assert failure.value.solution.ts[-1] == TIMES[20]
    with pytest.raises(SolveError, match="max_nfe = 50 evaluations were spent at t = ") as failure:
        solve(PROBLEMS["ode"].equation, INITIAL, TIMES, Picard(Euler(), 8), max_nfe=50)
    assert 0 < failure.value.solution.nfe <= 50
    assert math.isfinite(rms(failure.value.solution.x))


def test_bad_input_gets_one_clear_sentence() -> None:
    with pytest.raises(ValueError, match="whose steps do not look back"):
        Picard(ExponentialAdams(2), 8)
    with pytest.raises(ValueError, match="window >= 1"):
        Picard(Euler(), 0)
    with pytest.raises(ValueError, match="no error estimate"):
        solve(ODE(lambda t, x: x), INITIAL, Adaptive(0.0, 1.0, rtol=1e-3, atol=1e-3), Picard(Euler(), 8))

"""Both ends: at α = 0 and at σ = 0 every coefficient has a limit, and few steps are as sound as many."""

from __future__ import annotations

import pytest
import torch
from toy import ENDS, GAUSSIAN, MIXTURE, states

from fokker.generative import VE, VP, CondOT, Cosine, GaussianPath, flow, reverse_sde
from fokker.generative.equations import grids
from fokker.generative.paths import (
    GeometricVE,
    NoisyCondOT,
    Polynomial,
    Shifted,
    SubVP,
    Table,
    scaled_linear_betas,
    zero_terminal_snr,
)
from fokker.solvers import ExponentialAdams, WhiteNoise, solve

OTHERS: list[GaussianPath] = [
    CondOT(sigma_min=0.01),
    SubVP(),
    Polynomial(2.0),
    GeometricVE(),
    NoisyCondOT(0.1),
    Table(scaled_linear_betas()),
    Table(zero_terminal_snr(scaled_linear_betas())),
    Shifted(CondOT(), -1.0),
    Shifted(VP(), 0.7),
]
"""Paths of the other classes, for tests at one order."""

each_end = pytest.mark.parametrize("path", ENDS, ids=str)
each_order = pytest.mark.parametrize("order", [1, 2, 3, 4])
each_corrector = pytest.mark.parametrize("corrector", [False, True], ids=["predictor", "corrector"])


def test_no_path_is_missing_here() -> None:
    """`Scheduled` wraps a scheduler of flow_matching, whose formulas are those of other paths here."""
    ours = {name for name, kind in GaussianPath.registered().items() if kind.__module__.startswith("fokker.")}
    assert {type(path).__name__ for path in [*ENDS, *OTHERS]} == ours - {"Scheduled"}


@each_end
@each_order
@each_corrector
@pytest.mark.parametrize("hold", ["x0", "velocity", "v"])
def test_few_steps_stay_near_the_data(path: GaussianPath, order: int, corrector: bool, hold: str) -> None:
    equation, x = flow(MIXTURE.denoiser(path), hold), states(path, 0.0)
    solver = ExponentialAdams(order, corrector=corrector)
    for grid in (grids.uniform, grids.log_snr):
        for n in (1, 2, 3):
            assert solve(equation, x, grid(path, n), solver).x.abs().max() < 15.0


@each_end
@each_order
@each_corrector
def test_few_steps_that_hold_eps_are_finite(path: GaussianPath, order: int, corrector: bool) -> None:
    """They divide by the first α: where it is 0 there is no step, and where it is small no bound."""
    equation, x = flow(MIXTURE.denoiser(path), "eps"), states(path, 0.0)
    solver = ExponentialAdams(order, corrector=corrector)
    for n in (1, 2, 3):
        if path.alpha(0.0) == 0.0:
            with pytest.raises(ValueError, match="scale S vanishes at t = 0"):
                solve(equation, x, grids.uniform(path, n), solver)
        else:
            assert solve(equation, x, grids.uniform(path, n), solver).x.isfinite().all()


@each_end
@each_order
@each_corrector
@pytest.mark.parametrize("hold", ["x0", "velocity", "v"])
def test_many_steps_arrive(path: GaussianPath, order: int, corrector: bool, hold: str) -> None:
    """The first and the last step cost no accuracy: against the exact map of a Gaussian, from end to end."""
    x, solver = states(path, 0.0), ExponentialAdams(order, corrector=corrector)
    solved = solve(flow(GAUSSIAN.denoiser(path), hold), x, grids.log_snr(path, 60), solver).x
    error = (solved - GAUSSIAN.flow_map(x, 0.0, 1.0, path)).abs().max()
    assert error < (0.15 if solver.order == 1 else 0.02)


@pytest.mark.parametrize("path", OTHERS, ids=str)
@pytest.mark.parametrize("hold", ["x0", "velocity", "v"])
def test_every_other_path_from_end_to_end(path: GaussianPath, hold: str) -> None:
    test_few_steps_stay_near_the_data(path, 3, True, hold)
    test_many_steps_arrive(path, 3, False, hold)
    x, equation = states(path, 0.0), reverse_sde(MIXTURE.denoiser(path), 1.0)
    for n in (1, 3):
        assert solve(equation, x, grids.uniform(path, n), ExponentialAdams(2), WhiteNoise(0)).x.isfinite().all()


@pytest.mark.parametrize("path", [CondOT(), VP(), VE()], ids=str)
@each_order
def test_the_last_step_returns_the_denoised_state(path: GaussianPath, order: int) -> None:
    """Holding x₀ to σ = 0, whatever the past values: x₁ = x₀-hat of the state before."""
    times = grids.uniform(path, 7)
    equation = flow(MIXTURE.denoiser(path), "x0")
    solution = solve(equation, states(path, 0.0), times, ExponentialAdams(order), save=True)
    denoised = MIXTURE.x0(solution.xs[-2], times[-2].item(), path)
    torch.testing.assert_close(solution.x, denoised, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("path", [Cosine(), VP(), VE()], ids=str)
@each_order
@each_corrector
@pytest.mark.parametrize(("hold", "eta"), [("x0", 0.5), ("x0", 1.0), ("eps", 1.0)])
def test_few_stochastic_steps_are_finite(
    path: GaussianPath, order: int, corrector: bool, hold: str, eta: float
) -> None:
    equation = reverse_sde(MIXTURE.denoiser(path), eta, hold)
    solver = ExponentialAdams(order, corrector=corrector)
    for n in (1, 2, 3):
        solved = solve(equation, states(path, 0.0), grids.uniform(path, n), solver, WhiteNoise(0)).x
        assert solved.isfinite().all()

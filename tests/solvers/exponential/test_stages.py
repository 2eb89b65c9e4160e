"""Exponential Runge-Kutta tableaus prove their stiff order, and keep what they prove where log r runs fast."""

from __future__ import annotations

import dataclasses
import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from fokker.generative import VP, CondOT, Cosine, flow, reverse_sde
from fokker.generative.equations import grids
from fokker.solvers import (
    DPM_SOLVER_2,
    EDM_HEUN,
    TRAPEZOID,
    ExponentialAdams,
    ExponentialRK,
    ExponentialTableau,
    FunctionClock,
    Semilinear,
    Solver,
    interpolated,
    solve,
)
from fokker.solvers.exponential.tableau import EULER, FOURTH, MIDPOINT, THIRD
from fokker.verification import Gaussian
from fokker.verification.certificates.problems import INITIAL, PROBLEMS
from fokker.verification.statistics.slopes import rms, slope

TABLEAUS = [EULER, MIDPOINT, TRAPEZOID, EDM_HEUN, DPM_SOLVER_2, THIRD, FOURTH]
each = pytest.mark.parametrize("tableau", TABLEAUS, ids=lambda tableau: tableau.name)


@each
def test_no_tableau_claims_less_than_it_is(tableau: ExponentialTableau) -> None:
    if tableau.order < 4:
        with pytest.raises(ValueError, match=f"not of stiff order {tableau.order + 1}: it misses"):
            dataclasses.replace(tableau, order=tableau.order + 1, embedded_b=tableau.b)


@each
def test_every_coefficient_is_checked(tableau: ExponentialTableau) -> None:
    """A change of 1e-9 in any of them is refused."""
    rows = [("b", tableau.b), ("embedded_b", tableau.embedded_b), *enumerate(tableau.a)]
    for place, row in rows if tableau.order > 1 else rows[:1]:
        for stage, entry in row.items():
            for key in entry:
                wrong = {**row, stage: {**entry, key: entry[key] + 1e-9}}
                rest = tableau.a if isinstance(place, str) else (*tableau.a[:place], wrong, *tableau.a[place + 1 :])
                changes = {place: wrong} if isinstance(place, str) else {"a": rest}
                with pytest.raises(ValueError, match="is not of stiff order"):
                    dataclasses.replace(tableau, **changes)


def test_a_condition_that_holds_at_z_0_alone_is_not_enough() -> None:
    """Heun's third-order weights 1/4, 0, 3/4 times φ₁: Σ b_i c_i is φ₂ only there."""
    with pytest.raises(ValueError, match="not of stiff order 3: it misses ψ₂ = 0"):
        dataclasses.replace(THIRD, b={0: {(1, -1): 1 / 4}, 2: {(1, -1): 3 / 4}})


@pytest.mark.parametrize("solver", [ExponentialRK(3), ExponentialAdams(4)], ids=str)
def test_a_clock_below_zero(solver: Solver) -> None:
    """d(x/S) = N dr = (−N) d(−r)."""
    above = PROBLEMS["log clock"].equation
    clock = FunctionClock(
        above.clock.scale, lambda t: -above.clock.gain(t), time_of=lambda r: above.clock.time(-r), in_log=True
    )
    below = Semilinear(lambda t, x: -above.field(t, x), clock)
    ends = [solve(equation, INITIAL, [0.0, 0.1, 0.35, 0.6, 0.7, 1.0], solver).x for equation in (above, below)]
    torch.testing.assert_close(*ends, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("corrector", [False, True])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_a_clock_through_zero(order: int, corrector: bool) -> None:
    """Where log|r| is infinite on the way no value is carried across: of r = t − 1/2 a constant N is exact."""
    equation = Semilinear(
        lambda t, x: torch.ones_like(x),
        FunctionClock(torch.ones_like, lambda t: t - 0.5, time_of=lambda r: r + 0.5, in_log=True),
    )
    start, times = torch.zeros(1, 1, dtype=torch.float64), torch.linspace(0.0, 1.0, 13, dtype=torch.float64)
    end = solve(equation, start, times, ExponentialAdams(order, corrector=corrector)).x
    assert end.item() == pytest.approx(1.0, abs=1e-14)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_a_last_step_to_r_0_keeps_its_order(order: int) -> None:
    """N = log^m r with m < k: ∫_r^0 log^m ρ dρ = −r Σ_j (−1)^j m!/(m − j)! log^{m−j} r, from k values."""
    m = order - 1
    equation = Semilinear(
        lambda t, x: math.log1p(-t) ** m * torch.ones_like(x),
        FunctionClock(torch.ones_like, lambda t: 1.0 - t, time_of=lambda r: 1.0 - r, in_log=True),
    )
    times = [0.0, 0.2, 0.3, 0.5, 0.6, 0.8, 0.85, 1.0]
    xs = solve(equation, torch.zeros(1, 1, dtype=torch.float64), times, ExponentialAdams(order), save=True).xs
    assert xs is not None
    r = 1.0 - times[-2]
    exact = -r * sum((-1) ** j * math.perm(m, j) * math.log(r) ** (m - j) for j in range(order))
    assert (xs[-1] - xs[-2]).item() == pytest.approx(exact, rel=1e-11)


def test_interpolated_rows() -> None:
    """Linear at 0 and c: b₂ = φ₂/c, b₁ = φ₁ − φ₂/c."""
    expected = {0: {(1, -1): 1.0, (2, -1): -2.0}, 1: {(1, -1): 0.0, (2, -1): 2.0}}
    assert interpolated(-1, 1.0, {0: 0.0, 1: 0.5}) == expected


@pytest.mark.parametrize(
    ("solver", "order"),
    [
        (ExponentialRK(DPM_SOLVER_2), 1),
        (ExponentialRK(EDM_HEUN), 1),
        (ExponentialRK(2), 2),
        (ExponentialRK(TRAPEZOID), 2),
        (ExponentialRK(3), 2),
        (ExponentialRK(4), 3),
    ],
    ids=str,
)
def test_order_where_log_r_runs_fast(solver: ExponentialRK, order: int) -> None:
    """x' = −λ (x − N(t)), z = λh = 50 for all h: the order is that up to which the conditions of b hold for all z.

    Where b₂ stands at z = 0, as DPM-Solver-2 and Heun have it, one order is lost.
    """
    steps = [4, 8, 16, 32]
    errors = [rms(along(n, solver) - slow(100.0 * n)) for n in steps]
    assert abs(slope(steps, errors) - order) <= 0.15


PHASES = torch.linspace(0.0, 6.0, 9, dtype=torch.float64).reshape(-1, 1)


def along(steps: int, solver: ExponentialRK) -> Tensor:
    """From t = 0 to 1/2; every step has a scale of its own, S = e^{−λ(t − s)}: one over all would underflow."""
    state, rate = torch.zeros_like(PHASES), 100.0 * steps
    for s, t in pairwise(torch.linspace(0.0, 0.5, steps + 1, dtype=torch.float64).tolist()):
        local = Semilinear(
            lambda u, x: (2.0 * u + PHASES).sin(),
            FunctionClock(
                lambda u, s=s: torch.exp(-rate * (u - s)),
                torch.ones_like,
                time_of=lambda r, s=s: s + r.log() / rate,
                in_log=True,
            ),
        )
        state = solve(local, state, [s, t], solver).x
    return state


def slow(rate: float) -> Tensor:
    """∫₀^t λ e^{−λ(t−s)} sin(2s + φ) ds at t = 1/2, its transient below e^{−200} left out."""
    angle = 1.0 + PHASES
    return (angle.sin() - 2.0 / rate * angle.cos()) / (1.0 + (2.0 / rate) ** 2)


@pytest.mark.parametrize("hold", ["x0", "eps", "velocity"])
@pytest.mark.parametrize("solver", [ExponentialRK(2), ExponentialRK(3), ExponentialRK(4)], ids=str)
def test_a_step_to_an_end_is_finite(solver: ExponentialRK, hold: str) -> None:
    """Of 1, 2 and 3 steps to σ = 0, from α = 0 where the form allows it; and of none is the weight infinite."""
    eye = torch.eye(2, dtype=torch.float64)
    for path in (CondOT(), VP(), Cosine(-math.inf, math.inf)):
        denoiser = Gaussian(eye[0], 0.1 * eye).denoiser(path)
        if hold == "velocity" and not isinstance(path, CondOT):
            continue
        start = 0.1 if hold == "eps" else 0.0
        for n in (1, 2, 3):
            end = solve(flow(denoiser, hold), eye, grids.uniform(path, n, t0=start), solver)
            assert torch.isfinite(end.x).all()
            assert end.nfe <= solver.evaluations(n)


def test_one_stage_is_one_value() -> None:
    eye = torch.eye(2, dtype=torch.float64)
    equation = flow(Gaussian(eye[0], 0.1 * eye).denoiser(CondOT()), "x0")
    times = grids.uniform(CondOT(), 7)
    ends = [solve(equation, eye, times, solver).x for solver in (ExponentialRK(EULER), ExponentialAdams(1))]
    torch.testing.assert_close(*ends, rtol=1e-14, atol=1e-14)


def test_bad_input_gets_one_clear_sentence() -> None:
    eye = torch.eye(2, dtype=torch.float64)
    denoiser = Gaussian(eye[0], 0.1 * eye).denoiser(CondOT())
    with pytest.raises(ValueError, match="orders 2, 3 and 4, but got 5"):
        ExponentialRK(5)
    with pytest.raises(ValueError, match="scale S vanishes at t = 0"):
        solve(flow(denoiser, "eps"), eye, [0.0, 0.5, 1.0], ExponentialRK(2))
    with pytest.raises(ValueError, match="needs noise"):
        solve(reverse_sde(denoiser), eye, [0.1, 0.5], ExponentialRK(2))
    plain = Semilinear(lambda t, x: x, FunctionClock(torch.ones_like, lambda t: t))
    with pytest.raises(ValueError, match=r"inverse of the clock, but FunctionClock has none; give it time\(r\)"):
        solve(plain, eye, [0.0, 0.5, 1.0], ExponentialRK(3))
    with pytest.raises(ValueError, match="or use ExponentialAdams up to order 3"):
        solve(plain, eye, [0.0, 0.5, 1.0], ExponentialAdams(4))
    assert solve(plain, eye, [0.0, 0.5, 1.0], ExponentialAdams(3)).nfe == 2  # which starts without stages

"""The one table of every solver: how it is made, and what it is measured on.

Every solver that `fokker.solvers` exports must stand here, with all its variants; the order tests read the declared
order from the solver itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

import fokker.solvers as solvers
from fokker.solvers import (
    DPM_SOLVER_2,
    EDM_HEUN,
    ODE,
    RK4,
    SRA1,
    TRAPEZOID,
    Ancestral,
    Bosh3,
    Churn,
    Dopri5,
    Equation,
    Euler,
    EulerMaruyama,
    ExponentialAdams,
    ExponentialRK,
    Halving,
    Heun,
    Langevin,
    LeimkuhlerMatthews,
    Midpoint,
    Milstein,
    Picard,
    Ralston,
    Restart,
    SciPy,
    Semilinear,
    Solver,
    StochasticHeun,
    Time,
    TorchDiffEq,
    TorchSDE,
    Tsit5,
)

__all__ = ["CERTIFIED_IN", "EXPORTED", "FIXED_STEP", "INITIAL", "PROBLEMS", "STOCHASTIC", "Problem", "label"]

CLASSICAL = [EulerMaruyama(), Milstein(), StochasticHeun(), SRA1(), LeimkuhlerMatthews()]

ADAMS = [ExponentialAdams(order, corrector=corrector) for order in (1, 2, 3, 4) for corrector in (False, True)]

EXPONENTIAL_RK = [ExponentialRK(order) for order in (2, 3, 4, TRAPEZOID, DPM_SOLVER_2, EDM_HEUN)]

FIXED_STEP: list[Solver] = [
    *(Euler(), Midpoint(), Heun(), Ralston(), RK4(), Bosh3(), Dopri5(), Tsit5()),
    *CLASSICAL,
    *ADAMS,
    *EXPONENTIAL_RK,
    *(TorchDiffEq(method) for method in TorchDiffEq.FIXED),
    *(Halving(solver) for solver in (Euler(), Heun(), ExponentialRK(3))),
]
"""Every solver and variant that takes any equation on a grid of times."""

STOCHASTIC: list[Solver] = [*CLASSICAL, *ADAMS, *EXPONENTIAL_RK]
"""Those that take noise."""

EXPORTED = {
    value
    for value in vars(solvers).values()
    if isinstance(value, type) and issubclass(value, Solver) and not value.__subclasses__()
}
"""The concrete solvers of the public interface."""


CERTIFIED_IN = {
    Ancestral: "test_sampler_laws",
    Churn: "test_sampler_laws",
    Langevin: "test_sampler_laws",
    Restart: "test_sampler_laws",
    Picard: "test_parallel",
    SciPy: "test_ode_backends",
    TorchSDE: "test_torch_sde",
}
"""Where the orders of the others are measured, which need noise, a noising process or adaptive steps."""


def label(solver: Solver) -> str:
    return repr(solver)


SPEEDS = torch.linspace(2.0, 6.0, 7, dtype=torch.float64)
"""Each column of the state turns at its own speed, so that no error constant vanishes by accident for all of them."""
INITIAL = torch.linspace(0.1, 0.9, 9, dtype=torch.float64).reshape(-1, 1).expand(-1, len(SPEEDS)).contiguous()


@dataclass(frozen=True)
class Problem:
    """A nonlinear, non-autonomous equation on [0, 1] with the exact solution at t, the end if it is not given.

    Its field takes one time, or one a sample.
    """

    equation: Equation
    exact: Callable[..., Tensor]


def _logistic() -> Problem:
    """x' = 2 ω cos(ωt) x (1 − x): x_t = x₀ e^s / (1 − x₀ + x₀ e^s), s = 2 sin ωt.

    Errors of fifth order reach their asymptotic slope a hundred times above the rounding.
    """

    def drift(t: Time, x: Tensor) -> Tensor:
        speeds = SPEEDS.to(x.dtype)
        return 2.0 * speeds * (speeds * t).cos() * x * (1.0 - x)

    def exact(x: Tensor, t: float = 1.0) -> Tensor:
        growth = (2.0 * (SPEEDS * t).sin()).exp()
        return x * growth / (1.0 - x + x * growth)

    return Problem(ODE(drift), exact)


def _riccati(logarithmic: bool) -> Problem:
    """d(x/S) = −ω cos(ωr) (x/S)²/4 dr, with S = e^{−t} + t, and r = e^{t − 1} or sin t.

    z_t = z₀ / (1 + z₀ (sin ωr_t − sin ωr₀)/4), and S = 1 at t = 0.
    """

    def scale(t: Tensor) -> Tensor:
        return torch.exp(-t) + t

    def clock(t: Tensor) -> Tensor:
        return torch.exp(t - 1.0) if logarithmic else torch.sin(t)

    def field(t: Time, x: Tensor) -> Tensor:
        time, speeds = torch.as_tensor(t, dtype=torch.float64), SPEEDS.to(x.dtype)
        return -0.25 * speeds * (speeds * clock(time)).cos() * (x / scale(time)) ** 2

    def exact(x: Tensor, t: float = 1.0) -> Tensor:
        start, end = (torch.tensor(time, dtype=torch.float64) for time in (0.0, t))
        turned = 0.25 * ((SPEEDS * clock(end)).sin() - (SPEEDS * clock(start)).sin())
        return scale(end) * x / (1.0 + turned * x)

    equation = Semilinear(
        field,
        scale,
        lambda t: scale(t) * clock(t),
        logarithmic=logarithmic,
        time=(lambda r: r.log() + 1.0) if logarithmic else torch.asin,
    )
    return Problem(equation, exact)


PROBLEMS = {"ode": _logistic(), "log clock": _riccati(logarithmic=True), "clock": _riccati(logarithmic=False)}

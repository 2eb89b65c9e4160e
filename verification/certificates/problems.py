"""Deterministic equations with exact flow maps, on which orders are measured.

    logistic    x' = 2 ω cos(ωt) x (1 − x)               x_t = x_s e^g / (1 − x_s + x_s e^g), g = 2 (sin ωt − sin ωs)
    riccati     d(x/S) = −¼ ω cos(ωr) (x/S)² dr          z_t = z_s / (1 + ¼ z_s (sin ωr_t − sin ωr_s)), z = x/S
    sampling    the flow of a mixture on the line        x_t = F_t⁻¹(F_s(x_s)), F the distribution function of p_t

All three are nonlinear, so that no order condition holds by accident. All three depend on time explicitly, so that a
stage at the wrong time shows. Each column of a state has its own speed ω, and there are many initial points, so that no
error constant vanishes for all of them.

`sampling` takes any path and any quantity to hold, and runs between fixed levels of noise. The distance from its end to
the data is the bias of an early stop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...generative.equations import flow, grids
from ...generative.paths import GaussianPath
from ...solvers import ODE, Equation, FunctionClock, Semilinear, Time
from ...solvers.common import (
    check_callable,
    check_fields,
    check_finite,
    check_floating,
    check_instance,
    host,
    real,
    reals,
)
from ...solvers.field import column
from ..oracles import GaussianMixture

__all__ = ["INITIAL", "PROBLEMS", "Levels", "SPEEDS", "Problem", "sampling", "uniform"]

SPEEDS = torch.linspace(2.0, 6.0, 7, dtype=torch.float64, device="cpu")
INITIAL = torch.linspace(0.1, 0.9, 9, dtype=torch.float64, device="cpu").reshape(-1, 1).repeat(1, len(SPEEDS))


def uniform(n: int) -> Tensor:
    """n equal steps from 0 to 1."""
    return torch.linspace(0.0, 1.0, n + 1, dtype=torch.float64, device="cpu")


@dataclass(frozen=True)
class Problem:
    """A deterministic equation with its exact flow map.

    Its field takes one time, or one a sample.

    Attributes:
        name: in certificates.
        equation: the equation.
        flow: flow(x, s, t), the state at time t of the solution that is at x, (B, ...), at time s.
        x: the initial states, float64.
        grid: grid(n), the times of n steps.
        end: the time at which the solution is wanted, if the grid ends before it.

    Raises:
        TypeError: a field of another kind.
        ValueError: initial states that are not finite or not in float64; and where it is solved, a flow that returns
            another shape.
    """

    name: str
    equation: Equation
    flow: Callable[[Tensor, float, float], Tensor]
    x: Tensor
    grid: Callable[[int], Tensor] = uniform
    end: float | None = None

    def __post_init__(self) -> None:
        check_instance("name", self.name, str, "a name")
        check_instance("equation", self.equation, Equation, "an equation, such as ODE(drift)")
        check_callable("flow", self.flow, "a function of x and two times")
        check_callable("grid", self.grid, "a function of the number of steps")
        check_floating("x", self.x)
        check_finite("x", self.x)
        if not self.x.numel():
            raise ValueError(f"x has shape {tuple(self.x.shape)}, but an order is measured on one state at least.")
        if self.x.dtype != torch.float64:
            raise ValueError(f"x is {self.x.dtype}, in which rounding hides high orders; give x.double().")
        if self.end is not None:
            check_fields(self, real, "end")

    def exact(self, x: Tensor, t: float | None = None) -> Tensor:
        """The solution at t, the end of the grid if it is not given, from x at its start."""
        start, end = self._ends
        found = self.flow(x, start, end if t is None else t)
        if not isinstance(found, Tensor) or found.shape != x.shape:
            given = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else f"a {type(found).__name__}"
            raise ValueError(f"The flow of {self.name} returned {given} for states of shape {tuple(x.shape)}.")
        return found

    @property
    def _ends(self) -> tuple[float, float]:
        """The first and the last time."""
        ends = reals(f"The grid of {self.name}", self.grid(1))
        if len(ends) != 2:
            raise ValueError(f"The grid of {self.name} returned {len(ends)} times for one step; it must return 2.")
        return ends[0], ends[1]


def _logistic(t: Time, x: Tensor) -> Tensor:
    """The drift. Errors of fifth order reach their asymptotic slope a hundred times above the rounding."""
    speeds = SPEEDS.to(x.dtype)
    t = column(t, x) if isinstance(t, Tensor) else t
    return 2.0 * speeds * (speeds * t).cos() * x * (1.0 - x)


def _logistic_flow(x: Tensor, s: float, t: float) -> Tensor:
    growth = (2.0 * ((SPEEDS * t).sin() - (SPEEDS * s).sin())).exp()
    return x * growth / (1.0 - x + x * growth)


@dataclass(frozen=True)
class _Riccati:
    """S = e^{−t} + t, and r = e^{t − 1} or sin t."""

    logarithmic: bool

    def scale(self, t: Tensor) -> Tensor:
        return torch.exp(-t) + t

    def clock(self, t: Tensor) -> Tensor:
        return torch.exp(t - 1.0) if self.logarithmic else torch.sin(t)

    def gain(self, t: Tensor) -> Tensor:
        return self.scale(t) * self.clock(t)

    def time(self, r: Tensor) -> Tensor:
        return r.log() + 1.0 if self.logarithmic else torch.asin(r)

    def field(self, t: Time, x: Tensor) -> Tensor:
        times = column(t, x) if isinstance(t, Tensor) else t
        time, speeds = host(times), SPEEDS.to(x.dtype)
        return -0.25 * speeds * (speeds * self.clock(time)).cos() * (x / self.scale(time)) ** 2

    def flow(self, x: Tensor, s: float, t: float) -> Tensor:
        start, end = (host(time) for time in (s, t))
        turned = 0.25 * ((SPEEDS * self.clock(end)).sin() - (SPEEDS * self.clock(start)).sin())
        z = x / self.scale(start)
        return self.scale(end) * z / (1.0 + turned * z)

    def problem(self) -> Problem:
        clock = FunctionClock(self.scale, self.gain, None, self.time, self.logarithmic)
        name = f"riccati, {'log r' if self.logarithmic else 'r'}"
        return Problem(name, Semilinear(self.field, clock), self.flow, INITIAL)


PROBLEMS = {
    "ode": Problem("logistic", ODE(_logistic), _logistic_flow, INITIAL),
    "log clock": _Riccati(logarithmic=True).problem(),
    "clock": _Riccati(logarithmic=False).problem(),
}
"""Equations without a model: one for every solver, and for semilinear solvers one in each variable of interpolation."""

NOISY, CLEAN = -4.0, 5.0
"""The log-SNRs between which `sampling` runs: σ/α from 7.4 to 0.08."""

MIXTURE = GaussianMixture(
    host([0.4, 0.6]),
    host([[-1.0], [1.2]]),
    host([[[0.3]], [[0.5]]]),
)


@dataclass(frozen=True)
class Levels:
    """Steps that are equal in log-SNR, between the noisy and the clean level."""

    path: GaussianPath

    @property
    def ends(self) -> tuple[float, float]:
        return self.path.time(NOISY), self.path.time(CLEAN)

    def __call__(self, n: int) -> Tensor:
        start, stop = self.ends
        return grids.log_snr(self.path, n, t0=start, t1=stop)


@dataclass(frozen=True)
class _MixtureFlow:
    path: GaussianPath

    def __call__(self, x: Tensor, s: float, t: float) -> Tensor:
        return MIXTURE.flow_map(x, s, t, self.path)


def sampling(path: GaussianPath, hold: str = "velocity", *, logarithmic: bool | None = None) -> Problem:
    """The probability flow of two overlapping normal components on the line.

    It has 25 initial points, up to two standard deviations from the mean. Its steps are equal in log-SNR.

    Args:
        path: the path.
        hold: the quantity that an exponential solver holds.
        logarithmic: whether the held quantity is interpolated in log r (see `flow`); the hold's own choice if None.
    """
    grid = Levels(path)
    mean, cov = MIXTURE.moments(grid.ends[0], path)
    deviations = torch.linspace(-2.0, 2.0, 25, dtype=torch.float64, device="cpu").reshape(-1, 1)
    suffix = "" if logarithmic is None else ", in log r" if logarithmic else ", in r"
    return Problem(
        f"sampling, {type(path).__name__}, hold {hold}{suffix}",
        flow(MIXTURE.denoiser(path), hold, logarithmic=logarithmic),
        _MixtureFlow(path),
        mean + deviations * cov.sqrt(),
        grid,
        end=1.0,
    )

"""Equations, steppers and noise: one interface over every integrator. It knows nothing of networks or diffusion."""

from .backends import TorchDiffEq as TorchDiffEq
from .base import Solver as Solver, Step as Step, Stepper as Stepper
from .equation import (
    ODE as ODE,
    SDE as SDE,
    Equation as Equation,
    Noising as Noising,
    Rates as Rates,
    Semilinear as Semilinear,
    Time as Time,
)
from .exponential import ExponentialAdams as ExponentialAdams
from .exponential_rk import ExponentialRK as ExponentialRK
from .exponential_tableau import (
    DPM_SOLVER_2 as DPM_SOLVER_2,
    EDM_HEUN as EDM_HEUN,
    TRAPEZOID as TRAPEZOID,
    ExponentialTableau as ExponentialTableau,
    interpolated as interpolated,
)
from .noise import BrownianTree as BrownianTree, Noise as Noise, WhiteNoise as WhiteNoise
from .random import standard_normal as standard_normal
from .runge_kutta import (
    RK4 as RK4,
    Bosh3 as Bosh3,
    ButcherTableau as ButcherTableau,
    Dopri5 as Dopri5,
    Euler as Euler,
    Heun as Heun,
    Midpoint as Midpoint,
    Ralston as Ralston,
    RungeKutta as RungeKutta,
    Tsit5 as Tsit5,
)
from .solution import NFE as NFE, Solution as Solution, SolveError as SolveError
from .solve import solve as solve
from .stepping import Adaptive as Adaptive
from .stochastic import EulerMaruyama as EulerMaruyama

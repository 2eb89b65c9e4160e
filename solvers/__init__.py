"""Differential equations, methods that solve them, and noise. Nothing here knows of networks or diffusion.

`solve` is the one function that takes every equation, solver and noise. The names below are the interface of this
floor; each room says what may be changed behind them.
"""

from .around import (
    Ancestral as Ancestral,
    Churn as Churn,
    Halving as Halving,
    Langevin as Langevin,
    Picard as Picard,
    Restart as Restart,
)
from .backends import SciPy as SciPy, TorchDiffEq as TorchDiffEq, TorchSDE as TorchSDE
from .clock import Clock as Clock, FunctionClock as FunctionClock, PlainClock as PlainClock, Rates as Rates
from .equation import (
    ODE as ODE,
    SDE as SDE,
    Equation as Equation,
    Noising as Noising,
    Semilinear as Semilinear,
)
from .exponential import (
    DPM_SOLVER_2 as DPM_SOLVER_2,
    EDM_HEUN as EDM_HEUN,
    TRAPEZOID as TRAPEZOID,
    ExponentialAdams as ExponentialAdams,
    ExponentialRK as ExponentialRK,
    ExponentialTableau as ExponentialTableau,
    interpolated as interpolated,
)
from .field import Field as Field, Time as Time
from .loop import (
    Abilities as Abilities,
    Adaptive as Adaptive,
    Solver as Solver,
    Step as Step,
    Stepper as Stepper,
)
from .noise import (
    BrownianTree as BrownianTree,
    Noise as Noise,
    WhiteNoise as WhiteNoise,
    standard_normal as standard_normal,
)
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
from .scheme import (
    Comparison as Comparison,
    Replay as Replay,
    Scheme as Scheme,
    same as same,
    unroll as unroll,
)
from .solution import NFE as NFE, Solution as Solution, SolveError as SolveError
from .solve import solve as solve
from .stochastic import (
    SRA1 as SRA1,
    EulerMaruyama as EulerMaruyama,
    LeimkuhlerMatthews as LeimkuhlerMatthews,
    Milstein as Milstein,
    StochasticHeun as StochasticHeun,
)

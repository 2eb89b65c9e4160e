"""Equations, steppers and noise: one interface over every integrator. It knows nothing of networks or diffusion."""

from .base import Solver as Solver, Step as Step, Stepper as Stepper
from .butcher import ButcherTableau as ButcherTableau
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
from .halving import Halving as Halving
from .langevin import Langevin as Langevin
from .noise import BrownianTree as BrownianTree, Noise as Noise, WhiteNoise as WhiteNoise
from .parallel import Picard as Picard
from .random import standard_normal as standard_normal
from .renoising import Ancestral as Ancestral, Churn as Churn
from .restart import Restart as Restart
from .runge_kutta import (
    RK4 as RK4,
    Bosh3 as Bosh3,
    Dopri5 as Dopri5,
    Euler as Euler,
    Heun as Heun,
    Midpoint as Midpoint,
    Ralston as Ralston,
    RungeKutta as RungeKutta,
    Tsit5 as Tsit5,
)
from .same import Comparison as Comparison, same as same
from .scheme import Scheme as Scheme
from .scipy_ivp import SciPy as SciPy
from .solution import NFE as NFE, Solution as Solution, SolveError as SolveError
from .solve import solve as solve
from .stepping import Adaptive as Adaptive
from .stochastic import (
    SRA1 as SRA1,
    EulerMaruyama as EulerMaruyama,
    LeimkuhlerMatthews as LeimkuhlerMatthews,
    Milstein as Milstein,
    StochasticHeun as StochasticHeun,
)
from .torch_diffeq import TorchDiffEq as TorchDiffEq
from .torch_sde import TorchSDE as TorchSDE
from .unroll import unroll as unroll

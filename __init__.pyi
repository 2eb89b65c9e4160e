"""The public names of `fokker`, each with the module that it comes from. `__init__.py` reads them here at run time."""

# Floors
from . import benchmarks as benchmarks, generative as generative, solvers as solvers, verification as verification

# Paths
from .generative import (
    CondOT as CondOT, Cosine as Cosine, VP as VP, SubVP as SubVP, VE as VE, GeometricVE as GeometricVE,
    Polynomial as Polynomial, Table as Table, Shifted as Shifted, Interpolant as Interpolant,
    minibatch_ot as minibatch_ot,
)

# Networks and guidance
from .generative import (
    Denoiser as Denoiser, EDM as EDM, Static as Static, Dynamic as Dynamic, CFG as CFG,
    AutoGuidance as AutoGuidance, ClassifierGuidance as ClassifierGuidance, load as load,
    from_diffusers as from_diffusers, from_velocity as from_velocity, from_k_diffusion as from_k_diffusion,
)

# Equations
from .generative import flow as flow, reverse_sde as reverse_sde, diffusion_sde as diffusion_sde
from .generative.equations import grids as grids

# Samples
from .generative import (
    named as named, sample as sample, sample_chunks as sample_chunks, encode as encode, decode as decode,
    round_trip as round_trip, slerp as slerp, interpolate as interpolate, ancestral as ancestral,
    annealed_langevin as annealed_langevin,
)

# Likelihoods
from .generative import (
    log_likelihood as log_likelihood, LogLikelihood as LogLikelihood, Dequantisation as Dequantisation,
    variational_bound as variational_bound,
)

# Solving an equation
from .solvers import (
    solve as solve, ODE as ODE, SDE as SDE, Semilinear as Semilinear, Adaptive as Adaptive,
    SolveError as SolveError, WhiteNoise as WhiteNoise, BrownianTree as BrownianTree,
)

# Methods
from .solvers import (
    Euler as Euler, Heun as Heun, RK4 as RK4, Dopri5 as Dopri5, Tsit5 as Tsit5,
    ExponentialAdams as ExponentialAdams, ExponentialRK as ExponentialRK, EulerMaruyama as EulerMaruyama,
    Milstein as Milstein, StochasticHeun as StochasticHeun, SRA1 as SRA1,
)

# Methods around a method, methods of other libraries
from .solvers import (
    Ancestral as Ancestral, Churn as Churn, Langevin as Langevin, Restart as Restart, Halving as Halving,
    Picard as Picard, TorchDiffEq as TorchDiffEq, TorchSDE as TorchSDE, SciPy as SciPy,
)

# Methods as tables
from .solvers import Scheme as Scheme, unroll as unroll, same as same

# Exact laws
from .verification import (
    Gaussian as Gaussian, GaussianMixture as GaussianMixture, GaussianClasses as GaussianClasses,
    OrnsteinUhlenbeck as OrnsteinUhlenbeck,
)

__version__: str

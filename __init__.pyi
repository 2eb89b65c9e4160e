"""The public names of `fokker`, each with the module that it comes from. `__init__.py` reads them here at run time."""

# Floors
from . import benchmarks as benchmarks, generative as generative, solvers as solvers, verification as verification

# Paths
# Networks and guidance
# Equations
# Samples
# Likelihoods
from .generative import (
    CFG as CFG,
    EDM as EDM,
    VE as VE,
    VP as VP,
    AutoGuidance as AutoGuidance,
    BrownianLatent as BrownianLatent,
    ClassifierGuidance as ClassifierGuidance,
    CondOT as CondOT,
    Consistency as Consistency,
    Cosine as Cosine,
    Denoiser as Denoiser,
    Dequantisation as Dequantisation,
    Dynamic as Dynamic,
    EncoderDecoder as EncoderDecoder,
    FlowMap as FlowMap,
    GeometricVE as GeometricVE,
    ImportanceWeightedBound as ImportanceWeightedBound,
    Interpolant as Interpolant,
    Jumps as Jumps,
    Logit as Logit,
    LogLikelihood as LogLikelihood,
    Polynomial as Polynomial,
    Scaled as Scaled,
    Shifted as Shifted,
    SineSquaredLatent as SineSquaredLatent,
    Static as Static,
    SubVP as SubVP,
    Table as Table,
    ancestral as ancestral,
    annealed_langevin as annealed_langevin,
    decode as decode,
    diffusion_sde as diffusion_sde,
    encode as encode,
    flow as flow,
    flow_log_likelihood as flow_log_likelihood,
    from_diffusers as from_diffusers,
    from_k_diffusion as from_k_diffusion,
    from_velocity as from_velocity,
    importance_weighted_bound as importance_weighted_bound,
    interpolate as interpolate,
    load as load,
    log_likelihood as log_likelihood,
    minibatch_ot as minibatch_ot,
    named as named,
    reverse_sde as reverse_sde,
    round_trip as round_trip,
    sample as sample,
    sample_chunks as sample_chunks,
    slerp as slerp,
    variational_bound as variational_bound,
)
from .generative.equations import grids as grids

# Solving an equation
# Methods
# Methods around a method, methods of other libraries
# Methods as tables
from .solvers import (
    ODE as ODE,
    RK4 as RK4,
    SDE as SDE,
    SRA1 as SRA1,
    Adaptive as Adaptive,
    Ancestral as Ancestral,
    BrownianTree as BrownianTree,
    Churn as Churn,
    Dopri5 as Dopri5,
    Euler as Euler,
    EulerMaruyama as EulerMaruyama,
    ExponentialAdams as ExponentialAdams,
    ExponentialRK as ExponentialRK,
    Halving as Halving,
    Heun as Heun,
    Langevin as Langevin,
    Milstein as Milstein,
    Picard as Picard,
    Restart as Restart,
    Scheme as Scheme,
    SciPy as SciPy,
    Semilinear as Semilinear,
    SolveError as SolveError,
    StochasticHeun as StochasticHeun,
    TorchDiffEq as TorchDiffEq,
    TorchSDE as TorchSDE,
    Tsit5 as Tsit5,
    WhiteNoise as WhiteNoise,
    same as same,
    solve as solve,
    unroll as unroll,
)

# Comparing samplers, and making one
from .benchmarks import bench as bench, tune as tune, tune_noise as tune_noise

# Exact laws
from .verification import (
    Gaussian as Gaussian,
    GaussianClasses as GaussianClasses,
    GaussianMixture as GaussianMixture,
    OrnsteinUhlenbeck as OrnsteinUhlenbeck,
)

__version__: str

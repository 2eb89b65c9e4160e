"""Learned networks plugged into the equations: paths, predictions, guidance, sampling, likelihood, training.

The names below are the interface of this floor. Each room says what may be changed behind them.
"""

from .adapters import (
    from_diffusers as from_diffusers,
    from_k_diffusion as from_k_diffusion,
    from_velocity as from_velocity,
)
from .denoiser import (
    CFG as CFG,
    EDM as EDM,
    AutoGuidance as AutoGuidance,
    ClassifierGuidance as ClassifierGuidance,
    Denoiser as Denoiser,
    Dynamic as Dynamic,
    Static as Static,
)
from .discrete import (
    Bound as Bound,
    ancestral as ancestral,
    bound_loss as bound_loss,
    hybrid_loss as hybrid_loss,
    posterior as posterior,
    variational_bound as variational_bound,
)
from .equations import (
    BrownianLatent as BrownianLatent,
    EncoderDecoder as EncoderDecoder,
    Interpolant as Interpolant,
    SineSquaredLatent as SineSquaredLatent,
    diffusion_sde as diffusion_sde,
    flow as flow,
    grids as grids,
    minibatch_ot as minibatch_ot,
    noise_level as noise_level,
    reverse_sde as reverse_sde,
    safe_interval as safe_interval,
)
from .flow_maps import Consistency as Consistency, FlowMap as FlowMap
from .likelihood import (
    Dequantisation as Dequantisation,
    ImportanceWeightedBound as ImportanceWeightedBound,
    LikelihoodPlan as LikelihoodPlan,
    Logit as Logit,
    LogLikelihood as LogLikelihood,
    Scaled as Scaled,
    flow_log_likelihood as flow_log_likelihood,
    importance_weighted_bound as importance_weighted_bound,
    log_likelihood as log_likelihood,
    plan_likelihood as plan_likelihood,
)
from .paths import (
    VE as VE,
    VP as VP,
    CondOT as CondOT,
    Cosine as Cosine,
    GaussianPath as GaussianPath,
    GeometricVE as GeometricVE,
    Polynomial as Polynomial,
    Shifted as Shifted,
    SubVP as SubVP,
    Table as Table,
    linear_betas as linear_betas,
    scaled_linear_betas as scaled_linear_betas,
    squared_cosine_betas as squared_cosine_betas,
    time_densities as time_densities,
    zero_terminal_snr as zero_terminal_snr,
)
from .sampling import (
    Jumps as Jumps,
    RoundTrip as RoundTrip,
    Sampler as Sampler,
    annealed_langevin as annealed_langevin,
    decode as decode,
    encode as encode,
    import_scheme as import_scheme,
    interpolate as interpolate,
    multistep_scheme as multistep_scheme,
    named as named,
    round_trip as round_trip,
    sample as sample,
    sample_chunks as sample_chunks,
    slerp as slerp,
)
from .training import load as load, regression_loss as regression_loss, weightings as weightings

"""Learned networks plugged into the equations: paths, predictions, guidance, sampling, likelihood, training."""

from . import (
    grids as grids,
    noise_level as noise_level,
    time_densities as time_densities,
    weightings as weightings,
)
from .adapters import (
    from_diffusers as from_diffusers,
    from_k_diffusion as from_k_diffusion,
    from_velocity as from_velocity,
)
from .annealed_langevin import annealed_langevin as annealed_langevin
from .checkpoint import load as load
from .classifier_guidance import ClassifierGuidance as ClassifierGuidance
from .denoiser import Denoiser as Denoiser
from .dequantisation import Dequantisation as Dequantisation
from .discrete import ancestral as ancestral, posterior as posterior
from .discrete_losses import bound_loss as bound_loss, hybrid_loss as hybrid_loss
from .encode import (
    RoundTrip as RoundTrip,
    decode as decode,
    encode as encode,
    round_trip as round_trip,
)
from .guidance import CFG as CFG, AutoGuidance as AutoGuidance
from .interpolant import Interpolant as Interpolant, minibatch_ot as minibatch_ot
from .interpolate import interpolate as interpolate, slerp as slerp
from .likelihood import LogLikelihood as LogLikelihood, log_likelihood as log_likelihood
from .losses import regression_loss as regression_loss
from .named import named as named
from .noise_level import diffusion_sde as diffusion_sde, safe_interval as safe_interval
from .path import VE as VE, VP as VP, CondOT as CondOT, Cosine as Cosine, GaussianPath as GaussianPath
from .preconditioning import EDM as EDM
from .process import flow as flow, reverse_sde as reverse_sde
from .sample import sample as sample, sample_chunks as sample_chunks
from .schedules import GeometricVE as GeometricVE, Polynomial as Polynomial, SubVP as SubVP
from .shifted import Shifted as Shifted
from .table import (
    Table as Table,
    linear_betas as linear_betas,
    scaled_linear_betas as scaled_linear_betas,
    squared_cosine_betas as squared_cosine_betas,
    zero_terminal_snr as zero_terminal_snr,
)
from .thresholding import Dynamic as Dynamic, Static as Static
from .variational_bound import Bound as Bound, variational_bound as variational_bound

"""Claims about samplers, guidance and likelihoods. A chapter may be added without asking anyone."""

from __future__ import annotations

from . import (
    bridges as bridges,
    discrete_sampling as discrete_sampling,
    distillation as distillation,
    fast_sampling as fast_sampling,
    few_steps as few_steps,
    flow_maps as flow_maps,
    guidance as guidance,
    guided_sampling as guided_sampling,
    language_models as language_models,
    likelihood as likelihood,
    noisy_ddim as noisy_ddim,
    probes as probes,
    score_sampling as score_sampling,
)

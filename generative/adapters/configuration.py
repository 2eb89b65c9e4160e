"""The configuration of a scheduler of diffusers: whose it is, its fields, and which of them describe the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from inspect import Parameter, signature
from typing import Any

from ...solvers.common import MANY, flag, real, reals, whole
from .library import library

__all__ = ["MODEL", "STEPPING", "choice_of", "class_of", "fields_of", "given_fields", "parameters_of"]

MODEL = frozenset(
    {
        "num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "rescale_betas_zero_snr",
        "snr_shift_scale", "prediction_type", "timestep_type", "use_flow_sigmas", "invert_sigmas", "sigma_data",
        "sigma_min", "sigma_max", "beta_min", "beta_max", "clip_sample", "clip_sample_range", "thresholding",
        "dynamic_thresholding_ratio", "sample_max_value", "variance_type",
    }
)  # fmt: skip
"""The fields of a configuration that describe the network."""

STEPPING = frozenset(
    {
        "algorithm_type", "base_image_seq_len", "base_shift", "corrector_order", "correct_steps", "disable_corrector",
        "eta", "euler_at_final", "final_sigmas_type", "flow_shift", "interpolation_type",
        "lambda_min_clipped", "lower_order_final", "max_image_seq_len", "max_shift", "noise_sampler_seed",
        "predict_x0", "predictor_order", "rho", "s_churn", "s_max", "s_min", "s_noise", "sampling_eps",
        "set_alpha_to_one", "shift", "shift_terminal", "sigma_schedule", "skip_prk_steps", "snr", "solver_order",
        "solver_p", "solver_type", "steps_offset", "stochastic_sampling", "tau_func", "time_shift_type",
        "timestep_spacing", "use_beta_sigmas", "use_dynamic_shifting", "use_exponential_sigmas", "use_karras_sigmas",
        "use_lu_lambdas",
    }
)  # fmt: skip
"""The fields that describe how steps are placed and taken. The network does not depend on them."""

_positive = partial(real, above=0.0)
_maybe_infinite = partial(real, low=0.0, infinite=True)


def _maybe(name: str, value: Any) -> bool:
    return value is not None and flag(name, value)


CHECKS: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(("beta_start", "beta_end", "beta_min", "beta_max", "dynamic_thresholding_ratio"), real),
    **dict.fromkeys(("snr_shift_scale", "clip_sample_range", "sample_max_value", "shift", "flow_shift"), _positive),
    **dict.fromkeys(("sigma_data", "sigma_min", "sigma_max"), _maybe_infinite),
    **dict.fromkeys(("rescale_betas_zero_snr", "use_flow_sigmas", "invert_sigmas"), _maybe),
    **dict.fromkeys(("clip_sample", "thresholding", "use_dynamic_shifting"), _maybe),
    "num_train_timesteps": partial(whole, low=1, high=MANY),
    "trained_betas": reals,
}
"""What the values of fields must be. Null stands for a default that is null, for no, and for no shift."""
NULL = frozenset({"sigma_max", "shift"})
"""The fields that may be null although their default is a number."""

APART = {
    "KarrasVeScheduler": "diffusers.schedulers.deprecated.scheduling_karras_ve",
    "ScoreSdeVpScheduler": "diffusers.schedulers.deprecated.scheduling_sde_vp",
}
"""The modules of the schedulers that diffusers itself does not export."""

OWN = ("model_class", "sampler", "integers")
"""The fields that `FokkerScheduler` adds."""


def class_of(name: str) -> Any:
    """The class of a scheduler of diffusers."""
    whole = library("diffusers")
    return getattr(library(APART[name]) if name in APART else whole, name)


def parameters_of(name: str) -> dict[str, Any]:
    """The fields that a scheduler's class takes, with their defaults."""
    parameters = list(signature(class_of(name).__init__).parameters.values())[1:]
    return {each.name: each.default for each in parameters if each.kind is not Parameter.VAR_KEYWORD}


def fields_of(scheduler: Any, name: str) -> dict[str, Any]:
    """All fields of a scheduler's class, with the given values or the defaults.

    Args:
        scheduler: a scheduler, or its configuration.
        name: the name of its class.

    Raises:
        TypeError: a value is of another kind than that of its field.
        ValueError: the configuration has a field that is not known, with a value; or a value is out of range.
    """
    given = given_fields(getattr(scheduler, "config", scheduler))
    if unknown := sorted(field for field in given.keys() - MODEL - STEPPING if given[field] is not None):
        raise ValueError(
            f"The configuration of {name} has fields that are not known here, {', '.join(unknown)}; remove those that "
            "do not change what the network means."
        )
    defaults = parameters_of(name)
    return {field: _checked(field, given.get(field, default), default) for field, default in defaults.items()}


def _checked(field: str, value: Any, default: Any) -> Any:
    """The value of a field in the form that its check gives."""
    if field not in CHECKS or (value is None and (default is None or field in NULL)):
        return value
    return CHECKS[field](field, value)


def given_fields(config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a configuration, without those that diffusers notes and `FokkerScheduler` adds."""
    return {field: value for field, value in config.items() if not field.startswith("_") and field not in OWN}


def choice_of(settings: dict[str, Any], field: str, choices: Mapping[str, Any]) -> Any:
    """The meaning of a field's value. Raises ValueError for an unknown value."""
    value = str(settings.get(field))
    if value not in choices:
        raise ValueError(f"{field} = {value!r} is not known here; it may be {', '.join(choices)}.")
    return choices[value]

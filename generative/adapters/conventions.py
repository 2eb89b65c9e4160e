"""The convention of a network, read off the configuration of its diffusers scheduler.

A configuration describes how the network was trained and how it is sampled. Only the training matters here. In the
conventions of Fokker, with i the index into a table of T values,

    schedulers            path                  the network sees                and returns
    of a table of β       Table(β)              x, i                            eps, x0 or v
    of flow matching      CondOT                x, T (1 − t)                    ε − x₀ = −velocity
    of EDM                VE, EDM(σ_data)       x/√(σ² + σ_data²), log(σ)/4     F, or −F if "v_prediction"
    of the VE equation    VE                    x, σ                            the score

Schedulers that step x/α (Euler, Heun, LMS, …) and schedulers that step x give a network the same input, so that all
schedulers of a table share one row. Solvers and grids decide how steps are placed and taken.

Sources: Ho et al. (2006.11239); Salimans and Ho (2202.00512); Lin et al. (2305.08891); Karras et al. (2206.00364);
Song et al. (2011.13456); Esser et al. (2403.03206).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from inspect import Parameter, signature
from itertools import accumulate, pairwise
from typing import Any

from torch import Tensor

from ..denoiser import EDM, Clock, Dynamic, Static, Threshold
from ..paths import (
    VE,
    CondOT,
    Cosine,
    GaussianPath,
    Table,
    linear_betas,
    scaled_linear_betas,
    squared_cosine_betas,
    zero_terminal_snr,
)
from .library import library

__all__ = ["MODEL", "SCHEDULERS", "STEPPING", "Conventions", "conventions", "fields_of", "scheduler_class"]

MODEL = frozenset(
    {
        "num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "rescale_betas_zero_snr",
        "snr_shift_scale", "prediction_type", "timestep_type", "use_flow_sigmas", "invert_sigmas", "sigma_data",
        "sigma_min", "sigma_max", "clip_sample", "clip_sample_range", "thresholding", "dynamic_thresholding_ratio",
        "sample_max_value",
    }
)  # fmt: skip
"""The fields of a configuration that describe the network."""

STEPPING = frozenset(
    {
        "algorithm_type", "base_image_seq_len", "base_shift", "corrector_order", "correct_steps", "disable_corrector",
        "eta", "euler_at_final", "final_sigmas_type", "flow_shift", "interpolation_type",
        "lambda_min_clipped", "lower_order_final", "max_image_seq_len", "max_shift", "noise_sampler_seed",
        "predict_x0", "predictor_order", "rho", "s_noise", "sampling_eps", "set_alpha_to_one", "shift",
        "shift_terminal", "sigma_schedule", "skip_prk_steps", "snr", "solver_order", "solver_p", "solver_type",
        "steps_offset", "stochastic_sampling", "tau_func", "time_shift_type", "timestep_spacing", "use_beta_sigmas",
        "use_dynamic_shifting", "use_exponential_sigmas", "use_karras_sigmas", "use_lu_lambdas", "variance_type",
    }
)  # fmt: skip
"""The fields that describe how steps are placed and taken; they are ignored."""

KINDS = {"epsilon": "eps", "sample": "x0", "original_sample": "x0", "v_prediction": "v"}


@dataclass(frozen=True)
class Conventions:
    """The convention of a network, as its scheduler's configuration describes it.

    Attributes:
        path: the path of the training.
        predicts: the kind of prediction.
        time: the clock of the network.
        sign: −1 if the network returns the negative prediction, otherwise 1.
        precondition: the frame around the network, if there is one.
        clock: maps the clock of the preconditioning to the clock of the network.
        threshold: the threshold of x₀-hat, if there is one.
        shift: the time shift s of a flow, which changes only the grid: σ becomes s σ / (1 + (s − 1) σ).
    """

    path: GaussianPath
    predicts: str
    time: str | Clock = "t"
    sign: float = 1.0
    precondition: EDM | None = None
    clock: Callable[[Tensor], Tensor] | None = None
    threshold: Threshold | None = None
    shift: float = 1.0


def conventions(scheduler: Any) -> Conventions:
    """The convention that a scheduler, or its configuration, describes. Raises as `from_diffusers` does."""
    return SCHEDULERS[scheduler_class(scheduler)](fields_of(scheduler))


def scheduler_class(scheduler: Any) -> str:
    """The class name of a scheduler, or of the scheduler to which a configuration belongs.

    A configuration in memory may lack the name; then a class that takes exactly its fields is chosen. Raises as
    `from_diffusers` does.
    """
    config: Mapping[str, Any] = getattr(scheduler, "config", scheduler)
    if not isinstance(config, Mapping):
        raise TypeError(f"scheduler is a {type(scheduler).__name__}; give a scheduler of diffusers, or its config.")
    if config is not scheduler:
        name = config.get("model_class") or type(scheduler).__name__
    elif (name := config.get("model_class") or config.get("_class_name")) is None:
        given = _given(config).keys()
        name = next((name for name in SCHEDULERS if _parameters(name).keys() == given), None)
        if name is None:
            raise ValueError("The configuration does not say of which scheduler it is; give the scheduler itself.")
    if name not in SCHEDULERS:
        raise ValueError(
            f"A model sampled by {name} has no Gaussian path that is known here; the schedulers with one are "
            f"{', '.join(SCHEDULERS)}."
        )
    return str(name)


def fields_of(scheduler: Any) -> dict[str, Any]:
    """All fields of a scheduler's class, with the given values or the defaults. Raises as `from_diffusers` does."""
    name = scheduler_class(scheduler)
    given = _given(getattr(scheduler, "config", scheduler))
    if unknown := sorted(given.keys() - MODEL - STEPPING):
        raise ValueError(
            f"The configuration of {name} has fields that are not known here, {', '.join(unknown)}; remove those that "
            "do not change what the network means."
        )
    return {field: given.get(field, default) for field, default in _parameters(name).items()}


def _given(config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a configuration, without those that diffusers notes and `FokkerScheduler` adds."""
    own = ("model_class", "sampler", "integers")
    return {field: value for field, value in config.items() if not field.startswith("_") and field not in own}


def _parameters(name: str) -> dict[str, Any]:
    """The fields that a scheduler's class takes, with their defaults."""
    parameters = list(signature(getattr(library("diffusers"), name).__init__).parameters.values())[1:]
    return {each.name: each.default for each in parameters if each.kind is not Parameter.VAR_KEYWORD}


def _choice(settings: dict[str, Any], field: str, choices: Mapping[str, Any]) -> Any:
    """The meaning of a field's value. Raises ValueError for an unknown value."""
    value = str(settings.get(field))
    if value not in choices:
        raise ValueError(f"{field} = {value!r} is not known here; it may be {', '.join(choices)}.")
    return choices[value]


def _of_table(settings: dict[str, Any]) -> Conventions:
    if settings.get("timestep_type") == "continuous" and settings["prediction_type"] == "v_prediction":
        return _of_euler(settings)
    kind = settings.get("prediction_type", "epsilon")
    if settings.get("use_flow_sigmas"):
        kinds = {"epsilon": ("eps", 1.0), "sample": ("x0", 1.0), "flow_prediction": ("velocity", -1.0)}
        predicts, sign = _choice({"prediction_type": kind}, "prediction_type", kinds)
        steps = settings["num_train_timesteps"]
        return Conventions(
            CondOT(),
            predicts,
            lambda t: steps * (1.0 - t),
            sign,
            threshold=_threshold(settings),
            shift=settings["flow_shift"],
        )
    predicts = _choice({"prediction_type": kind}, "prediction_type", KINDS)
    return Conventions(Table(_betas(settings)), predicts, "index", threshold=_threshold(settings))


def _betas(settings: dict[str, Any]) -> tuple[float, ...]:
    """The table of a configuration, computed in float64."""
    steps, start, end = settings["num_train_timesteps"], settings.get("beta_start", 0.0), settings.get("beta_end", 0.0)
    given = settings.get("trained_betas")
    schedules: dict[str, Callable[[], tuple[float, ...]]] = {
        "linear": lambda: linear_betas(steps, start, end),
        "scaled_linear": lambda: scaled_linear_betas(steps, start, end),
        "squaredcos_cap_v2": lambda: squared_cosine_betas(steps),
        "sigmoid": lambda: _sigmoid_betas(steps, start, end),
    }
    betas = tuple(map(float, given)) if given is not None else _choice(settings, "beta_schedule", schedules)()
    if (shift := settings.get("snr_shift_scale", 1.0)) != 1.0:
        betas = _shifted_betas(betas, shift)
    return zero_terminal_snr(betas) if settings.get("rescale_betas_zero_snr") else betas


def _sigmoid_betas(steps: int, start: float, end: float) -> tuple[float, ...]:
    return tuple(start + (end - start) / (1.0 + math.exp(6.0 - 12.0 * i / (steps - 1))) for i in range(steps))


def _shifted_betas(betas: tuple[float, ...], shift: float) -> tuple[float, ...]:
    """The table of α²/σ² divided by `shift`."""
    levels = accumulate((1.0 - beta for beta in betas), lambda level, factor: level * factor)
    shifted = [1.0, *(level / (shift + (1.0 - shift) * level) for level in levels)]
    return tuple(1.0 - after / before for before, after in pairwise(shifted))


def _of_flow(settings: dict[str, Any]) -> Conventions:
    steps, shift = settings["num_train_timesteps"], settings.get("shift", 1.0)
    if settings.get("invert_sigmas"):
        return Conventions(CondOT(), "velocity", lambda t: steps * t)
    return Conventions(CondOT(), "velocity", lambda t: steps * (1.0 - t), -1.0, shift=shift)


def _of_edm(settings: dict[str, Any]) -> Conventions:
    sign = _choice(settings, "prediction_type", {"epsilon": 1.0, "v_prediction": -1.0})
    precondition = EDM(settings["sigma_data"])
    threshold = _threshold(settings)
    return Conventions(VE(settings["sigma_max"]), "x0", "t", sign, precondition, threshold=threshold)


def _of_cosine(settings: dict[str, Any]) -> Conventions:
    """EDM for a network whose clock is an angle."""
    return replace(_of_edm(settings), clock=lambda c: (4.0 * c).exp().atan() * (2.0 / math.pi))


def _of_euler(settings: dict[str, Any]) -> Conventions:
    """EulerDiscrete with continuous times: EDM for data of unit variance, with the σ/α of the table by default."""
    sigma_max = settings["sigma_max"] or math.exp(-Table(_betas(settings)).half_log_snr(0.0))
    return Conventions(VE(sigma_max), "x0", "t", -1.0, EDM(1.0))


def _of_angle(settings: dict[str, Any]) -> Conventions:
    """IPNDM: a network for v, whose clock is the angle of (α, σ) in quarter turns from the data."""
    if settings["trained_betas"] is not None:
        raise ValueError("IPNDMScheduler with trained_betas is not known here; leave trained_betas out.")
    return Conventions(Cosine(-math.inf, math.inf), "v", "1-t")


def _of_ve(settings: dict[str, Any]) -> Conventions:
    return Conventions(VE(settings["sigma_max"]), "score", "sigma")


def _threshold(settings: dict[str, Any]) -> Threshold | None:
    """The threshold of a configuration; that of diffusers divides by a quantile between 1 and sample_max_value."""
    if settings.get("thresholding"):
        largest = settings["sample_max_value"]
        return Static(1.0) if largest <= 1.0 else Dynamic(settings["dynamic_thresholding_ratio"], 1.0, largest)
    return Static(settings.get("clip_sample_range", 1.0)) if settings.get("clip_sample") else None


_TABLE = (
    "DDPM", "DDPMParallel", "DDIM", "DDIMParallel", "DDIMInverse", "CogVideoXDDIM", "CogVideoXDPM", "DEISMultistep",
    "DPMSolverMultistep", "DPMSolverMultistepInverse", "DPMSolverSinglestep", "DPMSolverSDE", "EulerDiscrete",
    "EulerAncestralDiscrete", "HeunDiscrete", "KDPM2Discrete", "KDPM2AncestralDiscrete", "LMSDiscrete", "PNDM",
    "RePaint", "SASolver", "UnCLIP", "UniPCMultistep",
)  # fmt: skip

SCHEDULERS: dict[str, Callable[[dict[str, Any]], Conventions]] = {
    **{f"{name}Scheduler": _of_table for name in _TABLE},
    "FlowMatchEulerDiscreteScheduler": _of_flow,
    "FlowMatchHeunDiscreteScheduler": _of_flow,
    "LTXEulerAncestralRFScheduler": _of_flow,
    "EDMEulerScheduler": _of_edm,
    "EDMDPMSolverMultistepScheduler": _of_edm,
    "CosineDPMSolverMultistepScheduler": _of_cosine,
    "IPNDMScheduler": _of_angle,
    "ScoreSdeVeScheduler": _of_ve,
}
"""The schedulers of diffusers with a Gaussian path, each with the function that reads its configuration."""

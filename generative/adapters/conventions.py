"""The convention of a network, read off the configuration of its diffusers scheduler.

A configuration describes how the network was trained and how it is sampled. Only the training matters here. In the
conventions of Fokker, with i the index into a table of T values,

    schedulers            path                  the network sees                and returns
    of a table of β       Table(β)              x, i                            eps, x0 or v
    of flow matching      CondOT                x, T (1 − t)                    ε − x₀ = −velocity
    of EDM                VE, EDM(σ_data)       x/√(σ² + σ_data²), log(σ)/4     F, or −F if "v_prediction"
    of the VE equation    VE                    x, σ                            the score
    of the VP equation    VP(β)                 x, (T − 1) (1 − t)              eps
    KarrasVe              VE                    (x + 1)/2, σ/2                  the score of (x + 1)/2, twice that of x

A σ_max that is infinite or null stands for EDM's 80.

Schedulers that step x/α (Euler, Heun, LMS, …) and schedulers that step x give a network the same input, so that all
schedulers of a table share one row. Solvers and grids decide how steps are placed and taken.

Sources: Ho et al. (2006.11239); Salimans and Ho (2202.00512); Lin et al. (2305.08891); Karras et al. (2206.00364);
Song et al. (2011.13456); Esser et al. (2403.03206).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from ...solvers.common import shown
from ..denoiser import EDM, Clock, Dynamic, Static, Threshold
from ..paths import VE, VP, CondOT, Cosine, GaussianPath, Scalar, Table
from .betas import betas_of
from .configuration import choice_of, fields_of, given_fields, parameters_of

__all__ = ["SCHEDULERS", "Conventions", "conventions", "scheduler_class"]

EDM_NOISIEST = 80.0
KINDS = {"epsilon": "eps", "sample": "x0", "original_sample": "x0", "v_prediction": "v"}


@dataclass(frozen=True)
class Conventions:
    """The convention of a network, as its scheduler's configuration describes it.

    Attributes:
        path: the path of the training.
        predicts: the kind of prediction.
        time: the clock of the network.
        factor: the prediction is the network's output times this number.
        precondition: the frame around the network, if there is one.
        clock: maps the clock of the preconditioning to the clock of the network.
        unit: whether the network sees images in [0, 1], that is (x + 1)/2, instead of [−1, 1].
        threshold: the threshold of x₀-hat, if there is one.
        shift: the time shift s of a flow, which changes only the grid: σ becomes s σ / (1 + (s − 1) σ).
    """

    path: GaussianPath
    predicts: str
    time: str | Clock = "t"
    factor: float = 1.0
    precondition: EDM | None = None
    clock: Callable[[Tensor], Tensor] | None = None
    unit: bool = False
    threshold: Threshold | None = None
    shift: float = 1.0


@dataclass(frozen=True)
class Counted:
    """The clock T (1 − t), or T t if it counts from the noise."""

    steps: float
    from_noise: bool = False

    def __call__(self, t: Scalar) -> Scalar:
        return self.steps * (t if self.from_noise else 1.0 - t)


@dataclass(frozen=True)
class HalfSigma:
    """The clock σ/2 of a path."""

    path: GaussianPath

    def __call__(self, t: Scalar) -> Scalar:
        return 0.5 * self.path.sigma(t)


@dataclass(frozen=True)
class Angle:
    """The angle atan(σ) in quarter turns, of the clock log(σ)/4."""

    def __call__(self, clock: Tensor) -> Tensor:
        return (4.0 * clock).exp().atan() * (2.0 / math.pi)


def conventions(scheduler: Any) -> Conventions:
    """The convention that a scheduler, or its configuration, describes. Raises as `from_diffusers` does."""
    name = scheduler_class(scheduler)
    return SCHEDULERS[name](fields_of(scheduler, name))


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
        given = given_fields(config).keys()
        name = next((name for name in SCHEDULERS if parameters_of(name).keys() == given), None)
        if name is None:
            raise ValueError("The configuration does not say of which scheduler it is; give the scheduler itself.")
    if name not in SCHEDULERS:
        raise ValueError(
            f"A model sampled by {shown(name)} has no Gaussian path that is known here; the schedulers with one are "
            f"{', '.join(SCHEDULERS)}."
        )
    return str(name)


def _of_table(settings: dict[str, Any]) -> Conventions:
    if settings.get("timestep_type") == "continuous" and settings["prediction_type"] == "v_prediction":
        return _of_euler(settings)
    kind = settings.get("prediction_type", "epsilon")
    if settings.get("use_flow_sigmas"):
        kinds = {"epsilon": ("eps", 1.0), "sample": ("x0", 1.0), "flow_prediction": ("velocity", -1.0)}
        predicts, sign = choice_of({"prediction_type": kind}, "prediction_type", kinds)
        steps = settings["num_train_timesteps"]
        return Conventions(
            CondOT(),
            predicts,
            Counted(steps),
            sign,
            threshold=_threshold(settings),
            shift=settings["flow_shift"],
        )
    predicts = choice_of({"prediction_type": kind}, "prediction_type", KINDS)
    return Conventions(Table(betas_of(settings)), predicts, "index", threshold=_threshold(settings))


def _of_flow(settings: dict[str, Any]) -> Conventions:
    steps, shift = settings["num_train_timesteps"], settings.get("shift") or 1.0
    if settings.get("invert_sigmas"):
        return Conventions(CondOT(), "velocity", Counted(steps, from_noise=True), shift=shift)
    return Conventions(CondOT(), "velocity", Counted(steps), -1.0, shift=shift)


def _of_edm(settings: dict[str, Any]) -> Conventions:
    sign = choice_of(settings, "prediction_type", {"epsilon": 1.0, "v_prediction": -1.0})
    precondition = EDM(settings["sigma_data"])
    threshold = _threshold(settings)
    return Conventions(VE(_noisiest(settings["sigma_max"])), "x0", "t", sign, precondition, threshold=threshold)


def _noisiest(sigma_max: float | None) -> float:
    return EDM_NOISIEST if sigma_max is None or math.isinf(sigma_max) else sigma_max


def _of_cosine(settings: dict[str, Any]) -> Conventions:
    """EDM for a network whose clock is an angle."""
    return replace(_of_edm(settings), clock=Angle())


def _of_euler(settings: dict[str, Any]) -> Conventions:
    """EulerDiscrete with continuous times: EDM for data of unit variance, with the σ/α of the table by default."""
    sigma_max = settings["sigma_max"] or math.exp(-Table(betas_of(settings)).half_log_snr(0.0))
    return Conventions(VE(_noisiest(sigma_max)), "x0", "t", -1.0, EDM(1.0))


def _of_angle(settings: dict[str, Any]) -> Conventions:
    """IPNDM: a network for v, whose clock is the angle of (α, σ) in quarter turns from the data."""
    if settings["trained_betas"] is not None:
        raise ValueError("IPNDMScheduler with trained_betas is not known here; leave trained_betas out.")
    return Conventions(Cosine(-math.inf, math.inf), "v", "1-t")


def _of_ve(settings: dict[str, Any]) -> Conventions:
    return Conventions(VE(_noisiest(settings["sigma_max"])), "score", "sigma")


def _of_karras_ve(settings: dict[str, Any]) -> Conventions:
    path = VE(_noisiest(settings["sigma_max"]))
    return Conventions(path, "score", HalfSigma(path), 0.5, unit=True)


def _of_vp(settings: dict[str, Any]) -> Conventions:
    path = VP(settings["beta_min"], settings["beta_max"])
    return Conventions(path, "eps", Counted(settings["num_train_timesteps"] - 1))


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
    "ScoreSdeVpScheduler": _of_vp,
    "KarrasVeScheduler": _of_karras_ve,
}
"""The schedulers of diffusers with a Gaussian path, each with the function that reads its configuration."""

"""The configuration of a training, a TOML file that determines the network.

    data, predicts, steps, batch, learning_rate                            required
    [path], [network]                                                      a class and its arguments; required
    [weighting], [times], [precondition]                                   a class and its arguments
    [objective]                                                            of a flow map: a class and its arguments
    ema = 0.999, or {class = "PowerLaw", sigma_rel = 0.1}                  the average of the weights
    stratify, importance (a number of bins), label_dropout                 how times and labels are drawn
    autocast = "bfloat16"                                                  products in half precision
    warmup, seed

Without an objective the network learns by the regression of `losses`. An objective may have

    teacher = "digits-flow", or {network = "digits-flow", solver = "Heun", substeps = 1, guidance = [1.0, 3.0]}
    distance = {class = "PseudoHuber", c = 0.00054}

Errors are raised when the configuration is made, before any training.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from ...solvers.common import (
    MANY,
    check_fields,
    check_instance,
    choice,
    flag,
    is_file,
    naming,
    real,
    shown,
    whole,
)
from ..denoiser import preconditioning
from ..flow_maps import FlowMap
from ..networks import Network, TwoTimes
from ..paths import GaussianPath, time_densities
from . import ema as averages, objectives, weightings
from .checkpoint import build, build_network, build_path
from .data import DATASETS
from .losses import check_finite_loss

__all__ = ["CONFIGS", "Training", "configurations"]

CONFIGS = Path(__file__).parent.parent / "configs"

WEIGHTINGS = {
    kind.__name__: kind
    for kind in (
        weightings.Unweighted, weightings.SNR, weightings.TruncatedSNR, weightings.MinSNR, weightings.EDM,
        weightings.Likelihood,
    )
}
TIMES = {
    kind.__name__: kind
    for kind in (time_densities.Uniform, time_densities.LogitNormal, time_densities.Steps, time_densities.Geometric)
}
AVERAGES = {"Constant": averages.Constant, "PowerLaw": averages.PowerLaw}
TEACH = {True: 'give teacher = "digits-flow", or another one', False: "leave it out"}
PRECONDITIONS = {"EDM": preconditioning.EDM}
AUTOCAST = {"bfloat16": torch.bfloat16}
LATER = ("weighting", "times", "precondition", "stratify", "importance", "autocast", "objective")
"""Fields that the first version did not have. They are recorded unless at their defaults, so that old files stay."""


def configurations() -> list[str]:
    """The names of the committed configurations."""
    return sorted(file.stem for file in CONFIGS.glob("*.toml"))


@dataclass(frozen=True)
class Training:
    """The configuration above. Raises TypeError or ValueError for values that do not fit, and for an infinite loss."""

    data: str
    predicts: str
    network: dict[str, Any]
    path: dict[str, Any]
    steps: int
    batch: int
    learning_rate: float
    warmup: int = 200
    ema: float | dict[str, Any] = 0.999
    label_dropout: float = 0.1
    seed: int = 0
    weighting: dict[str, Any] | None = None
    times: dict[str, Any] | None = None
    precondition: dict[str, Any] | None = None
    stratify: bool = True
    importance: int = 0
    autocast: str | None = None
    objective: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        check_fields(self, choice, "data", choices=DATASETS)
        check_fields(self, whole, "steps", "warmup", low=1, high=10**9)
        check_fields(self, whole, "batch", low=1, high=MANY)
        check_fields(self, real, "learning_rate", above=0.0, high=1e3)
        check_fields(self, real, "label_dropout", low=0.0, below=1.0)
        check_fields(self, whole, "seed", low=-(2**63), high=2**64 - 1)
        check_fields(self, whole, "importance", low=0, high=MANY)
        check_fields(self, flag, "stratify")
        for name in ("network", "path", "weighting", "times", "precondition", "objective"):
            value = getattr(self, name)
            if not (isinstance(value, dict) or (value is None and name not in ("network", "path"))):
                raise ValueError(f'{name} is {value!r}; give a class and its arguments, {{class = "..."}}.')
        if self.autocast is not None:
            check_fields(self, choice, "autocast", choices=AUTOCAST)
        if self.importance:
            time_densities.Importance(self.importance)
        with torch.device("meta"):  # a network that takes no memory
            net = build_network(self.network)
        _ = self.average
        if self.goal is not None:
            self._check_objective(self.goal, net)
        elif isinstance(net, TwoTimes):
            raise ValueError("A network of two times needs an objective; give one, or a network of one time.")
        else:
            check_finite_loss(self.gaussian_path, self.predicts, self.weight, self.density, self.frame)

    def _check_objective(self, goal: objectives.Objective, net: Network) -> None:
        """Raise ValueError for an objective, a network, a teacher and settings that do not fit each other."""
        name, teacher = type(goal).__name__, self.teacher
        if not isinstance(net, TwoTimes):
            raise ValueError(f"{name} trains a network of two times; give network = {{class = \"TwoTimes\", ...}}.")
        if goal.taught is not None and goal.taught != (teacher is not None):
            raise ValueError(f"{name} {'needs a' if goal.taught else 'takes no'} teacher; {TEACH[goal.taught]}.")
        if self.importance:
            raise ValueError(f"{name} draws its times itself; leave importance out.")
        if self.weighting is not None and goal.unit is None:
            raise ValueError(f"{name} has its weights in its distance; leave weighting out.")
        if self.times is not None and not goal.draws_times:
            raise ValueError(f"{name} has times of its own; leave times out.")
        if self.predicts == "state" and goal.unit is None:
            raise ValueError(f"{name} learns a velocity, which a prediction of the state does not determine; use v.")
        FlowMap(net, self.gaussian_path, predicts=self.predicts, precondition=self.frame)
        if net.guided != (teacher is not None and teacher.guidance is not None):
            raise ValueError("A network is told a weight if its teacher has one: give both guided = true and guidance.")
        if teacher is None:
            return
        denoiser = teacher.denoiser
        if denoiser.path != self.gaussian_path:
            raise ValueError(f"The teacher is on {denoiser.path}, the student on {self.gaussian_path}; use one path.")
        known = getattr(denoiser.net, "null_label", 0)
        if net.null_label not in (0, known):
            raise ValueError(f"The student knows {net.null_label} classes, but its teacher {known}; give as many.")

    @cached_property
    def gaussian_path(self) -> GaussianPath:
        return build_path(self.path)

    @cached_property
    def weight(self) -> weightings.Weighting | None:
        if self.weighting is None:
            return None
        made: weightings.Weighting = build(WEIGHTINGS, "weighting", self.weighting)
        return made

    @cached_property
    def density(self) -> time_densities.TimeDensity:
        if self.times is None:
            return time_densities.Uniform()
        made: time_densities.TimeDensity = build(TIMES, "times", self.times)
        return made

    @cached_property
    def frame(self) -> preconditioning.EDM | None:
        if self.precondition is None:
            return None
        made: preconditioning.EDM = build(PRECONDITIONS, "precondition", self.precondition)
        return made

    @cached_property
    def average(self) -> averages.Average:
        if not isinstance(self.ema, dict):
            return averages.Constant(real("ema", self.ema, 0.0, below=1.0))
        made: averages.Average = build(AVERAGES, "ema", self.ema)
        return made

    @cached_property
    def goal(self) -> objectives.Objective | None:
        """The objective of a flow map."""
        if self.objective is None:
            return None
        return objectives.build_objective(self.objective)

    @cached_property
    def teacher(self) -> objectives.Teacher | None:
        """Who teaches a flow map."""
        return None if self.objective is None else objectives.build_teacher(self.objective)

    @classmethod
    def read(cls, name_or_path: str | Path) -> Training:
        """A committed configuration by its name, or a TOML file.

        Raises FileNotFoundError for an unknown name, ValueError for a file that is no TOML, has missing or unknown
        keys, or values that do not fit.
        """
        check_instance("name_or_path", name_or_path, (str, Path), "a name, such as 'digits-flow', or a file")
        names = configurations()
        file = CONFIGS / f"{name_or_path}.toml" if str(name_or_path) in names else Path(name_or_path)
        if not is_file(file):
            raise FileNotFoundError(
                f"There is no configuration {shown(str(name_or_path))}; give a file, or one of {', '.join(names)}."
            )
        try:
            values = tomllib.loads(file.read_text())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{file} is no TOML file: {error}.") from None
        fields = dataclasses.fields(cls)
        valid = [field.name for field in fields]
        if unknown := sorted(set(values) - set(valid)):
            raise ValueError(f"{file} has unknown keys {', '.join(unknown)}; valid: {', '.join(valid)}.")
        required = {field.name for field in fields if field.default is dataclasses.MISSING}
        if missing := sorted(required - set(values)):
            raise ValueError(f"{file} lacks the keys {', '.join(missing)}.")
        with naming(file):
            return cls(**values)

    def record(self) -> dict[str, Any]:
        """The record of the training in a checkpoint, for JSON."""
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        values = dataclasses.asdict(self)
        return {name: value for name, value in values.items() if name not in LATER or value != defaults[name]}

    def rate(self, step: int) -> float:
        """The learning rate of a step: linear warm-up, cosine decay to zero, in each part of a training by itself."""
        step, steps = (step, self.steps) if self.goal is None else self.goal.part(step, self.steps)
        decay = 0.5 * (1.0 + math.cos(math.pi * step / steps))
        return self.learning_rate * min(1.0, (step + 1) / self.warmup) * decay

"""The configuration of a training, a TOML file that determines the network.

    data, predicts, steps, batch, learning_rate                            required
    [path], [network]                                                      a class and its arguments; required
    [weighting], [times], [precondition]                                   a class and its arguments
    ema = 0.999, or {class = "PowerLaw", sigma_rel = 0.1}                  the average of the weights
    stratify, importance (a number of bins), label_dropout                 how times and labels are drawn
    autocast = "bfloat16"                                                  products in half precision
    warmup, seed

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

from ..denoiser import preconditioning
from ..paths import GaussianPath, time_densities
from . import ema as averages, weightings
from .checkpoint import build, build_path
from .losses import check_finite

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
PRECONDITIONS = {"EDM": preconditioning.EDM}
AUTOCAST = {"bfloat16": torch.bfloat16}
LATER = ("weighting", "times", "precondition", "stratify", "importance", "autocast")
"""Fields that the first version did not have. They are recorded unless at their defaults, so that old files stay."""


def configurations() -> list[str]:
    """The names of the committed configurations."""
    return sorted(file.stem for file in CONFIGS.glob("*.toml"))


@dataclass(frozen=True)
class Training:
    """The configuration above. Raises ValueError for values that do not fit, and for an infinite loss."""

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

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "warmup"):
            value = getattr(self, name)
            if not (isinstance(value, int) and value >= 1):
                raise ValueError(f"{name} is {value!r}; give a whole number of at least 1.")
        if not (isinstance(self.label_dropout, int | float) and 0.0 <= self.label_dropout < 1.0):
            raise ValueError(f"label_dropout is {self.label_dropout!r}; give a number in [0, 1).")
        for name in ("weighting", "times", "precondition"):
            value = getattr(self, name)
            if not (value is None or isinstance(value, dict)):
                raise ValueError(f'{name} is {value!r}; give a class and its arguments, {{class = "..."}}.')
        if not isinstance(self.stratify, bool):
            raise ValueError(f"stratify is {self.stratify!r}; give true or false.")
        if self.autocast not in (None, *AUTOCAST):
            raise ValueError(f"autocast is {self.autocast!r}; give {', '.join(map(repr, AUTOCAST))}, or leave it out.")
        if self.importance:
            time_densities.Importance(self.importance)
        _ = self.average
        check_finite(self.gaussian_path, self.predicts, self.weight, self.density, self.frame)

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
            return averages.Constant(self.ema)
        made: averages.Average = build(AVERAGES, "ema", self.ema)
        return made

    @classmethod
    def read(cls, name_or_path: str | Path) -> Training:
        """A committed configuration by its name, or a TOML file.

        Raises FileNotFoundError for an unknown name, ValueError for a file that is no TOML or has missing or
        unknown keys.
        """
        names = configurations()
        file = CONFIGS / f"{name_or_path}.toml" if str(name_or_path) in names else Path(name_or_path)
        if not file.is_file():
            raise FileNotFoundError(
                f"There is no configuration {str(name_or_path)!r}; give a file, or one of {', '.join(names)}."
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
        return cls(**values)

    def record(self) -> dict[str, Any]:
        """The record of the training in a checkpoint, for JSON."""
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        values = dataclasses.asdict(self)
        return {name: value for name, value in values.items() if name not in LATER or value != defaults[name]}

    def rate(self, step: int) -> float:
        """The learning rate of a step: linear warm-up, cosine decay to zero."""
        decay = 0.5 * (1.0 + math.cos(math.pi * step / self.steps))
        return self.learning_rate * min(1.0, (step + 1) / self.warmup) * decay

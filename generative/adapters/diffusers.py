"""Networks of the diffusers library as denoisers: a model, and the configuration of any of its Gaussian schedulers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ...solvers.common import flag
from ..denoiser import Condition, Denoiser, Label
from .configuration import fields_of
from .conventions import Conventions, conventions, scheduler_class
from .wrapped import settings_of, unwrapped

__all__ = ["Network", "from_diffusers"]


def from_diffusers(
    model: Any,
    scheduler: Any,
    *,
    label: Label | None = None,
    condition: Condition | None = None,
    learned_variance: bool | None = None,
) -> Denoiser:
    """A model of diffusers as a denoiser.

    The network sees an index of a table as a whole number, in float32 at least, and a time between two indices as a
    fraction. With `clip_sample` or `thresholding` predictions are thresholded; give {**scheduler.config, "clip_sample":
    False} to avoid this.

    Args:
        model: called as model(x, timestep=..., return_dict=False), with class_labels=... if there is a label, and with
            the condition (encoder_hidden_states=..., ...). It may be wrapped, by DataParallel, torch.compile or PEFT.
        scheduler: a scheduler, or its configuration (`scheduler.config`, or the content of scheduler_config.json).
        label: as for `Denoiser`.
        condition: as for `Denoiser`.
        learned_variance: whether the model returns twice the channels, the second half for a variance, which is not
            used. None reads it off: yes if the scheduler's `variance_type` is learned, or if the model's configuration
            has twice as many channels out as in.

    Raises:
        TypeError: learned_variance is neither None nor a bool, or a field of the configuration is of another kind.
        ValueError: the scheduler has no Gaussian path, or the configuration has an unknown field or value.
    """
    said = conventions(scheduler)
    learned = _learned_variance(model, scheduler) if learned_variance is None else learned_variance
    return Denoiser(
        Network.of(model, said),
        said.path,
        predicts=said.predicts,
        time=said.time,
        label=label,
        condition=condition,
        precondition=said.precondition,
        learned_variance=flag("learned_variance", learned),
        threshold=said.threshold,
    )


@dataclass(frozen=True, eq=False)
class Network:
    """A diffusers model as net(x, times, label, **condition).

    Attributes:
        model: the model.
        said: its convention.
        embedded: whether it looks times up in a table, as integers.
        classes: the number of labels that it knows, if that is known.
        null_label: the label for none, if it has one.
    """

    model: Any
    said: Conventions
    embedded: bool = False
    classes: int | None = None
    null_label: int | None = None

    @property
    def __name__(self) -> str:
        return type(unwrapped(self.model)).__name__

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The shape of a sample, (C, H, W) or (C, L), if the model's configuration tells it."""
        settings = settings_of(self.model)
        channels, size = settings.get("in_channels"), settings.get("sample_size")
        axes = next((axes for axes in (1, 2) if f"{axes}D" in self.__name__), None)
        if axes is None or not isinstance(channels, int):
            return None
        sizes = (size,) * axes if isinstance(size, int) else tuple(size or ())
        return (channels, *sizes) if len(sizes) == axes else None

    @classmethod
    def of(cls, model: Any, said: Conventions) -> Network:
        """The network of a model, as its configuration describes it."""
        settings = settings_of(model)
        classes = settings.get("num_embeds_ada_norm") or settings.get("num_class_embeds")
        known = classes if isinstance(classes, int) else None
        null_label = known if settings.get("num_embeds_ada_norm") else None
        embedded = settings.get("time_embedding_type") == "learned"
        return cls(model, said, embedded, known, null_label)

    def __call__(self, x: Tensor, times: Tensor, label: Tensor | None = None, **condition: Any) -> Tensor:
        if self.said.clock is not None:
            times = self.said.clock(times)
        if self.embedded:
            times = times.round().long()
        if self.said.unit:
            x = 0.5 * (x + 1.0)
        labels = {} if label is None else {"class_labels": label}
        output: Tensor = self.model(x, timestep=times, **labels, **condition, return_dict=False)[0]
        return output if self.said.factor == 1.0 else self.said.factor * output


def _learned_variance(model: Any, scheduler: Any) -> bool:
    if fields_of(scheduler, scheduler_class(scheduler)).get("variance_type") in ("learned", "learned_range"):
        return True
    settings = settings_of(model)
    channels = settings.get("in_channels")
    return channels is not None and settings.get("out_channels") == 2 * channels

"""Networks of the diffusers library as denoisers: a model, and the configuration of any of its Gaussian schedulers."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..denoiser import Condition, Denoiser, Label
from .conventions import Conventions, conventions

__all__ = ["from_diffusers"]


def from_diffusers(
    model: Any, scheduler: Any, *, label: Label | None = None, condition: Condition | None = None
) -> Denoiser:
    """A model of diffusers as a denoiser.

    The network sees an index of a table as a whole number in the state's dtype, and a time between two indices as a
    fraction. With `clip_sample` or `thresholding` predictions are thresholded; give {**scheduler.config, "clip_sample":
    False} to avoid this.

    Args:
        model: called as model(x, timestep=..., return_dict=False), with class_labels=... if there is a label, and with
            the condition (encoder_hidden_states=..., ...). A model that returns twice the channels has learned a
            variance, which is not used.
        scheduler: a scheduler, or its configuration (`scheduler.config`, or the content of scheduler_config.json).
        label: as for `Denoiser`.
        condition: as for `Denoiser`.

    Raises:
        ValueError: the scheduler has no Gaussian path, or the configuration has an unknown field.
    """
    said = conventions(scheduler)
    return Denoiser(
        _Network(model, said),
        said.path,
        predicts=said.predicts,
        time=said.time,
        label=label,
        condition=condition,
        precondition=said.precondition,
        learned_variance=_learned_variance(model),
        threshold=said.threshold,
    )


class _Network:
    """A diffusers model as net(x, times, label, **condition)."""

    def __init__(self, model: Any, said: Conventions) -> None:
        self.model, self.sign, self.clock = model, said.sign, said.clock
        settings = getattr(model, "config", {})
        self.embedded = settings.get("time_embedding_type") == "learned"
        classes = settings.get("num_embeds_ada_norm") or settings.get("num_class_embeds")
        self.classes = classes if isinstance(classes, int) else None
        self.null_label = self.classes if settings.get("num_embeds_ada_norm") else None
        self.__name__ = type(model).__name__

    def __call__(self, x: Tensor, times: Tensor, label: Tensor | None = None, **condition: Any) -> Tensor:
        if self.clock is not None:
            times = self.clock(times)
        if self.embedded:
            times = times.round().long()
        labels = {} if label is None else {"class_labels": label}
        output: Tensor = self.model(x, timestep=times, **labels, **condition, return_dict=False)[0]
        return output if self.sign == 1.0 else self.sign * output


def _learned_variance(model: Any) -> bool:
    settings = getattr(model, "config", {})
    channels = settings.get("in_channels")
    return channels is not None and settings.get("out_channels") == 2 * channels

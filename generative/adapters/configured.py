"""What a scheduler is made of: a sampler, and a denoiser apart from its network; and how it is saved and read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch
from diffusers import ConfigMixin, SchedulerMixin
from torch import Tensor

from ...solvers.common import check_instance, flag
from ..denoiser import Denoiser
from ..paths import CondOT, Table
from ..sampling import AnySampler, resolve
from .apart import Told, apart
from .configuration import fields_of
from .conventions import conventions, scheduler_class
from .diffusers import from_diffusers
from .planning import Agenda
from .running import Run
from .spacing import Shift

__all__ = ["Configured"]


class Configured(SchedulerMixin, ConfigMixin):  # type: ignore[misc]  # diffusers carries no types
    """A scheduler of diffusers with the fields of another one and a sampler, before its timesteps are set.

    Args:
        sampler: as for `sample`.
        model_class: the name of the scheduler's class whose configuration describes the network.
        integers: whether times of the grid are rounded to indices of the table.
        model: the fields of that configuration.

    Raises:
        ValueError: an unknown sampler, a configuration that `from_diffusers` refuses, or a sampler that does not fit.
    """

    order = 1

    def __init__(
        self,
        sampler: AnySampler = None,
        model_class: str = "DDPMScheduler",
        integers: bool = False,
        **model: Any,
    ) -> None:
        model = fields_of(model, scheduler_class({**model, "model_class": model_class}))
        self.register_to_config(sampler=sampler, model_class=model_class, integers=integers, **model)
        denoiser = from_diffusers(Told(), self.config)
        self._begin(denoiser, sampler, integers, Shift.of(conventions(self.config).shift, self.config))

    @classmethod
    def from_config(cls, config: Any = None, return_unused_kwargs: bool = False, **changes: Any) -> Any:
        """A scheduler for the network of another scheduler.

        Args:
            config: a scheduler of diffusers, its configuration, or that of a `FokkerScheduler`.
            return_unused_kwargs: return ({}) as well, as diffusers asks for.
            changes: values that replace those of the configuration, such as sampler="unipc".
        """
        model_class = scheduler_class(config)
        settings: Mapping[str, Any] = getattr(config, "config", config)
        fields = {name: value for name, value in settings.items() if not name.startswith("_")}
        scheduler = cls(**{**fields, "model_class": model_class, **changes})
        return (scheduler, {}) if flag("return_unused_kwargs", return_unused_kwargs) else scheduler

    @classmethod
    def for_denoiser(cls, denoiser: Denoiser, sampler: AnySampler = None, *, integers: bool = False) -> Self:
        """A scheduler for a network with the path, prediction and clock of a denoiser.

        The denoiser's own network is not called. Raises ValueError for a guided denoiser: the pipeline guides.
        """
        check_instance("denoiser", denoiser, Denoiser, "a Denoiser, such as load('digits-flow')")
        if denoiser.cost != 1:
            raise ValueError(f"{denoiser!r} calls its network {denoiser.cost} times; give it without guidance.")
        scheduler = cls.__new__(cls)
        scheduler.register_to_config(sampler=sampler, integers=integers, path=repr(denoiser.path))
        scheduler._begin(denoiser, sampler, integers, Shift())
        return scheduler

    def _begin(self, denoiser: Denoiser, sampler: AnySampler, integers: bool, shift: Shift) -> None:
        path = denoiser.path
        if flag("integers", integers) and not isinstance(path, Table):
            raise ValueError(f"integers=True needs a table, but the path is {path}; leave it out.")
        self.denoiser, self._sampler, self._integers = apart(denoiser), sampler, integers
        self._shift = shift if isinstance(path, CondOT) else Shift()
        self.sampler = resolve(sampler, denoiser, 1000)
        self.sampler.equation(denoiser)  # raises if it does not fit
        self.init_noise_sigma = path.sigma(0.0)
        self.num_inference_steps: int | None = None
        self.timesteps = torch.empty(0, device="cpu")
        self.times: Tensor | None = None
        self._agenda: Agenda | None = None
        self._run: Run | None = None
        self._begin_index: int | None = None
        if isinstance(path, Table):
            self.betas = torch.tensor(path.betas, device="cpu")
            self.alphas = 1.0 - self.betas
            self.alphas_cumprod = torch.tensor([path.alpha(path.at(i)) ** 2 for i in range(path.steps)], device="cpu")

    def save_config(self, save_directory: Any, push_to_hub: bool = False, **options: Any) -> None:
        if not isinstance(self.config.sampler, str | None) or "model_class" not in self.config:
            raise ValueError(
                "Only a named sampler with the configuration of a scheduler of diffusers can be saved; make it with "
                "FokkerScheduler.from_config(scheduler.config, sampler='dpm++2m')."
            )
        super().save_config(save_directory, push_to_hub, **options)

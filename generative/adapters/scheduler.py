"""A sampler as a diffusers scheduler.

A pipeline calls its network itself and passes each output to the scheduler. So a scheduler is a sampler turned inside
out, which is what the table of `solvers.unroll` is: the times t_j of all evaluations are known beforehand, and with N_j
computed from the j-th output at X_j,

    X_{j+1} = Σ a x_i + Σ b N_k + Σ c ξ_k

is a sum of known tensors. The scheduler runs the table row by row as outputs arrive. A method with several stages has a
timestep for each stage.

The meaning of an output (its kind, clock, scale and threshold) is written down once: N_j comes from the equation of a
denoiser whose network returns the output that the pipeline has passed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import ConfigMixin, SchedulerMixin
from diffusers.utils import BaseOutput
from torch import Tensor

from ...solvers import unroll
from ..denoiser import Conditions, Denoiser, per_sample
from ..paths import Table
from ..sampling import AnySampler, resolve, steps
from .conventions import conventions, fields_of, scheduler_class
from .diffusers import from_diffusers
from .running import Answer, Drawn, Run
from .spacing import inverted, spaced

__all__ = ["FokkerScheduler", "SchedulerStep"]


@dataclass
class SchedulerStep(BaseOutput):  # type: ignore[misc]  # diffusers carries no types
    """The result of a step: the state of the next evaluation, or the sample at the end; x₀-hat if it is determined."""

    prev_sample: Tensor
    pred_original_sample: Tensor | None = None


class FokkerScheduler(SchedulerMixin, ConfigMixin):  # type: ignore[misc]
    """A sampler of ours for the pipelines of diffusers.

        pipe.scheduler = FokkerScheduler.from_config(pipe.scheduler.config, sampler="unipc")

    set_timesteps(n) allows n evaluations of the network, so that n means the same cost for every sampler. The
    pipeline's state is that of the denoiser's path, x = α x₀ + σ ε for a table, whatever the scale of the replaced
    scheduler. On a table the grid runs from the last index to index 0, and one more step from there to the clean
    sample. The shift of a flow shifts the grid.

    Args:
        sampler: as for `sample`.
        model_class: the name of the scheduler's class whose configuration describes the network.
        integers: round the times of the grid to indices of the table. Otherwise times are fractions of an index. A
            network that embeds times by sines accepts fractions, though it was trained on whole indices alone. The
            stages of a method lie between the times of the grid in both cases.
        model: the fields of that configuration (see `from_diffusers`).

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
        model = fields_of({"model_class": model_class, **model})
        self.register_to_config(sampler=sampler, model_class=model_class, integers=integers, **model)
        answer = Answer()
        self._begin(from_diffusers(answer, self.config), answer, sampler, integers, conventions(self.config).shift)

    @classmethod
    def from_config(cls, config: Any = None, return_unused_kwargs: bool = False, **changes: Any) -> Any:
        """A scheduler for the network of another scheduler.

        Args:
            config: a scheduler of diffusers, its configuration, or that of a `FokkerScheduler`.
            return_unused_kwargs: return ({}) as well, as diffusers asks for.
            changes: values that replace those of the configuration, such as sampler="unipc".
        """
        settings: Mapping[str, Any] = getattr(config, "config", config)
        fields = {name: value for name, value in settings.items() if not name.startswith("_")}
        if "model_class" not in fields:
            fields["model_class"] = scheduler_class(config)
        scheduler = cls(**{**fields, **changes})
        return (scheduler, {}) if return_unused_kwargs else scheduler

    @classmethod
    def for_denoiser(cls, denoiser: Denoiser, sampler: AnySampler = None, *, integers: bool = False) -> FokkerScheduler:
        """A scheduler for a network with the path, prediction and clock of a denoiser.

        The denoiser's own network is not called. Raises ValueError for a guided denoiser: the pipeline guides.
        """
        if denoiser.cost != 1:
            raise ValueError(f"{denoiser!r} calls its network {denoiser.cost} times; give it without guidance.")
        scheduler: FokkerScheduler = cls.__new__(cls)
        scheduler.register_to_config(sampler=sampler, integers=integers, path=repr(denoiser.path))
        answering, answer = copy(denoiser), Answer()
        answering.net, answering.learned_variance = answer.as_network, False
        answering.conditions = Conditions()
        scheduler._begin(answering, answer, sampler, integers)
        return scheduler

    def _begin(
        self, denoiser: Denoiser, answer: Answer, sampler: AnySampler, integers: bool, shift: float = 1.0
    ) -> None:
        if integers and not isinstance(denoiser.path, Table):
            raise ValueError(f"integers=True needs a table, but the path is {denoiser.path}; leave it out.")
        self.denoiser, self._answer, self._sampler = denoiser, answer, sampler
        self._integers, self._shift = integers, shift
        self._choose(1000)
        self.init_noise_sigma = denoiser.path.sigma(0.0)
        self.num_inference_steps: int | None = None
        self.timesteps = torch.empty(0)
        self.times: Tensor | None = None

    def _choose(self, evaluations: int) -> None:
        self.sampler = resolve(self._sampler, evaluations)
        self.equation = self.sampler.equation(self.denoiser)

    def save_config(self, save_directory: Any, push_to_hub: bool = False, **options: Any) -> None:
        if not isinstance(self.config.sampler, str | None) or "model_class" not in self.config:
            raise ValueError(
                "Only a named sampler with the configuration of a scheduler of diffusers can be saved; make it with "
                "FokkerScheduler.from_config(scheduler.config, sampler='dpm++2m')."
            )
        super().save_config(save_directory, push_to_hub, **options)

    def set_timesteps(self, num_inference_steps: int, device: torch.device | str | None = None) -> None:
        """Prepares a run with at most `num_inference_steps` evaluations of the network.

        Then `timesteps` are the values of the network's clock at the evaluations, and `times` is the grid. Raises
        ValueError for too few evaluations, for integers that coincide, and for a sampler that adds noise before its
        first evaluation.
        """
        self._choose(num_inference_steps)
        self.num_inference_steps, self._device = num_inference_steps, device
        n = steps(self.sampler, num_inference_steps, 1)
        self._plan(spaced(self.denoiser, self.sampler, n, shift=self._shift, integers=self._integers))

    def _plan(self, times: Tensor) -> None:
        scheme = unroll(self.equation, times, self.sampler.solver)
        self._run = Run(scheme)
        self.times, self.init_noise_sigma = times, self.denoiser.path.sigma(times[0].item())
        clocks = [self._clock(evaluation.time) for evaluation in scheme.evaluations]
        values = torch.cat(clocks)
        whole = isinstance(self.denoiser.path, Table) and bool((values == values.round()).all())
        self.timesteps = values.to(torch.int64 if whole else torch.float32).to(self._device)
        self._due = values.tolist()
        self._begin_index: int | None = None

    def _clock(self, t: Any) -> Tensor:
        """The time as the network sees it: (1,) float32 for a float t, otherwise of t's shape and dtype."""
        state = torch.zeros(1, 1) if not isinstance(t, Tensor) else t.new_zeros(len(t), 1)
        self._answer.output = None
        self.denoiser.output(t, state)
        return self._answer.times

    @property
    def step_index(self) -> int | None:
        """The number of evaluations so far."""
        return None if self.times is None else self._run.made

    @property
    def begin_index(self) -> int | None:
        return self._begin_index

    def set_begin_index(self, begin_index: int = 0) -> None:
        """Starts with a later timestep, from a state at its time: for pipelines that start from an image.

        Raises ValueError for a timestep within a step, and for a sampler that would start with other timesteps.
        """
        if begin_index == 0:
            self._begin_index = 0
            return
        if self.times is None:
            raise ValueError("set_begin_index was called before set_timesteps; call that first.")
        timesteps, times = self.timesteps, self.times
        self._plan(times[self._run.scheme.evaluations[begin_index].step :])
        if self.timesteps.tolist() != timesteps[begin_index:].tolist():
            raise ValueError(
                f"{self.sampler.name} does not start with timestep {begin_index}; start with one at the beginning of a "
                "step, and with a sampler whose first steps take as many evaluations as others."
            )
        self.timesteps, self.times, self._begin_index = timesteps, times, begin_index

    def scale_model_input(self, sample: Tensor, timestep: Any = None) -> Tensor:
        """The state as the network sees it at the next evaluation."""
        self._check_planned()
        self._answer.output = None
        self.denoiser.output(self._run.time, sample)
        return self._answer.x

    def step(
        self,
        model_output: Tensor,
        timestep: float | Tensor,
        sample: Tensor,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        return_dict: bool = True,
        *,
        eta: float = 0.0,
        use_clipped_model_output: bool | None = None,
    ) -> SchedulerStep | tuple[Tensor, Tensor | None]:
        """Goes from the network's output at a state to the state of the next evaluation, or to the sample.

        If a pipeline changes the state, a step starts from the changed one; a change to a stage within a step counts in
        this stage alone.

        Args:
            model_output: the output, (B, ...); twice the channels if the network has learned a variance, which is not
                used.
            timestep: the timestep that is due.
            sample: the state, (B, ...).
            generator: for stochastic samplers, one, or one for each sample.
            return_dict: return a `SchedulerStep`; otherwise its two fields as a tuple.
            eta: passed by some pipelines to DDIM; must be 0, because the sampler decides on the noise.
            use_clipped_model_output: passed by some pipelines to DDIM; ignored.

        Raises:
            ValueError: another timestep is due, eta is not 0, or the run has ended.
        """
        self._check_planned()
        if eta != 0.0:
            raise ValueError(f"eta = {eta:g} was given, but {self.sampler.name} has a noise of its own; leave eta out.")
        run = self._run
        if run.finished:
            raise ValueError("All timesteps have been taken; call set_timesteps again before another run.")
        self._check_due(timestep)
        if model_output.ndim > 1 and model_output.shape[1] == 2 * sample.shape[1]:
            model_output = model_output[:, : sample.shape[1]]
        working = torch.promote_types(sample.dtype, torch.float32)
        x = sample.to(working)
        self._answer.output = model_output.to(working)
        time, score = run.time, run.kind == "score"
        field = self.equation.score if score and self.equation.score is not None else self.equation.field
        value = field(time, x)
        denoised = self._denoised(time, x)
        following = run.advance(x, value, self.equation, Drawn(generator)).to(sample.dtype)
        if not return_dict:
            return following, denoised
        return SchedulerStep(following, denoised)

    def _denoised(self, time: float, x: Tensor) -> Tensor | None:
        try:
            return self.denoiser.predict("x0", time, x)
        except ValueError:  # ε-hat at α = 0
            return None

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """α x₀ + σ ε at the times where the network's clock has the values `timesteps`, (B,) or one for all."""
        shown = torch.as_tensor(timesteps, dtype=torch.float64, device="cpu").reshape(-1)
        t = inverted(self._clock, shown)
        path, like = self.denoiser.path, original_samples
        return per_sample(path.alpha(t), like) * like + per_sample(path.sigma(t), like) * noise.to(like)

    def _check_due(self, timestep: float | Tensor) -> None:
        if isinstance(timestep, Tensor) and timestep.device.type != "cpu":
            return  # not to wait for the device
        due, given = self._due[self._run.made], float(timestep)
        if not math.isclose(given, due, rel_tol=1e-5, abs_tol=1e-6):
            raise ValueError(
                f"A step at timestep {given:g} was given where {due:g} is due; take the timesteps in their order, and "
                "call set_begin_index to start later."
            )

    def _check_planned(self) -> None:
        if self.times is None:
            raise ValueError("There are no timesteps; call set_timesteps(n) first.")

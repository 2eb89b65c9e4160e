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

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import SchedulerMixin
from diffusers.utils import BaseOutput
from torch import Tensor

from ...solvers.common import check_device, flag, matching, real, whole
from ..denoiser import per_sample
from ..paths import VE, CondOT
from .apart import denoised, input_of, told
from .arguments import check_states, check_tokens
from .configured import Configured
from .entering import entered
from .planning import asked, noise_times, planned
from .running import Drawn, Run

__all__ = ["FokkerScheduler", "SchedulerStep"]


@dataclass
class SchedulerStep(BaseOutput):  # type: ignore[misc]  # diffusers carries no types
    """The result of a step: the state of the next evaluation, or the sample at the end; x₀-hat if it is determined."""

    prev_sample: Tensor
    pred_original_sample: Tensor | None = None


class FokkerScheduler(Configured, SchedulerMixin):  # type: ignore[misc]  # diffusers asks this module for the second
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

    Attributes:
        timesteps: what the network sees at the evaluations, (m,), after `set_timesteps`.
        sigmas: σ there and at the end, float32 (m + 1,), of a flow or of a path that only adds noise. A table has none,
            because diffusers means σ/α, of a state x/α.
        times: the grid, float64.
        init_noise_sigma: the standard deviation of the noise at the first evaluation.
        betas, alphas, alphas_cumprod: of a table, float32 (T,).

    Raises:
        ValueError: an unknown sampler, a configuration that `from_diffusers` refuses, or a sampler that does not fit.
    """

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: torch.device | str | None = None,
        timesteps: Any = None,
        sigmas: Any = None,
        mu: float | None = None,
    ) -> None:
        """Prepares a run of at most `num_inference_steps` evaluations of the network, or of one at each given time.

        A pipeline that gives timesteps or noise levels decides on the grid, and leaves the last step, to the data, to
        the scheduler. For a flow diffusers' rules say what becomes of them: the shift of the configuration, or that of
        mu, and so on. A sampler with several evaluations a step starts its steps at some of the given times, so that
        its evaluations are at most as many. Where a sampler cannot start at σ/α = ∞, it starts later.

        Args:
            num_inference_steps: the number of evaluations; may be left out if a grid is given.
            device: where `timesteps` are wanted.
            timesteps: values of the network's clock, from noise to data.
            sigmas: noise levels, from noise to data: σ of a flow before it is shifted, σ/α elsewhere.
            mu: the parameter of `use_dynamic_shifting`; ignored without it.

        Raises:
            ValueError: too few evaluations, integers that coincide, no number and no grid or ones that differ, times
                that do not lead to the data, mu is missing, or a sampler that adds noise before its first evaluation.
        """
        if device is not None:
            check_device("device", device)
        mu = None if mu is None else real("mu", mu)
        n, given, levels = asked(num_inference_steps, timesteps, sigmas)
        agenda = planned(
            self.denoiser,
            self._sampler,
            self.config if "model_class" in self.config else {},
            self._shift,
            evaluations=n,
            timesteps=given,
            sigmas=levels,
            mu=mu,
            integers=self._integers,
        )
        self._run, self._agenda, self._begin_index = Run(agenda.scheme), agenda, None
        self.num_inference_steps, self.sampler, self.times = n, agenda.sampler, agenda.times
        self.timesteps = agenda.timesteps.to(device)
        self.init_noise_sigma = agenda.deviation
        if isinstance(self.denoiser.path, CondOT | VE):
            self.sigmas = agenda.sigmas.to(device)

    @property
    def step_index(self) -> int | None:
        """The number of the evaluation that is due, from 0."""
        return None if self._run is None else (self._begin_index or 0) + self._run.made

    @property
    def begin_index(self) -> int | None:
        return self._begin_index

    def set_begin_index(self, begin_index: int = 0) -> None:
        """Starts with a later timestep, from a state at its time: for pipelines that start from an image.

        The timesteps that are due are those from there on, and no others (see `entering`). Without it a run starts with
        the timestep of the first step. Raises ValueError if there are no timesteps, or not as many.
        """
        begin = whole("begin_index", begin_index, 0)
        if self._agenda is None:
            if begin:
                raise ValueError("set_begin_index was called before set_timesteps; call that first.")
            self._begin_index = 0
            return
        agenda = self._agenda
        if begin >= agenda.scheme.nfe:
            raise ValueError(
                f"begin_index is {begin}, but {agenda.sampler.name} has {agenda.scheme.nfe} timesteps here; start "
                "earlier, or ask for more."
            )
        scheme = agenda.scheme
        if begin:
            scheme = entered(scheme, begin, agenda.sampler.equation(self.denoiser), agenda.sampler.solver)
        self._run, self._begin_index = Run(scheme), begin

    def scale_model_input(self, sample: Tensor, timestep: Any = None) -> Tensor:
        """The state as the network sees it at the next evaluation."""
        check_states(sample=sample)
        return input_of(self.denoiser, self._run_at(timestep).time, sample)

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
        prev_timestep: Any = None,
        per_token_timesteps: Tensor | None = None,
    ) -> SchedulerStep | tuple[Tensor, Tensor | None]:
        """Goes from the network's output at a state to the state of the next evaluation, or to the sample.

        If a pipeline changes the state, the change stays; only a change to a stage within a step counts in this stage
        alone.

        Args:
            model_output: the output, (B, ...); twice the channels if the network has learned a variance, which is not
                used.
            timestep: the timestep that is due.
            sample: the state, (B, ...).
            generator: for stochastic samplers, one, or one for each sample.
            return_dict: return a `SchedulerStep`; otherwise its two fields as a tuple.
            eta: passed by some pipelines to DDIM; must be 0, because the sampler decides on the noise.
            use_clipped_model_output: passed by some pipelines to DDIM; ignored.
            prev_timestep: passed by some pipelines to UnCLIP; ignored, since the timesteps are known.
            per_token_timesteps: (B, tokens) of a state (B, tokens, C), passed by some pipelines of videos, which then
                pass the negative output. A token at another timestep than the one that is due keeps its state.

        Raises:
            ValueError: another timestep is due, eta is not 0, or the run has ended.
        """
        check_states(sample=sample, model_output=model_output)
        eta, return_dict = real("eta", eta), flag("return_dict", return_dict)
        if use_clipped_model_output is not None:
            flag("use_clipped_model_output", use_clipped_model_output)
        if per_token_timesteps is not None:
            check_tokens(per_token_timesteps, sample)
        run = self._run_at(timestep)
        if eta != 0.0:
            raise ValueError(f"eta = {eta:g} was given, but {self.sampler.name} has a noise of its own; leave eta out.")
        if run.finished:
            raise ValueError("All timesteps have been taken; call set_timesteps again before another run.")
        self._check_due(timestep)
        if sample.ndim == model_output.ndim > 1 and model_output.shape[1] == 2 * sample.shape[1]:
            model_output = model_output[:, : sample.shape[1]]
        if per_token_timesteps is not None:
            model_output = -model_output
        working = torch.promote_types(sample.dtype, torch.float32)
        x, denoiser = sample.to(working), told(self.denoiser, model_output.to(working))
        equation, score = self.sampler.equation(denoiser), run.kind == "score"
        field = equation.score if score and equation.score is not None else equation.field
        following, self._run = run.advanced(x, field(run.time, x), equation, Drawn(generator), sample.dtype)
        clean = denoised(denoiser, run.time, x)
        if per_token_timesteps is not None:
            due = torch.isclose(per_token_timesteps, matching(timestep, per_token_timesteps), rtol=1e-5)
            following = torch.where(due.unsqueeze(-1), following, sample)
        return SchedulerStep(following, clean) if return_dict else (following, clean)

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor | float) -> Tensor:
        """α x₀ + σ ε at the times where the network's clock has the values `timesteps`, (B,) or one for all."""
        check_states(original_samples=original_samples, noise=noise)
        if noise.shape != original_samples.shape:
            raise ValueError(
                f"noise has shape {tuple(noise.shape)}, but the samples {tuple(original_samples.shape)}; match them."
            )
        t = noise_times(self.denoiser, self._agenda, timesteps, len(original_samples))
        path, like = self.denoiser.path, original_samples
        return per_sample(path.alpha(t), like) * like + per_sample(path.sigma(t), like) * noise.to(like)

    def scale_noise(self, sample: Tensor, timestep: Tensor | float, noise: Tensor) -> Tensor:
        """`add_noise`, as pipelines of flows call it."""
        return self.add_noise(sample, noise, timestep)

    def _run_at(self, timestep: Any) -> Run:
        """The run, which begins with this timestep if it has not begun and `set_begin_index` was not called."""
        if self._run is None or self._agenda is None:
            raise ValueError("There are no timesteps; call set_timesteps(n) first.")
        if self._run.made == 0 and self._begin_index is None and timestep is not None:
            given = real("timestep", timestep)
            index = self._agenda.index(given)
            if index is not None and not self._agenda.due(0, given):
                self.set_begin_index(index)
        return self._run

    def _check_due(self, timestep: float | Tensor) -> None:
        if self._agenda is None or (isinstance(timestep, Tensor) and timestep.device.type != "cpu"):
            return  # not to wait for the device
        given = real("timestep", timestep)
        if not self._agenda.due(self.step_index or 0, given):
            due = self._agenda.timesteps[self.step_index].item()
            raise ValueError(
                f"A step at timestep {given:g} was given where {due:g} is due; take the timesteps in their "
                "order, and call set_begin_index to start later."
            )

"""Schedulers of diffusers as samplers of any denoiser.

    set_timesteps(n)                 its own steps, from its first level of noise to the data
    scale_model_input, step(...)     for each of its timesteps, with what its network would return there

Every Gaussian path is the same up to scale and clock. The time of a denoiser is that of equal log-SNR, and x₀-hat and
ε-hat there are those of the scheduler's path. What the network would return is a combination of the two, as the
scheduler's configuration says (`conventions`). The start is pure noise, σ(t₀) ε: it is scaled to the σ of the first
timestep. A state at the end is taken for clean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any

import torch
from torch import Tensor

from ...solvers import Noise
from ...solvers.common import host
from ..denoiser import Denoiser, coefficients
from ..equations import grids
from .apart import Told, input_of, times_of
from .conventions import Conventions, conventions
from .diffusers import from_diffusers
from .levels import NoiseByLevel

__all__ = ["Stepping", "configured"]

STEP = ("model_output", "timestep", "sample")
"""The first parameters of a scheduler's step."""


def configured(scheduler: Any, options: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A new scheduler with these options in its configuration, and those that its step takes.

    Args:
        scheduler: a class of diffusers, or a scheduler, whose configuration the options change.
        options: fields of the configuration, or arguments of `step`.

    Raises:
        ValueError: the class takes no such option, has no Gaussian path, or its step takes more than an output.
    """
    kind: Any = scheduler if isinstance(scheduler, type) else type(scheduler)
    taken = signature(kind.__init__).parameters
    step = signature(kind.step).parameters
    if tuple(step)[1:4] != STEP:
        raise ValueError(
            f"The step of {kind.__name__} takes ({', '.join(tuple(step)[1:4])}, …), and a sampler needs "
            f"({', '.join(STEP)}, …); give another scheduler."
        )
    stepping = {name for name, each in step.items() if each.kind is not Parameter.VAR_KEYWORD} - {"self", *STEP}
    if unknown := sorted(options.keys() - taken.keys() - stepping):
        raise ValueError(
            f"{kind.__name__} has no option {', '.join(unknown)}; its configuration has "
            f"{', '.join(sorted(taken.keys() - {'self'}))}, and its step takes {', '.join(sorted(stepping)) or 'none'}."
        )
    fields = {name: value for name, value in options.items() if name in taken}
    own = {} if isinstance(scheduler, type) else {n: value for n, value in scheduler.config.items() if n in taken}
    try:
        with torch.device("cpu"):  # where its tables are, whatever torch's default device is
            made = kind(**own | fields)
    except NotImplementedError as error:
        listed = ", ".join(f"{name} = {value!r}" for name, value in fields.items())
        raise ValueError(f"{listed} is not known here: {error}") from None
    return made, {name: value for name, value in options.items() if name not in taken}


@dataclass(frozen=True, eq=False)
class Stepping:
    """A scheduler with its steps set.

    Attributes:
        scheduler: the scheduler.
        arguments: further arguments of its step.
        network: a denoiser of its convention, without a network.
        said: the convention.
        times: the times of its timesteps on its own path, float64.
    """

    scheduler: Any
    arguments: dict[str, Any]
    network: Denoiser
    said: Conventions
    times: Tensor

    @classmethod
    def of(cls, scheduler: Any, options: Mapping[str, Any], n: int, device: Any = None) -> Stepping:
        """The n steps of a scheduler with these options, for states on a device."""
        made, arguments = configured(scheduler, options)
        network = from_diffusers(Told(), made, learned_variance=False)
        made.set_timesteps(n, **({"device": device} if "device" in signature(made.set_timesteps).parameters else {}))
        return cls(made, arguments, network, conventions(made), times_of(network, host(made.timesteps)))

    @property
    def first(self) -> float:
        """The log-SNR of its first timestep."""
        return float(self.said.path.log_snr(self.times[0].item()))

    def run(self, denoiser: Denoiser, x: Tensor, times: Tensor, noise: Noise) -> Tensor:
        """The state at the last time, (B, ...).

        Args:
            denoiser: the network, on any path.
            x: the state at times[0].
            times: the first and the last time count.
            noise: the source of normals of a scheduler that takes a noise sampler.
        """
        path, tokens, start = self.said.path, self.scheduler.timesteps, self.times[0].item()
        if hasattr(self.scheduler, "noise_sampler"):
            self.scheduler.noise_sampler = NoiseByLevel(noise, denoiser.path, x, (times[0].item(), times[-1].item()))
        scale = float(self._seen(x.new_ones(1, 1), tokens[0]) / input_of(self.network, start, x.new_ones(1, 1)))
        x = x * (path.sigma(start) / denoiser.path.sigma(times[0].item()) / scale)
        for token, t in zip(tokens, self.times.tolist(), strict=True):
            state = self._seen(x, token) / input_of(self.network, t, x.new_ones(1, 1)).item()
            x = self.scheduler.step(self._output(denoiser, t, state), token, x, **self.arguments, return_dict=False)[0]
        return x * denoiser.path.alpha(times[-1].item())

    def _seen(self, x: Tensor, token: Tensor) -> Tensor:
        """What the scheduler's network sees of its state."""
        scaling = getattr(self.scheduler, "scale_model_input", None)
        seen: Tensor = x if scaling is None else scaling(x, token)
        return seen

    def _output(self, denoiser: Denoiser, t: float, x: Tensor) -> Tensor:
        """What the scheduler's network would return at time t of the scheduler's path, for the state x there."""
        path = self.said.path
        alpha, sigma, row = path.alpha(t), path.sigma(t), coefficients(self.said.predicts, path, t)
        at = _time(denoiser, row, path.log_snr(t))
        ratio = denoiser.path.alpha(at) / alpha if alpha > sigma else denoiser.path.sigma(at) / sigma
        output = denoiser.combination(*row, at, x * ratio)
        if self.said.precondition is not None:
            scales = self.said.precondition.scales(alpha, sigma)
            output = (output - scales.skip * x) / scales.output
        return output / self.said.factor


def _time(denoiser: Denoiser, row: tuple[Any, Any], log_snr: float) -> float:
    """The time of a log-SNR, or the nearest at which the denoiser determines a combination of x₀-hat and ε-hat."""
    t = min(max(denoiser.path.time(log_snr), 0.0), 1.0)
    return t if denoiser.determines(*row, t) else denoiser.path.time(-2.0 * math.log(grids.NOISIEST))

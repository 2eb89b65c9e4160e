"""The grid of a scheduler: a sampler's own, or the one that a pipeline gives.

A pipeline gives noise levels or timesteps. For a flow FlowMatchEulerDiscreteScheduler says what becomes of them: it
shifts them by the factor s of the configuration or of mu, σ → s σ/(1 + (s − 1) σ), stretches them to `shift_terminal`,
and replaces them if the configuration says so (`use_karras_sigmas`, …). Elsewhere a noise level is σ/α, and a timestep
is a value of the network's clock.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...solvers.common import host, real
from ..denoiser import Denoiser
from ..paths import CondOT, Shifted, Table
from ..sampling import Sampler, regular_interval
from .apart import times_of
from .configuration import class_of, parameters_of

__all__ = ["Shift", "given", "spaced", "thinned"]


@dataclass(frozen=True)
class Shift:
    """How a configuration moves the grid of a flow.

    Attributes:
        factor: s, without dynamic shifting.
        dynamic: whether s depends on the image, through the argument mu.
        linear: whether s is mu, and not e^mu.
        terminal: the last σ before 0, to which the grid is stretched; None leaves it.
    """

    factor: float = 1.0
    dynamic: bool = False
    linear: bool = False
    terminal: float | None = None

    @classmethod
    def of(cls, factor: float, config: Mapping[str, Any]) -> Shift:
        """The shift of a configuration whose constant shift is `factor`."""
        dynamic, linear = bool(config.get("use_dynamic_shifting")), config.get("time_shift_type") == "linear"
        return cls(factor, dynamic, linear, config.get("shift_terminal") or None)

    def at(self, mu: float | None) -> float:
        """s. Raises ValueError if it depends on mu and there is none."""
        if not self.dynamic:
            return self.factor
        if mu is None:
            raise ValueError(
                "use_dynamic_shifting makes the shift depend on mu, which was not given; give mu, or set "
                "use_dynamic_shifting=False and a shift."
            )
        return real("mu", mu, above=0.0) if self.linear else math.exp(real("mu", mu))


def spaced(
    denoiser: Denoiser,
    row: Sampler,
    n: int,
    *,
    shift: float = 1.0,
    terminal: float | None = None,
    integers: bool = False,
) -> Tensor:
    """The times of n steps of a sampler, from noise to data.

    On a table the sampler's grid ends at index 0, and one more step goes from there to the clean sample.

    Args:
        denoiser: the network.
        row: the sampler.
        n: the number of steps.
        shift: s; the steps are those of the path whose σ is s σ / (1 + (s − 1) σ) on `CondOT`.
        terminal: the σ of a flow at the start of the last step; None leaves it.
        integers: round the times to indices of the table.

    Returns:
        float64, (n + 1,).

    Raises:
        ValueError: two times are rounded to the same index.
    """
    path = denoiser.path
    start, end = regular_interval(denoiser, row, both_ways=False)
    if isinstance(path, Table) and end == 1.0:
        times = row.grid(path, n - 1, t0=start, t1=path.at(0)) if n > 1 else host([start])
        return torch.cat([_rounded(path, times, row.name) if integers else times, times.new_ones(1)])
    if shift == 1.0:
        times = row.grid(path, n, t0=start, t1=end)
    else:
        shifted = Shifted(path, -math.log(shift))
        first, last = (shifted.time(path.log_snr(t)) for t in (start, end))
        times = shifted.inner_time(row.grid(shifted, n, t0=first, t1=last))
        times[0], times[-1] = start, end
    if terminal is not None and n > 1:
        times[:-1] *= (1.0 - terminal) / times[-2].item()
    return times


def _rounded(path: Table, times: Tensor, name: str) -> Tensor:
    indices = path.index(times).round()
    if bool((indices.diff() == 0.0).any()):
        raise ValueError(
            f"{len(times)} steps of {name} do not fall on different indices of the table; take fewer, or leave "
            "integers out."
        )
    return path.at(indices)


def given(
    denoiser: Denoiser,
    config: Mapping[str, Any],
    shift: Shift,
    *,
    timesteps: tuple[float, ...] | None,
    sigmas: tuple[float, ...] | None,
    mu: float | None,
) -> tuple[Tensor, Tensor | None]:
    """The times of the evaluations that a pipeline asks for.

    Args:
        denoiser: the network.
        config: the configuration of the replaced scheduler; without model_class if there is none.
        shift: what the configuration says of shifting.
        timesteps: values of the network's clock, or None.
        sigmas: noise levels, or None.
        mu: the parameter of a dynamic shift, or None.

    Returns:
        The times, float64 (n,), and the timesteps that the network is shown there if they are not those of its clock:
        for a flow with given timesteps, which diffusers does not shift.
    """
    path = denoiser.path
    if isinstance(path, CondOT) and "model_class" in config:
        shift.at(mu)  # which says what is missing
        kind = "FlowMatchEulerDiscreteScheduler"
        fields = {field: config[field] for field in parameters_of(kind) if field in config} | {"shift": shift.factor}
        theirs = class_of(kind)(**fields)
        with np.errstate(divide="ignore"):  # 1/σ at σ = 0
            theirs.set_timesteps(timesteps=_listed(timesteps), sigmas=_listed(sigmas), mu=mu)
        levels = theirs.sigmas[:-1].double().cpu()
        shown = None if timesteps is None else theirs.timesteps.double().cpu()
        return (levels if config.get("invert_sigmas") else 1.0 - levels), shown
    if sigmas is None:
        return times_of(denoiser, host(timesteps)), None
    levels = host(sigmas)
    return 1.0 - levels if isinstance(path, CondOT) else path.time(-2.0 * levels.log()), None


def _listed(values: tuple[float, ...] | None) -> list[float] | None:
    return None if values is None else list(values)


def thinned(denoiser: Denoiser, row: Sampler, times: Tensor, n: int) -> Tensor:
    """The grid of n steps that start at times of a pipeline, evenly chosen among them, and end at the data.

    Where a sampler cannot start at the first time (σ/α = ∞ if it holds ε), it starts later, as on its own grid, but
    before the second time.

    Args:
        denoiser: the network.
        row: the sampler.
        times: the times, rising, float64 (m,).
        n: the number of steps, at most m.
    """
    start, end = regular_interval(denoiser, row, both_ways=False)
    first, following = [*times.tolist(), end][:2]
    head = first if first >= start else min(start, 0.5 * (first + following))
    chosen = torch.cat([times.new_tensor([head]), times[1:]])[torch.arange(n, device="cpu") * len(times) // n]
    return torch.cat([chosen, times.new_tensor([end])])


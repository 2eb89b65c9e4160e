"""Sampling with a flow map: jumps along the probability flow, with or without fresh noise between them.

Between the times t_0 < … < t_n a step jumps from t_i to u_{i+1} and adds noise back to t_{i+1}. With r = σ/α,

    x̂ = X(x, t_i, u),        x ← (α_t/α_u) x̂ + √(σ_t² − (α_t σ_u/α_u)²) ξ        at t = t_{i+1},
    r_u² = r_t² − γ² (r_t² − r_1²).

The last step jumps to t_n and adds no noise. γ = 0 is the deterministic multistep sampler, X(x, t_i, t_{i+1}). γ = 1
jumps to the data every time, which is all that a consistency model can do. Each step keeps the marginals of the path
if X is exact, whatever γ is.

Sources: Song et al., Consistency Models (2303.01469), algorithm 1, for γ = 1; Kim et al., Consistency Trajectory Models
(2310.02279), algorithm 3, for the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from ...solvers import Noise
from ...solvers.common import MANY, Progress, check_fields, real, reals, whole
from ..equations import grids
from ..flow_maps import Consistency, FlowMap
from ..paths import GaussianPath

__all__ = ["JumpPlan", "Jumps", "as_jumps", "plan_jumps"]

NAMES = {"jumps": 0.0, "consistency": 1.0}
"""γ of the samplers that have a name."""


@dataclass(frozen=True)
class Jumps:
    """How a flow map samples: the noise that is added between its jumps, and their times.

    Args:
        gamma: γ, from 0 (no noise) to 1 (every jump ends at the data). A `Consistency` model takes 1 alone.
        times: the times of the jumps, rising from noise to data, such as (0.0, 0.5, 1.0) for two. None gives as many
            jumps as there are evaluations, of equal length in α/(α + σ).

    Raises:
        TypeError: for what is no number.
        ValueError: for γ outside [0, 1], and for times that do not rise or that leave [0, 1].

    Example:
        >>> Jumps(gamma=1.0, times=(0, 0.5, 1))
        Jumps(gamma=1.0, times=(0.0, 0.5, 1.0))
    """

    gamma: float = 0.0
    times: Sequence[float] | None = None

    def __post_init__(self) -> None:
        check_fields(self, real, "gamma", low=0.0, high=1.0)
        if self.times is None:
            return
        times = tuple(reals("times", self.times))
        if len(times) < 2 or not all(0.0 <= s < t <= 1.0 for s, t in pairwise(times)):
            raise ValueError(
                f"The times of jumps rise from noise to data within [0, 1], but times are {times}; give for example "
                "(0.0, 0.5, 1.0)."
            )
        object.__setattr__(self, "times", times)


@dataclass(frozen=True)
class Jump:
    """One step: from s to u along the flow, and back to t by x → ratio x + deviation ξ."""

    s: float
    u: float
    ratio: float
    deviation: float


@dataclass(frozen=True)
class JumpPlan:
    """Jumps at their times, for a flow map.

    Args:
        flow_map: the network, with its labels.
        times: n + 1 times of n jumps, float64.
        steps: the jumps.
    """

    flow_map: FlowMap
    times: Tensor
    steps: tuple[Jump, ...]

    @property
    def stochastic(self) -> bool:
        """Whether noise is added on the way."""
        return any(step.deviation > 0.0 for step in self.steps)

    def of_rows(self, index: Tensor) -> JumpPlan:
        """The plan for the samples of these indices."""
        return replace(self, flow_map=self.flow_map.of_rows(index))

    def run(self, x: Tensor, noise: Noise | None, progress: bool = False) -> Tensor:
        """The states at the last time, (B, ...).

        Args:
            x: the states at the first time, (B, ...).
            noise: whose extra normal number i is added after step i.
            progress: show a progress bar on stderr.
        """
        with Progress(self.times[0].item(), self.times[-1].item(), progress) as bar:
            for i, step in enumerate(self.steps):
                x = self.flow_map(x, step.s, step.u)
                if step.deviation > 0.0 and noise is not None:
                    x = step.ratio * x + step.deviation * noise.extra(i, x)
                bar.reach(self.times[i + 1].item())
        return x


def as_jumps(sampler: object, flow_map: FlowMap) -> Jumps:
    """The `Jumps` that an argument `sampler` stands for: `Jumps`, "jumps", "consistency", or None for the default.

    The default adds no noise, but after the jumps of a `Consistency` model, which can do nothing else.

    Raises:
        TypeError: it is none of these.
        ValueError: the name is unknown.
    """
    if sampler is None:
        return Jumps(1.0 if isinstance(flow_map, Consistency) else 0.0)
    if isinstance(sampler, str) and sampler in NAMES:
        return Jumps(NAMES[sampler])
    if isinstance(sampler, Jumps):
        return sampler
    kind = ValueError if isinstance(sampler, str) else TypeError
    raise kind(
        f"A flow map jumps, but sampler is {sampler!r}; give Jumps(gamma, times), {' or '.join(map(repr, NAMES))}, or "
        "leave sampler out."
    )


def plan_jumps(flow_map: FlowMap, sampler: Jumps, nfe: int) -> JumpPlan:
    """The plan with `nfe` jumps, or with those between the sampler's own times.

    Where the network does not determine the jump from t = 0, the first jump starts at σ/α = 80, and where it cannot be
    told to jump to t = 1, the last one ends at σ/α = 0.002. The state there is taken for that of the end.

    Raises:
        ValueError: the budget is below the number of jumps between the sampler's own times, or a consistency model is
            asked to jump elsewhere than to the data.
    """
    nfe = whole("nfe", nfe, 1, MANY)
    if isinstance(flow_map, Consistency) and sampler.gamma != 1.0:
        raise ValueError(
            f"A consistency model jumps to the data alone, which needs gamma = 1, but gamma = {sampler.gamma:g}; give "
            'sampler="consistency", or a FlowMap, whose network sees its target.'
        )
    path = flow_map.path
    if sampler.times is None:
        start = 0.0 if _jumps(flow_map, 0.0, 1.0) or _jumps(flow_map, 0.0, 0.5) else _level(path, grids.NOISIEST)
        end = 1.0 if _jumps(flow_map, 0.5, 1.0) else _level(path, grids.CLEANEST)
        times = grids.power(path, nfe, 1.0, t0=start, t1=end)
    elif nfe < len(sampler.times) - 1:
        raise ValueError(f"nfe = {nfe} is less than the {len(sampler.times) - 1} jumps between its times; allow more.")
    else:
        times = torch.tensor(sampler.times, dtype=torch.float64, device="cpu")
    steps = [_jump(path, s, t, sampler.gamma) for s, t in pairwise(times.tolist())]
    last = steps[-1].s, times[-1].item()
    return JumpPlan(flow_map, times, (*steps[:-1], Jump(*last, 1.0, 0.0)))


def _jump(path: GaussianPath, s: float, t: float, gamma: float) -> Jump:
    """The step from s to t."""
    noisy, clean = (path.sigma(at) / path.alpha(at) for at in (t, 1.0))
    if gamma == 0.0 or noisy <= clean:
        return Jump(s, t, 1.0, 0.0)
    level = math.sqrt(max(noisy**2 - gamma**2 * (noisy**2 - clean**2), 0.0))
    u = 1.0 if gamma == 1.0 else _level(path, level)
    ratio = path.alpha(t) / path.alpha(u)
    kept, sigma = ratio * path.sigma(u), path.sigma(t)
    return Jump(s, u, ratio, math.sqrt(max(sigma - kept, 0.0) * (sigma + kept)))


def _level(path: GaussianPath, level: float) -> float:
    """The time at which σ/α has this value."""
    return path.time(-2.0 * math.log(level))


def _jumps(flow_map: FlowMap, s: float, t: float) -> bool:
    """Whether the network can jump from s to t."""
    try:
        denoiser = flow_map.towards(t)
    except ValueError:
        return False
    return denoiser.determines(flow_map.path.alpha(t), flow_map.path.sigma(t), s)

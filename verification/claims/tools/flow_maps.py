"""Students of exact teachers, level by level: affine maps that are fitted to what their losses ask for.

A student is affine at each of finitely many times. On Gaussian data every target of distillation is affine, so that its
least-squares fit over exact nodes is the minimiser of the loss, with whatever positive weight.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ....generative import Denoiser, FlowMap, Jumps
from ....generative.sampling import plan_jumps
from ....solvers.common import host
from .samplers import Response, response

__all__ = ["Affine", "AsTeacher", "affine_fit", "distilled", "jump_response"]


@dataclass(frozen=True)
class AsTeacher:
    """A student at its start: it predicts as a denoiser, whatever the target."""

    denoiser: Denoiser

    def __call__(self, x: Tensor, s: Tensor, t: Tensor) -> Tensor:
        return self.denoiser.output(s, x)


@dataclass(frozen=True)
class Affine:
    """offset + gain x, with a pair for each time."""

    times: tuple[float, ...]
    pairs: tuple[tuple[float, float], ...]

    def __call__(self, x: Tensor, s: Tensor, t: Tensor) -> Tensor:
        place = (s[:, None] - host(self.times)).abs().argmin(1)
        offset, gain = host(self.pairs)[place].T
        return offset[:, None] + gain[:, None] * x


def affine_fit(x: Tensor, target: Tensor, weight: Tensor | None = None) -> tuple[float, float]:
    """Offset and gain of the best affine function of x, (N, 1), for a target (N, 1), weighted by (N,)."""
    root = torch.ones_like(x[:, 0]) if weight is None else weight.sqrt()
    columns = torch.cat([torch.ones_like(x), x], 1) * root[:, None]
    offset, gain = torch.linalg.lstsq(columns, root[:, None] * target).solution.flatten().tolist()
    return offset, gain


def distilled(teacher: FlowMap, times: Sequence[float], at: Callable[[float], Tensor]) -> FlowMap:
    """The best affine student of a round of progressive distillation, which predicts x̃ at every second time.

    Args:
        teacher: makes the steps between the times.
        times: an odd number of times, rising.
        at: the states on which the student is fitted, (N, 1), at a time.
    """
    path, pairs = teacher.path, []
    for s, m, t in zip(times[:-2:2], times[1:-1:2], times[2::2], strict=True):
        x = at(s)
        end = teacher(teacher(x, s, m), m, t)
        ratio = path.sigma(t) / path.sigma(s)
        pairs.append(affine_fit(x, (end - ratio * x) / (path.alpha(t) - ratio * path.alpha(s))))
    return FlowMap(Affine(tuple(times[:-1:2]), tuple(pairs)), path, predicts="x0")


def jump_response(flow_map: FlowMap, times: Sequence[float], gamma: float = 0.0) -> Response:
    """What an affine flow map makes of its start and of its noises, on these times."""
    return response(plan_jumps(flow_map, Jumps(gamma, times), len(times) - 1).run)

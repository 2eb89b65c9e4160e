"""MeanFlow: the average velocity obeys an identity with the velocity, which needs no solver and no second network.

    u(z, s, t) = (z_t − z_s)/(r_t − r_s)   ⇒   u = v + (r_t − r_s) du/dr,      du/dr = ∂_z u · v + ∂_r u,

with z = x/(α + σ), r = α/(α + σ) and v = dz/dr at s; d/dr is the derivative along the flow at a fixed target t. So

    Δ = u_θ(z, s, t) − sg(v + (r_t − r_s) du_θ/dr),

where v = x₀ − ε of the sample, or, with a teacher, its x₀-hat − ε-hat, which has no variance. The derivative is one
forward-mode derivative of the student. Of each pair of times from the density, s is the earlier; for a part of the
samples t = s, where the student is a denoiser. The time runs from noise to data, against the paper's.

Source: Geng et al., Mean Flows for One-step Generative Modeling (2505.13447), eqs. 6 and 10, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from ....solvers.common import check_fields, real
from ...denoiser import per_sample
from ...paths import GaussianPath, TimeDensity
from ..weightings import inside
from .consistency import state
from .distances import Adaptive, Distance
from .objective import Lesson, Objective
from .teacher import share

__all__ = ["MeanFlow"]


@dataclass(frozen=True)
class MeanFlow(Objective):
    """The loss above.

    Args:
        distance: d.
        equal: the part of the samples with t = s.
    """

    distance: Distance = Adaptive()  # noqa: RUF009 (it is frozen)
    equal: float = 0.75
    draws_times: ClassVar[bool] = True
    unit: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        check_fields(self, real, "equal", low=0.0, high=1.0)

    def times(self, lesson: Lesson, u: Tensor, density: TimeDensity, generator: Generator | None) -> tuple[Tensor, ...]:
        other = torch.rand((2, *u.shape), generator=generator, device=u.device, dtype=u.dtype)
        first, second = density.quantile(lesson.path, u), density.quantile(lesson.path, other[0])
        second = torch.where(other[1] < self.equal, first, second)
        return inside(torch.minimum(first, second)), inside(torch.maximum(first, second))

    def residual(self, lesson: Lesson, x0: Tensor, eps: Tensor, *times: Tensor) -> Tensor:
        s, t = times
        path = lesson.path
        x = state(path, s, x0, eps)
        v = x0 - eps if lesson.teacher is None else lesson.teacher.slope(x, s)
        student = lesson.student.towards(t)

        def average(x: Tensor, s: Tensor) -> Tensor:
            return student.combination(1.0, -1.0, s, x)

        rate = _rate(path, s)
        u, slope = _along(average, path, x, s, v, rate)
        aim = v + per_sample((share(path, t) - share(path, s)) / rate, v) * slope
        return u - aim.detach()


def _rate(path: GaussianPath, s: Tensor) -> Tensor:
    """dr/ds = (α' σ − α σ')/(α + σ)²."""
    alpha, sigma = path.alpha(s), path.sigma(s)
    rate: Tensor = (path.d_alpha(s) * sigma - alpha * path.d_sigma(s)) / (alpha + sigma) ** 2
    return rate


def _along(
    average: Callable[..., Tensor], path: GaussianPath, x: Tensor, s: Tensor, v: Tensor, rate: Tensor
) -> tuple[Tensor, Tensor]:
    """u at (x, s), and du/ds along the flow: x = (α + σ) z moves by (α' + σ') z + (α + σ) v dr/ds."""
    scale = path.alpha(s) + path.sigma(s)
    moved = per_sample((path.d_alpha(s) + path.d_sigma(s)) / scale, x) * x + per_sample(scale * rate, x) * v
    both: tuple[Tensor, Tensor] = torch.func.jvp(average, (x, s), (moved, torch.ones_like(s)))  # type: ignore[assignment]
    return both

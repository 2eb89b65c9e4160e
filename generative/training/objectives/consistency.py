"""Consistency models: what a student gives at neighbouring times of one trajectory is the same.

    distillation    Δ = X_θ(x_s, s, t) − X_θ⁻(Φ(x_s, s, s'), s', t),      Φ a step of the teacher's solver
    training        Δ = X_θ(x_s, s, 1) − X_θ⁻(α_s' x₀ + σ_s' ε, s', 1),   the same x₀ and ε at both times

for neighbours s < s' of N levels, and t = 1, the data. With `anywhere` the target t of distillation is any level from
s' on, so that the student learns all jumps between levels (Kim et al.). After each step θ⁻ ← μ θ⁻ + (1 − μ) θ.

In training the number of levels grows with the step k of K,

    N(k) = ⌈√(k/K ((s₁ + 1)² − s₀²) + s₀²) − 1⌉ + 1,      μ(k) = exp(s₀ log μ₀ / N(k)).

Sources: Song et al., Consistency Models (2303.01469), algorithms 2 and 3 and appendix C; Kim et al., Consistency
Trajectory Models (2310.02279), eq. 9.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn

from ....solvers.common import check_fields, choice, flag, real, whole
from ...denoiser import per_sample
from ...paths import GaussianPath, TimeDensity
from ..ema import pull
from .levels import GRIDS, MOST_LEVELS, levels, place
from .objective import Lesson, Objective

__all__ = ["ConsistencyDistillation", "ConsistencyTraining"]


def state(path: GaussianPath, t: Tensor, x0: Tensor, eps: Tensor) -> Tensor:
    """x_t = α x₀ + σ ε."""
    return per_sample(path.alpha(t), x0) * x0 + per_sample(path.sigma(t), x0) * eps


@dataclass(frozen=True)
class Consistency(Objective):
    """What both share: levels, and an average μ that runs behind.

    Args:
        distance: d.
        grid: the name of the grid of the levels (see `levels`).
    """

    grid: str = "share"
    remembers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_fields(self, choice, "grid", choices=GRIDS)

    @abstractmethod
    def count(self, step: int, steps: int) -> int:
        """N, the number of levels."""

    @abstractmethod
    def mu(self, step: int, steps: int) -> float:
        """μ, the share of itself that θ⁻ keeps."""

    def ladder(self, lesson: Lesson, like: Tensor) -> Tensor:
        """The N levels from noise to data, in the dtype and on the device of a tensor."""
        return levels(self.grid, lesson.path, self.count(lesson.step, lesson.steps) - 1, like)

    def times(self, lesson: Lesson, u: Tensor, density: TimeDensity, generator: Generator | None) -> tuple[Tensor, ...]:
        ladder = self.ladder(lesson, u)
        first = place(u, len(ladder) - 1)
        return ladder[first], ladder[first + 1], torch.ones_like(u)

    def follow(self, before: nn.Module, net: nn.Module, average: nn.Module, step: int, steps: int) -> None:
        pull(before, net, 1.0 - self.mu(step - 1, steps))


@dataclass(frozen=True)
class ConsistencyDistillation(Consistency):
    """The first loss above.

    Args:
        distance: d.
        grid: the name of the grid of the levels.
        levels: N, their number.
        decay: μ.
        anywhere: whether the target is any later level, in place of the data.
    """

    levels: int = 18
    decay: float = 0.95
    anywhere: bool = False
    taught: ClassVar[bool | None] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, whole, "levels", low=2, high=MOST_LEVELS)
        check_fields(self, real, "decay", low=0.0, below=1.0)
        check_fields(self, flag, "anywhere")

    def count(self, step: int, steps: int) -> int:
        return self.levels

    def mu(self, step: int, steps: int) -> float:
        return self.decay

    def times(self, lesson: Lesson, u: Tensor, density: TimeDensity, generator: Generator | None) -> tuple[Tensor, ...]:
        if not self.anywhere:
            return super().times(lesson, u, density, generator)
        ladder = self.ladder(lesson, u)
        first = place(u, len(ladder) - 1)
        other = torch.rand(u.shape, generator=generator, device=u.device, dtype=u.dtype)
        later = first + 1 + place(other, len(ladder) - 1 - first)
        return ladder[first], ladder[first + 1], ladder[later]

    def residual(self, lesson: Lesson, x0: Tensor, eps: Tensor, *times: Tensor) -> Tensor:
        s, neighbour, t = times
        x = state(lesson.path, s, x0, eps)
        with torch.no_grad():
            aim = lesson.before(lesson.tutor.step(x, s, neighbour), neighbour, t)
        return lesson.student(x, s, t) - aim


@dataclass(frozen=True)
class ConsistencyTraining(Consistency):
    """The second loss above.

    Args:
        distance: d.
        grid: the name of the grid of the levels.
        first: s₀, the first number of levels.
        last: s₁, the last one less one.
        decay: μ₀.
    """

    first: int = 2
    last: int = 150
    decay: float = 0.9
    taught: ClassVar[bool | None] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, whole, "first", low=2, high=MOST_LEVELS)
        check_fields(self, whole, "last", low=self.first, high=MOST_LEVELS)
        check_fields(self, real, "decay", above=0.0, below=1.0)

    def count(self, step: int, steps: int) -> int:
        square = step / steps * ((self.last + 1) ** 2 - self.first**2) + self.first**2
        return math.ceil(math.sqrt(square) - 1.0) + 1

    def mu(self, step: int, steps: int) -> float:
        return math.exp(self.first * math.log(self.decay) / self.count(step, steps))

    def residual(self, lesson: Lesson, x0: Tensor, eps: Tensor, *times: Tensor) -> Tensor:
        s, neighbour, t = times
        with torch.no_grad():
            aim = lesson.before(state(lesson.path, neighbour, x0, eps), neighbour, t)
        return lesson.student(state(lesson.path, s, x0, eps), s, t) - aim

"""Progressive distillation: a student learns in one step what its teacher does in two; then it teaches, and so on.

    x̃ = (x̂_t − (σ_t/σ_s) x_s) / (α_t − (σ_t/σ_s) α_s),      Δ = x₀-hat_θ(x_s, s, t) − x̃,

where s and t are neighbours of N + 1 levels and x̂_t follows from x_s by two steps of the teacher, over the level
between them, so that Δ = 0 means that one step of DDIM ends in x̂_t. The first round has N = `first` and a trained
network as its teacher; each further round has N/2 and the averaged student of the round before, with weights θ⁻. Every
round has its own warm-up and decay of the rate. With `rehearse` a round also repeats the steps of earlier ones, for
which θ⁻ makes one step as it did, so that the student stays able to sample in each number of steps.

Source: Salimans and Ho (2202.00512), algorithm 2 and appendix G.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn

from ....solvers.common import check_fields, choice, flag, whole
from ...denoiser import per_sample
from ...paths import TimeDensity, ratio
from ..ema import pull
from .consistency import state
from .levels import GRIDS, MOST_LEVELS, levels, place
from .objective import Lesson, Objective

__all__ = ["ProgressiveDistillation"]


@dataclass(frozen=True)
class ProgressiveDistillation(Objective):
    """The loss above.

    Args:
        distance: d.
        grid: the name of the grid of the levels (see `levels`). Of the levels of 2 N steps, every other is one of N.
        first: N of the first round, divisible by 2 once for each further round.
        rounds: how many rounds; each takes as many steps of training.
        rehearse: whether a round repeats the step sizes of earlier ones, each as often as its own.
    """

    grid: str = "share"
    first: int = 8
    rounds: int = 4
    rehearse: bool = False
    taught: ClassVar[bool | None] = True
    remembers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_fields(self, choice, "grid", choices=GRIDS)
        check_fields(self, whole, "first", low=1, high=MOST_LEVELS // 2)
        check_fields(self, whole, "rounds", low=1, high=20)
        check_fields(self, flag, "rehearse")
        if self.first % 2 ** (self.rounds - 1):
            raise ValueError(
                f"{self.first} steps cannot be halved {self.rounds - 1} times; give first = {2 ** (self.rounds - 1)}."
            )

    def round_of(self, step: int, steps: int) -> int:
        """The round, from 0, of the step of training after `step` ones."""
        return min(step * self.rounds // steps, self.rounds - 1)

    def part(self, step: int, steps: int) -> tuple[int, int]:
        number = self.round_of(step, steps)
        start, end = (-(-steps * k // self.rounds) for k in (number, number + 1))
        return step - start, end - start

    def times(self, lesson: Lesson, u: Tensor, density: TimeDensity, generator: Generator | None) -> tuple[Tensor, ...]:
        number = self.round_of(lesson.step, lesson.steps)
        played = torch.full(u.shape, number, device=u.device)
        if self.rehearse:
            played = torch.randint(number + 1, u.shape, generator=generator, device=u.device)
        half = 2**played
        start = 2 * half * place(u, self.first // half)
        finest = levels(self.grid, lesson.path, 2 * self.first, u)
        return finest[start], finest[start + half], finest[start + 2 * half], played

    def residual(self, lesson: Lesson, x0: Tensor, eps: Tensor, *times: Tensor) -> Tensor:
        s, middle, t, played = times
        x = state(lesson.path, s, x0, eps)
        noise = ratio(lesson.path.sigma(t), lesson.path.sigma(s))
        aim = self.aim(lesson, x, s, middle, t, played) - per_sample(noise, x) * x
        aim = aim / per_sample(lesson.path.alpha(t) - noise * lesson.path.alpha(s), x)
        return lesson.student.towards(t).predict("x0", s, x) - aim

    @torch.no_grad()
    def aim(self, lesson: Lesson, x: Tensor, s: Tensor, middle: Tensor, t: Tensor, played: Tensor) -> Tensor:
        """x̂_t for samples of these rounds."""
        number = self.round_of(lesson.step, lesson.steps)
        if number == 0:
            return lesson.tutor.step(lesson.tutor.step(x, s, middle), middle, t)
        two = lesson.before(lesson.before(x, s, middle), middle, t)
        if not self.rehearse:
            return two
        own = (played == number).reshape(-1, *(1,) * (x.ndim - 1))
        return torch.where(own, two, lesson.before(x, s, t))

    def follow(self, before: nn.Module, net: nn.Module, average: nn.Module, step: int, steps: int) -> None:
        if self.round_of(step, steps) != self.round_of(step - 1, steps):
            pull(before, average, 1.0)

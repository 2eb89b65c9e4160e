"""What all objectives of flow maps share.

    L = E w(s) d(Δ),      Δ = what the student gives at time s less what it should give, which has no gradient.

An objective draws the times of a sample and gives its residual Δ. The student starts as its teacher where it has the
teacher's architecture. Some objectives compare the student with its own earlier weights θ⁻, which they move.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Generator, Tensor, nn

from ....solvers.common import check_samples, real
from ...flow_maps import FlowMap
from ...networks import TwoTimes
from ...paths import GaussianPath, TimeDensity, stratified
from ..losses import WHOLE, Seen, check_labels, dropped
from ..weightings import Weighting
from .distances import Distance, Square
from .teacher import Teacher

__all__ = ["Lesson", "Objective"]


@dataclass(frozen=True)
class Lesson:
    """Who takes part in a step of training.

    Args:
        student: the flow map that is trained.
        before: the same with the weights θ⁻.
        teacher: the teacher, or None.
        step: how many steps of training were taken.
        steps: how many will have been taken.
    """

    student: FlowMap
    before: FlowMap
    teacher: Teacher | None = None
    step: int = 0
    steps: int = 1

    @property
    def path(self) -> GaussianPath:
        return self.student.path

    @property
    def tutor(self) -> Teacher:
        """The teacher. Raises ValueError if there is none."""
        if self.teacher is None:
            raise ValueError("The objective needs a teacher; give Lesson(..., teacher=Teacher(denoiser)).")
        return self.teacher

    def given(self, label: Tensor | None, weight: Tensor | None) -> Self:
        """The same lesson for these labels and weights of guidance, (B,) each."""
        student, before, teacher = self.student, self.before, self.teacher
        if label is not None:
            student, before = student.given(label), before.given(label)
        if weight is not None:
            student, before = student.given({"weight": weight}), before.given({"weight": weight})
        teacher = None if teacher is None else teacher.given(label, weight)
        return replace(self, student=student, before=before, teacher=teacher)


@dataclass(frozen=True)
class Objective(ABC):
    """The loss above.

    Args:
        distance: d.
    """

    distance: Distance = Square()  # noqa: RUF009 (it is frozen)

    taught: ClassVar[bool | None] = None
    """Whether it has a teacher; None if it may have one."""
    remembers: ClassVar[bool] = False
    """Whether it compares with earlier weights θ⁻."""
    draws_times: ClassVar[bool] = False
    """Whether its times have the density of the configuration."""
    unit: ClassVar[str | None] = "x0"
    """The kind of prediction whose error Δ is, for weightings; None for another quantity."""

    @abstractmethod
    def times(self, lesson: Lesson, u: Tensor, density: TimeDensity, generator: Generator | None) -> tuple[Tensor, ...]:
        """The times of a batch, the first of which is s, the time of the state: (B,) each.

        Args:
            lesson: who takes part.
            u: uniform numbers, (B,).
            density: of times that are drawn on the whole path.
            generator: draws what u does not determine.
        """

    @abstractmethod
    def residual(self, lesson: Lesson, x0: Tensor, eps: Tensor, *times: Tensor) -> Tensor:
        """Δ, with a gradient from the student alone.

        Args:
            lesson: who takes part, with labels.
            x0: clean samples, (B, ...).
            eps: the noise, like x0.
            times: as `times` gave them.
        """

    def follow(self, before: nn.Module, net: nn.Module, average: nn.Module, step: int, steps: int) -> None:
        """Moves θ⁻ after the `step`-th of `steps` steps, in place, given θ and its average, if the objective has it."""
        raise NotImplementedError

    def begin(self, net: TwoTimes, teacher: Teacher | None) -> None:
        """Gives the network the weights of its teacher, where both have one architecture, and one clock."""
        own: Any = None if teacher is None else teacher.denoiser.net
        if teacher is None or type(own) is not type(net.net) or teacher.denoiser.time != "t":
            return
        if own.arguments == net.net.arguments:
            net.net.load_state_dict(own.state_dict())

    def part(self, step: int, steps: int) -> tuple[int, int]:
        """How many steps of the present part of the training were taken, and of how many; each has its own rates."""
        return step, steps

    def loss(
        self,
        lesson: Lesson,
        x0: Tensor,
        label: Tensor | None = None,
        *,
        generator: Generator | None = None,
        label_dropout: float = 0.0,
        weighting: Weighting | None = None,
        times: TimeDensity = WHOLE,
        draw: Callable[..., Tensor] = stratified,
        observe: Callable[[Seen], None] | None = None,
    ) -> Tensor:
        """The mean of w(s) d(Δ) on a batch, with random times, noise and weights of guidance.

        Args:
            lesson: who takes part.
            x0: clean samples, (B, ...).
            label: int64 (B,), or None.
            generator: draws all that is random; None for torch's own.
            label_dropout: the probability with which a label becomes the network's `null_label`.
            weighting: w, a weighting of errors of x₀; None for 1.
            times: the density of times that are drawn on the whole path.
            draw: draws u, `stratified` or `independent`.
            observe: a function that is called with `Seen`.

        Returns:
            A scalar.

        Raises:
            TypeError: x0 or labels of another kind.
            ValueError: no samples, another number of labels, or a dropout outside [0, 1) or without a null label.
        """
        check_samples("x0", x0, empty=False)
        label_dropout = real("label_dropout", label_dropout, 0.0, below=1.0)
        if label is not None:
            check_labels(label, x0, lesson.student.net if label_dropout else None)
        u = draw(len(x0), generator, like=x0)
        drawn = self.times(lesson, u, times, generator)
        eps = torch.randn(x0.shape, generator=generator, device=x0.device, dtype=x0.dtype)
        if label is not None and label_dropout > 0.0:
            label = dropped(label, lesson.student.net, label_dropout, generator)
        loss = self.distance(self.residual(lesson.given(label, _weights(lesson, u, generator)), x0, eps, *drawn))
        if weighting is not None and self.unit is not None:
            loss = weighting.of(self.unit, lesson.path, drawn[0]) * loss
        if observe is not None:
            observe(Seen(u, drawn[0], loss.detach()))
        return loss.mean()


def _weights(lesson: Lesson, u: Tensor, generator: Generator | None) -> Tensor | None:
    """Weights of guidance, drawn uniformly; None without guidance."""
    if lesson.teacher is None or lesson.teacher.guidance is None:
        return None
    low, high = lesson.teacher.guidance
    return low + (high - low) * torch.rand(u.shape, generator=generator, device=u.device, dtype=u.dtype)

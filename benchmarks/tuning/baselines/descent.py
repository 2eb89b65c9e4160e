"""Adam's steps on the numbers of a table, with batches of the noises and a rate that falls as a cosine.

The parameters with the least loss on all training noises are kept, those of the start included.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from ..coefficients import Coefficients
from ..trajectories import Trajectories
from .gradient import Loss, gradient, loss_of
from .multistep import as_coefficients

__all__ = ["Descent", "Family"]

CHECKS = 20
"""How often the loss on all noises is measured."""


class Family(ABC):
    """Tables by parameters.

    Attributes:
        parameters: where they start.
        rates: Adam's rate for each of them.
        turns: which of them move in each part of the descent; the parts alternate.
    """

    parameters: list[Tensor]
    rates: list[float]
    turns: tuple[tuple[int, ...], ...]

    @abstractmethod
    def numbers(self) -> tuple[Tensor, Tensor]:
        """The clocks of the evaluations and the rows of the states, differentiable in the parameters."""


@dataclass(frozen=True)
class Descent:
    """The settings.

    Attributes:
        steps: the number of steps.
        batch: the noises of a step.
        loss: "mse", or "log" for the mean of the logarithms of the squared errors.
        radius: the starts are moved along, by this share of their noise's root mean square at most.
        parts: the parts of the steps in which the parameters take turns.
    """

    steps: int = 400
    batch: int = 256
    loss: Loss = "mse"
    radius: float = 0.0
    parts: int = 8

    def evaluations(self, training: Trajectories, nfe: int) -> int:
        """The states at which the field is evaluated: n, as many for ∂N/∂r, and twice as many backwards."""
        return 4 * nfe * self.steps * min(self.batch, len(training)) + (CHECKS + 1) * nfe * len(training)

    def run(self, family: Family, training: Trajectories) -> Coefficients:
        """The numbers with the least loss on the training noises."""
        parameters = [each.clone().requires_grad_() for each in family.parameters]
        family.parameters = parameters
        groups = [{"params": [each], "lr": rate} for each, rate in zip(parameters, family.rates, strict=True)]
        adam = torch.optim.Adam(groups)
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, max(self.steps, 1))
        moved = training.z0.clone()
        least, best = math.inf, None
        size = min(self.batch, len(training))
        starts = range(0, len(training) - size + 1, size)
        for k in range(self.steps + 1):
            clocks, rows = family.numbers()
            if k % max(1, self.steps // CHECKS) == 0 or k == self.steps:
                found = as_coefficients(clocks, rows)
                value = self._loss(found, training)
                if value < least:
                    least, best = value, found
            if k == self.steps:
                break
            at = slice(starts[k % len(starts)], starts[k % len(starts)] + size)
            of_clocks, of_rows, of_start = gradient(
                clocks.detach(), rows.detach(), training.of_rows(at.start, at.stop), moved[at], self.loss
            )
            adam.zero_grad()
            torch.autograd.backward((clocks, rows), (of_clocks, of_rows))
            turn = family.turns[k * self.parts // self.steps % len(family.turns)]
            for i, each in enumerate(parameters):
                if i not in turn:
                    each.grad = None
            adam.step()
            cosine.step()
            if self.radius:
                moved[at] = self._in_ball(moved[at], of_start, training.z0[at])
        if best is None:
            raise ArithmeticError("No table of the descent has a finite error, not even the one that it started from.")
        return best

    def _loss(self, numbers: Coefficients, training: Trajectories) -> float:
        miss = training.misses(numbers, training.values(numbers))
        value = float(loss_of(miss.flatten(1).square().mean(1), self.loss))
        return value if math.isfinite(value) else math.inf

    def _in_ball(self, start: Tensor, derivative: Tensor, centre: Tensor) -> Tensor:
        """The starts after a step of a tenth of the radius down the slope, back to the ball if they have left it."""
        shape = (-1, *[1] * (start.dim() - 1))

        def size(x: Tensor) -> Tensor:
            return x.flatten(1).square().mean(1).sqrt().clamp_min(1e-30).reshape(shape)

        limit = self.radius * size(centre)
        away = start - 0.1 * limit * derivative / size(derivative) - centre
        return centre + away * (limit / size(away)).clamp_max(1.0)

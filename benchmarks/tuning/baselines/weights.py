"""Weights by descent: with a grid, with other times for the network, or with every row of the table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from ..coefficients import Coefficients
from ..trajectories import Trajectories
from .baseline import Baseline
from .descent import Descent, Family
from .multistep import Hold, adams, first_grid, hold_of, multistep, shifted
from .schedules import grid_of

__all__ = ["S4S", "BespokeNonStationary", "DyWeight"]


class _Weights(Family):
    """The weights of the steps on a grid that stays, and the shifts of the network's times."""

    turns = ((0, 1),)

    def __init__(self, training: Trajectories, nfe: int, rates: tuple[float, float]) -> None:
        self.hold: Hold = hold_of(training)
        self.clocks, self.most = first_grid(training, nfe, self.hold), training.bounds[1]
        self.parameters = [adams(nfe), torch.zeros(nfe, dtype=torch.float64, device="cpu")]
        self.rates = list(rates)

    def numbers(self) -> tuple[Tensor, Tensor]:
        calls = shifted(self.clocks[:-1], self.parameters[1]).clamp(float(self.clocks[0]), self.most)
        return calls, multistep(self.parameters[0].tril(), self.clocks, calls, self.hold)


@dataclass(frozen=True)
class DyWeight(Baseline):
    """Weights of all past values whose sums are free, and a factor of each time that the network is given.

    Attributes:
        descent: how the parameters are found.
        rates: Adam's, of the weights and of the logarithms of the factors.
    """

    source: ClassVar[str] = "Zhao et al. (2603.11607): unconstrained weights, and a scale of each time"
    relation: ClassVar[str] = (
        "with the mean square of the error for the distance of features; the velocity is held where a network starts "
        "at α = 0; its equation was not read in the paper, but in the published settings"
    )

    descent: Descent = field(default_factory=Descent)
    rates: tuple[float, float] = (0.03, 0.03)

    def fit(self, training: Trajectories, nfe: int) -> Coefficients:
        return self.descent.run(_Weights(training, nfe, self.rates), training)

    def evaluations(self, training: Trajectories, nfe: int) -> int:
        return self.descent.evaluations(training, nfe)


class _Rows(Family):
    """The logits of the steps, and every number of the rows, which start as those of a multistep method."""

    def __init__(
        self, training: Trajectories, nfe: int, order: int, rates: tuple[float, float], *, alternate: bool
    ) -> None:
        hold = hold_of(training)
        clocks = first_grid(training, nfe, hold)
        self.ends, self.most = (clocks[0], clocks[-1]), training.bounds[1]
        start = multistep(adams(nfe, order), clocks, clocks[:-1], hold)
        self.parameters, self.rates = [clocks.diff().log(), start], list(rates)
        self.turns = ((1,), (0,)) if alternate else ((0, 1),)

    def numbers(self) -> tuple[Tensor, Tensor]:
        calls = grid_of(self.parameters[0], *self.ends)[:-1]
        return calls.clamp(max=self.most), self.parameters[1].tril()


@dataclass(frozen=True)
class BespokeNonStationary(Baseline):
    """All times and all coefficients at once, from Euler's method, for the logarithm of the error.

    Attributes:
        descent: how the numbers are found.
        order: of the multistep method at the start.
        rates: Adam's, of the steps' logits and of the coefficients.
    """

    source: ClassVar[str] = "Shaul et al. (2403.01329), algorithm 2 and the logarithmic loss of the PSNR"
    relation: ClassVar[str] = (
        "with the state x/(α + σ) and N for the velocity, rows that end in that many numbers, and the steps of a "
        "softmax for the times"
    )

    descent: Descent = field(default_factory=lambda: Descent(loss="log"))
    order: int = 1
    rates: tuple[float, float] = (0.05, 0.02)

    def fit(self, training: Trajectories, nfe: int) -> Coefficients:
        return self.descent.run(_Rows(training, nfe, self.order, self.rates, alternate=False), training)

    def evaluations(self, training: Trajectories, nfe: int) -> int:
        return self.descent.evaluations(training, nfe)


@dataclass(frozen=True)
class S4S(Baseline):
    """Coefficients and grid in turns, from iPNDM, for the mean square of the error.

    Attributes:
        descent: how the numbers are found. `radius` is that of the relaxed objective.
        order: of the multistep method at the start.
        rates: Adam's, of the steps' logits and of the coefficients.
    """

    source: ClassVar[str] = "Frankel et al. (2502.17423), algorithms 1 and 2 (S4S-Alt)"
    relation: ClassVar[str] = (
        "with the mean square of the error for the perceptual distance, all past values in every step, and eight turns"
    )

    descent: Descent = field(default_factory=lambda: Descent(radius=0.01))
    order: int = 4
    rates: tuple[float, float] = (0.05, 0.02)

    def fit(self, training: Trajectories, nfe: int) -> Coefficients:
        return self.descent.run(_Rows(training, nfe, self.order, self.rates, alternate=True), training)

    def evaluations(self, training: Trajectories, nfe: int) -> int:
        return self.descent.evaluations(training, nfe)

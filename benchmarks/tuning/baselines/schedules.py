"""Schedules by descent, for a solver whose weights stay."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from ..coefficients import Coefficients, clock_at
from ..curves import Curves
from ..trajectories import Trajectories
from .baseline import Baseline
from .descent import Descent, Family
from .multistep import Hold, adams, first_grid, hold_of, multistep, shifted

__all__ = ["LD3", "BezierFlow", "grid_of"]


def grid_of(logits: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """The clocks whose steps are the shares softmax(logits) of the whole."""
    part = torch.cat([first.new_zeros(1), logits.softmax(0).cumsum(0)[:-1], first.new_ones(1)])
    return first + part * (last - first)


class _Grid(Family):
    """Logits of the steps, and the shifts of the network's times."""

    turns = ((0, 1),)

    def __init__(self, training: Trajectories, nfe: int, order: int, rates: tuple[float, float]) -> None:
        self.hold: Hold = hold_of(training)
        self.weights, clocks = adams(nfe, order), first_grid(training, nfe, self.hold)
        self.ends, self.most = (clocks[0], clocks[-1]), training.bounds[1]
        self.parameters = [clocks.diff().log(), torch.zeros(nfe, dtype=torch.float64, device="cpu")]
        self.rates = list(rates)

    def numbers(self) -> tuple[Tensor, Tensor]:
        clocks = grid_of(self.parameters[0], *self.ends)
        calls = shifted(clocks[:-1], self.parameters[1]).clamp(float(self.ends[0]), self.most)
        return calls, multistep(self.weights, clocks, calls, self.hold)


@dataclass(frozen=True)
class LD3(Baseline):
    """The grid by gradient through iPNDM, with times for the network that differ from the state's.

    Attributes:
        order: of the solver; 1 is DDIM, 4 is iPNDM.
        descent: how the parameters are found. `radius` is that of the relaxed objective, in which the start of a
            solution may differ from the noise that the reference starts from.
        rates: Adam's, of the steps' logits and of the logarithms of the factors.
    """

    source: ClassVar[str] = "Tong et al. (2405.15506), section 4: a softmax of steps, decoupled times, relaxation"
    relation: ClassVar[str] = (
        "with the mean square of the error for the perceptual distance, Adam for all parameters, steps that are shares "
        "of α/(α + σ), and decoupled times as factors of σ/α"
    )

    order: int = 4
    descent: Descent = field(default_factory=lambda: Descent(radius=0.01))
    rates: tuple[float, float] = (0.1, 0.02)

    def fit(self, training: Trajectories, nfe: int) -> Coefficients:
        return self.descent.run(_Grid(training, nfe, self.order, self.rates), training)

    def evaluations(self, training: Trajectories, nfe: int) -> int:
        return self.descent.evaluations(training, nfe)


class _Path(Family):
    """The logits of ᾱ and of σ̄."""

    turns = ((0, 1),)

    def __init__(self, training: Trajectories, nfe: int, order: int, degree: int, rate: float) -> None:
        self.ends = tuple(clock_at(training.equation, t) for t in (training.first, training.last))
        self.weights, self.most = adams(nfe, order), training.bounds[1]
        self.parameters = [torch.zeros(degree, dtype=torch.float64, device="cpu") for _ in range(2)]
        self.rates = [rate, rate]

    def numbers(self) -> tuple[Tensor, Tensor]:
        n, (first, last) = len(self.weights), self.ends
        u = torch.linspace(0.0, 1.0, n + 1, dtype=torch.float64, device="cpu")
        path = Curves(self.parameters[0], self.parameters[1], first, last).at(u)
        scale, calls = path.scale, path.clock[:-1].clamp(first, self.most)
        units = torch.eye(n + 1, dtype=torch.float64, device="cpu")
        state, rows, velocities = units[0], [], []  # x̄ = scale · z, and scale = 1 at the start
        for i in range(n):
            row = state / scale[i]
            rows.append(row)
            data, noise = row + (1.0 - calls[i]) * units[i + 1], row - calls[i] * units[i + 1]
            velocities.append(path.d_alpha[i] * data + path.d_sigma[i] * noise)
            state = state + (u[i + 1] - u[i]) * (self.weights[i, : i + 1] @ torch.stack(velocities))
        return calls, torch.stack([*rows, state / scale[n]])


@dataclass(frozen=True)
class BezierFlow(Baseline):
    """The path x̄ = ᾱ x₀ + σ̄ ε of two monotone Bézier curves, on which a solver takes even steps of the velocity.

    Attributes:
        order: of the solver; 1 is Euler's method.
        degree: of the curves.
        descent: how the parameters are found.
        rate: Adam's.
    """

    source: ClassVar[str] = "Min et al. (2512.13255), section 4: control points as sums of a softmax, degree 32"
    relation: ClassVar[str] = (
        "with the mean square of the error for the perceptual distance, curves between the clocks of the ends, and the "
        "velocity of the path for all networks, also where the paper's solvers hold the noise"
    )

    order: int = 4
    degree: int = 32
    descent: Descent = field(default_factory=Descent)
    rate: float = 0.3

    def fit(self, training: Trajectories, nfe: int) -> Coefficients:
        return self.descent.run(_Path(training, nfe, self.order, self.degree, self.rate), training)

    def evaluations(self, training: Trajectories, nfe: int) -> int:
        return self.descent.evaluations(training, nfe)

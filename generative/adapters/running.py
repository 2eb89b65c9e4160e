"""Runs an unrolled sampler row by row, as the values of its field arrive.

With N_j the value at the j-th evaluation, of the state X_j,

    X_{j+1} = Σ a x_i + Σ b N_k + Σ c ξ_k        (`solvers.scheme`)

is a sum of known tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from ...solvers import Scheme
from ...solvers.scheme import Symbol, normals

__all__ = ["Answer", "Drawn", "Run"]


class Answer:
    """A stand-in for a model of diffusers. It records its arguments and returns the output that it was given."""

    output: Tensor | None = None
    x: Tensor
    times: Tensor

    def __call__(self, x: Tensor, timestep: Tensor, return_dict: bool = False) -> tuple[Tensor]:
        return (self.as_network(x, timestep),)

    def as_network(self, x: Tensor, times: Tensor) -> Tensor:
        self.x, self.times = x, times
        return torch.zeros_like(x) if self.output is None else self.output


class Drawn:
    """Noise from a pipeline's generator, or from one generator for each sample."""

    replays = False

    def __init__(self, generator: torch.Generator | Sequence[torch.Generator] | None) -> None:
        self.generator = generator

    def normal(self, t0: float, t1: float, clock: Any, like: Tensor) -> Tensor:
        drawn: Tensor = randn_tensor(like.shape, generator=self.generator, device=like.device, dtype=like.dtype)
        return drawn

    def normal_and_area(self, t0: float, t1: float, clock: Any, like: Tensor) -> tuple[Tensor, Tensor]:
        return self.normal(t0, t1, clock, like), self.normal(t0, t1, clock, like)

    def extra(self, index: int, like: Tensor) -> Tensor:
        return self.normal(0.0, 0.0, None, like)


class Run:
    """The state of a run: the number of evaluations so far, and the tensors that later rows need."""

    def __init__(self, scheme: Scheme) -> None:
        self.scheme, self.program = scheme, scheme.program
        self.step, self.stage, self.made = 0, 0, 0
        self.kept: dict[Symbol, Tensor] = {}
        first = scheme.evaluations[0].argument
        if dict(first) != {("x", 0): 1.0}:
            raise ValueError(
                f"{scheme.name} does not begin with an evaluation of the initial state, as a pipeline does; let its "
                "noise begin after the first step."
            )

    @property
    def finished(self) -> bool:
        return self.made == self.scheme.nfe

    @property
    def time(self) -> float:
        """The time of the next evaluation."""
        return self.scheme.evaluations[min(self.made, self.scheme.nfe - 1)].time

    @property
    def kind(self) -> str:
        return self.scheme.evaluations[self.made].kind

    def advance(self, x: Tensor, value: Tensor, equation: Any, noise: Drawn) -> Tensor:
        """Goes on to the argument of the next evaluation, or to the end.

        Args:
            x: the argument of the evaluation that was made.
            value: N at x.
            equation: the equation that is solved, for the noise's clock.
            noise: draws the normals of the next step.

        Returns:
            The next argument, or the final state.
        """
        if self.made == 0:
            self._draw(x, equation, noise)
        *_, row, place = self.program[self.step].evaluations[self.stage]
        if row.first == ("x", self.step) and row.factor == 1.0 and not row.symbols:
            self.kept[row.first] = x
        self.kept[place] = value
        self.made, self.stage = self.made + 1, self.stage + 1
        while self.stage == len(self.program[self.step].evaluations):
            step = self.program[self.step]
            state = self.kept[step.place] = step.state.value(self.kept)
            for symbol in step.finished:
                del self.kept[symbol]
            self.step, self.stage = self.step + 1, 0
            if self.step == len(self.program):
                return state
            self._draw(x, equation, noise)
        *_, row, _ = self.program[self.step].evaluations[self.stage]
        return row.value(self.kept)

    def _draw(self, like: Tensor, equation: Any, noise: Drawn) -> None:
        for draw, places in self.program[self.step].draws:
            self.kept.update(zip(places, normals(draw, noise, equation, like), strict=True))

"""Runs an unrolled sampler row by row, as the values of its field arrive.

With N_j the value at the j-th evaluation, of the state X_j,

    X_{j+1} = Σ a x_i + Σ b N_k + Σ c ξ_k        (`solvers.scheme`)

is a sum of known tensors. A `Run` is a value: an advance gives another one, so that a copy of a scheduler in mid-run
goes its own way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from ...solvers import Scheme
from ...solvers.scheme import Symbol, normals

__all__ = ["Drawn", "Run"]


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


@dataclass(frozen=True, eq=False)
class Run:
    """A run so far.

    Attributes:
        scheme: the table of the sampler, which begins with an evaluation of the initial state.
        made: the number of evaluations so far.
        step: the number of the step that is under way.
        stage: the number of evaluations in this step so far.
        kept: the tensors that later rows need.
        returned: the argument of the next evaluation, as it was returned; None before the first one.

    Raises:
        ValueError: the table begins with another evaluation.
    """

    scheme: Scheme
    made: int = 0
    step: int = 0
    stage: int = 0
    kept: Mapping[Symbol, Tensor] = field(default_factory=dict)
    returned: Tensor | None = None

    def __post_init__(self) -> None:
        if dict(self.scheme.evaluations[0].argument) != {("x", 0): 1.0}:
            raise ValueError(
                f"{self.scheme.name} does not begin with an evaluation of the initial state, as a pipeline does; let "
                "its noise begin after the first step."
            )

    @property
    def finished(self) -> bool:
        return self.made == self.scheme.nfe

    @property
    def time(self) -> float:
        """The time of the next evaluation, or of the last one."""
        return self.scheme.evaluations[min(self.made, self.scheme.nfe - 1)].time

    @property
    def kind(self) -> str:
        return self.scheme.evaluations[self.made].kind

    def advanced(
        self, x: Tensor, value: Tensor, equation: Any, noise: Drawn, dtype: torch.dtype
    ) -> tuple[Tensor, Run]:
        """Goes on to the argument of the next evaluation, or to the end.

        If x is not what was returned, a step that starts with x starts with the changed one. A prediction of the state
        at the end of a step passes its change on to this state.

        Args:
            x: the argument of the evaluation that was made.
            value: N at x.
            equation: the equation that is solved, for the noise's clock.
            noise: draws the normals of the next step.
            dtype: that of the result.

        Returns:
            The next argument or the final state, and the run from there on.
        """
        program, step, stage, kept = self.scheme.program, self.step, self.stage, dict(self.kept)

        def draw() -> None:
            for drawn, places in program[step].draws:
                kept.update(zip(places, normals(drawn, noise, equation, x), strict=True))

        if self.made == 0:
            draw()
        _, time, row, place = program[step].evaluations[stage]
        change = None
        if row.first == ("x", step) and row.factor == 1.0 and not row.rest:
            kept[row.first] = x
        elif time == self.scheme.times[step + 1] and self.returned is not None:
            change = x - self.returned.to(x)
        kept[place] = value
        stage += 1
        while stage == len(program[step].evaluations):
            state = program[step].state.value(kept)
            state = kept[program[step].place] = state if change is None else state + change
            for symbol in program[step].finished:
                del kept[symbol]
            step, stage, change = step + 1, 0, None
            if step == len(program):
                return self._on(state.to(dtype), step, stage, kept)
            draw()
        *_, row, _ = program[step].evaluations[stage]
        return self._on(row.value(kept).to(dtype), step, stage, kept)

    def _on(self, following: Tensor, step: int, stage: int, kept: Mapping[Symbol, Tensor]) -> tuple[Tensor, Run]:
        return following, Run(self.scheme, self.made + 1, step, stage, kept, following)

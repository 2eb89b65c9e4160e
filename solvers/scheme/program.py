"""A table of coefficients as a program: what a step draws, evaluates and computes, and what no later step needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from ..equation import Equation
from ..noise import Noise
from .linear_form import Form, Symbol
from .table import Draw, Evaluation

__all__ = ["ProgramStep", "normals", "program"]


class _Row(NamedTuple):
    """A form ready to be computed: its first term, and the terms that are added to it."""

    first: Symbol
    factor: float
    rest: tuple[tuple[Symbol, float], ...]

    @classmethod
    def of(cls, form: Form) -> _Row:
        (first, factor), *rest = sorted(form.items(), key=lambda term: term[0][0] != "x")
        return cls(first, factor, tuple(rest))

    def value(self, kept: Mapping[Symbol, Tensor]) -> Tensor:
        """The form's value, with these tensors for the symbols."""
        x = kept[self.first] if self.factor == 1.0 else self.factor * kept[self.first]
        for symbol, weight in self.rest:
            x = x.add(kept[symbol], alpha=weight)
        return x


class ProgramStep(NamedTuple):
    """One step, in the order of its work.

    Attributes:
        draws: each draw with the symbols of its normals.
        evaluations: for each the kind, the time, the argument, and the symbol of its value.
        state: the row of the state at the end.
        place: the symbol of that state.
        finished: the symbols that no later step needs.
    """

    draws: list[tuple[Draw, list[Symbol]]]
    evaluations: list[tuple[str, float, _Row, Symbol]]
    state: _Row
    place: Symbol
    finished: list[Symbol]


def normals(draw: Draw, noise: Noise, equation: Equation, x: Tensor) -> tuple[Tensor, ...]:
    """The normals that a draw asks for, each of the noise's shape for x: one, or an increment and its area."""
    match draw.kind:
        case "normal":
            return (noise.normal(draw.t0, draw.t1, equation.variance, x),)
        case "increment":
            return noise.normal_and_area(draw.t0, draw.t1, equation.variance, x)
        case _:
            return (noise.extra(draw.index, x),)


def program(
    states: Sequence[Form], evaluations: Sequence[Evaluation], draws: Sequence[Draw]
) -> tuple[ProgramStep, ...]:
    """The steps of a table, each in the order of its work, and with the symbols that no later step needs."""
    steps = [ProgramStep([], [], _Row.of(state), ("x", i + 1), []) for i, state in enumerate(states)]
    last: dict[Symbol, int] = {("x", i): i for i in range(len(states))}
    for k, draw in enumerate(draws):
        last["ξ", k] = draw.step
        if draw.kind != "area":
            places: list[Symbol] = [("ξ", k), ("ξ", k + 1)] if draw.kind == "increment" else [("ξ", k)]
            steps[draw.step].draws.append((draw, places))
    for j, evaluation in enumerate(evaluations):
        last["N", j] = evaluation.step
        row = _Row.of(evaluation.argument)
        steps[evaluation.step].evaluations.append((evaluation.kind, evaluation.time, row, ("N", j)))
        last |= dict.fromkeys(evaluation.argument, evaluation.step)
    for i, state in enumerate(states):
        last |= {symbol: max(i, last[symbol]) for symbol in state}
    for symbol, i in last.items():
        steps[i].finished.append(symbol)
    return tuple(steps)

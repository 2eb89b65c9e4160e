"""A method on a grid as a table of numbers.

The coefficients of an explicit method with linear steps are the whole method. With N_j the value of the field at
(t_j, X_j),

    X_j = Σ a x_i + Σ b N_k + Σ c ξ_k,        x_{i+1} = Σ a x_i + Σ b N_j + Σ c ξ_k,

which `unroll` computes. The rows are kept sparse, as the steps make them; `expanded` writes every row in terms of x₀, N
and ξ alone. A scheme can be run (`run`), written to a JSON file and read from it (`save`, `load`), which needs none of
the solvers, and compared with another (`same`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..common import write_whole
from ..equation import ODE, Equation, Semilinear
from ..field import Function
from ..loop import combined
from ..noise import Noise
from ..solution import Ledger, Solution
from .linear_form import Form, Symbol

__all__ = ["Draw", "Evaluation", "Expanded", "ProgramStep", "Scheme", "normals"]

FORMAT = "fokker-scheme-1"


@dataclass(frozen=True)
class Evaluation:
    """An evaluation of the field or of the score.

    Attributes:
        step: the number of its step, from 0.
        time: the time.
        argument: the form of the state X at which it is made.
        kind: "field" for N, or "score".
        basis: (a, b) with the value = a X + b M, where the equations of one model share M; None if it is not declared.
    """

    step: int
    time: float
    argument: Form
    kind: str = "field"
    basis: tuple[float, float] | None = None


@dataclass(frozen=True)
class Draw:
    """A normal that a step draws.

    Attributes:
        step: the number of the step, from 0.
        kind: "normal" or "increment", the standardised increment of the path from t0 to t1; "area", the area of the
            increment drawn before it; or "extra", the extra normal of number `index`.
        t0: the start of the increment.
        t1: its end.
        index: the number of an extra normal.
    """

    step: int
    kind: str
    t0: float
    t1: float
    index: int = 0


class Expanded(NamedTuple):
    """Rows in terms of x₀, the values N and the normals ξ.

    Attributes:
        start: the coefficients of x₀, (rows,).
        values: those of N, (rows, evaluations).
        normals: those of ξ, (rows, draws).
    """

    start: NDArray[np.float64]
    values: NDArray[np.float64]
    normals: NDArray[np.float64]


@dataclass(frozen=True)
class Scheme:
    """A method on a grid.

    Attributes:
        name: the solver that it was unrolled from, for readers.
        times: the grid, (n + 1).
        states: the forms of the states at times[1:].
        evaluations: the evaluations, in order.
        draws: the draws, in order.
    """

    name: str
    times: tuple[float, ...]
    states: tuple[Form, ...]
    evaluations: tuple[Evaluation, ...]
    draws: tuple[Draw, ...] = ()

    @property
    def nfe(self) -> int:
        """The number of evaluations."""
        return len(self.evaluations)

    def expanded(self) -> tuple[Expanded, Expanded]:
        """The states x₀ … x_n, and the arguments X_j, each in terms of x₀, the values and the normals.

        The values are the N_j, or the M_j of evaluations that have a basis.
        """
        width = 1 + len(self.evaluations) + len(self.draws)
        rows: dict[Symbol, NDArray[np.float64]] = {("x", 0): np.eye(1, width)[0]}
        for k in range(len(self.draws)):
            rows["ξ", k] = np.eye(1, width, 1 + len(self.evaluations) + k)[0]

        def expand(form: Form) -> NDArray[np.float64]:
            return sum((value * rows[symbol] for symbol, value in form.items()), np.zeros(width))

        arguments = np.zeros((len(self.evaluations), width))
        following = 0
        for i, state in enumerate(self.states):
            while following < len(self.evaluations) and self.evaluations[following].step == i:
                evaluation = self.evaluations[following]
                arguments[following] = expand(evaluation.argument)
                a, b = evaluation.basis or (0.0, 1.0)
                rows["N", following] = a * arguments[following] + b * np.eye(1, width, 1 + following)[0]
                following += 1
            rows["x", i + 1] = expand(state)
        states = np.stack([rows["x", i] for i in range(len(self.times))])
        cut = 1 + len(self.evaluations)
        of_states, of_arguments = (Expanded(r[:, 0], r[:, 1:cut], r[:, cut:]) for r in (states, arguments))
        return of_states, of_arguments

    def run(
        self,
        equation: Equation | Function,
        x: Tensor,
        noise: Noise | None = None,
        *,
        save: bool = False,
    ) -> Solution:
        """Run the method from x. The states are those of `solve`, up to rounding, in fewer operations.

        Args:
            equation: an equation, or a bare field N(t, x).
            x: the initial state, (B, ...).
            noise: `WhiteNoise` or `BrownianTree`, for a method that draws noise.
            save: keep the state after every step.

        Returns:
            The solution, with its count of evaluations.

        Raises:
            ValueError: noise is needed, or an equation with a score, and was not given.
        """
        if not isinstance(equation, Equation):
            equation = ODE(equation)
        if self.draws and noise is None:
            raise ValueError(f"{self.name} draws noise; give WhiteNoise(seed), or BrownianTree(x, t0, t1, seed).")
        ledger = Ledger(None, len(x))
        watched = equation.wrapped(ledger.watch)
        fields = {"field": watched.field}
        if any(evaluation.kind == "score" for evaluation in self.evaluations):
            if not isinstance(watched, Semilinear) or watched.score is None:
                raise ValueError(f"{self.name} needs a score; give an equation that has one, such as flow(denoiser).")
            fields["score"] = watched.score
        kept: dict[Symbol, Tensor] = {("x", 0): x}
        xs = [x]
        for step in self.program:
            if noise is not None:
                for draw, places in step.draws:
                    kept.update(zip(places, normals(draw, noise, equation, x), strict=True))
            for kind, time, argument, place in step.evaluations:
                kept[place] = fields[kind](time, argument.value(kept))
            x = kept[step.place] = step.state.value(kept)
            for symbol in step.finished:
                del kept[symbol]
            if save:
                xs.append(x)
        ts = torch.tensor(self.times, dtype=torch.float64)
        return Solution(x, ts, torch.stack(xs) if save else None, len(self.states), ledger=ledger)

    def __str__(self) -> str:
        """Every step with its numbers: what is evaluated where, and what the state is made of."""
        lines = [f"{self.name}: {len(self.states)} steps, {self.nfe} evaluations, {len(self.draws)} normals"]
        for i, state in enumerate(self.states):
            lines.append(f"step {i}, t = {self.times[i]:.6g} to {self.times[i + 1]:.6g}")
            for j, evaluation in enumerate(self.evaluations):
                if evaluation.step == i:
                    what = "N" if evaluation.kind == "field" else evaluation.kind
                    lines.append(f"    N{j} = {what}(t = {evaluation.time:.6g}, {_shown(evaluation.argument)})")
            lines.append(f"    x{i + 1} = {_shown(state)}")
        return "\n".join(lines)

    def save(self, file: str | Path) -> None:
        """Write the table to a JSON file, atomically."""
        table = {
            "format": FORMAT,
            "name": self.name,
            "times": self.times,
            "states": [_written(form) for form in self.states],
            "evaluations": [asdict(each) | {"argument": _written(each.argument)} for each in self.evaluations],
            "draws": [asdict(draw) for draw in self.draws],
        }
        write_whole(Path(file), json.dumps(table, ensure_ascii=False, indent=1).encode())

    @classmethod
    def load(cls, file: str | Path) -> Scheme:
        """The table in a file that `save` wrote. Raises FileNotFoundError, or ValueError for another format."""
        try:
            table = json.loads(Path(file).read_bytes())
            if table.pop("format") != FORMAT:
                raise ValueError("another format")
            evaluations = [
                Evaluation(**{**entry, "argument": _read(entry["argument"]), "basis": _pair(entry["basis"])})
                for entry in table["evaluations"]
            ]
            draws = tuple(Draw(**entry) for entry in table["draws"])
            states = tuple(map(_read, table["states"]))
            return cls(table["name"], tuple(table["times"]), states, tuple(evaluations), draws)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            message = f"{file} is no scheme that Fokker wrote ({error}); write one with scheme.save(file)."
            raise ValueError(message) from None

    @cached_property
    def program(self) -> tuple[ProgramStep, ...]:
        """The steps, each in the order of its work, and with the symbols that no later step needs."""
        last: dict[Symbol, int] = {}
        for i, state in enumerate(self.states):
            forms = [state, *(evaluation.argument for evaluation in self.evaluations if evaluation.step == i)]
            last |= {symbol: i for form in forms for symbol in form}
        program = []
        for i, state in enumerate(self.states):
            draws = [(draw, ("ξ", k)) for k, draw in enumerate(self.draws) if draw.step == i]
            evaluations = [
                (evaluation.kind, evaluation.time, _Row.of(evaluation.argument), ("N", j))
                for j, evaluation in enumerate(self.evaluations)
                if evaluation.step == i
            ]
            made = [("x", i), *(symbol for _, symbol in draws), *(place for *_, place in evaluations)]
            unused = [symbol for symbol in made if symbol not in last]
            finished = [symbol for symbol, step in last.items() if step == i] + unused
            paired = [
                (draw, [symbol, ("ξ", symbol[1] + 1)] if draw.kind == "increment" else [symbol])
                for draw, symbol in draws
                if draw.kind != "area"
            ]
            program.append(ProgramStep(paired, evaluations, _Row.of(state), ("x", i + 1), finished))
        return tuple(program)


class _Row(NamedTuple):
    """A form ready to be computed: its first term, and the terms that are added to it."""

    first: Symbol
    factor: float
    weights: tuple[float, ...]
    symbols: tuple[Symbol, ...]

    @classmethod
    def of(cls, form: Form) -> _Row:
        (first, factor), *rest = sorted(form.items(), key=lambda term: term[0][0] != "x")
        return cls(first, factor, tuple(value for _, value in rest), tuple(symbol for symbol, _ in rest))

    def value(self, kept: Mapping[Symbol, Tensor]) -> Tensor:
        """The form's value, with these tensors for the symbols."""
        start = kept[self.first] if self.factor == 1.0 else self.factor * kept[self.first]
        return combined(start, self.weights, (kept[symbol] for symbol in self.symbols))


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


def _shown(form: Form) -> str:
    """A combination as one reads it: 0.75 x0 + 0.25 N0."""
    terms = [("" if value == 1.0 else f"{value:.6g} ") + f"{kind}{number}" for (kind, number), value in form.items()]
    return " + ".join(terms).replace("+ -", "− ") or "0"


def _written(form: Form) -> list[tuple[str, int, float]]:
    return [(kind, number, value) for (kind, number), value in form.items()]


def _read(form: list[list[Any]]) -> Form:
    return {(str(kind), int(number)): float(value) for kind, number, value in form}


def _pair(basis: Sequence[float] | None) -> tuple[float, float] | None:
    return None if basis is None else (basis[0], basis[1])

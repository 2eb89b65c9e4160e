"""A method on a grid as a table of numbers.

An explicit method whose steps are linear is its coefficients: with N_j the value of the field at (t_j, X_j),

    X_j = Σ a x_i + Σ b N_k + Σ c ξ_k,        x_{i+1} = Σ a x_i + Σ b N_j + Σ c ξ_k,

as `unroll` reads them off. The rows are kept as the steps make them, sparse; `expanded` writes every row in terms of
x₀, N and ξ alone. A scheme runs (`run`), is written to a JSON file that needs none of the solvers to be replayed
(`save`, `load`), and is compared with another (`same`).
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
    """An evaluation in a step: of the "field" N or the "score", at `time`, of the state that `argument` makes.

    basis: (a, b) with the value = a X + b M, M what all equations of one model share, if the equation declares it.
    """

    step: int
    time: float
    argument: Form
    kind: str = "field"
    basis: tuple[float, float] | None = None


@dataclass(frozen=True)
class Draw:
    """A normal in a step: the standardised "normal" or "increment" of the path from t0 to t1, its "area" (which
    follows the increment that belongs to it), or the "extra" one of that index."""

    step: int
    kind: str
    t0: float
    t1: float
    index: int = 0


class Expanded(NamedTuple):
    """Rows in terms of x₀, N and ξ: x₀'s coefficients (rows,), N's (rows, evaluations) and ξ's (rows, draws)."""

    start: NDArray[np.float64]
    values: NDArray[np.float64]
    normals: NDArray[np.float64]


@dataclass(frozen=True)
class Scheme:
    """A method on a grid: the rows of the states at times[1:], of the evaluations' arguments, and the draws.

    name: what it was unrolled from, for people.
    """

    name: str
    times: tuple[float, ...]
    states: tuple[Form, ...]
    evaluations: tuple[Evaluation, ...]
    draws: tuple[Draw, ...] = ()

    @property
    def nfe(self) -> int:
        return len(self.evaluations)

    def expanded(self) -> tuple[Expanded, Expanded]:
        """The states x₀ … x_n and the arguments X_j in terms of x₀, the values N_j (M_j, of those that have a basis)
        and the normals."""
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
        """Replay the method from x, with `equation`, or with the bare field N(t, x) of one.

        The same numbers as `solve` makes, to rounding, in fewer operations. Raises ValueError if noise, or an
        equation with a score, is needed and not given.
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
        """Write the table as JSON, whole or not at all."""
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
        """Read what `save` wrote. Raises FileNotFoundError, or ValueError for a file that is no scheme."""
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
        """The steps in the order of their work, each with what nothing later needs."""
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
    """A form ready to be computed: its first term, and those that are added to it."""

    first: Symbol
    factor: float
    weights: tuple[float, ...]
    symbols: tuple[Symbol, ...]

    @classmethod
    def of(cls, form: Form) -> _Row:
        (first, factor), *rest = sorted(form.items(), key=lambda term: term[0][0] != "x")
        return cls(first, factor, tuple(value for _, value in rest), tuple(symbol for symbol, _ in rest))

    def value(self, kept: Mapping[Symbol, Tensor]) -> Tensor:
        start = kept[self.first] if self.factor == 1.0 else self.factor * kept[self.first]
        return combined(start, self.weights, (kept[symbol] for symbol in self.symbols))


class ProgramStep(NamedTuple):
    """One step, in the order of its work: draws with their places, evaluations with theirs, the state, what is done."""

    draws: list[tuple[Draw, list[Symbol]]]
    evaluations: list[tuple[str, float, _Row, Symbol]]
    state: _Row
    place: Symbol
    finished: list[Symbol]


def normals(draw: Draw, noise: Noise, equation: Equation, x: Tensor) -> tuple[Tensor, ...]:
    """The numbers that a draw asks for: one, or an increment and its area."""
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

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
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..common import (
    UNSEALED,
    check_instance,
    check_samples,
    check_seal,
    flag,
    is_file,
    reals,
    sealed,
    shown,
    warn_unsealed,
    write_whole,
)
from ..equation import ODE, Equation, Semilinear
from ..field import Function
from ..loop import FiniteWatch, Grid, Record, tell
from ..noise import Noise
from ..solution import Ledger, Solution, SolveError
from .linear_form import Form, Symbol
from .program import ProgramStep, normals, program
from .table import Draw, Evaluation, check_table, evaluation_of, form_of, terms_of

__all__ = ["Expanded", "Scheme"]

FORMAT = "fokker-scheme-2"
BEFORE = "fokker-scheme-1"
"""The format that had no digest."""


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

    Raises:
        TypeError, ValueError: the times are not finite and strictly monotone, or a row needs what is not known there.
    """

    name: str
    times: tuple[float, ...]
    states: tuple[Form, ...]
    evaluations: tuple[Evaluation, ...]
    draws: tuple[Draw, ...] = ()

    def __post_init__(self) -> None:
        check_instance("name", self.name, str, "the name of a solver")
        check_table(Grid.of(self.times).n, self.states, self.evaluations, self.draws)

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
            TypeError, ValueError: the state is no finite tensor, or noise or an equation with a score is needed, and
                was not given.
            SolveError: a state is not finite. The error carries the solution until there.
        """
        check_samples("x", x, wait=True)
        save = flag("save", save)
        if noise is not None:
            check_instance("noise", noise, Noise, "WhiteNoise(seed), or BrownianTree(x, t0, t1, seed)")
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
        record, finite = Record(save, self.times[0], x), FiniteWatch(x)
        try:
            for step, time in zip(self.program, self.times[1:], strict=True):
                if noise is not None:
                    for draw, places in step.draws:
                        kept.update(zip(places, normals(draw, noise, equation, x), strict=True))
                for kind, at, argument, place in step.evaluations:
                    kept[place] = fields[kind](at, argument.value(kept))
                x = kept[step.place] = step.state.value(kept)
                for symbol in step.finished:
                    del kept[symbol]
                record.add(time, x)
                if finite.due(x):
                    finite.check(record, 0)
            finite.check(record, 0)
        except SolveError as error:
            if not error.solution.ledger.depth:  # the error of a solve within the field has its own
                error.solution = replace(error.solution, ledger=ledger)
            raise
        except Exception as error:
            tell(error, ledger, lambda: finite.partial(record, 0))
            raise
        return replace(record.solution(x, 0, "completed"), ledger=ledger)

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
        """Write the table to a JSON file with a digest, atomically. Raises OSError if it cannot be written."""
        check_instance("file", file, (str, Path), "the name of a file")
        table = {
            "format": FORMAT,
            "sha256": UNSEALED,
            "name": self.name,
            "times": self.times,
            "states": [terms_of(form) for form in self.states],
            "evaluations": [asdict(each) | {"argument": terms_of(each.argument)} for each in self.evaluations],
            "draws": [asdict(draw) for draw in self.draws],
        }
        write_whole(Path(file), sealed(json.dumps(table, ensure_ascii=False, indent=1).encode()))

    @classmethod
    def load(cls, file: str | Path) -> Scheme:
        """The table in a file that `save` wrote. Warns of one that was written before files had digests.

        Raises:
            FileNotFoundError: there is no file.
            ValueError: `save` has not written it, it is damaged, or its table cannot be computed.
        """
        check_instance("file", file, (str, Path), "the name of a file")
        if not is_file(Path(file)):
            raise FileNotFoundError(f"There is no file {shown(str(file))}; write one with scheme.save(file).")
        content = Path(file).read_bytes()
        try:
            table = json.loads(content)
            stated, digest = table.pop("format"), table.pop("sha256", None)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise _foreign(file, error) from None
        if digest is not None or stated == FORMAT:
            check_seal(Path(file), content, digest)
        try:
            if stated not in (BEFORE, FORMAT):
                raise ValueError("another format")
            found = cls(
                table["name"],
                reals("times", table["times"]),
                tuple(map(form_of, table["states"])),
                tuple(map(evaluation_of, table["evaluations"])),
                tuple(Draw(**entry) for entry in table["draws"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise _foreign(file, error) from None
        if stated == BEFORE:
            warn_unsealed(Path(file), "Scheme.load(file).save(file)")
        return found

    @cached_property
    def program(self) -> tuple[ProgramStep, ...]:
        """The steps, each in the order of its work, and with the symbols that no later step needs."""
        return program(self.states, self.evaluations, self.draws)


def _shown(form: Form) -> str:
    """A combination as one reads it: 0.75 x0 + 0.25 N0."""
    terms = [("" if value == 1.0 else f"{value:.6g} ") + f"{kind}{number}" for (kind, number), value in form.items()]
    return " + ".join(terms).replace("+ -", "− ") or "0"


def _foreign(file: str | Path, error: Exception) -> ValueError:
    """The error of a file that `save` has not written."""
    return ValueError(f"{file} is no scheme that Fokker wrote ({error}); write one with scheme.save(file).")

"""A method on a grid as a table of numbers, and the solver that takes its steps.

The coefficients of an explicit method with linear steps are the whole method. With N_j the value of the field at
(t_j, X_j),

    X_j = Σ a x_i + Σ b N_k + Σ c ξ_k,        x_{i+1} = Σ a x_i + Σ b N_j + Σ c ξ_k,

which `unroll` computes. The rows are kept sparse, as the steps make them; `expanded` writes every row in terms of x₀, N
and ξ alone. A scheme can be run (`run`), written to a JSON file and read from it (`save`, `load`), which needs none of
the solvers, and compared with another (`same`). `Replay` is the scheme as a solver: `solve` takes its steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..common import check_instance, whole, write_whole
from ..equation import ODE, Equation, Semilinear
from ..field import Function
from ..loop import Abilities, Grid, Step, Stepper
from ..noise import Noise
from ..solution import Solution
from ..solve import solve
from .about import checked_about, in_short
from .linear_form import Form, Symbol
from .program import ProgramStep, normals, program
from .scheme_file import content_of, read
from .table import Draw, Evaluation, check_table

__all__ = ["Expanded", "Replay", "Scheme"]

_Reached = tuple[tuple[ProgramStep, ...], int, dict[Symbol, Tensor]]
"""Where a replay is: the steps, the number of the next one, and the tensors that later rows need."""


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
        about: where the table comes from, such as the network that it was made for, in JSON values. It is no part of
            the method: `same` does not see it, and a file keeps it.

    Raises:
        TypeError, ValueError: the times are not finite and strictly monotone, a row needs what is not known there, or
            `about` holds what JSON does not.
    """

    name: str
    times: tuple[float, ...]
    states: tuple[Form, ...]
    evaluations: tuple[Evaluation, ...]
    draws: tuple[Draw, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_instance("name", self.name, str, "the name of a solver")
        check_table(Grid.of(self.times).n, self.states, self.evaluations, self.draws)
        object.__setattr__(self, "about", checked_about(self.about))

    def __hash__(self) -> int:
        """Of what can be hashed: schemes that are equal agree in it."""
        return hash((self.name, self.times, len(self.evaluations)))

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
        """Run the method from x. The states are those of its solver, up to rounding, in fewer operations.

        Args:
            equation: an equation, or a bare field N(t, x).
            x: the initial state, (B, ...).
            noise: `WhiteNoise` or `BrownianTree`, for a method that draws noise.
            save: keep the state after every step.

        Returns:
            The solution, with its count of evaluations.

        Raises:
            TypeError, ValueError, SolveError: as `solve` raises, and for an equation without a score that is needed.
        """
        made = equation if isinstance(equation, Equation) else ODE(equation)
        return solve(made, x, self.times, Replay(self), noise, save=save)

    def __str__(self) -> str:
        """Every step with its numbers: what is evaluated where, and what the state is made of."""
        lines = [f"{self.name}: {len(self.states)} steps, {self.nfe} evaluations, {len(self.draws)} normals"]
        lines += [f"about: {in_short(self.about)}"] if self.about else []
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
        fields = (self.name, self.times, self.states, self.evaluations, self.draws, self.about)
        write_whole(Path(file), content_of(*fields))

    @classmethod
    def load(cls, file: str | Path) -> Scheme:
        """The table in a file that `save` wrote. Warns of one that was written before files had digests.

        Raises:
            FileNotFoundError: there is no file.
            ValueError: `save` has not written it, it is damaged, or its table cannot be computed.
        """
        check_instance("file", file, (str, Path), "the name of a file")
        return read(Path(file), cls)

    @cached_property
    def program(self) -> tuple[ProgramStep, ...]:
        """The steps, each in the order of its work, and with the symbols that no later step needs."""
        return program(self.states, self.evaluations, self.draws)


@dataclass(frozen=True, repr=False)
class Replay(Stepper[Equation]):
    """The steps of a table, as a solver. `solve` takes them on the times of the table, and on no others.

    A table declares no order. It is for the equation that it was made for, or for another one that holds the same
    quantity on the same path.

    Args:
        scheme: the table.

    Raises:
        TypeError: the scheme is none.

    Example:
        >>> scheme = unroll(ODE(lambda t, x: -x), [0.0, 0.5, 1.0], Heun())
        >>> solve(ODE(lambda t, x: -x), torch.ones(1, 1), scheme.times, Replay(scheme)).x
        tensor([[0.3906]])
    """

    scheme: Scheme

    def __post_init__(self) -> None:
        check_instance("scheme", self.scheme, Scheme, "a Scheme, such as Scheme.load(file)")
        drawn = bool(self.scheme.draws)
        abilities = Abilities(order=0, noises=frozenset({"additive"} if drawn else ()), draws=drawn)
        object.__setattr__(self, "abilities", abilities)

    def __repr__(self) -> str:
        return f"Replay({self.scheme.name})"

    def evaluations(self, n: int) -> int | None:
        """The evaluations of the table, for its own number of steps; None for others, which it does not take."""
        n = whole("n", n, 0)
        return {0: 0, len(self.scheme.states): self.scheme.nfe}.get(n)

    def steps(self, nfe: int) -> int:
        """The number of steps of the table, or 0 if it takes more evaluations."""
        return len(self.scheme.states) if self.scheme.nfe <= whole("nfe", nfe, 0) else 0

    def init(self, equation: Equation, x: Tensor, times: Grid) -> _Reached:
        """Nothing is kept yet. Raises ValueError for another grid, and for an equation without a score it needs."""
        _check_grid(Grid(self.scheme.times), times)
        scored = isinstance(equation, Semilinear) and equation.score is not None
        if not scored and any(evaluation.kind == "score" for evaluation in self.scheme.evaluations):
            raise ValueError(f"{self!r} needs a score; give an equation that has one, such as flow(denoiser).")
        return self.scheme.program, 0, {}

    def step(
        self, equation: Equation, t0: float, t1: float, x: Tensor, state: _Reached, noise: Noise | None
    ) -> Step:
        program, number, past = state
        draws, evaluations, row, _, finished = program[number]
        kept = past.copy()
        kept["x", number] = x
        for draw, places in draws:
            if noise is not None:
                kept.update(zip(places, normals(draw, noise, equation, x), strict=True))
        for kind, at, argument, place in evaluations:
            source: Any = equation.field if kind == "field" else equation.score  # type: ignore[attr-defined]
            kept[place] = source(at, argument.value(kept))
        x1 = row.value(kept)
        for symbol in finished:
            del kept[symbol]
        return Step(x1, (program, number + 1, kept))


def _check_grid(own: Grid, times: Grid) -> None:
    """Raise ValueError unless the times are those of a table, to a rounding in single precision."""
    if times == own or tuple(map(own.nearest, times.times)) == own.times:
        return
    kept = f"the table has its own {own.n + 1} times from t = {own.t0:g} to t = {own.t1:g}"
    given = f"times are {times.n + 1} from t = {times.t0:g} to t = {times.t1:g}"
    if (times.n, times.t0, times.t1) == (own.n, own.t0, own.t1):
        i = next(i for i, t in enumerate(times.times) if own.nearest(t) != own.times[i])
        kept, given = f"the table has t = {own.times[i]:g} there", f"times have t = {times.times[i]:g} at entry {i}"
    raise ValueError(f"{given}, but {kept}; give scheme.times.")


def _shown(form: Form) -> str:
    """A combination as one reads it: 0.75 x0 + 0.25 N0."""
    terms = [("" if value == 1.0 else f"{value:.6g} ") + f"{kind}{number}" for (kind, number), value in form.items()]
    return " + ".join(terms).replace("+ -", "− ") or "0"


"""The rows of a table of coefficients: which evaluations and draws a step makes, of what, and that they can be made.

A form may only contain what is known where it is computed: states, values and normals of this step and of those before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from ..common import check_instance, choice, real, whole
from .linear_form import Form

__all__ = ["Draw", "Evaluation", "check_table", "evaluation_of", "form_of", "terms_of"]

KINDS = ("field", "score")
DRAWS = ("normal", "increment", "area", "extra")


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


def check_table(steps: int, states: Sequence[Form], evaluations: Sequence[Evaluation], draws: Sequence[Draw]) -> None:
    """Raise TypeError or ValueError unless every row can be computed from those before it.

    Args:
        steps: the number of steps.
        states: the forms of the states after each step.
        evaluations: the evaluations, in order.
        draws: the draws, in order.
    """
    for each in (*evaluations, *draws):
        check_instance("an entry of evaluations or draws", each, (Evaluation, Draw), "Evaluation(...) or Draw(...)")
    if len(states) != steps:
        raise ValueError(f"{steps} steps need {steps} states, but there are {len(states)}.")
    valued = _counted("evaluation", [each.step for each in evaluations], steps)
    drawn = _counted("draw", [each.step for each in draws], steps)
    for k, draw in enumerate(draws):
        _check_draw(k, draw, draws)
    for j, evaluation in enumerate(evaluations):
        what = f"evaluation {j}"
        choice(f"kind of {what}", evaluation.kind, KINDS)
        real(f"the time of {what}", evaluation.time)
        if evaluation.basis is not None:
            if len(evaluation.basis) != 2:
                raise ValueError(f"The basis of {what} has {len(evaluation.basis)} numbers, but must have two.")
            for number in evaluation.basis:
                real(f"the basis of {what}", number)
        known = {"x": evaluation.step + 1, "N": j, "ξ": drawn[evaluation.step]}
        _check_form(f"the argument of {what}", evaluation.argument, known)
    for i, state in enumerate(states):
        _check_form(f"state {i + 1}", state, {"x": i + 1, "N": valued[i], "ξ": drawn[i]})


def _counted(what: str, where: Sequence[int], steps: int) -> list[int]:
    """How many entries are made until the end of each step, given their steps. Raises an error for another order."""
    counts, last = [0] * steps, 0
    for j, step in enumerate(where):
        last = whole(f"the step of {what} {j}", step, last, steps - 1)
        counts[last] += 1
    return list(accumulate(counts))


def _check_draw(k: int, draw: Draw, draws: Sequence[Draw]) -> None:
    """Raise an error for a draw that no noise makes: an increment and its area are drawn together."""
    choice(f"kind of draw {k}", draw.kind, DRAWS)
    real(f"t0 of draw {k}", draw.t0)
    real(f"t1 of draw {k}", draw.t1)
    whole(f"the index of draw {k}", draw.index, 0)
    before = draws[k - 1] if k else None
    if draw.kind == "area" and (before is None or before.kind != "increment" or _place(before) != _place(draw)):
        raise ValueError(f"Draw {k} is an area, but draw {k - 1} is not the increment to which it belongs.")
    if draw.kind == "increment" and (k + 1 == len(draws) or draws[k + 1].kind != "area"):
        raise ValueError(f"Draw {k} is an increment, but its area does not follow.")


def _place(draw: Draw) -> tuple[int, float, float]:
    return draw.step, draw.t0, draw.t1


def _check_form(what: str, form: Form, known: Mapping[str, int]) -> None:
    """Raise an error for a form without terms, and for a term that is not known yet, or is no finite number."""
    if not isinstance(form, Mapping) or not form:
        raise ValueError(f"{what} is {form!r}, but must be a combination of states, values and normals.")
    for symbol, value in form.items():
        kind, number = _symbol(what, symbol)
        if kind not in known:
            raise ValueError(f"{what} has a term {kind!r}; choose one of {', '.join(known)}.")
        if not 0 <= number < known[kind]:
            raise ValueError(f"{what} needs {kind}{number}, of which only the first {known[kind]} are known there.")
        if not (isinstance(value, float) and math.isfinite(value)):
            real(f"the coefficient of {kind}{number} in {what}", value)


def _symbol(what: str, symbol: Any) -> tuple[str, int]:
    if not (isinstance(symbol, tuple) and len(symbol) == 2 and isinstance(symbol[0], str)):
        raise ValueError(f"{what} has the term {symbol!r}, but a term is a kind and a number, as ('x', 0).")
    return symbol[0], whole(f"the number of a term in {what}", symbol[1])


def terms_of(form: Form) -> list[tuple[str, int, float]]:
    """A form for JSON."""
    return [(kind, number, value) for (kind, number), value in form.items()]


def form_of(terms: list[list[Any]]) -> Form:
    """The form that `terms_of` gave. Raises ValueError for a term that comes twice."""
    form = {(kind, number): value for kind, number, value in terms}
    if len(form) < len(terms):
        raise ValueError(f"a term of {terms} comes twice")
    return form


def evaluation_of(entry: dict[str, Any]) -> Evaluation:
    """An evaluation from JSON."""
    basis = entry["basis"]
    return Evaluation(
        **entry | {"argument": form_of(entry["argument"]), "basis": basis if basis is None else tuple(basis)}
    )

"""Whether two methods are the same: their tables, in terms of x₀, the values of one model and the normals, agree.

Methods that hold different quantities use different combinations of the same network, N = a x + b M. In terms of M (the
combination (σ x₀ − α ε)/(α² + σ²), which is regular at every noise level) their rows can be compared. They are the same
sampler if every evaluation is made at the same time and of the same state, and every state is the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..common import check_instance
from .scheme import Expanded, Scheme

__all__ = ["Comparison", "same"]

ROUNDING = 1e-10
"""The tolerance relative to a row's largest coefficient: a thousand times the rounding on a hundred steps."""


@dataclass(frozen=True)
class Comparison:
    """The result of `same`, which is true if the methods are the same.

    Attributes:
        difference: a sentence that says where the methods part; empty if they are the same.
        step: the number of the step in which they part, from 0; None if there is none.
        term: the term in which they part: "start" (the initial state), "N3" or "ξ3" (the value or the normal of number
            3, from 0), "time", "evaluations" or "draws".
    """

    difference: str = ""
    step: int | None = None
    term: str | None = None

    def __bool__(self) -> bool:
        return not self.difference

    def __str__(self) -> str:
        return self.difference or "the same method"


def same(first: Scheme, second: Scheme) -> Comparison:
    """Compare two schemes, evaluation by evaluation and state by state, up to rounding.

    Args:
        first: the table of one method.
        second: the table of the other method.

    Returns:
        A comparison, which is true if the methods are the same.

    Raises:
        TypeError: one of the two is no scheme.
    """
    for name, scheme in (("first", first), ("second", second)):
        check_instance(name, scheme, Scheme, "a Scheme, such as unroll(equation, times, solver)")
    if len(first.times) != len(second.times):
        counts = f"{len(first.times) - 1} steps against {len(second.times) - 1}"
        return Comparison(f"They take {counts}.", 0, "time")
    for i, (a, b) in enumerate(zip(first.times, second.times, strict=True)):
        if not math.isclose(a, b, rel_tol=ROUNDING, abs_tol=ROUNDING):
            return Comparison(f"They part at time {i}: t = {a:.6g} against {b:.6g}.", max(i - 1, 0), "time")
    for j, (one, two) in enumerate(zip(first.evaluations, second.evaluations, strict=False)):
        if not math.isclose(one.time, two.time, rel_tol=ROUNDING, abs_tol=ROUNDING):
            where = f"t = {one.time:.6g} against {two.time:.6g}"
            return Comparison(f"They part in step {one.step}, the time of evaluation {j}: {where}.", one.step, "time")
    if first.nfe != second.nfe:
        return Comparison(f"They take {first.nfe} evaluations against {second.nfe}.", None, "evaluations")
    if len(first.draws) != len(second.draws):
        return Comparison(f"They draw {len(first.draws)} normals against {len(second.draws)}.", None, "draws")
    (states, arguments), (other_states, other_arguments) = first.expanded(), second.expanded()
    following = 0
    for i in range(len(first.states)):
        while following < first.nfe and first.evaluations[following].step == i:
            what = f"the argument of evaluation {following}"
            if (found := _parted(arguments, other_arguments, following, i, what)) is not None:
                return found
            following += 1
        if (found := _parted(states, other_states, i + 1, i, "the state")) is not None:
            return found
    return Comparison()


def _parted(one: Expanded, two: Expanded, row: int, step: int, what: str) -> Comparison | None:
    """The comparison of two rows that differ; None if they agree. `what` names the row in a sentence."""
    for kind, a, b in zip(("start", "N", "ξ"), one, two, strict=True):
        left, right = np.atleast_1d(a[row]), np.atleast_1d(b[row])
        gap = np.abs(left - right)
        largest = max(np.abs(part[row]).max(initial=0.0) for part in (*one, *two))
        if (gap > ROUNDING * largest).any():
            k = int(gap.argmax())
            term = kind if kind == "start" else f"{kind}{k}"
            message = f"They part in step {step}, {what}, term {term}: {left[k]:.6g} against {right[k]:.6g}."
            return Comparison(message, step, term)
    return None

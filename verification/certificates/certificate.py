"""A certificate of order, and how a slope is judged.

A method declares the order p. `ladder` fits a slope to its errors, with the interval I:

    pass         the slope is within 0.15 of p, or p within I, and I is no wider than ± 0.25
    fail         all of I is more than 0.15 below p; or the errors stop falling where rounding cannot be the reason;
                 or two runs from the same states differ
    higher       all of I is more than 0.15 above p
    undecided    there is no range in which local slopes agree, or I is too wide
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .ladder import Fit

__all__ = ["STALLED", "Certificate", "Judged", "elsewhere"]

TOLERANCE, WIDEST = 0.15, 0.25
"""How far a slope may lie from its order, and half of the widest interval that passes; orders lie at least ½ apart."""
STALLED = 0.3
"""Errors with a smaller slope have stopped falling: the lowest order is ½."""


@dataclass(frozen=True)
class Certificate:
    """The errors of a method on a ladder of step counts, and the order that they show.

    Attributes:
        method: its name.
        problem: the name of the problem.
        kind: "deterministic", "strong" (root mean square over shared Brownian paths), "weak" (the law of the process,
            in its mean and variance) or "law" (of the marginals).
        declared: the order that it is judged by.
        steps: the step counts.
        errors: the error at each of them.
        floors: the rounding at each of them.
        local_slopes: the order between neighbouring step counts.
        asymptotic: the first and the last step count of the asymptotic range; None if there is no such range.
        order: the slope over the asymptotic range.
        interval: its 95 % interval.
        first_exact: the order if the first step is replaced by the exact flow; None where that cannot be done.
        last_exact: the same for the last step.
        early_stop: the distance from the exact state where the solve ends to that at the end of the path.
        bias: the error at which a method stops that converges to something else.
        limit_order: the order with which it converges to that.
        verdict: "pass", "fail", "higher" or "undecided".
        reason: the verdict in a sentence.
    """

    method: str
    problem: str
    kind: str
    declared: float | None
    steps: tuple[int, ...]
    errors: tuple[float, ...]
    floors: tuple[float, ...]
    local_slopes: tuple[float, ...]
    asymptotic: tuple[int, int] | None
    order: float | None
    interval: tuple[float, float] | None
    first_exact: float | None
    last_exact: float | None
    early_stop: float | None
    bias: float | None
    limit_order: float | None
    verdict: str
    reason: str

    @classmethod
    def broken(cls, method: str, problem: str, error: Exception) -> Certificate:
        """The certificate of a measurement that raised an error: a failure with the error as its reason."""
        nothing: tuple[float, ...] = ()
        return cls(
            method, problem, "not measured", None, (), nothing, nothing, nothing, None, None, None, None, None, None,
            None, None, "fail", f"{type(error).__name__}: {error}",
        )  # fmt: skip

    @property
    def passed(self) -> bool:
        return self.verdict == "pass"

    def as_json(self) -> dict[str, Any]:
        """The fields by name, with numbers, strings, lists and None as values."""
        fields = asdict(self) | {"local_slopes": [s if math.isfinite(s) else None for s in self.local_slopes]}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}

    def __str__(self) -> str:
        return f"{self.verdict:9}  {self.method} on {self.problem} ({self.kind}): {self.reason}"


@dataclass(frozen=True)
class Judged:
    """A fit, judged by a declared order."""

    declared: float | None
    fit: Fit | None
    steps: Sequence[int]
    first: float | None
    last: float | None

    def verdict(self) -> tuple[str, str]:
        if not self.steps:
            return "undecided", "No run on the ladder ended in finite numbers."
        if (fit := self.fit) is None:
            return "undecided", "The errors show no range in which their local slopes agree above the rounding."
        found = (
            f"Order {fit.slope:.2f} ± {fit.half_width:.2f} over {self.steps[fit.first]} to {self.steps[fit.last]} steps"
        )
        if (order := self.declared) is None:
            return "undecided", f"{found}; declare an order to judge it by."
        if fit.slope + fit.half_width < order - TOLERANCE:
            return "fail", f"{found}, below the declared {order:g}.{self._limits(fit, order)}"
        if fit.slope - fit.half_width > order + TOLERANCE:
            return "higher", f"{found}, above the declared {order:g}."
        if fit.half_width <= WIDEST and abs(fit.slope - order) <= max(TOLERANCE, fit.half_width):
            return "pass", f"{found}, as declared ({order:g})."
        return "undecided", f"{found}, which does not settle the declared {order:g}."

    def _limits(self, fit: Fit, order: float) -> str:
        """The step that limits the order, if one does."""
        for rest, what in ((self.first, "first"), (self.last, "last")):
            if rest is not None and rest > fit.slope + 0.5:
                which = "start-up" if what == "first" else "last step"
                return f" With its {what} step exact it is of order {rest:.2f}: the {which} limits it."
        return ""


def elsewhere(bias: float, limit: float | None) -> str:
    if limit is None or limit < STALLED:
        return f"The errors stop falling at {bias:.3g}, which is no rounding: the method does not converge."
    return (
        f"The method converges, with order {limit:.2f}, but to something else: its errors stop falling at {bias:.3g}, "
        "which is no rounding."
    )

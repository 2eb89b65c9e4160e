"""What a certificate of order says, and how a slope is judged.

An order p is declared, and found is the interval I of the slope that `ladder` fits to the errors:

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
"""Of a slope, and of the half of its interval; orders lie at least ½ apart."""
STALLED = 0.3
"""Errors with a smaller slope have stopped falling: the lowest order is ½."""


@dataclass(frozen=True)
class Certificate:
    """The errors of a method on a ladder of step counts, and what they say of its order.

    kind: "deterministic", "strong" (root mean square over shared Brownian paths), "weak" (the law of the process, in
    its mean and variance) or "law" (of the marginals). errors, floors: by `steps`. order, interval: the slope and its
    95 % interval over `asymptotic`, the first and the last step count of the range; None if there is none.
    first_exact, last_exact: the order with that step taken exactly, where that can be done. early_stop: the distance
    between the exact state where the solve ends and that at the end of the path. bias: the error at which a method
    that converges to something else stops, and limit_order, the order with which it gets there. verdict: "pass",
    "fail", "higher" or "undecided", and the `reason` in a sentence.
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
        """Of a measurement that raised an error: a failure, with its sentence."""
        nothing: tuple[float, ...] = ()
        return cls(
            method, problem, "not measured", None, (), nothing, nothing, nothing, None, None, None, None, None, None,
            None, None, "fail", f"{type(error).__name__}: {error}",
        )  # fmt: skip

    @property
    def passed(self) -> bool:
        return self.verdict == "pass"

    def as_json(self) -> dict[str, Any]:
        """Its fields by name, of numbers, strings, lists and None alone."""
        fields = asdict(self) | {"local_slopes": [s if math.isfinite(s) else None for s in self.local_slopes]}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}

    def __str__(self) -> str:
        return f"{self.verdict:9}  {self.method} on {self.problem} ({self.kind}): {self.reason}"


@dataclass(frozen=True)
class Judged:
    """What a fit says of a declared order."""

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
        """Which step is to blame."""
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

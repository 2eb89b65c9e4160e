"""How numbers and checks are written for a reader: in short, and with what they are compared with.

    Check         0.25        expected 0.25 ± 1e-12
    Bound         3e-14       expected ≤ 1e-12, or ≥
    Statistical   0.4981      expected 0.5, p = 0.43, n = 100000

One check stands for a claim that has several: the first that failed or, where all hold, the one that comes nearest to
its tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..claims import BIBLIOGRAPHY, Bound, Check, Outcome, Source, Statistical

__all__ = ["AnyCheck", "check_as_dict", "cited", "decisive", "expectation", "number", "plain", "printed_form"]

AnyCheck = Check | Bound | Statistical


def number(value: float | None) -> str:
    """The value with six digits; an empty string for None."""
    return "" if value is None else f"{value:.6g}".replace("-", "−").replace("e−0", "e−").replace("e+0", "e+")


def expectation(check: AnyCheck) -> str:
    """What the measured value is compared with."""
    if isinstance(check, Check):
        return f"{number(check.expected)} ± {number(check.tolerance)}"
    if isinstance(check, Bound):
        return f"{'≥' if check.above else '≤'} {number(check.limit)}"
    return f"{number(check.expected)}, p = {number(check.p_value)}, n = {check.n}"


def decisive(outcome: Outcome) -> AnyCheck | None:
    """The check that stands for the claim; None if it has none."""
    failed = [check for check, passed in zip(outcome.checks, outcome.passed, strict=True) if not passed]
    held = [check for check in outcome.checks if isinstance(check, Check)]
    nearest = sorted(held, key=lambda check: -abs(check.measured - check.expected) / (check.tolerance or math.inf))
    return next(iter([*failed, *nearest, *outcome.checks]), None)


def printed_form(outcome: Outcome) -> Bound | None:
    """The check of an erratum that shows how far off the printed form is."""
    return next((check for check in outcome.checks if isinstance(check, Bound) and check.above), None)


def cited(outcomes: Sequence[Outcome]) -> list[Source]:
    """The sources of these claims, in the order of the bibliography."""
    named = {citation.source for outcome in outcomes for citation in outcome.claim.sources}
    return [source for source in BIBLIOGRAPHY if source in named]


def plain(value: Any) -> Any:
    """The same value as JSON knows it: None stands for infinity and for what is no number."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def check_as_dict(check: AnyCheck) -> dict[str, Any]:
    """`relation` is "=" within the tolerance, "<=", ">=", or "test", which has a p-value instead of a tolerance."""
    described: dict[str, Any] = {"measured": check.measured, "tolerance": None}
    if isinstance(check, Check):
        described |= {"relation": "=", "expected": check.expected, "tolerance": check.tolerance}
    elif isinstance(check, Bound):
        described |= {"relation": ">=" if check.above else "<=", "expected": check.limit}
    else:
        described |= {"relation": "test", "expected": check.expected, "p_value": check.p_value, "n": check.n}
        described |= {"smallest_fault": check.smallest_fault}
    return described

"""A claim of the theory that runs: a statement, a function that measures it, and a verdict.

A claim is a function of no arguments. It returns one check or several:

    Check         |measured − expected| ≤ tolerance        the tolerance is derived in the function's docstring
    Bound         measured ≤ limit, or measured ≥ limit    an inequality, or an error that must be seen to be large
    Statistical   the p-value of the claim as null hypothesis, with what it could have detected

and it holds if all of them do. A run of m statistical checks, each judged at 1 %, would fail falsely with probability
1 − 0.99ᵐ; so they are judged together. Holm's procedure sorts the p-values, p₍₁₎ ≤ … ≤ p₍ₘ₎, and rejects from the
smallest on as long as p₍ᵢ₎ ≤ 0.01 / (m − i + 1): the chance of any false rejection in the run is at most 1 %, whatever
the dependence between the checks (Holm, Scandinavian Journal of Statistics 6, 1979).

A claim that nothing here can measure is registered by `uncovered`, with the reason: it is listed, never dropped.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias, TypeVar

import torch

from ..statistics import holm

__all__ = [
    "CATALOGUE", "Bound", "Check", "Claim", "Measurement", "Outcome", "Statistical",
    "claim", "judged", "measured", "run", "uncovered",
]  # fmt: skip

LEVEL = 0.01  # the chance that a run in which everything holds fails a statistical check


@dataclass(frozen=True)
class Check:
    """Passes if |measured − expected| ≤ tolerance. `what` names the case where a claim has several.

    Raises ValueError for a tolerance that is negative or not a number.
    """

    measured: float
    expected: float
    tolerance: float
    what: str = ""

    def __post_init__(self) -> None:
        if not self.tolerance >= 0:
            raise ValueError(f"a check needs a tolerance of at least 0, not {self.tolerance}.")

    @property
    def passed(self) -> bool:
        return abs(self.measured - self.expected) <= self.tolerance


@dataclass(frozen=True)
class Bound:
    """Passes if measured ≤ limit; with `above`, if measured ≥ limit."""

    measured: float
    limit: float
    what: str = ""
    above: bool = False

    @property
    def passed(self) -> bool:
        return self.measured >= self.limit if self.above else self.measured <= self.limit


@dataclass(frozen=True)
class Statistical:
    """A test of the claim on n samples: passes unless Holm's procedure rejects p_value among all those of the run.

    p_value: of the claim as null hypothesis, in [0, 1].  n: the sample size.
    smallest_fault: a sentence, the smallest departure that the test detects and how surely.
    measured, expected: the statistic and its value under the claim, for the reader.

    Raises ValueError for a p-value outside [0, 1].
    """

    p_value: float
    n: int
    smallest_fault: str
    measured: float
    expected: float
    what: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.p_value <= 1:
            raise ValueError(f"a p-value lies in [0, 1]; the test gave {self.p_value}.")


AnyCheck: TypeAlias = Check | Bound | Statistical
Function: TypeAlias = Callable[[], AnyCheck | Sequence[AnyCheck]]
F = TypeVar("F", bound=Function)


@dataclass(frozen=True)
class Claim:
    """One statement. `function` is None, and `reason` says why, where it is not covered.

    chapter: the last part of the name of the module that states it.
    erratum: the source prints it wrong; the printed form is shown to fail and the corrected one to hold.
    slow: takes more than a few seconds.
    """

    id: str
    source: str
    statement: str
    formula: str
    erratum: bool
    slow: bool
    chapter: str
    function: Function | None = field(repr=False)
    reason: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of one claim. `passed` says it check by check; `error` is the sentence of a claim that raised."""

    claim: Claim
    checks: tuple[AnyCheck, ...]
    verdict: Literal["pass", "fail", "not covered"]
    seconds: float
    error: str | None = None
    passed: tuple[bool, ...] = ()


class Measurement(NamedTuple):
    """What a claim's function returned, in how many seconds, or the sentence of the error that it raised."""

    checks: tuple[AnyCheck, ...]
    seconds: float
    error: str | None = None


CATALOGUE: dict[str, Claim] = {}
"""Every claim by its id, in the order of the ids: A001, A002, …, E01, …"""


def claim(
    id: str, source: str, statement: str, *, formula: str = "", erratum: bool = False, slow: bool = False
) -> Callable[[F], F]:
    """Register the decorated function, which takes no arguments and returns a check or a sequence of checks.

    Raises ValueError for an id that is taken or is not letters followed by digits, and for a function without a
    docstring: that is where its tolerance is derived.
    """

    def register(function: F) -> F:
        if not function.__doc__:
            raise ValueError(f"the claim {id} needs a docstring that derives its tolerance.")
        _add(Claim(id, source, statement, formula, erratum, slow, _chapter(function.__module__), function))
        return function

    return register


def uncovered(id: str, source: str, statement: str, reason: str) -> None:
    """List a claim that is not covered, with the reason. An id that starts with E is an erratum.

    Raises ValueError for an id that is taken or is not letters followed by digits, and for an empty reason.
    """
    if not reason:
        raise ValueError(f"the claim {id} is not covered; say why.")
    module: str = sys._getframe(1).f_globals["__name__"]
    _add(Claim(id, source, statement, "", id.startswith("E"), False, _chapter(module), None, reason))


def run(claims: Iterable[Claim], *, progress: Callable[[int, int, Claim], None] | None = None) -> list[Outcome]:
    """Measure the claims and judge them, in the order of their ids; one outcome each.

    progress: called as progress(done, total, claim) before each claim.

    A claim that raises fails, with the error's sentence. Each function starts from torch's default generator at seed 0,
    and the caller's generator is left as it was: a verdict does not depend on what ran before, apart from the
    statistical checks, which Holm's procedure judges together.
    """
    ordered = sorted(claims, key=lambda each: _order(each.id))
    measurements = []
    for done, each in enumerate(ordered):
        if progress is not None:
            progress(done, len(ordered), each)
        measurements.append(measured(each))
    return judged(ordered, measurements)


def measured(claim: Claim) -> Measurement:
    """The claim's function, run; nothing for a claim that is not covered. What it raises becomes `error`."""
    if claim.function is None:
        return Measurement((), 0.0)
    start = time.perf_counter()
    error = None
    checks: tuple[AnyCheck, ...] = ()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            result = claim.function()
            checks = tuple(result) if isinstance(result, Sequence) else (result,)
            if not checks:
                error = "the claim returned no check."
        except Exception as exception:
            error = f"{type(exception).__name__}: {exception}"
    return Measurement(checks, time.perf_counter() - start, error)


def judged(claims: Sequence[Claim], measurements: Sequence[Measurement]) -> list[Outcome]:
    """The verdicts of one run, in the order given: its statistical checks are judged together."""
    tests = [check for found in measurements for check in found.checks if isinstance(check, Statistical)]
    stands = iter(holm([test.p_value for test in tests]) > LEVEL)
    outcomes: list[Outcome] = []
    for claim, (checks, seconds, error) in zip(claims, measurements, strict=True):
        passed = tuple(bool(next(stands)) if isinstance(check, Statistical) else check.passed for check in checks)
        verdict: Literal["pass", "fail", "not covered"] = "pass" if error is None and all(passed) else "fail"
        if claim.function is None:
            verdict = "not covered"
        outcomes.append(Outcome(claim, checks, verdict, seconds, error, passed))
    return outcomes


def _add(new: Claim) -> None:
    if new.id in CATALOGUE:
        taken = CATALOGUE[new.id].chapter
        raise ValueError(f"the claim {new.id} of {new.chapter} is already stated in {taken}; give it another id.")
    ordered = sorted([*CATALOGUE.values(), new], key=lambda each: _order(each.id))
    CATALOGUE.clear()
    CATALOGUE.update((each.id, each) for each in ordered)


def _order(id: str) -> tuple[str, int, str]:
    match = re.fullmatch(r"([A-Z]+)(\d+)([a-z]*)", id)
    if match is None:
        raise ValueError(f"a claim's id is capital letters and digits, as A001 or E04, not {id!r}.")
    return match[1], int(match[2]), match[3]


def _chapter(module: str) -> str:
    return module.rpartition(".")[2]

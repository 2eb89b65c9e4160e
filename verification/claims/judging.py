"""Claims are run, and their checks are judged.

A claim holds if all of its checks do. A run of m statistical checks, each judged at 1 %, would fail falsely with
probability 1 − 0.99ᵐ; so they are judged together. Holm's procedure sorts the p-values, p₍₁₎ ≤ … ≤ p₍ₘ₎, and rejects
from the smallest on as long as p₍ᵢ₎ ≤ 0.01 / (m − i + 1): the chance of any false rejection in the run is at most 1 %,
whatever the dependence between the checks (Holm, Scandinavian Journal of Statistics 6, 1979).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch

from ...solvers.common import check_instance
from ..statistics import holm
from .claim import AnyCheck, Bound, Check, Claim, Statistical

__all__ = ["Measurement", "Outcome", "judged", "measured", "run"]

LEVEL = 0.01  # the chance that a run in which everything holds fails a statistical check


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


def run(claims: Iterable[Claim], *, progress: Callable[[int, int, Claim], None] | None = None) -> list[Outcome]:
    """Measure the claims and judge them, in the order of their ids; one outcome each.

    progress: called as progress(done, total, claim) before each claim.

    A claim that raises, or returns what is no check, fails with the error's sentence. Each function starts from torch's
    default generator at seed 0, and the caller's generator is left as it was: a verdict does not depend on what ran
    before, apart from the statistical checks, which Holm's procedure judges together.
    """
    claims = list(claims)
    for i, each in enumerate(claims):
        check_instance(f"claims[{i}]", each, Claim, "claims of CATALOGUE")
    ordered = sorted(claims, key=lambda each: each.order)
    measurements = []
    for done, each in enumerate(ordered):
        if progress is not None:
            progress(done, len(ordered), each)
        measurements.append(measured(each))
    return judged(ordered, measurements)


def measured(claim: Claim) -> Measurement:
    """The claim's function, run on the CPU; nothing for a claim that is not covered. What it raises becomes `error`."""
    if claim.function is None:
        return Measurement((), 0.0)
    start = time.perf_counter()
    error = None
    checks: tuple[AnyCheck, ...] = ()
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.manual_seed(0)
        try:
            result = claim.function()
            found = tuple(result) if isinstance(result, Sequence) else (result,)
            for each in found:
                check_instance("What the claim returned", each, (Check, Bound, Statistical), "a Check")
            checks = found
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

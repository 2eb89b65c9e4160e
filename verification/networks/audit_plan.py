"""How many samples an audit takes, from the time of a few and the minutes that there are.

The levels stay. Their samples take two thirds of the time, or less if there are no more, and the likelihoods the rest.
Of these the number of samples comes before the number of probes, and as many probes as dimensions are an exact trace.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

from torch import Tensor

from ...generative.denoiser import Denoiser
from ...generative.likelihood import time_likelihood
from ...solvers import Adaptive

__all__ = ["TIMES", "AuditPlan", "plan_audit"]

TIMES = Adaptive(1.0, 0.0, rtol=1e-3, atol=1e-3)
"""Of the likelihoods of an audit."""
FEW, MORE, QUICK = 2, 16, 0.005
"""Numbers of samples that are timed: the larger one if the smaller one takes less than this share of the time."""
LEVELS_SHARE, SAFETY = 2.0 / 3.0, 0.9
"""The share of the time for the levels if there are likelihoods, and the share of the minutes that is planned with."""


@dataclass(frozen=True)
class AuditPlan:
    """The samples of an audit. Print it for a sentence.

    Attributes:
        samples: the number at each level.
        likelihoods: the number whose likelihood is computed, of each set.
        trace: how, as for `log_likelihood`.
        probes: the number of probes.
        level: the seconds that a level takes, or 1 if nothing was timed.
        likelihood: the seconds that the likelihoods of a set take, or 1.
    """

    samples: int
    likelihoods: int
    trace: str
    probes: int
    level: float = 1.0
    likelihood: float = 1.0

    def __str__(self) -> str:
        how = "an exact trace" if self.trace == "exact" else f"{self.probes} probe{'s' * (self.probes > 1)}"
        also = f", {self.likelihoods} likelihoods with {how}" if self.likelihoods else ", no likelihoods"
        return f"{self.samples} samples at each log-SNR{also}"


def plan_audit(
    denoiser: Denoiser,
    data: Tensor,
    level: Callable[[int], object],
    *,
    samples: int,
    fewest: int,
    levels: int,
    likelihoods: int,
    sets: int,
    minutes: float,
) -> AuditPlan:
    """The largest audit that fits into the minutes.

    Args:
        denoiser: the network.
        data: clean samples.
        level: measures some samples at one level.
        samples: the number of samples that there are.
        fewest: the least number that an audit takes.
        levels: the number of levels.
        likelihoods: the number of likelihoods that is asked for.
        sets: the number of sets of data whose likelihood is computed.
        minutes: the time.

    Raises:
        ValueError: the minutes are too few for the least audit.
    """
    seconds = SAFETY * 60.0 * minutes
    each = seconds_a_sample(level, seconds)
    least = levels * fewest * each
    if least > seconds:
        raise ValueError(
            f"minutes is {minutes:g}, but the least audit, of {fewest} samples at each log-SNR, takes longer; give at "
            f"least {math.ceil(least / SAFETY / 6.0) / 10.0:g}."
        )
    most = int((LEVELS_SHARE if likelihoods else 1.0) * seconds / (levels * each))
    count = max(fewest, min(samples, most))
    if not likelihoods:
        return AuditPlan(count, 0, "auto", 1, count * each)
    left, dim = (seconds - levels * count * each) / sets, data[0].numel()
    cost = time_likelihood(denoiser, data[:likelihoods], TIMES, left)
    number = min(likelihoods, len(data), int(left / cost.of(1)))
    if number < 2:
        return AuditPlan(count, 0, "auto", 1, count * each)
    probes = min(dim, max(1, cost.probes(left / number)))
    trace = "exact" if probes == dim else "hutchinson"
    return AuditPlan(count, number, trace, probes, count * each, number * cost.of(probes))


def seconds_a_sample(call: Callable[[int], object], seconds: float) -> float:
    """The time of one sample, from calls for a few samples, or for more if these are quick."""
    for samples in (FEW, MORE):
        start = perf_counter()
        call(samples)
        spent = perf_counter() - start
        if spent > QUICK * seconds:
            break
    return spent / samples

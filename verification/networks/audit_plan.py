"""How many samples an audit takes, from the time of a few and the minutes that there are.

The levels stay. Their samples take two thirds of the time, or less if there are no more, and the likelihoods the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

from torch import Tensor

from ...generative.denoiser import Denoiser
from ...generative.likelihood import LikelihoodPlan, plan_likelihood

__all__ = ["AuditPlan", "plan_audit", "plan_of_likelihoods"]

ACCURACY = 1e-2
"""The error of a likelihood, in nats for each dimension."""
FEW, MORE, QUICK = 2, 16, 0.005
"""Numbers of samples that are timed: the larger one if the smaller one takes less than this share of the time."""
LEVELS_SHARE, SAFETY = 2.0 / 3.0, 0.9
"""The share of the time for the levels if there are likelihoods, and the share of the minutes that is planned with."""
PILOT, MARGIN = 4, 2.0
"""The samples by which likelihoods are planned, and their time over that of the plan: samples may need more nodes."""


@dataclass(frozen=True)
class AuditPlan:
    """The samples of an audit. Print it for a sentence.

    Attributes:
        samples: the number at each level.
        likelihoods: the number whose likelihood is computed, of each set.
        level: the seconds that a level takes, or 1 if nothing was timed.
        likelihood: the seconds that the likelihoods of a set take, or 1.
        how: how likelihoods are computed; None if there are none.
    """

    samples: int
    likelihoods: int
    level: float = 1.0
    likelihood: float = 1.0
    how: LikelihoodPlan | None = None

    def __str__(self) -> str:
        also = f", {self.likelihoods} likelihoods" if self.likelihoods else ", no likelihoods"
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
    how = None
    if likelihoods:
        start = perf_counter()
        how = plan_of_likelihoods(denoiser, data)
        seconds -= perf_counter() - start
    most = int((LEVELS_SHARE if likelihoods else 1.0) * seconds / (levels * each))
    count = max(fewest, min(samples, most))
    if how is None:
        return AuditPlan(count, 0, count * each)
    took = MARGIN * how.seconds
    number = min(likelihoods, len(data), int((seconds - levels * count * each) / sets / took))
    if number < 2:
        return AuditPlan(count, 0, count * each)
    return AuditPlan(count, number, count * each, number * took, how)


def plan_of_likelihoods(denoiser: Denoiser, data: Tensor) -> LikelihoodPlan:
    """How the likelihoods of an audit are computed."""
    return plan_likelihood(denoiser, data[:PILOT], error=ACCURACY * data[0].numel())


def seconds_a_sample(call: Callable[[int], object], seconds: float) -> float:
    """The time of one sample, from calls for a few samples, or for more if these are quick."""
    for samples in (FEW, MORE):
        start = perf_counter()
        call(samples)
        spent = perf_counter() - start
        if spent > QUICK * seconds:
            break
    return spent / samples

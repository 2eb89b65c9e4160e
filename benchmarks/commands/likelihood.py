"""The command `fokker likelihood`: bits per dimension of data under a network, with an error budget.

    bits/dim = mean over samples of −(log p(x) − log q(x | k)) / (d log 2)

Without another target, trace, steps and quadrature may add 5 % to the standard error s/√N over the N samples. A look at
a few samples tells their standard deviation s. The errors of probes are independent and add in squares, those of steps
and quadrature do not. Every image has one draw of the dequantisation noise, so that the spread over images includes
that of the noise, or several (`importance_weighted_bound`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import cast

from torch import Tensor

from ...generative import (
    Denoiser,
    Dequantisation,
    ImportanceWeightedBound,
    LogLikelihood,
    importance_weighted_bound,
    plan_likelihood,
)
from ...generative.likelihood import LikelihoodPlan, block_size
from ...solvers.common import real, whole
from ...verification.named_networks import named_denoiser
from ..engine import engine_named
from ..many import log_likelihood_many
from .likelihood_data import given_conditions, samples_of
from .likelihood_result import DataLikelihood, data_likelihood
from .output import duration, say

__all__ = ["measure_likelihood"]

CHUNK = 64
"""Samples in a job: each worker should have some."""
LOOK, ROUGH = 16, 1e-2
"""The samples of the look, and the error of their likelihood, in nats for each dimension."""
SHARE = 0.07
"""The error of the mean over s/√N. Probes take 0.9 of it and add 0.2 %; steps and quadrature add 3 % or less, and s of
the look may be 40 % too large."""
OF_DRAWS = 0.25
"""The error of the probes of one draw, in nats: the weights of the draws are corrected for it."""
SAFETY = 0.9
"""The share of the minutes that is planned with."""


def measure_likelihood(
    network: str,
    *,
    data: str | None = None,
    levels: int | None = None,
    images: int | None = None,
    error: float | None = None,
    error_of_mean: float | None = None,
    trace: str = "auto",
    probes: int | None = None,
    draws: int = 1,
    label: int | None = None,
    condition: Path | None = None,
    guidance: float | None = None,
    predicts: str | None = None,
    path: str | None = None,
    time: str | None = None,
    seed: int = 0,
    minutes: float | None = None,
    engine: str | None = None,
    address: str | None = None,
    progress: bool = False,
) -> DataLikelihood:
    """The mean code length of data under a network. What is done, and about how long, is printed on stderr first.

    Args:
        network: the name of a network (see `verification.named_networks`).
        data: the name of a data set or a file; None for the data set of the network's training.
        levels: the number of grey levels in a file; None if it holds points.
        images: take so many samples, the first ones; all if None.
        error: the error that the value of each sample may have, in nats.
        error_of_mean: the error that the mean may have, in bits/dim. Without both, 5 % of the standard error.
        trace: as for `log_likelihood`.
        probes: the number of probes at a node, on average, in place of what the error asks for.
        draws: the number of dequantisation draws of an image.
        label: the class of all samples.
        condition: a file with further arguments of the network.
        guidance: the weight of classifier-free guidance.
        predicts: what a bare network predicts.
        path: its path.
        time: its clock.
        seed: of the dequantisation and the probes.
        minutes: take as many samples as this time allows.
        engine: where the likelihoods are computed, as for `engine_named`.
        address: of the Ray cluster.
        progress: show a progress bar on stderr.

    Raises:
        OSError: as `engine_named` raises.
        ValueError: as `named_denoiser`, `samples_of`, `given_conditions` and `log_likelihood`; targets exclude each
            other; points have no draws; or the minutes are too few for two samples.
    """
    begun = perf_counter()
    if error is not None and error_of_mean is not None:
        raise ValueError("--error and --error-of-mean exclude each other; give one of them.")
    draws = whole("draws", draws, 1)
    denoiser = named_denoiser(network, predicts=predicts, path=path, time=time)
    samples = samples_of(data, network, levels, denoiser, seed)
    if draws > 1 and samples.dequantisation is None:
        raise ValueError("--draws is for grey levels, but these are points; leave it out, or give --levels.")
    denoiser = given_conditions(network, denoiser, samples.x, label, condition, guidance)
    samples = samples.first(len(samples.x) if images is None else images)
    x, unit = samples.x, samples.x[0].numel() * math.log(2.0)
    with engine_named(engine, address=address) as where:
        many = partial(log_likelihood_many, engine=where, chunk=min(CHUNK, block_size(x)))
        left = None if minutes is None else _Limit(begun + 60.0 * SAFETY * real("minutes", minutes, above=0.0), minutes)
        planned = partial(plan_likelihood, denoiser, trace=trace, probes=probes)
        if error is not None:
            plan = planned(x, error=error)
        else:
            if error_of_mean is None:
                of_mean = SHARE * _spread(denoiser, x, planned, many, left, seed, where.slots) / math.sqrt(len(x))
            else:
                of_mean = real("error_of_mean", error_of_mean, above=0.0) * unit
            few = len(x) if draws == 1 else max(1, min(len(x), int((OF_DRAWS / of_mean) ** 2)))
            plan = planned(x[:few], error_of_mean=of_mean)
        each = draws * plan.seconds / where.slots
        if left is not None:
            samples = samples.first(left.samples(len(x), each))
        count = len(samples.x)
        several = f" with {draws} draws each" if draws > 1 else ""
        say(f"{count} samples{several}, {plan}; {duration(count * each)} in all")
        start = perf_counter()
        found: LogLikelihood | ImportanceWeightedBound
        if draws == 1:
            found = many(denoiser, samples.x, plan, seed, progress=progress)
        else:
            found = importance_weighted_bound(
                denoiser, cast(Tensor, samples.levels), cast(Dequantisation, samples.dequantisation), draws, seed,
                dtype=x.dtype, likelihood=partial(many, progress=progress), plan=plan,
            )  # fmt: skip
        spent = (perf_counter() - start) / 60.0
    return data_likelihood(found, samples.dequantisation, plan.trace, spent)


def _spread(
    denoiser: Denoiser,
    x: Tensor,
    planned: Callable[..., LikelihoodPlan],
    many: Callable[..., LogLikelihood],
    left: _Limit | None,
    seed: int,
    slots: int,
) -> float:
    """The standard deviation of the likelihoods, in nats, from a look at a few samples."""
    some = x[:LOOK]
    plan = planned(some, error=ROUGH * x[0].numel())
    if left is not None:
        some = some[: left.samples(len(some), plan.seconds / slots)]
    say(f"a look at {len(some)} samples, {duration(len(some) * plan.seconds / slots)}")
    found = many(denoiser, some, plan, seed)
    variance = float(found.value.var())
    probes = float(found.probe_stderr.square().mean().nan_to_num(0.0))
    return math.sqrt(max(variance - probes, 0.25 * variance, 1e-12))


@dataclass(frozen=True)
class _Limit:
    """The time at which the work should end, and the minutes that were given."""

    end: float
    minutes: float

    def samples(self, most: int, each: float) -> int:
        """The samples that the time allows, of those that take `each` seconds. Raises ValueError for less than two."""
        left = self.end - perf_counter()
        count = min(most, int(max(0.0, left) / each))
        if count < 2:
            needed = math.ceil(10.0 * (self.minutes + (2.0 * each - left) / (60.0 * SAFETY))) / 10.0
            raise ValueError(f"minutes is {self.minutes:g}, but two samples take longer; give at least {needed:g}.")
        return count

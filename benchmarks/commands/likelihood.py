"""Bits per dimension of a trained network on held-out images, with an error budget.

    bits/dim = mean over images of −(log p(x) − log q(x | k)) / (d log 2)

Every image has one draw of the dequantisation noise, so that the spread over images includes that of the noise. In
expectation the result is an upper bound of the discrete code length.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ...generative import Denoiser
from ...generative.training import dataset
from ...solvers import Adaptive
from ...solvers.common import choice, real
from ...verification.named_networks import named_denoiser
from ..engine import engine_named
from ..many import log_likelihood_many
from .evaluate import trained_on

time_likelihood: Any = None
__all__ = ["HeldOut", "held_out_likelihood"]

CHUNK = 64
"""Images in a job: a few hundred are held out, and each worker should have some."""
ENOUGH, SAFETY = 32, 0.9
"""The images for which an exact trace is worth its time; the share of the minutes that is planned with."""


@dataclass(frozen=True)
class HeldOut:
    """Bits/dim of held-out images, with its error budget, in bits/dim.

    Attributes:
        images: the number of images.
        bits_per_dim: the mean over the images.
        over_images: the standard error of the mean from the choice of the images.
        over_probes: the standard error of the mean from the probes of the trace.
        discretisation: the estimated error of the steps and the quadrature.
        prior_mismatch: the change if the law of the noised data replaces the prior.
        evaluations: network evaluations, on the average image.
        products: products with the network's Jacobian, at most.
        trace: how the trace was taken.
    """

    images: int
    bits_per_dim: float
    over_images: float
    over_probes: float
    discretisation: float
    prior_mismatch: float
    evaluations: float
    products: int
    trace: str


def held_out_likelihood(
    name_or_path: str | Path,
    *,
    images: int | None = None,
    trace: str = "auto",
    probes: int = 1,
    tolerance: float = 1e-4,
    seed: int = 0,
    minutes: float | None = None,
    progress: bool = False,
    engine: str | None = None,
    address: str | None = None,
    data: str | None = None,
) -> HeldOut:
    """Measure bits/dim of a network on the held-out images of its data set.

    Args:
        name_or_path: the name of a network (see `verification.named_networks`).
        images: take so many of the held-out images, the first ones; all if None.
        trace: as for `log_likelihood`.
        probes: the number of probes of a trace that is not exact.
        tolerance: rtol and atol of the adaptive steps.
        seed: of the dequantisation and the probes.
        minutes: take as many images, at most `images`, as this time allows; where trace is "auto", the trace is exact
            if 32 of them allow it, and else has the probes. What is taken is printed on stderr.
        progress: show a progress bar on stderr.
        engine: where the likelihoods are computed, as for `engine_named`.
        address: of the Ray cluster.
        data: the name of the data set; None for the one that the network says it was trained on.

    Raises:
        OSError: as `engine_named` raises.
        ValueError: as `load`, `dataset` and `log_likelihood`; or the minutes are too few for two images.
    """
    denoiser = named_denoiser(str(name_or_path))
    held = dataset(trained_on(name_or_path, data))
    x = held.dequantisation(held.held_out[:images], seed)
    times = Adaptive(1.0, 0.0, rtol=tolerance, atol=tolerance)
    with engine_named(engine, address=address) as where:
        if minutes is not None:
            count, trace, seconds = _affordable(denoiser, x, times, trace, probes, minutes)
            how = "an exact trace" if trace == "exact" else f"{trace} with {probes} probes"
            print(f"fokker: {count} images, {how}: at most about {seconds / 60.0:.1f} minutes", file=sys.stderr)
            x = x[:count]
        found = log_likelihood_many(
            denoiser, x, times, trace=trace, probes=probes, seed=seed, engine=where, chunk=CHUNK, progress=progress
        )
    bits = found.bits_per_dim(held.dequantisation)
    unit, count = x[0].numel() * math.log(2.0), len(x)
    return HeldOut(
        images=count,
        bits_per_dim=bits.mean().item(),
        over_images=bits.std().item() / math.sqrt(count),
        over_probes=found.probe_stderr.square().mean().sqrt().item() / math.sqrt(count) / unit,
        discretisation=found.discretisation.mean().item() / unit,
        prior_mismatch=-found.prior_mismatch.mean().item() / unit,
        evaluations=found.nfe.per_sample.double().mean().item(),
        products=found.nfe.vjp,
        trace="exact" if not found.probe_stderr.any() else f"{found.probes.shape[1]} probes",
    )


def _affordable(
    denoiser: Denoiser, x: Tensor, times: Adaptive, trace: str, probes: int, minutes: float
) -> tuple[int, str, float]:
    """The number of images for which there is time, the trace, and the seconds that they take."""
    choice("trace", trace, ("auto", "exact", "hutchinson", "hutch++"))
    seconds = 60.0 * SAFETY * real("minutes", minutes, above=0.0)
    start = time.perf_counter()
    cost = time_likelihood(denoiser, x, times, seconds)
    left, dim = seconds - (time.perf_counter() - start), x[0].numel()
    few = min(ENOUGH, len(x))
    if trace == "auto":
        trace = "exact" if dim <= probes or few * cost.of(dim) <= left else "hutchinson"
    each = cost.of({"exact": dim, "hutch++": 3 * probes}.get(trace, probes))
    count = min(len(x), int(left / each))
    if count < 2:
        needed = math.ceil((seconds - left + 2.0 * each) / SAFETY / 6.0) / 10.0
        raise ValueError(f"minutes is {minutes:g}, but two images take longer; give at least {needed:g}.")
    return count, trace, count * each

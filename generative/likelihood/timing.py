"""The time that a likelihood takes, from that of a few samples with one probe.

A sample that takes E evaluations and P products with one probe takes E + k P of both with k probes, and d probes stand
for the exact trace. A product is counted as an evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import torch
from torch import Tensor

from ...solvers import Adaptive
from ..denoiser import Denoiser
from .likelihood import log_likelihood

__all__ = ["LikelihoodTime", "time_likelihood"]

SAMPLES, QUICK = (1, 8, 64), 0.03
"""Numbers of samples that are timed, and the share of the time below which the next one is."""


@dataclass(frozen=True)
class LikelihoodTime:
    """The cost of a likelihood.

    Attributes:
        evaluations: E, of a sample.
        products: P, of a sample with one probe.
        each: the seconds that an evaluation or a product takes.
    """

    evaluations: float
    products: float
    each: float

    def of(self, probes: int) -> float:
        """The seconds of a sample with k probes."""
        return self.each * (self.evaluations + probes * self.products)

    def probes(self, seconds: float) -> int:
        """The number of probes for which there is time."""
        return int((seconds / self.each - self.evaluations) / self.products)


def time_likelihood(denoiser: Denoiser, x: Tensor, times: Adaptive, seconds: float) -> LikelihoodTime:
    """Times the likelihood of one sample, or of more if it is quick.

    Args:
        denoiser: the network.
        x: samples, (B, ...).
        times: as for `log_likelihood`.
        seconds: the time that there is for everything.

    Raises:
        Exception: what `log_likelihood` raises.
    """
    for count in SAMPLES:
        start = perf_counter()
        with torch.no_grad():
            found = log_likelihood(denoiser, x[:count], times, trace="hutchinson")
        spent = perf_counter() - start
        if spent > QUICK * seconds or count >= len(x):
            break
    evaluations = found.nfe.per_sample.double().mean().item()
    products = float(max(1, found.nfe.vjp))
    return LikelihoodTime(evaluations, products, max(spent, 1e-9) / found.data.shape[0] / (evaluations + products))

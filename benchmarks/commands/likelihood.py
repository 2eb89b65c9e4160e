"""Bits per dimension of a trained network on held-out images, with what each part of the computation leaves uncertain.

    bits/dim = mean over images of −(log p(x) − log q(x | k)) / (d log 2)

Every image has one draw of the dequantisation noise, so that the spread over images holds that of the noise, too. The
result bounds the discrete code length from above, in expectation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch

from ...generative import load, log_likelihood
from ...generative.training import dataset
from ...solvers import Adaptive
from .evaluate import training_record

__all__ = ["HeldOut", "held_out_likelihood"]


@dataclass(frozen=True)
class HeldOut:
    """In bits/dim: the mean, the standard errors that the choice of images and that of probes leave, the estimated
    error of the computation, and what the noised data would add in place of the prior.

    evaluations: of the network, on the average image. products: with its Jacobian, at most.
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
    progress: bool = False,
) -> HeldOut:
    """Of the first `images` held-out ones, or of all. trace, probes: as for `log_likelihood`; tolerance: rtol = atol.

    Raises what `load`, `dataset` and `log_likelihood` raise.
    """
    denoiser = load(name_or_path)
    data = dataset(training_record(name_or_path)["data"])
    levels = data.held_out[:images]
    x = data.dequantisation(levels, seed)
    times = Adaptive(1.0, 0.0, rtol=tolerance, atol=tolerance)
    with torch.no_grad():
        found = log_likelihood(denoiser, x, times, trace=trace, probes=probes, seed=seed, progress=progress)
    bits = found.bits_per_dim(data.dequantisation)
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

"""Which typical fault a wrong log p shows.

With the noise z that a sample x comes from, log p = a + b, a = log N(z; 0, I), b = −∫ ∇·u dt. What people's code makes
of it by mistake is known as well, so that a wrong value is compared with each:

    a + c b                            the divergence has another factor: its sign, a sum of probes that is not divided
    log p + (d/2) log 2π               the normaliser of the prior is missing
    log N(z; 0, s² I) + b              the prior has another deviation, with or without its normaliser
    log N(x; 0, I) + b                 the prior is taken at the data
    −log p, log₂ p, log p / d, bits/dim
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .exact_fields import ExactField

__all__ = ["typical_fault"]

EXPLAINED = 0.03
"""A fault explains an error if no more than this share of it is left (root mean square)."""


def typical_fault(fields: Sequence[ExactField], values: Sequence[Tensor], noise: float) -> str | None:
    """The fault that explains the error on all laws at once, in a sentence.

    Args:
        fields: the laws with their samples.
        values: log p of the samples of each law, (B,), in the mean over seeds.
        noise: the standard error of such a mean, in nats.
    """
    found, d = torch.cat(list(values)), fields[0].dim
    x, z = (torch.cat([getattr(field, name) for field in fields]) for name in ("x", "noise"))
    truth = torch.cat([field.truth for field in fields])
    at_noise = _normal(z)
    by_flow = truth - at_noise
    normaliser = 0.5 * d * math.log(2.0 * math.pi)
    candidates = {
        "the normaliser (d/2) log 2π of the prior is missing": truth + normaliser,
        "the prior is evaluated at the data, and not at the noise": _normal(x) + by_flow,
        "it is −log p": -truth,
        "it is in bits, not nats": truth / math.log(2.0),
        "it is divided by the dimension": truth / d,
        "it is bits per dimension, not log p": -truth / (d * math.log(2.0)),
        **_of_divergence(found, at_noise, by_flow),
        **_of_prior(found, truth, z.square().sum(1), d),
    }
    left = {said: (found - value).square().mean().sqrt().item() for said, value in candidates.items()}
    said = min(left, key=lambda each: left[each])
    error = (found - truth).square().mean().sqrt().item()
    return said if left[said] <= max(EXPLAINED * error, 3.0 * noise) < error else None


def _normal(z: Tensor) -> Tensor:
    return -0.5 * z.square().sum(1) - 0.5 * z.shape[1] * math.log(2.0 * math.pi)


def _of_divergence(found: Tensor, at_noise: Tensor, by_flow: Tensor) -> dict[str, Tensor]:
    """a + c b with the c that fits best, if it is −1, 0, a whole number, or one over a whole number."""
    c = ((found - at_noise) @ by_flow / (by_flow @ by_flow)).item()
    if abs(c + 1.0) < 0.1:
        return {"the divergence has the wrong sign": at_noise - by_flow}
    if abs(c) < 0.02:
        return {"the divergence is left out": at_noise}
    many, share = max(2, round(abs(c))), max(2, round(1.0 / abs(c)))
    if abs(c - many) < 0.03 * many:
        said = f"the divergence counts {many} times, like a sum over {many} probes that is not divided by {many}"
        return {said: at_noise + many * by_flow}
    if abs(1.0 / c - share) < 0.03 * share:
        return {f"the divergence is divided by {share} once too often": at_noise + by_flow / share}
    return {}


def _of_prior(found: Tensor, truth: Tensor, square: Tensor, d: int) -> dict[str, Tensor]:
    """log N(z; 0, s² I) in place of log N(z; 0, I), with the s that fits best, from the slope of the error in |z|²."""
    error, apart = found - truth, square - square.mean()
    slope = (error @ apart / (apart @ apart)).item()
    if slope >= 0.45 or abs(slope) < 1e-3:
        return {}
    s = (1.0 - 2.0 * slope) ** -0.5
    wrong, normaliser = truth + slope * square, -d * math.log(s)
    return {
        f"the prior has the standard deviation {s:.3g}, and not 1": wrong + normaliser,
        f"the prior has the standard deviation {s:.3g}, and not 1, and no factor for it": wrong,
        f"the prior has the standard deviation {s:.3g}, and not 1, and no normaliser": (
            wrong + 0.5 * d * math.log(2.0 * math.pi)
        ),
    }

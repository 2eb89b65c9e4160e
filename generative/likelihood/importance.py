"""Tighter bits per dimension, from several dequantisation draws of each image.

With x_i ~ q(x | k) the weights w_i = p(x_i)/q(x_i | k) have the mean P(k), the probability of the image. By Jensen's
inequality

    L_K = E log (1/K) Σ_i w_i,        L_1 ≤ L_2 ≤ … ≤ log P(k),        L_K = log P(k) − v/(2K) + O(1/K²),

with v = Var w / P(k)². L_1 is the bound of one draw, and L_K − L_1 the part of the variational gap that K draws close.

What is left of the gap follows from the K means without one draw each. Let M be the mean of their logarithms. The
jackknife (K − 1)(log (1/K) Σ w_i − M) is never negative, has the mean (K − 1)(L_K − L_{K−1}), and so estimates v/(2K).

Random probes give log w_i an error. If it is normal, of mean 0 and variance s², it multiplies the mean of w_i by
e^(s²/2), and the logarithm of the mean would no longer be a bound. Each weight is divided by that factor. L_1 needs no
correction: it is linear in log w_i.

Sources: Burda et al. (1509.00519), theorem 1; Ho et al., Flow++ (1902.00275), section 3.1; Nowozin, Debiasing evidence
approximations (ICLR 2018), for the jackknife.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor

from ...solvers.common import MANY, check_callable, check_instance, check_memory, whole
from ...solvers.noise import Keys, per_sample_keys
from ..denoiser import Denoiser, check_denoiser
from .dequantisation import Dequantisation
from .likelihood import LogLikelihood, log_likelihood

__all__ = ["ImportanceWeightedBound", "importance_weighted_bound"]


@dataclass(frozen=True)
class ImportanceWeightedBound:
    """Bounds of the code length of B images from K draws of each. Tensors are float64 (B,), in bits per dimension.

    Args:
        log_weights: log p(x_i) − log q(x_i | k) in nats, float64 (K, B), with K ≥ 2.
        likelihood: log p of all draws, K·B samples, the first draws of all images first.

    Attributes:
        bits_per_dim: the bound of K draws. In expectation it is above −log₂ P(k)/d, and falls with K.
        one_draw: the bound of one draw, averaged over the draws.
        gap: `one_draw` − `bits_per_dim`, the part of the variational gap that K draws close.
        remaining: an estimate of the part that is left, `bits_per_dim` + log₂ P(k)/d. It is far too small where
            `effective` is below about ten.
        gap_if_normal: an estimate of the whole gap for few draws: half the variance of log w_i, without that of the
            probes. It is the gap if log w_i is normal, as a sum over many pixels nearly is.
        stderr: the standard error of `bits_per_dim` from the draws, by the jackknife.
        gap_stderr: that of the gap.
        noise: what `bits_per_dim` has been raised by, so that the errors of random probes leave it a bound. It is
            exact for normal errors; more of it than of `gap` makes the draws a waste.
        effective: the effective number of draws, (Σ w)²/Σ w², from 1 to K.
    """

    log_weights: Tensor
    likelihood: LogLikelihood = field(repr=False)
    bits_per_dim: Tensor = field(init=False)
    one_draw: Tensor = field(init=False)
    gap: Tensor = field(init=False)
    remaining: Tensor = field(init=False)
    gap_if_normal: Tensor = field(init=False)
    stderr: Tensor = field(init=False)
    gap_stderr: Tensor = field(init=False)
    noise: Tensor = field(init=False)
    effective: Tensor = field(init=False)

    def __post_init__(self) -> None:
        draws, unit = len(self.log_weights), self.likelihood.data[0].numel() * math.log(2.0)
        noise = 0.5 * self.likelihood.probe_stderr.reshape(draws, -1).square()
        corrected = self.log_weights - noise
        bound, without = torch.logsumexp(corrected, 0) - math.log(draws), _without_one(corrected)
        mean = self.log_weights.mean(0)
        found = {
            "bits_per_dim": -bound / unit,
            "one_draw": -mean / unit,
            "gap": (bound - mean) / unit,
            "remaining": (draws - 1) * (bound - without.mean(0)).clamp(min=0.0) / unit,  # negative by rounding alone
            "gap_if_normal": (0.5 * self.log_weights.var(0) - noise.mean(0)) / unit,
            "stderr": _jackknife(without) / unit,
            "gap_stderr": _jackknife(without - (draws * mean - self.log_weights) / (draws - 1)) / unit,
            "noise": (torch.logsumexp(self.log_weights, 0) - math.log(draws) - bound) / unit,
            "effective": torch.exp(2.0 * torch.logsumexp(corrected, 0) - torch.logsumexp(2.0 * corrected, 0)),
        }
        for name, value in found.items():
            object.__setattr__(self, name, value)


def importance_weighted_bound(
    denoiser: Denoiser,
    levels: Tensor,
    dequantisation: Dequantisation,
    draws: int = 8,
    seed: int | Sequence[int] = 0,
    *,
    error: float | None = 0.1,
    dtype: torch.dtype = torch.float32,
    likelihood: Callable[..., LogLikelihood] = log_likelihood,
    **options: Any,
) -> ImportanceWeightedBound:
    """Bits per dimension of images from several dequantisation draws of each.

    Args:
        denoiser: the network; its conditions have a row an image.
        levels: the images, integers 0 … levels − 1, (B, ...).
        dequantisation: the map from levels to states of the model.
        draws: K, at least 2.
        seed: an int, or one int an image. Draw i and its probes depend on (seed, image, i), or on the image's own seed
            and i, alone.
        error: the error that log p of each draw may have, in nats. A standard error s of the probes costs s²/2, and
            adds s² to the variance of log w_i. None if `options` have a plan or nodes.
        dtype: the dtype of the states.
        likelihood: computes log p(x), with the arguments of `log_likelihood`.
        options: what else `log_likelihood` takes.

    Raises:
        TypeError, ValueError, SolveError: as `log_likelihood` raises; or the probes of a draw have no standard error.

    Example:
        >>> normal = Denoiser(lambda x, time: 0.0 * x, CondOT(), predicts="v")  # the density is N(0, I)
        >>> cells, levels = Dequantisation(2, -4.0, 4.0), torch.tensor([[0], [1]])  # P(k) = 1/2: 1 bit
        >>> found = importance_weighted_bound(normal, levels, cells, draws=2000, dtype=torch.float64)
        >>> abs(found.bits_per_dim - 1.0) < 4.0 * found.stderr
        tensor([True, True])
        >>> found.one_draw > 1.9
        tensor([True, True])
    """
    check_denoiser(denoiser)
    check_instance("dequantisation", dequantisation, Dequantisation, "Dequantisation(256)")
    check_callable("likelihood", likelihood, "a function such as log_likelihood")
    draws = whole("draws", draws, 2, MANY)
    dequantisation.check_levels(levels)
    if levels.ndim < 2 or not levels.numel():
        raise ValueError(f"levels has shape {tuple(levels.shape)}, but must hold images, (B, ...), at least one.")
    check_memory("draws", draws, 4 * draws * levels.numel())
    keys = per_sample_keys(seed, len(levels), levels.device)
    of_draws, of_probes = (
        Keys(torch.cat([keys.child(2 * i + part).values for i in range(draws)])) for part in (0, 1)
    )
    x = dequantisation(levels.repeat(draws, *(1 for _ in levels.shape[1:])), cast(Any, of_draws), dtype=dtype)
    each = denoiser.of_rows(torch.arange(len(levels), device="cpu").repeat(draws))
    found = likelihood(each, x, seed=cast(Any, of_probes), error=error, **options)
    if not bool(found.probe_stderr.isfinite().all()):
        raise ValueError(
            'A single probe has no standard error, from which the weights are corrected; give probes=2 or more, or '
            'trace="exact".'
        )
    return ImportanceWeightedBound((found.value - dequantisation.log_density(x)).reshape(draws, -1), found)


def _without_one(logs: Tensor) -> Tensor:
    """The logarithms of the K means without one of the K numbers each, (K, B), without cancellation."""
    none = logs.new_full((1, logs.shape[1]), -math.inf)
    before = torch.cat([none, logs.logcumsumexp(0)[:-1]])
    after = torch.cat([none, logs.flip(0).logcumsumexp(0)[:-1]]).flip(0)
    return torch.logaddexp(before, after) - math.log(len(logs) - 1)


def _jackknife(without: Tensor) -> Tensor:
    """The standard error of a statistic, (B,), from its K values without one draw each, (K, B)."""
    spread: Tensor = without.var(0, correction=0)
    return ((len(without) - 1) * spread).sqrt()

"""How many probes each node has, for a standard error or for a number of products.

If the variance at a node falls like k^(−γ), the best number k of probes there is in proportion to
(|w_i| s_i)^(2/(1 + γ)), with s_i the standard deviation of one probe.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ...solvers.common import Array, array
from ...solvers.noise import Keys
from .coloured import Coloured
from .hutchinson import Hutchinson, HutchPlusPlus
from .orthogonal import Orthogonal
from .pilot import Pilot, Prediction, coloured_by_default
from .trace import Trace

__all__ = ["EXACT", "Allocation", "allocate", "estimator"]

EXACT, MORE = "exact", 1.15
"""The kind of trace without an error; the factor between two numbers of products that are tried."""
NUMBERS = np.array(sorted({round(2.0 ** (i / 4.0)) for i in range(120)}))
"""The numbers of probes that a node may have. There are few, so that nodes with equal ones are computed together."""
FALLS = {"hutchinson": 1.0, "orthogonal": 3.0}
"""γ. Rows that are taken in turn make up for each other; 3 was the best for networks and mixtures."""
WORTH = 0.7
"""The largest share of the products of an exact trace, which can be refined, for which "auto" takes probes."""
LEAST_SHARE = 1e-4
"""Of the products, at a node where a pilot saw no error."""


def estimator(
    kind: str, keys: Keys, shape: torch.Size, probes: tuple[int, ...], errors: Array, law: str, frozen: bool
) -> Trace:
    """A random estimator with so many probes at each node."""
    if kind == "hutchinson":
        return Hutchinson(keys, probes, law, frozen)
    if kind == "hutch++":
        return HutchPlusPlus(keys, tuple(3 * k for k in probes), law, frozen)
    if kind == "orthogonal":
        return Orthogonal(keys, shape.numel(), probes, errors, frozen)
    return Coloured(keys, tuple(shape), probes)


@dataclass(frozen=True)
class Allocation:
    """A kind of trace, the probes at each node, the variance of the integral, and the products that it takes."""

    kind: str
    probes: tuple[int, ...]
    variance: float
    products: int


def allocate(
    shape: torch.Size,
    seen: Pilot,
    rule: Prediction,
    stderr: float,
    kind: str,
    probes: int | None,
    frozen: bool,
    law: str,
) -> Allocation:
    """The trace that is asked for; the cheapest one, or, with a number of probes, the most precise one, for "auto"."""
    errors, weights = seen.errors(rule.clock, rule.intervals), array(rule.clock.nodes(rule.intervals).weights)
    exact = Allocation(EXACT, (), 0.0, len(weights) * shape.numel())
    if kind == EXACT or not len(errors):
        return exact
    kinds = [kind]
    if kind == "auto":
        kinds = ["orthogonal", "coloured"] if coloured_by_default(shape) and not frozen else ["orthogonal"]
    choices = [_fewest(each, shape, weights, errors, seen.gain, stderr, probes, frozen, law) for each in kinds]
    if probes is not None:
        return min(choices, key=lambda one: one.variance)
    best = min(choices, key=lambda one: one.products)
    return exact if kind == "auto" and best.products > WORTH * exact.products else best


def _fewest(
    kind: str,
    shape: torch.Size,
    weights: Array,
    errors: Array,
    gain: float,
    stderr: float,
    probes: int | None,
    frozen: bool,
    law: str,
) -> Allocation:
    """The fewest probes with this standard error, or with so many products at a node, or all that there are."""
    dim, total = shape.numel(), float(len(weights))
    no_keys = Keys(torch.empty(0, dtype=torch.int64, device="cpu"))
    most = dim // 2 if kind == "hutch++" else dim
    size = (np.abs(weights) * np.sqrt((errors**2).mean(0))) ** (2.0 / (1.0 + FALLS.get(kind, gain)))
    share = np.ones_like(size) / len(size) if frozen else np.maximum(size / max(size.sum(), 1e-300), LEAST_SHARE)
    while True:
        number = NUMBERS[np.abs(np.log(NUMBERS) - np.log(np.maximum(1.0, total * share))[:, None]).argmin(1)]
        taken = tuple(int(k) for k in np.clip(number, 1 if kind in ("orthogonal", "coloured") else 2, most))
        trace = estimator(kind, no_keys, shape, taken, errors, law, frozen)
        found = Allocation(kind, taken, trace.expected(weights, errors, gain), sum(trace.counts))
        enough = found.variance <= stderr**2 if probes is None else found.products >= probes * len(weights)
        if enough or min(taken) == most:
            return found
        total *= MORE

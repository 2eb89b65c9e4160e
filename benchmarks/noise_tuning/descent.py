"""Fits of the law on Gaussian data that move the numbers of a table less and less freely.

The numbers have the factors 1 + p. For each share ρ the fit lowers

    W₂² + ρ W₂(0)² ‖p‖²/size,

from the fit of the share before, down to ρ = 0. With a large share the table stays near that of the sampler. With none
it is the best on Gaussian data, which the model's are not: samples decide between the shares.

Source: Marquardt (1963), J. SIAM 11, 431; Moré (1978), the implementation in MINPACK.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.optimize import least_squares

from ...solvers.common import Array
from .amounts import Amounts
from .matched import Matched

__all__ = ["SHARES", "fits"]

SHARES = (10.0, 3.0, 1.0, 0.3, 0.1, 0.01, 0.0)
ASIDE = 1e-6
"""Of a parameter, for central differences."""
MOST = 100
"""The most evaluations of a fit, of all derivatives at a time."""


def fits(amounts: Amounts, matched: Matched) -> Iterator[Array]:
    """The parameters for each share."""
    p = np.zeros(amounts.size)
    error = np.square(matched.misses(amounts.start, amounts.numbers(p[None]))).sum()
    steps = ASIDE * np.eye(amounts.size)
    for share in SHARES:
        weight = np.sqrt(share * error / amounts.size)

        def missed(p: Array, weight: float = weight) -> Array:
            found = matched.misses(amounts.start, amounts.numbers(p[None]))[0]
            return np.concatenate([found, weight * p])

        def slopes(p: Array, weight: float = weight) -> Array:
            ahead, behind = (matched.misses(amounts.start, amounts.numbers(p + step)) for step in (steps, -steps))
            found: Array = np.concatenate([(ahead - behind).T / (2.0 * ASIDE), weight * np.eye(len(p))])
            return found

        p = least_squares(missed, p, slopes, method="lm", xtol=1e-14, ftol=1e-14, gtol=1e-14, max_nfev=MOST).x
        yield p

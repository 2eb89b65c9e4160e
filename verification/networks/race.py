"""The comparison of two conventions on the same draws, and the race that drops those that are behind.

The lead of one convention over another is D = E(e_other − e_one)/E e_one, the mean over levels. On few draws its
standard error is taken from the spread over samples or, if that is larger, from the spread at each level. A lead is
significant beyond q standard errors, where q is the quantile of Student's law that normal errors exceed with the
probability of 4.5 standard deviations, 3e-6, for a thousand rivals.

Of a network's own convention and another the errors differ by e_other − e_own = |h_other − h_own|² in expectation at
every y, so that no part of the draws favours another. A convention that is behind significantly on the first draws, and
by more than a margin, is behind on all.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

from scipy import stats
from torch import Tensor

from .orthogonality import standard_error

__all__ = ["Lead", "lead"]

DEVIATIONS = 4.5
ENOUGH = 16
"""From so many samples on, their spread alone tells the standard error."""


class Lead(NamedTuple):
    """A lead with its standard error.

    Attributes:
        value: D.
        standard_error: its standard error.
        freedom: the degrees of freedom of the standard error.
    """

    value: float
    standard_error: float
    freedom: int

    def beyond(self, margin: float) -> bool:
        """Whether the lead is significant, and larger than the margin."""
        return not self.value < max(_quantile(self.freedom) * self.standard_error, margin)


@lru_cache
def _quantile(freedom: int) -> float:
    return float(stats.t.isf(stats.norm.sf(DEVIATIONS), freedom))


def lead(other: Tensor, one: Tensor, rows: int) -> Lead:
    """The lead from errors e (L, n), where draw i belongs to sample i mod `rows`."""
    levels, draws = one.shape
    rows = min(rows, draws)
    relative = (other - one) / one.mean(1, keepdim=True)
    over_samples = standard_error(relative.mean(0), rows)
    if draws > rows or rows >= ENOUGH:
        return Lead(float(relative.mean()), over_samples, rows - 1)
    within = float(relative.var(1).sum().sqrt()) / (levels * math.sqrt(draws))
    return Lead(float(relative.mean()), max(over_samples, within), levels * (draws - 1))

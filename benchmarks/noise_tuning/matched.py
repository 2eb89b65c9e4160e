"""Gaussian data by independent directions, and the exact law of a table on them.

In the eigenvectors of the covariance the denoiser of Gaussian data is linear, direction by direction: with mean m and
variance λ, v = α² λ + σ² and w = α² + σ²,

    M = (σ x₀-hat − α ε-hat)/w = g x + h m,        g = α σ (λ − 1)/(v w),        h = σ/w − α g.

A table then ends in c₀ x₀ + c₁ m + Σ_k c_k ξ_k with numbers c of each direction. From x₀ = σ ξ this has the mean c₁ m
and the variance c₀² σ² + Σ c_k², without any sample, and

    W₂² = Σ (c₁ m − m')² + (√(c₀² σ² + Σ c_k²) − √λ')²

from the law N(m', λ') that the data have at the time of the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...generative.paths import GaussianPath
from ...solvers import Scheme
from ...solvers.common import Array, array
from ...solvers.scheme import Evaluation, Form, Symbol

__all__ = ["Entry", "Matched", "entries"]

LEAST = 1e-12
"""Variances count as this share of the largest at least: the score of less is not a number at σ = 0."""


class Entry(NamedTuple):
    """A number of a table.

    Attributes:
        row: "x" for a state, "X" for the argument of an evaluation.
        number: of the row.
        symbol: what is multiplied.
        value: the number.
    """

    row: str
    number: int
    symbol: Symbol
    value: float


def entries(scheme: Scheme) -> list[Entry]:
    """All numbers of a table."""
    rows: list[tuple[str, int, Form]] = [("X", j, each.argument) for j, each in enumerate(scheme.evaluations)]
    rows += [("x", i, form) for i, form in enumerate(scheme.states)]
    return [Entry(row, n, symbol, value) for row, n, form in rows for symbol, value in form.items()]


@dataclass(frozen=True)
class Matched:
    """N(m, diag λ).

    Attributes:
        path: the path that noises the data.
        means: m, (d,).
        variances: λ, (d,).
    """

    path: GaussianPath
    means: Array
    variances: Array

    @classmethod
    def of(cls, path: GaussianPath, mean: Tensor, cov: Tensor) -> Matched:
        """That of a mean (d,) and a covariance (d, d), in the eigenvectors of the covariance."""
        values, vectors = torch.linalg.eigh(cov.double())
        return cls(path, array(vectors.mT @ mean.double()), array(values.clamp_min(LEAST * float(values[-1]))))

    def misses(self, scheme: Scheme, numbers: Array) -> Array:
        """The errors of the means and of the deviations, whose root of the sum of squares is W₂.

        Args:
            scheme: a table, whose evaluations have a basis.
            numbers: values for its `entries`, (B, entries).

        Returns:
            The errors, (B, 2 d).
        """
        alpha, sigma = self.path.alpha(scheme.times[-1]), self.path.sigma(scheme.times[-1])
        ends = self._ends(scheme, numbers)
        means = ends[..., 1] * self.means - alpha * self.means
        first = self.path.sigma(scheme.times[0])
        variances = (first * ends[..., 0]) ** 2 + np.square(ends[..., 2:]).sum(-1)
        deviations = np.sqrt(variances) - np.sqrt(alpha**2 * self.variances + sigma**2)
        return np.concatenate([means, deviations], axis=-1)

    def w2(self, scheme: Scheme) -> float:
        """W₂ of what a table makes from the law at its end."""
        numbers = np.array([[each.value for each in entries(scheme)]])
        return float(np.linalg.norm(self.misses(scheme, numbers)))

    def _ends(self, scheme: Scheme, numbers: Array) -> Array:
        """The numbers c of the end, (B, d, 2 + draws)."""
        width = 2 + len(scheme.draws)
        units = np.eye(width)[:, None, None, :] * np.ones((1, 1, len(self.means), 1))
        known: dict[Symbol, Array] = {("x", 0): units[0]}
        known |= {("ξ", k): units[2 + k] for k in range(len(scheme.draws))}
        columns: dict[tuple[str, int], list[tuple[Symbol, Array]]] = {}
        for place, each in enumerate(entries(scheme)):
            columns.setdefault((each.row, each.number), []).append((each.symbol, numbers[:, place, None, None]))

        def combined(row: str, number: int) -> Array:
            found: Array = sum(factor * known[symbol] for symbol, factor in columns[row, number])  # type: ignore[assignment]
            return found

        following = 0
        for i in range(len(scheme.states)):
            while following < scheme.nfe and scheme.evaluations[following].step == i:
                slope, offset = self._field(scheme.evaluations[following])
                value = slope[:, None] * combined("X", following)
                value[..., 1] += offset
                known["N", following] = value
                following += 1
            known["x", i + 1] = combined("x", i)
        return known["x", len(scheme.states)]

    def _field(self, evaluation: Evaluation) -> tuple[Array, Array]:
        """The value of an evaluation at x, as slope · x + offset · m."""
        if evaluation.basis is None:
            raise ValueError("An evaluation of this sampler has no basis, so that its law on Gaussian data is unknown.")
        a, b = evaluation.basis
        alpha, sigma = self.path.alpha(evaluation.time), self.path.sigma(evaluation.time)
        w = alpha**2 + sigma**2
        g = alpha * sigma * (self.variances - 1.0) / ((alpha**2 * self.variances + sigma**2) * w)
        return a + b * g, b * (sigma / w - alpha * g)

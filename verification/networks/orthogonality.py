"""How much of a denoiser's squared error is its own fault.

Let x = α x₀ + σ ε, and let h(x) be meant as E[x₀ | x]. By Pythagoras

    E|x₀ − h|² = E|x₀ − E[x₀|x]|² + E|E[x₀|x] − h|²,

where nobody can lower the first term. The second one is bounded from below by the correction Σ_j β_j f_j(x) that helps
most, with any functions f_j of x. Since h is the conditional mean exactly if E⟨x₀ − h, f⟩ = 0 for all f, the removable
share of the error,

    R = 1 − min_β E|x₀ − h − Σ_j β_j f_j|² / E|x₀ − h|²,

vanishes for an exact network, whatever the data, and is invariant under a change of what is predicted. β is fitted on
one half of the samples and R measured on the other, so that chance gives R ≤ 0 in expectation; a positive R is real.

The functions: a constant, the mean of the data, x, h, tanh x, the best affine denoiser of the data (Wiener's), and the
exact denoiser of their empirical measure; the last two belong to data that the samples are not drawn from.

Source: the orthogonality of a conditional mean; Karras et al. (2206.00364), appendix B.3, for the empirical measure.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Reference", "Share", "removable", "standard_error"]

LARGEST_REFERENCE, LARGEST_MEASURE = 1000, 250


class Share(NamedTuple):
    """A share of the squared error, and its standard error over samples of x₀."""

    value: float
    standard_error: float


class Reference:
    """What other data say of x₀ given y = x₀ + ρ ε: their mean, Wiener's filter and their empirical measure.

    data: (M, d), float64, of which the first 1000 are taken, for their measure the first 250.
    """

    def __init__(self, data: Tensor) -> None:
        self.data = data[:LARGEST_REFERENCE]
        self.mean = self.data.mean(0)
        _, values, basis = torch.linalg.svd(self.data - self.mean, full_matrices=False)
        self._variance, self._basis = values.square() / len(self.data), basis

    def directions(self, count: int) -> Tensor:
        """The principal directions of the data, at most so many, (K, d), orthonormal."""
        found: Tensor = self._basis[:count]
        return found

    def wiener(self, y: Tensor, rho: float) -> Tensor:
        """m + C (C + ρ² I)⁻¹ (y − m)."""
        gain = self._variance / (self._variance + rho**2)
        centred: Tensor = ((y - self.mean) @ self._basis.T * gain) @ self._basis
        return self.mean + centred

    def kernel(self, y: Tensor, rho: float) -> Tensor:
        """Σ_i w_i x_i, w_i ∝ exp(−|y − x_i|²/(2 ρ²))."""
        points = self.data[:LARGEST_MEASURE]
        exponent = (y @ points.T - 0.5 * points.square().sum(1)) / rho**2
        return torch.softmax(exponent, dim=1) @ points

    def functions(self, y: Tensor, h: Tensor, rho: float) -> Tensor:
        """The functions f_j above of y (N, d): (N, d, J)."""
        spread = float(self._variance.sum().sqrt()) / math.sqrt(y.shape[1])
        width = math.hypot(spread, rho)
        all_of_them = [
            torch.ones_like(y),
            self.mean.expand_as(y),
            y / width,
            h,
            torch.tanh(y / width),
            self.wiener(y, rho),
            self.kernel(y, rho),
        ]
        return torch.stack(all_of_them, dim=-1)


def removable(residual: Tensor, functions: Tensor, rows: int) -> Share:
    """R for residuals x₀ − h (N, d) and functions (N, d, J).

    rows: the first N are draws of `rows` samples x₀, one after the other and again from the start (N a multiple).
    """
    half = torch.arange(len(residual)) % rows % 2 == 0
    gain = torch.empty(len(residual), dtype=residual.dtype)
    for fitted in (half, ~half):
        beta = _least_squares(functions[fitted], residual[fitted])
        left = residual[~fitted] - functions[~fitted] @ beta
        gain[~fitted] = residual[~fitted].square().sum(1) - left.square().sum(1)
    error = residual.square().sum(1)
    share = float(gain.sum() / error.sum())
    return Share(share, standard_error(gain - share * error, rows) / float(error.mean()))


def standard_error(values: Tensor, rows: int) -> float:
    """Of the mean of values (N,) that are draws of `rows` samples, in turn."""
    return float(values.view(-1, rows).mean(0).std()) / math.sqrt(rows)


def _least_squares(functions: Tensor, residual: Tensor) -> Tensor:
    """β, by the pseudo-inverse: where two functions are one, either will do."""
    matrix, target = functions.reshape(-1, functions.shape[-1]), residual.reshape(-1)
    scale = matrix.square().mean(0).sqrt().clamp(min=1e-150)
    matrix = matrix / scale
    gram, moment = matrix.T @ matrix, matrix.T @ target
    beta: Tensor = torch.linalg.pinv(gram, rtol=1e-9, hermitian=True) @ moment
    return beta / scale

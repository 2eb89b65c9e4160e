"""The share of a denoiser's squared error that a better denoiser would not make.

Let x = α x₀ + σ ε, and let h(x) be meant as E[x₀ | x]. By Pythagoras

    E|x₀ − h|² = E|x₀ − E[x₀|x]|² + E|E[x₀|x] − h|²,

where no denoiser can lower the first term. The best correction Σ_j β_j f_j(x), with any functions f_j of x, bounds the
second term from below. Since h is the conditional mean exactly if E⟨x₀ − h, f⟩ = 0 for all f, the removable share of
the error,

    R = 1 − min_β E|x₀ − h − Σ_j β_j f_j|² / E|x₀ − h|²,

vanishes for an exact network, whatever the data, and does not depend on the kind of prediction. β is fitted on one half
of the samples and R is measured on the other. So chance gives R ≤ 0 in expectation, and a positive R is an error.

The functions are a constant, the mean of the data, x, h, tanh x, the best affine denoiser of the data (Wiener's) and
the exact denoiser of their empirical measure. The last two come from data other than the samples.

Source: the orthogonality of a conditional mean; Karras et al. (2206.00364), appendix B.3, for the empirical measure.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Reference", "Share", "mean_share", "removable", "standard_error"]

LARGEST_REFERENCE, LARGEST_MEASURE = 1000, 250


class Share(NamedTuple):
    """A share of the squared error, and its standard error over samples of x₀."""

    value: float
    standard_error: float


class Reference:
    """Estimates of x₀ given y = x₀ + ρ ε from other data: their mean, Wiener's filter and their empirical measure.

    data: (M, d), float64. The first 1000 samples are used, for the empirical measure the first 250.
    """

    def __init__(self, data: Tensor) -> None:
        self.data = data[:LARGEST_REFERENCE]
        self.mean = self.data.mean(0)
        _, values, basis = torch.linalg.svd(self.data - self.mean, full_matrices=False)
        self._variance, self._basis = values.square() / len(self.data), basis

    def directions(self, count: int) -> Tensor:
        """The first principal directions of the data, at most `count`: (K, d), orthonormal."""
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
        """The functions f_j above.

        Args:
            y: noised data x/α, (N, d).
            h: the prediction of x₀, (N, d).
            rho: σ/α.

        Returns:
            (N, d, J).
        """
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
    """R with its standard error.

    Args:
        residual: x₀ − h, (N, d).
        functions: the values of f_j, (N, d, J).
        rows: the number of different samples x₀. Row i of N belongs to sample i mod `rows`, and N is a multiple.
    """
    half = torch.arange(len(residual), device=residual.device) % rows % 2 == 0
    gain = torch.empty(len(residual), dtype=residual.dtype, device=residual.device)
    for fitted in (half, ~half):
        beta = _least_squares(functions[fitted], residual[fitted])
        left = residual[~fitted] - functions[~fitted] @ beta
        gain[~fitted] = residual[~fitted].square().sum(1) - left.square().sum(1)
    error = residual.square().sum(1)
    share = float(gain.sum() / error.sum())
    return Share(share, standard_error(gain - share * error, rows) / float(error.mean()))


def mean_share(shares: list[Share]) -> Share:
    """The mean over levels."""
    variance = sum(each.standard_error**2 for each in shares)
    return Share(sum(each.value for each in shares) / len(shares), variance**0.5 / len(shares))


def standard_error(values: Tensor, rows: int) -> float:
    """The standard error of the mean of values (N,), where value i belongs to sample i mod `rows`."""
    return float(values.view(-1, rows).mean(0).std()) / math.sqrt(rows)


def _least_squares(functions: Tensor, residual: Tensor) -> Tensor:
    """β by the pseudo-inverse, since functions may coincide."""
    matrix, target = functions.reshape(-1, functions.shape[-1]), residual.reshape(-1)
    scale = matrix.square().mean(0).sqrt().clamp(min=1e-150)
    matrix = matrix / scale
    gram, moment = matrix.T @ matrix, matrix.T @ target
    beta: Tensor = torch.linalg.pinv(gram, rtol=1e-9, hermitian=True) @ moment
    return beta / scale

"""The weight of an error at each time.

For a given x_t = α x₀ + σ ε, the errors of all kinds of prediction y = p x₀ + q ε are one error Δ in different units,

    ŷ − y = −D Δ,      Δ = (x̂₀ − x₀) / σ = −(ε̂ − ε) / α,      D = α q − σ p,

where D is the determinant by which the conversions divide. A weighting is one function W(t), the weight of Δ², and

    W Δ² = (W / D²) ‖ŷ − y‖²

is the same loss whatever the network predicts, up to rounding. A preconditioned network F, x₀-hat = skip x + (σ s/n) F
with n² = σ² + α² s², is one more kind: p = σ/(s n), q = −α s/n, D = −n/s. In these units

    weighting            W                  on x₀-error, W/σ²       on ε-error, W/α²
    Unweighted(kind)     D_kind²
    SNR                  α²                 SNR = α²/σ²             1
    TruncatedSNR         max(α², σ²)        max(SNR, 1)             max(1, 1/SNR)
    MinSNR(γ)            min(α², γ σ²)      min(SNR, γ)             min(1, γ/SNR)
    EDM(s)               n²/s² = α² + σ²/s²   SNR + 1/s²            1 + 1/(s² SNR)
    Likelihood           α² λ'              ½ dSNR/dt               λ' = g²/(2 σ²)

A constant factor changes only the scale of the loss. `Likelihood` is in nats.

Sources: Ho et al. (2006.11239), eq. 14; Salimans and Ho (2202.00512), section 4; Hang et al. (2303.09556), section 3;
Karras et al. (2206.00364), table 1; Song et al. (2101.09258), theorem 1; Kingma et al. (2107.00630), section 5.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from ...solvers.common import check_fields, check_instance, check_samples, real
from ..denoiser import check_kind, coefficients, per_sample, preconditioning
from ..paths import GaussianPath, Scalar, sqrt

__all__ = [
    "EDM", "SNR", "Likelihood", "MinSNR", "Output", "TruncatedSNR", "Unweighted", "Weighting", "determinant", "inside",
    "row",
]

SIZES = {"low": 1e-15, "high": 1e15}
"""The bounds of what is squared in float32."""

Output: TypeAlias = str | preconditioning.EDM
"""The output of a network: a kind of prediction, or F inside a preconditioning."""


def inside(t: Tensor) -> Tensor:
    """Times kept half a rounding unit away from 0 and 1, where some coefficients are 0/0 or infinite."""
    check_samples("t", t, axes=0)
    edge = 0.5 * torch.finfo(t.dtype).eps
    return t.clamp(edge, 1.0 - edge)


def row(output: Output, path: GaussianPath, t: Tensor) -> tuple[Scalar, Scalar]:
    """(p, q) of an output p x₀ + q ε, at times t of any shape, with a further axis if the channels of a frame differ.

    Raises:
        TypeError: for an output, a path or times of another kind.
        ValueError: for an unknown kind, and for times that are not finite.
    """
    check_instance("path", path, GaussianPath, "a path, such as CondOT()")
    check_instance("output", output, (str, preconditioning.EDM), "a kind of prediction, or EDM()")
    check_samples("t", t, axes=0)
    if isinstance(output, str):
        return coefficients(output, path, t)
    alpha, sigma, scale = output.with_channels(path.alpha(t), path.sigma(t))
    norm = sqrt(sigma**2 + (alpha * scale) ** 2)
    return sigma / (scale * norm), -alpha * scale / norm


def determinant(output: Output, path: GaussianPath, t: Tensor) -> Tensor:
    """D = α q − σ p, in the shape of `row`: the error of the output is −D Δ."""
    p, q = row(output, path, t)
    alpha, sigma = path.alpha(t), path.sigma(t)
    if not isinstance(output, str):
        alpha, sigma, _ = output.with_channels(alpha, sigma)
    return alpha * q - sigma * p


class Weighting(ABC):
    """W(t) ≥ 0, the weight of ‖x̂₀ − x₀‖² / σ²."""

    @abstractmethod
    def common(self, path: GaussianPath, t: Tensor) -> Tensor:
        """W at times of any shape."""

    def of(self, output: Output, path: GaussianPath, t: Tensor) -> Tensor:
        """W / D², the weight of the squared error of an output, at times in [0, 1], in the shape of `row`."""
        t = inside(t)
        squared = determinant(output, path, t) ** 2
        return per_sample(self.common(path, t), squared) / squared


@dataclass(frozen=True)
class Unweighted(Weighting):
    """The squared error of this kind has the weight 1, whatever the network predicts."""

    kind: str

    def __post_init__(self) -> None:
        check_kind(self.kind)

    def common(self, path: GaussianPath, t: Tensor) -> Tensor:
        return determinant(self.kind, path, t) ** 2


@dataclass(frozen=True)
class SNR(Weighting):
    """The simple loss of DDPM: the weight is 1 on ε-errors, α²/σ² on x₀-errors, σ² on errors of the score."""

    def common(self, path: GaussianPath, t: Tensor) -> Tensor:
        return path.alpha(t) ** 2


@dataclass(frozen=True)
class TruncatedSNR(Weighting):
    """W = max(α², σ²): the larger of the squared x₀-error and the squared ε-error counts."""

    def common(self, path: GaussianPath, t: Tensor) -> Tensor:
        return torch.maximum(path.alpha(t), path.sigma(t)) ** 2


@dataclass(frozen=True)
class MinSNR(Weighting):
    """The weight of x₀-errors is the SNR, at most `gamma`."""

    gamma: float = 5.0

    def __post_init__(self) -> None:
        check_fields(self, real, "gamma", **SIZES)

    def common(self, path: GaussianPath, t: Tensor) -> Tensor:
        return torch.minimum(path.alpha(t) ** 2, self.gamma * path.sigma(t) ** 2)


@dataclass(frozen=True)
class EDM(Weighting):
    """(σ² + s²) / (σ s)² on the x₀-error, σ over α: the weight 1 on the preconditioned network's own error.

    `denoiser.EDM` is the preconditioning itself.
    """

    sigma_data: float = 0.5

    def __post_init__(self) -> None:
        check_fields(self, real, "sigma_data", **SIZES)

    def common(self, path: GaussianPath, t: Tensor) -> Tensor:
        return path.alpha(t) ** 2 + (path.sigma(t) / self.sigma_data) ** 2


@dataclass(frozen=True)
class Likelihood(Weighting):
    """½ g² on the score's error. Summed over components it is the reverse SDE's bound on −log p, in nats.

    λ' is infinite where α = 0 or σ = 0; times must stay away from such an end.
    """

    def common(self, path: GaussianPath, t: Tensor) -> Tensor:
        return path.alpha(t) ** 2 * path.d_half_log_snr(t)

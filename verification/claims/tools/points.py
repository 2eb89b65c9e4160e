"""Where claims are measured: states, times, paths, the laws of the data, and networks that are exact for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ....generative.denoiser import Denoiser
from ....generative.paths import VE, VP, CondOT, Cosine, GaussianPath, Polynomial, Real, Table, linear_betas
from ....generative.training import target
from ....solvers.common import host
from ...oracles import Gaussian, GaussianMixture
from .quadrature import Nodes

__all__ = [
    "BROAD_MIXTURE", "FEATURES", "FIVE_PATHS", "MIDDLE_TIMES", "MIXTURE", "MIXTURE_2D", "NODE_ERROR", "PATHS",
    "STATES", "THREE_STATES", "TIMES", "WHOLE_PATHS", "Net", "affine_network", "cdf", "column", "exact", "gaussian",
    "grid", "name_of", "point", "residual", "schedule_at", "triples",
]  # fmt: skip


def _float64(values: Any) -> Tensor:
    return host(values)


STATES = torch.linspace(-3.0, 3.0, 13, dtype=torch.float64, device="cpu")[:, None]
THREE_STATES = _float64([[-1.0], [0.3], [1.7]])
TIMES = (0.1, 0.5, 0.9)
MIDDLE_TIMES = (0.2, 0.5, 0.8)

PATHS: tuple[GaussianPath, ...] = (CondOT(), Cosine(-math.inf, math.inf), VP())
WHOLE_PATHS: tuple[GaussianPath, ...] = (CondOT(), Cosine(-math.inf, math.inf), Polynomial(2.0))
"""Paths that go all the way from noise to data."""
FIVE_PATHS: tuple[GaussianPath, ...] = (CondOT(), Cosine(), VP(), VE(), Table(linear_betas(50, 0.002, 0.3)))

MIXTURE = GaussianMixture(_float64([0.3, 0.7]), _float64([[-1.2], [1.0]]), _float64([[[0.16]], [[0.36]]]))
"""0.3 N(−1.2, 0.4²) + 0.7 N(1, 0.6²)."""
BROAD_MIXTURE = GaussianMixture(_float64([0.4, 0.6]), _float64([[-1.0], [1.0]]), _float64([[[0.49]], [[0.36]]]))
"""0.4 N(−1, 0.7²) + 0.6 N(1, 0.6²): broad enough that the sums of `nodes` converge quickly."""
NODE_ERROR = 2e-8
"""The error of 64 nodes a component on BROAD_MIXTURE is below this: it falls tenfold with every 16, from 1e-8 at 48."""
MIXTURE_2D = GaussianMixture(
    _float64([0.4, 0.6]),
    _float64([[-1.0, 0.5], [1.2, 0.1]]),
    _float64([[[0.3, 0.1], [0.1, 0.2]], [[0.4, 0.0], [0.0, 0.5]]]),
)

FEATURES: tuple[Callable[[Tensor], Tensor], ...] = (
    torch.ones_like, lambda x: x, torch.sin, torch.tanh, lambda x: x**3, lambda x: (-x.square()).exp(),
)  # fmt: skip
"""Functions to which the residual of a conditional mean is orthogonal."""
Net = Callable[..., Tensor]


def gaussian(mean: float, deviation: float) -> Gaussian:
    """N(mean, deviation²) on the line."""
    return Gaussian(_float64([mean]), _float64([[deviation**2]]))


def point(z: float, path: GaussianPath) -> Denoiser:
    """The exact denoiser of data at one point, x₀-hat = z: every conditional field of the path, given x₀ = z."""
    return Denoiser(lambda x, time: torch.full_like(x, z), path, predicts="x0")


def column(values: Sequence[float] | Tensor) -> Tensor:
    """Numbers as states: (B,) -> (B, 1), float64."""
    return host(values).reshape(-1, 1)


def grid(n: int, t0: float = 0.0, t1: float = 1.0) -> Tensor:
    """The times of n equal steps, (n + 1,)."""
    return torch.linspace(t0, t1, n + 1, dtype=torch.float64, device="cpu")


def triples() -> tuple[Tensor, Tensor, Tensor]:
    """x₀, ε and t of some samples, (6, 1), (6, 1) and (6,), away from the ends."""
    x0 = _float64([[-1.5], [-0.4], [0.3], [0.9], [2.0], [0.0]])
    eps = _float64([[0.7], [-1.2], [0.1], [2.0], [-0.6], [0.5]])
    return x0, eps, _float64([0.1, 0.25, 0.4, 0.55, 0.75, 0.9])


def schedule_at(path: GaussianPath, t: Real) -> tuple[float, float, float, float]:
    """α, σ, α' and σ' as numbers."""
    return float(path.alpha(t)), float(path.sigma(t)), float(path.d_alpha(t)), float(path.d_sigma(t))


def name_of(path: GaussianPath) -> str:
    """The path's class."""
    return type(path).__name__


def cdf(mixture: GaussianMixture, x: Tensor, t: float = 1.0, path: GaussianPath | None = None) -> Tensor:
    """P(X_t ≤ x) of a mixture on the line, (n,), for x of shape (n, 1)."""
    below: Tensor = mixture.log_cdf(x, t, path).exp()
    return below


def exact(data: GaussianMixture, kind: str, path: GaussianPath) -> Net:
    """The ideal network, net(x, t, label)."""
    field = getattr(data, kind)

    def net(x: Tensor, t: Real, label: Tensor | None = None) -> Tensor:
        return torch.as_tensor(field(x, t, path), device="cpu")

    return net


def affine_network(x: Tensor, t: Real, label: Tensor | None = None) -> Tensor:
    """A network that is not ideal: 0.3 x − 0.1."""
    return 0.3 * x - 0.1


def residual(data: GaussianMixture, kind: str, path: GaussianPath, at: Nodes) -> Tensor:
    """The conditional target less the marginal one, (N, 1)."""
    return target(kind, path, at.t, at.x0, at.eps) - exact(data, kind, path)(at.x(path), at.t)

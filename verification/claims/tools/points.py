"""Where claims are measured: states, times, paths, and a mixture with its exact network."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ....generative.paths import VP, CondOT, Cosine, GaussianPath, Real
from ....generative.training import target
from ...oracles import GaussianMixture
from .quadrature import Nodes

__all__ = [
    "FEATURES", "MIXED", "MIXTURE", "PATHS", "STATES", "TIMES", "Net", "called", "exact", "line", "points", "residual",
    "rows",
]  # fmt: skip

STATES = torch.linspace(-3.0, 3.0, 13, dtype=torch.float64)[:, None]
TIMES = (0.1, 0.5, 0.9)


def rows(path: GaussianPath, t: float) -> tuple[float, float, float, float]:
    """α, σ, α' and σ'."""
    return float(path.alpha(t)), float(path.sigma(t)), float(path.d_alpha(t)), float(path.d_sigma(t))


MIXTURE = GaussianMixture(
    torch.tensor([0.4, 0.6], dtype=torch.float64),
    torch.tensor([[-1.0], [1.0]], dtype=torch.float64),
    torch.tensor([[[0.49]], [[0.36]]], dtype=torch.float64),
)
MIXED = 2e-8
PATHS: tuple[GaussianPath, ...] = (CondOT(), Cosine(-math.inf, math.inf), VP())
FEATURES: tuple[Callable[[Tensor], Tensor], ...] = (
    torch.ones_like, lambda x: x, torch.sin, torch.tanh, lambda x: x**3, lambda x: (-x.square()).exp(),
)  # fmt: skip
Net = Callable[..., Tensor]


def exact(data: GaussianMixture, kind: str, path: GaussianPath) -> Net:
    """The ideal network, net(x, t, label)."""
    field = getattr(data, kind)

    def net(x: Tensor, t: Real, label: Tensor | None = None) -> Tensor:
        return torch.as_tensor(field(x, t, path))

    return net


def called(path: GaussianPath) -> str:
    return type(path).__name__


def line(x: Tensor, t: Real, label: Tensor | None = None) -> Tensor:
    """A network that is not ideal."""
    return 0.3 * x - 0.1


def residual(data: GaussianMixture, kind: str, path: GaussianPath, at: Nodes) -> Tensor:
    """The conditional target less the marginal one, (N, 1)."""
    return target(kind, path, at.t, at.x0, at.eps) - exact(data, kind, path)(at.x(path), at.t)


def points() -> tuple[Tensor, Tensor, Tensor]:
    """x₀, ε and t of some samples, (6, 1), (6, 1) and (6,), away from the ends."""
    x0 = torch.tensor([[-1.5], [-0.4], [0.3], [0.9], [2.0], [0.0]], dtype=torch.float64)
    eps = torch.tensor([[0.7], [-1.2], [0.1], [2.0], [-0.6], [0.5]], dtype=torch.float64)
    return x0, eps, torch.tensor([0.1, 0.25, 0.4, 0.55, 0.75, 0.9], dtype=torch.float64)

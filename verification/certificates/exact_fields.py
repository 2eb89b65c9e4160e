"""Laws whose log p has a closed form, with the field that a log_prob integrates: the velocity, or a denoiser.

The path is CondOT, x_t = t x₀ + (1 − t) ε, with noise at t = 0 and data at t = 1.

    gaussian    deviations from 0.2 to 1.5, rotated: the Jacobian of the velocity is one matrix for all states
    mixture     four Gaussians with deviations from 0.15 to 0.6: it differs from state to state
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from ...generative.denoiser import Denoiser
from ...generative.equations import flow
from ...generative.paths import CondOT
from ...solvers import Adaptive, Tsit5, solve
from ..oracles import ExactNetwork, Gaussian, GaussianMixture

__all__ = ["ExactField", "ExactVelocity", "exact_fields"]

CLOSE = 1e-9
"""rtol and atol of the solve for the noise that a sample comes from."""


class ExactVelocity(nn.Module):
    """E[x₀ − ε | x_t] of a law, in float64, as u(x, t) for states of any shape and dtype.

    Args:
        law: of dimension d.
    """

    def __init__(self, law: GaussianMixture) -> None:
        super().__init__()
        self.law = law
        self.exact = ExactNetwork(law, CondOT(), "velocity")

    def forward(self, x: Tensor, t: float | Tensor) -> Tensor:
        """u(x, t), of the shape and dtype of x.

        Args:
            x: states with d components each, (B, ...).
            t: one time, a float or a tensor with one entry, or one time a sample, a tensor with B entries.
        """
        times = torch.as_tensor(t, dtype=torch.float64, device="cpu").reshape(-1).expand(len(x))
        return self.exact(x.double().flatten(1), times).reshape(x.shape).to(x.dtype)


@dataclass(frozen=True)
class ExactField:
    """A law with samples, for a log_prob.

    Args:
        name: of the law.
        law: the law, in float64.
        points: the number of samples.
        seed: of the samples.
    """

    name: str
    law: GaussianMixture
    points: int
    seed: int

    @property
    def dim(self) -> int:
        return self.law.shape.numel()

    @cached_property
    def x(self) -> Tensor:
        """The samples, (B, d)."""
        return self.law.sample(self.points, self.seed)

    @cached_property
    def truth(self) -> Tensor:
        """log p of the samples, (B,)."""
        return self.law.log_prob(self.x)

    @cached_property
    def noise(self) -> Tensor:
        """The noise at the other end of the flow, (B, d), solved to 1e-9."""
        times = Adaptive(1.0, 0.0, rtol=CLOSE, atol=CLOSE)
        return solve(flow(self.law.denoiser(CondOT())), self.x, times, Tsit5()).x

    def field(self, form: str) -> nn.Module | Denoiser:
        """What the function gets: "velocity", or "denoiser"."""
        velocity = ExactVelocity(self.law)
        return velocity if form == "velocity" else Denoiser(velocity, CondOT(), predicts="velocity")


def exact_fields(dim: int, points: int, seed: int) -> tuple[ExactField, ExactField]:
    """The two laws in `dim` dimensions, always the same, with samples of the seed."""
    generator = torch.Generator().manual_seed(dim)

    def normals(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64, device="cpu")

    def covariance(least: float, largest: float) -> Tensor:
        basis = torch.linalg.qr(normals(dim, dim)).Q
        ends = math.log10(least), math.log10(largest)
        deviations = torch.logspace(*ends, dim, dtype=torch.float64, device="cpu")
        cov = (basis * deviations**2) @ basis.mT
        return 0.5 * torch.add(cov, cov.mT)

    gaussian = Gaussian(0.5 * normals(dim), covariance(0.2, 1.5))
    weights = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64, device="cpu")
    covs = torch.stack([covariance(0.15, 0.6) for _ in range(4)])
    mixture = GaussianMixture(weights, 0.6 * normals(4, dim), covs)
    return ExactField("gaussian", gaussian, points, seed), ExactField("mixture", mixture, points, seed)

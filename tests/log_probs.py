"""log p(x) by other libraries and by ours, in the form that `certify_log_prob` and the command line take.

    fokker certify-likelihood log_probs:with_zuko_exact                       in the folder tests
    fokker certify-likelihood log_probs:with_log_likelihood --form denoiser
"""

from __future__ import annotations

import math
from collections.abc import Callable

from flow_matching.solver import ODESolver
from torch import Tensor
from zuko.transforms import FreeFormJacobianTransform

from fokker.generative import Denoiser, log_likelihood

__all__ = [
    "normal",
    "with_flow_matching",
    "with_flow_matching_exact",
    "with_log_likelihood",
    "with_probes",
    "with_zuko",
    "with_zuko_exact",
]

Velocity = Callable[[Tensor, Tensor], Tensor]


def normal(z: Tensor) -> Tensor:
    """log N(z; 0, I), (B,)."""
    flat = z.flatten(1)
    return -0.5 * flat.square().sum(1) - 0.5 * flat.shape[1] * math.log(2.0 * math.pi)


def with_log_likelihood(denoiser: Denoiser, x: Tensor, seed: int) -> Tensor:
    """Fokker's, with an exact trace."""
    return log_likelihood(denoiser, x, seed=seed, trace="exact").value


def with_probes(denoiser: Denoiser, x: Tensor, seed: int, probes: int = 4) -> tuple[Tensor, Tensor]:
    """Fokker's, with random probes and their standard error."""
    found = log_likelihood(denoiser, x, seed=seed, trace="hutchinson", probes=probes)
    return found.value, found.probe_stderr


def with_flow_matching(velocity: Velocity, x: Tensor, seed: int) -> Tensor:
    """flow_matching's, with one probe; it computes in float32 alone."""
    solver = ODESolver(velocity)
    return solver.compute_likelihood(x.float(), normal, None, "dopri5", atol=1e-5, rtol=1e-5)[1]


def with_flow_matching_exact(velocity: Velocity, x: Tensor, seed: int) -> Tensor:
    """flow_matching's, with an exact divergence, of vectors."""
    solver = ODESolver(velocity)
    return solver.compute_likelihood(x, normal, None, "dopri5", atol=1e-5, rtol=1e-5, exact_divergence=True)[1]


def with_zuko(velocity: Velocity, x: Tensor, seed: int) -> Tensor:
    """zuko's, with one probe."""
    return _of_zuko(velocity, x, exact=False)


def with_zuko_exact(velocity: Velocity, x: Tensor, seed: int) -> Tensor:
    """zuko's, with an exact divergence."""
    return _of_zuko(velocity, x, exact=True)


def _of_zuko(velocity: Velocity, x: Tensor, exact: bool) -> Tensor:
    """The last axis of zuko's states is that of their components."""

    def field(t: Tensor, z: Tensor) -> Tensor:
        return velocity(z.reshape(x.shape), t).flatten(1)

    z, change = FreeFormJacobianTransform(field, 1.0, 0.0, exact=exact).call_and_ladj(x.flatten(1))
    return normal(z) + change

"""Ways to log p(x) under one velocity: the loop that people write, those of two libraries, and ours.

Each takes a denoiser, samples, an accuracy, and a seed. The accuracy of a peer is its rtol and atol. Ours is asked for
an error in nats.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from flow_matching.solver import ODESolver
from torch import Tensor, nn
from torchdiffeq import odeint
from zuko.transforms import FreeFormJacobianTransform

from fokker.generative import Denoiser, log_likelihood

__all__ = ["LOOP", "WAYS", "Divergence", "Run", "Way", "accuracies", "normal"]

LOOP = "usual loop"
TOLERANCES = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6)
SHARES = (10.0, 5.0, 3.0, 2.0, 1.6, 1.3, 1.0, 0.8, 0.6, 0.4, 0.25, 0.1)
"""The errors that ours is asked for, over the mean error that it should reach."""


@dataclass(frozen=True)
class Run:
    """What a way found.

    Attributes:
        value: log p, (B,).
        evaluations: of the velocity, for a sample.
        products: with its Jacobian, for a sample.
    """

    value: Tensor
    evaluations: float
    products: float


class Way(Protocol):
    """log p(x) to an accuracy, with random numbers of the seed if it takes any."""

    def __call__(self, denoiser: Denoiser, x: Tensor, accuracy: float, seed: int) -> Run: ...


def normal(z: Tensor) -> Tensor:
    """log N(z; 0, I), (B,)."""
    flat = z.flatten(1)
    return -0.5 * flat.square().sum(1) - 0.5 * flat.shape[1] * math.log(2.0 * math.pi)


class Divergence:
    """The velocity and its divergence, by one backward pass per dimension, with a count of calls.

    Args:
        denoiser: whose velocity it is.
        batched: the dimensions that share a backward pass, through `vmap`; 1 for the loop.
    """

    def __init__(self, denoiser: Denoiser, batched: int = 1) -> None:
        self.denoiser, self.batched, self.calls = denoiser, batched, 0

    def __call__(self, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        self.calls += 1
        with torch.enable_grad():
            at = x.detach().requires_grad_()
            velocity = self.denoiser.predict("velocity", t.item(), at).flatten(1)
            trace = x.new_zeros(len(x))
            for some in torch.arange(velocity.shape[1]).split(self.batched):
                if self.batched == 1:
                    row = torch.autograd.grad(velocity[:, some.item()].sum(), at, retain_graph=True)[0]
                    trace = trace + row.flatten(1)[:, some.item()]
                else:
                    unit = torch.eye(velocity.shape[1], dtype=x.dtype)[some, None].expand(-1, len(x), -1)
                    rows = torch.autograd.grad(velocity, at, unit, retain_graph=True, is_grads_batched=True)[0]
                    trace = trace + (rows.flatten(2) * unit).sum((0, 2))
        return velocity.detach().reshape(x.shape), trace


def loop(denoiser: Denoiser, x: Tensor, accuracy: float, seed: int = 0) -> Run:
    """The usual loop: torchdiffeq's dopri5 on (x, log p), one backward pass per dimension."""
    divergence = Divergence(denoiser)

    def field(t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        velocity, trace = divergence(t, state[0])
        return velocity, -trace

    start, times = (x, x.new_zeros(len(x))), torch.tensor([1.0, 0.0], dtype=x.dtype)
    z, change = odeint(field, start, times, rtol=accuracy, atol=accuracy)
    return Run(normal(z[-1]) - change[-1], divergence.calls, divergence.calls * x[0].numel())


class _Velocity(nn.Module):
    """u(x, t) of vectors, as flow_matching calls it, with a count of calls."""

    def __init__(self, denoiser: Denoiser, shape: torch.Size) -> None:
        super().__init__()
        self.denoiser, self.shape, self.calls = denoiser, shape, 0

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        self.calls += 1
        return self.denoiser.predict("velocity", t.item(), x.reshape(-1, *self.shape)).flatten(1)


def of_flow_matching(denoiser: Denoiser, x: Tensor, accuracy: float, seed: int = 0) -> Run:
    """flow_matching's `ODESolver.compute_likelihood` with dopri5 and an exact divergence."""
    velocity = _Velocity(denoiser, x.shape[1:])
    _, value = ODESolver(velocity).compute_likelihood(
        x.flatten(1).clone(), normal, None, "dopri5", accuracy, accuracy, exact_divergence=True
    )
    return Run(value, velocity.calls, velocity.calls * x[0].numel())


def of_zuko(denoiser: Denoiser, x: Tensor, accuracy: float, seed: int = 0) -> Run:
    """zuko's `FreeFormJacobianTransform` with an exact divergence."""
    velocity = _Velocity(denoiser, x.shape[1:])
    transform = FreeFormJacobianTransform(lambda t, z: velocity(z, t), 1.0, 0.0, atol=accuracy, rtol=accuracy)
    z, change = transform.call_and_ladj(x.flatten(1))
    return Run(normal(z) + change, velocity.calls, velocity.calls * x[0].numel())


def _ours(denoiser: Denoiser, x: Tensor, seed: int, error: float, trace: str) -> Run:
    """The time of the plan is included."""
    found = log_likelihood(denoiser, x, seed=seed, error=error, trace=trace)
    return Run(found.value, found.nfe.per_sample.double().mean().item(), found.nfe.vjp)


def ours_exact(denoiser: Denoiser, x: Tensor, accuracy: float, seed: int = 0) -> Run:
    """`log_likelihood` with an exact trace."""
    return _ours(denoiser, x, seed, accuracy, "exact")


def ours(denoiser: Denoiser, x: Tensor, accuracy: float, seed: int = 0) -> Run:
    """`log_likelihood` as it chooses."""
    return _ours(denoiser, x, seed, accuracy, "auto")


WAYS: dict[str, Way] = {
    LOOP: loop,
    "flow_matching": of_flow_matching,
    "zuko": of_zuko,
    "ours, exact": ours_exact,
    "ours, error=": ours,
}


def accuracies(way: str, target: float) -> tuple[float, ...]:
    """What a way may be asked for, loosest first, to reach a mean error."""
    return tuple(share * target for share in SHARES) if way.startswith("ours") else TOLERANCES

"""The variational bound of a chain on normal data, exactly.

Every term of the bound is quadratic in x₀ and in ε, so that its expectation over Gaussian data and noise is the mean
over x₀ = m ± s and ε = ±1: four rows.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ....generative import Denoiser, Table, posterior, variational_bound
from .points import column, gaussian
from .samplers import Given

__all__ = ["EULER_GAMMA", "exact_shares", "excess"]

EULER_GAMMA = 0.5772156649015329


def exact_shares(path: Table, deviation: float) -> Tensor:
    """The v of every index, (T,), with which B^v β̃^{1−v} is the variance of the true reverse kernel of N(m, s²)."""
    times = path.at(torch.arange(path.steps, device="cpu"))
    alpha, sigma = (torch.as_tensor(of(times), device="cpu") for of in (path.alpha, path.sigma))
    left = (deviation * sigma) ** 2 / ((deviation * alpha) ** 2 + sigma**2)  # Var(x₀ | x_t)
    steps = posterior(path, times[1:], times[:-1])
    small = torch.as_tensor(steps.variance, device="cpu")
    variance = small + torch.as_tensor(steps.from_x0, device="cpu") ** 2 * left[1:]
    # The decoder goes to x₀ itself, between β̃ of the step before and σ².
    ends = small[:1].log(), 2.0 * sigma[:1].log()
    first = (left[:1].log() - ends[0]) / (ends[1] - ends[0])
    return torch.cat([first, (variance / small).log() / torch.as_tensor(steps.spread, device="cpu")])


def excess(path: Table, mean: float, deviation: float, shares: Tensor) -> float:
    """E[L] − H(q(x₀)) − KL(q(x_T) ‖ N(0, 1)) of data N(mean, deviation²), for the v of every index, (T,)."""
    data = gaussian(mean, deviation)

    def net(x: Tensor, index: Tensor) -> Tensor:
        t = path.at(index)
        return torch.cat([data.eps(x, t, path), 2.0 * shares[index.long()].unsqueeze(1) - 1.0], 1)

    denoiser = Denoiser(net, path, predicts="eps", time="index", learned_variance=True)
    x0 = column([mean + deviation, mean - deviation]).repeat_interleave(2, 0)
    noise = Given(column([1.0, -1.0, 1.0, -1.0]))
    bound = variational_bound(denoiser, x0, noise, variance="learned", chunk=path.steps).total.mean().item()
    alpha, sigma = path.alpha(path.at(path.steps - 1)), path.sigma(path.at(path.steps - 1))
    noisiest = (alpha * deviation) ** 2 + sigma**2
    to_prior = 0.5 * (noisiest - 1.0 - math.log(noisiest) + (alpha * mean) ** 2)
    return bound - 0.5 * math.log(2.0 * math.pi * math.e * deviation**2) - to_prior

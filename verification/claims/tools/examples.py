"""Worked examples that several chapters share: short chains, guided pairs, and the slides' own formulas."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from ....generative import VE, Cosine, GaussianPath, Table, ancestral, flow
from ....generative.denoiser import ClassifierGuidance
from ....solvers import SDE, Dopri5, solve
from ...oracles import GaussianClasses, OrnsteinUhlenbeck
from .points import MIXTURE, gaussian, grid
from .quadrature import legendre
from .samplers import response

__all__ = [
    "DEVIATION", "EXAMPLE", "EXAMPLE_TIMES", "MEAN", "PAIR", "PLAIN", "PROCESS", "chain_law", "classified_chain",
    "printed_log_density", "reverse_diffusion",
]  # fmt: skip

MEAN, DEVIATION = 0.7, 0.5
"""The data of worked chains: N(0.7, 0.5²)."""
EXAMPLE = Table((1.0 - 0.5 / 0.93, 0.07, 0.1))
"""Three levels with ᾱ = 0.5376…, 0.5, 0.45."""
EXAMPLE_TIMES = EXAMPLE.at(2), EXAMPLE.at(1)
"""The times of its last step, which has β = 0.1."""
PAIR = GaussianClasses([gaussian(1.5, 1.0)], population=gaussian(0.0, 2.0))
"""A class N(m, s²) in a population N(0, S²): S = 2, s = 1, m = 1.5."""

PROCESS = OrnsteinUhlenbeck(theta=2.0, sigma=1.5)
PLAIN = SDE(lambda t, x: -PROCESS.theta * x, lambda t, x: PROCESS.sigma, noise="additive")
"""The same process as an equation of which a solver knows nothing more."""


def chain_law(path: GaussianPath, times: Tensor | None, variance: str) -> tuple[float, float]:
    """Mean and deviation of what `ancestral` makes of N(0, 1), with the exact network of N(0.7, 0.25)."""
    denoiser = gaussian(MEAN, DEVIATION).denoiser(path)
    return response(lambda x, noise: ancestral(denoiser, x, noise, times, variance=variance).x).law()


def classified_chain(n: int) -> tuple[float, float]:
    """Mean and deviation of the ancestral chain of n steps, guided by a classifier towards N(1.2, 0.16)."""
    classes, path = GaussianClasses([gaussian(1.2, 0.4)], population=gaussian(0.3, 1.0)), Cosine()
    guided = ClassifierGuidance(classes.denoiser(path), classes.classifier(path), 1.0, 0)
    times = grid(n)
    return response(lambda x, noise: ancestral(guided, x, noise, times, variance="small").x).law()


def reverse_diffusion(x: Tensor, score: Tensor, beta: float) -> Tensor:
    """The mean of the step of the slides' predictor."""
    return (2.0 - math.sqrt(1.0 - beta)) * x + beta * score


def printed_log_density(x0: Tensor, sign: float) -> Tensor:
    """log p_T(x_T) + sign · ½ ∫ σ(t)² tr ∇s dt along the flow from x0, for the mixture with noise up to 10: (B,)."""
    path = VE(10.0)
    log_r, weights = legendre(120, math.log(1e-5), math.log(10.0))
    nodes = path.time(-2.0 * log_r).tolist()
    ends = [1.0, *nodes, 0.0]
    grid = [a + (b - a) * k / 2 for a, b in pairwise(ends) for k in range(2)] + [0.0]
    solution = solve(flow(MIXTURE.denoiser(path)), x0, grid, Dopri5(), save=True)
    states = x0.unsqueeze(0) if solution.xs is None else solution.xs[2:-1:2]
    total = torch.zeros(len(x0), dtype=torch.float64, device="cpu")
    for r, weight, t, x in zip(log_r.exp().tolist(), weights.tolist(), nodes, states, strict=True):
        trace = -MIXTURE.divergence(x, t, path) / (path.sigma(t) * path.d_sigma(t))  # velocity = −σ σ' s
        total += weight * r**2 * trace
    return MIXTURE.log_prob(solution.x, 0.0, path) + sign * total

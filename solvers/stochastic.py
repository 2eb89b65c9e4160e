"""Methods for stochastic equations.

Euler-Maruyama, for dx = f dt + g dW (Ito), with ξ the standardised increment of the driving path:

    x₁ = x₀ + h f(t₀, x₀) + √h g(t₀, x₀) ξ

Its strong order is 1 for additive noise, to which all generative equations belong (1/2 in general), its weak order 1.
Without noise it is Euler's method.

Source: Kloeden and Platen, Numerical Solution of SDEs, sections 10.2 and 14.1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .base import Step, Stepper, combined
from .equation import SDE, Equation, Semilinear
from .noise import Noise

__all__ = ["EulerMaruyama"]


class EulerMaruyama(Stepper):
    """Strong order 1 for additive noise, 1/2 otherwise; weak order 1. Every noise type, Ito calculus."""

    order = 1
    strong_order = 1.0
    weak_order = 1.0
    noises = frozenset({"diagonal", "additive", "scalar", "general"})

    def evaluations(self, n: int) -> int:
        return n

    def step(self, equation: Equation, t0: float, t1: float, x: Tensor, state: None, noise: Noise | None) -> Step:
        h = t1 - t0
        x1 = combined(x, [h], [equation.drift(t0, x)])
        if noise is None or not isinstance(equation, SDE | Semilinear) or not equation.stochastic:
            return Step(x1)
        diffusion = equation.diffusion(t0, x)
        kind = equation.noise if isinstance(equation, SDE) else "additive"
        if kind == "general":
            matrix = torch.as_tensor(diffusion)
            xi = noise.normal(t0, t1, equation.variance, x.new_empty(x.shape[0], matrix.shape[-1]))
            return Step(x1 + math.sqrt(h) * (matrix @ xi.unsqueeze(-1)).squeeze(-1))
        like = x[(slice(None), *(slice(1),) * (x.ndim - 1))] if kind == "scalar" else x
        xi = noise.normal(t0, t1, equation.variance, like)
        return Step(x1 + (math.sqrt(h) * diffusion) * xi)

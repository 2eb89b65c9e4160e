"""Averages of a network's weights: θ̄_n = β_n θ̄_{n−1} + (1 − β_n) θ_n after the n-th step.

    Constant(β)        β_n = min(β, n/(n + 9))
    PowerLaw(σ_rel)    β_n = (1 − 1/n)^{γ+1}

Constant forgets at the rate 1 − β per step. At first it is the sum Σ_i w_i θ_i with w_i ∝ (i+8)!/i!, nearly a power law
with γ = 8, so that the first weights soon lose their influence. PowerLaw averages over a fixed share of the whole
training: θ̄_n = Σ_i w_i θ_i with

    w_i = (i^{γ+1} − (i−1)^{γ+1}) / n^{γ+1} ≈ (γ+1) i^γ / n^{γ+1},      σ_rel² = (γ+1) / ((γ+2)² (γ+3)),

where σ_rel is the standard deviation of this profile divided by n. Source: Karras et al. (2312.02696), section 3.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn

from ...solvers.common import check_fields, real

__all__ = ["Average", "Constant", "PowerLaw", "pull"]


@torch.no_grad()
def pull(average: nn.Module, net: nn.Module, share: float) -> None:
    """Moves the weights of `average` by this share of the way to those of `net`, in place."""
    for mean, parameter in zip(average.parameters(), net.parameters(), strict=True):
        mean.lerp_(parameter, share)


class Average(ABC):
    """A rule for θ̄."""

    @abstractmethod
    def decay(self, step: int) -> float:
        """β_n at the n-th step, n = 1, 2, …"""

    def update(self, average: nn.Module, net: nn.Module, step: int) -> None:
        """Moves the average from θ̄_{n−1} to θ̄_n, in place.

        Args:
            average: the network that holds θ̄.
            net: the network that holds θ_n.
            step: n, from 1.
        """
        pull(average, net, 1.0 - self.decay(step))


@dataclass(frozen=True)
class Constant(Average):
    """An exponential average over about 1/(1 − rate) steps."""

    rate: float = 0.999

    def __post_init__(self) -> None:
        check_fields(self, real, "rate", low=0.0, below=1.0)

    def decay(self, step: int) -> float:
        return min(self.rate, step / (step + 9))


@dataclass(frozen=True)
class PowerLaw(Average):
    """The power law of EDM2, of relative width `sigma_rel` in [10⁻⁶, 1/√12]; 1/√12 is the plain mean of all steps."""

    sigma_rel: float = 0.1

    def __post_init__(self) -> None:
        check_fields(self, real, "sigma_rel", low=1e-6, high=1.0 / math.sqrt(12.0))

    @cached_property
    def gamma(self) -> float:
        """γ ≥ 0, the root of (γ+2)² (γ+3) σ_rel² = γ+1; the left side over the right grows from γ = 0 on."""
        low, high = 0.0, 1.0 / self.sigma_rel
        for _ in range(100):
            gamma = 0.5 * (low + high)
            if (gamma + 2.0) ** 2 * (gamma + 3.0) * self.sigma_rel**2 < gamma + 1.0:
                low = gamma
            else:
                high = gamma
        return high

    def decay(self, step: int) -> float:
        return float((1.0 - 1.0 / step) ** (self.gamma + 1.0))

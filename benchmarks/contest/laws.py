"""The problems of the comparison: mixtures that no tuning was developed on, and the networks that ship."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import MappingProxyType

import torch
from torch import Tensor

from ...generative import VP, CondOT
from ...generative.paths import GaussianPath
from ...verification import GaussianMixture
from ..problems import Problem, problem

__all__ = ["PROBLEMS"]

RING, PLANE, SPACE = 8, 7001, 7064
"""The modes on the circle, and the seeds of the mixtures in 2 and in 64 dimensions."""


def _on(path: GaussianPath, name: str, law: Callable[[], GaussianMixture]) -> Callable[[], Problem]:
    def made() -> Problem:
        mixture = law()
        shape = tuple(mixture.shape)
        return Problem(f"{name}-{type(path).__name__.lower()}", "a mixture", mixture.denoiser(path), shape, 64)

    return made


def _ring() -> GaussianMixture:
    """Modes of the deviation 0.1 on the unit circle."""
    angles = 2.0 * math.pi * torch.arange(RING, dtype=torch.float64, device="cpu") / RING
    covs = torch.diag_embed(torch.full((RING, 2), 0.01, dtype=torch.float64, device="cpu"))
    return _even(torch.stack([angles.cos(), angles.sin()], 1), covs)


def _random(seed: int, dim: int, modes: int, spread: float) -> Callable[[], GaussianMixture]:
    """Modes in general position, with deviations from 0.05 to 0.5."""

    def made() -> GaussianMixture:
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64, device="cpu")

        means, covs = spread * normal(modes, dim), []
        for _ in range(modes):
            deviations = 0.05 * 10.0 ** torch.rand(dim, generator=generator, dtype=torch.float64, device="cpu")
            rotation = torch.linalg.qr(normal(dim, dim)).Q
            cov = (rotation * deviations**2) @ rotation.T
            covs.append(0.5 * (cov + cov.T))
        return _even(means, torch.stack(covs))

    return made


def _even(means: Tensor, covs: Tensor) -> GaussianMixture:
    return GaussianMixture(means.new_full((len(means),), 1.0 / len(means)), means, covs)


def _mixtures() -> dict[str, Callable[[], Problem]]:
    laws = {"ring": _ring, "plane": _random(PLANE, 2, 6, 0.8), "space": _random(SPACE, 64, 8, 0.3)}
    return {
        f"{name}-{type(path).__name__.lower()}": _on(path, name, law)
        for name, law in laws.items() for path in (VP(), CondOT())
    }


def _shipped(name: str) -> Callable[[], Problem]:
    return lambda: problem(name)


PROBLEMS: MappingProxyType[str, Callable[[], Problem]] = MappingProxyType(
    _mixtures()
    | {name: _shipped(name) for name in ("digits", "digits-eps", "digits-eps-rough", "mnist", "mnist-eps")}
)
"""From the cheapest to the dearest."""

"""The problems of the study: exact mixtures, the same with an error of the network, and the networks that ship.

The default sampler was chosen on `development`. The laws, paths, errors and guided networks of `held_out` took no part.

A white error of a network has no flow that a solver could follow: there the exact flow is the reference.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from ...generative import CFG, VE, VP, CondOT, Cosine, Denoiser, GeometricVE, Polynomial, SubVP, Table
from ...generative.paths import GaussianPath, linear_betas
from ...solvers import standard_normal
from ...verification import GaussianMixture, Oracle
from ...verification.named_networks import named_denoiser
from ...verification.oracles import Smooth, Student, White, perturbed

__all__ = ["Case", "development", "held_out"]

NETWORKS = ("digits-flow", "digits-eps", "digits-rough", "digits-eps-rough", "mnist-flow", "mnist-eps")


@dataclass(frozen=True)
class Case:
    """A problem of the study.

    Args:
        name: for the table.
        denoiser: the network that is sampled.
        shape: of one sample.
        samples: the number of noises.
        exact: the network whose flow is the reference, if it is not `denoiser`.
    """

    name: str
    denoiser: Denoiser
    shape: tuple[int, ...]
    samples: int
    exact: Denoiser | None = None

    def noise(self) -> Tensor:
        """The normals from which every sampler starts, float64 (samples, *shape)."""
        return standard_normal(torch.empty(self.samples, *self.shape, dtype=torch.float64, device="cpu"), 0)


Law = tuple[str, Oracle, int]
Error = tuple[str, Smooth | White]


def development() -> list[Callable[[], Case]]:
    """The cases on which the rule was chosen, each made when it is called."""
    laws: list[Law] = [
        ("m2", _mixture(11, 2, 5, 0.8, 0.05, 0.2), 1024),
        ("m4", _mixture(12, 4, 6, 0.6, 0.03, 0.5), 1024),
        ("m8", _mixture(13, 8, 4, 0.15, 0.02, 0.2), 512),
        ("m16", _mixture(14, 16, 8, 0.5, 0.05, 0.4), 512),
        ("m64", _mixture(15, 64, 6, 0.3, 0.05, 0.5), 256),
    ]
    errors: list[Error] = [
        ("eps", Smooth(0.01, 3)), ("eps", Smooth(0.05, 4)), ("eps", White(0.01, 5)), ("eps", White(0.05, 6)),
        ("velocity", Smooth(0.02, 7)), ("velocity", White(0.02, 8)),
    ]
    return _crossed(laws, [CondOT(), VP(), Cosine(), VE()], errors) + [_network(name) for name in NETWORKS]


def held_out() -> list[Callable[[], Case]]:
    """Other laws, paths, errors and seeds, and guided networks."""
    angles = 2.0 * math.pi * torch.arange(7, dtype=torch.float64, device="cpu") / 7.0
    ring = torch.stack([angles.cos(), angles.sin()], 1)
    covs = torch.diag_embed(torch.full((7, 2), 0.08**2, dtype=torch.float64, device="cpu"))
    weights = torch.arange(1, 8, dtype=torch.float64, device="cpu") / 28.0
    laws: list[Law] = [
        ("ring", GaussianMixture(weights, ring, covs), 1024),
        ("m3", _mixture(101, 3, 9, 1.0, 0.02, 0.4, uneven=True), 1024),
        ("m32", _mixture(102, 32, 5, 0.4, 0.1, 0.3, uneven=True), 512),
    ]
    errors: list[Error] = [
        ("eps", Smooth(0.03, 203)), ("eps", White(0.02, 204)), ("velocity", Smooth(0.04, 205)),
        ("velocity", White(0.01, 206)),
    ]
    paths = [Polynomial(2.0), SubVP(), GeometricVE(), Table(linear_betas(1000))]
    mean, scale = (torch.tensor(value, dtype=torch.float64, device="cpu") for value in ([0.3], [[0.25]]))
    heavy: list[Law] = [("student", Student(5.0, mean, scale), 1024)]  # its score takes quadrature: minutes with errors
    guided = [_network(name, 2.0) for name in ("digits-flow", "digits-eps-rough")]
    return _crossed(laws, paths, errors) + _crossed(heavy, paths, []) + guided


def _crossed(
    laws: list[Law], paths: list[GaussianPath], errors: list[Error]
) -> list[Callable[[], Case]]:
    """Every law on every path, exact and with every error."""

    def made(law: Law, path: GaussianPath, error: Error | None) -> Case:
        name, oracle, samples = law
        shape, exact = tuple(oracle.shape), oracle.denoiser(path)
        if error is None:
            return Case(f"{name}, {type(path).__name__}, exact", exact, shape, samples)
        kind, field = error
        what = f"{kind} {type(field).__name__.lower()} {100.0 * field.size:g} %"
        white = exact if isinstance(field, White) else None
        network = perturbed(oracle, field, path, kind)
        return Case(f"{name}, {type(path).__name__}, {what}", network, shape, samples, white)

    return [
        lambda law=law, path=path, error=error: made(law, path, error)  # type: ignore[misc]
        for error in [None, *errors] for law in laws for path in paths
    ]


def _mixture(
    seed: int, dim: int, components: int, spread: float, least: float, most: float, *, uneven: bool = False
) -> GaussianMixture:
    """Means of the deviation `spread`; components with deviations between two bounds, in general position."""
    generator = torch.Generator().manual_seed(seed)
    options: Any = {"generator": generator, "dtype": torch.float64}
    means, covs = spread * torch.randn(components, dim, device="cpu", **options), []
    for _ in range(components):
        deviations = least * (most / least) ** torch.rand(dim, device="cpu", **options)
        rotation = torch.linalg.qr(torch.randn(dim, dim, device="cpu", **options)).Q
        cov = (rotation * deviations**2) @ rotation.T
        covs.append(0.5 * (cov + cov.T))
    weights = 0.2 + torch.rand(components, device="cpu", **options) if uneven else means.new_ones(components)
    return GaussianMixture(weights / weights.sum(), means, torch.stack(covs))


def _network(name: str, guidance: float | None = None) -> Callable[[], Case]:
    """A shipped network in float64, with the labels in turn."""

    def made() -> Case:
        side, samples = (28, 10) if name.startswith("mnist") else (8, 16)
        denoiser = named_denoiser(name)
        cast(nn.Module, denoiser.net).double()
        denoiser = denoiser.given(torch.arange(samples, device="cpu") % 10)
        guided = denoiser if guidance is None else CFG(denoiser, guidance)
        return Case(name if guidance is None else f"{name}, guided {guidance:g}", guided, (1, side, side), samples)

    return made

"""The problems that come with the package, by name.

To add a problem, add an entry to `PROBLEMS`: any oracle of `fokker.verification`, on any path,

    "student": lambda: _oracle("student", "Student's law on the line", Student(3.0, mean, scale), CondOT(), 512),
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor, nn

from ...generative import VP, CondOT, Cosine
from ...generative.paths import GaussianPath
from ...solvers.common import choice, host
from ...verification import Gaussian, GaussianMixture, Oracle
from ...verification.named_networks import named_denoiser
from .problem import Problem

__all__ = ["DEFAULT_PROBLEMS", "PROBLEMS", "mixture64", "problem"]


def _gaussian() -> Problem:
    """Standard deviations from 0.02 to 2, in general position."""
    generator = torch.Generator().manual_seed(1)
    mean = torch.randn(12, generator=generator, dtype=torch.float64, device="cpu")
    deviations = torch.logspace(math.log10(0.02), math.log10(2.0), 12, dtype=torch.float64, device="cpu")
    oracle = Gaussian(mean, _covariance(deviations, generator))
    return _oracle(
        "gaussian", "a Gaussian in 12 dimensions, straight path", oracle, CondOT(), 512, (mean, deviations)
    )


def _ring() -> Problem:
    angles = torch.arange(8, dtype=torch.float64, device="cpu") * (math.pi / 4)
    means = torch.stack([angles.cos(), angles.sin()], dim=1)
    deviations = torch.full((2,), 0.1, dtype=torch.float64, device="cpu")
    covs = torch.diag(deviations**2).repeat(8, 1, 1)
    oracle = _equal(means, covs)
    return _oracle("ring", "8 narrow modes on a circle, VP path", oracle, VP(), 512, (means, deviations))


def mixture64() -> GaussianMixture:
    """10 anisotropic Gaussians in 64 dimensions, with deviations from 0.05 to 0.5."""
    generator = torch.Generator().manual_seed(2)
    means = 0.3 * torch.randn(10, 64, generator=generator, dtype=torch.float64, device="cpu")
    deviations = torch.logspace(-1.3, -0.3, 64, dtype=torch.float64, device="cpu")
    return _equal(means, torch.stack([_covariance(deviations, generator) for _ in range(10)]))


def _mixture64() -> Problem:
    oracle, description = mixture64(), "10 anisotropic Gaussians in 64 dimensions, cosine path"
    deviations = torch.logspace(-1.3, -0.3, 64, dtype=torch.float64, device="cpu")
    return _oracle("mixture64", description, oracle, Cosine(), 128, (oracle.means, deviations))


def _oracle(
    name: str,
    description: str,
    oracle: Oracle,
    path: GaussianPath,
    samples: int,
    parameters: tuple[Tensor, ...] | None = None,
) -> Problem:
    """The probability flow of a law that is known.

    Args:
        name: its key in `PROBLEMS`.
        description: a few words for the reports.
        oracle: the law of the data, in float64.
        path: the path on which it is noised.
        samples: the number of initial noises, unless another one is asked for.
        parameters: the numbers from which the law is made, if those of the oracle itself, its public attributes, may
            differ in the last bit from machine to machine, as a random rotation does.
    """
    own = [value for key, value in sorted(vars(oracle).items()) if not key.startswith("_")]
    numbers = parameters or tuple(host(value) for value in own)
    found = Problem(name, description, oracle.denoiser(path), tuple(oracle.shape), samples, parameters=numbers)
    if not isinstance(oracle, Gaussian):
        return found
    return replace(found, exact=_FlowMap(oracle, path, found.end))


@dataclass(frozen=True)
class _FlowMap:
    """The exact flow map from t = 0 to `end`."""

    oracle: Oracle
    path: GaussianPath
    end: float

    def __call__(self, x: Tensor) -> Tensor:
        return self.oracle.flow_map(x, 0.0, self.end, self.path)


def _covariance(deviations: Tensor, generator: torch.Generator) -> Tensor:
    """Q diag(s²) Qᵀ with a random rotation Q."""
    n = len(deviations)
    rotation = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64, device="cpu")).Q
    cov: Tensor = (rotation * deviations**2) @ rotation.T
    return 0.5 * (cov + cov.T)


def _equal(means: Tensor, covs: Tensor) -> GaussianMixture:
    """Components of equal weight."""
    return GaussianMixture(means.new_full((len(means),), 1.0 / len(means)), means, covs)


def _network(name: str, description: str, side: int, samples: int) -> Problem:
    """A network that ships with the package, in float64, with the labels 0 … 9 in turn."""
    denoiser = named_denoiser(name)
    cast(nn.Module, denoiser.net).double()
    return Problem(
        name.removesuffix("-flow"),
        description,
        denoiser,
        shape=(1, side, side),
        samples=samples,
        classes=10,
    )


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "gaussian": _gaussian,
    "ring": _ring,
    "mixture64": _mixture64,
    "digits": lambda: _network("digits-flow", "8×8 digits, flow matching on the straight path", 8, 10),
    "digits-eps": lambda: _network("digits-eps", "8×8 digits, noise prediction on the VP path", 8, 10),
    "digits-rough": lambda: _network("digits-rough", "8×8 digits, too rough in time for high order", 8, 10),
    "digits-eps-rough": lambda: _network("digits-eps-rough", "8×8 digits, noise prediction rough in time", 8, 10),
    "mnist": lambda: _network("mnist-flow", "28×28 digits, flow matching on the straight path", 28, 10),
    "mnist-eps": lambda: _network("mnist-eps", "28×28 digits, noise prediction on the VP path", 28, 10),
}
"""From the cheapest to the dearest."""

DEFAULT_PROBLEMS = ("gaussian", "ring", "mixture64", "digits")


def problem(name: str) -> Problem:
    """A problem by its name. Raises ValueError for an unknown one, with the list."""
    return _made(choice("problem", name, PROBLEMS))


@lru_cache
def _made(name: str) -> Problem:
    return PROBLEMS[name]()

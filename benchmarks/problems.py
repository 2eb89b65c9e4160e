"""Named problems: a field, the path it lives on, and the interval of time on which samplers race.

Every problem starts from x = σ₀ ε at t = 0 and integrates the probability flow to its `end`. That is t = 1
wherever dx/dt stays finite; on VP it has a square-root singularity there, and the end is at log-SNR 12, where
σ/α = 0.0025 is far below what can be seen.

To add a problem, add an entry to `PROBLEMS`: any oracle of `fokker.verification`, on any path,

    "student": lambda: _oracle("student", "Student's law on the line", Student(3.0, mean, scale), CondOT(), 512),
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..generative import VP, CondOT, Cosine, Denoiser, flow, load
from ..generative.denoiser import check_denoiser
from ..generative.paths import GaussianPath
from ..solvers import Semilinear, standard_normal
from ..solvers.common import (
    MANY,
    check_callable,
    check_fields,
    check_instance,
    check_memory,
    choice,
    host,
    whole,
    wholes,
)
from ..verification import Gaussian, GaussianMixture, Oracle

__all__ = ["DEFAULT_PROBLEMS", "PROBLEMS", "Problem", "mixture64", "problem"]


@dataclass(frozen=True)
class Problem:
    """A field in float64, from t = 0 to `end`.

    Attributes:
        denoiser: the network or the oracle whose probability flow is solved.
        shape: of one sample.
        samples: the number of initial noises, unless another one is asked for.
        parameters: the numbers from which the field is made; the same bits however many threads made it.
        classes: the labels 0 … classes − 1 are dealt out in turn; 0 for a field without labels.
        exact: the flow map from the noise to the end, where it has a closed form.

    Raises:
        TypeError: a field of another kind.
        ValueError: a number out of range.
    """

    name: str
    description: str
    denoiser: Denoiser = field(repr=False)
    shape: tuple[int, ...]
    samples: int
    parameters: tuple[Tensor, ...] = field(repr=False)
    classes: int = 0
    exact: Callable[[Tensor], Tensor] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for key in ("name", "description"):
            check_instance(key, getattr(self, key), str, "a text")
        check_denoiser(self.denoiser)
        check_fields(self, wholes, "shape", low=1)
        check_fields(self, whole, "samples", low=1)
        check_fields(self, whole, "classes", low=0)
        check_instance("parameters", self.parameters, tuple, "a tuple of tensors")
        for i, tensor in enumerate(self.parameters):
            check_instance(f"parameters[{i}]", tensor, Tensor, "a tensor")
        if self.exact is not None:
            check_callable("exact", self.exact, "a function of the noise")

    @property
    def path(self) -> GaussianPath:
        return self.denoiser.path

    @property
    def end(self) -> float:
        return self.path.time(12.0) if isinstance(self.path, VP) else 1.0

    def noise(self, samples: int, seed: int) -> Tensor:
        """x at t = 0 in float64, shape (samples, *shape); line i depends on (seed, i) alone."""
        samples, seed = whole("samples", samples, 0), whole("seed", seed)
        check_memory("samples", samples, 4 * samples * math.prod(self.shape))
        like = torch.empty(samples, *self.shape, dtype=torch.float64, device="cpu")
        return self.path.sigma(0.0) * standard_normal(like, seed)

    def labelled(self, samples: int) -> Denoiser:
        """The denoiser with a label for each of so many initial noises, if its field has labels."""
        samples = whole("samples", samples, 0, MANY)
        counted = torch.arange(samples, device="cpu")
        return self.denoiser.given(counted % self.classes) if self.classes else self.denoiser

    def equation(self, samples: int) -> Semilinear:
        """The probability flow of so many initial noises."""
        return flow(self.labelled(samples))

    @property
    def digest(self) -> str:
        """The first 16 hex digits of the SHA-256 of the identity."""
        return hashlib.sha256(json.dumps(self.identity(), sort_keys=True).encode()).hexdigest()[:16]

    def identity(self) -> dict[str, Any]:
        """Everything that determines its solutions, for the record: two runs with the same record may be mixed."""
        digest = hashlib.sha256()
        for tensor in self.parameters:
            digest.update(tensor.contiguous().numpy().tobytes())
        return {
            "description": self.description,
            "path": repr(self.path),
            "end": self.end,
            "shape": list(self.shape),
            "classes": self.classes,
            "parameters": digest.hexdigest(),
        }


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
    found = Problem(name, description, oracle.denoiser(path), tuple(oracle.shape), samples, numbers)
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
    denoiser = load(name)
    net = cast(nn.Module, denoiser.net).double()
    return Problem(
        name.removesuffix("-flow"),
        description,
        denoiser,
        shape=(1, side, side),
        samples=samples,
        parameters=tuple(net.state_dict().values()),
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

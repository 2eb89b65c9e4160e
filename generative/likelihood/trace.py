"""The trace of a Jacobian J, exactly or from random probes, by products vᵀ J alone.

    exact         tr J = Σ_i e_iᵀ J e_i                                                  d products
    Hutchinson    tr J = E zᵀ J z,  E z zᵀ = I                                           k products
    Hutch++       tr J = tr QᵀJQ + E zᵀ P J P z,  Q = orth(Jᵀ S),  P = I − Q Qᵀ           3 k products

With S = (J + Jᵀ)/2 the variance of one Hutchinson probe is 2 Σ_{i≠j} S_ij² (Rademacher) or 2 Σ S_ij² (Gaussian).
Hutch++ computes the part of J in the range of k sketched directions exactly, and leaves the rest to k probes. Where the
spectrum decays, its error falls like 1/k instead of 1/√k.

Probes and sketches are drawn once for the whole solve. The trace is then a smooth function along the solution, and its
integral is as unbiased as each value. Every probe has a channel of its own, so that their spread can be computed.

Sources: Hutchinson (1990); Grathwohl et al., FFJORD (1810.01367), section 3.1; Meyer et al., Hutch++ (2010.09649),
algorithm 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...solvers import standard_normal
from ...solvers.common import widest

__all__ = ["LAWS", "TRACES", "Exact", "HutchPlusPlus", "Hutchinson", "Trace", "estimator", "probes"]

Products = Callable[[Tensor], Tensor]
"""The map from directions v, (m, B, d), to the products vᵀ J, (m, B, d)."""

LAWS = ("rademacher", "gaussian")
TRACES = ("exact", "hutchinson", "hutch++")
NUMBERS_IN_CACHE, NUMBERS_ON_DEVICE = 2**16, 2**22
"""Numbers in the directions of one pass. The first stays in a CPU's cache with the layers; the second fills a GPU."""


def probes(law: str, count: int, x: Tensor, seed: int | Sequence[int]) -> Tensor:
    """Random probes for every sample. Those of sample i depend on (seed, i), or on its own seed, alone.

    Args:
        law: "rademacher", for signs, or "gaussian", for normals.
        count: the number of probes a sample.
        x: the samples, (B, ...).
        seed: an int, or one int a sample.

    Returns:
        The probes, of x's dtype, (count, B, d), with d the number of components of a sample.

    Raises:
        ValueError: the law is unknown.

    Example:
        >>> probes("rademacher", 1, torch.empty(2, 3), seed=0).abs()
        tensor([[[1., 1., 1.],
                 [1., 1., 1.]]])
    """
    if law not in LAWS:
        raise ValueError(f"Unknown law of probes {law!r}; choose one of {', '.join(LAWS)}.")
    flat = x.flatten(1)
    normals = standard_normal(flat.new_empty(len(flat), count, flat.shape[1]), seed).transpose(0, 1)
    return normals if law == "gaussian" else torch.ones_like(normals).copysign(normals)


class Trace(ABC):
    """An estimator of the trace.

    Attributes:
        channels: the number of independent estimates, whose mean is the trace.
        directions: the number of products in one value.
        points: the number of states at once, so that their directions fill the memory that they may take.
        exact: whether the trace has no random error.
    """

    points: int
    exact: bool = False

    @property
    @abstractmethod
    def channels(self) -> int: ...

    @property
    @abstractmethod
    def directions(self) -> int: ...

    @abstractmethod
    def __call__(self, products: Products, x: Tensor) -> Tensor:
        """The estimates at x, (B, d): float64 (B, channels)."""

    @abstractmethod
    def of_rows(self, index: Tensor) -> Trace:
        """The estimator of the samples of these indices."""


@dataclass(frozen=True)
class Exact(Trace):
    """The sum over all d directions, of which `at_once` are multiplied together."""

    dim: int
    at_once: int
    points: int
    exact = True

    @property
    def channels(self) -> int:
        return 1

    @property
    def directions(self) -> int:
        return self.dim

    def __call__(self, products: Products, x: Tensor) -> Tensor:
        trace = x.new_zeros(len(x), dtype=widest(x.device))
        for basis in torch.split(torch.eye(self.dim, dtype=x.dtype, device=x.device), self.at_once):
            pulled = products(basis[:, None].expand(-1, *x.shape))
            trace = trace + torch.einsum("mbd,md->mb", pulled, basis).sum(0, dtype=widest(x.device))
        return trace[:, None]

    def of_rows(self, index: Tensor) -> Exact:
        return self


@dataclass(frozen=True)
class Hutchinson(Trace):
    """The estimates zᵀ J z of k probes z, (k, B, d)."""

    z: Tensor
    points: int

    @property
    def channels(self) -> int:
        return len(self.z)

    @property
    def directions(self) -> int:
        return len(self.z)

    def __call__(self, products: Products, x: Tensor) -> Tensor:
        return (self.z * products(self.z)).sum(-1, dtype=widest(x.device)).T

    def of_rows(self, index: Tensor) -> Hutchinson:
        return replace(self, z=self.z[:, index.to(self.z.device)])


@dataclass(frozen=True)
class HutchPlusPlus(Trace):
    """The estimates of a sketch (k, B, d) and k probes z (k, B, d), with 2 k ≤ d.

    The derivative of an estimate takes Q for constant, which leaves no bias.
    """

    sketch: Tensor
    z: Tensor
    points: int

    @property
    def channels(self) -> int:
        return len(self.z)

    @property
    def directions(self) -> int:
        return 2 * len(self.sketch) + len(self.z)

    def __call__(self, products: Products, x: Tensor) -> Tensor:
        sketched = products(self.sketch)
        basis = torch.linalg.qr(sketched.detach().permute(1, 2, 0)).Q.permute(2, 0, 1)  # (k, B, d), orthonormal over k
        rest = self.z - torch.einsum("mbd,nbd,nbe->mbe", self.z, basis, basis)
        directions = torch.cat([basis, rest])
        inside, outside = (directions * products(directions)).sum(-1, dtype=widest(x.device)).chunk(2)
        return (inside.sum(0) + outside).T

    def of_rows(self, index: Tensor) -> HutchPlusPlus:
        rows = index.to(self.z.device)
        return HutchPlusPlus(self.sketch[:, rows], self.z[:, rows], self.points)


def estimator(kind: str, count: int, law: str, x: Tensor, seed: int | Sequence[int]) -> Trace:
    """The estimator of that name.

    Args:
        kind: "exact", "hutchinson" or "hutch++".
        count: the number of probes, if it is not exact.
        law: the law of the probes, "rademacher" or "gaussian".
        x: the samples, (B, ...).
        seed: the seed of the probes, an int, or one int a sample.

    Raises:
        ValueError: the kind or the law is unknown, or the number of probes is below 1 or too large for the dimension.
    """
    dim = x[0].numel()
    numbers = NUMBERS_IN_CACHE if x.device.type == "cpu" else NUMBERS_ON_DEVICE
    match kind:
        case "exact":
            at_once = min(dim, max(1, numbers // dim))
            return Exact(dim, at_once, max(1, numbers // (dim * at_once)))
        case "hutchinson":
            return Hutchinson(probes(law, count, x, seed), max(1, numbers // (dim * count)))
        case "hutch++":
            if 2 * count > dim:
                raise ValueError(
                    f"Hutch++ with {count} probes sketches {count} directions and needs at least {2 * count} "
                    f'dimensions, but there are {dim}; use trace="exact", or fewer probes.'
                )
            # Sketches are normal under either law: in a few dimensions two vectors of signs may be parallel.
            sketch, z = probes("gaussian", 2 * count, x, seed)[:count], probes(law, 2 * count, x, seed)[count:]
            return HutchPlusPlus(sketch, z, max(1, numbers // (2 * dim * count)))
    raise ValueError(f"Unknown trace {kind!r}; choose one of {', '.join(TRACES)}, auto.")

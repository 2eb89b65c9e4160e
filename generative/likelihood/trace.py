"""The trace of a Jacobian J at the nodes of a quadrature, exactly or from random probes, by products vᵀ J alone.

    exact         tr J = Σ_i e_iᵀ J e_i                                                   d products
    Hutchinson    tr J = E zᵀ J z,  E z zᵀ = I                                            k products
    Hutch++       tr J = tr QᵀJQ + E zᵀ P J P z,  Q = orth(Jᵀ S),  P = I − Q Qᵀ           3 k products
    orthogonal    tr J = (1/m) Σ_j h_jᵀ J h_j,  h_j = D (row j of a Hadamard matrix)      k of the m rows
    coloured      tr J = Σ_c E z_cᵀ J z_c,  z_c random signs on the pixels of colour c    k colours, and one again

The nodes lie on a flow that is already solved. Every node has probes of its own, so that the errors of the nodes do not
add up; `frozen` probes are the same at all nodes.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Tensor

from ...solvers.common import Array, widest

__all__ = ["TRACES", "Combined", "Exact", "Products", "Trace", "exact_trace"]

Products = Callable[[Tensor], Tensor]
"""The map from directions v, (m, P, d), to the products vᵀ J, (m, P, d)."""

TRACES = ("exact", "orthogonal", "coloured", "hutchinson", "hutch++")


@dataclass(frozen=True)
class Combined:
    """The integral of a trace along the nodes.

    Attributes:
        value: Σ w_i tr_i, float64 (B,).
        variance: its variance over the probes, float64 (B,); nan if the run cannot tell.
        freedom: the degrees of freedom of the variance, float64 (B,); infinite for an exact trace.
    """

    value: Tensor
    variance: Tensor
    freedom: Tensor

    def replaced(self, index: Tensor, other: Combined) -> Combined:
        """The same with other integrals for the samples of these indices."""
        pairs = ((getattr(self, each.name), getattr(other, each.name)) for each in fields(self))
        return Combined(*(one.index_copy(0, index, two) for one, two in pairs))


class Trace(ABC):
    """An estimator of the trace at the nodes 0 … N − 1 for samples with keys of their own.

    Attributes:
        counts: the number of products at each node.
        exact: whether the trace has no random error.
    """

    counts: tuple[int, ...]
    exact: bool = False

    @abstractmethod
    def estimates(self, nodes: Sequence[int], products: Products, x: Tensor) -> Tensor:
        """What is estimated at every node for every sample.

        Args:
            nodes: n nodes with the same number of products.
            products: those of J at the points, node by node.
            x: a tensor of the points' shape, (n B, d), whose dtype and device the directions take.

        Returns:
            Numbers for `combined`, float64 (n, B, c).
        """

    @abstractmethod
    def combined(self, weights: Tensor, found: Sequence[Tensor]) -> Combined:
        """The integral from the weights, (N,), and from what was estimated at each node, (B, c)."""

    @abstractmethod
    def expected(self, weights: Array, errors: Array, gain: float) -> float:
        """The variance of the integral that is expected.

        Args:
            weights: of the nodes, (N,).
            errors: those of single probes along the nodes, (M, N), which a pilot has seen.
            gain: γ, for a variance that falls like the number of products to the power of −γ, where that is not known.
        """

    @abstractmethod
    def of_rows(self, index: Tensor) -> Self:
        """The estimator of the samples of these indices."""


@dataclass(frozen=True)
class Exact(Trace):
    """The sum over all d directions."""

    dim: int
    nodes: int
    exact = True

    @property
    def counts(self) -> tuple[int, ...]:  # type: ignore[override]
        return (self.dim,) * self.nodes

    def estimates(self, nodes: Sequence[int], products: Products, x: Tensor) -> Tensor:
        return exact_trace(products, x).reshape(len(nodes), -1, 1)

    def combined(self, weights: Tensor, found: Sequence[Tensor]) -> Combined:
        value = sum_of(weights, [each[:, 0] for each in found])
        return Combined(value, torch.zeros_like(value), torch.full_like(value, math.inf))

    def expected(self, weights: Array, errors: Array, gain: float) -> float:
        return 0.0

    def of_rows(self, index: Tensor) -> Self:
        return self


def exact_trace(products: Products, x: Tensor) -> Tensor:
    """tr J at the points x, (P, d): float64 (P,)."""
    points, dim = x.shape
    trace = x.new_zeros(points, dtype=widest(x.device))
    for basis in torch.split(torch.eye(dim, dtype=x.dtype, device=x.device), directions_at_once(x)):
        pulled = products(basis[:, None].expand(-1, points, dim))
        trace = trace + torch.einsum("mpd,md->mp", pulled, basis).sum(0, dtype=trace.dtype)
    return trace


NUMBERS_IN_CACHE, NUMBERS_ON_DEVICE = 2**14, 2**22
"""Numbers in the points of one pass. The first stays in a CPU's cache with the layers; the second fills a GPU."""
ENOUGH_POINTS = 16
"""On a CPU so many points take one direction at a time, in fewer operations than several together."""


def numbers(x: Tensor) -> int:
    """The numbers in the points, or in the directions, of one pass on the device of x."""
    return NUMBERS_IN_CACHE if x.device.type == "cpu" else NUMBERS_ON_DEVICE


def directions_at_once(x: Tensor) -> int:
    """The number of directions that are multiplied together at the points x, (P, d)."""
    if x.device.type == "cpu" and len(x) >= ENOUGH_POINTS:
        return 1
    return max(1, 4 * numbers(x) // x.numel())


def sum_of(weights: Tensor, values: Sequence[Tensor]) -> Tensor:
    """Σ w_i v_i over the nodes, (B,)."""
    return torch.stack([w * v for w, v in zip(weights, values, strict=True)]).sum(0)


def by_node(values: Tensor, nodes: Sequence[int]) -> Tensor:
    """Values (c, n B) as (n, B, c)."""
    return values.T.reshape(len(nodes), -1, len(values))


def quadratic(z: Tensor, products: Products) -> Tensor:
    """zᵀ J z of directions (k, P, d): float64 (k, P)."""
    some = torch.split(z, directions_at_once(z[0]))
    return torch.cat([(each * products(each)).sum(-1, dtype=widest(z.device)) for each in some])


def spread(weights: Tensor, found: Sequence[Tensor], frozen: bool) -> Combined:
    """The integral of independent estimates, and its variance by their spread: over the nodes, or, frozen, in the sum.

    The degrees of freedom of a sum of variances are Satterthwaite's.
    """
    if frozen:
        channels = sum_of(weights, found)
        freedom = torch.full_like(channels[:, 0], max(1.0, channels.shape[1] - 1.0))
        return Combined(channels.mean(1), of_mean(channels.detach()), freedom)
    value = sum_of(weights, [each.mean(1) for each in found])
    with torch.no_grad():
        parts = torch.stack([w**2 * of_mean(each) for w, each in zip(weights, found, strict=True)])
        variance = parts.sum(0)
        squares = [part.square() / max(1, each.shape[1] - 1) for part, each in zip(parts, found, strict=True)]
        degrees = variance.square() / torch.stack(squares).sum(0)
    return Combined(value, variance, degrees.nan_to_num(1.0))


def of_mean(values: Tensor) -> Tensor:
    """The variance of the mean of k values, (B, k), by their spread; nan for a single one."""
    k = values.shape[1]
    return values.var(1) / k if k > 1 else torch.full_like(values[:, 0], math.nan)

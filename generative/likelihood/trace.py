"""The trace of a Jacobian J at the nodes of a quadrature, exactly or from random probes, by products vᵀ J alone.

    exact         tr J = Σ_i e_iᵀ J e_i                                                   d products
    Hutchinson    tr J = E zᵀ J z,  E z zᵀ = I                                            k products
    Hutch++       tr J = tr QᵀJQ + E zᵀ P J P z,  Q = orth(Jᵀ S),  P = I − Q Qᵀ           3 k products
    orthogonal    tr J = (1/m) Σ_j h_jᵀ J h_j,  h_j = D (row j of a Hadamard matrix)      k of the m rows
    coloured      tr J = Σ_c E z_cᵀ J z_c,  z_c random signs on the pixels of colour c    k colours, and one again

The nodes lie on a flow that is already solved. Every node has probes of its own, so that the errors of the nodes do not
add up; `frozen` probes are the same at all nodes. Let S = (J + Jᵀ)/2. The variance of one Hutchinson probe is
2 Σ_{i≠j} S_ij² (signs) or 2 Σ S_ij² (normals). Colours leave the part of it within a colour. The rows of a Hadamard
matrix are taken in turn along the nodes. All m of them together are exact, and J changes slowly, so that neighbouring
nodes make up for each other.

Sources: Hutchinson (1990); Grathwohl et al., FFJORD (1810.01367), section 3.1; Meyer et al., Hutch++ (2010.09649),
algorithm 1; Tang and Saad, A probing method for computing the diagonal of a matrix inverse (2012), for colours;
Stathopoulos et al., Hierarchical probing (1302.4018), for signs of Hadamard matrices.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from ...solvers.common import Array, array, host, matching, widest
from ...solvers.noise import Keys, standard_normals

__all__ = ["LAWS", "TRACES", "Coloured", "Combined", "Exact", "HutchPlusPlus", "Hutchinson", "Orthogonal", "Trace"]

Products = Callable[[Tensor], Tensor]
"""The map from directions v, (m, P, d), to the products vᵀ J, (m, P, d)."""

LAWS = ("rademacher", "gaussian")
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


def draws(keys: Keys, nodes: Sequence[int], shape: Sequence[int], like: Tensor, law: str = "rademacher") -> Tensor:
    """Signs or normals of every node and sample, (n, B, *shape). Those of a sample depend on its key and the node."""
    normals = standard_normals(keys.values, nodes, shape, like.dtype)
    return normals if law == "gaussian" else torch.ones_like(normals).copysign(normals)


@dataclass(frozen=True)
class Hutchinson(Trace):
    """The estimates zᵀ J z of k probes z.

    Args:
        keys: of the samples.
        counts: the number of probes at each node.
        law: of the probes.
        frozen: whether the probes are the same at all nodes, which have the same number of them.
    """

    keys: Keys
    counts: tuple[int, ...]
    law: str = "rademacher"
    frozen: bool = False

    def directions(self, nodes: Sequence[int], k: int, x: Tensor) -> Tensor:
        """k probes at each point, (k, n B, d)."""
        streams = [0] * len(nodes) if self.frozen else nodes
        return draws(self.keys, streams, (k, x.shape[1]), x, self.law).flatten(0, 1).transpose(0, 1)

    def estimates(self, nodes: Sequence[int], products: Products, x: Tensor) -> Tensor:
        z = self.directions(nodes, self.counts[nodes[0]], x)
        return by_node(quadratic(z, products), nodes)

    def combined(self, weights: Tensor, found: Sequence[Tensor]) -> Combined:
        return spread(weights, found, self.frozen)

    def expected(self, weights: Array, errors: Array, gain: float) -> float:
        return self._of_all(self.counts, weights, errors)

    def _of_all(self, numbers: Sequence[int], weights: Array, errors: Array, gain: float = 1.0) -> float:
        """The variance with these numbers of probes."""
        if self.frozen:
            return float(((errors @ weights) ** 2).mean() / numbers[0] ** gain)
        return float(weights**2 * (errors**2).mean(0) @ np.array(numbers, dtype=float) ** -gain)

    def of_rows(self, index: Tensor) -> Self:
        return replace(self, keys=self.keys.of_rows(index))


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


@dataclass(frozen=True)
class HutchPlusPlus(Hutchinson):
    """The estimates of k sketched directions and k probes at each node, with 2 k ≤ d.

    Sketches are normal under either law: in a few dimensions two vectors of signs may be parallel. The derivative of an
    estimate takes Q for constant, which leaves no bias.
    """

    def estimates(self, nodes: Sequence[int], products: Products, x: Tensor) -> Tensor:
        k = self.counts[nodes[0]] // 3
        streams = [0] * len(nodes) if self.frozen else nodes
        shape = (k, x.shape[1])
        z = draws(self.keys, streams, shape, x, self.law).flatten(0, 1).transpose(0, 1)
        sketch = draws(self.keys, [~stream for stream in streams], shape, x, "gaussian").flatten(0, 1).transpose(0, 1)
        sketched = products(sketch)
        basis = torch.linalg.qr(sketched.detach().permute(1, 2, 0)).Q.permute(2, 0, 1)  # (k, P, d), orthonormal over k
        rest = z - torch.einsum("mpd,npd,npe->mpe", z, basis, basis)
        inside, outside = quadratic(torch.cat([basis, rest]), products).chunk(2)
        return by_node(inside.sum(0) + outside, nodes)

    def expected(self, weights: Array, errors: Array, gain: float) -> float:
        return self._of_all([count // 3 for count in self.counts], weights, errors, gain)


@dataclass(frozen=True)
class Orthogonal(Trace):
    """k rows h_j = D H_j of a Hadamard matrix H at each node, in turn, with random signs D and a random order of rows.

    The probes of one node and of different nodes are dependent. Let e_j(i) be the error h_jᵀ J h_j − tr J at node i,
    and C its covariance. The rows are exchangeable and their errors add up to zero, so that weights a_ij of them give

        Var Σ_ij a_ij e_j(i) = m/(m − 1) Σ_j b_jᵀ C b_j,      b_ij = a_ij − w_i/m,      Σ_j a_ij = w_i.

    C is that of errors along the nodes which a pilot has seen. For each sample it is scaled by the geometric mean of
    two ratios of what the run sees to what the pilot expects of it: the spread of the rows within the nodes, and the
    sums of each row over its nodes with alternating signs. A node with d rows takes the exact trace.

    Args:
        keys: of the samples.
        dim: d.
        counts: k, the number of rows at each node.
        errors: errors of some probes along the nodes, (M, N), float64; empty if there are none.
        frozen: whether the rows are the same at all nodes, which have the same number of them.
    """

    keys: Keys
    dim: int
    counts: tuple[int, ...]
    errors: Array
    frozen: bool = False

    @property
    def rows(self) -> int:
        """m, the number of rows: the least power of two from d on."""
        return 1 << (self.dim - 1).bit_length()

    @property
    def _shared(self) -> float:
        """m/(m − 1), since the errors of the rows add up to zero."""
        return self.rows / max(1.0, self.rows - 1.0)

    def estimates(self, nodes: Sequence[int], products: Products, x: Tensor) -> Tensor:
        if self.counts[nodes[0]] >= self.dim:
            return exact_trace(products, x).reshape(len(nodes), -1, 1)
        signs, order = self._design(x)
        positions = self._positions()
        turn = torch.from_numpy(np.stack([positions[i] for i in nodes]) % self.rows)
        rows = order[:, turn.to(x.device)].transpose(0, 1)  # (n, B, k)
        h = signs[:, None] * hadamard(rows, self.dim).to(x.dtype)  # (n, B, k, d)
        return by_node(quadratic(h.flatten(0, 1).transpose(0, 1), products), nodes)

    def combined(self, weights: Tensor, found: Sequence[Tensor]) -> Combined:
        if self.frozen and self.counts[0] < self.dim:
            whole = spread(weights, found, frozen=True)
            return replace(whole, variance=whole.variance * (1.0 - self.counts[0] / self.rows))
        value = sum_of(weights, [each.mean(1) for each in found])
        variance, freedom = torch.full_like(value, math.nan), torch.full_like(value, max(1.0, len(self.errors)))
        if len(self.errors):
            w = array(host(weights))
            variance = self.variance(w) * self._scale(w, [each.detach() for each in found])
        return Combined(value, variance, freedom)

    def expected(self, weights: Array, errors: Array, gain: float) -> float:
        if self.frozen:
            share = 0.0 if self.counts[0] >= self.dim else (self.rows / self.counts[0] - 1.0) / (self.rows - 1.0)
            return share * float(((errors @ weights) ** 2).mean())
        return self.variance(weights)

    def variance(self, weights: Array) -> float:
        """The variance for the errors that the pilot has seen."""
        m, away = self.rows, np.zeros((len(self.counts), self.rows))
        for i, (k, positions) in enumerate(zip(self.counts, self._positions(), strict=True)):
            if k < self.dim:
                away[i] = -weights[i] / m
                away[i, positions % m] += weights[i] / k
        return self._shared * float(((self.errors @ away) ** 2).sum(1).mean())

    def _scale(self, weights: Array, found: Sequence[Tensor]) -> Tensor:
        """The variance of each sample over that of the pilot's errors, float64 (B,)."""
        m, signed = self.rows, np.zeros((len(self.counts), self.rows))
        spread = found[0].new_zeros(len(found[0]))
        sums = spread[:, None].repeat(1, m)
        for i, (k, positions) in enumerate(zip(self.counts, self._positions(), strict=True)):
            if 1 < k < self.dim:
                signed[i, positions % m] = weights[i] / k * (-1.0) ** (positions // m)
                away = math.sqrt(k / (k - 1.0)) * (found[i] - found[i].mean(1, keepdim=True))  # the trace is unknown
                away = matching(torch.from_numpy(signed[i, positions % m]), away) * away
                spread = spread + away.square().sum(1)
                sums.index_add_(1, torch.from_numpy(positions % m).to(sums.device), away)
        expected_spread = self._shared * float((self.errors**2 @ (signed**2).sum(1)).mean())
        expected_sums = self._shared * float(((self.errors @ signed) ** 2).sum(1).mean())
        if min(expected_spread, expected_sums) == 0.0:
            return torch.ones_like(spread)
        return (spread / expected_spread * (sums.square().sum(1) / expected_sums)).sqrt()

    def of_rows(self, index: Tensor) -> Self:
        return replace(self, keys=self.keys.of_rows(index))

    def _positions(self) -> list[Array]:
        """The positions of each node's rows in the order, which is taken again and again."""
        starts = np.concatenate([[0], np.cumsum(self.counts)[:-1]]) * (not self.frozen)
        return [start + np.arange(k) for start, k in zip(starts, self.counts, strict=True)]

    def _design(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """D, (B, d), and the order of the rows, int64 (B, m), of every sample."""
        normals = standard_normals(self.keys.values, [0], (self.dim + self.rows,), torch.float32)[0]
        signs, order = torch.split(normals, [self.dim, self.rows], dim=1)
        return torch.ones_like(signs, dtype=x.dtype).copysign(signs), order.argsort(dim=1)


def hadamard(rows: Tensor, dim: int) -> Tensor:
    """The first d entries, ±1, of rows of Sylvester's Hadamard matrix: (−1)^(number of bits that row and column share).

    Example:
        >>> hadamard(torch.arange(4), 4)
        tensor([[ 1,  1,  1,  1],
                [ 1, -1,  1, -1],
                [ 1,  1, -1, -1],
                [ 1, -1, -1,  1]])
    """
    shared = rows[..., None] & torch.arange(dim, device=rows.device)
    for shift in (32, 16, 8, 4, 2, 1):
        shared = shared ^ (shared >> shift)
    return 1 - 2 * (shared & 1)


@dataclass(frozen=True)
class Coloured(Trace):
    """Random signs on the pixels of one colour, for each colour; and for one random colour once more.

    The second value of a colour shows the variance: (q − q')²/(2 p) is that of all colours, in expectation, if p is the
    probability of this one. It is in proportion to the pairs of pixels. The mean of both values is taken.

    Args:
        keys: of the samples.
        shape: of a sample, channels first.
        colours: the number of colours that each node may take (`colouring`).
    """

    keys: Keys
    shape: tuple[int, ...]
    colours: tuple[int, ...]

    @property
    def counts(self) -> tuple[int, ...]:  # type: ignore[override]
        return tuple(colour_count(self.shape, k) + 1 for k in self.colours)

    def estimates(self, nodes: Sequence[int], products: Products, x: Tensor) -> Tensor:
        dim = x.shape[1]
        colour = colouring(self.shape, self.colours[nodes[0]]).to(x.device)
        count = int(colour.max()) + 1
        normals = standard_normals(self.keys.values, nodes, (2 * dim + 1,), x.dtype).flatten(0, 1)
        signs = torch.ones_like(normals[:, :-1]).copysign(normals[:, :-1]).reshape(-1, 2, dim)
        own = (colour == torch.arange(count, device=x.device)[:, None]).to(x.dtype)  # (K, d)
        pixels = own.sum(1)
        pairs = pixels * (pixels - 1.0) + 1e-6  # where each colour has one pixel, all are alike
        share = pairs / pairs.sum()
        again = torch.searchsorted(share.cumsum(0), torch.special.ndtr(normals[:, -1])).clamp(max=count - 1)
        z = torch.cat([own[:, None] * signs[None, :, 0], (own[again] * signs[:, 1])[None]])
        q = quadratic(z, products)
        first, second = q[:-1].gather(0, again[None])[0], q[-1]
        variance = (0.5 / share[again] - 0.25) * (first - second).square()
        value = q[:-1].sum(0) + 0.5 * (second - first)
        return by_node(torch.stack([value, variance.detach()]), nodes)

    def combined(self, weights: Tensor, found: Sequence[Tensor]) -> Combined:
        value = sum_of(weights, [each[:, 0] for each in found])
        parts = torch.stack([w**2 * each[:, 1] for w, each in zip(weights, found, strict=True)]).detach()
        variance = parts.sum(0)
        return Combined(value, variance, (variance.square() / parts.square().sum(0)).nan_to_num(1.0))

    def expected(self, weights: Array, errors: Array, gain: float) -> float:
        numbers = np.array(self.counts) - 1.0
        return float(weights**2 * (errors**2).mean(0) @ numbers**-gain)

    def of_rows(self, index: Tensor) -> Self:
        return replace(self, keys=self.keys.of_rows(index))


def strides(shape: Sequence[int], colours: int) -> tuple[int, ...]:
    """The strides of a colouring along the axes of a sample, channels first, with at most so many colours.

    The channels are told apart first. Then the pixel axes have strides that are as equal as possible, each at most the
    length of its axis.

    Example:
        >>> strides((1, 28, 28), 16), strides((3, 32, 32), 40), strides((3, 32, 32), 2)
        ((1, 4, 4), (3, 3, 4), (1, 1, 2))
    """
    channels, *pixels = shape
    channels = channels if channels <= colours else 1
    found = [1] * len(pixels)
    while True:
        open_ = [a for a in range(len(pixels) - 1, -1, -1) if found[a] < pixels[a]]
        axis = min(open_, key=lambda a: found[a], default=None)
        if axis is None or channels * math.prod(found) // found[axis] * (found[axis] + 1) > colours:
            return (channels, *found)
        found[axis] += 1


def colour_count(shape: Sequence[int], colours: int) -> int:
    """The number of colours of `colouring`."""
    return math.prod(strides(shape, colours))


def colouring(shape: Sequence[int], colours: int) -> Tensor:
    """The colour of every component of a sample, int64 (d,): its position modulo the strides."""
    colour = torch.zeros((), dtype=torch.int64, device="cpu")
    for length, stride in zip(shape, strides(shape, colours), strict=True):
        colour = (colour * stride)[..., None] + torch.arange(length, device="cpu") % stride
    return colour.flatten()

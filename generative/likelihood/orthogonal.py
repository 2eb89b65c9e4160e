"""The rows of a Hadamard matrix as probes, in turn along the nodes.

All m of them together are exact, and J changes slowly, so that neighbouring nodes make up for each other.

Source: Stathopoulos et al., Hierarchical probing (1302.4018), for signs of Hadamard matrices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from ...solvers.common import Array, array, host, matching
from ...solvers.noise import Keys, standard_normals
from .trace import Combined, Products, Trace, by_node, exact_trace, quadratic, spread, sum_of

__all__ = ["Orthogonal", "hadamard"]


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

"""Independent probes z: normals or signs, alone (Hutchinson) or beside a sketch of J (Hutch++).

Let S = (J + Jᵀ)/2. The variance of one probe is 2 Σ_{i≠j} S_ij² (signs) or 2 Σ S_ij² (normals).

Sources: Hutchinson (1990); Grathwohl et al., FFJORD (1810.01367), section 3.1; Meyer et al., Hutch++ (2010.09649),
algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from ...solvers.common import Array
from ...solvers.noise import Keys, standard_normals
from .trace import Combined, Products, Trace, by_node, quadratic, spread

__all__ = ["LAWS", "HutchPlusPlus", "Hutchinson", "draws"]

LAWS = ("rademacher", "gaussian")


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


def draws(keys: Keys, nodes: Sequence[int], shape: Sequence[int], like: Tensor, law: str = "rademacher") -> Tensor:
    """Signs or normals of every node and sample, (n, B, *shape). Those of a sample depend on its key and the node."""
    normals = standard_normals(keys.values, nodes, shape, like.dtype)
    return normals if law == "gaussian" else torch.ones_like(normals).copysign(normals)

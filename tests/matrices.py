"""Estimators of a trace on matrices, one at each node, with draws that are given."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from fokker.generative.likelihood import coloured, hutchinson, orthogonal
from fokker.generative.likelihood.trace import Products, Trace
from fokker.solvers.common import Array
from fokker.solvers.noise import Keys

GENERATOR = torch.Generator().manual_seed(0)


def normals(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=GENERATOR)


def signs(dim: int) -> Tensor:
    """All sign vectors, (2^d, d)."""
    return torch.tensor(list(itertools.product((-1.0, 1.0), repeat=dim)), dtype=torch.float64)


def tuples(values: Tensor, count: int) -> Tensor:
    """All tuples of rows, (len(values)^count, count, …)."""
    return values[torch.tensor(list(itertools.product(range(len(values)), repeat=count)))]


def keys(count: int) -> Keys:
    return Keys(torch.arange(count))


def given(monkeypatch: pytest.MonkeyPatch, normals: Tensor) -> Keys:
    """The keys of samples for which these normals are drawn, (nodes, B, size), or (B, size) at every node."""

    def drawn(values: Tensor, nodes: Sequence[int], shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        found = normals[list(nodes)] if normals.dim() == 3 else normals.expand(len(nodes), -1, -1)
        return found[:, values].reshape(len(nodes), len(values), *shape).to(dtype)

    for module in (coloured, hutchinson, orthogonal):
        monkeypatch.setattr(module, "standard_normals", drawn)
    return keys(normals.shape[-2])


def products_of(matrices: Tensor) -> Products:
    """v -> vᵀ J with matrices (P, d, d)."""
    return lambda directions: torch.einsum("bij,mbi->mbj", matrices, directions)


def found(trace: Trace, matrices: Tensor, samples: int) -> list[Tensor]:
    """What is estimated of the matrices at the nodes, (N, d, d), for so many samples with the same ones."""
    x = matrices.new_zeros(samples, matrices.shape[-1])
    each = [products_of(matrix.expand(samples, -1, -1)) for matrix in matrices]
    return [trace.estimates([i], each[i], x)[0] for i in range(len(matrices))]


def trace_of(matrices: Tensor) -> Tensor:
    return matrices.diagonal(dim1=-2, dim2=-1).sum(-1)


def off_diagonal(matrices: Tensor) -> Tensor:
    """2 Σ_{i≠j} S_ij², the variance of one probe of signs."""
    part = 0.5 * (matrices + matrices.mT)
    return 2.0 * (part - torch.diag_embed(part.diagonal(dim1=-2, dim2=-1))).square().sum((-1, -2))


def errors_of(matrices: Tensor) -> Array:
    """The errors of all probes of signs at the nodes, (2^d, N). Their covariance is that of one probe."""
    z = signs(matrices.shape[-1])
    return (torch.einsum("mi,nij,mj->mn", z, matrices, z) - trace_of(matrices)).numpy()


def along_nodes(nodes: int, dim: int) -> Tensor:
    """Matrices that differ from node to node and yet have much in common, (N, d, d)."""
    return normals(dim, dim) + 0.5 * torch.linspace(0.0, 1.0, nodes)[:, None, None] * normals(dim, dim)


class Counted:
    """Products that count their directions."""

    def __init__(self, matrices: Tensor) -> None:
        self.products, self.directions = products_of(matrices), 0

    def __call__(self, directions: Tensor) -> Tensor:
        self.directions += len(directions)
        return self.products(directions)

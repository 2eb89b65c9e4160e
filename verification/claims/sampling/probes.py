"""Probes that do better than independent ones, and bounds that do better than one draw."""

from __future__ import annotations

import math
from itertools import combinations, pairwise, product

import torch
from torch import Tensor

from ....generative.likelihood import colouring, hadamard, quadratic
from ..claim import Check, claim
from ..sources import BURDA, FOKKER, STATHOPOULOS, TANG_SAAD
from ..tools.errors import order


def matrix(dim: int) -> Tensor:
    """A matrix without symmetry, float64 (d, d)."""
    row, column = torch.meshgrid(torch.arange(dim).double(), torch.arange(dim).double(), indexing="ij")
    return torch.sin(1.0 + 2.0 * row - 0.7 * column) + (row + 1.0) / (column + 2.0)


def signs(dim: int) -> Tensor:
    """All vectors of signs, float64 (2^d, d)."""
    return torch.tensor(list(product((-1.0, 1.0), repeat=dim)), dtype=torch.float64)


def within(jacobian: Tensor, colour: Tensor) -> float:
    """2 Σ S_ij² over i ≠ j of one colour, with S = (J + Jᵀ)/2."""
    symmetric = 0.5 * (jacobian + jacobian.T)
    alike = (colour[:, None] == colour) & ~torch.eye(len(colour), dtype=torch.bool)
    return 2.0 * float((symmetric.square() * alike).sum())


def values(directions: Tensor, jacobian: Tensor) -> Tensor:
    """vᵀ J v of directions (…, d)."""
    return quadratic(directions.reshape(-1, 1, len(jacobian)), lambda v: v @ jacobian).reshape(directions.shape[:-1])


@claim(
    "A226",
    STATHOPOULOS,
    FOKKER,
    statement="The rows of a Hadamard matrix with random signs are probes of a trace that together have no error; k of "
    "m rows have (m − k)/(m − 1) times the variance of independent signs.",
    formula="(1/m) Σ_j h_jᵀ J h_j = tr J,  Var (1/k) Σ_{j∈K} h_jᵀ J h_j = (2/k) Σ_{i≠j} S_ij² (m − k)/(m − 1)",
)
def orthogonal_probes() -> list[Check]:
    """All 16 vectors of signs and all sets of k of the 4 rows are enumerated: rounding of sums of some tens, 1e-12."""
    jacobian, dim = matrix(4), 4
    rows = hadamard(torch.arange(dim), dim).double()
    found = values(signs(dim)[:, None] * rows, jacobian)  # (16, 4)
    trace = float(jacobian.trace())
    checks = [Check(float((found.mean(1) - trace).abs().max()), 0.0, 1e-12, "all rows, less the trace")]
    variance = within(jacobian, torch.zeros(dim))
    for k in range(1, dim):
        means = torch.stack([found[:, list(some)].mean(1) for some in combinations(range(dim), k)])
        expected = variance / k * (dim - k) / (dim - 1)
        checks.append(Check(float(means.mean()), trace, 1e-12, f"the mean over {k} rows"))
        checks.append(Check(float((means - trace).square().mean()), expected, 1e-12, f"the variance of {k} rows"))
    return checks


@claim(
    "A227",
    TANG_SAAD,
    FOKKER,
    statement="Random signs on the components of one colour, for each colour, have the trace for their mean; their "
    "variance is that of the entries within a colour, and a matrix without such entries has its trace exactly.",
    formula="tr J = E Σ_c z_cᵀ J z_c,  Var = 2 Σ_{i≠j, c(i)=c(j)} S_ij²",
)
def coloured_probes() -> list[Check]:
    """Six components with strides of 2 and 3; all 64 vectors of signs: rounding of sums of some tens, 1e-12."""
    jacobian, dim, every = matrix(6), 6, signs(6)
    trace, checks = float(jacobian.trace()), []
    for colours in (2, 3):
        colour = colouring((1, dim), colours)
        own = (colour == torch.arange(colours)[:, None]).double()
        total = values(every[:, None] * own, jacobian).sum(1)
        checks.append(Check(float(total.mean()), trace, 1e-12, f"the mean over {colours} colours"))
        expected = within(jacobian, colour)
        variance = float((total - trace).square().mean())
        checks.append(Check(variance, expected, 1e-11, f"the variance of {colours} colours"))
        banded = jacobian.triu(1 - colours).tril(colours - 1)
        away = values(every[:, None] * own, banded).sum(1) - trace
        checks.append(Check(float(away.abs().max()), 0.0, 1e-12, f"a band of {colours - 1} beside the diagonal"))
    return checks


@claim(
    "A228",
    BURDA,
    statement="The logarithm of the mean of K importance weights is a bound of log P that rises with K, and its gap "
    "falls like 1/K.",
    formula="L_K = E log (1/K) Σ w_i ≤ L_{K+1} ≤ log E w,  log E w − L_K = Var w/(2 K (E w)²) + O(1/K²)",
)
def importance_weighted_bound() -> list[Check]:
    """Weights 1 ± a with probability ½ each: L_K is a sum over the binomial law, and log E w = 0. A gap is right to
    rounding, 1e-14, and the differences are of order 1/K², 1e-3 at least. The remainder after the first term has the
    order 2, to the 1/K of its own next term at K = 64 … 256.
    """
    a = 0.5

    def gap(draws: int) -> float:
        return -sum(
            math.comb(draws, j) * 0.5**draws * math.log(1.0 + a * (2.0 * j / draws - 1.0)) for j in range(draws + 1)
        )

    gaps = [gap(draws) for draws in range(1, 17)]
    steps = [before - after for before, after in pairwise(gaps)]
    sizes = (64, 128, 256)
    remainders = [gap(draws) - 0.5 * a**2 / draws for draws in sizes]
    return [
        Check(sum(step > 0.0 for step in steps), len(steps), 0.0, "steps from K to K + 1 that raise the bound"),
        Check(float(min(gaps) > 0.0), 1.0, 0.0, "whether every bound is below log E w"),
        Check(order(sizes, remainders), 2.0, 1.0 / 64.0, "the order of what the first term leaves"),
    ]

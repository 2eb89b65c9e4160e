"""Distances of two samples, with p-values by permutation.

    sample_w2   (min over pairings of the mean ‖x_i − y_π(i)‖²)^½: exact, of order n³: for n up to some thousand
    sliced_w2   the root mean square over directions θ of W₂ between the projections, which is a matter of sorting
    mmd         E k(x, x') + E k(y, y') − 2 E k(x, y), unbiased, k(x, y) = exp(−‖x − y‖²/2h²), h the median distance
    energy      2 E‖x − y‖ − E‖x − x'‖ − E‖y − y'‖: the same with k = −‖x − y‖, which needs no width

All are invariant under rotations and shifts of both samples (`sliced_w2` in the mean over its directions). If the two
laws are equal, exchanging members of the two samples does not change the joint law. Hence the p-value is the share of
the permutations (the identity included) whose statistic is at least the observed one, and it is exact for every n,

    P(p ≤ α) ≤ α,    with equality where α is a multiple of 1/(permutations + 1).

Sources: Gretton et al., A kernel two-sample test (2012), eq. 3; Székely and Rizzo, Energy statistics (2013); Bonneel et
al., Sliced and Radon Wasserstein barycenters of measures (2015); Phipson and Smyth, Permutation P-values should never
be zero (2010).
"""

from __future__ import annotations

import math

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ...solvers.common import check_memory, host, real, whole
from .marginals import Result, checked_samples

__all__ = ["energy", "mmd", "sample_w2", "sliced_w2"]


def sample_w2(x: Tensor, y: Tensor) -> float:
    """W₂ between two samples of n points each, (n, ...) with the axes of a point flattened, by the best pairing.

    Between independent samples of one law it is not zero, but of order n^{−1/d}, n^{−1/4} at the least: compare it with
    that. Raises ValueError for different numbers of points and for shapes that do not fit each other.
    """
    x, y = checked_samples(x, y)
    if len(x) != len(y):
        raise ValueError(f"The samples have {len(x)} and {len(y)} points; give as many of each.")
    check_memory("The number of points", len(x), 3 * len(x) ** 2)
    rows, columns = linear_sum_assignment(torch.cdist(x, y).square().numpy())
    return math.sqrt(float((x[rows] - y[columns]).square().sum(1).mean()))


def sliced_w2(x: Tensor, y: Tensor, *, directions: int = 32, permutations: int = 199, seed: int = 0) -> Result:
    """Sliced W₂ between two samples, on fixed random directions.

    The statistic is √(mean over θ of W₂²(θ·x, θ·y)); between normal laws with one covariance it is ‖m − m'‖/√d in the
    mean over all directions.

    Args:
        x: one sample, (n, ...); the axes of a point are flattened to d.
        y: the other sample, (m, ...).
        directions: the number of directions θ.
        permutations: the number of permutations for the p-value.
        seed: of the directions and the permutations.

    Returns:
        The statistic with its p-value.

    Raises:
        ValueError: for shapes that do not fit each other, for counts below one, and for those that memory does not
            hold.
    """
    x, y = checked_samples(x, y)
    directions, generator = whole("directions", directions, 1), _generator(seed)
    check_memory("directions", directions, directions * (4 * (len(x) + len(y)) + x.shape[1]))
    theta = torch.randn(x.shape[1], directions, generator=generator, dtype=torch.float64, device="cpu")
    values, order = (torch.cat([x, y]) @ (theta / theta.norm(dim=0))).sort(dim=0)
    n, m = len(x), len(y)
    # The quantile functions are equal steps: between two neighbours of k/n and k/m both are constant.
    edges = torch.unique(host([*(i / n for i in range(n + 1)), *(i / m for i in range(1, m))]))
    middle, width = 0.5 * (edges[1:] + edges[:-1]), edges.diff()
    at_x, at_y = (middle * n).long(), (middle * m).long()

    def squares(first: Tensor) -> Tensor:
        """The mean over directions of W₂², for a mask (n + m,) that is true for the first sample."""
        mask = first[order]
        columns = values.T.contiguous()
        one, two = columns[mask.T].reshape(-1, n), columns[~mask.T].reshape(-1, m)
        squared: Tensor = (one[:, at_x] - two[:, at_y]).square() @ width
        return squared

    masks = _labels(n, m, permutations, generator)
    statistics = torch.stack([squares(mask).mean() for mask in masks])
    return Result("sliced W2", math.sqrt(float(statistics[0])), _p_value(statistics), (n, m))


def mmd(x: Tensor, y: Tensor, *, width: float | None = None, permutations: int = 199, seed: int = 0) -> Result:
    """The squared maximum mean discrepancy of two samples. The estimate is unbiased, and hence negative at times.

    Memory is of order (n + m)².

    Args:
        x: one sample, (n, ...).
        y: the other sample, (m, ...).
        width: h of the kernel above; the median distance between all points if None.
        permutations: the number of permutations for the p-value.
        seed: of the permutations.

    Returns:
        The statistic with its p-value.

    Raises:
        ValueError: for shapes that do not fit each other, for a width that is not positive, for no permutation, and for
            more points and permutations than memory holds.
    """
    x, y = checked_samples(x, y)
    width = None if width is None else real("width", width, above=0.0)
    distances = _distances(x, y)
    h = float(distances[torch.triu(torch.ones_like(distances), 1) > 0.0].median()) if width is None else width
    if h == 0.0:
        raise ValueError("Most of the points are the same, so that their median distance is 0; give a width.")
    return _kernel_test("mmd", torch.exp(-0.5 * (distances / h) ** 2), len(x), permutations, seed)


def energy(x: Tensor, y: Tensor, *, permutations: int = 199, seed: int = 0) -> Result:
    """The energy distance of two samples. The estimate is unbiased, and hence negative at times.

    Memory is of order (n + m)².

    Args:
        x: one sample, (n, ...).
        y: the other sample, (m, ...).
        permutations: the number of permutations for the p-value.
        seed: of the permutations.

    Returns:
        The statistic with its p-value.

    Raises:
        ValueError: for shapes that do not fit each other, for no permutation, and for more points and permutations than
            memory holds.
    """
    x, y = checked_samples(x, y)
    return _kernel_test("energy", -_distances(x, y), len(x), permutations, seed)


def _distances(x: Tensor, y: Tensor) -> Tensor:
    both = torch.cat([x, y])
    check_memory("The number of points", len(both), 3 * len(both) ** 2)
    return torch.cdist(both, both, compute_mode="donot_use_mm_for_euclid_dist")


def _kernel_test(test: str, kernel: Tensor, n: int, permutations: int, seed: int) -> Result:
    """Σ_{i≠j} k/(n(n−1)) of the first n, the same of the others, less 2/(n m) Σ k between them."""
    m = len(kernel) - n
    kernel = kernel - torch.diag(kernel.diagonal())
    first = _labels(n, m, permutations, _generator(seed)).double()
    sums = first @ kernel
    inside = (sums * first).sum(1)
    between = sums.sum(1) - inside
    outside = kernel.sum() - inside - 2.0 * between
    statistics = inside / (n * (n - 1)) + outside / (m * (m - 1)) - 2.0 * between / (n * m)
    return Result(test, float(statistics[0]), _p_value(statistics), (n, m))


def _labels(n: int, m: int, permutations: int, generator: torch.Generator) -> Tensor:
    """Masks of the first sample, (1 + permutations, n + m): the one at hand, then the permuted."""
    permutations = whole("permutations", permutations, 1)
    check_memory("permutations", permutations, 4 * permutations * (n + m))
    ranks = torch.rand(permutations, n + m, generator=generator, dtype=torch.float64, device="cpu").argsort(1)
    return torch.cat([torch.arange(n + m, device="cpu")[None] < n, ranks < n])


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(whole("seed", seed, -(2**63), 2**63 - 1))


def _p_value(statistics: Tensor) -> float:
    """The share with a statistic that is no less than the first; equal but for rounding is equal."""
    slack = 1e-12 * float(statistics.abs().amax())
    return float((statistics >= statistics[0] - slack).double().mean())

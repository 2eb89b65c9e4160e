"""Brownian motion as a sum over cells: which normals make an increment, and with what weights.

A step over [q₀, q₁] needs the integral ∫ f dW of one function f, or of two:

    P₀ = 1/√Δq                     ξ = (W_{q₁} − W_{q₀}) / √Δq
    P₁ = √12 (q̄ − q) / Δq^{3/2}    η = H / √(Δq/12),    H = (1/Δq) ∫ (W_q − W_{q₀}) dq − (W_{q₁} − W_{q₀})/2

(q̄ the middle of the step, H its space-time Lévy area). They are orthonormal: ξ and η are independent N(0, 1).

The interval is halved again and again. A cell has k = 1 function (P₀), or k = 2 (P₀ and P₁) for paths with areas. Its
two halves have 2k functions, which span the cell's own k and k more. The further k, made orthonormal, belong to the
node of the cell. If ρ and σ are the shares of the left and the right half (ˡ and ʳ) in the cell's variance, they are

    k = 1    √σ P₀ˡ − √ρ P₀ʳ
    k = 2    δ (√σ P₀ˡ − √ρ P₀ʳ) − √3/δ (ρ²√σ P₁ˡ + σ²√ρ P₁ʳ)
             (σ^{3/2} P₁ˡ − ρ^{3/2} P₁ʳ) / δ                         δ = √(1 − 3ρσ)

The functions of the whole interval and of all nodes are an orthonormal basis (Haar's for k = 1, Alpert's for k = 2), so
that with an independent normal X for each of them

    ∫ f dW = Σ_φ ⟨f, φ⟩ X_φ

is Brownian motion. It is Lévy's construction, in which each half is conditioned on its cell. The functions of a step
are constant or linear on all cells but those around its two ends, so that only the nodes of these cells contribute.

The halving ends when a cell is narrow against its distance from the ends of the interval, where equations are singular
and times accumulate. This last cell is split at the time asked for. Increments between times that share no last cell
have exactly their law. Inside a last cell the path is consistent, but smooth.

Sources: Lévy (1939); Alpert, A class of bases in L² for the sparse representation of integral operators (1993); Foster,
Lyons and Oberhauser, An optimal polynomial approximation of Brownian motion (1904.06998); Jelinčič, Foster and Kidger,
Single-seed generation of Brownian paths and integrals (2405.06464), for the conditional law of both halves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ..common import Array, array, host

__all__ = ["Clock", "Interval"]

Clock = Callable[[Tensor], Tensor]
"""q, the variance of the path, as a function of float64 times."""
Cells = dict[int, tuple[float, float, float]]
"""By node, the left end, the split and the right end of its cell, in time. The cell of node 1 is the whole interval,
and the halves of cell c are the cells 2c and 2c + 1."""

_NARROWEST = 2.0**-50  # of the interval: floats are not much closer, and the numbers of the nodes fit into 64 bits


@dataclass(frozen=True)
class Interval:
    """The interval [t0, t1] and its halves.

    Attributes:
        t0: the left end, a time.
        t1: the right end, a time.
        k: the number of functions of every cell: 1, or 2 for paths with areas.
        resolution: the width of the last cells, over their distance from the ends of the interval.
    """

    t0: float
    t1: float
    k: int
    resolution: float

    def weights(self, t0: float, t1: float, clock: Clock, rows: int) -> tuple[list[int], Array]:
        """ξ, or ξ and η, of a step as combinations of normals.

        Args:
            t0: the start of the step.
            t1: its end, after t0.
            clock: q.
            rows: 1 for ξ, 2 for (ξ, η).

        Returns:
            The numbers of the normals, and their weights, (rows, normals). Normal k c + j is the j-th normal of node
            c; c = 0 stands for the whole interval.

        Raises:
            ValueError: an area is asked for up to a time of infinite variance.
        """
        early, late = self.cells(t0), self.cells(t1)
        cells = early | late
        times = [t0, t1, self.t0, self.t1, *(t for cell in cells.values() for t in cell)]
        # A vectorised clock may differ in the last bit between equal times, and so fall between near ones.
        distinct, where = torch.unique(host(times), return_inverse=True)
        q = array(clock(distinct).detach().cummax(0).values[where])
        (start, end), whole, halves = q[:2], q[2:4], q[4:].reshape(-1, 3).T
        if 0.0 < end - start < math.inf:
            step = _Step(start, end, rows, self.k)
            if early.keys() == late.keys() and early != late:  # one last cell, split at both times
                begin, before = halves[0, -1], halves.copy()
                before[1, -1] = start
                weights = step.products(begin, end, whole, halves) - step.products(begin, start, whole, before)
            else:
                weights = step.products(start, end, whole, halves)
        elif rows == 1 or end == start:  # the increment is zero, or dwarfs the earlier ones: a new normal is exact
            weights = np.eye(rows, self.k * (1 + len(cells)))
        else:
            raise ValueError(
                f"The variance of the noise from {t0:g} to {t1:g} is infinite, so that its path has no area; end "
                "earlier, or use a solver that needs no area."
            )
        return [self.k * node + j for node in (0, *cells) for j in range(self.k)], weights

    def cells(self, t: float) -> Cells:
        """The cells around t, from the whole interval to the last one, which is split at t."""
        return _cells(t, self.t0, self.t1, self.resolution)


@lru_cache(maxsize=64)
def _cells(t: float, t0: float, t1: float, resolution: float) -> Cells:
    cells: Cells = {}
    left, right, node = t0, t1, 1
    narrowest = _NARROWEST * (t1 - t0)
    while left < t < right:
        middle = 0.5 * (left + right)
        if right - left <= max(narrowest, resolution * min(middle - t0, t1 - middle)):
            middle = t
        cells[node] = (left, middle, right)
        left, right, node = (left, middle, 2 * node) if t < middle else (middle, right, 2 * node + 1)
    return cells


@dataclass(frozen=True)
class _Step:
    """The first `rows` of the functions P₀ and P₁ of the step [start, end], in q."""

    start: float
    end: float
    rows: int
    k: int

    def products(self, low: float, high: float, whole: Array, halves: Array) -> Array:
        """⟨P, φ⟩ over [low, high] for the functions φ of the interval and of the nodes: (rows, k (1 + nodes))."""
        left, middle, right = halves
        products = self._products_with_cells(
            low, high, np.concatenate([whole[:1], left, middle]), np.concatenate([whole[1:], middle, right])
        )
        of_left, of_right = np.split(products[:, 1:], 2, axis=1)
        on_left, on_right = _node_functions(left, middle, right, self.k)
        nodes = of_left @ on_left + of_right @ on_right
        return np.concatenate([products[:, :1], nodes], axis=1).reshape(self.rows, -1)

    def _products_with_cells(self, low: float, high: float, left: Array, right: Array) -> Array:
        """⟨P, φ⟩ over [low, high] for the k functions φ of each cell [left, right]: (rows, cells, 1, k)."""
        first, last = np.maximum(left, low), np.minimum(right, high)
        step, size, shared = self.end - self.start, right - left, np.maximum(last - first, 0.0)
        some = (shared > 0.0) & (size < math.inf)
        constant: Array = np.divide(shared, np.sqrt(step * size), out=np.zeros_like(size), where=some)
        if self.k == 1:
            return constant.reshape(1, -1, 1, 1)
        # √12 times the distances from the middle of [first, last] to the middles of the step and of the cell. They are
        # made of differences, which are exact for close times.
        root = math.sqrt(3.0)
        of_step = root * ((self.start - first) + (self.end - last)) / step
        of_cell = np.add(left - first, right - last, out=np.zeros_like(size), where=some)
        of_cell = np.divide(root * of_cell, size, out=of_cell, where=some)
        products: Array = np.array([[np.ones_like(size), of_cell], [of_step, of_step * of_cell + constant**2]])
        products *= constant
        return products[: self.rows].transpose(0, 2, 1)[:, :, np.newaxis]


def _node_functions(left: Array, middle: Array, right: Array, k: int) -> tuple[Array, Array]:
    """The k functions φ of each node in terms of the functions P of its left half and of its right half.

    A half of infinite variance has the functions of its cell, and the other half has those of the node.

    Returns:
        The coefficients for the left half and for the right half, each (nodes, P, φ).
    """
    of_left, size = middle - left, right - left
    regular = (size > 0.0) & (size < math.inf)
    rho = np.divide(of_left, size, out=np.isinf(of_left).astype(float), where=regular)
    sigma = np.divide(right - middle, size, out=1.0 - rho, where=regular)
    root_rho, root_sigma = np.sqrt(rho), np.sqrt(sigma)
    if k == 1:
        return root_sigma[:, None, None], -root_rho[:, None, None]
    delta, root, zero = np.sqrt(1.0 - 3.0 * rho * sigma), math.sqrt(3.0), np.zeros_like(rho)
    on_left = [[delta * root_sigma, zero], [-root * rho**2 * root_sigma / delta, sigma * root_sigma / delta]]
    on_right = [[-delta * root_rho, zero], [-root * sigma**2 * root_rho / delta, -rho * root_rho / delta]]
    return np.array(on_left).transpose(2, 0, 1), np.array(on_right).transpose(2, 0, 1)

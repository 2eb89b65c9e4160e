"""Tableaus of explicit Runge-Kutta methods, which prove their own order.

    k_i = f(t₀ + c_i h, x₀ + h Σ_j a_ij k_j),        x₁ = x₀ + h Σ_i b_i k_i

A method has order p exactly if Φ(τ) = 1/γ(τ) for every rooted tree τ with at most p nodes, where, for the tree with
subtrees τ₁ … τ_m, γ is its number of nodes times the product of γ(τ_j), and Φ is Σ_i b_i Π_j Φ_i(τ_j) with
Φ_i(τ) = Σ_k a_ik Π_j Φ_k(τ_j). A tableau checks these conditions when it is made, so that a wrong one cannot exist.

An embedded pair has a second row b̂ of another order, and h Σ (b_i − b̂_i) k_i estimates the error. In the pairs here
the last stage is the slope at the end of the step, which is the first stage of the next one. Between the ends, at
t₀ + θh, the state is the Hermite cubic of both states and slopes plus a quartic that vanishes there,

    x_θ = x₀ + h Σ_i [ θ²(3 − 2θ) b_i + θ(1 − θ)² δ_{i1} + θ²(θ − 1) δ_{is} + θ²(1 − θ)² d_i ] k_i,

whose d makes it of order 4 (with d = 0 it is of order 3). Its local error, one order below the pair's, is of the order
of the pair's global one, and it costs no evaluation. The tableau checks the conditions Σ_i b_i(θ) Φ_i(τ) = θ^{|τ|}/γ(τ)
for every power of θ.

Source: Hairer, Nørsett and Wanner, Solving ODEs I, sections II.1, II.2 and II.6.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from ..common import Array, check_fields, reals, whole

__all__ = ["ButcherTableau", "rooted_trees"]

Tree = tuple[Any, ...]
_HIGHEST = 12
"""The highest order whose conditions, one for each of 7813 trees, are checked within a second."""


@cache
def rooted_trees(nodes: int) -> tuple[Tree, ...]:
    """All rooted trees with this number of nodes; a tree is the sorted tuple of its subtrees."""

    def forests(size: int, largest: Tree | None) -> Iterator[Tree]:
        if size == 0:
            yield ()
        for first in range(1, size + 1):
            for tree in rooted_trees(first):
                key = (first, tree)
                if largest is None or key <= largest:
                    yield from ((tree, *rest) for rest in forests(size - first, key))

    return tuple(forests(nodes - 1, None))


@dataclass(frozen=True)
class ButcherTableau:
    """The numbers of an explicit Runge-Kutta method, or of an embedded pair. It checks its orders when it is made.

    Args:
        order: the order of the weights b.
        c: the nodes of the stages, in units of the step.
        a: the rows of the stages, strictly lower triangular: row i has i entries.
        b: the weights.
        embedded_order: the order of the embedded weights; None without them.
        embedded_b: the weights b̂ of the embedded method, whose difference from b estimates the error.
        dense_order: the order of the interpolant; None without one.
        dense: the coefficients d of the interpolant; zero if they are not given.

    Raises:
        TypeError: a number is none.
        ValueError: a number is not finite, the order is above 12, the rows do not fit each other, a row does not sum to
            its node, the weights or the interpolant miss a condition of their order, or the last stage of a tableau
            with an interpolant is not the slope at the end of the step.
    """

    order: int
    c: tuple[float, ...]
    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    embedded_order: int | None = None
    embedded_b: tuple[float, ...] | None = None
    dense_order: int | None = None
    dense: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        self._check_numbers()
        stages = len(self.c)
        if len(self.a) != stages or any(len(row) != i for i, row in enumerate(self.a)) or len(self.b) != stages:
            raise ValueError(f"A tableau of {stages} stages needs rows of 0 to {stages - 1} entries, {stages} weights.")
        if {len(self.embedded_b or self.b), len(self.dense or self.b)} != {stages}:
            raise ValueError(f"A tableau of {stages} stages needs {stages} embedded and dense weights, or none.")
        for i, row in enumerate(self.a):
            if abs(sum(row) - self.c[i]) > 1e-14:
                raise ValueError(f"Row {i} of the tableau sums to {sum(row):g}, but its node is {self.c[i]:g}.")
        for b, order in ((self.b, self.order), (self.embedded_b, self.embedded_order)):
            if b is not None and order is not None:
                for tree, _, density, values in self._trees(order):
                    if abs(np.dot(b, values) - 1.0 / density) > 1e-13:
                        raise ValueError(f"The tableau is not of order {order}: it misses the condition of {tree}.")
        if self.dense_order is not None:
            self._check_interpolant(self.dense_order)

    def _check_numbers(self) -> None:
        """Keep the numbers as floats. Raises TypeError or ValueError for what are none."""
        check_fields(self, whole, "order", low=1, high=_HIGHEST)
        check_fields(self, reals, "c", "b", "dense")
        if not isinstance(self.a, Sequence):
            raise TypeError(f"a is of type {type(self.a).__name__}; give the rows of a lower triangular matrix.")
        object.__setattr__(self, "a", tuple(reals(f"a[{i}]", row) for i, row in enumerate(self.a)))
        if (self.embedded_order is None) != (self.embedded_b is None):
            raise ValueError("An embedded method has an order and weights; give embedded_order and embedded_b.")
        if self.embedded_b is not None:
            check_fields(self, whole, "embedded_order", low=0, high=_HIGHEST)
            check_fields(self, reals, "embedded_b")
        if self.dense_order is not None:
            check_fields(self, whole, "dense_order", low=1, high=_HIGHEST)

    def _check_interpolant(self, order: int) -> None:
        """Raise ValueError if the interpolant is not of this order."""
        if not self.reuses_last_stage:
            raise ValueError("An interpolant needs the slope at the end of the step as the tableau's last stage.")
        powers = np.arange(1, 5)
        for tree, nodes, density, values in self._trees(order):
            if np.abs(self.interpolant @ values - (powers == nodes) / density).max() > 1e-12:
                raise ValueError(f"The interpolant is not of order {order}: it misses the condition of {tree}.")

    def _trees(self, order: int) -> Iterator[tuple[Tree, int, int, Array]]:
        """τ, |τ|, γ(τ), and Φ_i(τ) for every stage i, (stages,), for every tree τ with at most `order` nodes."""
        matrix = np.zeros((len(self.c), len(self.c)))
        for i, row in enumerate(self.a):
            matrix[i, :i] = row

        def weight(tree: Tree) -> tuple[int, int, Array]:
            product, density, nodes = np.ones(len(self.c)), 1, 1
            for subtree in tree:
                subnodes, subdensity, values = weight(subtree)
                product, density, nodes = product * (matrix @ values), density * subdensity, nodes + subnodes
            return nodes, density * nodes, product

        for nodes in range(1, order + 1):
            for tree in rooted_trees(nodes):
                yield tree, *weight(tree)

    @cached_property
    def interpolant(self) -> Array:
        """The coefficients of θ, θ², θ³ and θ⁴ in the weights b_i(θ), an array (4, stages)."""
        first, last = np.eye(len(self.b))[[0, -1]]
        b, d = np.array(self.b), np.array(self.dense or np.zeros(len(self.b)))
        return np.stack([first, 3.0 * b - 2.0 * first - last + d, first + last - 2.0 * b - 2.0 * d, d])

    @property
    def reuses_last_stage(self) -> bool:
        """Whether the last stage is the slope at the end of the step."""
        return self.c[-1] == 1.0 and self.a[-1] == self.b[:-1] and self.b[-1] == 0.0

    @cached_property
    def evaluations(self) -> int:
        """The number of evaluations of one step on a fixed grid."""
        return len(self.c) - self.reuses_last_stage

"""Clenshaw and Curtis' quadrature, ∫₀¹ f ds ≈ Σ w_i f(s_i), and what its nodes say of its error.

The nodes s_i = (1 − cos(π i/n))/2 are exact for polynomials of degree n. The nodes of n are among those of 2n, so that
a value can be refined without losing an evaluation. With p the polynomial through every second node, the difference
between the integrals with all and with half of the nodes is Σ w_i (f − p)(s_i) over the other ones.

Sources: Trefethen, Is Gauss quadrature better than Clenshaw-Curtis? (2008), sections 2 and 3; Berrut and Trefethen,
Barycentric Lagrange interpolation (2004), eqs. 4.2 and 5.4.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from ...solvers.common import Array

__all__ = ["clenshaw_curtis", "interpolation", "refinement"]


@cache
def clenshaw_curtis(n: int) -> tuple[Array, Array]:
    """Clenshaw and Curtis' nodes and weights on [0, 1].

    Args:
        n: the number of intervals, even.

    Returns:
        The nodes, rising, and the weights, n + 1 each.

    Example:
        >>> nodes, weights = clenshaw_curtis(2)  # Simpson's rule
        >>> (6.0 * weights).round(12).tolist()
        [1.0, 4.0, 1.0]
    """
    angle = np.pi * np.arange(n + 1) / n
    even = np.arange(0, n + 1, 2)
    terms = np.where((even == 0) | (even == n), 0.5, 1.0) / (1.0 - even**2)
    weights = 2.0 / n * (np.cos(np.outer(angle, even)) @ terms)
    weights[[0, -1]] *= 0.5
    return np.sin(0.5 * angle) ** 2, weights


def interpolation(n: int, s: Array) -> Array:
    """The matrix (len(s), n + 1) from values at the nodes of n intervals to their polynomial at s."""
    weights = np.where(np.arange(n + 1) % 2, -1.0, 1.0)
    weights[[0, -1]] *= 0.5
    distance = s[:, None] - np.sin(0.5 * np.pi * np.arange(n + 1) / n) ** 2
    at_node = distance == 0.0
    terms = weights / np.where(at_node, 1.0, distance)
    terms = np.where(at_node.any(1, keepdims=True), at_node, terms)
    matrix: Array = terms / terms.sum(1, keepdims=True)
    return matrix


def refinement(values: Array) -> tuple[Array, Array]:
    """How much the integral with n intervals differs from that with n/2, per column of values at the nodes, (n + 1, …).

    Returns:
        |Σ w_i (f − p)(s_i)| and Σ w_i |f − p|(s_i).
    """
    n = len(values) - 1
    nodes, weights = clenshaw_curtis(n)
    away = values[1::2] - interpolation(n // 2, nodes[1::2]) @ values[::2]
    return np.abs(weights[1::2] @ away), weights[1::2] @ np.abs(away)

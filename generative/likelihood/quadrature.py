"""Weights of quadrature, ∫ f dr ≈ Σ w_i f(r_i).

Clenshaw and Curtis: the nodes r_i = (1 − cos(π i/n))/2 on [0, 1] are exact for polynomials of degree n. The nodes of n
are among those of 2n, so that a value can be refined without losing an evaluation. The refinement also shows the error:
with p the polynomial through the nodes of n, the two values differ by Σ w_i (f − p)(r_i) over the added nodes.

Composite: the nodes are given, and each interval is integrated by the polynomial through the nearest `points` of them.

Sources: Trefethen, Is Gauss quadrature better than Clenshaw-Curtis? (2008), sections 2 and 3; Berrut and Trefethen,
Barycentric Lagrange interpolation (2004), eqs. 4.2 and 5.4.
"""

from __future__ import annotations

import numpy as np

from ...solvers.common import Array

__all__ = ["clenshaw_curtis", "composite", "interpolation_matrix"]


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


def interpolation_matrix(n: int) -> Array:
    """The matrix (n, n + 1) from values at the nodes of n to their polynomial at the n nodes of 2n in between."""
    weights = np.where(np.arange(n + 1) % 2, -1.0, 1.0)
    weights[[0, -1]] *= 0.5
    terms = weights / (clenshaw_curtis(2 * n)[0][1::2, None] - clenshaw_curtis(n)[0])
    matrix: Array = terms / terms.sum(1, keepdims=True)
    return matrix


def composite(nodes: Array, points: int) -> Array:
    """The weights of given nodes.

    Args:
        nodes: n + 1 rising or falling numbers.
        points: the number of nodes of a polynomial, and the order of the rule if there are as many nodes.

    Returns:
        n + 1 weights.
    """
    count = min(points, len(nodes))
    intervals = np.arange(len(nodes) - 1)
    first = np.clip(intervals - (count - 2) // 2, 0, len(nodes) - count)
    chosen = first[:, None] + np.arange(count)
    start, step = nodes[:-1, None], np.diff(nodes)[:, None]
    powers = np.arange(count)
    offsets = (nodes[chosen] - start) / step
    moments = np.broadcast_to(1.0 / (powers + 1.0), chosen.shape)
    solved = np.linalg.solve(offsets[:, None, :] ** powers[:, None], moments[..., None])[..., 0] * step
    weights = np.zeros(len(nodes))
    np.add.at(weights, chosen, solved)
    return weights

"""Weights of quadrature, ∫ f dr ≈ Σ w_i f(r_i).

Clenshaw and Curtis: r_i = (1 − cos(π i/n))/2 on [0, 1], exact for polynomials of degree n. The nodes of n are among
those of 2n, so that a value can be refined, and its error seen, without losing an evaluation: with p the polynomial
through the nodes of n, the two values differ by Σ w_i (f − p)(r_i) over the nodes that are added.

Composite: on nodes that are given, each interval by the polynomial through the nearest `points` of them.

Sources: Trefethen, Is Gauss quadrature better than Clenshaw-Curtis? (2008), sections 2 and 3; Berrut and Trefethen,
Barycentric Lagrange interpolation (2004), eqs. 4.2 and 5.4.
"""

from __future__ import annotations

import numpy as np

from ...solvers.common import Array

__all__ = ["clenshaw_curtis", "composite", "refinement"]


def clenshaw_curtis(n: int) -> tuple[Array, Array]:
    """Nodes and weights, n + 1 each, on [0, 1], for an even n."""
    angle = np.pi * np.arange(n + 1) / n
    even = np.arange(0, n + 1, 2)
    terms = np.where((even == 0) | (even == n), 0.5, 1.0) / (1.0 - even**2)
    weights = 2.0 / n * (np.cos(np.outer(angle, even)) @ terms)
    weights[[0, -1]] *= 0.5
    return np.sin(0.5 * angle) ** 2, weights


def refinement(n: int) -> Array:
    """The polynomial through the nodes of n at the n nodes of 2n between them, as a matrix (n, n + 1)."""
    weights = np.where(np.arange(n + 1) % 2, -1.0, 1.0)
    weights[[0, -1]] *= 0.5
    terms = weights / (clenshaw_curtis(2 * n)[0][1::2, None] - clenshaw_curtis(n)[0])
    matrix: Array = terms / terms.sum(1, keepdims=True)
    return matrix


def composite(nodes: Array, points: int) -> Array:
    """Weights at monotone nodes (n + 1,), in either direction; of order `points`, where there are as many nodes."""
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

"""Clenshaw and Curtis' quadrature, ∫₀¹ f ds ≈ Σ w_i f(s_i), and what its nodes say of its error.

The nodes s_i = (1 − cos(π i/n))/2 are exact for polynomials of degree n. The nodes of n are among those of 2n, so that
a value can be refined without losing an evaluation. With p the polynomial through every second node, the difference
between the integrals with all and with half of the nodes is Σ w_i (f − p)(s_i) over the other ones.

Sources: Trefethen, Is Gauss quadrature better than Clenshaw-Curtis? (2008), sections 2 and 3; Berrut and Trefethen,
Barycentric Lagrange interpolation (2004), eqs. 4.2 and 5.4; Trefethen, Approximation Theory and Approximation Practice,
chapters 4 (aliasing) and 19 (its effect on the quadrature).
"""

from __future__ import annotations

from functools import cache

import numpy as np

from ...solvers.common import Array

__all__ = ["clenshaw_curtis", "expected_error", "interpolation"]

TINY = 1e-18
"""The least coefficient."""
LATER = 5
"""The number of further terms that may be as large as the last ones."""


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


def expected_error(values: Array) -> Array:
    """What the values at the nodes say of the error of their integral, per column of (n + 1, …).

    They have a series Σ a_k T_k(2 s − 1) of Chebyshev polynomials. A line is fitted to log |a_k| for the last two
    thirds of k = 0 … n, and continued to k > n. The nodes of n intervals take T_k for T_j with j = |k − 2 n i|, so
    that each term is off by a_k (1/(1 − k²) − 1/(1 − j²)). The size of the sum is that of terms with random signs. A
    series that falls fast at first may fall slowly later: to this some terms are added that are as large as the last.
    """
    n, flat = len(values) - 1, values.reshape(len(values), -1)
    k = np.arange(n + 1)
    halved = np.where((k == 0) | (k == n), 0.5, 1.0)
    size = np.abs(2.0 / n * halved[:, None] * (np.cos(np.pi / n * np.outer(k, k)) @ (halved[:, None] * flat)))
    pairs = np.sqrt(0.5 * (size[1:] ** 2 + size[:-1] ** 2))  # of even and of odd functions every second term vanishes
    level = np.log(np.maximum(pairs, TINY))[-max(4, 2 * n // 3) :]
    degree = np.arange(len(level)) - 0.5 * (len(level) - 1)
    centre = level.mean(0)
    fall = np.minimum(0.0, degree @ (level - centre) / (degree @ degree))
    scatter = np.sqrt(np.square(level - centre - np.outer(degree, fall)).mean(0))
    beyond = np.arange(n + 2, 4 * n + 1, 2)
    alias = np.abs(beyond - 2 * n * np.round(beyond / (2 * n)))
    off = 1.0 / (1.0 - beyond**2) - 1.0 / (1.0 - alias**2)
    logs = 2.0 * (centre + degree[-1] * fall + scatter) + 2.0 * np.outer(beyond - n, fall)
    later = np.sqrt(np.square(off[:LATER]).sum() * np.square(pairs[-max(3, n // 4) :]).mean(0))
    error: Array = np.hypot(np.sqrt(off**2 @ np.exp(logs)), later).reshape(values.shape[1:])
    return error

"""Weights of quadrature against closed forms and against polynomials that scipy interpolates."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.interpolate import KroghInterpolator

from fokker.generative.likelihood.quadrature import clenshaw_curtis, composite, interpolation_matrix

UNEVEN = np.cumsum(np.random.default_rng(0).uniform(0.2, 1.0, 12)) - 1.5
GAUSS, WEIGHTS = np.polynomial.legendre.leggauss(8)


def between(f, a: float, b: float) -> float:
    """Gauss and Legendre's rule of eight nodes, exact to degree 15."""
    return float((WEIGHTS * f(0.5 * (a + b) + 0.5 * (b - a) * GAUSS)).sum()) * 0.5 * (b - a)


@pytest.mark.parametrize("nodes", [UNEVEN, UNEVEN[::-1], np.linspace(1.0, 0.0, 9)], ids=["up", "down", "even"])
@pytest.mark.parametrize("points", [2, 3, 4, 6])
def test_the_composite_rule_is_exact_below_its_degree(nodes, points: int) -> None:
    weights = composite(nodes, points)
    for degree in range(points):
        exact = (nodes[-1] ** (degree + 1) - nodes[0] ** (degree + 1)) / (degree + 1)
        scale = np.abs(weights) @ np.abs(nodes) ** degree
        assert weights @ nodes**degree == pytest.approx(exact, abs=1e-12 * scale)
    if points % 2:
        return
    even = np.linspace(0.0, 1.0, 12)
    assert abs(composite(even, points) @ even ** (points + 2) - 1.0 / (points + 3)) > 1e-9


@pytest.mark.parametrize("count", [2, 3, 5])
def test_few_nodes_share_one_polynomial(count: int) -> None:
    nodes = UNEVEN[:count]
    weights = composite(nodes, 6)
    exact = [(nodes[-1] ** (j + 1) - nodes[0] ** (j + 1)) / (j + 1) for j in range(count)]
    np.testing.assert_allclose([weights @ nodes**j for j in range(count)], exact, rtol=0.0, atol=1e-13)


@pytest.mark.parametrize("nodes", [UNEVEN, UNEVEN[::-1]], ids=["up", "down"])
@pytest.mark.parametrize(("points", "behind"), [(6, 2), (4, 1), (2, 0)])
def test_each_interval_takes_the_polynomial_through_the_nearest_nodes(nodes, points: int, behind: int) -> None:
    """As many on both sides of it, and at the ends the first or last."""
    values, total = np.sin(3.0 * nodes), 0.0
    for i in range(len(nodes) - 1):
        first = min(max(i - behind, 0), len(nodes) - points)
        chosen = slice(first, first + points)
        total += between(KroghInterpolator(nodes[chosen], values[chosen]), nodes[i], nodes[i + 1])
    assert composite(nodes, points) @ values == pytest.approx(total, abs=1e-13)


def test_two_points_are_the_trapezoidal_rule() -> None:
    np.testing.assert_allclose(composite(UNEVEN, 2) @ np.exp(UNEVEN), np.trapezoid(np.exp(UNEVEN), UNEVEN), rtol=1e-14)


def test_the_other_direction_has_the_opposite_sign() -> None:
    np.testing.assert_allclose(composite(UNEVEN[::-1], 6), -composite(UNEVEN, 6)[::-1], rtol=0.0, atol=1e-14)


@pytest.mark.parametrize("points", [2, 4, 6])
def test_the_order_of_the_composite_rule(points: int) -> None:
    """Of ∫ sin 3x, on nodes that are a smooth image of even ones, n = 32 to 128, above rounding."""
    errors = []
    for n in (32, 64, 128):
        nodes = np.expm1(np.linspace(0.0, 0.5, n + 1)) / math.expm1(0.5)
        errors.append(abs(composite(nodes, points) @ np.sin(3.0 * nodes) - (1.0 - math.cos(3.0)) / 3.0))
    np.testing.assert_allclose(np.log2(np.array(errors[:-1]) / errors[1:]), points, atol=0.15)
    assert errors[-1] > 1e-13


@pytest.mark.parametrize("n", [2, 4, 6, 16, 64])
def test_clenshaw_and_curtis_are_exact_to_degree_n(n: int) -> None:
    """On Chebyshev's polynomials of 2 r − 1, whose integrals over [0, 1] are 1/(1 − j²) for even j, and 0."""
    nodes, weights = clenshaw_curtis(n)
    assert nodes[0] == 0.0 < nodes[1]
    assert np.all(np.diff(nodes) > 0.0)
    assert abs(nodes[-1] - 1.0) < 1e-15
    assert np.all(weights > 0.0)
    for j in range(n + 2):  # an odd degree more, by symmetry
        exact = 0.0 if j % 2 else 1.0 / (1.0 - j**2)
        assert weights @ np.cos(j * np.arccos(1.0 - 2.0 * nodes)) == pytest.approx(exact, abs=1e-13)
    above = n + 2
    alias = n - 2  # which has the same values at the nodes
    found = weights @ np.cos(above * np.arccos(1.0 - 2.0 * nodes))
    assert found == pytest.approx(1.0 / (1.0 - alias**2), abs=1e-13)


@pytest.mark.parametrize("n", [4, 8, 128])
def test_nodes_are_among_those_of_twice_as_many(n: int) -> None:
    np.testing.assert_allclose(clenshaw_curtis(n)[0], clenshaw_curtis(2 * n)[0][::2], rtol=0.0, atol=2e-16)


@pytest.mark.parametrize("n", [2, 4, 16])
def test_a_refinement_continues_the_polynomial_to_the_added_nodes(n: int) -> None:
    """And two values differ by what it leaves of the function, with the weights of the finer one."""
    (nodes, weights), (finer, more) = clenshaw_curtis(n), clenshaw_curtis(2 * n)
    matrix = interpolation_matrix(n)
    assert matrix.shape == (n, n + 1)
    for degree in range(n + 1):
        np.testing.assert_allclose(matrix @ nodes**degree, finer[1::2] ** degree, rtol=0.0, atol=1e-12)
    left = more[1::2] @ (np.sin(9.0 * finer[1::2]) - matrix @ np.sin(9.0 * nodes))
    assert left == pytest.approx(more @ np.sin(9.0 * finer) - weights @ np.sin(9.0 * nodes), abs=1e-14)


def test_a_smooth_integral_to_rounding() -> None:
    nodes, weights = clenshaw_curtis(24)
    assert weights @ np.exp(nodes) == pytest.approx(math.e - 1.0, rel=1e-14)
    assert weights @ (1.0 / (1.0 + nodes**2)) == pytest.approx(math.pi / 4.0, rel=1e-14)

"""Clenshaw and Curtis' rule against closed forms, and what it says of its own error."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fokker.generative.likelihood.quadrature import clenshaw_curtis, expected_error, interpolation


@pytest.mark.parametrize("n", [2, 4, 6, 16, 64])
def test_clenshaw_and_curtis_are_exact_to_degree_n(n: int) -> None:
    """On Chebyshev's polynomials of 2 s − 1, whose integrals over [0, 1] are 1/(1 − j²) for even j, and 0."""
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


@pytest.mark.parametrize("n", [2, 4, 16, 48])
def test_the_interpolation_is_exact_for_polynomials(n: int) -> None:
    """At the nodes themselves, between them and at both ends."""
    nodes, _ = clenshaw_curtis(n)
    s = np.concatenate([nodes, np.linspace(0.0, 1.0, 7)])
    matrix = interpolation(n, s)
    assert matrix.shape == (len(s), n + 1)
    np.testing.assert_array_equal(matrix[: n + 1], np.eye(n + 1))
    for degree in range(min(n, 9) + 1):
        np.testing.assert_allclose(matrix @ nodes**degree, s**degree, rtol=0.0, atol=1e-12)


def test_a_smooth_integral_to_rounding() -> None:
    nodes, weights = clenshaw_curtis(24)
    assert weights @ np.exp(nodes) == pytest.approx(math.e - 1.0, rel=1e-14)
    assert weights @ (1.0 / (1.0 + nodes**2)) == pytest.approx(math.pi / 4.0, rel=1e-14)


@pytest.mark.parametrize("n", [12, 16, 24, 32, 48])
def test_what_the_nodes_say_of_functions_with_a_pole(n: int) -> None:
    """1/((s − c)² + w²) with 200 poles c ± i w near the line: the root mean square of errors and of estimates agree to
    a factor of 3, and nine in ten of the errors are below 10 times the estimate.
    """
    g = np.random.default_rng(0)
    centre, width = g.uniform(0.1, 0.9, 200), 10.0 ** g.uniform(-1.5, -0.7, 200)
    nodes, weights = clenshaw_curtis(n)
    values = width**2 / ((nodes[:, None] - centre) ** 2 + width**2)
    exact = width * (np.arctan((1.0 - centre) / width) + np.arctan(centre / width))
    error, said = np.abs(weights @ values - exact), expected_error(values)
    assert said.shape == (200,)
    assert 1.0 / 3.0 < np.sqrt((said**2).mean() / (error**2).mean()) < 3.0
    assert np.mean(error <= 10.0 * said) >= 0.9


def test_a_kink_is_seen() -> None:
    """|s − c| has a series that falls like k⁻²: the root mean square of errors is at most 5 times that of estimates."""
    centre, before = np.linspace(0.2, 0.8, 50), np.inf
    for n in (16, 32, 64, 128):
        nodes, weights = clenshaw_curtis(n)
        values = np.abs(nodes[:, None] - centre)
        error = np.abs(weights @ values - 0.5 * (centre**2 + (1.0 - centre) ** 2))
        said = np.sqrt(np.square(expected_error(values)).mean())
        assert np.sqrt(np.square(error).mean()) < 5.0 * said
        assert said < before
        before = said


def test_polynomials_and_nothing_have_hardly_an_error() -> None:
    nodes, _ = clenshaw_curtis(16)
    said = expected_error(np.stack([0.0 * nodes, 1.0 + 0.0 * nodes, nodes**2], axis=1))
    assert np.all(said < 1e-4)
    assert np.all(np.isfinite(said))
    assert expected_error(np.zeros((9, 3, 2))).shape == (3, 2)

"""Moments and weights against quadrature and against what they must integrate exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fokker.solvers.exponential.moments import exponential_moments, interpolation_weights

EXPONENTS = np.array([-60.0, -4.001, -3.999, -1.0, -1e-3, -1e-9, 0.0, 1e-12, 1e-4, 0.5, 3.999, 4.001, 30.0, 500.0])
PANELS = 64
GAUSS, WEIGHTS = np.polynomial.legendre.leggauss(40)
THETA = ((np.arange(PANELS)[:, None] + 0.5 * (GAUSS + 1.0)) / PANELS).ravel()


@pytest.mark.parametrize("z", EXPONENTS)
def test_moments_against_quadrature(z: float) -> None:
    """Gauss-Legendre on 64 panels; the exponential's own conditioning leaves a relative error of |z| roundings."""
    density = np.tile(0.5 * WEIGHTS / PANELS, PANELS) * np.exp(-z * (1.0 - THETA))
    expected = [np.sum(density * THETA**m) for m in range(6)]
    np.testing.assert_allclose(exponential_moments(np.array([z]), 6)[0], expected, rtol=1e-15 * (20.0 + abs(z)))


@pytest.mark.parametrize("z", EXPONENTS)
@pytest.mark.parametrize("nodes", [(0.0,), (0.0, -1.3), (1.0, 0.0, -0.7), (1.0, 0.0, -1.0, -2.5, -3.1)])
def test_weights_integrate_polynomials_exactly(nodes: tuple[float, ...], z: float) -> None:
    """Σ ω_j θ_j^m = μ_m / μ_0 for every m below the number of nodes."""
    nodes_array = np.array([nodes])
    weights = interpolation_weights(nodes_array, np.array([z]))[0]
    moments = exponential_moments(np.array([z]), len(nodes))[0]
    for m in range(len(nodes)):
        scale = np.abs(weights * nodes_array[0] ** m).sum()
        assert abs(weights @ nodes_array[0] ** m - moments[m] / moments[0]) < 1e-13 * scale


def test_adams_bashforth_is_the_case_without_exponent() -> None:
    weights = interpolation_weights(np.array([[0.0, -1.0, -2.0, -3.0]]), np.zeros(1))[0]
    np.testing.assert_allclose(weights, np.array([55.0, -59.0, 37.0, -9.0]) / 24.0, rtol=1e-13)


def test_a_step_to_minus_infinity_keeps_its_order() -> None:
    """∫ of e^{u} u^m from 0 to −∞ is −(−1)^m m!: offsets in log|r|, exact for cubics."""
    offsets = np.array([[0.0, 0.4, 1.1, 1.5]])
    weights = interpolation_weights(offsets, np.array([-np.inf]))[0]
    for m in range(4):
        assert weights @ offsets[0] ** m == pytest.approx((-1.0) ** m * math.factorial(m), abs=1e-10)

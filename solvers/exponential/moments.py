"""Exact moments of an exponential, and the interpolatory weights made of them.

A semilinear equation is integrated over a step by replacing N with the polynomial that interpolates it at nodes θ_j
(in units of the step, which runs from θ = 0 to θ = 1) and integrating exactly: the weights of N_j are

    ω_j ∝ ∫₀¹ e^{−z(1−θ)} L_j(θ) dθ,        Σ_j ω_j θ_j^m = μ_m / μ_0,        μ_m = ∫₀¹ e^{−z(1−θ)} θ^m dθ,

z = Δ log|r| (or 0 when N is interpolated in r itself). μ_m = m! φ_{m+1}(−z) with the φ-functions of exponential
integrators; integration by parts gives μ_m = (1 − m μ_{m−1}) / z, stable upwards for |z| > 2 and downwards below.

Sources: Hochbruck and Ostermann, Exponential integrators (2010), section 2; Zhang and Chen, DEIS (2204.13902), eq. 15;
Lu et al., DPM-Solver (2206.00927), appendix B.
"""

from __future__ import annotations

import math

import numpy as np

from ..common import Array

__all__ = ["exponential_moments", "interpolation_weights"]

_CROSSOVER, _FIRST_DOWNWARDS = 2.0, 26


def exponential_moments(z: Array, count: int) -> Array:
    """μ_0 … μ_{count−1} at each z, of shape z.shape + (count,), in float64."""
    large = np.abs(z) > _CROSSOVER
    upwards, downwards = np.where(large, z, 1.0), np.where(large, 1.0, z)
    up = [-np.expm1(-upwards) / upwards]
    for m in range(1, count):
        up.append((1.0 - m * up[-1]) / upwards)
    down = [np.full_like(downwards, 1.0 / (_FIRST_DOWNWARDS + 1))]
    for m in range(_FIRST_DOWNWARDS, 0, -1):
        down.append((1.0 - downwards * down[-1]) / m)
    down.reverse()
    return np.where(large[..., None], np.stack(up, axis=-1), np.stack(down[:count], axis=-1))


def interpolation_weights(nodes: Array, z: Array) -> Array:
    """The weights ω_j of the nodes θ_j, which sum to one.

    For z = −∞ the integrand decays away from θ = 0, and the nodes are offsets in log|r| instead, in which the moments
    are (−1)^m m!.

    Args:
        nodes: k distinct nodes of each step, (..., k), in units of the step.
        z: the exponents of the steps, (...).

    Returns:
        The weights, (..., k).
    """
    count = nodes.shape[-1]
    finite = np.isfinite(z)
    moments = exponential_moments(np.where(finite, z, 1.0), count)
    decaying = np.array([(-1.0) ** m * math.factorial(m) for m in range(count)])
    moments = np.where(finite[..., None], moments / moments[..., :1], decaying)
    powers = nodes[..., None, :] ** np.arange(count)[:, None]
    return np.asarray(np.linalg.solve(powers, moments[..., None])[..., 0], dtype=np.float64)

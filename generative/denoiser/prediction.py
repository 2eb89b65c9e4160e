"""What a network predicts, and how one prediction becomes another.

Every kind of prediction is a combination y = p x₀ + q ε with known coefficients:

    kind       p      q
    x0         1      0        the clean sample
    eps        0      1        the noise
    v         −σ      α        Salimans and Ho (2202.00512), section 4: the rotation velocity, up to its sign
    velocity   α'     σ'       dx/dt along the path, the field of flow matching
    score      0     −1/σ      ∇ log p_t by Tweedie's formula

Together with x = α x₀ + σ ε this is a 2×2 linear system; all conversions are its solution. Its determinant
α q − σ p is the conditioning: where it vanishes (ε from x₀ at σ = 0, x₀ from ε at α = 0) the conversion
does not exist, and it is refused.
"""

from __future__ import annotations

import math

from torch import Tensor

from ..paths import GaussianPath, Real

__all__ = ["KINDS", "check_kind", "coefficients", "conversion", "per_sample"]

KINDS = ("x0", "eps", "v", "velocity", "score")


def check_kind(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError(f"Unknown kind of prediction {kind!r}; choose one of {', '.join(KINDS)}.")
    return kind


def coefficients(kind: str, path: GaussianPath, t: Real) -> tuple[Real, Real]:
    """(p, q) of y = p x₀ + q ε.

    Raises ValueError for an unknown kind, for the score where σ = 0, and for the velocity where σ' is infinite (`t` a
    float; a tensor gives infinities there).
    """
    match check_kind(kind):
        case "x0":
            return 1.0, 0.0
        case "eps":
            return 0.0, 1.0
        case "v":
            return -path.sigma(t), path.alpha(t)
        case "velocity":
            d_sigma = path.d_sigma(t)
            if not isinstance(d_sigma, Tensor) and math.isinf(d_sigma):
                raise ValueError(
                    f"The velocity is infinite at t = {t:g}, where the slope of sigma is; end at an earlier time, or "
                    "hold another quantity."
                )
            return path.d_alpha(t), d_sigma
        case _:
            sigma = path.sigma(t)
            if not isinstance(sigma, Tensor) and sigma == 0.0:
                raise ValueError(f"The score does not exist at t = {t:g}, where σ = 0; end at an earlier time.")
            return 0.0, -1.0 / sigma


def conversion(
    source: tuple[Real, Real], target: tuple[Real, Real], path: GaussianPath, t: Real
) -> tuple[Real, Real]:
    """(a, b) with y_target = a x + b y_source, each prediction given by its (p, q).

    Raises ValueError where the conversion is singular (`t` a float; a tensor gives infinities there).
    """
    alpha, sigma = path.alpha(t), path.sigma(t)
    (p, q), (p_target, q_target) = source, target
    determinant = alpha * q - sigma * p
    if not isinstance(determinant, Tensor):
        if p * q_target == q * p_target:  # the same combination, up to a factor
            return 0.0, q_target / q if q else p_target / p
        if determinant == 0.0:
            raise ValueError(
                f"A prediction of {p:g} x0 + {q:g} eps does not determine {p_target:g} x0 + {q_target:g} eps at "
                f"t = {t:g}, where alpha = {alpha:g} and sigma = {sigma:g}; start or end at another time, hold "
                "another quantity, or train another kind of prediction."
            )
    return (p_target * q - q_target * p) / determinant, (q_target * alpha - p_target * sigma) / determinant


def per_sample(coefficient: Real, x: Tensor) -> Real:
    """A coefficient of shape (B,) reshaped to multiply x of shape (B, ...); a float stays as it is."""
    if not isinstance(coefficient, Tensor):
        return coefficient
    return coefficient.to(x).reshape(-1, *(1,) * (x.ndim - 1))

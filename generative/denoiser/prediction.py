"""What a network predicts, and how one prediction becomes another.

Every kind of prediction is a combination y = p x₀ + q ε with known coefficients:

    kind       p      q
    x0         1      0        the clean sample
    eps        0      1        the noise
    v         −σ      α        Salimans and Ho (2202.00512), section 4: the rotation velocity, up to its sign
    velocity   α'     σ'       dx/dt along the path, the field of flow matching
    score      0     −1/σ      ∇ log p_t by Tweedie's formula

Together with x = α x₀ + σ ε this is a 2×2 linear system. Every conversion is its solution. Where its determinant
α q − σ p vanishes (x₀ at σ = 0, ε at α = 0, the velocity where the path stands still) there remain the prediction
itself, x itself and their multiples. Any other conversion does not exist there, and an error says so: at times on the
host, since looking at others would wait for their device.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...solvers.common import choice, matching, real
from ..paths import GaussianPath, Real, Scalar

__all__ = [
    "KINDS", "Conversion", "check_kind", "check_output", "checked_times", "coefficients", "conversion", "first_time",
    "per_sample",
]

KINDS = ("x0", "eps", "v", "velocity", "score")


class Conversion(NamedTuple):
    """The map y_target = a x + b y_source from one prediction to another at one time, or at one time a sample.

    Args:
        from_x: a, a float or (B,).
        from_source: b, a float or (B,).
    """

    from_x: Scalar
    from_source: Scalar

    def __call__(self, x: Tensor, source: Tensor) -> Tensor:
        """y_target of the states x and of y_source, each (B, ...); y_source itself where a = 0 and b = 1."""
        if not isinstance(self.from_x, Tensor) and self == (0.0, 1.0):
            return source
        return per_sample(self.from_x, x) * x + per_sample(self.from_source, x) * source


def check_kind(kind: str, kinds: tuple[str, ...] = KINDS) -> str:
    """The kind itself.

    Raises:
        ValueError: for a kind that is not in `kinds`.
    """
    return choice("kind of prediction", kind, kinds)


def coefficients(kind: str, path: GaussianPath, t: Scalar) -> tuple[Scalar, Scalar]:
    """The pair (p, q) of the prediction y = p x₀ + q ε.

    Args:
        kind: one of `KINDS`.
        path: the path.
        t: the time, a float or (B,).

    Returns:
        p and q, floats or (B,).

    Raises:
        ValueError: for an unknown kind, for the score where σ = 0 and for the velocity where σ' is infinite. At times
            on a device the values there are infinite.
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
            if (at := first_time(abs(d_sigma) == math.inf, t)) is not None:
                raise ValueError(
                    f"The velocity is infinite at t = {at:g}, where the slope of sigma is; end at an earlier time, or "
                    "hold another quantity."
                )
            return path.d_alpha(t), d_sigma
        case _:
            sigma = path.sigma(t)
            if (at := first_time(sigma == 0.0, t)) is not None:
                raise ValueError(f"The score does not exist at t = {at:g}, where σ = 0; end at an earlier time.")
            return 0.0, -1.0 / sigma


def conversion(
    source: tuple[Scalar, Scalar], target: tuple[Scalar, Scalar], path: GaussianPath, t: Scalar
) -> Conversion:
    """The map from one prediction to another, a x + b y_source.

    Args:
        source: (p, q) of the prediction at hand.
        target: (p, q) of the prediction wanted.
        path: the path.
        t: the time, a float or (B,).

    Returns:
        (a, b), which is also called with x and y_source.

    Raises:
        ValueError: where source and x do not determine target. At times on a device the values there are not finite.

    Example:
        With x = 0.5 x₀ + 0.5 ε, x₀ = 2 x − ε:

        >>> from fokker.generative import CondOT
        >>> path, t = CondOT(), 0.5
        >>> conversion(coefficients("eps", path, t), coefficients("x0", path, t), path, t)
        Conversion(from_x=2.0, from_source=-1.0)
    """
    alpha, sigma = path.alpha(t), path.sigma(t)
    (p, q), (p_target, q_target) = source, target
    determinant = alpha * q - sigma * p
    given: Any = (p, q, p_target, q_target, alpha, sigma, t)
    if not isinstance(determinant, Tensor):
        return Conversion(*_at_one_time(*given))
    a, b = (p_target * q - q_target * p) / determinant, (q_target * alpha - p_target * sigma) / determinant
    singular = determinant == 0.0
    if first_time(singular, t) is not None:
        columns = (torch.as_tensor(numbers, device="cpu").expand_as(a).flatten().tolist() for numbers in given)
        rows = [_at_one_time(*numbers) for numbers in zip(*columns, strict=True)]
        limits = torch.tensor(rows, dtype=a.dtype, device="cpu")
        a, b = (torch.where(singular, limits[:, i].view_as(a), (a, b)[i]) for i in (0, 1))
    return Conversion(a, b)


def _at_one_time(
    p: float, q: float, p_target: float, q_target: float, alpha: float, sigma: float, t: float
) -> tuple[float, float]:
    """The conversion at one time, also where the determinant vanishes."""
    if (p, q) == (p_target, q_target):
        return 0.0, 1.0
    if p * q_target == q * p_target and (p or q):  # the same combination, up to a factor
        return 0.0, q_target / q if q else p_target / p
    if determinant := alpha * q - sigma * p:
        return (p_target * q - q_target * p) / determinant, (q_target * alpha - p_target * sigma) / determinant
    if p_target * sigma == q_target * alpha:  # that of x, up to a factor
        return p_target / alpha if alpha else q_target / sigma, 0.0
    raise ValueError(
        f"A prediction of {p:g} x0 + {q:g} eps does not determine {p_target:g} x0 + {q_target:g} eps at "
        f"t = {t:g}, where alpha = {alpha:g} and sigma = {sigma:g}; start or end at another time, hold "
        "another quantity, or train another kind of prediction."
    )


def first_time(condition: bool | Tensor, t: Scalar) -> float | None:
    """The first time at which a condition holds: a bool for a float t, booleans (B,) for times (B,).

    None if there is none, or if only a device, vmap or a compiler could tell.
    """
    if not isinstance(condition, Tensor):
        return float(t) if condition else None
    if condition.device.type != "cpu" or torch.compiler.is_compiling():
        return None
    try:
        places = condition.flatten().nonzero().flatten().tolist()
    except RuntimeError:  # inside vmap
        return None
    return float(torch.as_tensor(t, device="cpu").expand_as(condition).flatten()[places[0]]) if places else None


def checked_times(t: Scalar, x: Tensor, name: str = "t") -> Scalar:
    """A time as a float, or times as a tensor of one entry or of (B,), for the states x.

    Raises:
        TypeError: for what is no real number.
        ValueError: for a float that is not finite, and for another number of times.
    """
    if not isinstance(t, Tensor):
        return real(name, t)
    if not t.is_floating_point():
        raise TypeError(f"{name} is {t.dtype}, but must be of a floating-point dtype; give {name}.double().")
    if t.numel() != 1 and t.shape != x.shape[:1]:
        shapes = f"{tuple(t.shape)} for states of shape {tuple(x.shape)}"
        raise ValueError(f"{name} has shape {shapes}; give a float, or (B,).")
    return t


def check_output(output: object, x: Tensor) -> None:
    """Raises TypeError or ValueError unless a network in training returned a tensor of the shape of its state x."""
    if not isinstance(output, Tensor):
        raise TypeError(f"The network returned a {type(output).__name__}; wrap it so that it returns a tensor.")
    if output.shape != x.shape:
        raise ValueError(
            f"The network returned shape {tuple(output.shape)} for a state of shape {tuple(x.shape)}; return the same."
        )


def per_sample(coefficient: Real, x: Tensor) -> Real:
    """A coefficient in the shape that multiplies x.

    Args:
        coefficient: a float, which is returned unchanged, or (B,), (1,), (B, C), …: the first axes of x.
        x: (B, ...).

    Returns:
        The float, or a tensor (B, ..., 1) in the dtype and on the device of x.
    """
    if not isinstance(coefficient, Tensor):
        return coefficient
    return matching(coefficient, x).reshape(*coefficient.shape, *(1,) * (x.ndim - coefficient.ndim))

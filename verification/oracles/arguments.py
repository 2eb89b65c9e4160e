"""The arguments of an oracle's methods: states, times and a path, and the coefficients of the path at the times.

`checked` is the door of every public method. A network's calls, one a step, pass `fitting` alone, which asks nothing of
the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ...generative.paths import GaussianPath, Real, Scalar
from ...solvers.common import check_finite, check_floating, check_instance, real

__all__ = ["broadcast", "check_weights", "checked", "checked_time", "coefficients", "fitting", "flow_coefficients"]

_FAR = 1e100


def check_weights(name: str, weights: Tensor, count: int, dtype: torch.dtype, what: str) -> None:
    """Raises TypeError or ValueError unless they are positive numbers of this dtype, (count,), with sum 1."""
    check_floating(name, weights)
    if weights.shape != (count,) or weights.dtype != dtype:
        raise ValueError(
            f"The {name} are {weights.dtype} of shape {tuple(weights.shape)} for {count} {what} of {dtype}; "
            f"give {dtype} of shape ({count},)."
        )
    check_finite(name, weights)
    total, least = weights.double().sum().item(), weights.min().item()
    if not (least > 0.0 and abs(total - 1.0) < math.sqrt(torch.finfo(dtype).eps)):
        raise ValueError(f"The {name} have sum {total:g} and the least is {least:g}; give positive ones with sum 1.")


def checked(x: Tensor, t: Scalar, path: GaussianPath | None, like: Tensor) -> tuple[Tensor, Scalar]:
    """States and times.

    Args:
        x: states (B, *shape).
        t: one time, or one for each state, (B,).
        path: the path, or None.
        like: a tensor (n, *shape) of the law's dtype.

    Raises:
        TypeError: an argument of another kind.
        ValueError: states or times of another shape, dtype or device, or states or times that are not finite.
    """
    check_finite("The square of x", fitting(x, like).square())
    return x, checked_time(t, path)


def fitting(x: Tensor, like: Tensor) -> Tensor:
    """The states, if they are a tensor of the law's shape and dtype, on its device."""
    check_floating("x", x)
    if x.ndim == 0 or x.shape[1:] != like.shape[1:] or x.dtype != like.dtype:
        needed = ", ".join(["B", *map(str, like.shape[1:])])
        raise ValueError(
            f"The state is {x.dtype} of shape {tuple(x.shape)}, but this oracle needs {like.dtype} "
            f"of shape ({needed}); convert the state, or build the oracle from {x.dtype}."
        )
    if x.device != like.device:
        raise ValueError(f"The state is on {x.device}, but this oracle on {like.device}; move one of them.")
    return x


def checked_time(t: Scalar, path: GaussianPath | None) -> Scalar:
    """A float, or a tensor, with a square that is finite; without a path it is 1.

    It may lie outside [0, 1], where a path goes on: VP and VE have noisier times than 0.
    """
    if path is not None:
        check_instance("path", path, GaussianPath, "a Gaussian path, such as CondOT()")
    if not isinstance(t, Tensor):
        return real("t", t, -_FAR, _FAR)
    check_floating("t", t)
    check_finite("The square of t", t.square())
    return t


def coefficients(x: Tensor, t: Scalar, path: GaussianPath | None) -> tuple[Scalar, Scalar]:
    """(α, σ) at t, floats or tensors (B,). Without a path (1, 0), at t = 1 only."""
    if path is not None:
        return _per_sample(path.alpha, t, x), _per_sample(path.sigma, t, x)
    if isinstance(t, Tensor) or t != 1.0:
        raise ValueError("The law at a time other than t = 1 depends on the path; give path=.")
    return 1.0, 0.0


def flow_coefficients(x: Tensor, t: Scalar, path: GaussianPath) -> tuple[Scalar, Scalar]:
    """(α', −σ σ'), the row (p, r) of the velocity."""
    d_alpha, d_sigma = _per_sample(path.d_alpha, t, x), _per_sample(path.d_sigma, t, x)
    if not isinstance(d_sigma, Tensor) and math.isinf(d_sigma):
        raise ValueError(f"The slope of sigma is infinite at t = {t:g} on {path}; take an earlier time.")
    return d_alpha, -_per_sample(path.sigma, t, x) * d_sigma


def broadcast(value: Real, x: Tensor) -> Real:
    """A coefficient of shape (B,) reshaped to multiply tensors with as many axes as x; a float stays as it is."""
    return value.reshape(-1, *(1,) * (x.ndim - 1)) if isinstance(value, Tensor) else value


def _per_sample(coefficient: Callable[[Scalar], Scalar], t: Scalar, x: Tensor) -> Scalar:
    """A coefficient of the path at t: a float, or a tensor (B,) in x's dtype for a tensor t."""
    if not isinstance(t, Tensor):
        return coefficient(t)
    if t.shape not in ((), x.shape[:1]):
        raise ValueError(
            f"The times have shape {tuple(t.shape)}; give one float, or one for each of the {len(x)} samples."
        )
    value = coefficient(t)
    return value.to(x).expand(len(x)) if isinstance(value, Tensor) else value

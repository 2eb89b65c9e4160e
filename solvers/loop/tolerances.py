"""What error of a step is allowed, and how large an error is that has many components.

A tolerance is a number, or a tensor that broadcasts to the state. A norm is "rms" (the root mean square), "max" (the
largest component), or a function from the scaled error, (B, ...), to one number a sample, (B,).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..common import check_finite, check_floating, check_no_gradient, matching, real

__all__ = ["NORMS", "Norm", "OfRows", "like", "of_rows", "same", "sizes", "tolerances"]

Tolerance = float | Tensor
Norm = Literal["rms", "max"] | Callable[[Tensor], Tensor]
NORMS = ("rms", "max")


def tolerances(rtol: Any, atol: Any) -> tuple[Tolerance, Tolerance]:
    """The two tolerances. Raises TypeError or ValueError for others than positive ones; one of the two may be zero."""
    found = _tolerance("rtol", rtol), _tolerance("atol", atol)
    if isinstance(found[0], float) and isinstance(found[1], float) and max(found) > 0.0:
        return found
    shapes = [tuple(value.shape) for value in found if isinstance(value, Tensor)]
    try:
        torch.broadcast_shapes(*shapes)  # type: ignore[no-untyped-call]  # torch's
    except RuntimeError:
        raise ValueError(f"rtol and atol of shapes {shapes[0]} and {shapes[1]} do not broadcast; match them.") from None
    relative, absolute = (value.cpu() if isinstance(value, Tensor) else value for value in found)
    if bool(torch.as_tensor(relative + absolute <= 0.0, device="cpu").any()):
        raise ValueError("Adaptive needs positive tolerances, but rtol and atol are both zero; raise one of them.")
    return found


def _tolerance(name: str, value: Any) -> Tolerance:
    if isinstance(value, np.ndarray) and value.ndim:
        value = torch.from_numpy(value)
    if not isinstance(value, Tensor) or value.ndim == 0:
        return real(name, value, 0.0)
    check_floating(name, value)
    check_no_gradient(name, value)
    if value.is_meta:
        raise ValueError(f"{name} is a tensor without values of its own; give one on the state's device.")
    check_finite(name, value)
    if bool((value < 0.0).any()):
        raise ValueError(f"{name} has the negative entry {value.min().item():g}, but must be >= 0 everywhere.")
    return value.detach().clone()


def like(name: str, tolerance: Tolerance, x: Tensor) -> Tolerance:
    """A tolerance of x's dtype and device, and with as many axes. Raises ValueError if it does not broadcast to x."""
    if isinstance(tolerance, float):
        return tolerance
    shape = (1,) * (x.ndim - tolerance.ndim) + tuple(tolerance.shape)
    if len(shape) > x.ndim or any(size not in (1, most) for size, most in zip(shape, x.shape, strict=True)):
        raise ValueError(
            f"{name} has shape {tuple(tolerance.shape)}, which does not broadcast to the state's, {tuple(x.shape)}; "
            "give a number, or one for each component."
        )
    return matching(tolerance, x).reshape(shape)


def of_rows(tolerance: Tolerance, index: Tensor) -> Tolerance:
    """The tolerance of some samples, for one that is `like` the state of all."""
    if isinstance(tolerance, float) or len(tolerance) == 1:
        return tolerance
    return tolerance[index.to(tolerance.device)]


def same(one: Any, other: Any) -> bool:
    """Whether two tolerances, or other values, are equal."""
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        return isinstance(one, Tensor) and isinstance(other, Tensor) and torch.equal(one, other)
    return bool(one == other)


@dataclass(frozen=True)
class OfRows:
    """A norm of a whole batch as one of some of its samples, which the norm sees at their places among zeros.

    Attributes:
        norm: the norm.
        index: the positions of the samples, int64.
        batch: the number of all samples.
    """

    norm: Callable[[Tensor], Tensor]
    index: Tensor
    batch: int

    def __call__(self, scaled: Tensor) -> Tensor:
        index, places = self.index.to(scaled.device), scaled.new_zeros(self.batch, *scaled.shape[1:])
        return self.norm(places.index_copy(0, index, scaled))[index]


def sizes(norm: Norm, scaled: Tensor, per_sample: bool) -> Tensor:
    """The norm of each sample, (B,), or of the whole batch, (1,).

    Args:
        norm: the norm.
        scaled: the error in units of what is allowed, (B, ...). Without any component it is zero.
        per_sample: whether samples are measured separately.

    Raises:
        ValueError: the norm has other values than one a sample.
    """
    if not scaled.numel():
        return scaled.new_zeros(len(scaled) if per_sample else 1)
    if isinstance(norm, str):
        flat = scaled.reshape(len(scaled) if per_sample else 1, -1)
        return flat.square().mean(1).sqrt() if norm == "rms" else flat.abs().amax(1)
    each = norm(scaled)
    if not isinstance(each, Tensor) or each.shape != scaled.shape[:1]:
        got = f"shape {tuple(each.shape)}" if isinstance(each, Tensor) else type(each).__name__
        raise ValueError(
            f"norm returned {got} for an error of shape {tuple(scaled.shape)}; return one number a sample, "
            f"({len(scaled)},)."
        )
    return each.detach() if per_sample else each.detach().square().mean().sqrt().reshape(1)

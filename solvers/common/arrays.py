"""Numbers on the host: float64 tensors on the CPU, and numpy arrays.

The coefficients of a method are such numbers. They are on the CPU whatever torch's default device is, and reach the
device of a state in the dtype of the state, since some devices have no float64.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .tensor_checks import check_no_gradient

__all__ = ["Array", "Mask", "array", "host", "matching", "truth", "widest"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


def host(values: Any) -> Tensor:
    """A number, a sequence, an array or a tensor of numbers as a float64 tensor on the CPU."""
    values = values.cpu() if isinstance(values, Tensor) else values  # before it is float64
    return torch.as_tensor(values, dtype=torch.float64, device="cpu")


def array(values: Tensor) -> Array:
    """The numbers of a function of time, a tensor on the host.

    Inside a transform, such as `torch.func.jacrev`, a tensor has numbers but no memory to share.

    Raises:
        ValueError: the tensor requires a gradient.
    """
    try:
        return values.numpy()
    except RuntimeError:
        check_no_gradient("A function of time", values)
        return np.array(values.tolist()).reshape(values.shape)


def matching(values: float | Tensor, x: Tensor) -> Tensor:
    """A number, or a tensor of numbers, in the dtype of x and on its device, which need not have another dtype."""
    if isinstance(values, Tensor):
        return values.to(x.dtype).to(x.device)
    return torch.full((), values, dtype=x.dtype, device=x.device)


@cache
def widest(device: torch.device) -> torch.dtype:
    """The dtype of sums on a device: float64, or float32 where there is no float64."""
    try:
        return torch.zeros((), dtype=torch.float64, device=device).dtype
    except (TypeError, RuntimeError):
        return torch.float32


def truth(condition: Tensor) -> bool | None:
    """The truth of a condition without axes; None if it has no value of its own: under vmap, on the device "meta"."""
    try:
        return bool(condition)
    except RuntimeError:
        return None

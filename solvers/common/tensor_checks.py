"""The door of every public call for tensors: their dtype, device, shape, values and gradients.

`checks` has the checks of numbers, names and functions. A check returns nothing, and raises TypeError for a value of
another kind, and otherwise ValueError, in one sentence: what was given, what is needed, the way out.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual

__all__ = [
    "check_alike",
    "check_device",
    "check_dtype",
    "check_finite",
    "check_floating",
    "check_memory",
    "check_no_gradient",
    "check_samples",
    "shown",
]


def check_floating(name: str, value: Any) -> None:
    """Raise TypeError unless the value is a dense tensor of real floating-point numbers. It says the way out."""
    if not isinstance(value, Tensor):
        way = "; join its tensors with torch.cat and split them in the field" if _of_tensors(value) else ""
        raise TypeError(f"{name} is {shown(value)}, but must be a tensor of floating-point numbers{way}.")
    if value.is_complex():
        raise TypeError(f"{name} is {value.dtype}, but must be real; give torch.view_as_real({name}).")
    if not value.is_floating_point():
        raise TypeError(f"{name} is {value.dtype}, but must be of a floating-point dtype; give {name}.float().")
    if value.dtype.itemsize < 2:
        raise TypeError(f"{name} is {value.dtype}, in which there is no arithmetic; give {name}.half().")
    if value.layout != torch.strided or value.is_nested:
        raise TypeError(f"{name} is a sparse or nested tensor, but must be dense; give {name}.to_dense().")


def check_dtype(name: str, value: Any) -> None:
    """Raise TypeError unless the value is a floating-point dtype in which there is arithmetic."""
    if not isinstance(value, torch.dtype) or not value.is_floating_point or value.itemsize < 2:
        raise TypeError(f"{name} is {shown(value)}, but must be a floating-point dtype, such as torch.float32.")


def check_device(name: str, value: Any) -> None:
    """Raise ValueError unless torch can make tensors on the device."""
    try:
        torch.empty(0, device=value)
    except (RuntimeError, TypeError, AssertionError, NotImplementedError, ImportError) as error:
        reason = str(error).partition("\n")[0][:80]
        raise ValueError(f"{name} is {shown(value)}, where torch makes no tensors here ({reason}).") from None


def check_finite(name: str, value: Tensor) -> None:
    """Raise ValueError for a tensor with a value that is not finite, and name its place. It waits for the device.

    Under vmap a tensor has no values of its own, and passes.
    """
    if value.is_meta:
        raise ValueError(f"{name} is on the device meta, where tensors have no values; give it on another device.")
    bad = ~torch.isfinite(value)
    try:
        some = bool(bad.any())
    except RuntimeError:
        return
    if some:
        place = tuple(bad.nonzero()[0].tolist())
        raise ValueError(f"{name} is {value[place].item():g} at {list(place)}, but must be finite everywhere.")


def check_samples(name: str, value: Any, axes: int = 1, *, empty: bool = True, wait: bool = False) -> None:
    """Check that the value is a tensor of samples, (B, ...), with at least so many axes; `empty` says if B may be 0.

    Values are looked at on the host alone, unless one may `wait` for those on a device.

    Raises:
        TypeError: it is no floating-point tensor.
        ValueError: it has fewer axes, a value that is not finite, or no values.
    """
    check_floating(name, value)
    if value.ndim < axes:
        needed = ", ".join(("B", *("n",) * (axes - 1), "..."))
        raise ValueError(f"{name} has shape {tuple(value.shape)}, but must hold samples, ({needed}).")
    if not (empty or value.numel()):
        raise ValueError(f"{name} of shape {tuple(value.shape)} holds no numbers; give one sample at least.")
    if wait or value.device.type in ("cpu", "meta"):
        check_finite(name, value)


def check_alike(name: str, value: Tensor, other: str, like: Tensor) -> None:
    """Raise ValueError unless two tensors have one shape, one dtype and one device."""
    given, needed = ((tuple(each.shape), each.dtype, each.device) for each in (value, like))
    if given != needed:
        ours, theirs = (f"{dtype} of shape {shape} on {device}" for shape, dtype, device in (given, needed))
        raise ValueError(f"{name} is {ours}, but {other} {theirs}; give tensors of one shape, dtype and device.")


def check_memory(name: str, value: int, numbers: int) -> None:
    """Raise ValueError if the memory of this machine does not hold the numbers that a count asks for.

    Args:
        name: the name of the count.
        value: the count.
        numbers: how many numbers of 8 bytes it asks for at once.
    """
    needed, there = 8 * numbers // 10**9, _memory() // 10**9
    if needed > there:
        raise ValueError(
            f"{name} is {value}, which takes {needed} GB of memory, but this machine has {there} GB; take fewer."
        )


def check_no_gradient(name: str, value: Any) -> None:
    """Raise ValueError for a tensor that requires a gradient, or carries a forward derivative.

    It is for tensors that become numbers on the host, where the derivative would be lost.
    """
    if isinstance(value, Tensor):
        tracked = value.requires_grad and (torch.is_grad_enabled() or value.grad_fn is not None)
        if tracked or unpack_dual(value).tangent is not None:  # type: ignore[no-untyped-call]  # torch's
            raise ValueError(
                f"{name} requires a gradient, but becomes a number, which carries none; give {name}.detach(), or move "
                "it into the field. An end T of the times, for example: with t = T s, the drift T f(T s, x) over s in "
                "[0, 1] has the gradient with respect to T."
            )


def shown(value: Any) -> str:
    """The value in a few words."""
    if isinstance(value, Tensor | np.ndarray):
        return f"{type(value).__name__} of shape {tuple(value.shape)} and {value.dtype}"
    text = " ".join(repr(value).split()) if not isinstance(value, type) else value.__name__
    return text if len(text) <= 60 else f"{text[:57]}..."


def _memory() -> int:
    """The memory of this machine in bytes; 2⁴⁰ where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 2**40


def _of_tensors(value: Any) -> bool:
    return isinstance(value, Sequence) and len(value) > 0 and all(isinstance(part, Tensor) for part in value)

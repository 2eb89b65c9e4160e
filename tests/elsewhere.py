"""A device that stands in for one without float64, such as Apple's MPS, on a machine without it.

A tensor there is a tensor of the CPU behind a wrapper that names the device "mps". Operations run on the CPU, and their
results are wrapped. As on such a device, no tensor there is float64, a copy to or from it does not change the dtype to
or from float64 on the way, and operands are together, but for numbers without axes and
for indices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

__all__ = ["DEVICE", "Elsewhere", "WithoutFloat64"]

DEVICE = torch.device("lazy", 0)
LACKING = (torch.float64, torch.complex128)


class Elsewhere(Tensor):
    """A tensor on the stand-in."""

    there: Tensor

    @staticmethod
    def __new__(cls, there: Tensor) -> Elsewhere:
        if there.dtype in LACKING:
            raise TypeError(f"Cannot convert a tensor to {there.dtype}, which the device does not have.")
        made: Elsewhere = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, there.shape, there.stride(), there.storage_offset(), dtype=there.dtype, device=DEVICE
        )
        made.there = there
        return made

    def __init__(self, there: Tensor) -> None:
        pass

    def __repr__(self, **_: Any) -> str:
        return f"Elsewhere({self.there})"

    @classmethod
    def __torch_dispatch__(
        cls, function: Any, types: Any, arguments: Sequence[Any] = (), keywords: dict[str, Any] | None = None
    ) -> Any:
        return _run(function, arguments, keywords or {})


class WithoutFloat64(TorchDispatchMode):
    """While it is on, the device "mps" is the stand-in."""

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: Sequence[Any] = (), keywords: dict[str, Any] | None = None
    ) -> Any:
        return _run(function, arguments, keywords or {})


def _run(function: Any, arguments: Sequence[Any], keywords: dict[str, Any]) -> Any:
    """The operation on the CPU, with the result where it belongs."""
    given = [each for each in tree_flatten((arguments, keywords))[0] if isinstance(each, Tensor)]
    here = [each for each in given if not isinstance(each, Elsewhere)]
    name, asked = str(function), keywords.get("device")
    there = any(isinstance(each, Elsewhere) for each in given) if asked is None else asked.type == DEVICE.type
    copies = "copy" in name
    if copies and len(here) < len(given):
        dtypes = {keywords.get("dtype") or given[0].dtype, *(each.dtype for each in given)}
        if not dtypes.isdisjoint(LACKING):
            raise TypeError(f"{name} changes the device and the dtype at once, one of them float64: {dtypes}.")
    elif copies and there and not dtypes_of(given, keywords).isdisjoint(LACKING):
        raise TypeError(f"{name} takes float64 to a device without it; change the dtype first.")
    elif not copies and "index" not in name and len(here) < len(given) and any(each.ndim for each in here):
        raise RuntimeError(f"{name}: Expected all tensors to be on the same device.")
    plain = _on_the_cpu(keywords)
    found = function(*tree_map_only(Elsewhere, _unwrapped, arguments), **plain)
    if not there:
        return found
    if "out" in keywords:
        return keywords["out"]
    if function._schema.is_mutable:
        return arguments[0]
    return tree_map_only(Tensor, Elsewhere, found)


def dtypes_of(given: Sequence[Tensor], keywords: dict[str, Any]) -> set[torch.dtype]:
    return {*(each.dtype for each in given), *filter(None, [keywords.get("dtype")])}


def _unwrapped(each: Elsewhere) -> Tensor:
    return each.there


def _on_the_cpu(keywords: dict[str, Any]) -> dict[str, Any]:
    plain = {name: tree_map_only(Elsewhere, _unwrapped, value) for name, value in keywords.items()}
    return plain | ({"device": torch.device("cpu")} if plain.get("device") is not None else {})

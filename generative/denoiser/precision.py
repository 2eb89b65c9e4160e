"""The dtype in which a network computes.

There is one rule. The state, the clock and the further conditions reach a network in its own dtype, that of its
weights. The clock is computed in float64 and rounded last. The output is converted to the dtype of the state, in which
everything else is computed. A function without weights of its own sees the dtype of the state.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["module_of", "own_dtype"]

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
"""Those in which layers compute; weights that are stored in eight bits are computed with in another one."""

_FOUND: weakref.WeakKeyDictionary[nn.Module, tuple[weakref.ref[nn.Module], str]] = weakref.WeakKeyDictionary()
"""The layer and the name of the weight that tells the dtype of a module. A search takes as long as a small layer."""


def own_dtype(net: Callable[..., Tensor]) -> torch.dtype | None:
    """The dtype of the weights of a network: of the first that has the dtype that it declares, as diffusers does.

    Args:
        net: a module, or what holds one: a bound method, a partial function, an object with a module as attribute.

    Returns:
        The dtype; None for a network without weights.

    Example:
        >>> own_dtype(torch.nn.Linear(2, 2).bfloat16())
        torch.bfloat16
    """
    module = module_of(net)
    if module is None:
        return None
    if (place := _FOUND.get(module)) is not None:
        weight = getattr(place[0](), place[1], None)
        if isinstance(weight, Tensor) and weight.dtype in DTYPES:
            return weight.dtype
    declared, weights = getattr(module, "dtype", None), list(_weights(module))
    fitting = [weight for weight in weights if weight[2] == declared] or weights
    if not fitting:
        return None
    layer, name, dtype = fitting[0]
    _FOUND[module] = weakref.ref(layer), name
    return dtype


def _weights(module: nn.Module) -> Iterator[tuple[nn.Module, str, torch.dtype]]:
    """The parameters of all layers, and then their buffers, in floating point: layer, name and dtype."""
    for kind in (nn.Module.named_parameters, nn.Module.named_buffers):
        named: Any = kind
        for layer in module.modules():
            for name, weight in named(layer, recurse=False):
                if weight.dtype in DTYPES:
                    yield layer, name, weight.dtype


def module_of(net: Callable[..., Tensor]) -> nn.Module | None:
    """The module that a network is or holds; None if there is none."""
    if isinstance(net, nn.Module):
        return net
    held = (getattr(net, "__self__", None), getattr(net, "func", None), *getattr(net, "__dict__", {}).values())
    return next((each for each in held if isinstance(each, nn.Module)), None)

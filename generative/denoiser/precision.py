"""The dtype in which a network computes.

There is one rule. The state, the clock and the further conditions reach a network in its own dtype, that of its
weights. The clock is computed in float64 and rounded last. The output is converted to the dtype of the state, in which
everything else is computed. A function without weights of its own sees the dtype of the state.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import torch
from torch import Tensor, nn

__all__ = ["module_of", "own_dtype"]

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
"""Those in which layers compute; weights that are stored in eight bits are computed with in another one."""


def own_dtype(net: Callable[..., Tensor]) -> torch.dtype | None:
    """The dtype that a network declares (`dtype`, as in diffusers), or that of its first weight; None without weights.

    Args:
        net: a module, or what holds one: a bound method, a partial function, an object with a module as attribute.

    Example:
        >>> own_dtype(torch.nn.Linear(2, 2).bfloat16())
        torch.bfloat16
    """
    module = module_of(net)
    if module is None:
        return None
    declared: torch.dtype | None = getattr(module, "dtype", None)
    if declared in DTYPES:
        return declared
    return next((each.dtype for each in chain(module.parameters(), module.buffers()) if each.dtype in DTYPES), None)


def module_of(net: Callable[..., Tensor]) -> nn.Module | None:
    """The module that a network is or holds; None if there is none."""
    held = (net, getattr(net, "__self__", None), getattr(net, "func", None), *getattr(net, "__dict__", {}).values())
    return next((each for each in held if isinstance(each, nn.Module)), None)

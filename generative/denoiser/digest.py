"""What tells one network from another, wherever it was loaded from and on whatever device it is."""

from __future__ import annotations

import weakref

import torch
from torch import Tensor, nn

from ...solvers.common import mark_of
from .contents import Contents, digest_of
from .denoiser import Denoiser, check_denoiser
from .precision import module_of

__all__ = ["network_digest"]

_FOUND: weakref.WeakKeyDictionary[nn.Module, tuple[object, str]] = weakref.WeakKeyDictionary()
"""The digest of a module, and what tells that its weights have not changed since. Large weights take seconds."""


def network_digest(denoiser: Denoiser) -> str:
    """16 hex digits that tell the network of a denoiser from others.

    A network with weights is told by its class and by their names, dtypes, shapes and values. A network that was
    converted to float64 is the one that it was in float32. Labels, conditions, the weight of a guidance, the device and
    the file do not count. A network without weights is told by its code and by
    what the code refers to. The digest of a module is computed once, until its weights change.

    Args:
        denoiser: the network; of a guided one the network that is guided.

    Raises:
        TypeError: it is no denoiser.

    Example:
        >>> network_digest(load("digits-flow")) == network_digest(load("digits-flow").given(3))
        True
    """
    check_denoiser(denoiser)
    module = module_of(denoiser.net)
    if module is None:
        contents = Contents()
        return digest_of([contents(denoiser.net), contents.tensors, contents.code])
    module = getattr(module, "_orig_mod", module)  # of torch.compile
    weights = module.state_dict()
    mark = [(each.data_ptr(), mark_of(each), each.dtype) for each in weights.values() if isinstance(each, Tensor)]
    known = _FOUND.get(module)
    if known is None or known[0] != mark:
        contents = Contents()
        made_of = {name: contents(_as_made(each)) for name, each in weights.items()}
        known = mark, digest_of([type(module).__qualname__, made_of, contents.tensors])
        _FOUND[module] = known
    return known[1]


def _as_made(weight: object) -> object:
    """The weight, in float32 if it was converted from that."""
    if isinstance(weight, Tensor) and weight.dtype == torch.float64:
        narrow = weight.float()
        if torch.equal(narrow.double(), weight):
            return narrow
    return weight

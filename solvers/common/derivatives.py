"""Products of vectors with the Jacobian J of a function, whatever the function is made of.

    pullback       f(x) and vᵀ J, for many directions v at once
    gradient       ∇f of a function with one value
    pushforward    J v, by reverse mode twice: u ↦ uᵀ J is linear, and J v is its own pullback of v

`torch.func` comes first: it works inside transforms, and takes all directions in one pass. It cannot follow a block
under `torch.utils.checkpoint`, an `autograd.Function` without `setup_context`, or an operator without a batching rule.
There `torch.autograd` takes its place, if need be one direction at a time. A warning says so once for each network, for
which the other way is then remembered.

Forward mode is not used: an operator that lacks it may drop its tangent without a word.

Every product is differentiable where gradients are enabled. Attention uses its plain kernel: the fused ones have no
second derivative. A backward pass through a checkpoint calls its block again, so that attention there needs
`sdpa_kernel(SDPBackend.MATH)` around that pass, too.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

__all__ = ["gradient", "pullback", "pushforward"]

Function = Callable[[Tensor], Tensor]


def pullback(function: Function, x: Tensor, network: Any) -> tuple[Tensor, Function]:
    """f(x), and the map from directions v, (m, *f(x).shape), to the products vᵀ J, (m, *x.shape).

    Args:
        function: f, of a tensor.
        x: where it is linearised.
        network: what f calls, which a warning names.

    Raises:
        ValueError: for a network under `torch.utils.checkpoint` with use_reentrant=True.
    """
    with sdpa_kernel(SDPBackend.MATH):
        value, pull = _linearised(function, x, network)

    @sdpa_kernel(SDPBackend.MATH)  # a checkpointed block calls its attention again
    def products(directions: Tensor) -> Tensor:
        if len(directions) > 1 and network not in _ONE_BY_ONE:
            try:
                together: Tensor = torch.vmap(pull)(directions)
                return together
            except RuntimeError as error:
                _tell(network, error, _ONE_BY_ONE, "one direction at a time")
        return torch.stack([pull(direction) for direction in directions])

    return value, products


@sdpa_kernel(SDPBackend.MATH)
def gradient(function: Function, x: Tensor, network: Any) -> Tensor:
    """∇f at x, of x's shape, for a function with one value; arguments and errors as for `pullback`."""
    value, pull = _linearised(function, x, network)
    return pull(torch.ones_like(value))


@sdpa_kernel(SDPBackend.MATH)
def pushforward(function: Function, x: Tensor, v: Tensor, network: Any) -> Tensor:
    """J v, of the shape of f(x), for v of x's shape; arguments and errors as for `pullback`."""
    value, pull = _linearised(function, x, network, twice=True)
    return _linearised(pull, torch.zeros_like(value), network)[1](v)


class _Marks:
    """A set of objects by identity, which it does not keep alive."""

    def __init__(self) -> None:
        self.kept: dict[int, Any] = {}

    def __contains__(self, network: Any) -> bool:
        return id(network) in self.kept

    def add(self, network: Any) -> None:
        key = id(network)
        try:
            self.kept[key] = weakref.ref(network, lambda _: self.kept.pop(key, None))
        except TypeError:  # an object without weak references
            self.kept[key] = network


_BY_AUTOGRAD, _ONE_BY_ONE = _Marks(), _Marks()
"""The networks that torch.func cannot follow, and those whose directions cannot be batched."""


def _linearised(function: Function, x: Tensor, network: Any, *, twice: bool = False) -> tuple[Tensor, Function]:
    """f(x), and the map from one direction v to vᵀ J; if `twice`, it can itself be differentiated in v."""

    def copied(at: Tensor) -> Tensor:
        return function(at.clone())  # whose change in place `check_unchanged` can name

    if network in _BY_AUTOGRAD:
        return _by_autograd(copied, x, twice)
    try:
        value, pull = torch.func.vjp(copied, x)  # type: ignore[misc]  # without has_aux
    except RuntimeError as error:
        found = _by_autograd(copied, x, twice)  # if this fails, too, the network itself does
        _tell(network, error, _BY_AUTOGRAD, "by torch.autograd")
        return found
    return value, lambda v: pull(v)[0]


def _by_autograd(function: Function, x: Tensor, twice: bool) -> tuple[Tensor, Function]:
    further = torch.is_grad_enabled()
    with torch.enable_grad():
        at = x if x.requires_grad and further else x.detach().requires_grad_()
        value = function(at)

    def pull(v: Tensor) -> Tensor:
        if not value.requires_grad:  # a constant
            return torch.zeros_like(at)
        create = further or (twice and v.requires_grad)
        try:
            return torch.autograd.grad(
                value, at, v, retain_graph=True, create_graph=create, allow_unused=True, materialize_grads=True
            )[0]
        except RuntimeError as error:
            if "use_reentrant" not in str(error):
                raise
            raise ValueError(
                "The network is under torch.utils.checkpoint with use_reentrant=True, which has no gradient with "
                "respect to its input alone; give use_reentrant=False."
            ) from None

    return value if further else value.detach(), pull


def _tell(network: Any, error: Exception, marks: _Marks, way: str) -> None:
    """Remember the other way for a network, and say so the first time."""
    told = network in _BY_AUTOGRAD or network in _ONE_BY_ONE
    marks.add(network)
    if told:
        return
    name = getattr(network, "__name__", type(network).__name__)
    reason = (str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0]
    warnings.warn(
        f"torch.func cannot follow {name} ({reason}); its derivatives are taken {way}.", RuntimeWarning, stacklevel=4
    )

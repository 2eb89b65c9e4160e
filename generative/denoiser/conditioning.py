"""The conditions of a network: what it is given besides the state and the time.

A condition is a class label, or a keyword argument of the network. A label is one int for all samples, or an int64
tensor (B,). A keyword argument that is a tensor with axes has one row a sample, or a single row for all samples;
mappings, lists and tuples are searched for such tensors, and every other value reaches the network unchanged.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...solvers.common import whole, wholes
from .nested import Condition, each_tensor, for_batch, with_first

__all__ = [
    "Condition",
    "Conditions",
    "Label",
    "check_taken",
    "checked_condition",
    "checked_label",
]

Label = int | Sequence[int] | Tensor
LABELS = None, 2**63 - 1
"""What an int64 holds."""


@dataclass(frozen=True, eq=False)
class Conditions:
    """The label and the keyword arguments of a network, for one sample or for a batch.

    Args:
        label: an int, an int64 tensor (B,) or (1,), or None for a network without labels.
        keywords: names and values of the network's further arguments.

    Example:
        >>> Conditions(torch.tensor([3, 1, 2])).map_rows(lambda value: value[:2]).label
        tensor([3, 1])
    """

    label: int | Tensor | None = None
    keywords: Condition = field(default_factory=dict)

    def map_rows(self, change: Callable[[Tensor], Tensor]) -> Conditions:
        """The conditions with `change(tensor)` in place of every tensor that has rows."""
        label = change(self.label) if isinstance(self.label, Tensor) else self.label
        return Conditions(label, each_tensor(self.keywords, lambda _, value: change(value)))

    def with_first(self, n: int, others: Conditions, x: Tensor) -> Conditions:
        """The conditions of the states x, (B, ...), with those of `others` in place of the first n rows.

        A label or a keyword that only one of the two has stays as it is here.
        """
        label = self.label
        if label is not None and others.label is not None:
            label = torch.cat([_labels(others.label, n, x), _labels(label, len(x), x)[n:]])
        return Conditions(label, with_first(self.keywords, n, others.keywords, len(x)))

    def arguments(self, x: Tensor, dtype: torch.dtype | None = None) -> tuple[tuple[Tensor, ...], dict[str, Any]]:
        """The arguments of a network after the states x, (B, ...), and the time: positional ones, and keywords.

        Args:
            x: the states.
            dtype: that of tensors in floating point; None leaves each its own.

        Raises:
            ValueError: for tensors that have neither one row nor B.
        """
        labels = () if self.label is None else (_labels(self.label, len(x), x),)

        def given(name: str, value: Tensor) -> Tensor:
            value = for_batch(f"condition {name!r}", value, len(x))
            return value.to(dtype) if dtype is not None and value.is_floating_point() else value

        return labels, each_tensor(self.keywords, given)


def checked_label(label: Label | None, net: Any = None) -> int | Tensor | None:
    """The label as `Conditions` keep it.

    A network knows the labels 0, …, classes − 1 and null_label, as far as it declares these two attributes; without
    `classes`, null_label is the last label. The values of a tensor are checked only where they lie on the host.

    Args:
        label: an int, or integers of shape (B,).
        net: the network.

    Returns:
        An int, an int64 tensor (B,), or None.

    Raises:
        ValueError: for another shape, and for labels that the network does not know.
        TypeError: for labels that are no integers.
    """
    if label is None:
        return None
    labels = _as_tensor(label)
    if labels.ndim > 1 or labels.numel() == 0:
        raise ValueError(f"Labels have shape {tuple(labels.shape)}; give an int, or one for each sample, (B,).")
    if labels.dtype == torch.bool or labels.is_floating_point() or labels.is_complex():
        raise TypeError(f"Labels are {labels.dtype}; give integers, an int or one for each sample.")
    if labels.device.type == "cpu":
        _check_range(labels, getattr(net, "classes", None), getattr(net, "null_label", None))
    return int(labels) if labels.ndim == 0 else labels.to(torch.int64)


def _as_tensor(label: Label) -> Tensor:
    if isinstance(label, Tensor) and label.ndim:
        return label
    given: Any = label
    single = isinstance(given, str) or not (isinstance(given, Sequence) or np.ndim(given))
    ints = whole("label", given, *LABELS) if single else wholes("label", given, *LABELS)
    return torch.tensor(ints, dtype=torch.int64, device="cpu")


def check_taken(net: Callable[..., Tensor], conditions: Conditions, times: Sequence[str] = ("time",)) -> None:
    """Checks that a network takes times, a label and these keywords, as far as its signature tells.

    Raises:
        TypeError: for a network that does not.
    """
    if conditions.label is None and not conditions.keywords:
        return
    try:
        signature = inspect.signature(net.forward if isinstance(net, nn.Module) else net, follow_wrapped=False)
    except (TypeError, ValueError):  # a function of C has none
        return
    label = () if conditions.label is None else (conditions.label,)
    try:
        signature.bind_partial("x", *times, *label, **conditions.keywords)
    except TypeError as error:
        raise TypeError(
            f"The network is called as net(x, {', '.join(times)}{', label' if label else ''}"
            f"{''.join(f', {name}=...' for name in conditions.keywords)}), which its signature {signature} does not "
            f"take ({error}); leave the label or the condition out, or let the network take it."
        ) from None


def _check_range(labels: Tensor, classes: object, null: object) -> None:
    low, high = int(labels.min()), int(labels.max())
    if low < 0:
        raise ValueError(f"The label {low} is negative; labels count from 0.")
    if isinstance(classes, int):
        allowed = labels < classes
        known = f"0 to {classes - 1}"
        if isinstance(null, int):
            allowed, known = allowed | (labels == null), f"{known}, and {null} for none"
        if not bool(allowed.all()):
            raise ValueError(f"The network knows the labels {known}, but got {int(labels[~allowed].max())}.")
    elif isinstance(null, int) and high > null:
        raise ValueError(f"The network knows the labels 0 to {null}, its null_label, but got {high}.")


def checked_condition(condition: Condition | None) -> dict[str, Any]:
    """The keyword arguments as `Conditions` keep them.

    Raises:
        TypeError: for anything but a mapping of names to values.
    """
    if condition is None:
        return {}
    if not isinstance(condition, Mapping) or not all(isinstance(name, str) for name in condition):
        raise TypeError("condition must map the names of the network's arguments to values; give {'name': value}.")
    return dict(condition)


def _labels(label: int | Tensor, batch: int, x: Tensor) -> Tensor:
    """One label for each sample, int64 (B,), on the device of x."""
    if isinstance(label, int):
        return torch.full((batch,), label, dtype=torch.int64, device=x.device)
    return for_batch("label", label.to(x.device, non_blocking=True), batch)

"""What a network is told besides the state and the time: class labels, and keyword arguments of its own.

A label is one int for all samples, or an int64 tensor with one a sample. Of a condition, a tensor with axes has one
row a sample, or a single row, which is repeated for all; nested mappings are followed, and all else passes as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "Condition",
    "Label",
    "check_negative",
    "checked_condition",
    "checked_label",
    "each_tensor",
    "for_batch",
    "joined",
    "label_rows",
    "rows",
]

Label = int | Sequence[int] | Tensor
Condition = Mapping[str, Any]


def checked_label(label: Label | None, net: Any = None) -> int | Tensor | None:
    """The label as it is kept: an int, or an int64 tensor (B,). Values are read from host tensors alone.

    The labels that a network knows are 0, …, classes − 1 and null_label, as far as it declares them as attributes;
    without `classes`, null_label is the last.
    """
    if label is None:
        return None
    labels = torch.as_tensor(label)
    if labels.ndim > 1 or labels.numel() == 0:
        raise ValueError(f"Labels have shape {tuple(labels.shape)}; give an int, or one for each sample, (B,).")
    if labels.dtype == torch.bool or labels.is_floating_point() or labels.is_complex():
        raise TypeError(f"Labels are {labels.dtype}; give integers, an int or one for each sample.")
    if labels.device.type == "cpu":
        _check_range(labels, getattr(net, "classes", None), getattr(net, "null_label", None))
    return int(labels) if labels.ndim == 0 else labels.to(torch.int64)


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
    """The condition as it is kept. Raises TypeError unless it maps names to values."""
    if condition is None:
        return {}
    if not isinstance(condition, Mapping) or not all(isinstance(name, str) for name in condition):
        raise TypeError("condition must map the names of the network's arguments to values; give {'name': value}.")
    return dict(condition)


def each_tensor(condition: Condition, change: Callable[[str, Tensor], Tensor]) -> dict[str, Any]:
    """The condition with `change(name, tensor)` in place of every tensor that has axes."""

    def changed(name: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return each_tensor(value, change)
        return change(name, value) if isinstance(value, Tensor) and value.ndim else value

    return {name: changed(name, value) for name, value in condition.items()}


def rows(value: Tensor, index: Tensor) -> Tensor:
    """The rows of these samples; a single row stays the same for all."""
    return value if len(value) == 1 else value[index.to(value.device)]


def for_batch(what: str, value: Tensor, batch: int) -> Tensor:
    """One row for each sample. Raises ValueError if there are neither as many rows, nor one."""
    if len(value) not in (1, batch):
        raise ValueError(
            f"{what} has {len(value)} rows for {batch} samples; give one a sample, or one for all (a tensor without "
            "rows can be bound to the network)."
        )
    return value.expand(batch, *value.shape[1:])


def label_rows(label: int | Tensor, batch: int, x: Tensor) -> Tensor:
    """One label for each sample, int64 (B,), beside x."""
    if isinstance(label, int):
        return torch.full((batch,), label, dtype=torch.int64, device=x.device)
    return for_batch("label", label.to(x.device, non_blocking=True), batch)


def check_negative(condition: Condition, negative: Condition) -> None:
    """Raises ValueError unless `negative` has rows of the same shape for some of the condition's tensors."""
    for name, value in negative.items():
        mine = condition.get(name)
        if isinstance(mine, Mapping) and isinstance(value, Mapping):
            check_negative(mine, value)
        elif not (isinstance(mine, Tensor) and isinstance(value, Tensor) and mine.ndim and value.ndim):
            raise ValueError(
                f"The negative condition {name!r} has no tensor of the denoiser's condition to stand in for; give "
                f"tensors with the names of some of its own: {', '.join(condition) or 'it has none'}."
            )
        elif mine.shape[1:] != value.shape[1:]:
            raise ValueError(
                f"The negative condition {name!r} has rows of shape {tuple(value.shape[1:])}, but those that it stands "
                f"in for {tuple(mine.shape[1:])}; give the same shape."
            )


def joined(condition: Condition, other: Condition, first: int, batch: int) -> dict[str, Any]:
    """The condition of `batch` samples with the rows of `other` for the first ones, where it has any."""

    def both(name: str, mine: Any) -> Any:
        if name not in other:
            return mine
        if isinstance(mine, Mapping):
            return joined(mine, other[name], first, batch)
        head = for_batch(f"negative {name!r}", other[name].to(mine), first)
        return torch.cat([head, for_batch(f"condition {name!r}", mine, batch)[first:]])

    return {name: both(name, mine) for name, mine in condition.items()}

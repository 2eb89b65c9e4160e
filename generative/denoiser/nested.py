"""The tensors of a condition that have rows, wherever they stand in nested mappings, lists and tuples.

A tensor with axes has one row a sample, or a single row for all samples. Every other value is passed on unchanged, and
so is a list or a tuple without such a tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

__all__ = ["Condition", "check_negative", "each_tensor", "for_batch", "rows", "with_first"]

Condition = Mapping[str, Any]


def rows(value: Tensor, index: Tensor) -> Tensor:
    """The rows `index`, (n,), of a tensor (B, ...); a single row for all samples is returned unchanged."""
    return value if len(value) == 1 else value[index.to(value.device)]


def for_batch(what: str, value: Tensor, batch: int) -> Tensor:
    """One row for each sample: (1, ...) or (B, ...) -> (B, ...).

    Args:
        what: the name of the tensor, for the message of an error.
        value: the tensor.
        batch: B.

    Raises:
        ValueError: for another number of rows.
    """
    if len(value) not in (1, batch):
        raise ValueError(
            f"{what} has {len(value)} rows for {batch} samples; give one a sample, or one for all (a tensor without "
            "rows can be bound to the network)."
        )
    return value.expand(batch, *value.shape[1:])


def check_negative(condition: Condition, negative: Condition) -> None:
    """Checks that every tensor of `negative` has a tensor of `condition` to replace, with rows of one shape.

    Lists and tuples have the same length; where neither has a tensor, the denoiser's own value stays.

    Raises:
        ValueError: otherwise.
    """
    for name, value in negative.items():
        mine = condition.get(name)
        if (parts := _parts(mine, value)) is not None:
            check_negative(*parts)
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


def _parts(mine: Any, value: Any) -> tuple[Condition, Condition] | None:
    """The entries of two mappings, or of two sequences of one length, by name; None for anything else."""
    if isinstance(mine, Mapping) and isinstance(value, Mapping):
        return mine, value
    if isinstance(mine, list | tuple) and isinstance(value, list | tuple) and len(mine) == len(value):
        pairs = {f"[{i}]": pair for i, pair in enumerate(zip(mine, value, strict=True))}
        both = {name: pair for name, pair in pairs.items() if any(map(_searched, pair))}
        return {name: pair[0] for name, pair in both.items()}, {name: pair[1] for name, pair in both.items()}
    return None


def _searched(value: Any) -> bool:
    return value.ndim > 0 if isinstance(value, Tensor) else isinstance(value, Mapping | list | tuple)


def each_tensor(condition: Condition, change: Callable[[str, Tensor], Tensor]) -> dict[str, Any]:
    """The condition with `change(name, tensor)` in place of every tensor that has axes."""
    return {name: _changed(name, value, change) for name, value in condition.items()}


def _changed(name: str, value: Any, change: Callable[[str, Tensor], Tensor]) -> Any:
    if isinstance(value, Mapping):
        return each_tensor(value, change)
    if isinstance(value, list | tuple):
        return _like(value, [_changed(f"{name}[{i}]", each, change) for i, each in enumerate(value)])
    return change(name, value) if isinstance(value, Tensor) and value.ndim else value


def with_first(condition: Condition, n: int, others: Condition, batch: int) -> dict[str, Any]:
    """The condition of `batch` samples with the tensors of `others` in place of the first n rows."""
    return {
        name: _joined(name, mine, n, others[name], batch) if name in others else mine
        for name, mine in condition.items()
    }


def _joined(name: str, mine: Any, n: int, other: Any, batch: int) -> Any:
    if isinstance(mine, Mapping):
        return with_first(mine, n, other, batch)
    if isinstance(mine, list | tuple):
        pairs = zip(mine, other, strict=True)
        return _like(mine, [_joined(f"{name}[{i}]", own, n, new, batch) for i, (own, new) in enumerate(pairs)])
    if not (isinstance(mine, Tensor) and mine.ndim):
        return mine
    head = for_batch(f"negative {name!r}", other.to(mine), n)
    return torch.cat([head, for_batch(f"condition {name!r}", mine, batch)[n:]])


def _like(sequence: list[Any] | tuple[Any, ...], entries: list[Any]) -> Any:
    """The entries as a list, a tuple or a named tuple, as the sequence is; the sequence itself if they are its own."""
    if all(new is old for new, old in zip(entries, sequence, strict=True)):
        return sequence
    return type(sequence)(*entries) if hasattr(sequence, "_fields") else type(sequence)(entries)

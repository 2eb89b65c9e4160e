"""Whether a function changed its argument in place."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["check_unchanged", "mark_of"]


def mark_of(x: Tensor, *, copied: bool = False) -> int | Tensor | None:
    """What tells later whether x was changed in place: torch's count of changes, which views share.

    In inference mode torch does not count. There it is a copy of x if `copied`, otherwise None, which tells nothing.
    While torch compiles it is None.
    """
    if torch.compiler.is_compiling():
        return None
    try:
        return x._version
    except RuntimeError:
        return x.clone() if copied else None


def check_unchanged(what: str, x: Tensor, mark: int | Tensor | None) -> None:
    """Raise ValueError if x was changed in place since the mark was taken.

    Args:
        what: the function that was called, for the message.
        x: its argument.
        mark: `mark_of(x)` before the call.
    """
    if mark is not None and not (mark == x._version if isinstance(mark, int) else torch.equal(mark, x)):
        raise ValueError(
            f"{what} changed its state in place, which its caller still needs; let it begin with x = x.clone(), or "
            "write x = x * c in place of x *= c."
        )

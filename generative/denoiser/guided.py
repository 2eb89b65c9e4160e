"""A denoiser made of others: what all guidance shares.

    ỹ = (1 − w) y_start + w y_end,

with one weight, or one for each sample. Whatever belongs to single samples (labels, conditions, weights) goes along
when samples are picked, repeated or joined.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Self

import torch
from torch import Tensor

from ..paths import Real
from .conditioning import Condition, Label, for_batch
from .denoiser import Denoiser
from .prediction import per_sample

__all__ = ["Guided"]


class Guided(Denoiser):
    """A denoiser made of others of one path, the first of which is seen from outside.

    Its threshold acts on what is made of them, after guidance; theirs is set aside.
    """

    def __init__(self, parts: Sequence[Denoiser], weight: float | Tensor) -> None:
        first = parts[0]
        super().__init__(
            first.net,
            first.path,
            predicts=first.predicts,
            time=first.time,
            label=first.label,
            condition=first.condition,
            precondition=first.precondition,
            learned_variance=first.learned_variance,
            threshold=first.threshold,
        )
        self.parts, self.weight = tuple(_unthresholded(part) for part in parts), _checked_weight(weight)

    @property
    def smooth(self) -> bool:
        return self.threshold is None and all(part.smooth for part in self.parts)

    def given(self, label: Label | Condition | None) -> Self:
        """As `Denoiser.given`, for all parts; one without labels (a condition) beside a first that has some stays."""

        def told(denoiser: Denoiser) -> bool:
            return bool(denoiser.condition) if isinstance(label, Mapping) else denoiser.label is not None

        return self._of([part if told(self) and not told(part) else part.given(label) for part in self.parts])

    def mapped(self, change: Callable[[Tensor], Tensor]) -> Self:
        made = self._of([part.mapped(change) for part in self.parts])
        made.weight = change(self.weight) if isinstance(self.weight, Tensor) else self.weight
        return made

    def joined(self, label: int | Tensor | None, condition: Condition, first: int, x: Tensor) -> Self:
        return self._of([part.joined(label, condition, first, x) for part in self.parts])

    def _of(self, parts: Sequence[Denoiser]) -> Self:
        made = copy(self)
        made.parts, made.label, made.condition = tuple(parts), parts[0].label, parts[0].condition
        return made

    def _weight(self, x: Tensor) -> Real:
        """w, to multiply x."""
        if not isinstance(self.weight, Tensor):
            return self.weight
        return per_sample(for_batch("weight", self.weight, len(x)), x)

    def _between(self, start: Tensor, end: Tensor) -> Tensor:
        """(1 − w) start + w end, exact for w = 0 and w = 1."""
        return torch.lerp(start, end, self._weight(start))

    def __repr__(self) -> str:
        weight = f"{self.weight:g}" if isinstance(self.weight, float) else "weights"
        return f"{type(self).__name__}({', '.join(map(repr, self.parts))}, {weight})"


def _unthresholded(denoiser: Denoiser) -> Denoiser:
    plain = copy(denoiser)
    plain.threshold = None
    return plain


def _checked_weight(weight: float | Tensor) -> float | Tensor:
    """A finite number, or a floating-point tensor of them, one a sample or one; read from host tensors alone."""
    if not isinstance(weight, Tensor):
        weight = float(weight)
        if not math.isfinite(weight):
            raise ValueError(f"The weight of guidance is {weight}; give a finite number.")
        return weight
    if weight.ndim > 1 or not weight.is_floating_point():
        raise ValueError(
            f"The weight of guidance is {weight.dtype} of shape {tuple(weight.shape)}; give a number, or floating-point"
            " numbers of shape (B,)."
        )
    if weight.device.type == "cpu" and not bool(weight.isfinite().all()):
        raise ValueError("The weight of guidance is not finite for every sample; give finite numbers.")
    return weight.reshape(-1)

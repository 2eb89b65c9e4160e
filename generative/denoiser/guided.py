"""A denoiser that is made of others: what every guidance shares.

    ỹ = (1 − w) y_start + w y_end,

with one weight w for all samples, one a sample, or one for each part of a sample, such as a frame. When samples are
picked or repeated, their labels, conditions and weights are picked or repeated with them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Self

import torch
from torch import Tensor

from ...solvers.common import check_instance, check_samples, real
from ..paths import Scalar
from .conditioning import Conditions, Label
from .denoiser import Denoiser
from .nested import Condition, for_batch
from .prediction import per_sample

__all__ = ["Guided"]

LARGEST_WEIGHT = 1e6
"""Beyond it the difference of two predictions is multiplied by more than float32 has digits."""


class Guided(Denoiser):
    """A denoiser made of others on one path. Its network, conventions and conditions are those of the first part.

    The threshold is applied to the guided prediction; thresholds of the other parts are ignored.

    Args:
        parts: the denoisers.
        weight: w, a number of at most a million in size, or floating-point numbers whose axes are the first of x, such
            as (B,), (1,) or (B, C, F, 1, 1).

    Raises:
        TypeError: for a part that is no denoiser, and for a weight that is no number.
        ValueError: for another weight.
    """

    def __init__(self, parts: Sequence[Denoiser], weight: float | Tensor) -> None:
        for part in parts:
            check_instance("denoiser", part, Denoiser, "Denoiser(net, path, predicts=...), or load(name)")
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
        """As `Denoiser.given`, for every part. If the first part has labels (keywords), parts without stay without."""

        def conditional(part: Denoiser) -> bool:
            return bool(part.condition) if isinstance(label, Mapping) else part.label is not None

        some = conditional(self)
        return self._with_parts([part if some and not conditional(part) else part.given(label) for part in self.parts])

    def map_rows(self, change: Callable[[Tensor], Tensor]) -> Self:
        made = self._with_parts([part.map_rows(change) for part in self.parts])
        made.weight = change(self.weight) if isinstance(self.weight, Tensor) else self.weight
        return made

    def map_conditions(self, change: Callable[[Conditions], Conditions]) -> Self:
        return self._with_parts([part.map_conditions(change) for part in self.parts])

    def _with_parts(self, parts: Sequence[Denoiser]) -> Self:
        made = copy(self)
        made.parts, made.conditions = tuple(parts), parts[0].conditions
        return made

    def weight_for(self, x: Tensor) -> Scalar:
        """The weight in the shape that multiplies x, (B, ...): a float, or as many axes as x.

        Raises:
            ValueError: for a weight that does not broadcast to x.
        """
        if not isinstance(self.weight, Tensor):
            return self.weight
        weight = for_batch("weight", self.weight, len(x))
        sizes = zip(weight.shape[1:], x.shape[1:], strict=False)
        if weight.ndim > x.ndim or any(given not in (1, size) for given, size in sizes):
            raise ValueError(
                f"The weight of guidance has shape {tuple(weight.shape)}, which does not broadcast to a state of shape "
                f"{tuple(x.shape)}; give (B,), or an axis of size 1 or that of the state for each of its first axes."
            )
        return per_sample(weight, x)

    def _extrapolated(self, start: Tensor, end: Tensor) -> Tensor:
        """(1 − w) start + w end, exact for w = 0 and w = 1."""
        return torch.lerp(start, end, self.weight_for(start))

    def __repr__(self) -> str:
        weight = f"{self.weight:g}" if isinstance(self.weight, float) else "weights"
        return f"{type(self).__name__}({', '.join(map(repr, self.parts))}, {weight})"


def _unthresholded(denoiser: Denoiser) -> Denoiser:
    plain = copy(denoiser)
    plain.threshold = None
    return plain


def _checked_weight(weight: float | Tensor) -> float | Tensor:
    """A finite float, or a floating-point tensor with axes, whose values are checked only on the host."""
    if not isinstance(weight, Tensor):
        return real("weight", weight, -LARGEST_WEIGHT, LARGEST_WEIGHT)
    check_samples("weight", weight, axes=0)
    return weight if weight.ndim else weight.reshape(1)

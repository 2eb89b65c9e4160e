"""The noises of one label, or of one weight of guidance: a table that serves all may serve some badly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...solvers.common import Array
from ..bootstrap import estimate, interval, ratio_interval

__all__ = ["Part", "dealt_out", "parts_of"]


@dataclass(frozen=True)
class Part:
    """The errors on the noises with one label, or with one weight.

    Attributes:
        value: the label or the weight.
        held_out: the errors of the table on held-out noises, (samples,).
        default: those of the default sampler there.
        training: those of the table on the noises that it was fitted to; there may be none.
    """

    value: float
    held_out: Array
    default: Array
    training: Array

    @property
    def ratio(self) -> tuple[float, float, float]:
        """The held-out error of the best 99 % over the default's, with the ends of its 95 % interval."""
        over = estimate(self.held_out, "trimmed") / estimate(self.default, "trimmed")
        return over, *ratio_interval(self.held_out, self.default, "trimmed")

    @property
    def fitted(self) -> float | None:
        """The error of the best 99 % of the noises that the table was fitted to; None without any."""
        return estimate(self.training, "trimmed") if self.training.size else None

    def told(self) -> dict[str, Any]:
        """The same in JSON values; errors have the ends of their 95 % intervals beside them."""
        found: dict[str, Any] = {"value": self.value, "noises": len(self.held_out)}
        for statistic in ("median", "trimmed"):
            found[statistic] = [estimate(self.held_out, statistic), *interval(self.held_out, statistic)]
        return {**found, "ratio": [*self.ratio], "training": self.fitted}


def dealt_out(classes: int, weights: tuple[float, ...], first: int, last: int) -> dict[str, Array]:
    """The "label" and the "weight" of the noises from one position to another, where there is more than one of them.

    The labels 0 … classes − 1 are dealt out in turn, and the weights in turn after them.
    """
    at, found = np.arange(first, last), dict[str, Any]()
    if classes > 1:
        found["label"] = at % classes
    if len(set(weights)) > 1:
        found["weight"] = np.array(weights)[at // max(1, classes) % len(weights)]
    return found


def parts_of(held_out: Mapping[str, Array], training: Array, dealt: tuple[Array, Array]) -> list[Part]:
    """The parts by value.

    Args:
        held_out: the errors on held-out noises, of "default" and of "tuned".
        training: those of the table on the noises that it was fitted to.
        dealt: the values of the held-out noises and of those that it was fitted to.
    """
    ours, theirs = dealt
    return [
        Part(value, held_out["tuned"][ours == value], held_out["default"][ours == value], training[theirs == value])
        for value in np.unique(ours).tolist()
    ]

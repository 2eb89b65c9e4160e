"""What a solver calls of a denoiser: a field whose evaluations and samples are the denoiser's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from torch import Tensor

from ...solvers import Field, Time
from .denoiser import Denoiser

__all__ = ["DenoiserField"]


@dataclass(frozen=True)
class DenoiserField(Field):
    """A function of a denoiser's predictions. A subclass gives `__call__`, which asks for one prediction a call.

    Args:
        denoiser: the network.
    """

    denoiser: Denoiser

    def evaluations(self, t: Time) -> int | Tensor:
        return self.denoiser.evaluations(t)

    def of_rows(self, index: Tensor) -> Self:
        return replace(self, denoiser=self.denoiser.of_rows(index))

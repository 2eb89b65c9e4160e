"""What a published way of tuning is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from ..coefficients import Coefficients
from ..trajectories import Trajectories

__all__ = ["Baseline"]


class Baseline(ABC):
    """From training noises to the numbers of a table.

    Attributes:
        source: paper and equation or algorithm.
        relation: in what it differs from what is printed there.
    """

    source: ClassVar[str]
    relation: ClassVar[str]

    @abstractmethod
    def fit(self, training: Trajectories, nfe: int) -> Coefficients:
        """The numbers.

        Args:
            training: noises with the ends of their flows.
            nfe: n, the evaluations.
        """

    @abstractmethod
    def evaluations(self, training: Trajectories, nfe: int) -> int:
        """The states at which `fit` evaluates the field; a derivative backwards counts as two."""

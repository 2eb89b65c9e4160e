"""What a solution of the flow costs, and how far it is off, by a few samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...solvers.noise import Keys
from .along_flow import flow_states
from .change_of_variables import ChangeOfVariables
from .clock import Clock
from .flow_error import flow_error

__all__ = ["INTERVALS", "MeasuredFlow"]

SAMPLES, INTERVALS = 4, 16
"""The number of samples, at most; enough intervals for the size of an error."""
ORDER = 5.0
"""Of the steps."""


@dataclass(frozen=True)
class MeasuredFlow:
    """A solution of the flow.

    Attributes:
        tolerance: of its adaptive steps; infinite for steps of RK4.
        error: its error in log p, in nats, root mean square.
        evaluations: those of a sample.
        repeated: those of a sample from which its error is known.
    """

    tolerance: float
    error: float
    evaluations: float
    repeated: float

    @classmethod
    def of(
        cls, change: ChangeOfVariables, clock: Clock, states: Tensor, tolerance: float | None, keys: Keys, spent: Tensor
    ) -> MeasuredFlow:
        """That with these states at the nodes of a rule, (n + 1, B, ...), after so many evaluations, (B,)."""
        rows = torch.arange(min(SAMPLES, states.shape[1]), device="cpu")
        error, repeated, _ = flow_error(
            change.of_rows(rows), clock, states[:, : len(rows)], tolerance, keys.of_rows(rows)
        )
        size = float(error.square().mean().sqrt())
        return cls(tolerance or math.inf, size, float(spent.double().mean()), float(repeated.double().mean()))

    @classmethod
    def stepped(cls, change: ChangeOfVariables, x: Tensor, clock: Clock, intervals: int, keys: Keys) -> MeasuredFlow:
        """That of steps of RK4 from node to node, from the first of the samples x, (B, ...)."""
        rows = torch.arange(min(SAMPLES, len(x)), device="cpu")
        some, z = change.of_rows(rows), change.entering(x[rows.to(x.device)])
        with torch.no_grad():
            states, nfe = flow_states(some, clock, z, clock.nodes(intervals).s, None)
        return cls.of(some, clock, states, None, keys, nfe.per_sample)

    def at(self, tolerance: float) -> MeasuredFlow:
        """What is expected of a smaller tolerance: errors that fall like its power 4/5 at least."""
        ratio = tolerance / self.tolerance
        work = ratio ** (-1.0 / ORDER)
        return MeasuredFlow(
            tolerance, self.error * ratio ** (1.0 - 1.0 / ORDER), self.evaluations * work, self.repeated * work
        )

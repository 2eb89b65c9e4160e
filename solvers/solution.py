"""What a solve gives back: the state, the times, and an exact account of its evaluations.

Evaluations are counted by the `Ledger`, which stands between the solver and the costly field of the equation: a
solver sees only the watched field, so it cannot forget one, nor exceed the budget. The same place checks, once, that
the field returns what a state needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

__all__ = ["NFE", "BudgetExhausted", "Ledger", "Solution", "SolveError"]


class NFE(int):
    """The number of function evaluations of a solve, per sample, with its parts as attributes.

    forward: evaluations of the network (guided ones count each branch). rejected: those of them that were spent on
    rejected steps.
    """

    forward: int
    rejected: int

    def __new__(cls, forward: int, rejected: int = 0) -> NFE:
        nfe = super().__new__(cls, forward)
        nfe.forward, nfe.rejected = forward, rejected
        return nfe


@dataclass(frozen=True)
class Solution:
    """The result of `solve`.

    x: the final state, (B, ...). ts: the times reached, float64 (n + 1,). xs: the states at `ts`, (n + 1, B, ...), if
    they were saved. nfe: evaluations per sample. accepted, rejected: numbers of steps. status: "completed", or why a
    partial solution ended: "budget", "nonfinite" or "underflow".
    """

    x: Tensor
    ts: Tensor
    xs: Tensor | None = None
    nfe: NFE = field(default_factory=lambda: NFE(0))
    accepted: int = 0
    rejected: int = 0
    status: str = "completed"


class SolveError(RuntimeError):
    """A solve that could not reach its end. `solution` holds all that was done until then."""

    def __init__(self, message: str, solution: Solution) -> None:
        super().__init__(message)
        self.solution = solution


class BudgetExhausted(Exception):
    """The next evaluation would exceed max_nfe. Internal: solvers turn it into a SolveError."""


class Ledger:
    """Counts evaluations, refuses those beyond the budget, and checks the field's first value."""

    def __init__(self, budget: int | None = None) -> None:
        self.forward = 0
        self.rejected = 0
        self.budget = budget

    @property
    def nfe(self) -> NFE:
        return NFE(self.forward, self.rejected)

    def watch(self, function: Callable[[float, Tensor], Tensor], cost: int) -> Callable[[float, Tensor], Tensor]:
        """`function`, each call of which is entered as `cost` evaluations."""

        def watched(t: float, x: Tensor) -> Tensor:
            if self.budget is not None and self.forward + cost > self.budget:
                raise BudgetExhausted
            first = self.forward == 0
            self.forward += cost
            value = function(t, x)
            if first and (value.shape != x.shape or value.dtype != x.dtype):
                raise ValueError(
                    f"The equation's field returned {value.dtype} of shape {tuple(value.shape)} for a state of "
                    f"{x.dtype} and shape {tuple(x.shape)}; return the state's dtype and shape."
                )
            return value

        return watched

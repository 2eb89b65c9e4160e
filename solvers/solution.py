"""What a solve gives back: the state, the times, and an exact account of its evaluations.

Evaluations are counted by the `Ledger`, which stands between the solver and the costly field of the equation: a
solver sees only the watched field, so it cannot forget one, nor exceed the budget. The same place sees the derivatives
that are taken of the field, forwards (a call on dual numbers) and backwards (a gradient that flows through its value),
and checks, once, that the field returns what a state needs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual

__all__ = ["NFE", "BudgetExhausted", "Ledger", "Solution", "SolveError"]


class NFE(int):
    """The number of function evaluations of a solve, per sample, with its parts as attributes.

    forward: evaluations of the network; of the sample that took most, where samples differ. rejected: those of them
    that were spent on rejected steps. branches: the most evaluations in one call of the field (guidance has two),
    which are counted. depth: calls of the field, one after the other: less than `forward` where a call evaluates
    branches, or several times at once. jvp, vjp: Jacobian-vector and vector-Jacobian products (directions that are
    batched by vmap count once). per_sample: evaluations of each sample, int64 (B,). The account goes on after the
    solve: a backward pass adds its products, and the evaluations that it repeats.
    """

    rejected: int
    branches: int
    depth: int
    jvp: int
    vjp: int
    per_sample: Tensor

    @property
    def forward(self) -> int:
        return int(self)

    @property
    def total(self) -> int:
        """Evaluations of all samples together."""
        return int(self.per_sample.sum())

    def histogram(self) -> dict[int, int]:
        """How many samples took how many evaluations."""
        return dict(sorted(Counter(self.per_sample.tolist()).items()))

    @classmethod
    def of(cls, per_sample: Tensor, **parts: int) -> NFE:
        """An account of these evaluations, int64 (B,), with `rejected`, `branches`, `depth`, `jvp` and `vjp`."""
        nfe = cls(int(per_sample.max()) if len(per_sample) else 0)
        nfe.per_sample = per_sample
        vars(nfe).update(parts)
        return nfe


class BudgetExhausted(Exception):
    """The next evaluation would exceed max_nfe. Internal: solvers turn it into a SolveError."""


class Ledger:
    """Counts evaluations, refuses those beyond the budget, and checks the field's first value.

    Where samples are at times of their own, a call is entered as what it takes of the sample that it takes most of.

    copies: states of one sample in the batch of a call. per_sample: what each sample took, where they differ; the
    loop that knows which samples it evaluates keeps it.
    """

    def __init__(self, budget: int | None = None, batch: int = 0) -> None:
        self.budget = budget
        self.batch = batch
        self.forward = self.rejected = self.depth = self.jvp = self.vjp = 0
        self.branches = self.copies = 1
        self.per_sample: Tensor | None = None

    @property
    def nfe(self) -> NFE:
        nfe = NFE(self.forward)
        nfe.rejected, nfe.branches, nfe.depth = self.rejected, self.branches, self.depth
        nfe.jvp, nfe.vjp = self.jvp, self.vjp
        each = torch.full((self.batch,), self.forward) if self.per_sample is None else self.per_sample.clone()
        nfe.per_sample = each
        return nfe

    def watch(
        self,
        function: Callable[[Any, Tensor], Tensor],
        cost: int,
        spends: Callable[[Any], int | Tensor] | None = None,
    ) -> Callable[[Any, Tensor], Tensor]:
        """`function`, each call of which is entered as `cost` evaluations, or as `spends(t)`, which is no more."""
        self.branches = cost

        def watched(t: Any, x: Tensor) -> Tensor:
            each = cost if spends is None else spends(t)
            spent = self._most(each) if isinstance(each, Tensor) else each * self.copies
            if self.budget is not None and self.forward + spent > self.budget:
                raise BudgetExhausted
            first = self.depth == 0
            self.forward += spent
            self.depth += 1
            if unpack_dual(x).tangent is not None:  # type: ignore[no-untyped-call]  # torch's
                self.jvp += spent
            value = function(t, x)
            if first and (value.shape != x.shape or value.dtype != x.dtype):
                raise ValueError(
                    f"The equation's field returned {value.dtype} of shape {tuple(value.shape)} for a state of "
                    f"{x.dtype} and shape {tuple(x.shape)}; return the state's dtype and shape."
                )
            if value.requires_grad:
                value.register_hook(lambda _: self._pulled_back(spent))  # type: ignore[no-untyped-call]  # torch's
            return value

        return watched

    def _most(self, each: Tensor) -> int:
        """Of what each state of a batch takes, the most that those of one sample take together."""
        return int(each.reshape(self.copies, -1).sum(0).max())

    def _pulled_back(self, spent: int) -> None:
        self.vjp += spent


@dataclass(frozen=True)
class Solution:
    """The result of `solve`.

    x: the final state, (B, ...). ts: the times reached, or the times asked for, float64 (n + 1,). xs: the states at
    `ts`, (n + 1, B, ...), if they were saved. accepted, rejected: numbers of steps (of all samples together, where
    each has its own). status: "completed", or why a partial solution ended: "budget", "nonfinite", "underflow" (of the
    step size) or "unconverged" (an implicit method of a backend).
    """

    x: Tensor
    ts: Tensor
    xs: Tensor | None = None
    accepted: int = 0
    rejected: int = 0
    status: str = "completed"
    ledger: Ledger = field(default_factory=Ledger, repr=False)

    @property
    def nfe(self) -> NFE:
        """Evaluations per sample, until now."""
        return self.ledger.nfe


class SolveError(RuntimeError):
    """A solve that could not reach its end. `solution` holds all that was done until then."""

    def __init__(self, message: str, solution: Solution) -> None:
        super().__init__(message)
        self.solution = solution

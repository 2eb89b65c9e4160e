"""The result of a solve: the state, the times, and an exact account of its evaluations.

A `Ledger` counts the evaluations. It stands between the solver and the costly field of the equation: a solver sees only
the watched field, so that it cannot forget an evaluation or exceed the budget. The ledger also counts the derivatives
of the field, forward (a call on dual numbers) and backward (a gradient that flows through a value). On every call it
checks that the field returns a tensor like the state, and that it leaves the state as it was.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import total_ordering
from operator import index
from typing import Any, SupportsIndex

import torch
from torch import Tensor
from torch.autograd import forward_ad

from .common import check_unchanged, mark_of
from .field import Field, Time, when

__all__ = ["NFE", "BudgetExhausted", "Ledger", "Solution", "SolveError"]


@total_ordering
@dataclass(frozen=True, eq=False)
class NFE:
    """The number of function evaluations of a solve, for each sample. It compares and prints like its `forward`.

    Attributes:
        forward: evaluations of the network for a sample; if samples differ, for the sample with the most.
        per_sample: evaluations for each sample, int64 (B,).
        rejected: the part of `forward` that was spent on rejected steps.
        branches: the largest number of evaluations in one call of the field. Guidance has two; both are counted.
        depth: the number of calls of the field, one after the other. It is less than `forward` if a call evaluates
            branches, or several times at once.
        jvp: Jacobian-vector products. Directions that vmap batches count as one.
        vjp: vector-Jacobian products, counted in the same way. A backward pass after the solve adds to them:
            `Solution.nfe` then has the new count.
    """

    forward: int
    per_sample: Tensor
    rejected: int = 0
    branches: int = 1
    depth: int = 0
    jvp: int = 0
    vjp: int = 0

    @classmethod
    def of(cls, per_sample: Tensor, **parts: int) -> NFE:
        """The account of these evaluations, int64 (B,); `parts` are the other fields, from `rejected` to `vjp`."""
        return cls(int(per_sample.max()) if len(per_sample) else 0, per_sample, **parts)

    @property
    def total(self) -> int:
        """The evaluations of all samples together."""
        return int(self.per_sample.sum())

    def histogram(self) -> dict[int, int]:
        """The number of samples that took each number of evaluations."""
        return dict(sorted(Counter(self.per_sample.tolist()).items()))

    def __int__(self) -> int:
        return self.forward

    __index__ = __int__

    def __eq__(self, other: object) -> bool:
        return self.forward == index(other) if isinstance(other, SupportsIndex) else NotImplemented

    def __lt__(self, other: object) -> bool:
        return self.forward < index(other) if isinstance(other, SupportsIndex) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.forward)

    def __str__(self) -> str:
        return str(self.forward)


class BudgetExhausted(Exception):
    """The next evaluation would exceed max_nfe. It is internal: solvers turn it into a SolveError."""


class Ledger:
    """Counts evaluations, refuses those beyond the budget, and checks the field's values.

    If samples have different times, a call counts the largest number of evaluations of any sample.

    Args:
        budget: the largest number of evaluations; None for no limit.
        batch: the number of samples, B.

    Attributes:
        copies: how often each sample is repeated in the batch of a call.
        per_sample: the evaluations for each sample, int64 (B,), if samples differ. The loop that gives samples their
            own steps sets it. None if samples do not differ.
        raised_at: the time of the call in which the field has raised an exception; None if it has not.
    """

    def __init__(self, budget: int | None = None, batch: int = 0) -> None:
        self.budget = budget
        self.batch = batch
        self.forward = self.rejected = self.depth = self.jvp = self.vjp = 0
        self.branches = self.copies = 1
        self.per_sample: Tensor | None = None
        self.raised_at: Time | None = None

    @property
    def nfe(self) -> NFE:
        """The account until now."""
        each = self.per_sample
        each = torch.full((self.batch,), self.forward, device="cpu") if each is None else each.clone()
        return NFE(self.forward, each, self.rejected, self.branches, self.depth, self.jvp, self.vjp)

    def watch(self, field: Field) -> Field:
        """The field as one whose calls the ledger counts."""
        return _Watched(field, self)

    def enter(self, each: int | Tensor) -> int:
        """Count a call.

        Args:
            each: the evaluations for every sample of the call: an int, or int64 of one number a sample.

        Returns:
            The number by which `forward` grows.

        Raises:
            BudgetExhausted: the call would exceed the budget. It is not counted.
        """
        if isinstance(each, Tensor):
            spent, branches = int(each.reshape(self.copies, -1).sum(0).max()), int(each.max())
        else:
            spent, branches = each * self.copies, each
        if self.budget is not None and self.forward + spent > self.budget:
            raise BudgetExhausted
        self.forward += spent
        self.depth += 1
        self.branches = max(self.branches, branches)
        return spent


@dataclass(frozen=True)
class _Watched(Field):
    """A field whose calls a ledger counts. It passes times of samples on in the shape (B,)."""

    field: Field
    ledger: Ledger

    def __call__(self, t: Time, x: Tensor) -> Tensor:
        if isinstance(t, Tensor):
            t = t.flatten()
        first = self.ledger.depth == 0
        spent = self.ledger.enter(self.field.evaluations(t))
        if getattr(forward_ad, "_current_level", 0) >= 0:  # within forward mode; otherwise the question takes time
            unpacked: Any = forward_ad.unpack_dual(x)  # type: ignore[no-untyped-call]  # torch's
            self.ledger.jvp += spent if unpacked.tangent is not None else 0
        mark: int | Tensor | None
        try:
            mark = x._version
        except RuntimeError:  # in inference mode
            mark = mark_of(x, copied=first)
        try:
            value = self.field(t, x)
            alike = isinstance(value, Tensor) and value.shape == x.shape and value.dtype == x.dtype
            if not alike or (first and value.device != x.device):
                raise _unlike(value, t, x)
            if not isinstance(mark, int) or mark != x._version:
                check_unchanged("The equation's field", x, mark)
        except Exception:
            self.ledger.raised_at = t
            raise
        if value.requires_grad:
            value = value.view_as(value)  # of its own: a field may return x or a parameter, which must keep no hook
            node: Any = value.grad_fn
            node.register_prehook(lambda _: self._pulled_back(spent))
        return value

    def evaluations(self, t: Time) -> int | Tensor:
        return self.field.evaluations(t)

    def of_rows(self, index: Tensor) -> Field:
        return replace(self, field=self.field.of_rows(index))

    def _pulled_back(self, spent: int) -> None:
        self.ledger.vjp += spent


def _unlike(value: Any, t: Time, x: Tensor) -> Exception:
    """The error of a field whose value at t is not like the state x."""
    found = _words(value) if isinstance(value, Tensor) else type(value).__name__
    message = (
        f"The equation's field returned {found} for a state of {_words(x)}, at {when(t)}; return the state's dtype, "
        "shape and device."
    )
    return ValueError(message) if isinstance(value, Tensor) else TypeError(message)


def _words(x: Tensor) -> str:
    return f"{x.dtype} of shape {tuple(x.shape)} on {x.device}"


@dataclass(frozen=True)
class Solution:
    """The result of `solve`.

    Attributes:
        x: the final state, (B, ...).
        ts: the times reached, or the times asked for, float64 (n + 1,).
        xs: the states at `ts`, (n + 1, B, ...), if they were saved; otherwise None.
        accepted: the number of accepted steps; if each sample has its own steps, of all samples together.
        rejected: the number of rejected steps, counted in the same way.
        status: "completed", or the reason why a partial solution ended: "budget", "nonfinite", "underflow" (of the
            step size), "unconverged" (an implicit method of a backend) or "failed" (an exception of the field).
        ledger: the account of the evaluations.
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
        """The number of evaluations until now, including those of a backward pass."""
        return self.ledger.nfe


class SolveError(RuntimeError):
    """A solve could not reach its end. Its attribute `solution` holds the solution until there."""

    def __init__(self, message: str, solution: Solution) -> None:
        super().__init__(message)
        self.solution = solution

    def __reduce__(self) -> tuple[Any, ...]:
        """An exception is made again from its `args` alone, unless it says more."""
        return type(self), (str(self), self.solution), vars(self)

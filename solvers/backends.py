"""Other people's integrators behind the same interface, with the same account of evaluations.

They serve as independent references: our own solvers are checked against them on the same problems.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torchdiffeq
from torch import Tensor

from .base import Solver, Task
from .solution import BudgetExhausted, Solution, SolveError
from .stepping import Adaptive

__all__ = ["TorchDiffEq"]


class TorchDiffEq(Solver):
    """torchdiffeq's `odeint` (Chen et al., 2018).

    method: "euler", "midpoint", "heun2", "heun3" or "rk4" (the 3/8 rule), on a grid of times; or "adaptive_heun",
    "fehlberg2", "bosh3", "dopri5" or "dopri8", with `Adaptive` times. Raises ValueError for an unknown method, or one
    that does not fit the times.
    """

    FIXED: ClassVar[dict[str, tuple[int, int]]] = {
        "euler": (1, 1),
        "midpoint": (2, 2),
        "heun2": (2, 2),
        "heun3": (3, 3),
        "rk4": (4, 4),
    }
    """Order, and evaluations a step."""
    ADAPTIVE: ClassVar[dict[str, int]] = {"adaptive_heun": 2, "fehlberg2": 2, "bosh3": 3, "dopri5": 5, "dopri8": 8}

    def __init__(self, method: str) -> None:
        if method not in self.FIXED and method not in self.ADAPTIVE:
            raise ValueError(
                f"Unknown torchdiffeq method {method!r}; choose one of {', '.join([*self.FIXED, *self.ADAPTIVE])}."
            )
        self.method = method
        self.embedded = method in self.ADAPTIVE
        self.order = self.ADAPTIVE[method] if self.embedded else self.FIXED[method][0]

    def __repr__(self) -> str:
        return f"TorchDiffEq({self.method!r})"

    def evaluations(self, n: int) -> int:
        if self.embedded:
            raise ValueError(f"{self.method} chooses its own steps; give it Adaptive(t0, t1, rtol=..., atol=...).")
        return self.FIXED[self.method][1] * n

    def integrate(self, task: Task) -> Solution:
        equation, x, times = task.equation, task.x, task.times
        if isinstance(times, Adaptive):
            ts = torch.tensor([times.t0, times.t1], dtype=torch.float64)
            tolerances = {"rtol": times.rtol, "atol": times.atol}
        else:
            self.evaluations(times.n)
            ts, tolerances = torch.tensor(times.times, dtype=torch.float64), {}
        partial = Solution(x, ts[:1], x[None] if task.save else None)

        def drift(t: Tensor, state: Tensor) -> Tensor:
            return equation.drift(t.item(), state)

        try:
            xs = torchdiffeq.odeint(drift, x, ts, method=self.method, **tolerances)
        except BudgetExhausted:
            message = f"max_nfe = {task.ledger.budget} evaluations were spent inside torchdiffeq; allow more."
            raise SolveError(message, partial) from None
        except AssertionError as failure:
            message = f"torchdiffeq gave up ({failure}); the field is singular, or the tolerance out of reach."
            raise SolveError(message, partial) from None
        if not torch.isfinite(xs[-1]).all():
            raise SolveError("torchdiffeq's final state is not finite; end earlier, or take smaller steps.", partial)
        return Solution(xs[-1], ts, xs if task.save else None, accepted=len(ts) - 1)

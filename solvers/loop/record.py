"""The states that a solve keeps: the last one alone, the one after every step, or those at given times."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..common import host
from ..field import Time
from ..solution import Solution

__all__ = ["Record", "Save"]

Save = bool | tuple[float, ...]
"""False: the last state alone. True: the state after every step. Times, in the order of the solve: the states there."""


class Record:
    """The accepted steps of a solve, and the states to keep.

    Args:
        save: which states to keep.
        t: the first time.
        x: the state there, (B, ...).
    """

    def __init__(self, save: Save, t: float, x: Tensor) -> None:
        self.every = save is True
        self.asked = list(reversed(save)) if isinstance(save, tuple) else []
        self.saves = save is not False
        self.reached = [t]
        self.times: list[float] = []
        self.states: list[Tensor] = []
        if self.every or (self.asked and self.asked[-1] == t):
            self._keep(self.asked.pop() if self.asked else t, x)

    @property
    def steps(self) -> int:
        """The number of accepted steps."""
        return len(self.reached) - 1

    def add(self, t1: float, x: Tensor, dense: Callable[[Time], Tensor] | None = None) -> None:
        """Enter an accepted step that ends in x at t1; `dense` gives the states within it."""
        self.reached.append(t1)
        if self.every:
            self._keep(t1, x)
        sign = math.copysign(1.0, t1 - self.reached[-2])
        while self.asked and sign * (t1 - self.asked[-1]) >= 0.0:
            t = self.asked.pop()
            self._keep(t, x if t == t1 or dense is None else dense(t))

    def take_back(self, steps: int) -> tuple[float, float]:
        """Forget the last steps. The result is the start and the end of the first forgotten step."""
        t0, t1 = self.reached[-steps - 1 :][:2]
        del self.reached[-steps:]
        sign = math.copysign(1.0, t1 - t0)
        while self.times and sign * (self.times[-1] - t0) > 0.0:
            self.times.pop()
            self.states.pop()
        return t0, t1

    def solution(self, x: Tensor, rejected: int, status: str) -> Solution:
        """The solution that ends in x, with as many rejected steps, and with this status."""
        ts = host(self.times if self.saves and not self.every else self.reached)
        xs = torch.stack(self.states) if self.states else x.new_empty(0, *x.shape) if self.saves else None
        # Before the first step x is the caller's own, whose graph nobody may have asked for.
        return Solution(x if torch.is_grad_enabled() else x.detach(), ts, xs, self.steps, rejected, status)

    def _keep(self, t: float, x: Tensor) -> None:
        self.times.append(t)
        self.states.append(x)

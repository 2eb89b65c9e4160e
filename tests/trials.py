"""What trials of solvers share: grids and tolerances, and a field that counts its calls."""

from __future__ import annotations

import torch
from torch import Tensor

from fokker.solvers import ODE, Adaptive
from fokker.verification.certificates import PROBLEMS

__all__ = ["SAVED", "UNEQUAL", "Counted", "grid", "within"]

UNEQUAL = torch.tensor([0.0, 0.05, 0.2, 0.25, 0.6, 1.0], dtype=torch.float64)
SAVED = [0.0, 0.3, 0.31, 0.8, 1.0]
"""Times to save, of which two may lie in one step."""


def grid(n: int, t1: float = 1.0) -> Tensor:
    return torch.linspace(0.0, t1, n + 1, dtype=torch.float64)


def within(tolerance: float, t0: float = 0.0, t1: float = 1.0) -> Adaptive:
    return Adaptive(t0, t1, rtol=tolerance, atol=tolerance)


class Counted:
    """The logistic equation of the certificates, with its own count of calls."""

    def __init__(self) -> None:
        self.calls = 0
        self.problem = PROBLEMS["ode"]
        self.equation = ODE(self.drift)

    def drift(self, t: float, x: Tensor) -> Tensor:
        self.calls += 1
        return self.problem.equation.drift(t, x)

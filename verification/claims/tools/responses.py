"""The exact law of what a sampler makes of normal data in one dimension: `impulse_response` as plain numbers.

x₁ = b + a x₀ + Σ_k c_k ξ_k, so that N(m, v) becomes N(b + a m, a² v + Σ c_k²).
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from ....solvers import Equation, Solver, solve
from ...laws import Run, impulse_response

__all__ = ["Response", "respond", "response"]


class Response(NamedTuple):
    """b, a and the c_k."""

    offset: float
    gain: float
    kicks: Tensor

    def law(self, mean: float = 0.0, variance: float = 1.0) -> tuple[float, float]:
        """Mean and standard deviation of what becomes of N(mean, variance)."""
        spread = self.gain**2 * variance + self.kicks.square().sum().item()
        return self.offset + self.gain * mean, spread**0.5


def respond(run: Run) -> Response:
    """The response of run(x, noise), x of shape (B, 1), float64, to the same shape."""
    made = impulse_response(run, dim=1)
    return Response(made.offset.item(), made.matrix.item(), made.noises.flatten())


def response(equation: Equation, times: Tensor, solver: Solver) -> Response:
    """The response of a solver on a grid."""
    return respond(lambda x, noise: solve(equation, x, times, solver, noise).x)

"""A budget of evaluations, divided between the steps of a solution and the probes of a trace.

A value with n steps, of e(n) evaluations, and traces of m products at their ends takes, with half of it again for the
estimate of the error,

    c(n, m) = e(n) + (n + 1)(1 + m) + e(n₂) + (n₂ + 1)(1 + m),        n₂ = ⌈n/2⌉,

evaluations and products, and 2 + m more where the mismatch of the prior is estimated. A trial with n₀ steps and k₀
probes, on samples that the model makes itself, shows the error δ₀ of n₀ steps and the variance s² of one probe, from
which

    e² = δ₀² (n₀/n)^{2p} + s²/k

is expected of k probes, and no variance of all d directions. The pair with the least e within the budget is taken.
"""

from __future__ import annotations

from typing import NamedTuple

from ...solvers import ExponentialAdams

__all__ = ["FEWEST_STEPS", "Division", "Price", "divide"]

FEWEST_STEPS = 4


class Division(NamedTuple):
    """trace: "exact" or "hutchinson", with so many probes. error: the rms that is expected, in nats."""

    steps: int
    trace: str
    probes: int
    error: float


class Price(NamedTuple):
    """solver: of the flow. branches: evaluations in one call of the denoiser. mismatch: whether the prior has one."""

    solver: ExponentialAdams
    branches: int = 1
    mismatch: bool = False

    def of(self, n: int, products: int) -> int:
        """c(n, m)."""
        counts = (n, -(-n // 2))
        calls = sum(self.solver.evaluations(steps) + (steps + 1) * (1 + products) for steps in counts)
        return self.branches * (calls + self.mismatch * (2 + products))


def divide(
    nfe: int, dim: int, price: Price, *, trial_steps: int, trial_error: float, variance: float
) -> Division:
    """The best division of `nfe`.

    Raises ValueError for a budget that is too small for one probe on the fewest steps.
    """
    options = [("exact", 1, 0.0), *(("hutchinson", k, variance / k) for k in range(1, dim))]
    found = []
    for trace, probes, noise in options:
        steps = _most_steps(nfe, price, dim if trace == "exact" else probes)
        if steps >= FEWEST_STEPS:
            error = (trial_error**2 * (trial_steps / steps) ** (2 * price.solver.order) + noise) ** 0.5
            found.append(Division(steps, trace, probes, error))
    if not found:
        least = price.of(FEWEST_STEPS, 1)
        raise ValueError(f"nfe = {nfe} is too small for a likelihood; {FEWEST_STEPS} steps and a probe take {least}.")
    return min(found, key=lambda division: division.error)


def _most_steps(nfe: int, price: Price, products: int) -> int:
    """The largest n with c(n, m) ≤ nfe."""
    n = 2 * (nfe // (3 * (2 + products)) + 1)
    while n > 0 and price.of(n, products) > nfe:
        n -= 1
    return n

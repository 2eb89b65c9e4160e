"""A budget of evaluations, divided between the steps of a solution and the probes of a trace.

A value has n steps, which take e(n) evaluations, and a trace of m products at each end of a step. The estimate of the
error does the same again with half as many steps. Together they take

    c(n, m) = e(n) + (n + 1)(1 + m) + e(n₂) + (n₂ + 1)(1 + m),        n₂ = ⌈n/2⌉,

evaluations and products, and 2 + m more if the mismatch of the prior is estimated. A trial with n₀ steps and k₀ probes
on samples of the model shows the error δ₀ of n₀ steps and the variance s² of one probe. The expected error e with k
probes is

    e² = δ₀² (n₀/n)^{2p} + s²/k,

without the second term for an exact trace. The pair with the least e within the budget is taken.
"""

from __future__ import annotations

from typing import NamedTuple

from ...solvers import ExponentialAdams

__all__ = ["FEWEST_STEPS", "Division", "Price", "divide"]

FEWEST_STEPS = 4


class Division(NamedTuple):
    """How a budget is divided.

    Attributes:
        steps: the number of steps.
        trace: "exact" or "hutchinson".
        probes: the number of probes.
        error: the expected root mean square error, in nats.
    """

    steps: int
    trace: str
    probes: int
    error: float


class Price(NamedTuple):
    """What a value costs.

    Attributes:
        solver: the solver of the flow.
        branches: the evaluations in one call of the denoiser.
        mismatch: whether the mismatch of the prior is estimated.
    """

    solver: ExponentialAdams
    branches: int = 1
    mismatch: bool = False

    def of(self, n: int, products: int) -> int:
        """c(n, m) for n steps and m products."""
        counts = (n, -(-n // 2))
        calls = sum(self.solver.evaluations(steps) + (steps + 1) * (1 + products) for steps in counts)
        return self.branches * (calls + self.mismatch * (2 + products))


def divide(
    nfe: int, dim: int, price: Price, *, trial_steps: int, trial_error: float, variance: float
) -> Division:
    """The best division of a budget.

    Args:
        nfe: the evaluations and products that a sample may take.
        dim: d, the number of components of a sample.
        price: what a value costs.
        trial_steps: n₀, the number of steps of the trial.
        trial_error: δ₀, the error of the trial, in nats.
        variance: s², the variance of one probe, in nats².

    Raises:
        ValueError: the budget is too small for one probe on the fewest steps.
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

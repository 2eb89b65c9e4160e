"""The one table of every solver, and where the orders are measured that need more than an equation and a grid.

Every solver that `fokker.solvers` exports must stand here, with all its variants; the order tests read the declared
order from the solver itself.
"""

from __future__ import annotations

from fokker.solvers import Ancestral, Churn, Langevin, Picard, Restart, SciPy, Solver, TorchSDE
from fokker.verification.certificates import EXPORTED
from fokker.verification.certificates.problems import INITIAL, PROBLEMS, SPEEDS, Problem
from fokker.verification.certificates.table import CLASSICAL, FIXED_STEP, STOCHASTIC

__all__ = [
    "CERTIFIED_IN", "CLASSICAL", "EXPORTED", "FIXED_STEP", "INITIAL", "PROBLEMS", "SPEEDS", "STOCHASTIC",
    "Problem", "label",
]  # fmt: skip

CERTIFIED_IN = {
    Ancestral: "test_sampler_laws",
    Churn: "test_sampler_laws",
    Langevin: "test_sampler_laws",
    Restart: "test_sampler_laws",
    Picard: "test_parallel",
    SciPy: "test_ode_backends",
    TorchSDE: "test_torch_sde",
}
"""Where the orders of the others are measured, which need noise, a noising process or adaptive steps."""


def label(solver: Solver) -> str:
    return repr(solver)

"""Claims about the equations: flows, diffusions, scores, reversal. A chapter may be added without asking anyone."""

from __future__ import annotations

from . import (
    differential_equations as differential_equations,
    fokker_planck as fokker_planck,
    langevin as langevin,
    reversal as reversal,
    scores as scores,
    stochastic as stochastic,
    stochastic_steps as stochastic_steps,
)

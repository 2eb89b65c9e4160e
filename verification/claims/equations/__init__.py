"""Claims about the equations: flows, diffusions, scores, reversal. A chapter may be added without asking anyone."""

from __future__ import annotations

from . import (
    brownian_motion as brownian_motion,
    differential_equations as differential_equations,
    euler_maruyama as euler_maruyama,
    fokker_planck as fokker_planck,
    langevin as langevin,
    reversal as reversal,
    scores as scores,
)

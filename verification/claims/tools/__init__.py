"""The drawer of instruments of the claims.

    points        states, times, paths, the laws of the data, and networks that are exact for them
    examples      chains, guided pairs and formulas that several chapters measure
    quadrature    integrals as sums over nodes
    errors        the largest error, orders, extrapolation
    samplers      the exact law of what a sampler makes of a normal law
    densities     how a density changes in time
    bounds        the variational bound on normal data;  distillation, bridges: exact students and bridges
    tests         tests of draws

Chapters import from here and from nowhere else among the claims. A tool that two chapters need belongs here.
"""

from __future__ import annotations

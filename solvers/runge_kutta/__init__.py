"""Explicit Runge-Kutta methods and the tableaus that define them.

A tableau checks its own order conditions, so a method may be added without asking anyone: one class, one attribute.
"""

from __future__ import annotations

from .methods import (
    METHODS as METHODS,
    RK4 as RK4,
    Bosh3 as Bosh3,
    Dopri5 as Dopri5,
    Euler as Euler,
    Heun as Heun,
    Midpoint as Midpoint,
    Ralston as Ralston,
    RungeKutta as RungeKutta,
    Tsit5 as Tsit5,
)
from .tableau import ButcherTableau as ButcherTableau

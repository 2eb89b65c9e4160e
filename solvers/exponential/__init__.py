"""Exponential solvers of semilinear equations: multistep and one-step methods and the weights that they share.

The methods are `ExponentialAdams` and `ExponentialRK`. How their weights are computed may be changed freely: the
certificates measure the orders and the identities measure the coefficients.
"""

from __future__ import annotations

from .multistep import ExponentialAdams as ExponentialAdams
from .rows import interpolated as interpolated
from .stages import ExponentialRK as ExponentialRK
from .tableau import (
    DPM_SOLVER_2 as DPM_SOLVER_2,
    EDM_HEUN as EDM_HEUN,
    TRAPEZOID as TRAPEZOID,
    ExponentialTableau as ExponentialTableau,
)

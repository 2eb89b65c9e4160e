"""Gaussian paths x_t = α x₀ + σ ε, discrete schedules, and densities of training times.

A path needs exact values, derivatives and inverses at both ends; a test checks every path that is registered. Paths
may be added without asking anyone.
"""

from __future__ import annotations

from . import time_densities as time_densities
from .elementary import (
    Real as Real,
    Scalar as Scalar,
    derivative as derivative,
    exp as exp,
    expm1 as expm1,
    hypot as hypot,
    log as log,
    ratio as ratio,
    sin as sin,
    sqrt as sqrt,
)
from .linear_beta import VP as VP, SubVP as SubVP
from .path import VE as VE, CondOT as CondOT, Cosine as Cosine, GaussianPath as GaussianPath
from .schedules import GeometricVE as GeometricVE, NoisyCondOT as NoisyCondOT, Polynomial as Polynomial
from .shifted import Shifted as Shifted
from .table import (
    Table as Table,
    linear_betas as linear_betas,
    scaled_linear_betas as scaled_linear_betas,
    squared_cosine_betas as squared_cosine_betas,
    zero_terminal_snr as zero_terminal_snr,
)
from .time_densities import (
    Geometric as Geometric,
    Importance as Importance,
    TimeDensity as TimeDensity,
    Uniform as Uniform,
    independent as independent,
    stratified as stratified,
)

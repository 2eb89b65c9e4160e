"""Samplers, stochastic ones above all, by the error of the law of their samples.

The names of samplers and what a row measures are the interface. Tables and pictures may be changed by whoever looks
at them.
"""

from __future__ import annotations

from .comparison import law_comparison as law_comparison
from .families import FAMILIES as FAMILIES, STOCHASTIC as STOCHASTIC, Family as Family, entrant as entrant
from .results import LawComparison as LawComparison, LawRow as LawRow, LawStanding as LawStanding
from .scan import BestLevel as BestLevel, NoiseScan as NoiseScan, scan_noise_levels as scan_noise_levels

"""Samplers, stochastic ones above all, by the error of the law of their samples.

The names of samplers and what a row measures are the interface. Tables and pictures may be changed by whoever looks
at them.
"""

from __future__ import annotations

from .comparison import SAMPLES as SAMPLES, law_comparison as law_comparison
from .distances import (
    BLOCKS as BLOCKS,
    Floor as Floor,
    Measured as Measured,
    SlicedW2 as SlicedW2,
    resolved as resolved,
)
from .draws import (
    REFERENCE as REFERENCE,
    REFERENCE_NFE as REFERENCE_NFE,
    Job as Job,
    known_law as known_law,
    samples_of as samples_of,
)
from .entrants import Entrant as Entrant, Planned as Planned
from .families import FAMILIES as FAMILIES, STOCHASTIC as STOCHASTIC, Family as Family, entrant as entrant
from .results import LawComparison as LawComparison, LawRow as LawRow, LawStanding as LawStanding
from .scan import BestLevel as BestLevel, NoiseScan as NoiseScan, scan_noise_levels as scan_noise_levels

"""Stochastic samplers whose noise is fitted to a network: the law of what they make is exact on Gaussian data.

    tune_noise      the amounts of noise with which the law of the samples is nearest to the model's
    tuned_law       the table, with what was measured of its law
    matched         Gaussian data by independent directions, and the exact law of a table on them
    amounts         which numbers of a table move
    descent         fits that move them less and less freely

How the fit is found may be changed by whoever measures it on held-out samples.
"""

from __future__ import annotations

from .tune_noise import tune_noise as tune_noise
from .tuned_law import TunedLaw as TunedLaw

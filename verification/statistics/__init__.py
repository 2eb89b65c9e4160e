"""Two-sample tests with stated power, distances between samples, and the orders that errors show.

A test owes its false-alarm rate and the smallest fault it detects. Add one without asking anyone.
"""

from __future__ import annotations

from . import discrepancies as discrepancies, distances as distances, marginals as marginals, power as power
from .distances import gaussian_w2 as gaussian_w2
from .marginals import holm as holm
from .slopes import local_slopes as local_slopes, rms as rms

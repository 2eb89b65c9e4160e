"""Driving noise: white noise, Brownian paths that do not depend on the batch, counter-based normal numbers.

The numbers of a seed are part of the interface: a change in how they are drawn changes other people's results. How a
path is looked up may be changed freely.
"""

from __future__ import annotations

from .brownian import Interval as Interval
from .noise import BrownianTree as BrownianTree, Noise as Noise, WhiteNoise as WhiteNoise
from .random import (
    Keys as Keys,
    Seed as Seed,
    extra_normal as extra_normal,
    per_sample_keys as per_sample_keys,
    standard_normal as standard_normal,
    standard_normals as standard_normals,
)

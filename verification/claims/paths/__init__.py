"""Claims about paths, marginals and transport. A chapter may be added without asking anyone."""

from __future__ import annotations

from . import (
    continuity as continuity,
    discrete_time as discrete_time,
    noise_levels as noise_levels,
    paths as paths,
    probability as probability,
    transport as transport,
)

"""The published ways of tuning by name."""

from __future__ import annotations

from types import MappingProxyType

from .baseline import Baseline
from .gits import Gits
from .schedules import LD3, BezierFlow
from .weights import S4S, BespokeNonStationary, DyWeight

__all__ = ["BASELINES"]

BASELINES: MappingProxyType[str, Baseline] = MappingProxyType(
    {
        "gits-ddim": Gits(order=1),
        "gits-ipndm": Gits(),
        "ld3": LD3(),
        "bns": BespokeNonStationary(),
        "s4s-alt": S4S(),
        "dyweight": DyWeight(),
        "bezierflow": BezierFlow(),
    }
)
"""With the settings that the comparison takes."""

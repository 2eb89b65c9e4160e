"""Which convention is this network? `probe` regresses its answers on what it might predict, and says what it is."""

from __future__ import annotations

from .finding import Candidate as Candidate, Finding as Finding
from .probe import probe as probe

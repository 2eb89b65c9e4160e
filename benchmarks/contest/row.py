"""What was measured of one way at one number of evaluations, and its file."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ...solvers.common import UNSEALED, Array, check_seal, naming, sealed, write_whole
from ..bootstrap import estimate
from ..tuning import BASELINES

__all__ = ["NFE", "OURS", "PUBLISHED", "WAYS", "Row"]

NFE = (3, 4, 5, 6, 8, 10)
OURS = {
    "ours, times": "times", "ours, schedule": "schedule", "ours, coefficients": "coefficients", "ours": "all",
}  # fmt: skip
"""What is free, by the name of the way."""
PUBLISHED = "best published"
WAYS = ("default", PUBLISHED, *BASELINES, *OURS)
PEAK = 2.0
"""The range of the data, of which the PSNR is."""


@dataclass(frozen=True)
class Row:
    """Errors on held-out noises.

    Attributes:
        rms: of all noises.
        median: that of the middle noise.
        trimmed: the rms of the best 99 %.
        seconds: of the fit, without the reference; 0 if there was none.
        noises: those of fit and choice, and those held out.
        what: which sampler it is, or where the fit started.
    """

    rms: float
    median: float
    trimmed: float
    seconds: float
    noises: tuple[int, int]
    what: str = ""

    @classmethod
    def of(cls, errors: Array, seconds: float, fitted: int, what: str = "") -> Row:
        """That of errors of each noise; infinite if one is not finite."""
        noises = fitted, len(errors)
        if not np.isfinite(errors).all():
            return cls(math.inf, math.inf, math.inf, seconds, noises, what)
        return cls(
            estimate(errors), estimate(errors, "median"), estimate(errors, "trimmed"), seconds, noises, what
        )

    @property
    def psnr(self) -> float:
        """20 log₁₀(2/rms), in dB."""
        return 20.0 * math.log10(PEAK / self.rms) if self.rms > 0.0 else math.inf

    def write(self, file: Path) -> None:
        """Write it, atomically."""
        write_whole(file, sealed(json.dumps({"sha256": UNSEALED, **asdict(self)}).encode()))

    @classmethod
    def read(cls, file: Path) -> Row | None:
        """That of a file; None if there is none. Raises ValueError for a damaged one."""
        if not file.is_file():
            return None
        content = file.read_bytes()
        with naming(file):
            kept = json.loads(content)
            check_seal(file, content, kept.pop("sha256"))
            return cls(**kept | {"noises": tuple(kept["noises"])})

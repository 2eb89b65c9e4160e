"""The steps of a fit on the disk, so that a fit which was ended goes on where it was, to the same last bit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...solvers.common import UNSEALED, check_seal, naming, sealed, write_whole
from .least_squares import Fit

__all__ = ["Diary"]


@dataclass
class Diary:
    """The fits after each step of each stage.

    Attributes:
        file: where they are kept; None for nowhere.
        stages: the fits by the name of the stage, as [p, damping, objective].
    """

    file: Path | None
    stages: dict[str, list[Any]] = field(default_factory=dict)

    @classmethod
    def at(cls, folder: Path | None, fit: str) -> Diary:
        """That of a fit in a folder; a new one if there is none. Raises ValueError for a damaged file."""
        if folder is None:
            return cls(None)
        file = folder / "tuning" / f"{fit}.json"
        if not file.is_file():
            return cls(file)
        content = file.read_bytes()
        with naming(file):
            kept = json.loads(content)
            check_seal(file, content, kept["sha256"])
            return cls(file, kept["stages"])

    def followed(self, stage: str, fit: Fit, steps: Callable[[Fit], Iterator[Fit]]) -> Iterator[Fit]:
        """The steps that are known, and then those that follow, which are written down."""
        known = self.stages.setdefault(stage, [])
        for p, damping, objective in known:
            fit = Fit(np.array(p), damping, objective)
            yield fit
        for step in steps(fit):
            known.append([step.p.tolist(), step.damping, step.objective])
            if self.file is not None:
                kept = {"sha256": UNSEALED, "stages": self.stages}
                write_whole(self.file, sealed(json.dumps(kept).encode()))
            yield step

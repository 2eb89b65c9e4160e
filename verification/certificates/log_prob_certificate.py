"""What was measured of a log_prob, and the verdict.

    fail    log p is off by more than the tolerance, or an error bar or a sample does not mean what it says
    note    a fact that a user should know; nothing is wrong
    pass    no fault was found; the sentence says how large one would have been found
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["LogProbCertificate", "LogProbFinding"]


@dataclass(frozen=True)
class LogProbFinding:
    """One thing that was measured.

    Attributes:
        about: "bias", "fault", "spread", "probes", "independence", "coverage", "batch", "dtype" or "shape".
        law: the law on which it was measured.
        verdict: "pass", "fail" or "note".
        sentence: what was found.
        figures: the numbers behind the sentence, in nats unless their name says otherwise.
    """

    about: str
    law: str
    verdict: str
    sentence: str
    figures: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.verdict}  {self.about:12}  {self.law:8}  {self.sentence}"


@dataclass(frozen=True)
class LogProbCertificate:
    """What was measured of a log_prob, and the verdict.

    Attributes:
        name: of the function.
        dim: the number of components of a sample.
        shape: the shape of a sample.
        points: the number of samples of each law.
        seeds: the number of seeds; 1 if the function draws no random numbers.
        tolerance: the bias that is allowed, in nats.
        findings: what was measured.
    """

    name: str
    dim: int
    shape: tuple[int, ...]
    points: int
    seeds: int
    tolerance: float
    findings: tuple[LogProbFinding, ...]

    @property
    def passed(self) -> bool:
        return all(finding.verdict != "fail" for finding in self.findings)

    @property
    def verdict(self) -> str:
        """ "pass", or "fail" if anything that was measured fails."""
        return "pass" if self.passed else "fail"

    @property
    def reason(self) -> str:
        """The verdict in a sentence."""
        wrong = list(dict.fromkeys(finding.about for finding in self.findings if finding.verdict == "fail"))
        if wrong:
            return f"Wrong: {', '.join(wrong)}."
        kind = "It draws no random numbers." if self.seeds == 1 else f"Its random numbers had {self.seeds} seeds."
        return f"No fault was found on {self.points} samples of each law. {kind}"

    def as_json(self) -> dict[str, Any]:
        """The fields by name, with numbers, strings, lists and None as values."""
        return {
            "name": self.name,
            "dim": self.dim,
            "shape": list(self.shape),
            "points": self.points,
            "seeds": self.seeds,
            "tolerance": self.tolerance,
            "verdict": self.verdict,
            "reason": self.reason,
            "findings": [
                {
                    "about": finding.about,
                    "law": finding.law,
                    "verdict": finding.verdict,
                    "sentence": finding.sentence,
                    "figures": {
                        name: value if math.isfinite(value) else None for name, value in finding.figures.items()
                    },
                }
                for finding in self.findings
            ],
        }

    def __str__(self) -> str:
        lines = [f"{self.verdict}  {self.name} in {self.dim} dimensions: {self.reason}"]
        return "\n".join([*lines, *(f"  {finding}" for finding in self.findings)])

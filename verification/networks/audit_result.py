"""The result of `audit`: residuals with their verdicts, and likelihoods."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ...solvers.common import choice
from .residuals import IDENTITIES

__all__ = ["TOLERANCES", "Audit", "Entry", "Likelihood"]

TOLERANCES = {name: 0.05 if name == "calibration" else 0.01 for name in IDENTITIES}
"""The largest good residual of each identity."""
MARKS = {"good": " ", "bad": "!", "not settled": "?"}


@dataclass(frozen=True)
class Entry:
    """The residual of one identity at one log-SNR.

    Attributes:
        identity: its name in `IDENTITIES`.
        log_snr: log(α²/σ²).
        value: the residual.
        low: the lower end of its interval, with family-wise confidence.
        high: the upper end.
        tolerance: the largest good residual.
    """

    identity: str
    log_snr: float
    value: float
    low: float
    high: float
    tolerance: float

    @property
    def verdict(self) -> str:
        """ "good", "bad" or "not settled"."""
        if self.low > self.tolerance or (self.two_sided and self.high < -self.tolerance):
            return "bad"
        within = self.high <= self.tolerance and not (self.two_sided and self.low < -self.tolerance)
        return "good" if within else "not settled"

    @property
    def two_sided(self) -> bool:
        """Whether the residual can have both signs; a share is negative by chance alone."""
        return self.identity == "calibration"

    @property
    def exact(self) -> bool:
        """Whether the residual of an exact network could be this one."""
        return self.low <= 1e-9 and not (self.two_sided and self.high < -1e-9)


@dataclass(frozen=True)
class Likelihood:
    """The mean log-likelihood of samples, with standard errors.

    Attributes:
        what: "held out" or "trained on".
        samples: how many.
        nats: the mean in nats.
        nats_error: its standard error.
        bits_per_dim: the mean of −log p in bits for each component.
        bits_error: its standard error.
    """

    what: str
    samples: int
    nats: float
    nats_error: float
    bits_per_dim: float
    bits_error: float


@dataclass(frozen=True)
class Audit:
    """The result of an audit.

    Attributes:
        network: its name.
        samples: the number of samples at each level.
        entries: the residuals, from the noisiest level to the cleanest.
        likelihoods: those of held-out and of training data.
    """

    network: str
    samples: int
    entries: tuple[Entry, ...]
    likelihoods: tuple[Likelihood, ...]

    @property
    def passed(self) -> bool:
        return all(entry.verdict != "bad" for entry in self.entries)

    @property
    def exact(self) -> bool:
        """Whether the audit cannot tell the network from an exact one."""
        return all(entry.exact for entry in self.entries)

    def of(self, identity: str) -> list[Entry]:
        """The residuals of one identity. Raises ValueError for an unknown one."""
        choice("identity", identity, IDENTITIES)
        return [entry for entry in self.entries if entry.identity == identity]

    def summary(self, identity: str) -> str:
        """The levels at which an identity is good, bad or not settled, in a sentence."""
        levels = {
            verdict: [f"{entry.log_snr:+.2f}" for entry in self.of(identity) if entry.verdict == verdict]
            for verdict in ("good", "bad", "not settled")
        }
        return "; ".join(f"{verdict} at {', '.join(where)}" for verdict, where in levels.items() if where)

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {
            "passed": self.passed,
            "exact": self.exact,
            "entries": [asdict(entry) | {"verdict": entry.verdict} for entry in self.entries],
        }

    def __str__(self) -> str:
        levels = sorted({entry.log_snr for entry in self.entries})
        lines = [f"{self.network}, {self.samples} samples at each log-SNR, errors in %", ""]
        lines += [f"{'log-SNR':>16}" + "".join(f"{level:>14.2f}" for level in levels)]
        for name in IDENTITIES:
            cells = [f"{100 * e.value:.1f} ± {50 * (e.high - e.low):.1f}{MARKS[e.verdict]}" for e in self.of(name)]
            lines.append(f"{name:>16}" + "".join(f"{cell:>14}" for cell in cells))
        lines += ["", *(f"{name:>16}  {formula}: {self.summary(name)}" for name, formula in IDENTITIES.items()), ""]
        lines += [
            f"{each.what}: {each.bits_per_dim:.3f} ± {each.bits_error:.3f} bits/dim, {each.nats:.2f} ± "
            f"{each.nats_error:.2f} nats, {each.samples} samples"
            for each in self.likelihoods
        ]
        return "\n".join(lines)

"""What was measured of a flow map, as a table, and the verdict.

Errors of states are root mean squares over samples and components, in units of the root mean square of the exact states
at the same time. W₂ is between normal laws with the moments of the samples and of the data, in units of the data's root
mean square; it is a lower bound of W₂ between the laws themselves (Gelbrich 1990).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["FlowMapCertificate", "JumpLaw", "MapError"]


@dataclass(frozen=True)
class MapError:
    """One jump from s to t.

    Attributes:
        s: the time of the state.
        t: the target.
        error: of X(x_s, s, t) against the flow.
        defect: how much X changes if the jump makes a stop: X(X(x_s, s, u), u, t) − X(x_s, s, t), at the time u of the
            table that follows s. Of a consistency model, X(x_u, u, t) − X(x_s, s, t), with x_u on the flow. None if
            there is no time between.
    """

    s: float
    t: float
    error: float
    defect: float | None


@dataclass(frozen=True)
class JumpLaw:
    """Samples by a number of jumps.

    Attributes:
        jumps: their number.
        gamma: γ, the noise between them.
        error: of the samples against the flow from the same noises; None if noise is added between the jumps.
        w2: between the normal laws with the moments of the samples and of the data; None above 512 dimensions.
        floor: the largest w2 of 19 sets of as many exact samples. An exact map exceeds it with probability 1/20, and
            by the tolerance, as a verdict needs, more rarely.
    """

    jumps: int
    gamma: float
    error: float | None
    w2: float | None
    floor: float | None


@dataclass(frozen=True)
class FlowMapCertificate:
    """What was measured of a flow map.

    Attributes:
        name: of the flow map.
        reference: the name of what it is compared with.
        samples: the number of samples.
        tolerance: the relative error that is allowed.
        reference_error: how far the reference itself is known, a relative error.
        boundary: the times, and the size of X(x, t, t) − x there.
        maps: the jumps between all pairs of times.
        laws: samples by one jump and by more.
    """

    name: str
    reference: str
    samples: int
    tolerance: float
    reference_error: float
    boundary: tuple[tuple[float, float], ...]
    maps: tuple[MapError, ...]
    laws: tuple[JumpLaw, ...]

    @property
    def passed(self) -> bool:
        return not self._wrong()

    @property
    def verdict(self) -> str:
        """ "pass", or "fail" if an error is above the tolerance."""
        return "pass" if self.passed else "fail"

    @property
    def reason(self) -> str:
        """The verdict in a sentence."""
        if wrong := self._wrong():
            return f"Above {self.tolerance:g}: {'; '.join(wrong)}."
        return f"All errors are at most {self.tolerance:g}, on {self.samples} samples."

    def _wrong(self) -> list[str]:
        """What is above the tolerance, each with its largest value."""
        kinds: dict[str, list[float | None]] = {
            "the boundary": [size for _, size in self.boundary],
            "the jumps": [each.error for each in self.maps],
            "jumps with a stop": [each.defect for each in self.maps],
            "the samples": [each.error for each in self.laws],
            "W2 of the samples, above its floor": [
                None if each.w2 is None or each.floor is None else each.w2 - each.floor for each in self.laws
            ],
        }
        found = []
        for kind, values in kinds.items():
            known = [value for value in values if value is not None]
            bad = [value for value in known if not value <= self.tolerance]
            if bad:
                found.append(f"{kind} ({max(bad):.2g})")
        return found

    def as_json(self) -> dict[str, Any]:
        """The fields by name, with numbers, strings, lists and None as values."""
        return {**asdict(self), "verdict": self.verdict, "reason": self.reason}

    def __str__(self) -> str:
        head = f"{self.verdict}  {self.name} against {self.reference}: {self.reason}"
        note = f"Relative errors; the reference is known to {self.reference_error:.1e}."
        maps = [
            [f"{each.s:.4g}", f"{each.t:.4g}", _shown(each.error), _shown(each.defect)] for each in self.maps
        ]
        laws = [
            [str(each.jumps), f"{each.gamma:g}", *map(_shown, (each.error, each.w2, each.floor))]
            for each in self.laws
        ]
        boundary = [[f"{t:.4g}", _shown(size)] for t, size in self.boundary]
        return "\n".join(
            [
                head, note, "", *_table(["time", "boundary"], boundary), "",
                *_table(["from", "to", "error", "with a stop"], maps), "",
                *_table(["jumps", "gamma", "error", "W2", "floor"], laws),
            ]
        )  # fmt: skip


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}"


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in [names, *rows]) for i in range(len(names))]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in [names, *rows]]

"""What `probe` found: a verdict with its evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ...generative.denoiser import Denoiser
from .conventions import Convention, path_name
from .orthogonality import Share

__all__ = ["Candidate", "Finding"]

SHOWN = 8


@dataclass(frozen=True)
class Candidate:
    """A convention beside the best one. error: its squared error in units of the best one's, the mean over levels.
    lead: error − 1, over the same samples and noise, with its standard error. draws: at each level."""

    convention: Convention
    error: float
    standard_error: float
    draws: int

    @property
    def lead(self) -> float:
        return self.error - 1.0


@dataclass(frozen=True)
class Finding:
    """convention: None if the network cannot be told. reason: why so, or what the verdict rests on. explained: whether
    any convention explains the output.

    equivalent: other names of the same convention. near: conventions that differ from it by less than a network can
    tell. rivals: those that explain the output equally well, if there are several, so that there is no verdict. shift:
    the least and the largest shift of the path's half log-SNR that serve equally well, of those tried; None where none
    was,
    the clock not being t. removable: the share of the squared error that functions of the noised data remove, the mean
    over levels; `levels` has it by log-SNR. candidates: the best first, and every kind, path and clock at its best.
    tried: how many there were. random: whether the network answers the same question in two ways.
    """

    convention: Convention | None
    reason: str
    explained: bool
    equivalent: tuple[Convention, ...]
    near: tuple[Convention, ...]
    rivals: tuple[Convention, ...]
    shift: tuple[float, float] | None
    removable: Share
    levels: tuple[tuple[float, Share], ...]
    candidates: tuple[Candidate, ...]
    tried: int
    random: bool

    @property
    def verdict(self) -> str:
        return "cannot tell" if self.convention is None else str(self.convention)

    @property
    def line(self) -> str:
        """The Python that makes a `Denoiser` of `net`. Raises ValueError if there is no verdict."""
        return self._known().line

    def denoiser(self, net: Callable[..., Tensor]) -> Denoiser:
        """The network as a `Denoiser`. Raises ValueError if there is no verdict."""
        return self._known().denoiser(net)

    def _known(self) -> Convention:
        if self.convention is None:
            raise ValueError(f"The convention of the network is not known: {self.reason}")
        return self.convention

    @property
    def agreed(self) -> dict[str, str]:
        """What the verdict, or all rivals if there is none, have in common: kind, path and clock, as far as known."""
        left = self.rivals if self.convention is None else (self.convention,)
        parts = {
            "predicts": {f"{'-' if each.sign < 0 else ''}{each.predicts}" for each in left},
            "path": {path_name(each.path) for each in left},
            "clock": {str(each.clock) for each in left},
        }
        return {name: values.pop() for name, values in parts.items() if len(values) == 1}

    def as_json(self) -> dict[str, Any]:
        """Numbers and strings alone."""
        return {
            "verdict": self.verdict,
            "reason": self.reason,
            "explained": self.explained,
            "line": None if self.convention is None else self.line,
            "agreed": self.agreed,
            "equivalent": [str(each) for each in self.equivalent],
            "near": [str(each) for each in self.near],
            "rivals": [str(each) for each in self.rivals],
            "shift": self.shift,
            "removable": self.removable._asdict(),
            "levels": [{"log_snr": level, **share._asdict()} for level, share in self.levels],
            "candidates": [
                {
                    "convention": str(each.convention),
                    "error": each.error,
                    "standard_error": each.standard_error,
                    "draws": each.draws,
                }
                for each in self.candidates
            ],
            "tried": self.tried,
            "random": self.random,
        }

    def __str__(self) -> str:
        lines = [f"verdict: {self.verdict}", f"  {self.reason}"]
        for title, others in (("also called", self.equivalent), ("or, hardly different,", self.near)):
            lines += [f"  {title} {each}" for each in others[:SHOWN]]
            lines += [f"  and {len(others) - SHOWN} more"] if len(others) > SHOWN else []
        if self.shift is not None:
            least, largest = self.shift
            lines.append(f"  shifts of its half log-SNR that serve equally well: {least:+.2f} to {largest:+.2f}")
        if self.random:
            lines.append("  the network answers the same question in two ways; put it in evaluation mode")
        if self.convention is not None:
            lines += ["", *self.line.splitlines()]
        elif self.agreed:
            lines.append("  all that is left agrees on " + ", ".join(f"{k} {v}" for k, v in self.agreed.items()))
        shares = "  ".join(f"{100 * share.value:.1f}" for _, share in self.levels)
        lines += ["", f"of {self.tried} conventions{'':24}error / best one's"]
        lines += [
            f"  {each.convention!s:58}{each.error:10.4g} ± {each.standard_error:.2g}" for each in self.candidates
        ]
        lines += [
            "",
            "removable from the best one's squared error, %:"
            f" {100 * self.removable.value:.1f} ± {100 * self.removable.standard_error:.1f}",
            f"  by log-SNR, from {self.levels[0][0]:.2f} to {self.levels[-1][0]:.2f}: {shares}",
        ]
        return "\n".join(lines)

"""The result of `probe`: a verdict with its evidence."""

from __future__ import annotations

import shlex
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
    """A convention in comparison with the best one.

    Attributes:
        convention: the convention.
        error: its squared error over that of the best one, on the same samples and noise, the mean over levels.
        standard_error: that of `error`.
        draws: the number of draws at each level.
    """

    convention: Convention
    error: float
    standard_error: float
    draws: int

    @property
    def lead(self) -> float:
        """error − 1."""
        return self.error - 1.0


@dataclass(frozen=True)
class Finding:
    """A verdict on a network, with its evidence.

    Attributes:
        convention: the verdict; None if there is none.
        reason: why there is none, or the evidence for it.
        explained: whether any convention explains the output.
        settled: whether more time would change nothing about a missing verdict.
        equivalent: other names of the same convention.
        near: conventions that differ from the verdict by less than a network can tell.
        rivals: the conventions that explain the output equally well, if there are several and hence no verdict.
        shift: the smallest and the largest tried shift of λ that serve equally well; None unless the clock is t.
        removable: the share of the squared error that functions of the noised data remove, the mean over levels.
        levels: the same share for each log-SNR.
        candidates: the best conventions, best first, and the best one of every kind, path and clock.
        tried: the number of conventions.
        random: whether the network gives two answers to the same question.
        shape: that of a sample.
    """

    convention: Convention | None
    reason: str
    explained: bool
    settled: bool
    equivalent: tuple[Convention, ...]
    near: tuple[Convention, ...]
    rivals: tuple[Convention, ...]
    shift: tuple[float, float] | None
    removable: Share
    levels: tuple[tuple[float, Share], ...]
    candidates: tuple[Candidate, ...]
    tried: int
    random: bool
    shape: tuple[int, ...]

    @property
    def verdict(self) -> str:
        if self.convention is None:
            return "cannot tell" if self.settled else "not settled"
        return str(self.convention)

    @property
    def line(self) -> str:
        """The Python that makes a `Denoiser` of `net`. Raises ValueError if there is no verdict."""
        return self._known().line

    @property
    def options(self) -> str | None:
        """The options of `fokker bench` for the network; None without a verdict, or if they cannot say it."""
        options = None if self.convention is None else self.convention.options
        if options is None:
            return None
        return shlex.join([f"--shape={'x'.join(map(str, self.shape))}", *options])

    def denoiser(self, net: Callable[..., Tensor]) -> Denoiser:
        """The network as a `Denoiser`. Raises ValueError if there is no verdict."""
        return self._known().denoiser(net)

    def _known(self) -> Convention:
        if self.convention is None:
            raise ValueError(f"The convention of the network is not known: {self.reason}")
        return self.convention

    @property
    def agreed(self) -> dict[str, str]:
        """The kind, path and clock of the verdict; without a verdict those that all rivals share."""
        left = self.rivals if self.convention is None else (self.convention,)
        parts = {
            "predicts": {f"{'-' if each.sign < 0 else ''}{each.predicts}" for each in left},
            "path": {path_name(each.path) for each in left},
            "clock": {str(each.clock) for each in left},
        }
        return {name: values.pop() for name, values in parts.items() if len(values) == 1}

    def as_json(self) -> dict[str, Any]:
        """The finding as numbers and strings."""
        return {
            "verdict": self.verdict,
            "reason": self.reason,
            "explained": self.explained,
            "settled": self.settled,
            "line": None if self.convention is None else self.line,
            "options": self.options,
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

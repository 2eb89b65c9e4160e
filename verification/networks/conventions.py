"""Conventions: what a network predicts, on which path and clock, and how its input is scaled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ...generative.denoiser import EDM, KINDS, Denoiser, coefficients, per_sample
from ...generative.paths import (
    VE,
    VP,
    CondOT,
    Cosine,
    GaussianPath,
    GeometricVE,
    Shifted,
    Table,
    linear_betas,
    scaled_linear_betas,
    squared_cosine_betas,
)
from ...solvers.common import matching
from .network_clock import NetworkClock
from .view import Levels, View, levels

__all__ = ["Convention", "conventions", "default_paths", "path_name", "views"]

NAMED = {
    "CondOT()": CondOT(),
    "VP()": VP(),
    "Cosine()": Cosine(),
    "VE()": VE(),
    "GeometricVE()": GeometricVE(),
    "Table(linear_betas())": Table(linear_betas()),
    "Table(scaled_linear_betas())": Table(scaled_linear_betas()),
    "Table(squared_cosine_betas())": Table(squared_cosine_betas()),
}


@dataclass(frozen=True)
class Convention:
    """A convention under which a network may have been trained.

    Attributes:
        predicts: the kind of prediction, of the output times `sign`; "x0" with a precondition.
        path: the path.
        clock: the clock.
        over_alpha: whether the network sees x/α in place of x.
        sign: 1 or −1.
        precondition: the frame around the network, or None.
    """

    predicts: str
    path: GaussianPath
    clock: NetworkClock
    over_alpha: bool = False
    sign: int = 1
    precondition: EDM | None = None

    def at(self, log_snr: Tensor) -> View | None:
        """The view at these log-SNRs (L,), float64; None if the path lacks one of them at times in [0, 1]."""
        return self._view(levels(self.path, self.clock, log_snr))

    def _view(self, known: Levels | None) -> View | None:
        if known is None:
            return None
        t, rho, alpha, sigma, clock, slope = known
        if self.precondition is None:
            p, q = (matching(value, t).expand_as(t) for value in coefficients(self.predicts, self.path, t))
            determinant = rho * p - q
            scale, skip, gain = torch.ones_like(t) if self.over_alpha else alpha, -q / determinant, rho / determinant
        else:
            scales = self.precondition.scales(alpha, sigma)
            skip, gain, scale = scales.skip * alpha, scales.output, scales.input * alpha
        return View(scale, clock, slope, skip, self.sign * gain)

    @property
    def _plain(self) -> bool:
        return not self.over_alpha and self.sign == 1

    def denoiser(self, net: Any) -> Denoiser:
        """The network as a `Denoiser`; its labels are class labels, net(x, time, label)."""
        if self.precondition is not None:
            adapted = net if self.sign == 1 else _Adapted(net, self)
            return Denoiser(adapted, self.path, predicts="x0", precondition=self.precondition)
        if self._plain:
            argument = self.clock.argument.strip('"')
            time = partial(self.clock, self.path) if argument.startswith("lambda") else argument
            return Denoiser(net, self.path, predicts=self.predicts, time=time)
        return Denoiser(_Adapted(net, self), self.path, predicts=self.predicts)

    @property
    def line(self) -> str:
        """The Python that makes a `Denoiser` of `net`."""
        sign = "-" if self.sign < 0 else ""
        path = f"path = {path_name(self.path)}\n"
        if self.precondition is not None:
            net = "net" if self.sign == 1 else "lambda x, c: -net(x, c)"
            return f'{path}Denoiser({net}, path, predicts="x0", precondition={self.precondition})'
        if self._plain:
            return f'{path}Denoiser(net, path, predicts="{self.predicts}", time={self.clock.argument})'
        if self.over_alpha:
            x = "x / path.alpha(t).view(-1, *(1,) * (x.ndim - 1))"
            return (
                f"{path}Denoiser(lambda x, t: {sign}net({x}, {self.clock.formula}), path, "
                f'predicts="{self.predicts}")'
            )
        return (
            f'{path}Denoiser(lambda x, c: {sign}net(x, c), path, predicts="{self.predicts}", '
            f"time={self.clock.argument})"
        )

    @property
    def options(self) -> list[str] | None:
        """The options that tell the `fokker` command of it; None if they cannot say it."""
        if self.precondition is not None or not self._plain:
            return None
        return [f"--predicts={self.predicts}", f"--path={path_name(self.path)}", f"--time={self.clock.text(self.path)}"]

    def __str__(self) -> str:
        sign = "-" if self.sign < 0 else ""
        if self.precondition is not None:
            return f"{sign}F of {self.precondition}, clock {self.clock}"
        seen = ", seen as x/alpha" if self.over_alpha else ""
        return f"{sign}{self.predicts} on {path_name(self.path)}, clock {self.clock}{seen}"


class _Adapted:
    """The network as a `Denoiser` calls it, with the scale of the input and the sign of the output corrected."""

    def __init__(self, net: Any, convention: Convention) -> None:
        self.net, self.convention = net, convention

    def __call__(self, x: Tensor, t: Tensor, *label: Tensor) -> Tensor:
        convention = self.convention
        if convention.precondition is None:
            if convention.over_alpha:
                x = x / per_sample(convention.path.alpha(t), x)
            t = convention.clock(convention.path, t).to(x)
        output: Tensor = self.net(x, t, *label)
        return convention.sign * output


def path_name(path: GaussianPath) -> str:
    """A Python expression for the path."""
    if isinstance(path, Shifted):
        return f"Shifted({path_name(path.path)}, {path.shift:g})"
    return next((name for name, known in NAMED.items() if known == path), repr(path))


def default_paths() -> list[GaussianPath]:
    """The paths that are tried by default: straight, VP linear, cosine, VE in two clocks, and three tables of β."""
    return list(NAMED.values())


def conventions(
    paths: Sequence[GaussianPath], scales: Sequence[float], sigma_data: Iterable[float]
) -> Iterator[Convention]:
    """All combinations of kind, sign, path, clock and frame, the simplest first.

    Args:
        paths: the paths to try.
        scales: factors of the clock t.
        sigma_data: those of EDM's preconditioning.
    """
    both = (False, True)
    clocks = [NetworkClock("t", falls, scale) for scale in scales for falls in both]
    clocks += [NetworkClock("sigma", falls) for falls in (True, False)]
    levels_told = (("log_snr", 1.0), ("half_log_snr", 1.0), ("half_log_snr", 0.25))
    clocks += [NetworkClock(base, falls, scale) for base, scale in levels_told for falls in both]
    for over_alpha in both:
        for sign in (1, -1):
            for path in paths:
                own = [NetworkClock("index", falls) for falls in (True, False)] if isinstance(path, Table) else clocks
                for clock in own:
                    for kind in KINDS:
                        yield Convention(kind, path, clock, over_alpha, sign)
    for spread in sigma_data:
        for sign in (1, -1):
            yield Convention("x0", VE(), NetworkClock("half_log_snr", True, 0.25), sign=sign, precondition=EDM(spread))


def views(candidates: Iterable[Convention], log_snr: Tensor) -> list[tuple[Convention, View]]:
    """The candidates with a finite view at every log-SNR (L,), each with this view."""
    known: dict[tuple[GaussianPath, NetworkClock], Levels | None] = {}
    found = []
    for convention in candidates:
        key = convention.path, convention.clock
        if key not in known:
            known[key] = levels(*key, log_snr)
        view = convention._view(known[key])
        if view is not None and view.finite:
            found.append((convention, view))
    return found

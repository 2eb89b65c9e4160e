"""Trials of a network of unknown convention on noised data.

For samples x₀ and noise ε, y = x₀ + ρ ε at several log-SNRs −2 log ρ. A convention shows m y and the clock c to the
network and takes x₀-hat = a y + b o from the output o, so that the squared error

    e = |a y + b o − x₀|² = |a y − x₀|² + 2 b ⟨a y − x₀, o⟩ + b² |o|²

needs three inner products of o. So all conventions with the same m and c share one evaluation. All conventions are
tried on the same x₀ and ε, so that the least error of any function of y is the same for all of them. A network is first
tried on the first few draws. The others are made when they are asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ...generative.denoiser import own_dtype
from ...solvers import standard_normal
from .effort import Effort
from .view import View

__all__ = ["Trial"]

ROUNDING = 1e-14
"""Errors below this share of the squared data are rounding."""
NUMBERS = 2**16
"""The largest number of components in one call of the network."""
KEPT = 2**23
"""The largest number of components of outputs that are kept."""
ASKED_AGAIN = 8
"""The number of draws on which the network is asked twice."""


class Moments(NamedTuple):
    """⟨y, o⟩, ⟨x₀, o⟩ and |o|² of the first draws, each (L, n)."""

    yo: Tensor
    xo: Tensor
    oo: Tensor

    @property
    def draws(self) -> int:
        return self.yo.shape[1]


class Trial:
    """Draws of noised data, y (L, N, d) and x0 (N, d), flat and in float64, on which a network is tried.

    Args:
        net: the network, net(x, time) or net(x, time, label). It sees its own dtype, or that of the samples.
        x0: clean samples (rows, …).
        label: (rows,), or None.
        log_snr: the levels, (L,).
        repeats: how often each sample is noised at each level, N = rows · repeats.
        seed: draws the noise.
        effort: counts the evaluations.
    """

    def __init__(
        self,
        net: Callable[..., Tensor],
        x0: Tensor,
        label: Tensor | None,
        log_snr: Tensor,
        repeats: int,
        seed: int,
        effort: Effort,
    ) -> None:
        self.net, self.log_snr, self.rows, self.effort = net, log_snr, len(x0), effort
        self.shape, self.dtype, self.device = x0.shape[1:], own_dtype(net) or x0.dtype, x0.device
        self.label = None if label is None else label.repeat(repeats)
        self.x0 = x0.double().cpu().flatten(1).repeat(repeats, 1)
        count = len(self.x0)
        eps = standard_normal(self.x0.new_empty(len(log_snr) * count, self.x0.shape[1]), seed)
        self.rho = torch.exp(-0.5 * log_snr)
        self.y = self.x0 + self.rho.view(-1, 1, 1) * eps.view(len(log_snr), count, -1)
        square = self.x0.square().sum(-1).expand(len(log_snr), -1)
        self._squares = [self.y.square().sum(-1), (self.x0 * self.y).sum(-1), square]
        self._moments: dict[bytes, Moments | None] = {}
        self._outputs: dict[bytes, list[Tensor]] = {}
        self.failure: Exception | None = None  # what the network raised last

    def __len__(self) -> int:
        return len(self.x0)

    def sizes(self, first: int) -> list[int]:
        """Numbers of draws, doubled up to N. Beyond `rows` each has every sample equally often."""
        found = [size for k in range(20) if (size := first << k) < self.rows]
        found += [size for k in range(20) if (size := self.rows << k) < len(self)]
        return [*found, len(self)]

    def whole(self, draws: float) -> int:
        """The largest number of draws, at most `draws`, in which every sample is equally often, or once."""
        return int(min(draws, len(self)) // self.rows * self.rows if draws >= self.rows else draws)

    def draws(self, view: View) -> int:
        """The number of draws at each level on which this view was tried."""
        seen = self._moments.get(view.call)
        return 0 if seen is None else seen.draws

    def cost(self, view: View, draws: int) -> int:
        """The number of evaluations that a trial on the first draws takes, beyond those that were made."""
        failed = view.call in self._moments and self._moments[view.call] is None
        return 0 if failed else len(self.rho) * max(0, draws - self.draws(view))

    def output(self, view: View, draws: int) -> Tensor:
        """o of the first draws at all levels, (L, n, d), float64. Raises what the network raises."""
        kept = self._outputs.get(view.call, [])
        had = sum(part.shape[1] for part in kept)
        parts = [*kept, self._answer(view, had, draws)] if had < draws else kept
        return torch.cat(parts, 1)[:, :draws]

    def _answer(self, view: View, start: int, stop: int) -> Tensor:
        """o of some draws at all levels; kept if there is room."""
        at_once = max(1, NUMBERS // (len(self.rho) * self.y.shape[2]))
        parts = [self._call(view, k, min(k + at_once, stop)) for k in range(start, stop, at_once)]
        output = torch.cat(parts, 1)
        kept = self._outputs.setdefault(view.call, [])
        if sum(part.shape[1] for part in kept) == start:
            kept.append(output)
        while self._outputs and sum(part.numel() for each in self._outputs.values() for part in each) > KEPT:
            del self._outputs[next(iter(self._outputs))]
        return output

    def _call(self, view: View, start: int, stop: int, levels: int | None = None) -> Tensor:
        """o of some draws at the first levels, (l, n, d), float64."""
        y, clock = self.y[:levels, start:stop], view.clock[:levels]
        x = (view.input[:levels].view(-1, 1, 1) * y).view(-1, *self.shape).to(self.device, self.dtype)
        times = clock.repeat_interleave(stop - start).to(x)
        told = () if self.label is None else (self.label[start:stop].repeat(len(y)),)
        with torch.no_grad(), self.effort.counted(len(x)):
            output = self.net(x, times, *told)
        if not isinstance(output, Tensor) or output.shape != x.shape or output.is_complex():
            given = f"{output.dtype} {tuple(output.shape)}" if isinstance(output, Tensor) else type(output).__name__
            raise ValueError(f"The network returned {given} for states of shape {tuple(x.shape)}; return that shape.")
        return output.double().cpu().view_as(y)

    def _seen(self, view: View, draws: int) -> Moments | None:
        """The inner products of the output; None if the network raises an error or the output is not finite."""
        had = self.draws(view)
        if view.call not in self._moments or (self._moments[view.call] is not None and had < draws):
            try:
                output = self._answer(view, had, draws)
            except Exception as error:  # of a network that is given the wrong clock
                self._moments[view.call], self.failure = None, error
            else:
                self._moments[view.call] = self._joined(self._moments.get(view.call), output, had)
        return self._moments[view.call]

    def _joined(self, known: Moments | None, output: Tensor, had: int) -> Moments | None:
        y, x0 = self.y[:, had : had + output.shape[1]], self.x0[had : had + output.shape[1]]
        added = (y * output).sum(-1), (x0 * output).sum(-1), output.square().sum(-1)
        if not all(bool(part.isfinite().all()) for part in added):
            return None
        return Moments(*added) if known is None else Moments(*map(_beside, known, added))

    def score(self, view: View, draws: int) -> float:
        """The mean over levels of the logarithm of the mean error; infinite without a finite output."""
        if (seen := self._seen(view, draws)) is None:
            return math.inf
        squares, moments = ([part[:, :draws].mean(1) for part in each] for each in (self._squares, seen))
        error = _error(view.skip, view.gain, squares, moments)
        return float(error.clamp(min=ROUNDING * squares[2].mean()).log().mean())

    def errors(self, view: View, draws: int) -> Tensor:
        """The error e of the first draws, (L, n), for a view with a finite score."""
        seen = self._seen(view, draws)
        if seen is None:
            raise ValueError("The network has no finite output for this view of it.")
        squares, moments = ([part[:, :draws] for part in each] for each in (self._squares, seen))
        return _error(view.skip.view(-1, 1), view.gain.view(-1, 1), squares, moments)

    def residual(self, view: View, draws: int) -> tuple[Tensor, Tensor]:
        """x₀ − x₀-hat and x₀-hat of the first draws, (L, n, d)."""
        h = view.skip.view(-1, 1, 1) * self.y[:, :draws] + view.gain.view(-1, 1, 1) * self.output(view, draws)
        return self.x0[:draws] - h, h

    def random(self, view: View) -> bool:
        """Whether the network gives two answers to the same question."""
        first, again = (self._call(view, 0, min(ASKED_AGAIN, len(self)), 1) for _ in range(2))
        return bool((first - again).abs().mean() > 1e-3 * first.abs().mean())


def _error(a: Tensor, b: Tensor, squares: Sequence[Tensor], moments: Sequence[Tensor]) -> Tensor:
    """The formula above from ⟨y, y⟩, ⟨x₀, y⟩, ⟨x₀, x₀⟩ and the inner products of o."""
    (yy, xy, xx), (yo, xo, oo) = squares, moments
    return a.square() * yy - 2.0 * a * xy + xx + 2.0 * b * (a * yo - xo) + b.square() * oo


def _beside(known: Tensor, added: Tensor) -> Tensor:
    return torch.cat([known, added], 1)

"""Trials of a network of unknown convention on noised data.

For samples x₀ and noise ε, y = x₀ + ρ ε at several log-SNRs −2 log ρ. A convention shows m y and the clock c to the
network and takes x₀-hat = a y + b o from the output o, so that the squared error

    e = |a y + b o − x₀|² = |a y − x₀|² + 2 b ⟨a y − x₀, o⟩ + b² |o|²

needs three inner products of o. So all conventions with the same m and c share one evaluation. All conventions are
tried on the same x₀ and ε, so that the least error of any function of y is the same for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ...generative.denoiser import own_dtype
from ...solvers import standard_normal
from .view import View

__all__ = ["Trial"]

ROUNDING = 1e-14
"""Errors below this share of the squared data are rounding."""
NUMBERS = 2**18
"""The largest number of components in one call of the network."""


class Moments(NamedTuple):
    """⟨y, o⟩, ⟨x₀, o⟩ and |o|² of every draw, each (L, N), and their means, each (L,)."""

    draws: Sequence[Tensor]
    means: Sequence[Tensor]


class Trial:
    """Draws of noised data, y (L, N, d) and x0 (N, d), flat and in float64, on which a network is tried.

    Args:
        net: the network, net(x, time) or net(x, time, label). It sees its own dtype, or that of the samples.
        x0: clean samples (rows, …).
        label: (rows,), or None.
        log_snr: the levels, (L,).
        repeats: how often each sample is noised at each level, N = rows · repeats.
        seed: draws the noise.
    """

    def __init__(
        self,
        net: Callable[..., Tensor],
        x0: Tensor,
        label: Tensor | None,
        log_snr: Tensor,
        repeats: int,
        seed: int,
    ) -> None:
        self.net, self.log_snr, self.rows = net, log_snr, len(x0)
        self.shape, self.dtype, self.device = x0.shape[1:], own_dtype(net) or x0.dtype, x0.device
        self.label = None if label is None else label.repeat(repeats)
        self.x0 = x0.double().cpu().flatten(1).repeat(repeats, 1)
        count = len(self.x0)
        eps = standard_normal(self.x0.new_empty(len(log_snr) * count, self.x0.shape[1]), seed)
        self.rho = torch.exp(-0.5 * log_snr)
        self.y = self.x0 + self.rho.view(-1, 1, 1) * eps.view(len(log_snr), count, -1)
        square = self.x0.square().sum(-1).expand(len(log_snr), -1)
        self._squares = [self.y.square().sum(-1), (self.x0 * self.y).sum(-1), square]
        self._mean_squares = [part.mean(1) for part in self._squares]
        self._moments: dict[bytes, Moments | None] = {}
        self.failure: Exception | None = None  # what the network raised last

    def output(self, view: View) -> Tensor:
        """o at all levels: (L, N, d), float64. Raises what the network raises, and ValueError for a wrong shape."""
        levels, count, dim = self.y.shape
        at_once = max(1, NUMBERS // (count * dim))
        parts = [self._call(self.y[part], view.input[part], view.clock[part]) for part in _slices(levels, at_once)]
        return torch.cat(parts)

    def _call(self, y: Tensor, scale: Tensor, clock: Tensor) -> Tensor:
        levels, count, _ = y.shape
        x = (scale.view(-1, 1, 1) * y).view(-1, *self.shape).to(self.device, self.dtype)
        times = clock.repeat_interleave(count).to(x)
        told = () if self.label is None else (self.label.repeat(levels),)
        with torch.no_grad():
            output = self.net(x, times, *told)
        if not isinstance(output, Tensor) or output.shape != x.shape or output.is_complex():
            given = f"{output.dtype} {tuple(output.shape)}" if isinstance(output, Tensor) else type(output).__name__
            raise ValueError(f"The network returned {given} for states of shape {tuple(x.shape)}; return that shape.")
        return output.double().cpu().view_as(y)

    def _seen(self, view: View) -> Moments | None:
        """The inner products of the output; None if the network raises an error or the output is not finite."""
        if view.call not in self._moments:
            try:
                output = self.output(view)
            except Exception as error:  # of a network that is given the wrong clock
                self._moments[view.call], self.failure = None, error
            else:
                inner = (self.y * output).sum(-1), (self.x0 * output).sum(-1), output.square().sum(-1)
                finite = all(bool(part.isfinite().all()) for part in inner)
                self._moments[view.call] = Moments(inner, [part.mean(1) for part in inner]) if finite else None
        return self._moments[view.call]

    def score(self, view: View) -> float:
        """The mean over levels of the logarithm of the mean error; infinite without a finite output."""
        if (seen := self._seen(view)) is None:
            return math.inf
        error = _error(view.skip, view.gain, self._mean_squares, seen.means)
        return float(error.clamp(min=ROUNDING * self._mean_squares[2].mean()).log().mean())

    def errors(self, view: View) -> Tensor:
        """The error e of every draw, (L, N), for a view with a finite score."""
        seen = self._seen(view)
        if seen is None:
            raise ValueError("The network has no finite output for this view of it.")
        return _error(view.skip.view(-1, 1), view.gain.view(-1, 1), self._squares, seen.draws)

    def residual(self, view: View, output: Tensor) -> tuple[Tensor, Tensor]:
        """x₀ − x₀-hat and x₀-hat, (L, N, d)."""
        h = view.skip.view(-1, 1, 1) * self.y + view.gain.view(-1, 1, 1) * output
        return self.x0 - h, h

    def random(self, view: View) -> bool:
        """Whether the network gives two answers to the same question."""
        first, again = (self._call(self.y[:1], view.input[:1], view.clock[:1]) for _ in range(2))
        return bool((first - again).abs().mean() > 1e-3 * first.abs().mean())


def _error(a: Tensor, b: Tensor, squares: Sequence[Tensor], moments: Sequence[Tensor]) -> Tensor:
    """The formula above from ⟨y, y⟩, ⟨x₀, y⟩, ⟨x₀, x₀⟩ and the inner products of o."""
    (yy, xy, xx), (yo, xo, oo) = squares, moments
    return a.square() * yy - 2.0 * a * xy + xx + 2.0 * b * (a * yo - xo) + b.square() * oo


def _slices(levels: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, levels, size)]

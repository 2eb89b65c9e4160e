"""Samplers of k-diffusion: functions (model, x, σ) on the path x₀ + σ ε, on which model(x, σ) is x₀-hat.

On any Gaussian path z = x/α = x₀ + (σ/α) ε, so that every denoiser is such a model at the time with log-SNR −2 log σ.
Where α = 0 there is no z. Then a run starts at σ/α = 80 (EDM's bound), and the state there is taken for that of the
end.

Source: Karras et al., Elucidating the Design Space (2206.00364), section 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from ...solvers import Noise
from ...solvers.common import host, matching
from ..denoiser import Denoiser, per_sample
from ..equations import grids
from ..paths import GaussianPath, Scalar

__all__ = ["Levelled", "NoiseByLevel", "run_on_levels"]

SAME = 1e-6
"""Levels that differ by so small a part are one, rounded."""


@dataclass(frozen=True, eq=False)
class Levelled:
    """A denoiser as a model of k-diffusion: (x₀ + σ ε, σ) -> x₀-hat.

    Attributes:
        denoiser: the network, on any path.
    """

    denoiser: Denoiser

    def __call__(self, x: Tensor, sigma: Tensor | float, **condition: Any) -> Tensor:
        """x₀-hat.

        Args:
            x: the states x₀ + σ ε, (B, ...).
            sigma: σ, one number or (B,).
            condition: further keyword arguments of the network.
        """
        denoiser = self.denoiser.given(condition) if condition else self.denoiser
        t = _time(denoiser.path, host(sigma).flatten())
        return denoiser.predict("x0", t, per_sample(denoiser.path.alpha(t), x) * x)


@dataclass(frozen=True, eq=False)
class NoiseByLevel:
    """The noise_sampler of k-diffusion's samplers: (σ, next σ) -> ξ, the normal of one Brownian path in σ.

    A sampler may ask for intervals that overlap. A noise that is no path gives normals of which a path is made: beyond
    what is known, and, inside an interval, those of the bridge between its ends (Lévy's construction).

    Attributes:
        noise: the source of normals, by time.
        path: the path whose σ/α the levels are.
        like: a state.
        ends: the first time and the last one, between which rounded levels stay.
        known: the value of the path where it was asked for, by −σ/α.
    """

    noise: Noise
    path: GaussianPath
    like: Tensor
    ends: tuple[float, float]
    known: dict[float, Tensor] = field(default_factory=dict)

    def __call__(self, sigma: Tensor | float, following: Tensor | float) -> Tensor:
        first, last = self.ends
        start, end = (min(max(self._time(level), first), last) for level in (sigma, following))
        if self.noise.replays:
            return self.noise.normal(start, end, self._variance, self.like)
        (q0, w0), (q1, w1) = self._value(start), self._value(end)
        return (w1 - w0) / math.sqrt(abs(q1 - q0))

    def _value(self, t: float) -> tuple[float, Tensor]:
        """The place −σ/α of a time, and the path there, W(q)."""
        q = float(self._variance(host(t)))
        known = self.known
        if not known:
            known[q] = torch.zeros_like(self.like)
        if (near := next((p for p in known if math.isclose(p, q, rel_tol=SAME)), None)) is not None:
            return near, known[near]
        below, above = max((p for p in known if p < q), default=None), min((p for p in known if p > q), default=None)
        fresh = self.noise.normal(t, t, self._variance, self.like)
        if below is None or above is None:
            beside: float = above if below is None else below  # type: ignore[assignment]  # one of them is known
            known[q] = known[beside] + math.sqrt(abs(q - beside)) * fresh
        else:
            part = (q - below) / (above - below)
            known[q] = torch.lerp(known[below], known[above], part) + math.sqrt(part * (above - q)) * fresh
        return q, known[q]

    def _time(self, level: Tensor | float) -> float:
        return float(_time(self.path, host(level).reshape(1)))

    def _variance(self, t: Tensor) -> Tensor:
        """−σ/α, which rises with t."""
        return -(-self.path.half_log_snr(t)).exp()


def run_on_levels(
    function: Callable[..., Any],
    options: Mapping[str, Any],
    denoiser: Denoiser,
    x: Tensor,
    times: Tensor,
    noise: Noise,
) -> Any:
    """The state at the last time, by a sampler of k-diffusion from x at the first time.

    Args:
        function: the sampler.
        options: its further keyword arguments.
        denoiser: the network.
        x: the state at times[0], (B, ...).
        times: rising times, float64 (n + 1,).
        noise: for its argument noise_sampler, if it has one.
    """
    path, times = denoiser.path, _begun(denoiser.path, times)
    first, last = times[0].item(), times[-1].item()
    given: dict[str, Any] = {}
    parameters = signature(function).parameters
    if "noise_sampler" in parameters:
        given["noise_sampler"] = NoiseByLevel(noise, path, x, (first, last))
    if "disable" in parameters:  # the progress bar
        given["disable"] = True
    sigmas = matching((-path.half_log_snr(times)).exp(), x)
    end = function(Levelled(denoiser), x / path.alpha(first), sigmas, **(given | dict(options)))
    return end * path.alpha(last) if isinstance(end, Tensor) else end


def _begun(path: GaussianPath, times: Tensor) -> Tensor:
    """The times, of which the first is later if α = 0 there: at σ/α = 80, but in the first half of the step."""
    first, second = times[:2].tolist()
    if path.alpha(first) > 0.0:
        return times
    later = min(path.time(-2.0 * math.log(grids.NOISIEST)), 0.5 * (first + second))
    return torch.cat([times.new_tensor([later]), times[1:]])


def _time(path: GaussianPath, sigma: Tensor) -> Scalar:
    """The time of a level σ/α: a float if all samples have the same."""
    levels = sigma.tolist()
    log_snr = [-2.0 * math.log(level) if level > 0.0 else math.inf for level in levels]
    if len(set(log_snr)) == 1:
        return path.time(log_snr[0])
    return path.time(host(log_snr))

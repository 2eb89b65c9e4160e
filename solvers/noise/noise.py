"""The driving Brownian motion.

A solver asks for what drives a step in the variance clock q of its equation: the standardised increment

    ξ = (W_{q₁} − W_{q₀}) / √|q₁ − q₀| ~ N(0, I),

and where it integrates the path itself (strong order 1.5) also for the standardised space-time Lévy area, independent
of ξ,

    η = H / √(Δq/12) ~ N(0, I),    H = (1/Δq) ∫ (W_q − W_{q₀} − (q − q₀)/Δq (W_{q₁} − W_{q₀})) dq.

`WhiteNoise` draws them afresh: fast, but a path exists only for the steps that were taken. `BrownianTree` is a path: a
deterministic function of (seed, sample, time), the same whatever the batch, the order of the queries, the device and
the steps. Every increment is a combination of normals, each the hash of the seed, the sample, the component and a node
(`random.standard_normals`), with weights computed on the host (`brownian.Interval`).
"""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from .brownian import Clock, Interval
from .random import Seed, extra_normal, per_sample_keys, standard_normals

__all__ = ["BrownianTree", "Noise", "WhiteNoise"]

_KEPT = 64  # normals of the size of the state


@runtime_checkable
class Noise(Protocol):
    """What a stochastic solver needs. Every number has the shape, dtype and device of `like`."""

    replays: bool
    """Whether the same question always has the same answer: a path, rather than fresh numbers."""

    def normal(self, t0: float, t1: float, clock: Clock, like: Tensor) -> Tensor:
        """ξ: (W_{q(t1)} − W_{q(t0)}) / √|q(t1) − q(t0)|."""
        ...

    def normal_and_area(self, t0: float, t1: float, clock: Clock, like: Tensor) -> tuple[Tensor, Tensor]:
        """(ξ, η): W_{q₁} − W_{q₀} = √Δq ξ, and its space-time Lévy area H = √(Δq/12) η; independent of each other."""
        ...

    def extra(self, index: int, like: Tensor) -> Tensor:
        """N(0, I) number `index` = 0, 1, …, independent of the path: for solvers that add noise of their own."""
        ...


class WhiteNoise:
    """Independent numbers from a torch generator, or from a new one on the CPU with a seed."""

    replays = False

    def __init__(self, seed: int | torch.Generator = 0) -> None:
        self.generator = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)

    def normal(self, t0: float, t1: float, clock: Clock, like: Tensor) -> Tensor:
        return self._draw(like)

    def normal_and_area(self, t0: float, t1: float, clock: Clock, like: Tensor) -> tuple[Tensor, Tensor]:
        return self._draw(like), self._draw(like)

    def extra(self, index: int, like: Tensor) -> Tensor:
        return self._draw(like)

    def _draw(self, like: Tensor) -> Tensor:
        draw = torch.randn(like.shape, dtype=like.dtype, device=self.generator.device, generator=self.generator)
        return draw.to(like.device, non_blocking=True)


class BrownianTree:
    """One Brownian path a sample on the times [t0, t1], in the variance clock of the equation that it drives.

    like: a tensor of the state's shape, dtype and device. seed: one int, from which each row of the batch gets its
    own path by its position; or a sequence of one int a sample, whose path is then its own in any batch; or keys.
    area: whether the path answers `normal_and_area`; it is another path than without, and takes twice the time.
    resolution: of the shortest steps, over their distance from t0 and t1; below it the path is smooth. A query makes
    about log₂(step/resolution) new normals (twice as many with area).

    The normals of the latest queries are kept, because the next one shares most of them: 64 numbers a component at
    most, or those of one query. No result depends on it.

    Raises ValueError for another number of seeds than samples, a resolution outside (0, 1), and for queries outside
    [t0, t1] or of another shape or dtype.
    """

    replays = True

    def __init__(
        self,
        like: Tensor,
        t0: float,
        t1: float,
        seed: Seed = 0,
        *,
        area: bool = False,
        resolution: float = 2.0**-16,
    ) -> None:
        if not (math.isfinite(t0) and math.isfinite(t1) and t0 < t1):
            raise ValueError(f"BrownianTree needs finite t0 < t1, but got {t0} and {t1}.")
        if not 0.0 < resolution < 1.0:
            raise ValueError(f"BrownianTree needs a resolution between 0 and 1, but got {resolution}.")
        self.t0, self.t1, self.area = float(t0), float(t1), area
        self.shape, self.dtype = like.shape, like.dtype
        self.keys = per_sample_keys(seed, like.shape[0], like.device)
        self._interval = Interval(self.t0, self.t1, 2 if area else 1, resolution)
        self._kept: dict[int, Tensor] = {}

    def normal(self, t0: float, t1: float, clock: Clock, like: Tensor) -> Tensor:
        return self._integrals(t0, t1, clock, like, 1)[0]

    def normal_and_area(self, t0: float, t1: float, clock: Clock, like: Tensor) -> tuple[Tensor, Tensor]:
        if not self.area:
            raise ValueError("This BrownianTree carries no area; make BrownianTree(..., area=True).")
        xi, eta = self._integrals(t0, t1, clock, like, 2)
        return xi, eta

    def extra(self, index: int, like: Tensor) -> Tensor:
        return extra_normal(self.keys, index, like)

    def _integrals(self, t0: float, t1: float, clock: Clock, like: Tensor, rows: int) -> list[Tensor]:
        if like.shape != self.shape or like.dtype != self.dtype:
            raise ValueError(
                f"This BrownianTree drives {self.dtype} of shape {tuple(self.shape)}, but the step needs {like.dtype} "
                f"of shape {tuple(like.shape)}; make the tree like the state."
            )
        early, late = min(t0, t1), max(t0, t1)
        if early < self.t0 or late > self.t1:
            raise ValueError(
                f"The step from {t0:g} to {t1:g} leaves the BrownianTree's interval [{self.t0:g}, {self.t1:g}]; make "
                "the tree on the times of the solve."
            )
        numbers, weights = self._interval.weights(early, late, clock, rows)
        if t1 < t0:
            weights[0] *= -1.0
        normals = self._normals(numbers)
        return [_combination(row, normals).to(self.dtype) for row in weights.tolist()]

    def _normals(self, numbers: list[int]) -> list[Tensor]:
        """The normals of these numbers, kept ones or new. The latest `_KEPT` are kept, or at least these."""
        kept = self._kept
        missing = [number for number in numbers if number not in kept]
        made = standard_normals(self.keys, missing, self.shape[1:], torch.promote_types(self.dtype, torch.float32))
        fresh = {number: normal.clone() for number, normal in zip(missing, made, strict=True)}
        asked = {number: kept[number] if number in kept else fresh[number] for number in numbers}
        older = [number for number in kept if number not in asked]
        older = older[max(0, len(older) + len(asked) - _KEPT) :]
        self._kept = {number: kept[number] for number in older} | asked
        return list(asked.values())


def _combination(weights: list[float], values: list[Tensor]) -> Tensor:
    """Σ w v. Elementwise, so that no sample depends on its batch, as it may in a matrix product."""
    total = torch.zeros_like(values[0])
    for weight, value in zip(weights, values, strict=True):
        if weight != 0.0:
            total.add_(value, alpha=weight)
    return total

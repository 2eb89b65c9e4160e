"""The driving Brownian motion.

A solver asks for the normals that drive a step in the variance clock q of its equation. One is the standardised
increment

    ξ = (W_{q₁} − W_{q₀}) / √|q₁ − q₀| ~ N(0, I),

A solver that integrates the path itself (strong order 1.5) also needs the standardised space-time Lévy area, which is
independent of ξ,

    η = H / √(Δq/12) ~ N(0, I),    H = (1/Δq) ∫ (W_q − W_{q₀} − (q − q₀)/Δq (W_{q₁} − W_{q₀})) dq.

`WhiteNoise` draws new normals on every call. It is fast, but its path exists only at the steps that were taken.
`BrownianTree` is a path: a deterministic function of (seed, sample, time), which does not depend on the batch, the
order of the queries, the device or the steps. Every increment is a combination of normals. Each normal is a hash of the
seed, the sample, the component and a node (`random.standard_normals`), and the weights are computed on the host
(`brownian.Interval`).
"""

from __future__ import annotations

import math
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from ..common import check_floating, flag, real, whole
from .brownian import Clock, Interval
from .random import SEEDS, Seed, extra_normal, per_sample_keys, standard_normals

__all__ = ["BrownianTree", "Noise", "WhiteNoise"]

_KEPT = 64  # the number of normals, each of the state's size, that a tree keeps


@runtime_checkable
class Noise(Protocol):
    """The source of normals of a stochastic solver. Each has the shape, dtype and device of `like`."""

    replays: bool
    """Whether the same query always has the same answer: whether it is a path."""

    def normal(self, t0: float, t1: float, clock: Clock, like: Tensor) -> Tensor:
        """ξ = (W_{q(t1)} − W_{q(t0)}) / √|q(t1) − q(t0)|, the standardised increment of a step.

        Args:
            t0: the time at the start.
            t1: the time at the end.
            clock: q, a function of float64 times.
            like: a tensor of ξ's shape, dtype and device.
        """
        ...

    def normal_and_area(self, t0: float, t1: float, clock: Clock, like: Tensor) -> tuple[Tensor, Tensor]:
        """(ξ, η), independent of each other: the increment is √Δq ξ, and its space-time Lévy area is H = √(Δq/12) η.

        The arguments are those of `normal`.
        """
        ...

    def extra(self, index: int, like: Tensor) -> Tensor:
        """The extra normal of number `index` = 0, 1, …, independent of the path, for solvers that add noise."""
        ...


class WhiteNoise:
    """New normals on every call.

    Args:
        seed: a torch generator, or the seed of a new generator on the CPU.

    Raises:
        TypeError: the seed is no number.
        ValueError: the seed is not whole, or of more than 64 bits.
    """

    replays = False

    def __init__(self, seed: int | torch.Generator = 0) -> None:
        if not isinstance(seed, torch.Generator):
            seed = torch.Generator().manual_seed(whole("seed", seed, *SEEDS))
        self.generator: torch.Generator = seed

    def __getstate__(self) -> dict[str, Any]:
        """A copy has a generator of its own, which goes on where this one is."""
        return vars(self) | {"generator": self.generator.clone_state()}

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
    """A Brownian path for each sample on the times [t0, t1], in the variance clock of the equation that it drives.

    A query makes about log₂(step/resolution) new normals, and twice as many with an area. The normals of the latest
    queries are kept, because the next query shares most of them: at most 64 numbers a component, or those of one query.
    No result depends on which are kept.

    Args:
        like: a tensor of the state's shape, dtype and device.
        t0: the first time of the path.
        t1: its last time.
        seed: one int, from which each row of the batch gets a path by its position; or one int for each sample (a
            sequence or a tensor of shape (B,)), whose path is then the same in every batch.
        area: whether the path answers `normal_and_area`. It is a different path, and takes twice the time.
        resolution: the length of the shortest steps, over their distance from t0 and t1. Below it the path is smooth.

    Raises:
        TypeError: `like` is no floating-point tensor, or a number is none.
        ValueError: the number of seeds is not that of the samples, a seed is not whole, the times do not rise, or the
            resolution lies outside (0, 1). Queries raise it outside [t0, t1], and for another shape, dtype or device.
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
        check_floating("like", like)
        if like.ndim == 0:
            raise ValueError("like has no axes, but needs one of samples, (B, ...); give like[None].")
        self.t0, self.t1, self.area = real("t0", t0), real("t1", t1), flag("area", area)
        if not 0.0 < self.t1 - self.t0 < math.inf:
            raise ValueError(f"BrownianTree needs finite t0 < t1, but got {self.t0} and {self.t1}.")
        resolution = real("resolution", resolution, above=0.0, below=1.0)
        self.shape, self.dtype = like.shape, like.dtype
        self.keys = per_sample_keys(seed, like.shape[0], like.device)
        self._interval = Interval(self.t0, self.t1, 2 if area else 1, resolution)
        self._kept: dict[int, Tensor] = {}

    def check_within(self, t0: float, t1: float) -> None:
        """Raise ValueError unless the path reaches from t0 to t1, in either direction."""
        if not (self.t0 <= min(t0, t1) and max(t0, t1) <= self.t1):
            raise ValueError(
                f"The way from {t0:g} to {t1:g} leaves the BrownianTree's interval [{self.t0:g}, {self.t1:g}]; make "
                "the tree on the times of the solve."
            )

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
        """[ξ], or [ξ, η] for two rows."""
        device = self.keys.values.device
        if like.shape != self.shape or like.dtype != self.dtype or like.device != device:
            raise ValueError(
                f"This BrownianTree drives {self.dtype} of shape {tuple(self.shape)} on {device}, but the step needs "
                f"{like.dtype} of shape {tuple(like.shape)} on {like.device}; make the tree like the state."
            )
        self.check_within(t0, t1)
        early, late = min(t0, t1), max(t0, t1)
        numbers, weights = self._interval.weights(early, late, clock, rows)
        if t1 < t0:
            weights[0] *= -1.0
        normals = self._normals(numbers)
        return [_combination(row, normals).to(self.dtype) for row in weights.tolist()]

    def _normals(self, numbers: list[int]) -> list[Tensor]:
        """The normals of these numbers. The latest `_KEPT` are kept for later queries, and at least these."""
        kept = self._kept
        missing = [number for number in numbers if number not in kept]
        dtype = torch.promote_types(self.dtype, torch.float32)
        made = standard_normals(self.keys.values, missing, self.shape[1:], dtype)
        fresh = {number: normal.clone() for number, normal in zip(missing, made, strict=True)}
        asked = {number: kept[number] if number in kept else fresh[number] for number in numbers}
        older = [number for number in kept if number not in asked]
        older = older[max(0, len(older) + len(asked) - _KEPT) :]
        self._kept = {number: kept[number] for number in older} | asked
        return list(asked.values())


def _combination(weights: list[float], values: list[Tensor]) -> Tensor:
    """Σ_j w_j v_j, elementwise: in a matrix product a sample could depend on its batch by rounding."""
    total = torch.zeros_like(values[0])
    for weight, value in zip(weights, values, strict=True):
        if weight != 0.0:
            total.add_(value, alpha=weight)
    return total

"""The driving Brownian motion.

A solver asks for the standardised increment over a step, in the variance clock q of its equation,

    ξ = (W_{q₁} − W_{q₀}) / √|q₁ − q₀| ~ N(0, I).

`WhiteNoise` draws it afresh: fast, but a path exists only for the steps that were taken. `BrownianTree` is a path:
a deterministic function of (seed, sample, time). Between t₀ and t₁ it is built by halving (Lévy's construction), each
middle conditioned on its two neighbours,

    W_m = W_l + (q_m − q_l)/(q_r − q_l) (W_r − W_l) + √((q_m − q_l)(q_r − q_m)/(q_r − q_l)) ξ_m,

with ξ_m the hash of the seed, the sample, the component and the node (`random.standard_normals`): no state, no
recursion, the same whatever the batch, the order of the queries, the device and the steps. Halving stops after
`_LEVELS` levels; the last cell, a millionth of the interval, is bridged by one more normal, so that every increment
between times in different cells has exactly its law. W_t is thus a combination of at most `_LEVELS` + 2 normals, whose
weights are computed on the host.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from .random import per_sample_keys, standard_normals

__all__ = ["BrownianTree", "Noise", "WhiteNoise"]

Clock = Callable[[Tensor], Tensor]
_LEVELS = 20


@runtime_checkable
class Noise(Protocol):
    """What a stochastic solver needs."""

    def normal(self, t0: float, t1: float, clock: Clock, like: Tensor) -> Tensor:
        """(W_{q(t1)} − W_{q(t0)}) / √|q(t1) − q(t0)|, of the shape, dtype and device of `like`."""
        ...


class WhiteNoise:
    """Independent increments from a torch generator, or from a new one on the CPU with a seed."""

    def __init__(self, seed: int | torch.Generator = 0) -> None:
        self.generator = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)

    def normal(self, t0: float, t1: float, clock: Clock, like: Tensor) -> Tensor:
        draw = torch.randn(like.shape, dtype=like.dtype, device=self.generator.device, generator=self.generator)
        return draw.to(like.device)


class BrownianTree:
    """One Brownian path a sample on the times [t0, t1], in the variance clock of the equation that it drives.

    like: a tensor of the state's shape, dtype and device. seed: one int, from which each row of the batch gets its
    own path by its position; or a sequence of one int a sample, whose path is then its own in any batch.

    Raises ValueError for another number of seeds than samples, and for queries outside [t0, t1].
    """

    def __init__(self, like: Tensor, t0: float, t1: float, seed: int | Sequence[int] = 0) -> None:
        if not (math.isfinite(t0) and math.isfinite(t1) and t0 < t1):
            raise ValueError(f"BrownianTree needs finite t0 < t1, but got {t0} and {t1}.")
        self.t0, self.t1 = float(t0), float(t1)
        self.shape, self.dtype = like.shape, like.dtype
        self.keys = per_sample_keys(seed, like.shape[0], like.device)

    def normal(self, t0: float, t1: float, clock: Clock, like: Tensor) -> Tensor:
        if like.shape != self.shape or like.dtype != self.dtype:
            raise ValueError(
                f"This BrownianTree drives {self.dtype} of shape {tuple(self.shape)}, but the step needs {like.dtype} "
                f"of shape {tuple(like.shape)}; make the tree like the state."
            )
        if min(t0, t1) < self.t0 or max(t0, t1) > self.t1:
            raise ValueError(
                f"The step from {t0:g} to {t1:g} leaves the BrownianTree's interval [{self.t0:g}, {self.t1:g}]; make "
                "the tree on the times of the solve."
            )
        start, end = self._weights(t0, clock), self._weights(t1, clock)
        increment = {node: end.get(node, 0.0) - start.get(node, 0.0) for node in start | end}
        norm = math.sqrt(sum(weight**2 for weight in increment.values()))
        normals = standard_normals(self.keys, list(increment), self.shape[1:], self.dtype)
        if math.isinf(norm):  # a step to σ = 0, on which no noise falls: any normal will do
            return normals[0]
        weights = torch.tensor(list(increment.values()), dtype=self.dtype, device=normals.device) / norm
        combined: Tensor = torch.tensordot(weights, normals, dims=1)
        return combined

    def _weights(self, t: float, clock: Clock) -> dict[int, float]:
        """W_t as a combination of the normals of the nodes above t: {node: weight}.

        Node 0 is the increment over the whole interval; node c ≥ 1 the middle of cell c, whose halves are 2 c and
        2 c + 1. W at the ends of the current cell is carried as two such combinations.
        """
        if t == self.t0:
            return {}
        cells = self._cells(t)
        q = clock(torch.tensor([self.t0, self.t1, *(middle for _, middle in cells)], dtype=torch.float64)).tolist()
        q_left, q_right = q[0], q[1]
        at_left: dict[int, float] = {}
        at_right = {0: math.sqrt(q_right - q_left)}
        for (cell, middle), q_middle in zip(cells, q[2:], strict=True):
            share = (q_middle - q_left) / (q_right - q_left) if math.isfinite(q_right) else 0.0
            at_middle = {node: (1.0 - share) * weight for node, weight in at_left.items()}
            if share > 0.0:
                for node, weight in at_right.items():
                    at_middle[node] = at_middle.get(node, 0.0) + share * weight
            at_middle[cell] = math.sqrt((q_middle - q_left) * (1.0 - share))
            if t < middle:
                at_right, q_right = at_middle, q_middle
            else:
                at_left, q_left = at_middle, q_middle
        return at_right if t == self.t1 else at_left

    def _cells(self, t: float) -> list[tuple[int, float]]:
        """The cells around t with their middles, down to the one whose middle is t, or to the last, bridged at t."""
        if t == self.t1:
            return []
        left, right, cell = self.t0, self.t1, 1
        cells: list[tuple[int, float]] = []
        while not cells or cells[-1][1] != t:
            middle = 0.5 * (left + right) if len(cells) < _LEVELS else t
            cells.append((cell, middle))
            left, right, cell = (left, middle, 2 * cell) if t < middle else (middle, right, 2 * cell + 1)
        return cells

"""Random signs on the pixels of one colour. What is left of the variance of signs is the part within a colour.

Source: Tang and Saad, A probing method for computing the diagonal of a matrix inverse (2012), for colours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from ...solvers.common import Array
from ...solvers.noise import Keys, standard_normals
from .trace import Combined, Products, Trace, by_node, quadratic, sum_of

__all__ = ["Coloured", "colour_count", "colouring", "strides"]


@dataclass(frozen=True)
class Coloured(Trace):
    """Random signs on the pixels of one colour, for each colour; and for one random colour once more.

    The second value of a colour shows the variance: (q − q')²/(2 p) is that of all colours, in expectation, if p is the
    probability of this one. It is in proportion to the pairs of pixels. The mean of both values is taken.

    Args:
        keys: of the samples.
        shape: of a sample, channels first.
        colours: the number of colours that each node may take (`colouring`).
    """

    keys: Keys
    shape: tuple[int, ...]
    colours: tuple[int, ...]

    @property
    def counts(self) -> tuple[int, ...]:  # type: ignore[override]
        return tuple(colour_count(self.shape, k) + 1 for k in self.colours)

    def estimates(self, nodes: Sequence[int], products: Products, x: Tensor) -> Tensor:
        dim = x.shape[1]
        colour = colouring(self.shape, self.colours[nodes[0]]).to(x.device)
        count = int(colour.max()) + 1
        normals = standard_normals(self.keys.values, nodes, (2 * dim + 1,), x.dtype).flatten(0, 1)
        signs = torch.ones_like(normals[:, :-1]).copysign(normals[:, :-1]).reshape(-1, 2, dim)
        own = (colour == torch.arange(count, device=x.device)[:, None]).to(x.dtype)  # (K, d)
        pixels = own.sum(1)
        pairs = pixels * (pixels - 1.0) + 1e-6  # where each colour has one pixel, all are alike
        share = pairs / pairs.sum()
        again = torch.searchsorted(share.cumsum(0), torch.special.ndtr(normals[:, -1])).clamp(max=count - 1)
        z = torch.cat([own[:, None] * signs[None, :, 0], (own[again] * signs[:, 1])[None]])
        q = quadratic(z, products)
        first, second = q[:-1].gather(0, again[None])[0], q[-1]
        variance = (0.5 / share[again] - 0.25) * (first - second).square()
        value = q[:-1].sum(0) + 0.5 * (second - first)
        return by_node(torch.stack([value, variance.detach()]), nodes)

    def combined(self, weights: Tensor, found: Sequence[Tensor]) -> Combined:
        value = sum_of(weights, [each[:, 0] for each in found])
        parts = torch.stack([w**2 * each[:, 1] for w, each in zip(weights, found, strict=True)]).detach()
        variance = parts.sum(0)
        return Combined(value, variance, (variance.square() / parts.square().sum(0)).nan_to_num(1.0))

    def expected(self, weights: Array, errors: Array, gain: float) -> float:
        numbers = np.array(self.counts) - 1.0
        return float(weights**2 * (errors**2).mean(0) @ numbers**-gain)

    def of_rows(self, index: Tensor) -> Self:
        return replace(self, keys=self.keys.of_rows(index))


def strides(shape: Sequence[int], colours: int) -> tuple[int, ...]:
    """The strides of a colouring along the axes of a sample, channels first, with at most so many colours.

    The channels are told apart first. Then the pixel axes have strides that are as equal as possible, each at most the
    length of its axis.

    Example:
        >>> strides((1, 28, 28), 16), strides((3, 32, 32), 40), strides((3, 32, 32), 2)
        ((1, 4, 4), (3, 3, 4), (1, 1, 2))
    """
    channels, *pixels = shape
    channels = channels if channels <= colours else 1
    found = [1] * len(pixels)
    while True:
        open_ = [a for a in range(len(pixels) - 1, -1, -1) if found[a] < pixels[a]]
        axis = min(open_, key=lambda a: found[a], default=None)
        if axis is None or channels * math.prod(found) // found[axis] * (found[axis] + 1) > colours:
            return (channels, *found)
        found[axis] += 1


def colour_count(shape: Sequence[int], colours: int) -> int:
    """The number of colours of `colouring`."""
    return math.prod(strides(shape, colours))


def colouring(shape: Sequence[int], colours: int) -> Tensor:
    """The colour of every component of a sample, int64 (d,): its position modulo the strides."""
    colour = torch.zeros((), dtype=torch.int64, device="cpu")
    for length, stride in zip(shape, strides(shape, colours), strict=True):
        colour = (colour * stride)[..., None] + torch.arange(length, device="cpu") % stride
    return colour.flatten()

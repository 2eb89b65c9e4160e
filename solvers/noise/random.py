"""Counter-based normal numbers: a pure function of (seed, sample, node, component).

The hash is SplitMix64 (Steele, Lea and Flood, 2014). Each (seed, sample) is a key, each (key, node) starts a stream,
and each counter of the stream gives 64 bits. Box and Muller's transform makes two normals of them, each of 32 bits and
therefore within ±6.8. Integer arithmetic is exact, so that the bits are the same on every device and in every batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..common import check_floating, whole, wholes

__all__ = ["SEEDS", "Keys", "Seed", "extra_normal", "per_sample_keys", "standard_normal", "standard_normals"]


@dataclass(frozen=True)
class Keys:
    """The keys of samples, from which their numbers follow whatever the batch is.

    Attributes:
        values: int64 (B,).
    """

    values: Tensor

    def of_rows(self, index: Tensor) -> Keys:
        """The keys of the samples with these indices, int64."""
        return Keys(self.values[index.to(self.values.device)])

    def child(self, number: int) -> Keys:
        """Other keys of the same samples, one set for each number ≥ 0, whose numbers are independent of theirs."""
        return Keys(_mix(_mix(self.values + _signed((number + 1) * _WEYL))))


Seed = int | Sequence[int] | Tensor | Keys
"""One int for all samples, one for each sample, or the samples' keys (`per_sample_keys`)."""
SEEDS = -(2**63), 2**64 - 1
"""The least seed and the largest: those of 64 bits, with a sign or without."""


def _signed(value: int) -> int:
    """The int64 with the same 64 bits."""
    return (value + 2**63) % 2**64 - 2**63


def _on(device: torch.device | None, values: Sequence[int]) -> Tensor:
    """The lowest 64 bits of each value, int64, on a device that the host does not wait for."""
    numbers = torch.tensor([_signed(value) for value in values], dtype=torch.int64, device="cpu")
    return numbers.to(device, non_blocking=True)


_WEYL = _signed(0x9E3779B97F4A7C15)
_FIRST = _signed(0xBF58476D1CE4E5B9)
_SECOND = _signed(0x94D049BB133111EB)
_INITIAL_STATE = -1
_PAIRS_IN_CACHE, _PAIRS_ON_DEVICE = 2**16, 2**22  # at once: so many stay in a CPU's cache, or fill a GPU


def _mix(z: Tensor) -> Tensor:
    """SplitMix64's output function, on int64 with wrap-around, in place."""
    high = torch.empty_like(z)
    for shift, factor in ((30, _FIRST), (27, _SECOND), (31, 1)):
        torch.bitwise_right_shift(z, shift, out=high)
        z.bitwise_xor_(high.bitwise_and_(2 ** (64 - shift) - 1))
        if factor != 1:
            z.mul_(factor)
    return z


def per_sample_keys(seed: Seed, batch: int, device: torch.device | None = None) -> Keys:
    """The keys of the samples.

    Args:
        seed: one int, which is hashed with each sample's position; one int for each sample, which is hashed alone; or
            keys, which are returned.
        batch: the number of samples, B.
        device: the device of the keys.

    Raises:
        TypeError: a seed is no number.
        ValueError: the number of seeds is not that of the samples, or a seed is not whole, or of more than 64 bits.
    """
    if isinstance(seed, Keys):
        _check_count(len(seed.values), batch)
        return Keys(seed.values.to(device))
    if isinstance(seed, Sequence) or (isinstance(seed, Tensor | np.ndarray) and seed.ndim > 0):
        each = wholes("seed", seed, *SEEDS)
        _check_count(len(each), batch)
        seeds = _on(device, each)
        return Keys(_mix(_mix(seeds * _WEYL)))
    seeds = _on(device, [whole("seed", seed, *SEEDS)])
    return Keys(_mix(_mix(seeds * _WEYL) + torch.arange(batch, device=seeds.device) * _WEYL))


def _check_count(seeds: int, batch: int) -> None:
    if seeds != batch:
        raise ValueError(f"{seeds} seeds were given for {batch} samples; give one each, or a single int.")


def standard_normals(keys: Tensor, nodes: Sequence[int], shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """N(0, I) at several nodes.

    Args:
        keys: the keys of the samples, int64 (B,).
        nodes: the numbers of the nodes.
        shape: the shape of a sample.
        dtype: the dtype of the normals.

    Returns:
        The normals, (len(nodes), B, *shape).
    """
    size = math.prod(shape)
    pairs = (size + 1) // 2
    node = _on(keys.device, nodes).unsqueeze(-1)
    streams = _mix(keys + node * _WEYL).flatten()
    counter = torch.arange(1, pairs + 1, device=keys.device) * _WEYL
    real = torch.float64 if dtype == torch.float64 else torch.float32
    normals = torch.empty(len(streams), pairs, 2, dtype=real, device=keys.device)
    at_once = _PAIRS_IN_CACHE if keys.device.type == "cpu" else _PAIRS_ON_DEVICE
    rows = max(1, at_once // max(1, pairs))
    for some, made in zip(torch.split(streams, rows), torch.split(normals, rows), strict=True):
        bits = _mix(some.unsqueeze(-1) + counter)
        radius = (bits >> 32).bitwise_and_(2**32 - 1).to(real)
        radius.add_(0.5).mul_(2.0**-32).log_().mul_(-2.0).sqrt_()
        angle = bits.bitwise_and_(2**32 - 1).to(real).mul_(2.0 * math.pi * 2.0**-32)
        torch.mul(angle.cos(), radius, out=made[..., 0])
        torch.mul(angle.sin_(), radius, out=made[..., 1])
    return normals.flatten(1)[:, :size].reshape(len(node), len(keys), *shape).to(dtype)


def standard_normal(like: Tensor, seed: Seed = 0) -> Tensor:
    """N(0, I) whose row i depends on (seed, i) alone, or on its own seed or key alone: not on the batch or the device.

    Args:
        like: a tensor of the shape, (B, ...), the dtype and the device of the normals.
        seed: one int for all samples, or one for each sample (a sequence or a tensor of shape (B,)).

    Returns:
        The normals, (B, ...).

    Raises:
        TypeError: `like` is no floating-point tensor, or a seed is no number.
        ValueError: the number of seeds is not that of the samples, or a seed is not whole, or of more than 64 bits.
    """
    check_floating("like", like)
    if like.ndim == 0:
        raise ValueError("like has no axes, but needs one of samples, (B, ...); give like[None].")
    keys = per_sample_keys(seed, like.shape[0], like.device)
    return standard_normals(keys.values, [_INITIAL_STATE], like.shape[1:], like.dtype)[0]


def extra_normal(keys: Keys, index: int, like: Tensor) -> Tensor:
    """The extra normal of number `index` >= 0, of like's shape and dtype, for B keys, from a node of its own."""
    return standard_normals(keys.values, [_INITIAL_STATE - 1 - whole("index", index, 0)], like.shape[1:], like.dtype)[0]

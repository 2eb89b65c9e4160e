"""Counter-based normal numbers: a pure function of (seed, sample, node, component).

The hash is SplitMix64 (Steele, Lea and Flood, 2014). Each (seed, sample) is a key, each (key, node) starts a stream,
and each counter of the stream gives 64 bits. Box and Muller's transform makes two normals of them, each of 32 bits and
therefore within ±6.8. Integer arithmetic is exact, so that the bits are the same on every device and in every batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["Seed", "extra_normal", "per_sample_keys", "standard_normal", "standard_normals"]

Seed = int | Sequence[int] | Tensor
"""One int for all samples, one for each sample, or the samples' keys (`per_sample_keys`)."""


def _signed(value: int) -> int:
    """The int64 with the same 64 bits."""
    return (value + 2**63) % 2**64 - 2**63


def _on(device: torch.device | None, values: Sequence[int]) -> Tensor:
    """The lowest 64 bits of each value, int64, on a device that the host does not wait for."""
    return torch.tensor([_signed(value) for value in values], dtype=torch.int64).to(device, non_blocking=True)


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


def per_sample_keys(seed: Seed, batch: int, device: torch.device | None = None) -> Tensor:
    """The keys of the samples.

    Args:
        seed: one int, which is hashed with each sample's position; one int for each sample, which is hashed alone; or
            keys, which are returned.
        batch: the number of samples, B.
        device: the device of the keys.

    Returns:
        The keys, int64 (B,).

    Raises:
        ValueError: the number of seeds is not that of the samples.
    """
    if not isinstance(seed, int) and len(seed) != batch:
        raise ValueError(f"{len(seed)} seeds were given for {batch} samples; give one each, or a single int.")
    if isinstance(seed, Tensor):
        return seed.to(device)
    if isinstance(seed, Sequence):
        seeds, positions = _on(device, [int(s) for s in seed]), torch.zeros(1, device=device)
    else:
        seeds, positions = _on(device, [int(seed)]), torch.arange(batch, device=device)
    return _mix(_mix(seeds * _WEYL) + positions.long() * _WEYL)


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
        seed: one int for all samples, one for each sample, or the samples' keys (`per_sample_keys`).

    Returns:
        The normals, (B, ...).

    Raises:
        ValueError: the number of seeds is not that of the samples.
    """
    keys = per_sample_keys(seed, like.shape[0], like.device)
    return standard_normals(keys, [_INITIAL_STATE], like.shape[1:], like.dtype)[0]


def extra_normal(keys: Tensor, index: int, like: Tensor) -> Tensor:
    """The extra normal of number `index` >= 0, of like's shape and dtype, for keys (B,), from a node of its own."""
    return standard_normals(keys, [_INITIAL_STATE - 1 - index], like.shape[1:], like.dtype)[0]

"""Counter-based normal numbers: a function of (seed, sample, node, component), without any state.

The hash is SplitMix64 (Steele, Lea and Flood, 2014): each (seed, sample) is a key, each (key, node) starts a stream,
and each counter of the stream gives 64 bits, of which Box and Muller's transform makes two normals, each with 32 bits
and hence within ±6.8. Integer arithmetic is exact, so the bits are the same on every device and in every batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["per_sample_keys", "standard_normal", "standard_normals"]


def _signed(value: int) -> int:
    """The int64 with the same 64 bits."""
    return (value + 2**63) % 2**64 - 2**63


_WEYL = _signed(0x9E3779B97F4A7C15)
_FIRST = _signed(0xBF58476D1CE4E5B9)
_SECOND = _signed(0x94D049BB133111EB)
_INITIAL_STATE = -1


def _mix(z: Tensor) -> Tensor:
    """SplitMix64's output function, on int64 with wrap-around."""
    z = (z ^ ((z >> 30) & (2**34 - 1))) * _FIRST
    z = (z ^ ((z >> 27) & (2**37 - 1))) * _SECOND
    return z ^ ((z >> 31) & (2**33 - 1))


def per_sample_keys(seed: int | Sequence[int], batch: int, device: torch.device | None = None) -> Tensor:
    """One key a sample, int64 (B,): from one seed and the sample's position, or from a seed of its own.

    Raises ValueError for another number of seeds than samples.
    """
    if isinstance(seed, Sequence):
        if len(seed) != batch:
            raise ValueError(f"{len(seed)} seeds were given for {batch} samples; give one each, or a single int.")
        seeds, positions = torch.tensor([_signed(int(s)) for s in seed], device=device), torch.zeros(1, device=device)
    else:
        seeds, positions = torch.tensor([_signed(int(seed))], device=device), torch.arange(batch, device=device)
    return _mix(_mix(seeds * _WEYL) + positions.long() * _WEYL)


def standard_normals(keys: Tensor, nodes: Sequence[int], shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """N(0, 1) numbers of shape (len(nodes), B, *shape), for keys of shape (B,)."""
    size = math.prod(shape)
    node = torch.tensor(list(nodes), dtype=torch.int64, device=keys.device).reshape(-1, 1, 1)
    counter = torch.arange(1, (size + 1) // 2 + 1, device=keys.device)
    bits = _mix(_mix(keys.reshape(1, -1, 1) + node * _WEYL) + counter * _WEYL)
    real = torch.float64 if dtype == torch.float64 else torch.float32
    first, second = ((bits >> 32) & (2**32 - 1)).to(real), (bits & (2**32 - 1)).to(real)
    radius = (-2.0 * ((first + 0.5) * 2.0**-32).log()).sqrt()
    angle = second * (2.0 * math.pi * 2.0**-32)
    pairs = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=-1)
    return pairs.flatten(2)[..., :size].reshape(len(nodes), len(keys), *shape).to(dtype)


def standard_normal(like: Tensor, seed: int | Sequence[int] = 0) -> Tensor:
    """N(0, I) of like's shape, dtype and device; row i depends on (seed, i), or on its own seed, alone."""
    keys = per_sample_keys(seed, like.shape[0], like.device)
    return standard_normals(keys, [_INITIAL_STATE], like.shape[1:], like.dtype)[0]

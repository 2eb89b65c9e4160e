"""The grid of a scheduler, and the inverse of a network's clock."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..denoiser import Denoiser
from ..paths import Shifted, Table
from ..sampling import Sampler, regular_interval

__all__ = ["inverted", "spaced"]


def spaced(denoiser: Denoiser, row: Sampler, n: int, *, shift: float = 1.0, integers: bool = False) -> Tensor:
    """The times of n steps of a sampler, from noise to data.

    On a table the sampler's grid ends at index 0, and one more step goes from there to the clean sample.

    Args:
        denoiser: the network.
        row: the sampler.
        n: the number of steps.
        shift: s; the steps are those of the path whose σ is s σ / (1 + (s − 1) σ) on `CondOT`.
        integers: round the times to indices of the table.

    Returns:
        float64, (n + 1,).

    Raises:
        ValueError: two times are rounded to the same index.
    """
    path = denoiser.path
    start, end = regular_interval(denoiser, row, both_ways=False)
    if shift != 1.0:
        shifted = Shifted(path, -math.log(shift))
        first, last = (shifted.time(path.log_snr(t)) for t in (start, end))
        times = shifted.inner_time(row.grid(shifted, n, t0=first, t1=last))
        times[0], times[-1] = start, end
        return times
    if not isinstance(path, Table) or end != 1.0:
        return row.grid(path, n, t0=start, t1=end)
    times = row.grid(path, n - 1, t0=start, t1=path.at(0)) if n > 1 else torch.tensor([start], dtype=torch.float64)
    if integers:
        indices = path.index(times).round()
        if bool((indices.diff() == 0.0).any()):
            raise ValueError(
                f"{n} steps of {row.name} do not fall on different indices of the table; take fewer, or leave integers "
                "out."
            )
        times = path.at(indices)
    return torch.cat([times, torch.ones(1, dtype=torch.float64)])


def inverted(clock: Callable[[Tensor], Tensor], shown: Tensor) -> Tensor:
    """The times in [0, 1] at which a monotone clock has the values `shown`, by bisection to the last digit."""
    low, high = torch.zeros_like(shown), torch.ones_like(shown)
    early, late = clock(low.new_tensor([0.25, 0.75])).unbind()
    sign = torch.sign(late - early)
    for _ in range(60):
        middle = 0.5 * (low + high)
        before = sign * (clock(middle) - shown) < 0.0
        low, high = torch.where(before, middle, low), torch.where(before, high, middle)
    return high

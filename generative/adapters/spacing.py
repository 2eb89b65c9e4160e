"""Where the steps of a scheduler lie, and which time a network's clock shows."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..denoiser import Denoiser
from ..paths import Shifted, Table
from ..sampling import Sampler, ends

__all__ = ["inverted", "spaced"]


def spaced(denoiser: Denoiser, row: Sampler, n: int, *, shift: float = 1.0, integers: bool = False) -> Tensor:
    """The times of n steps of a sampler, from noise to data: float64, n + 1 of them.

    On a table the sampler's grid runs between its ends, and one last step goes from index 0 to the clean sample.
    shift: s, where the steps are those of the path whose σ is s σ / (1 + (s − 1) σ) on `CondOT`. integers: on whole
    indices of the table; raises ValueError where two of them coincide.
    """
    path = denoiser.path
    start, end = ends(denoiser, row)
    if row.solver.semilinear:
        end = 1.0
    if shift != 1.0:
        shifted = Shifted(path, -math.log(shift))
        first, last = (float(shifted.time(path.log_snr(t))) for t in (start, end))
        times = torch.as_tensor(shifted.inner_time(row.grid(shifted, n, t0=first, t1=last)))
        times[0], times[-1] = start, end
        return times
    if not isinstance(path, Table) or end != 1.0:
        return row.grid(path, n, t0=start, t1=end)
    times = row.grid(path, n - 1, t0=start, t1=path.at(0)) if n > 1 else torch.tensor([start], dtype=torch.float64)
    if integers:
        indices = torch.as_tensor(path.index(times)).round()
        if bool((indices.diff() == 0.0).any()):
            raise ValueError(
                f"{n} steps of {row.name} do not fall on different indices of the table; take fewer, or leave integers "
                "out."
            )
        times = torch.as_tensor(path.at(indices))
    return torch.cat([times, torch.ones(1, dtype=torch.float64)])


def inverted(clock: Callable[[Tensor], Tensor], shown: Tensor) -> Tensor:
    """The times in [0, 1] at which a monotone clock shows these values, by bisection to the last digit."""
    low, high = torch.zeros_like(shown), torch.ones_like(shown)
    early, late = clock(low.new_tensor([0.25, 0.75])).unbind()
    sign = torch.sign(late - early)
    for _ in range(60):
        middle = 0.5 * (low + high)
        before = sign * (clock(middle) - shown) < 0.0
        low, high = torch.where(before, middle, low), torch.where(before, high, middle)
    return high

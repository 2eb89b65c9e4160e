"""The times between which a student learns to jump: levels on a path, from noise to data.

    share       equal steps in α/(α + σ), on which flow maps sample by default
    uniform, quadratic, log_snr, karras       as in `equations.grids`
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import torch
from torch import Tensor

from ...equations import grids
from ...paths import GaussianPath

__all__ = ["GRIDS", "MOST_LEVELS", "levels", "place"]

GRIDS: dict[str, Callable[..., Tensor]] = {
    "share": partial(grids.power, p=1.0),
    "uniform": grids.uniform,
    "quadratic": grids.quadratic,
    "log_snr": grids.log_snr,
    "karras": grids.karras,
}
MOST_LEVELS = 100_000

_made = cache(lambda grid, path, steps: GRIDS[grid](path, steps))


def levels(grid: str, path: GaussianPath, steps: int, like: Tensor) -> Tensor:
    """The times at the ends of so many steps, in the dtype and on the device of a tensor."""
    made: Tensor = _made(grid, path, steps)
    return made.to(like)


def place(u: Tensor, count: int | Tensor) -> Tensor:
    """⌊u count⌋ for u in [0, 1), below `count` even where the product was rounded up: int64 (B,)."""
    return torch.minimum((u * count).long(), torch.as_tensor(count, device=u.device) - 1)

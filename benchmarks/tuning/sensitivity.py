"""How the end of a table's solution moves with its numbers, by forward differences of the network.

Along a direction (δr, δa) the states and values move by

    δz_j = Σ_k (a_jk δN_k + δa_jk N_k),        δN_{j+1} = (∂N/∂z) δz_j + (∂N/∂r) δr_j,        δN_0 = δz₀ = 0.

The differences take forward passes only: no graph is kept, and a network needs no derivatives. A direction that first
moves row j takes the n − j evaluations from there on, and one that moves the last row takes none. All directions are
one batch at each evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...solvers.common import matching
from .coefficients import Coefficients
from .trajectories import Trajectories, combined

__all__ = ["derivatives"]

DIFFERENCE = {torch.float32: 1e-3, torch.float64: 1e-5}
"""Relative to the states, and of the clock: about the root of the rounding of the network's dtype."""


def derivatives(
    method: Coefficients, trajectories: Trajectories, directions: Sequence[Coefficients], dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """The values at a method, and the derivatives of its end.

    Args:
        method: the numbers.
        trajectories: where.
        directions: P directions.
        dtype: of the network's arithmetic.

    Returns:
        z₀ and N, (n + 1, B, ...), and the derivatives of z_n in each direction, (P, B, ...).
    """
    h, z0 = DIFFERENCE.get(dtype, DIFFERENCE[torch.float32]), trajectories.z0
    count = len(directions)
    values, moves = [z0], [z0.new_zeros(count, *z0.shape)]

    def moved(j: int) -> Tensor:
        own = torch.stack([torch.from_numpy(each.a[j, : len(values)]) for each in directions])
        found = torch.einsum("pk,kb...->pb...", matching(own, z0), torch.stack(values))
        for factor, move in zip(method.a[j].tolist(), moves, strict=False):
            if factor != 0.0:
                found = found.add_(move, alpha=factor)
        return found

    for j, r in enumerate(method.r.tolist()):
        z, dz = combined(method.a[j], values), moved(j)
        value = trajectories.field(r, z[None])[0]
        size = dz.flatten(1).square().mean(1).sqrt()
        active = (size > 0.0).nonzero()[:, 0]
        shape = (-1, *[1] * z.dim())
        step = (h * z.square().mean().sqrt() / size[active]).reshape(shape)
        slope = torch.zeros_like(dz)
        slope[active] = (trajectories.field(r, z + step * dz[active]) - value).div_(step)
        of_clock = matching(torch.tensor([float(each.r[j]) for each in directions], device="cpu"), z0)
        if bool(of_clock.any()):
            aside = h if r + h <= trajectories.bounds[1] else -h
            change = (trajectories.field(r + aside, z[None])[0] - value) / aside
            slope += of_clock.reshape(shape) * change
        values.append(value)
        moves.append(slope)
    return torch.stack(values), moved(method.nfe)

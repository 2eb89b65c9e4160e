"""The derivative of the mean error with respect to all numbers of a table, in one pass backwards.

With μ_j the derivative with respect to z_j and λ_k that with respect to N_k,

    λ_{j+1} = Σ_{i > j} a_i,j+1 μ_i,        μ_j = (∂N/∂z)ᵀ λ_{j+1},
    ∂/∂a_jk = ⟨μ_j, N_k⟩,        ∂/∂r_j = ⟨λ_{j+1}, ∂N/∂r⟩.

The product with (∂N/∂z)ᵀ is automatic; ∂N/∂r is a difference, because a network may take its time as a float.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ..coefficients import scale_at
from ..trajectories import Trajectories

__all__ = ["Loss", "gradient", "loss_of"]

Loss = Literal["mse", "log"]
ASIDE = 1e-5
"""Of the clock, for ∂N/∂r, which is right to 5e-6 of ∂²N/∂r²."""
SMALL = 1e-24
"""Squared errors count as this large at least."""


def loss_of(squares: Tensor, loss: Loss) -> Tensor:
    """The mean of the squared errors, or of their logarithms."""
    return squares.mean() if loss == "mse" else squares.clamp_min(SMALL).log().mean()


def gradient(
    calls: Tensor, rows: Tensor, some: Trajectories, z0: Tensor, loss: Loss
) -> tuple[Tensor, Tensor, Tensor]:
    """The derivatives with respect to the clocks, the rows and the starts.

    Args:
        calls: the clocks of the evaluations, (n,).
        rows: those of the states, (n + 1, n + 1).
        some: the noises, whose ends are aimed at.
        z0: where the solutions start, (B, ...).
        loss: "mse" or "log".
    """
    n, numbers = len(calls), rows.tolist()
    values, states = [z0], []
    for r, row in zip(calls.tolist(), numbers, strict=False):
        z = _sum(row, values).requires_grad_()
        states.append(z)
        with torch.enable_grad():
            values.append(_field(some, r, z))
    known = [value.detach() for value in values]
    miss = (_sum(numbers[n], known) - some.end).requires_grad_()
    with torch.enable_grad():
        total = loss_of(miss.flatten(1).square().mean(1), loss)
    adjoints = [torch.zeros_like(z0)] * n + [torch.autograd.grad(total, miss)[0]]
    of_clocks = torch.zeros_like(calls)
    with torch.no_grad():
        for j in reversed(range(n)):
            back = sum(numbers[i][j + 1] * adjoints[i] for i in range(j + 1, n + 1))
            (adjoints[j],) = torch.autograd.grad(values[j + 1], states[j], back)
            of_clocks[j] = (back * _in_time(some, calls[j].item(), states[j].detach(), known[j + 1])).sum()
        of_rows = torch.zeros_like(rows)
        for j, adjoint in enumerate(adjoints):
            for k in range(j + 1 if j < n else n + 1):
                of_rows[j, k] = (adjoint * known[k]).sum()
        of_start = sum(row[0] * adjoint for row, adjoint in zip(numbers, adjoints, strict=True))
    return of_clocks, of_rows, of_start


def _sum(row: list[float], values: list[Tensor]) -> Tensor:
    return torch.stack([factor * value.detach() for factor, value in zip(row, values, strict=False)]).sum(0)


def _field(some: Trajectories, r: float, z: Tensor) -> Tensor:
    t = some.time(r)
    return some.equation.field(t, scale_at(some.equation, t) * z)


def _in_time(some: Trajectories, r: float, z: Tensor, value: Tensor) -> Tensor:
    """∂N/∂r."""
    aside = ASIDE if r + ASIDE <= some.bounds[1] else -ASIDE
    return (_field(some, r + aside, z) - value) / aside

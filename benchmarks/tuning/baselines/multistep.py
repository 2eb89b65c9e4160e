"""Multistep methods with any weights on any grid, as numbers that can be differentiated.

With W_ij the weights, r_i the clocks of the states and q_i those at which the network is called, a step is

    velocity    z_{i+1} = z_i + (r_{i+1} − r_i) Σ_j W_ij N_j,        N_j = N(q_j, z_j);
    eps         y_{i+1} = y_i + (s_{i+1} − s_i) Σ_j W_ij ε_j,        ε_j = ε(q_j, q_j y_j),

with y = z/r = x/α and s = (1 − r)/r = σ/α, the state and the time of networks that predict the noise. N = x₀ − ε and
z = r x₀ + (1 − r) ε, so that ε = z − r N. For q = r and rows of W that sum to 1 a step of one value is DDIM's.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from ..coefficients import Coefficients, clock_at
from ..trajectories import Trajectories

__all__ = ["Hold", "adams", "as_coefficients", "first_grid", "hold_of", "multistep", "shifted"]

Hold = Literal["velocity", "eps"]

PARTS = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))
"""The weights of Adams and Bashforth on even steps, the newest value first."""
RHO = 7.0
"""The power of the grid in σ/α: Karras et al. (2206.00364), eq. 5."""


def hold_of(training: Trajectories) -> Hold:
    """The noise where the state x/α is finite at the start, and the velocity where it is not."""
    return "eps" if clock_at(training.equation, training.first) > 0.0 else "velocity"


def first_grid(training: Trajectories, steps: int, hold: Hold) -> Tensor:
    """The clocks that the methods start from, (steps + 1,): even ones, or those with ρ = 7 in σ/α for the noise."""
    ends = [clock_at(training.equation, t) for t in (training.first, training.last)]
    first, last = torch.tensor(ends, dtype=torch.float64, device="cpu")
    part = torch.linspace(0.0, 1.0, steps + 1, dtype=torch.float64, device="cpu")
    if hold == "velocity":
        even: Tensor = first + part * (last - first)
        return even
    roots = ((1.0 - first) / first) ** (1.0 / RHO), ((1.0 - last) / last) ** (1.0 / RHO)
    clocks: Tensor = 1.0 / (1.0 + (roots[0] + part * (roots[1] - roots[0])) ** RHO)
    clocks[0], clocks[-1] = first, last
    return clocks


def adams(steps: int, order: int = 4) -> Tensor:
    """The weights of Adams and Bashforth, of lower order where fewer values are known, (steps, steps).

    Source: Zhang and Chen (2204.13902), appendix H (iPNDM).
    """
    weights = torch.zeros(steps, steps, dtype=torch.float64, device="cpu")
    for i in range(steps):
        for back, value in enumerate(PARTS[min(i + 1, order) - 1]):
            weights[i, i - back] = value
    return weights


def shifted(clocks: Tensor, by: Tensor) -> Tensor:
    """The clocks at which σ/α is e^(−by) times as large."""
    return clocks * by.exp() / (1.0 + clocks * by.expm1())


def multistep(weights: Tensor, clocks: Tensor, calls: Tensor, hold: Hold) -> Tensor:
    """The rows of the states, (n + 1, n + 1).

    Args:
        weights: W, (n, n), of which the lower triangle is read.
        clocks: r, (n + 1,); with `hold` "eps" the first one is positive.
        calls: q, (n,).
        hold: what is averaged.
    """
    units = torch.eye(len(clocks), dtype=torch.float64, device="cpu")
    state = units[0] if hold == "velocity" else units[0] / clocks[0]
    rows, values = [], []
    for i, (now, then) in enumerate(pairwise(clocks)):
        row = state if hold == "velocity" else calls[i] * state
        rows.append(row)
        values.append(units[i + 1] if hold == "velocity" else row - calls[i] * units[i + 1])
        length = then - now if hold == "velocity" else (1.0 - then) / then - (1.0 - now) / now
        state = state + length * (weights[i, : i + 1] @ torch.stack(values))
    return torch.stack([*rows, state if hold == "velocity" else clocks[-1] * state])


def as_coefficients(calls: Tensor, rows: Tensor) -> Coefficients:
    """The numbers of a table."""
    return Coefficients(calls.detach().numpy().copy(), rows.detach().numpy().copy())

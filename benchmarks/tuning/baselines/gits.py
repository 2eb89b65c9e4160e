"""A grid by dynamic programming on the local errors along trajectories of many steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ....solvers.common import Array, array
from ..coefficients import Coefficients
from ..trajectories import Trajectories, combined
from .baseline import Baseline
from .multistep import adams, as_coefficients, first_grid, hold_of, multistep

__all__ = ["Gits", "cheapest"]


@dataclass(frozen=True)
class Gits(Baseline):
    """The grid on which the local errors of DDIM's steps have the least sum.

    The cost c_ij is the mean over noises of the distance of one step of DDIM from the trajectory's point i to its
    point j. The grid 0 = k_0 < … < k_n = m has the least Σ_i γⁱ c(k_i, k_{i+1}).

    Attributes:
        order: of the multistep method that takes the steps: 1 is DDIM, 4 is iPNDM.
        fine: m, the steps of the trajectories.
        noises: the number of trajectories.
        gamma: γ, the weight of later steps.
    """

    source: ClassVar[str] = "Chen et al. (2405.11326), section 4 and algorithm 1"
    relation: ClassVar[str] = (
        "with trajectories of m steps of iPNDM, and the Euclidean distance for the cost; x/α where the noise is held, "
        "and x/(α + σ) where the velocity is"
    )

    order: int = 4
    fine: int = 60
    noises: int = 256
    gamma: float = 1.15

    def fit(self, training: Trajectories, nfe: int) -> Coefficients:
        some = training.of_rows(0, min(self.noises, len(training)))
        hold = hold_of(training)
        fine = first_grid(training, self.fine, hold)
        weights = adams(self.fine)
        # the last clock of the trajectories is a state alone, and no evaluation
        many = as_coefficients(fine[:-1], multistep(weights, fine, fine[:-1], hold))
        values = list(some.values(many))
        states = [combined(row, values) for row in many.a]
        kept = cheapest(_costs(states, values[1:], fine, held=hold == "eps"), nfe, self.gamma)
        grid = fine[list(kept)]
        return as_coefficients(grid[:-1], multistep(adams(nfe, self.order), grid, grid[:-1], hold))

    def evaluations(self, training: Trajectories, nfe: int) -> int:
        return self.fine * min(self.noises, len(training))


def _costs(states: list[Tensor], values: list[Tensor], clocks: Tensor, *, held: bool) -> Array:
    """c_ij for i < j, infinite elsewhere, (m + 1, m + 1)."""
    m = len(values)
    costs = np.full((m + 1, m + 1), np.inf)
    ends = torch.stack(states)
    for i in range(m):
        lengths = (clocks[i + 1 :] - clocks[i]).to(ends).reshape(-1, *[1] * (ends.dim() - 1))
        away = (states[i] + lengths * values[i] - ends[i + 1 :]).flatten(2).norm(dim=2).mean(1)
        costs[i, i + 1 :] = array(away / clocks[i + 1 :].to(away) if held else away)
    return costs


def cheapest(costs: Array, steps: int, gamma: float = 1.0) -> tuple[int, ...]:
    """The indices 0 = k_0 < … < k_n = m with the least Σ_i γⁱ c(k_i, k_{i+1}).

    Args:
        costs: c_ij for i < j, (m + 1, m + 1).
        steps: n, at most m.
        gamma: γ.

    Raises:
        ValueError: more steps than there are.
    """
    m = len(costs) - 1
    if not 1 <= steps <= m:
        raise ValueError(f"A grid of {steps} steps needs as many steps of the trajectories, but they have {m}.")
    allowed = np.where(np.triu(np.ones_like(costs), 1) > 0, costs, np.inf)
    to_end = np.full(m + 1, np.inf)
    to_end[m] = 0.0
    following = []
    for _ in range(steps):
        total = allowed + gamma * to_end
        following.append(total.argmin(1))
        to_end = total.min(1)
    kept = [0]
    for step in reversed(following):
        kept.append(int(step[kept[-1]]))
    return tuple(kept)

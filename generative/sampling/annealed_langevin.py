"""Annealed Langevin dynamics: the sampler of noise-conditional score networks, as an equation, times and a solver.

At each of L levels r_i = σ/α in geometric progression, from the noisiest to the cleanest, M steps

    z ← z + ½ a_i ∇ log p_i(z) + √a_i ξ,        a_i = ε r_i²/r_L²,        z = x/α,

each level started from where the last one ended: `Langevin(None, M, size)` with size = ε/(2 r_L²), which is stable
below 2 and of the order of 0.1. N(0, s² I) becomes N(0, s²/(1 − a/(4 s²)) I), as there is no Metropolis test. What is
left in the end is the noise of the last level, which one more evaluation takes away, x₀-hat for x (Jolicoeur-Martineau
et al.).

Sources: Song and Ermon (1907.05600), algorithm 1; Song and Ermon (2006.09011), section 3; Jolicoeur-Martineau et al.
(2009.05475), section 3.1.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor

from ...solvers import Abilities, Langevin, Noising, Semilinear, Solver, Step, Stepper
from ...solvers.loop import Grid
from ..denoiser import Denoiser
from ..equations import flow

__all__ = ["annealed_langevin"]


class _ToTheData(Stepper[Semilinear]):
    """x/α is kept, but in the last step x becomes α x₀-hat: the predictor of dynamics that end in the data."""

    abilities = Abilities(order=0, one_step=True)

    def evaluations(self, n: int) -> int:
        """One, of the last step."""
        return 1

    def init(self, equation: Semilinear, x: Tensor, times: Grid) -> tuple[list[float], int]:
        alpha = cast(Noising, equation.noising).alpha(torch.tensor(times.times, dtype=torch.float64)).tolist()
        ratios = [after / before for before, after in pairwise(alpha[:-1])]
        return [*ratios, alpha[-1]], 0

    def step(
        self, equation: Semilinear, t0: float, t1: float, x: Tensor, state: tuple[list[float], int], noise: Any
    ) -> Step:
        factors, number = state
        last = number + 1 == len(factors)
        return Step(factors[number] * (equation.field(t0, x) if last else x), (factors, number + 1))

    def __repr__(self) -> str:
        return "to the data"


def annealed_langevin(
    denoiser: Denoiser,
    noisiest: float,
    cleanest: float,
    levels: int,
    steps: int,
    epsilon: float,
    *,
    denoise: bool = True,
) -> tuple[Semilinear, Tensor, Solver]:
    """What `solve` takes, beside x at the first of the times, (B, ...), and noise: equation, times (float64), solver.

    noisiest, cleanest: r_1 and r_L, as σ/α. levels: L. steps: M, each one evaluation of the score. epsilon: the step ε
    at the cleanest level, in units of z². denoise: end with x₀-hat, for one evaluation more. The last time is t = 1.

        equation, times, solver = annealed_langevin(denoiser, 10.0, 0.1, levels=10, steps=100, epsilon=0.002)
        solve(equation, 10.0 * xi, times, solver, WhiteNoise(0))

    Raises ValueError for levels that do not fall or that the path does not have before t = 1, for fewer than 2 of
    them, and for a step that is not stable.
    """
    if not isinstance(levels, int) or levels < 2 or not 0.0 < cleanest < noisiest < math.inf:
        raise ValueError(
            "annealed_langevin needs at least 2 levels from the noisiest down to the cleanest, noisiest > cleanest > "
            f"0, but got {levels!r} from {noisiest:g} to {cleanest:g}."
        )
    size = 0.5 * epsilon / cleanest**2
    if not 0.0 < size < 2.0:
        raise ValueError(
            f"epsilon must lie between 0 and 4 cleanest² = {4.0 * cleanest**2:g}, where Langevin steps are stable, but "
            f"is {epsilon:g}; 0.2 cleanest² = {0.2 * cleanest**2:g} is usual."
        )
    path, log_sigma = denoiser.path, torch.linspace(math.log(noisiest), math.log(cleanest), levels, dtype=torch.float64)
    times = torch.as_tensor(path.time(-2.0 * log_sigma))
    if not bool((times < 1.0).all()) or not math.isfinite(float(times[0])):
        raise ValueError(
            f"{path} has no level {cleanest:g} before t = 1; let cleanest be larger than its "
            f"{math.exp(-float(path.half_log_snr(1.0))):g}."
        )
    solver = Langevin(_ToTheData() if denoise else None, steps, size)
    return flow(denoiser, "x0"), torch.cat([times, times.new_ones(1)]), solver

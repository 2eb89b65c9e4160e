"""Annealed Langevin dynamics: the sampler of noise-conditional score networks, as an equation, times and a solver.

At each of L levels r_i = σ/α in geometric progression, from the noisiest to the cleanest, M steps

    z ← z + ½ a_i ∇ log p_i(z) + √a_i ξ,        a_i = ε r_i²/r_L²,        z = x/α,

are taken, and each level starts where the last one ended. The solver is `Langevin(None, M, size)` with
size = ε/(2 r_L²), which is stable below 2 and of the order of 0.1. There is no Metropolis test, so that N(0, s² I)
becomes N(0, s²/(1 − a/(4 s²)) I). The noise of the last level is left in the end. One more evaluation takes it away,
which replaces x by x₀-hat (Jolicoeur-Martineau et al.).

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
from ...solvers.common import MANY, flag, host, real, whole
from ...solvers.loop import Grid
from ..denoiser import Denoiser, check_denoiser
from ..equations import flow

__all__ = ["annealed_langevin"]


class _ToTheData(Stepper[Semilinear]):
    """x/α is kept, but in the last step x becomes α x₀-hat: the predictor of dynamics that end in the data."""

    abilities = Abilities(order=0, one_step=True)

    def evaluations(self, n: int) -> int:
        """One, of the last step."""
        return 1

    def init(self, equation: Semilinear, x: Tensor, times: Grid) -> tuple[list[float], int]:
        alpha = cast(Noising, equation.noising).alpha(host(times.times)).tolist()
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
    """Annealed Langevin dynamics, as the arguments of `solve`, which also needs noise and x at the first time.

    Args:
        denoiser: the network.
        noisiest: r_1, the first level, as σ/α.
        cleanest: r_L, the last level, as σ/α.
        levels: L, the number of levels.
        steps: M, the number of steps at each level; each takes one evaluation of the score.
        epsilon: ε, the step at the cleanest level, in units of z².
        denoise: end with x₀-hat, for one evaluation more.

    Returns:
        The equation, the times of the levels and t = 1, float64 (levels + 1,), and the solver.

    Raises:
        TypeError: an argument is of another kind.
        ValueError: the levels do not fall or leave float64, the path does not have them before t = 1, there are fewer
            than 2 of them, or the step is not stable.

    Example:
        >>> denoiser = Denoiser(lambda x, time: torch.zeros_like(x), VE(), predicts="x0")
        >>> equation, times, solver = annealed_langevin(denoiser, 10.0, 0.1, levels=5, steps=20, epsilon=0.002)
        >>> x = 10.0 * standard_normal(torch.empty(2, 3), seed=0)
        >>> solve(equation, x, times, solver, WhiteNoise(0)).x
        tensor([[0., 0., 0.],
                [0., 0., 0.]])
    """
    check_denoiser(denoiser)
    levels, steps, denoise = whole("levels", levels, 2, MANY), whole("steps", steps, 0, MANY), flag("denoise", denoise)
    noisiest, cleanest = real("noisiest", noisiest, 1e-100, 1e100), real("cleanest", cleanest, 1e-100, 1e100)
    epsilon = real("epsilon", epsilon)
    if not cleanest < noisiest:
        raise ValueError(
            f"Levels run from the noisiest down to the cleanest, but noisiest = {noisiest:g} and cleanest = "
            f"{cleanest:g}; exchange them."
        )
    size = 0.5 * epsilon / cleanest**2
    if not 0.0 < size < 2.0:
        raise ValueError(
            f"epsilon must lie between 0 and 4 cleanest² = {4.0 * cleanest**2:g}, where Langevin steps are stable, but "
            f"is {epsilon:g}; 0.2 cleanest² = {0.2 * cleanest**2:g} is usual."
        )
    ends = math.log(noisiest), math.log(cleanest)
    path, log_sigma = denoiser.path, torch.linspace(*ends, levels, dtype=torch.float64, device="cpu")
    times = path.time(-2.0 * log_sigma)
    if not bool((times < 1.0).all()) or not math.isfinite(float(times[0])):
        raise ValueError(
            f"{path} has no level {cleanest:g} before t = 1; let cleanest be larger than its "
            f"{math.exp(-path.half_log_snr(1.0)):g}."
        )
    solver = Langevin(_ToTheData() if denoise else None, steps, size)
    return flow(denoiser, "x0"), torch.cat([times, times.new_ones(1)]), solver

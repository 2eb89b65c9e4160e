"""Langevin dynamics at the levels of a path: a corrector before each step of a predictor, or alone.

At the time t of each step, some times,

    x ← x + δ ∇ log p_t(x) + √(2δ) ξ,        δ = size · σ_t²,

which leaves p_t invariant up to an error O(size), as there is no Metropolis test: for N(0, s² I) it tends to
N(0, s²/(1 − δ/(2 s²)) I). The curvature of −log p_t is at most 1/σ_t², so that size < 2 is stable. δ depends on the
noise level alone, where Song et al. take norms over the batch, which would make each sample depend on the others; and
the corrector acts before the predictor instead of after it, which is the same but for the first and the last level.

Without a predictor x/α is kept from level to level: in z = x/α this is annealed Langevin dynamics at the levels
r = σ/α, z ← z + size r² ∇ log p_r(z) + √(2 size) r ξ, whatever the path.

Sources: Song et al. (2011.13456), section 4.2 and algorithms 2-5; Song and Ermon (1907.05600), algorithm 1,
whose step α_i is 2δ.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from ..equation import Noising, Semilinear
from ..field import Field
from ..loop import Grid, Step, Stepper, combined
from ..noise import Noise
from .renoising import Renoising, check_one_step, check_way

__all__ = ["Langevin"]


class _Kept(Stepper):
    """x/α is kept: what stands for a predictor where there is none."""

    order = 0
    one_step = True

    def evaluations(self, n: int) -> int:
        return 0

    def init(  # type: ignore[override]  # as `Langevin` checks
        self, equation: Semilinear, x: Tensor, times: Grid
    ) -> tuple[tuple[float, ...], int]:
        alpha = cast(Noising, equation.noising).alpha(torch.tensor(times.times, dtype=torch.float64))
        if alpha[0] == 0.0:
            raise ValueError(
                f"Annealed Langevin dynamics keeps x/alpha, but alpha = 0 at t = {times.t0:g}; start later, or give a "
                "predictor."
            )
        return tuple((alpha[1:] / alpha[:-1]).tolist()), 0

    def step(  # type: ignore[override]  # likewise
        self, equation: Semilinear, t0: float, t1: float, x: Tensor, state: tuple[tuple[float, ...], int], noise: Any
    ) -> Step:
        ratios, number = state
        return Step(ratios[number] * x, (ratios, number + 1))


class _State(NamedTuple):
    """δ and √(2δ) of every step; the step's number, that of the first extra normal, and the predictor's state."""

    sizes: tuple[tuple[float, float], ...]
    number: int
    first: int
    inner: Any


class Langevin(Stepper):
    """`steps` Langevin steps at the start of every step, then the step of `solver`; annealed dynamics without one.

    The predictor may be stochastic, ExponentialAdams(1) on reverse_sde(denoiser), or `Ancestral` or `Churn`. As `size`
    falls like 1/n with the number of steps, predictor and corrector together are of weak order 1; at a fixed size the
    bias of the corrector stays. Langevin(None, ...) takes the times of the grid but the last for its levels and is left
    with the noise of the last of them: let the grid end with σ = 0, or where you please.

    One evaluation of the score a Langevin step. Raises TypeError for a solver that is not of one step, and ValueError
    for steps that are not 0, 1, 2, … or a size that is not positive.
    """

    semilinear = True
    one_step = True

    def __init__(self, solver: Stepper | None, steps: int, size: float) -> None:
        if not isinstance(steps, int) or steps < 0:
            raise ValueError(f"Langevin needs steps = 0, 1, 2, ..., but got {steps!r}.")
        if not 0.0 < size < math.inf:
            raise ValueError(f"Langevin needs a positive size, of the order of 0.1, but got {size:g}.")
        predictor = _Kept() if solver is None else solver
        self.solver = predictor if isinstance(solver, Renoising) else check_one_step("Langevin", predictor)
        self.corrections, self.size = steps, size
        self.draws = steps > 0 or predictor.draws
        self.order = min(predictor.order, 1) if steps else predictor.order
        self.weak_order = predictor.weak_order if solver is None or not steps else 1.0
        self.noises, self.calculi = predictor.noises, predictor.calculi

    def __repr__(self) -> str:
        solver = None if isinstance(self.solver, _Kept) else self.solver
        return f"Langevin({solver!r}, {self.corrections}, {self.size:g})"

    def evaluations(self, n: int) -> int | None:
        predicted = self.solver.evaluations(n)
        return None if predicted is None else predicted + self.corrections * n

    def init(self, equation: Semilinear, x: Tensor, times: Grid) -> _State:  # type: ignore[override]  # as `solve` checks
        noising = check_way(self, equation, times)
        if equation.score is None:
            raise ValueError(f"{self!r} needs the score; give Semilinear(..., score=...), or use flow(denoiser).")
        delta = self.size * noising.sigma(torch.tensor(times.times[:-1], dtype=torch.float64)) ** 2
        sizes = tuple(zip(delta.tolist(), (2.0 * delta).sqrt().tolist(), strict=True))
        first = times.n if self.solver.draws else 0  # a predictor that draws takes one normal a step
        return _State(sizes, 0, first, self.solver.init(equation, x, times))

    def step(  # type: ignore[override]  # as `solve` checks
        self, equation: Semilinear, t0: float, t1: float, x: Tensor, state: _State, noise: Noise | None
    ) -> Step:
        drawn = state.first + state.number * self.corrections
        for index in range(drawn, drawn + self.corrections):
            score, xi = cast(Field, equation.score)(t0, x), cast(Noise, noise).extra(index, x)
            x = combined(x, state.sizes[state.number], (score, xi))
        x1, inner = self.solver.step(equation, t0, t1, x, state.inner, noise)[:2]
        return Step(x1, state._replace(number=state.number + 1, inner=inner))

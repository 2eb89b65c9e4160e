"""Langevin dynamics at the noise levels of a path: a corrector before each step of a predictor, or alone.

At the time t of each step the corrector makes some steps

    x ← x + δ ∇ log p_t(x) + √(2δ) ξ,        δ = size · σ_t²,

which leaves p_t invariant up to an error O(size), as there is no Metropolis test: for N(0, s² I) it tends to
N(0, s²/(1 − δ/(2 s²)) I). The curvature of −log p_t is at most 1/σ_t², so that size < 2 is stable. δ depends on the
noise level alone. Song et al. take norms over the batch instead, which would make each sample depend on the others.
They also correct after the predictor instead of before it, which differs at the first and at the last level alone.

Without a predictor x/α is kept from level to level: in z = x/α this is annealed Langevin dynamics at the levels
r = σ/α, z ← z + size r² ∇ log p_r(z) + √(2 size) r ξ, whatever the path.

Sources: Song et al. (2011.13456), section 4.2 and algorithms 2-5; Song and Ermon (1907.05600), algorithm 1,
whose step α_i is 2δ.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from ..common import MANY, host, real, whole
from ..equation import Semilinear
from ..field import Field
from ..loop import Abilities, Grid, Step, Stepper, combined
from ..noise import Noise
from .renoising import Renoising, check_one_step, check_way

__all__ = ["Langevin"]


class _Kept(Stepper[Semilinear]):
    """The predictor of annealed dynamics: it keeps x/α."""

    abilities = Abilities(order=0, one_step=True)
    evaluations_per_step = 0

    def init(self, equation: Semilinear, x: Tensor, times: Grid) -> tuple[tuple[float, ...], int]:
        alpha = check_way(self, equation, times).alpha(host(times.times))
        if alpha[0] == 0.0:
            raise ValueError(
                f"Annealed Langevin dynamics keeps x/alpha, but alpha = 0 at t = {times.t0:g}; start later, or give a "
                "predictor."
            )
        return tuple((alpha[1:] / alpha[:-1]).tolist()), 0

    def step(
        self, equation: Semilinear, t0: float, t1: float, x: Tensor, state: tuple[tuple[float, ...], int], noise: Any
    ) -> Step:
        ratios, number = state
        return Step(ratios[number] * x, (ratios, number + 1))


class _State(NamedTuple):
    """The state of the dynamics.

    Attributes:
        score: the score of the equation.
        sizes: δ and √(2δ) of every step.
        number: the number of the step.
        first: the number of the first extra normal.
        inner: the predictor's state.
    """

    score: Field
    sizes: tuple[tuple[float, float], ...]
    number: int
    first: int
    inner: Any


class Langevin(Stepper[Semilinear]):
    """Langevin steps at the start of every step, and then the step of a predictor; annealed dynamics without one.

    If `size` falls like 1/n with the number n of steps, predictor and corrector together are of weak order 1. At a
    fixed size the bias of the corrector stays. Langevin(None, ...) takes all times of the grid but the last for its
    levels, and its result has the noise of the last level. The last time of the grid is then free; σ = 0 is usual. A
    Langevin step takes one evaluation of the score.

    Args:
        solver: the predictor: a one-step solver of the probability flow or of a stochastic equation, such as
            ExponentialAdams(1) on reverse_sde(denoiser); or `Ancestral` or `Churn`; None for annealed dynamics.
        steps: the number of Langevin steps at each level: 0, 1, 2, …
        size: δ/σ_t², positive, of the order of 0.1.

    Raises:
        TypeError: the predictor is not of one step, or a number is none.
        ValueError: `steps` is not 0, 1, 2, …, or the size is not positive.
    """

    def __init__(self, solver: Stepper[Semilinear] | None, steps: int, size: float) -> None:
        steps, size = whole("steps", steps, 0, MANY), real("size", size, above=0.0)
        predictor: Stepper[Semilinear] = _Kept() if solver is None else solver
        self.solver = predictor if isinstance(solver, Renoising) else check_one_step("Langevin", predictor)
        self.corrections, self.size = steps, size
        self.abilities = Abilities(
            order=min(predictor.order, 1) if steps else predictor.order,
            weak_order=predictor.weak_order if solver is None or not steps else 1.0,
            semilinear=True,
            noises=predictor.noises,
            calculi=predictor.calculi,
            draws=steps > 0 or predictor.draws,
            one_step=True,
        )

    def __repr__(self) -> str:
        solver = None if isinstance(self.solver, _Kept) else self.solver
        return f"Langevin({solver!r}, {self.corrections}, {self.size:g})"

    def evaluations(self, n: int) -> int | None:
        predicted = self.solver.evaluations(n)
        return None if predicted is None else predicted + self.corrections * n

    def init(self, equation: Semilinear, x: Tensor, times: Grid) -> _State:
        """The state at the start. Raises ValueError for an equation without a score or a noising process."""
        noising = check_way(self, equation, times)
        if equation.score is None:
            raise ValueError(f"{self!r} needs the score; give Semilinear(..., score=...), or use flow(denoiser).")
        delta = self.size * noising.sigma(host(times.times[:-1])) ** 2
        sizes = tuple(zip(delta.tolist(), (2.0 * delta).sqrt().tolist(), strict=True))
        first = times.n if self.solver.draws else 0  # a predictor that draws takes one normal a step
        return _State(equation.score, sizes, 0, first, self.solver.init(equation, x, times))

    def step(
        self, equation: Semilinear, t0: float, t1: float, x: Tensor, state: _State, noise: Noise | None
    ) -> Step:
        if noise is not None:
            drawn = state.first + state.number * self.corrections
            for index in range(drawn, drawn + self.corrections):
                x = combined(x, state.sizes[state.number], (state.score(t0, x), noise.extra(index, x)))
        x1, inner = self.solver.step(equation, t0, t1, x, state.inner, noise)[:2]
        return Step(x1, state._replace(number=state.number + 1, inner=inner))

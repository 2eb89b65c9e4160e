"""Solvers that add noise on the way, around any one-step solver of the probability flow.

Along x_t = α x₀ + σ ε a state is brought from its time t to a noisier s by

    x_s = ρ x_t + √(σ_s² − ρ² σ_t²) ξ,        ρ = α_s/α_t,        ξ ~ N(0, I),

which has the law of its time if x_t has. A step from s to t makes a detour: with r = σ/α,

    Ancestral    solve from s to d, renoise from d to t        r_d² = r_t² − η² r_t² (1 − r_t²/r_s²)
    Churn        renoise from s to ŝ, solve from ŝ to t        r_ŝ = (1 + γ) r_s

Both keep the marginals of the path exactly where the solver does, whatever the steps, so that the law of the output
converges at the order of the solver. As processes they are of weak order 1: short steps of `Ancestral` solve the
stochastic equation `reverse_sde(denoiser, eta)`, and those of `Churn` on a grid that is uniform in log-SNR, between λ₀
and λ₁, the one with η² = churn/(λ₁ − λ₀).

Sources: Song, Meng and Ermon, DDIM (2010.02502), eqs. 12 and 16; Karras et al. (2206.00364), algorithm 2.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..equation import Noising, Semilinear
from ..loop import Grid, Solver, Step, Stepper, combined
from ..noise import Noise

__all__ = ["Ancestral", "Churn", "Kick", "Renoising", "check_one_step", "check_way", "renoised"]


class Kick(NamedTuple):
    """x → ratio x + deviation ξ."""

    ratio: float
    deviation: float

    def of(self, x: Tensor, noise: Noise | None, index: int) -> Tensor:
        """ξ is the extra normal of that index, and is not asked for where nothing is added."""
        kept = x if self.ratio == 1.0 else self.ratio * x
        if self.deviation == 0.0 or noise is None:
            return kept
        return combined(kept, [self.deviation], [noise.extra(index, x)])


def renoised(noising: Noising, clean: Tensor, noisy: Tensor) -> list[Kick]:
    """What leads from each of the times `clean` to the noisier time `noisy`; nothing where they are the same."""
    sigma = noising.sigma(noisy)
    ratio = torch.where(clean == noisy, 1.0, noising.alpha(noisy) / noising.alpha(clean))
    kept = ratio * noising.sigma(clean)
    deviation = ((sigma - kept).clamp_min(0.0) * (sigma + kept)).sqrt()
    return list(map(Kick, ratio.tolist(), deviation.tolist()))


def check_way(solver: Solver, equation: Semilinear, times: Grid) -> Noising:
    """The noising process. Raises ValueError for an equation that does not fit, and for times from data to noise."""
    if equation.stochastic and not solver.stochastic:
        raise ValueError(f"{solver!r} adds its noise to a deterministic equation; use flow(denoiser).")
    if equation.noising is None:
        raise ValueError(
            f"{solver!r} needs the noising process; give Semilinear(..., noising=...), or use flow(denoiser)."
        )
    if times.t1 < times.t0:
        raise ValueError(
            f"{solver!r} runs from noise to data, but times go from {times.t0:g} down to {times.t1:g}; reverse them."
        )
    return equation.noising


def check_one_step(name: str, solver: Stepper) -> Stepper:
    """Raises TypeError for what is no one-step solver, or draws noise of its own."""
    if not isinstance(solver, Stepper) or not solver.one_step or solver.draws:
        raise TypeError(
            f"{name} goes around a one-step solver that draws no noise of its own, but got {solver!r}; use for example "
            "ExponentialAdams(1) or ExponentialRK(2)."
        )
    return solver


class _Leg(NamedTuple):
    """The detour of one step: a kick, the solver from `start` to `end`, and a kick; one of the two moves nothing."""

    before: Kick
    start: float
    end: float
    inner: Any
    after: Kick


class Renoising(Stepper):
    """A solver with a detour through noise in every step, which draws at most the extra normal of the step's number."""

    semilinear = True
    one_step = True
    excess = 1.0
    """The deviation of the added noise over that which keeps the marginals."""

    def __init__(self, solver: Stepper, draws: bool) -> None:
        self.solver, self.draws = check_one_step(type(self).__name__, solver), draws
        self.order, self.weak_order = solver.order, 1.0 if draws else solver.weak_order

    @abstractmethod
    def detours(self, noising: Noising, t0: Tensor, t1: Tensor) -> tuple[Tensor, Tensor]:
        """Where the solver starts and ends in the steps from t0 to t1, each of shape (n,)."""

    def evaluations(self, n: int) -> int | None:
        """As many as the solver's, exact for the same grids."""
        return self.solver.evaluations(n)

    def init(  # type: ignore[override]  # as `solve` checks
        self, equation: Semilinear, x: Tensor, times: Grid
    ) -> tuple[tuple[_Leg, ...], int]:
        noising = check_way(self, equation, times)
        t = torch.tensor(times.times, dtype=torch.float64)
        start, end = self.detours(noising, t[:-1], t[1:])
        before, after = renoised(noising, t[:-1], start), renoised(noising, end, t[1:])
        before, after = ([Kick(ratio, self.excess * noise) for ratio, noise in kicks] for kicks in (before, after))
        ways = list(zip(start.tolist(), end.tolist(), strict=True))
        inner = [self.solver.init(equation, x, Grid(way)) for way in ways]
        return tuple(_Leg(a, *way, i, b) for a, way, i, b in zip(before, ways, inner, after, strict=True)), 0

    def step(  # type: ignore[override]  # as `solve` checks
        self,
        equation: Semilinear,
        t0: float,
        t1: float,
        x: Tensor,
        state: tuple[tuple[_Leg, ...], int],
        noise: Noise | None,
    ) -> Step:
        legs, number = state
        leg = legs[number]
        kicked = leg.before.of(x, noise, number)
        reached = self.solver.step(equation, leg.start, leg.end, kicked, leg.inner, None).x
        return Step(leg.after.of(reached, noise, number), (legs, number + 1))


class Ancestral(Renoising):
    """Past the end of the step, and back with fresh noise: `eta` times the ancestral sampler's.

    With `ExponentialAdams(1)` it is DDIM-η, and for η = 1 DDPM's ancestral sampler. From α = 0 with η = 1 the solver
    goes on to σ = 0; a step to σ = 0 gets no noise. Weak order 1; the law of the output is of the solver's order.

    Raises TypeError for a solver that is not of one step or draws noise, and ValueError for eta outside [0, 1].
    Source: Song, Meng and Ermon, DDIM (2010.02502), eqs. 12 and 16, of which every η has the marginals of the path.
    """

    def __init__(self, solver: Stepper, eta: float = 1.0) -> None:
        if not 0.0 <= eta <= 1.0:
            raise ValueError(f"Ancestral needs eta between 0 (no noise) and 1 (DDPM's), but got {eta:g}.")
        super().__init__(solver, eta > 0.0)
        self.eta = eta

    def __repr__(self) -> str:
        return f"Ancestral({self.solver!r}, eta={self.eta:g})"

    def detours(self, noising: Noising, t0: Tensor, t1: Tensor) -> tuple[Tensor, Tensor]:
        r0, r1 = (noising.sigma(t) / noising.alpha(t) for t in (t0, t1))
        removed = (r1 / r0) ** 2
        share = (1.0 - self.eta**2) + self.eta**2 * removed  # (r_d/r_t)²
        beyond = noising.time(-(2.0 * r1.log() + share.log()))
        return t0, torch.where((r1 > 0.0) & (share < 1.0), beyond, t1)


class Churn(Renoising):
    """Noise first, then a step that takes it out too: EDM's stochastic sampler around any solver.

    γ = min(churn/n, √2 − 1) in each of n steps that starts with s_min ≤ σ/α ≤ s_max, where noise of s_noise times the
    fitting deviation is added; none at α = 0. The noisier time may lie before the first one of the grid: paths go on
    there. EDM's own is Churn(ExponentialRK(EDM_HEUN), ...) on flow(denoiser, "eps"). With s_noise = 1 the marginals are
    kept, and the law of the output is of the solver's order.

    Raises TypeError for a solver that is not of one step or draws noise, and ValueError for numbers out of range.
    Source: Karras et al. (2206.00364), algorithm 2, in the coordinates x/α.
    """

    def __init__(
        self, solver: Stepper, churn: float, s_min: float = 0.0, s_max: float = math.inf, s_noise: float = 1.0
    ) -> None:
        if not 0.0 <= churn < math.inf or not 0.0 <= s_noise < math.inf:
            raise ValueError(f"Churn needs finite churn, s_noise >= 0, but got {churn:g} and {s_noise:g}.")
        if not 0.0 <= s_min <= s_max:
            raise ValueError(f"Churn needs 0 <= s_min <= s_max, but got {s_min:g} and {s_max:g}; exchange them.")
        super().__init__(solver, churn > 0.0)
        self.churn, self.s_min, self.s_max, self.excess = churn, s_min, s_max, s_noise

    def __repr__(self) -> str:
        return f"Churn({self.solver!r}, {self.churn:g}, {self.s_min:g}, {self.s_max:g}, {self.excess:g})"

    def detours(self, noising: Noising, t0: Tensor, t1: Tensor) -> tuple[Tensor, Tensor]:
        r = noising.sigma(t0) / noising.alpha(t0)
        gamma = min(self.churn / len(t0), math.sqrt(2.0) - 1.0)
        noisier = noising.time(-2.0 * (r.log() + math.log1p(gamma)))
        chosen = (self.s_min <= r) & (r <= self.s_max)
        return torch.where(chosen, noisier, t0) if gamma > 0.0 else t0, t1

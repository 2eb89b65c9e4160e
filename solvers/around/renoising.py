"""Solvers that add noise in every step, around any one-step solver of the probability flow.

Along x_t = α x₀ + σ ε a state is brought from its time t to a noisier s by

    x_s = ρ x_t + √(σ_s² − ρ² σ_t²) ξ,        ρ = α_s/α_t,        ξ ~ N(0, I),

which has the marginal law of the path at s if x_t has that at t. A step from s to t makes a detour: with r = σ/α,

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

from ..common import host, real
from ..equation import Noising, Semilinear
from ..loop import Abilities, EquationT, Grid, Solver, Step, Stepper, combined
from ..noise import Noise

__all__ = ["Ancestral", "Churn", "Renoising", "Transition", "check_one_step", "check_way", "transitions"]


class Transition(NamedTuple):
    """A transition of the noising process from a time to a noisier one: x → ratio x + deviation ξ.

    Attributes:
        ratio: α at the noisier time over α at the cleaner time.
        deviation: the standard deviation of the added noise.
    """

    ratio: float
    deviation: float

    def draw(self, x: Tensor, noise: Noise | None, index: int) -> Tensor:
        """The noisier state. ξ is the extra normal of this index; it is drawn only where the deviation is positive."""
        kept = x if self.ratio == 1.0 else self.ratio * x
        if self.deviation == 0.0 or noise is None:
            return kept
        return combined(kept, [self.deviation], [noise.extra(index, x)])


def transitions(noising: Noising, clean: Tensor, noisy: Tensor) -> list[Transition]:
    """The transitions between times; where two times are equal, x stays as it is.

    Args:
        noising: the noising process.
        clean: the cleaner times, float64 (n,).
        noisy: the noisier times, float64 (n,).
    """
    sigma = noising.sigma(noisy)
    ratio = torch.where(clean == noisy, 1.0, noising.alpha(noisy) / noising.alpha(clean))
    kept = ratio * noising.sigma(clean)
    deviation = ((sigma - kept).clamp_min(0.0) * (sigma + kept)).sqrt()
    return list(map(Transition, ratio.tolist(), deviation.tolist()))


def check_way(solver: Solver, equation: Semilinear, times: Grid) -> Noising:
    """The noising process of the equation.

    Raises ValueError for an equation that does not fit the solver, and for times from data to noise.
    """
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


def check_one_step(name: str, solver: Stepper[EquationT]) -> Stepper[EquationT]:
    """The solver. Raises TypeError unless it is a one-step solver that draws no noise of its own."""
    if not isinstance(solver, Stepper) or not solver.one_step or solver.draws:
        raise TypeError(
            f"{name} goes around a one-step solver that draws no noise of its own, but got {solver!r}; use for example "
            "ExponentialAdams(1) or ExponentialRK(2)."
        )
    return solver


class Detour(NamedTuple):
    """The way of one step: a transition, the solver from `start` to `end`, and a transition.

    One of the two transitions leaves x as it is. `inner` is the solver's state at `start`.
    """

    before: Transition
    start: float
    end: float
    inner: Any
    after: Transition


class Renoising(Stepper[Semilinear]):
    """A solver with a detour through noise in every step. Step number i draws at most the extra normal number i.

    Args:
        solver: a one-step solver of the probability flow.
        draws: whether any noise is added.
    """

    excess = 1.0
    """The deviation of the added noise, as a multiple of the one that keeps the marginals."""

    def __init__(self, solver: Stepper[Semilinear], draws: bool) -> None:
        self.solver = check_one_step(type(self).__name__, solver)
        weak_order = 1.0 if draws else solver.weak_order
        self.abilities = Abilities(
            order=solver.order, weak_order=weak_order, semilinear=True, draws=draws, one_step=True
        )

    @abstractmethod
    def detours(self, noising: Noising, t0: Tensor, t1: Tensor) -> tuple[Tensor, Tensor]:
        """The times at which the solver starts and ends in the steps from t0 to t1, each (n,)."""

    def evaluations(self, n: int) -> int | None:
        """The same as the inner solver, and exact for the same grids."""
        return self.solver.evaluations(n)

    def init(self, equation: Semilinear, x: Tensor, times: Grid) -> tuple[tuple[Detour, ...], int]:
        """The detours of the steps, and the number of the next step."""
        noising = check_way(self, equation, times)
        t = host(times.times)
        start, end = self.detours(noising, t[:-1], t[1:])
        before, after = (
            [Transition(ratio, self.excess * deviation) for ratio, deviation in transitions(noising, clean, noisy)]
            for clean, noisy in ((t[:-1], start), (end, t[1:]))
        )
        ways = list(zip(start.tolist(), end.tolist(), strict=True))
        inner = [self.solver.init(equation, x, Grid(way)) for way in ways]
        return tuple(Detour(a, *way, i, b) for a, way, i, b in zip(before, ways, inner, after, strict=True)), 0

    def step(
        self,
        equation: Semilinear,
        t0: float,
        t1: float,
        x: Tensor,
        state: tuple[tuple[Detour, ...], int],
        noise: Noise | None,
    ) -> Step:
        detours, number = state
        detour = detours[number]
        started = detour.before.draw(x, noise, number)
        reached = self.solver.step(equation, detour.start, detour.end, started, detour.inner, None).x
        return Step(detour.after.draw(reached, noise, number), (detours, number + 1))


class Ancestral(Renoising):
    """A step goes past its end and back with fresh noise, `eta` times as much as in the ancestral sampler.

    With `ExponentialAdams(1)` it is DDIM-η, and for η = 1 DDPM's ancestral sampler. From α = 0 with η = 1 the solver
    goes on to σ = 0. A step to σ = 0 adds no noise. The weak order is 1, and the law of the output converges at the
    solver's order.

    Args:
        solver: a one-step solver of the probability flow.
        eta: η, from 0 (no noise) to 1 (DDPM's).

    Raises:
        TypeError: the solver is not of one step, or draws noise.
        ValueError: eta lies outside [0, 1].

    Source: Song, Meng and Ermon, DDIM (2010.02502), eqs. 12 and 16, whose marginals are those of the path at every η.
    """

    def __init__(self, solver: Stepper[Semilinear], eta: float = 1.0) -> None:
        self.eta = real("eta", eta, 0.0, 1.0)
        super().__init__(solver, self.eta > 0.0)

    def __repr__(self) -> str:
        return f"Ancestral({self.solver!r}, eta={self.eta:g})"

    def detours(self, noising: Noising, t0: Tensor, t1: Tensor) -> tuple[Tensor, Tensor]:
        r0, r1 = (noising.sigma(t) / noising.alpha(t) for t in (t0, t1))
        removed = (r1 / r0) ** 2
        share = (1.0 - self.eta**2) + self.eta**2 * removed  # (r_d/r_t)²
        beyond = noising.time(-(2.0 * r1.log() + share.log()))
        return t0, torch.where((r1 > 0.0) & (share < 1.0), beyond, t1)


class Churn(Renoising):
    """A step adds noise first, and then removes it with its own: EDM's stochastic sampler around any solver.

    Each of n steps that starts with s_min ≤ σ/α ≤ s_max has γ = min(churn/n, √2 − 1), and adds noise of s_noise times
    the deviation that keeps the marginals. At α = 0 no noise is added. The noisier time may lie before the first time
    of the grid, where paths go on. EDM's own sampler is Churn(ExponentialRK(EDM_HEUN), ...) on flow(denoiser, "eps").
    With s_noise = 1 the marginals are kept, and the law of the output converges at the solver's order.

    Args:
        solver: a one-step solver of the probability flow.
        churn: EDM's S_churn, the sum of γ over the steps.
        s_min: the smallest σ/α at which noise is added.
        s_max: the largest σ/α at which noise is added.
        s_noise: the deviation of the added noise, as a multiple of the one that keeps the marginals.

    Raises:
        TypeError: the solver is not of one step, or draws noise.
        ValueError: a number is out of range.

    Source: Karras et al. (2206.00364), algorithm 2, in the coordinates x/α.
    """

    def __init__(
        self,
        solver: Stepper[Semilinear],
        churn: float,
        s_min: float = 0.0,
        s_max: float = math.inf,
        s_noise: float = 1.0,
    ) -> None:
        self.churn, self.excess = real("churn", churn, 0.0), real("s_noise", s_noise, 0.0)
        self.s_min, self.s_max = real("s_min", s_min, 0.0), real("s_max", s_max, 0.0, infinite=True)
        if self.s_min > self.s_max:
            raise ValueError(f"s_min is {self.s_min:g}, above s_max = {self.s_max:g}; exchange them.")
        super().__init__(solver, self.churn > 0.0)

    def __repr__(self) -> str:
        return f"Churn({self.solver!r}, {self.churn:g}, {self.s_min:g}, {self.s_max:g}, {self.excess:g})"

    def detours(self, noising: Noising, t0: Tensor, t1: Tensor) -> tuple[Tensor, Tensor]:
        r = noising.sigma(t0) / noising.alpha(t0)
        gamma = min(self.churn / len(t0), math.sqrt(2.0) - 1.0)
        noisier = noising.time(-2.0 * (r.log() + math.log1p(gamma)))
        chosen = (self.s_min <= r) & (r <= self.s_max)
        return torch.where(chosen, noisier, t0) if gamma > 0.0 else t0, t1

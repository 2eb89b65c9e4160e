"""Diffusion in discrete time: the posterior of a step, and the chain of reverse steps that follows from it.

From the noisier time s to the cleaner t, with the transition x_s | x_t ~ N(a x_t, B I), a = α_s/α_t, and

    c = 1 − SNR_s/SNR_t = −expm1(2(λ_s − λ_t)),        B = σ_s² c,        β̃ = σ_t² c,

Bayes' rule gives q(x_t | x_s, x₀) = N(μ̃, β̃ I), where μ̃ is

    a (σ_t/σ_s)² x_s + α_t c x₀                    in x₀ (c > 0: the SNR rises strictly),
    (x_s − (B/σ_s) ε) / a                          in ε = (x_s − α_s x₀)/σ_s,
    β̃ (a x_s/B + α_t x₀/σ_t²)                      in precisions, 1/β̃ = a²/B + 1/σ_t².

The model's step is p(x_t | x_s) = N(μ̃(x_s, x₀-hat), B^v β̃^{1−v} I): v = 0 is the posterior's variance, "small", best
for data at a point; v = 1 the transition's, "large", best for data N(0, I); and a network may learn v. On a `Table`
and its own times that is DDPM, with a = √(1 − β), B = β. With v = 0 the chain is `ExponentialAdams(1)` on
`reverse_sde(denoiser)`. The last step, to σ = 0, returns x₀-hat and adds no noise.

Sources: Ho et al. (2006.11239), eqs. 6, 7, 11, section 3.2 and algorithm 2; Nichol and Dhariwal (2102.09672), eq. 15;
Kingma et al. (2107.00630), appendix A.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic

import torch
from torch import Tensor

from ...solvers import Abilities, Equation, Field, Noise, Solution, Step, Stepper, Time, solve
from ...solvers.common import check_alike, check_instance, check_samples, host, real
from ...solvers.loop import Grid, combined
from ..denoiser import Denoiser, DenoiserField, check_denoiser, per_sample
from ..paths import GaussianPath, Real, Table, exp, expm1, log, ratio

__all__ = ["VARIANCES", "Posterior", "ancestral", "chain_times", "learned", "posterior", "share"]

VARIANCES = {"small": 0.0, "large": 1.0}
"""The v of the two fixed reverse variances."""

Times = Tensor | Sequence[float]


@dataclass(frozen=True)
class Posterior(Generic[Real]):
    """q(x_t | x_s, x₀) of one step (floats), or of several (tensors), from the noisier s to the cleaner t.

    Attributes:
        removed: c.
        alpha: α_t.
        sigma: σ_t.
        noisier_alpha: α_s.
        noisier_sigma: σ_s.
        log_snr: log(α_t²/σ_t²).
    """

    removed: Real
    alpha: Real
    sigma: Real
    noisier_alpha: Real
    noisier_sigma: Real
    log_snr: Real

    @property
    def variance(self) -> Real:
        """β̃, "small"."""
        return self.sigma**2 * self.removed

    @property
    def transition(self) -> Real:
        """B, the variance of x_s given x_t, "large"."""
        return self.noisier_sigma**2 * self.removed

    @property
    def from_x(self) -> Real:
        """The coefficient of x_s in μ̃, beside x₀; finite where α_s = 0 or σ_t = 0."""
        return self.noisier_alpha / self.alpha * (self.sigma / self.noisier_sigma) ** 2

    @property
    def from_x0(self) -> Real:
        """The coefficient of x₀ in μ̃."""
        return self.alpha * self.removed

    @property
    def spread(self) -> Real:
        """log(B/β̃) = 2 log(σ_s/σ_t), the logarithmic range of the reverse variance; infinite where σ_t = 0."""
        return 2.0 * (log(self.noisier_sigma) - log(self.sigma))

    @property
    def gain(self) -> Real:
        """SNR_t − SNR_s = from_x0²/β̃, where σ_t > 0."""
        return exp(self.log_snr) * self.removed

    def mean(self, x: Tensor, x0: Tensor) -> Tensor:
        """μ̃ from x_s and x₀ (or x₀-hat), each (B, ...)."""
        return per_sample(self.from_x, x) * x + per_sample(self.from_x0, x) * x0

    def mean_from_eps(self, x: Tensor, eps: Tensor) -> Tensor:
        """μ̃ from x_s and ε (or ε-hat), each (B, ...); infinite where α_s = 0."""
        back = ratio(self.alpha, self.noisier_alpha)
        return per_sample(back, x) * (x - per_sample(self.noisier_sigma * self.removed, x) * eps)

    def reverse_variance(self, v: float) -> Real:
        """B^v β̃^{1−v}."""
        variance: Real = self.transition**v * self.variance ** (1.0 - v)
        return variance


def posterior(path: GaussianPath, s: Real, t: Real) -> Posterior[Real]:
    """The posterior of the step from s to t.

    Args:
        path: the path of the chain.
        s: the noisier time, or the times of several steps, a tensor.
        t: the cleaner time, of the same type and shape.

    Raises:
        TypeError: the path is none, or the times are no real numbers.
        ValueError: the log-SNR does not rise strictly from s to t, or the times are not finite or not alike.
    """
    check_instance("path", path, GaussianPath, "a path, such as linear betas in a Table")
    if isinstance(s, Tensor) and isinstance(t, Tensor):
        check_samples("s", s, axes=0)
        check_alike("t", t, "s", s)
        check_samples("t", t, axes=0)
    else:
        s, t = real("s", s, -1e6, 1.0), real("t", t, -1e6, 1.0)
    before, after = path.log_snr(s), path.log_snr(t)
    falls = ~torch.as_tensor(after > before, device="cpu")
    if bool(falls.any()):
        start, end = (float(torch.as_tensor(times, device="cpu").expand_as(falls)[falls][0]) for times in (s, t))
        raise ValueError(
            f"A reverse step goes from a noisier time to a cleaner one, but the log-SNR of {path} does not rise from "
            f"s = {start:g} to t = {end:g}; exchange them, or drop what repeats."
        )
    removed = -expm1(before - after)
    return Posterior(removed, path.alpha(t), path.sigma(t), path.alpha(s), path.sigma(s), after)


def share(variance: str | float) -> float | None:
    """v of "small", "large" or a number from 0 to 1; None for "learned". Raises ValueError or TypeError for others."""
    if not isinstance(variance, str):
        return real("variance", variance, 0.0, 1.0)
    if variance not in (*VARIANCES, "learned"):
        raise ValueError(
            f"Unknown reverse variance {variance[:40]!r}; choose 'small', 'large', 'learned', or a number from 0 to 1."
        )
    return VARIANCES.get(variance)


def chain_times(path: GaussianPath, times: Times | None = None) -> Tensor:
    """The times of a chain from noise to data, float64 on the host: the given ones, or all of a `Table` and t = 1.

    Raises ValueError for a path without times of its own, and for times that are not strictly monotone or beyond 1.
    """
    if times is not None:
        grid = Grid.of(times)
        if max(grid.t0, grid.t1) > 1.0:
            raise ValueError(f"times run up to 1, where the data are, but to {max(grid.t0, grid.t1):g} here.")
        return host(grid.times)
    if not isinstance(path, Table):
        raise ValueError(f"{path} has no times of its own; give them, for example grids.uniform(path, 100).")
    return path.at(torch.arange(path.steps - 1, -2, -1, device="cpu"))


@dataclass(frozen=True)
class _Chain(Equation):
    """p(x_t | x_s) as an equation for `solve`.

    field(t, x) is x₀-hat. With a learned variance (v is None) it takes x twice along axis 1 and returns x₀-hat and v
    there, one after the other.
    """

    path: GaussianPath
    field: Field
    v: float | None

    @property
    def stochastic(self) -> bool:
        return True

    def wrapped(self, wrap: Callable[[Field], Field]) -> _Chain:
        return replace(self, field=wrap(self.field))

    def variance(self, times: Tensor) -> Tensor:
        """The clock of the reverse equation, so that both have the same Brownian path."""
        return self.path.log_snr(times).exp()


class _Draws(Stepper[_Chain]):
    """Draws from p(x_t | x_s) at each step."""

    abilities = Abilities(order=1, weak_order=1.0, noises=frozenset({"additive"}), one_step=True)
    evaluations_per_step = 1

    def init(
        self, equation: _Chain, x: Tensor, times: Grid
    ) -> tuple[tuple[tuple[float, float, float, float], ...], int]:
        t = host(times.times)
        step = posterior(equation.path, t[:-1], t[1:])
        variance = step.reverse_variance(equation.v or 0.0)
        noise = torch.where(step.sigma > 0.0, variance.sqrt(), 0.0)
        columns = (column.tolist() for column in (step.from_x, step.from_x0, noise, step.spread))
        return tuple(zip(*columns, strict=True)), 0

    def step(
        self,
        equation: _Chain,
        t0: float,
        t1: float,
        x: Tensor,
        state: tuple[tuple[tuple[float, float, float, float], ...], int],
        noise: Noise | None,
    ) -> Step:
        rows, number = state
        from_x, from_x0, deviation, spread = rows[number]
        if equation.v is not None:
            x0 = equation.field(t0, x)
        else:
            x0, v = equation.field(t0, torch.cat([x, x], 1)).chunk(2, 1)
        x1 = combined(from_x * x, [from_x0], [x0])
        if deviation != 0.0 and noise is not None:
            xi = noise.normal(t0, t1, equation.variance, x)
            x1 = x1 + deviation * xi if equation.v is not None else x1 + deviation * (0.5 * spread * v).exp() * xi
        return Step(x1, (rows, number + 1))


def ancestral(
    denoiser: Denoiser,
    x: Tensor,
    noise: Noise,
    times: Times | None = None,
    *,
    variance: str | float,
    save: bool | Times = False,
    max_nfe: int | None = None,
    progress: bool = False,
) -> Solution:
    """Draws from the chain p(x_t | x_s), with one evaluation a step: ancestral sampling, of weak order 1.

    Args:
        denoiser: the network.
        x: the states at the first time, (B, ...).
        noise: `WhiteNoise` or `BrownianTree`.
        times: from noise to data, by default all of a `Table` and t = 1. A subset of them is the strided chain of
            Nichol and Dhariwal (2102.09672), section 4.
        variance: "small", "large", a number v from 0 to 1, or "learned".
        save: as in `solve`.
        max_nfe: as in `solve`.
        progress: as in `solve`.

    Returns:
        The solution, as `solve` returns it.

    Raises:
        TypeError: an argument is of another kind.
        ValueError: times that do not go from noise to data, an unknown variance, or "learned" for a denoiser that
            learned none.
        SolveError: a state that is not finite.
    """
    check_denoiser(denoiser)
    v = share(variance)
    chain = _Chain(denoiser.path, _Network(denoiser, learned=v is None), v)
    return solve(
        chain, x, chain_times(denoiser.path, times), _Draws(), noise, save=save, max_nfe=max_nfe, progress=progress
    )


def learned(denoiser: Denoiser, t: Real, x: Tensor) -> tuple[Tensor, Tensor]:
    """x₀-hat and the learned v, each of x's shape. The network returns 2v − 1.

    Args:
        denoiser: a denoiser with a learned variance.
        t: one time, or one for each sample, (B,).
        x: the states, (B, C, ...).

    Raises:
        ValueError: the denoiser learned no variance.
    """
    output, variance = denoiser.output_and_variance(t, x)
    if variance is None:
        raise ValueError(f"{denoiser!r} has not learned a variance; choose variance='small' or 'large'.")
    return denoiser.conversion_to(1.0, 0.0, t)(x, output), 0.5 * (variance + 1.0)


@dataclass(frozen=True)
class _Network(DenoiserField):
    """x₀-hat, or, of a learned variance, x₀-hat and v for the state twice."""

    learned: bool

    def __call__(self, t: Time, x: Tensor) -> Tensor:
        if not self.learned:
            return self.denoiser.predict("x0", t, x)
        return torch.cat(learned(self.denoiser, t, x.chunk(2, 1)[0]), 1)

"""Langevin dynamics: a constant noise level on a constant density.

    dX = ½ σ² ∇log p(X) dt + σ dW,        x ← x + ½ ε ∇log p(x) + √ε ξ

For N(0, s²) a step is x → a x + c ξ and keeps the variance c²/(1 − a²). The solver itself gives a and c, run on one
unit impulse: a few roundings, 10⁻¹².
"""

from __future__ import annotations

import math

import torch
from scipy.stats import chi2
from torch import Tensor

from ....generative import VE, CondOT, annealed_langevin, flow
from ....solvers import ODE, SDE, Euler, EulerMaruyama, Langevin, LeimkuhlerMatthews, WhiteNoise, solve, standard_normal
from ...oracles import GaussianMixture, OrnsteinUhlenbeck
from ..claim import Bound, Check, Statistical, claim
from ..sources import NOTES_2025, SLIDES
from ..tools.densities import fokker_planck_rate
from ..tools.errors import extrapolated, largest
from ..tools.points import MIXTURE, MIXTURE_2D, gaussian, grid
from ..tools.quadrature import trapezoid, trapezoid_plane
from ..tools.samplers import response
from ..tools.tests import ks_test


def _score(mixture: GaussianMixture, x: Tensor) -> Tensor:
    """∇log p of the data themselves."""
    return mixture.score(x, 1.0, CondOT())


def _dynamics(mixture: GaussianMixture, sigma: float) -> SDE:
    return SDE(lambda t, x: 0.5 * sigma**2 * _score(mixture, x), lambda t, x: sigma, noise="additive")


@claim(
    "A079",
    NOTES_2025["Remark 16, Eq. 31"],
    SLIDES,
    statement="Langevin dynamics keep the density that they are made for, and converge to it.",
    formula="−∇·(½σ² p s) + ½σ² Δp = 0;  N(0, s²): Var X_t = s² + (v₀ − s²) exp(−σ²t/s²)",
)
def langevin_dynamics() -> list[Check]:
    """The rate of p by automatic differentiation is 0, to 10⁻¹². For N(0, s²) the dynamics are an Ornstein-Uhlenbeck
    process with θ = σ²/2s² = 1.28; Euler-Maruyama at 64, 128 and 256 steps a unit of time, extrapolated twice, leaves
    C₃ h³/8, with C₃ = (2θ)³: 10⁻⁵."""
    x = trapezoid_plane(-2.0, 2.0, 7)[0]
    flux = fokker_planck_rate(_dynamics(MIXTURE_2D, 1.2).drift, 1.2, x, 1.0, CondOT())
    s, sigma, start = 0.75, 1.2, 2.0
    exact = s**2 + (start - s**2) * math.exp(-(sigma**2) / s**2)
    process = OrnsteinUhlenbeck(theta=0.5 * sigma**2 / s**2, sigma=sigma)
    equation = _dynamics(gaussian(0.0, s), sigma)
    laws = [response(EulerMaruyama(), equation, grid(n)).law(0.0, math.sqrt(start)) for n in (64, 128, 256)]
    return [
        Check(largest(flux), 0.0, 1e-12, "the rate of p"),
        Check(process.variance(1.0, start), exact, 1e-12, "the variance at t = 1, of the process"),
        Check(
            extrapolated([deviation**2 for _, deviation in laws]), exact, 1e-5, "the variance by steps, extrapolated"
        ),
    ]


@claim(
    "A080",
    SLIDES["Langevin dynamics"],
    statement="Without a Metropolis test Langevin steps keep a variance that is too large, and they are stable below "
    "ε = 4 s².",
    formula="Var = s²/(1 − ε/4s²); as corrector, x + δ s + √(2δ) ξ: s²/(1 − δ/2s²)",
)
def unadjusted_langevin() -> list[Check | Bound]:
    """c²/(1 − a²) to rounding. The corrector has δ = size σ_t² and the law N(0, s² + σ_t²); annealed dynamics take
    ε r²/r_L² at the level r of it, here in one step at the first of two levels. Stability is |a| < 1."""
    checks: list[Check | Bound] = []
    for epsilon in (0.5, 0.05):
        step = response(EulerMaruyama(), _dynamics(gaussian(0.0, 1.0), 1.0), [0.0, epsilon])
        checks.append(Check(step.kept_variance, 1.0 / (1.0 - 0.25 * epsilon), 1e-12, f"ε = {epsilon:g}, s = 1"))
    denoiser, level, size = gaussian(0.0, 0.7).denoiser(VE(2.0)), 0.5, 0.3
    variance, delta = 0.49 + level**2, size * level**2
    t = float(VE(2.0).time(-2.0 * math.log(level)))
    step = response(Langevin(None, 1, size), flow(denoiser, "x0"), [t, 0.9])
    checks.append(Check(step.kept_variance, variance / (1.0 - 0.5 * delta / variance), 1e-12, "the corrector"))
    equation, times, solver = annealed_langevin(denoiser, level, 0.25, 2, 1, 0.05, denoise=False)
    step, length = response(solver, equation, times[:2]), 0.05 * level**2 / 0.25**2
    checks.append(Check(step.kept_variance, variance / (1.0 - 0.25 * length / variance), 1e-12, "annealed dynamics"))
    for epsilon, above in ((3.9, False), (4.1, True)):
        step = response(EulerMaruyama(), _dynamics(gaussian(0.0, 1.0), 1.0), [0.0, epsilon])
        checks.append(Bound(abs(step.gain), 1.0, f"|a| at ε = {epsilon:g} s²", above=above))
    return checks


@claim(
    "A081",
    SLIDES["From scores to samples: Langevin MCMC"],
    statement="Without the noise the Langevin iterates follow the score to a mode and collapse there.",
    formula="x ← x + ½ ε ∇log p(x):  Var → 0",
)
def score_ascent() -> list[Check | Bound]:
    """For N(0, 1) the variance is (1 − ε/2)^(2n), 10⁻¹²⁵ at ε = ½, n = 500; its logarithm to 500 roundings. For two
    modes whose curvatures are 6 and 3 a step of 0.02 removes a part of 1/40 and more, all but e⁻²⁵ in 1000."""
    one, steps = torch.ones(1, 1, dtype=torch.float64), 500
    end = solve(ODE(lambda t, x: 0.5 * _score(gaussian(0.0, 1.0), x)), one, grid(steps, 0.0, 0.5 * steps), Euler()).x
    start = trapezoid(-3.0, 3.0, 30)[0]
    ends = solve(ODE(lambda t, x: 0.5 * _score(MIXTURE, x)), start, grid(1000, 0.0, 20.0), Euler()).x
    modes = {round(value, 6) for value in ends[:, 0].tolist()}
    return [
        Check(2.0 * math.log10(float(end)), 2.0 * steps * math.log10(0.75), 1e-10, "log₁₀ of the variance"),
        Check(len(modes), 2, 0.0, "the points where thirty starts end"),
        Bound(largest(_score(MIXTURE, ends)), 1e-9, "the largest score there"),
    ]


@claim(
    "A083",
    NOTES_2025["Figure 8"],
    statement="Langevin dynamics take a normal law to five modes on a ring.",
    formula="N(0, I) → ⅕ Σ N(m_k, 0.8² I), |m_k| = 3",
)
def five_modes() -> list[Statistical]:
    """5000 chains, 400 steps of 0.05: start and target share the fivefold symmetry, so that every mode holds a fifth at
    all times, and the radius relaxes at the rate 1/2s², by e⁻¹⁵. The steps are those of Leimkuhler and Matthews, whose
    bias is of order ε²; a mode that holds 0.245 instead is found with probability 0.99."""
    angles = 0.4 * math.pi * torch.arange(5, dtype=torch.float64)
    means = 3.0 * torch.stack([angles.cos(), angles.sin()], dim=1)
    eye = torch.eye(2, dtype=torch.float64)
    ring = GaussianMixture(torch.full((5,), 0.2, dtype=torch.float64), means, 0.64 * eye.expand(5, 2, 2).contiguous())
    x = standard_normal(torch.empty(5000, 2, dtype=torch.float64), 83)
    end = solve(_dynamics(ring, 1.0), x, grid(400, 0.0, 20.0), LeimkuhlerMatthews(), WhiteNoise(84)).x
    nearest = torch.cdist(end, means).argmin(1)
    counts = torch.bincount(nearest, minlength=5).double()
    statistic = float(((counts - 1000.0) ** 2 / 1000.0).sum())
    first = torch.special.ndtr((end[:, :1] - means[:, 0]) / 0.8).mean(1)
    p = float(chi2.sf(statistic, 4))
    return [
        Statistical(p, 5000, "a mode with a share of 0.245", statistic, 4.0, "χ² of the shares"),
        ks_test(first, "the first coordinate"),
    ]

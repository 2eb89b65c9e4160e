"""Processes that add noise, and the equations that run them backwards.

In its own time s = 1 − t the process dX = a X ds + g dW has the law N(α x₀, σ² I) with

    α = exp ∫ a ds,      σ²/α² = ∫ g²/α² ds.

Many equations of the reversed time share its laws at single times. Only one has its law on paths.
"""

from __future__ import annotations

import math

import torch

from ....generative.discrete import variational_bound
from ....generative.equations import diffusion_sde, flow, reversal, reverse_sde
from ....generative.paths import VE, VP, CondOT, Cosine, GaussianPath, SubVP, Table, linear_betas
from ....solvers import RK4, SRA1, Equation, solve
from ...oracles import Gaussian, GaussianMixture, OrnsteinUhlenbeck
from ..claim import Bound, Check, claim
from ..sources import ANDERSON, NOTES_2025, SLIDES
from ..tools.errors import largest
from ..tools.points import BROAD_MIXTURE, STATES, gaussian, grid, name_of, schedule_at
from ..tools.quadrature import legendre, nodes
from ..tools.samplers import Given, response


def spread(data: GaussianMixture, t: float, path: GaussianPath) -> float:
    """The variance at time t of normal data, which is −1 over the slope of the score."""
    low, high = data.score(torch.tensor([[-1.0], [1.0]], dtype=torch.float64), t, path).flatten().tolist()
    variance: float = 2.0 / (low - high)
    return variance


@claim(
    "A131",
    NOTES_2025["section 4.3"],
    statement="A linear equation that adds noise has the law N(α x₀, σ² I), where α and σ² are integrals of its two "
    "coefficients.",
    formula="α = exp ∫ a ds,  σ² = α² ∫ g²/α² ds",
)
def law_of_noising() -> list[Check]:
    """From t = 0.9 down to 0.2, with a = α'/α and g as the sampler's own equation has them: α ratio and variance of the
    transition against Legendre's rule with 40 nodes on integrands that are analytic within 0.1 of the interval: its
    error is 1.9^(−80), rounding 1e-12. The Ornstein-Uhlenbeck process likewise, with θ = 0.7 and σ = 1.3."""
    clean, noisy, found = 0.9, 0.2, []
    t, weight = legendre(40, noisy, clean)
    for path in (VP(), SubVP(), CondOT(), Cosine(-math.inf, math.inf), VE()):
        g = reversal(path)
        rate = torch.tensor(
            [schedule_at(path, s)[2] / schedule_at(path, s)[0] for s in t.tolist()], dtype=torch.float64
        )
        power = torch.tensor([g(s) ** 2 / schedule_at(path, s)[0] ** 2 for s in t.tolist()], dtype=torch.float64)
        scale = math.exp(-(weight * rate).sum().item())
        deviation = path.alpha(noisy) * math.sqrt((weight * power).sum().item())
        made, expected = (scale, deviation), path.transition(noisy, clean)
        worst = largest(*(abs(a / float(b) - 1.0) for a, b in zip(made, expected, strict=True)))
        found.append(Check(worst, 0.0, 1e-12, name_of(path)))
    process, (s, weight) = OrnsteinUhlenbeck(0.7, 1.3), legendre(40, 0.0, 2.0)
    variance = (weight * 1.3**2 * torch.exp(-1.4 * (2.0 - s))).sum().item()
    return [*found, Check(process.transition(0.0, 2.0)[1], variance, 1e-12, "Ornstein-Uhlenbeck")]


@claim(
    "A132",
    NOTES_2025["section 4.3"],
    statement="Noised data tend to N(0, I) where the variance is preserved. Where the variance explodes they have no "
    "limit.",
    formula="1 + (s² − 1) e^(−T) → 1 with T = ∫ β ds;  s² + ∫ g² ds → ∞",
)
def limit_of_noising() -> list[Check]:
    """s = 1/2. The variances that the scores of the exact oracles show, to a relative rounding of 1e-12: on VP at four
    values of T, and after a time 10 of unit diffusion, where it is 10.25."""
    data, path, found = gaussian(0.0, 0.5), VP(), []
    for elapsed in (0.1, 1.0, 5.0, 10.0):
        t = float(path.time(-math.log(math.expm1(elapsed))))
        found.append(Check(spread(data, t, path), 1.0 - 0.75 * math.exp(-elapsed), 1e-12, f"VP, T = {elapsed:g}"))
    return [*found, Check(spread(data, 0.0, VE(math.sqrt(10.0))), 10.25, 1e-10, "VE at time 10")]


@claim(
    "A133",
    NOTES_2025["Eq. 58"],
    ANDERSON,
    SLIDES,
    statement="Many reversed equations share the marginals of the noising process. Only the one with the process's "
    "own noise has its law on paths.",
    formula="dX = [−a X + g² s] dt + g dW:  Cov(X₀.₅, X₂) = e^(−0.75) Var X₀.₅",
)
def law_on_paths() -> list[Check]:
    """dX = −X/2 ds + dW from N(0, 4): Var X₂ = 1 + 3e^(−2), and backwards with κ = η² times the noise the covariance is
    √(v v') (1.33188/√(v v'))^κ. A method of weak order 2 errs by C h² + O(h³); extrapolated from 100 and 200 steps
    O(h³) is left, with steps of 0.006 in the log-SNR and rates up to 3, (0.018)³ = 6e-6: 1e-5."""
    path, data, found = VP(), gaussian(0.0, 2.0), []
    late, early = (float(path.time(-math.log(math.expm1(elapsed)))) for elapsed in (2.0, 0.5))
    v_late, v_early = (1.0 + 3.0 * math.exp(-elapsed) for elapsed in (2.0, 0.5))
    true = math.exp(-0.75) * v_early
    for kappa in (0.0, 0.5, 1.0, 2.0):
        equation = reverse_sde(data.denoiser(path), math.sqrt(kappa))

        def moments(n: int, equation: Equation = equation) -> tuple[float, float]:
            levels = grid(n, path.log_snr(late), path.log_snr(early))
            made = response(SRA1(), equation, path.time(levels))
            return made.gain * v_late, made.law(0.0, math.sqrt(v_late))[1] ** 2

        covariance, variance = ((4.0 * b - a) / 3.0 for a, b in zip(moments(100), moments(200), strict=True))
        expected = math.sqrt(v_late * v_early) * (true / math.sqrt(v_late * v_early)) ** kappa
        found += [
            Check(covariance, expected, 1e-5, f"the covariance, κ = {kappa:g}"),
            Check(variance, v_early, 1e-5, f"the variance, κ = {kappa:g}"),
        ]
    return found


@claim(
    "A134",
    NOTES_2025["section 4.3"],
    statement="The reversal of noising has the drift of the noise level g: the velocity of the flow plus half of g² "
    "times the score.",
    formula="−a x + g² s = u + ½ g² s",
)
def reversal_is_a_noise_level() -> list[Check]:
    """Three forms of one drift for a mixture: rounding of numbers of the order of g² s ≈ 100, 1e-12 relative."""
    found = []
    for path in (VP(), CondOT(), Cosine(-math.inf, math.inf)):
        denoiser, worst = BROAD_MIXTURE.denoiser(path), 0.0
        level, reverse = diffusion_sde(denoiser, reversal(path), 0.1, 0.9), reverse_sde(denoiser)
        for t in (0.1, 0.5, 0.9):
            alpha, _, d_alpha, _ = schedule_at(path, t)
            anderson = d_alpha / alpha * STATES + reversal(path)(t) ** 2 * BROAD_MIXTURE.score(STATES, t, path)
            size = largest(anderson)
            for other in (level.drift(t, STATES), reverse.drift(t, STATES)):
                worst = largest(worst, largest(other - anderson) / size)
        found.append(Check(worst, 0.0, 1e-12, name_of(path)))
    return found


@claim(
    "A135",
    SLIDES["Perturbing data with stochastic processes"],
    statement="If noise is only added, the flow from the data widens N(m, s²) by √((s² + σ²)/s²), and the reversal "
    "drifts along the score alone.",
    formula="dx = −½ (dσ²/ds) score ds:  x_σ = m + (x₀ − m) √((s² + σ²)/s²)",
)
def added_noise() -> list[Check]:
    """N(0.7, 0.25) to σ = 2. The oracle's map to rounding, 1e-12; RK4 in 200 steps on a field whose rates are below
    σ_max²/s² · h = 0.04 a step, in the fourth power 3e-6. The drift of the reversal is an identity, 1e-12."""
    data, path = gaussian(0.7, 0.5), VE(2.0)
    expected = 0.7 + (STATES - 0.7) * math.sqrt(4.25 / 0.25)
    t = 0.4
    drift = -path.d_sigma(t) * 2.0 * path.sigma(t) * data.score(STATES, t, path)
    times = grid(200, 1.0, 0.0)
    solved = solve(flow(data.denoiser(path)), STATES, times, RK4()).x
    oracle = Gaussian(data.means[0], data.covs[0]).flow_map(STATES, 1.0, 0.0, path)
    reverse = reverse_sde(data.denoiser(path)).drift(t, STATES)
    return [
        Check(largest(oracle - expected), 0.0, 1e-12, "the oracle's map"),
        Check(largest(solved - expected), 0.0, 3e-6, "solved from the data to σ = 2"),
        Check(largest(reverse - drift), 0.0, 1e-12, "the drift of the reversal"),
    ]


@claim(
    "A136",
    SLIDES["WLOG: Toy SDE"],
    statement="In y = x/α every process with a linear drift only adds noise, of deviation σ/α, and its score is α "
    "times the score of x.",
    formula="s_y(y) = α s_x(α y)",
)
def every_process_as_added_noise() -> list[Check]:
    """The scores of a mixture on two paths at one log-SNR: rounding, and that of the time of a log-SNR, 1e-12."""
    exploding, found = VE(), []
    for path in (VP(), CondOT(), Cosine(-math.inf, math.inf)):
        worst = 0.0
        for t in (0.1, 0.5, 0.9):
            alpha = path.alpha(t)
            there = BROAD_MIXTURE.score(STATES, exploding.time(path.log_snr(t)), exploding)
            worst = largest(worst, largest(there - alpha * BROAD_MIXTURE.score(alpha * STATES, t, path)))
        found.append(Check(worst, 0.0, 1e-12, name_of(path)))
    return found


@claim(
    "A137",
    NOTES_2025["section 4.3"],
    statement="DDPM's chain discretises the variance-preserving equation, with first order in the number of its "
    "levels.",
    formula="log ᾱ_N + ∫β = −½ (∫β² + β(1) − β(0))/N + O(N⁻²),  β_i = β(i/N)/N",
)
def chain_as_discretisation() -> list[Check]:
    """β from 0.1 to 20: ∫β² = (20³ − 0.1³)/(3 · 19.9) = 134.0, so that N times the gap tends to 77. The next terms are
    those of log(1 − x), ⅓ ∫β³ = 670, and of the sum for an integral, ¼ (β(1)² − β(0)²) = 100, over N²; with all further
    ones 900/N². So N = 100, 1000 and 10,000 give 0.857, 0.0777 and 0.0077."""
    found, path = [], VP()
    limit = 0.5 * ((20.0**3 - 0.1**3) / (3.0 * 19.9) + 19.9)
    for count in (100, 1000, 10_000):
        table = Table(linear_betas(count, (0.1 + 19.9 / count) / count, 20.0 / count))
        gap = 2.0 * (math.log(table.alpha(0.0)) - math.log(path.alpha(0.0)))
        found.append(Check(-gap, limit / count, 900.0 / count**2, f"N = {count}"))
    return found


def bound_gap(steps: int, variance: str, beta: float = 10.0) -> float:
    """E L − H for N(0, 1/4) and the chain of `steps` equal β, less the prior term: in nats, exact up to rounding.

    Every term of the bound is quadratic in (x₀, ε) for the exact model, so that three nodes for each take its mean.
    """
    path = Table((-math.expm1(-beta / steps),) * steps)
    at = nodes(gaussian(0.0, 0.5), 3, 0.5)
    bound = variational_bound(gaussian(0.0, 0.5).denoiser(path), at.x0, Given(at.eps), variance=variance)
    entropy = 0.5 * math.log(2.0 * math.pi * math.e * 0.25)
    final = spread(gaussian(0.0, 0.5), 0.0, path)
    return at.mean(bound.total).item() - entropy - 0.5 * (final - 1.0 - math.log(final))


@claim(
    "A138",
    NOTES_2025["section 4.3"],
    statement="The variational bound becomes tight as the steps of the chain become small, if the step variance is "
    "the β of the process.",
    formula="E L = H(x₀) + KL(x_T ‖ N(0, I)) + O(1/T)",
)
def tight_in_the_limit() -> list[Check | Bound]:
    """N(0, 1/4), equal β with ∏(1 − β) = e^(−10): the gap is C/T + O(1/T²), so that it halves from T = 100 to 200 to
    400 up to O(1/T), 0.1 and 0.05, and it is never negative."""
    coarse, middle, fine = (bound_gap(steps, "large") for steps in (100, 200, 400))
    return [
        Check(coarse / middle, 2.0, 0.1, "the gap of 100 steps over that of 200"),
        Check(middle / fine, 2.0, 0.05, "the gap of 200 steps over that of 400"),
        Bound(fine, 0.0, "the gap of 400 steps", above=True),
    ]

"""Diffusion in discrete time: the chain that adds noise, and its posterior.

q(x_s | x_t) = N(a x_t, B),  a = α_s/α_t,  B = σ_s² − a² σ_t²,        s noisier than t
q(x_t | x_s, x₀) = N(a (σ_t/σ_s)² x_s + α_t c x₀, σ_t² c),        c = B/σ_s² = 1 − SNR_s/SNR_t
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch

from ....generative import VP, CondOT, Table, linear_betas, posterior
from ..claim import Bound, Check, claim
from ..sources import SLIDES, TUTORIAL
from ..tools.errors import largest
from ..tools.examples import EXAMPLE, EXAMPLE_TIMES
from ..tools.points import FIVE_PATHS, column


@claim(
    "A151",
    SLIDES["Forward Process"],
    TUTORIAL["section 5"],
    statement="A noisy state can be drawn without simulation: T steps of noise compose to one Gaussian, whose "
    "coefficients are products.",
    formula="q(x_t | x₀) = N(√ᾱ_t x₀, 1 − ᾱ_t), ᾱ_t = Π (1 − β_s)",
)
def one_step_for_many() -> list[Check]:
    """The path of a table of 1000 β against mean ← √(1 − β) mean, variance ← (1 − β) variance + β.

    Each of the 1000 products and sums rounds once, 1.1e-16, and so do the logarithms of the table: 1e-12 in all.
    """
    path, mean, variance, gaps = Table(linear_betas(1000)), 1.0, 0.0, []
    for index, beta in enumerate(path.betas):
        mean, variance = math.sqrt(1.0 - beta) * mean, (1.0 - beta) * variance + beta
        t = path.at(index)
        gaps.append((abs(path.alpha(t) - mean), abs(path.sigma(t) ** 2 - variance)))
    of_means, of_variances = zip(*gaps, strict=True)
    return [
        Check(largest(*of_means), 0.0, 1e-12, "largest difference of √ᾱ over 1000 levels"),
        Check(largest(*of_variances), 0.0, 1e-12, "largest difference of 1 − ᾱ"),
    ]


@claim(
    "A152",
    TUTORIAL["Eq. 18 and 46"],
    statement="The kernels from each level to the next compose to the kernel from the first level to the last, on any "
    "grid.",
    formula="q(x_s | x_t) = N((α_s/α_t) x_t, σ_s² − (α_s/α_t)² σ_t²)",
)
def kernels_compose() -> list[Check]:
    """Twelve uneven steps against one, and one against the printed variance, in units of the larger σ².

    A dozen roundings, and in the printed variance a difference of numbers of order σ²: 1e-13.
    """
    times = [0.95, 0.9, 0.83, 0.8, 0.71, 0.7, 0.6, 0.45, 0.4, 0.28, 0.21, 0.1, 0.03]
    composed, printed = [], []
    for path in FIVE_PATHS:
        mean, variance = 1.0, 0.0
        for cleaner, noisier in pairwise(times):
            scale, deviation = map(float, path.transition(noisier, cleaner))
            mean, variance = scale * mean, scale**2 * variance + deviation**2
        scale, deviation = map(float, path.transition(times[-1], times[0]))
        noisy, clean = path.sigma(times[-1]), path.sigma(times[0])
        composed.append(largest(abs(mean - scale), abs(variance - deviation**2) / noisy**2))
        printed.append(abs(noisy**2 - scale**2 * clean**2 - deviation**2) / noisy**2)
    return [
        Check(largest(*composed), 0.0, 1e-13, "12 kernels against 1, five paths"),
        Check(largest(*printed), 0.0, 1e-13, "variance against the printed one"),
    ]


@claim(
    "A153",
    TUTORIAL["Eq. 19, Eq. 48-57 and section 5"],
    statement="Given the clean sample, a step back in noise is a Gaussian. Bayes' rule gives its moments, in every "
    "form that is printed.",
    formula="q(x_t | x_s, x₀) = N(a (σ_t/σ_s)² x_s + (B/σ_s²) α_t x₀, B σ_t²/σ_s²)",
)
def posterior_is_bayes() -> list[Check]:
    """Against Gaussian conditioning of the pair (x_t, x_s) given x₀: gain = Cov/Var, mean and variance.

    Steps are of order one in log-SNR, so that nothing cancels: 1e-12 of the largest coefficient.
    """
    gaps = []
    for path in FIVE_PATHS:
        for s, t in ((0.1, 0.4), (0.3, 0.7), (0.05, 0.9)):
            a, deviation = map(float, path.transition(s, t))
            alpha, sigma = path.alpha(t), path.sigma(t)
            gain = a * sigma**2 / (a**2 * sigma**2 + deviation**2)
            bayes = gain, alpha - gain * a * alpha, sigma**2 - gain * a * sigma**2
            made = posterior(path, s, t)
            scale = max(1.0, *bayes)
            found = made.from_x, made.from_x0, made.variance
            in_c = (1.0 - float(made.removed)) * alpha / path.alpha(s), alpha * float(made.removed)
            gaps += [abs(float(one) - two) / scale for one, two in zip(found, bayes, strict=True)]
            gaps += [abs(one - two) / scale for one, two in zip(in_c, bayes[:2], strict=True)]
    return [Check(largest(*gaps), 0.0, 1e-12, "largest difference of a coefficient, 5 paths, 3 steps, 2 forms")]


@claim(
    "A154",
    TUTORIAL["Eq. 47 and 56"],
    statement="The variances of a step are positive, and its coefficient c lies in (0, 1), if and only if the "
    "signal-to-noise ratio falls.",
    formula="B > 0 ⟺ 0 < c = 1 − SNR_s/SNR_t < 1 ⟺ SNR_s < SNR_t",
)
def when_a_step_exists() -> list[Check]:
    """All pairs of 60 pairs (α, σ): a count, exact. A step of 1e-10 in log-SNR: `expm1` loses nothing, where 1 − e^x
    keeps a relative 1e-6.

    c = 2 h (1 − h) for the small h that the path itself shows, to rounding: a relative 1e-15.
    """
    numbers = torch.rand(60, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.05
    alpha, sigma = numbers[:, :1], numbers[:, 1:]
    falls = (alpha / sigma) ** 2 < ((alpha / sigma) ** 2).T  # from the row's level s to the column's t
    transition = sigma**2 - (alpha / alpha.T) ** 2 * sigma.T**2
    c = 1.0 - (alpha / sigma) ** 2 / ((alpha / sigma) ** 2).T
    apart = ~torch.eye(60, dtype=torch.bool)
    disagree = (((transition > 0.0) != falls) | (((c > 0.0) & (c < 1.0)) != falls)) & apart
    path, refused = VP(), 0
    for s, t in ((0.6, 0.4), (0.5, 0.5)):
        try:
            posterior(path, s, t)
        except ValueError:
            refused += 1
    s, t = 0.5, 0.5 + 1e-10 / path.d_half_log_snr(0.5)
    h = path.half_log_snr(t) - path.half_log_snr(s)
    short = float(posterior(path, s, t).removed) / (2.0 * h * (1.0 - h)) - 1.0
    return [
        Check(float(disagree.sum()), 0.0, 0.0, "pairs where the three conditions disagree, of 3540"),
        Check(float(refused), 2.0, 0.0, "steps that go nowhere or back, refused"),
        Check(short, 0.0, 1e-15, "relative error of c in a step of 1e-10"),
    ]


@claim(
    "A155",
    TUTORIAL["Eq. 27"],
    statement="The β of DDPM follow from the signal of a path or from its noise. The two agree if the path preserves "
    "the variance.",
    formula="1 − β_t = (α_t/α_{t−1})², β_t = σ_t² − (α_t/α_{t−1})² σ_{t−1}²",
)
def betas_of_a_path() -> list[Check | Bound]:
    """On a table of 1000 β: each is a difference of numbers near 1 that carry 1000 roundings, 1e-12.

    CondOT is the counterexample: from 0.6 to 0.5, 1 − (0.5/0.6)² = 11/36, but 0.5² − (0.5/0.6)² 0.4² = 5/36.
    """
    path = Table(linear_betas(1000))
    times = path.at(torch.arange(1000))
    betas = torch.tensor(path.betas[1:], dtype=torch.float64)
    alpha, sigma = (torch.as_tensor(of(times)) for of in (path.alpha, path.sigma))
    ratio = alpha[1:] / alpha[:-1]
    steps = posterior(path, times[1:], times[:-1])
    straight = posterior(CondOT(), 0.5, 0.6)
    return [
        Check(largest(1.0 - ratio**2 - betas), 0.0, 1e-12, "β from √ᾱ, largest difference"),
        Check(largest(sigma[1:] ** 2 - ratio**2 * sigma[:-1] ** 2 - betas), 0.0, 1e-12, "β from σ"),
        Check(largest(torch.as_tensor(steps.transition) - betas), 0.0, 1e-12, "β as `posterior` has it"),
        Bound(11.0 / 36.0 - float(straight.transition), 1.0 / 6.0 - 1e-12, "difference on CondOT", above=True),
    ]


@claim(
    "A156",
    SLIDES["Reverse Process, with the bars of E71 and E72"],
    statement="DDPM's posterior mean is the same number written in x₀ and in ε, and its variance is the one of Bayes' "
    "rule.",
    formula="μ̃ = (√ᾱ' β x₀ + √α (1 − ᾱ') x)/(1 − ᾱ) = (x − β/√(1 − ᾱ) ε)/√α,  β̃ = β (1 − ᾱ')/(1 − ᾱ)",
)
def ddpm_posterior() -> list[Check]:
    """ᾱ' = 0.5, β = 0.1, x₀ = 1.3, ε = −0.4: numbers of order one, 1e-14. Bayes' variance is 1/(0.9/0.1 + 1/0.5)."""
    made = posterior(EXAMPLE, *EXAMPLE_TIMES)
    x0, eps = column([1.3]), column([-0.4])
    x = math.sqrt(0.45) * x0 + math.sqrt(0.55) * eps
    printed = (math.sqrt(0.5) * 0.1 * 1.3 + math.sqrt(0.9) * 0.5 * x.item()) / 0.55
    return [
        Check(made.mean(x, x0).item(), printed, 1e-14, "in x₀"),
        Check(made.mean_from_eps(x, eps).item(), printed, 1e-14, "in ε"),
        Check(printed, 0.663398, 5e-7, "as a number"),
        Check(float(made.variance), 1.0 / 11.0, 1e-14, "β̃"),
    ]

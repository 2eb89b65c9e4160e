"""Errata of the slides on discrete diffusion, noise levels and probability paths.

Each claim measures two things: by how much the printed form fails, and that the corrected one holds.
"""

from __future__ import annotations

import math

import torch

from ....generative import VE, CondOT, GeometricVE, Table, linear_betas, posterior
from ....generative.paths import Geometric
from ....solvers import Noise
from ..claim import Bound, Check, claim
from ..sources import SLIDES
from ..tools.errors import largest
from ..tools.examples import DEVIATION, EXAMPLE, EXAMPLE_TIMES, MEAN, chain_law
from ..tools.points import MIXTURE, cdf, column, gaussian
from ..tools.quadrature import trapezoid
from ..tools.samplers import response


def printed_chain() -> tuple[float, float]:
    """Mean and deviation of the chain with the posterior as printed, on 1000 levels, of N(0.7, 0.25)."""
    path = Table(linear_betas())
    data, betas = gaussian(MEAN, DEVIATION).denoiser(path), path.betas
    bars = torch.cumprod(1.0 - torch.tensor(betas, dtype=torch.float64), 0).tolist()

    def run(x: torch.Tensor, noise: Noise) -> torch.Tensor:
        for i in reversed(range(path.steps)):
            alpha, beta, bar = 1.0 - betas[i], betas[i], bars[i]
            before = betas[i - 1] if i else 0.0  # 1 − α_{t−1}
            x0 = data.predict("x0", path.at(i), x)
            x = math.sqrt(alpha) * beta / (1.0 - alpha) * x0 + math.sqrt(alpha) * before / (1.0 - bar) * x
            if i:
                x = x + math.sqrt(before / (1.0 - bar) * beta) * noise.extra(i, x)
        return x

    return response(run).law()


@claim(
    "E71",
    SLIDES["Reverse Process"],
    statement="Three bars are missing in the posterior mean: its weights are √ᾱ_{t−1} β/(1 − ᾱ) and √α (1 − "
    "ᾱ_{t−1})/(1 − ᾱ).",
    formula="printed: √α β/(1 − α) x₀ + √α (1 − α_{t−1})/(1 − ᾱ) x_t",
    erratum=True,
    damage="bars over α are lost in other places of our copy too.",
)
def posterior_mean() -> list[Check | Bound]:
    """The example of A156: printed 1.302765, against 0.663398 in the slide's own form in ε: rounding, 1e-14.

    The chain of 1000 levels, which should make 0.7 and 0.5: with the bars 0.69999 and 0.4961, half a unit of the last
    digit; as printed mean and deviation are 38.8 and 0.697, the same.
    """
    s, t = EXAMPLE_TIMES
    x0, eps = column([1.3]), column([-0.4])
    x = math.sqrt(0.45) * x0 + math.sqrt(0.55) * eps
    printed = math.sqrt(0.9) * 1.3 + math.sqrt(0.9) * 0.07 / 0.55 * x.item()
    in_eps = (x - 0.1 / math.sqrt(0.55) * eps).item() / math.sqrt(0.9)
    wrong, right = printed_chain(), chain_law(Table(linear_betas()), None, "small")
    return [
        Bound(abs(printed - in_eps), 0.5, "error of the printed mean, 1.302765 for 0.663398", above=True),
        Check(posterior(EXAMPLE, s, t).mean(x, x0).item(), in_eps, 1e-14, "corrected"),
        Bound(abs(wrong[0] - MEAN), 38.0, "error of the mean of the printed chain", above=True),
        Check(wrong[0], 38.8, 0.05, "its mean"),
        Check(wrong[1], 0.697, 5e-4, "its deviation"),
        Check(right[0], 0.69999, 5e-6, "mean of the corrected chain"),
        Check(right[1], 0.4961, 5e-5, "its deviation"),
    ]


@claim(
    "E72",
    SLIDES["Reverse Process"],
    statement="A bar is missing in the posterior variance: β̃ = β (1 − ᾱ_{t−1})/(1 − ᾱ).",
    formula="printed: (1 − α_{t−1})/(1 − ᾱ) β",
    erratum=True,
    damage="bars over α are lost in other places of our copy too.",
)
def posterior_variance() -> list[Check | Bound]:
    """By Bayes' rule 1/(α/β + 1/(1 − ᾱ_{t−1})) = 1/(9 + 2); printed 0.07 · 0.1/0.55 = 0.0127. Rounding, 1e-14."""
    printed, bayes = 0.07 / 0.55 * 0.1, 1.0 / (0.9 / 0.1 + 1.0 / 0.5)
    return [
        Bound(abs(printed - bayes), 0.078, "error of the printed variance, 0.01273 for 0.09091", above=True),
        Check(float(posterior(EXAMPLE, *EXAMPLE_TIMES).variance), bayes, 1e-14, "corrected"),
    ]


@claim(
    "E73",
    SLIDES["Using multiple noise levels"],
    statement="Densities cannot be ordered point by point, since all integrate to 1. The levels σ can, from large to "
    "small.",
    formula="printed: p_σ1(x) < p_σ2(x) < p_σ3(x); right: σ_1 > σ_2 > … > σ_L",
    erratum=True,
    damage="the signs < may stand for the arrows of a picture.",
)
def ordered_densities() -> list[Check | Bound]:
    """Two noised densities on a line: the integral of their difference is 0 to rounding of the trapezoidal rule, 1e-12,
    so that where one is larger by 0.1 the other must be elsewhere. The levels: a count of rising pairs."""
    path, (x, weight) = VE(1.0), trapezoid(-9.0, 9.0, 1801)
    first, second = (MIXTURE.log_prob(x, path.time(-2.0 * math.log(r)), path).exp() for r in (0.3, 0.6))
    u = (torch.arange(10, dtype=torch.float64) + 0.5) / 10.0
    levels = GeometricVE(0.1, 10.0)
    sigmas = levels.sigma(Geometric(10.0, 0.1, 10).quantile(levels, u))
    return [
        Bound(float((first - second).max()), 0.05, "largest p_σ1 − p_σ2, printed as negative", above=True),
        Bound(float((second - first).max()), 0.05, "largest p_σ2 − p_σ1", above=True),
        Check(float((first - second).sum() * weight), 0.0, 1e-12, "integral of the difference"),
        Check(float((sigmas.diff() >= 0.0).sum()), 0.0, 0.0, "pairs of neighbouring levels that rise"),
    ]


@claim(
    "E74",
    SLIDES["X_0 conditioning"],
    statement="The marginal is an integral over the point dx_0 on which the path is conditioned; dx_1 does not occur "
    "in its integrand.",
    formula="p_t(x) = ∫ p_{t|0}(x|x_0) p(x_0) dx_0",
    erratum=True,
)
def integration_variable() -> list[Check | Bound]:
    """The noise x_0 on a line of 8 deviations, p_{t|0}(x|x_0) = q((x − σ x_0)/α)/α: the trapezoidal rule to rounding,
    1e-12. Over x_1 in [−R, R] the printed integrand is constant, and its integral, 2 R times it, grows without bound:
    at R = 10 and 100 it is far too large."""
    path, t, x = CondOT(), 0.4, column([-0.5, 0.3, 1.0])
    nodes, weight = trapezoid(-9.0, 9.0, 1801)
    alpha, sigma = path.alpha(t), path.sigma(t)
    clean = ((x - sigma * nodes[:, 0]) / alpha).reshape(-1, 1)
    conditional = MIXTURE.log_prob(clean).exp().reshape(3, -1) / alpha
    prior = torch.exp(-0.5 * nodes[:, 0] ** 2) / math.sqrt(2.0 * math.pi)
    marginal = (conditional * prior).sum(1) * weight
    truth = MIXTURE.log_prob(x, t, path).exp()
    integrand = float(conditional[1, 900]) * float(prior[900])  # at one x_0, constant in x_1
    errors = [integrand * 2.0 * radius - truth[1].item() for radius in (10.0, 100.0)]
    return [
        Bound(errors[0], truth[1].item(), "error of the printed integral, R = 10", above=True),
        Bound(errors[1], 10.0 * truth[1].item(), "error of the printed integral, R = 100", above=True),
        Check(largest(marginal - truth), 0.0, 1e-12, "corrected"),
    ]


@claim(
    "E75",
    SLIDES["Continuity Equation"],
    statement="Minus the divergence of the flux is inflow less outflow, and not outflow less inflow.",
    formula="d/dt ∫_a^b p dx = p u(a) − p u(b)",
    erratum=True,
)
def inflow_and_outflow() -> list[Check | Bound]:
    """The mass of [0, 0.8] by the distribution function, its rate by automatic differentiation: rounding, 1e-12."""
    path, ends, t = CondOT(), column([0.0, 0.8]), 0.6
    at = torch.tensor(t, dtype=torch.float64, requires_grad=True)
    spread = (at**2 * MIXTURE.covs[:, 0, 0] + (1.0 - at) ** 2).sqrt()
    below = torch.special.ndtr((ends - at * MIXTURE.means[:, 0]) / spread) @ MIXTURE.weights
    rate = torch.autograd.grad(below[1] - below[0], at)[0].item()
    flux = MIXTURE.log_prob(ends, t, path).exp() * MIXTURE.velocity(ends, t, path)[:, 0]
    inflow, outflow = flux.tolist()
    held = cdf(MIXTURE, ends, t, path)
    return [
        Check(largest(held - below.detach()), 0.0, 1e-14, "the distribution function"),
        Bound(abs(outflow - inflow - rate), 0.1, "error of outflow less inflow", above=True),
        Check(inflow - outflow, rate, 1e-12, "inflow less outflow"),
    ]

"""Probability: densities, expectations, conditional expectations, integration by parts, traces.

Integrals are trapezoidal sums of some hundred terms of order one, over ten deviations and more on every side. Their
rounding is below 10⁻¹³, and what they leave out is below e⁻⁵⁰; hence the tolerance of 10⁻¹².
"""

from __future__ import annotations

import math
from itertools import product

import torch
from torch import Tensor

from ....generative import CondOT
from ....generative.likelihood import draws, quadratic
from ....solvers import standard_normal
from ....solvers.noise import per_sample_keys
from ...oracles import Gaussian
from ..claim import Check, Statistical, claim
from ..sources import HUTCHINSON, NOTES_2025, NOTES_2026, TUTORIAL
from ..tools.points import MIXTURE, MIXTURE_2D, gaussian
from ..tools.quadrature import trapezoid, trapezoid_plane
from ..tools.tests import mean_test

PATH, TIME = CondOT(), 0.6
"""Where X = x₀ and Y = x_t = α x₀ + σ ε serve as the pair of random variables."""
MEAN = float(MIXTURE.weights @ MIXTURE.means[:, 0])
SQUARE = float(MIXTURE.weights @ (MIXTURE.means[:, 0] ** 2 + MIXTURE.covs[:, 0, 0]))


def _posterior(y: float, x0: Tensor) -> Tensor:
    """p(x₀ | x_t = y) by Bayes: N(y; α x₀, σ²) p(x₀) / p_t(y), at the nodes x₀ (n, 1)."""
    alpha, sigma = PATH.alpha(TIME), PATH.sigma(TIME)
    noise = gaussian(0.0, sigma).log_prob(y - alpha * x0)
    evidence = MIXTURE.log_prob(torch.tensor([[y]], dtype=torch.float64), TIME, PATH)
    return (noise + MIXTURE.log_prob(x0) - evidence).exp()


@claim(
    "A001",
    NOTES_2025["Eq. 81"],
    NOTES_2026["Eq. 11"],
    statement="The isotropic normal density integrates to one, with the deviation and not the variance as its scale.",
    formula="N(x; m, s²I) = (2πs²)^(−d/2) exp(−‖x−m‖²/2s²)",
)
def normal_density() -> list[Check]:
    """Quadrature to 10⁻¹² (see the module). The density at 0.3 from the mean is one exponential: 10⁻¹⁵ relative."""
    x, h = trapezoid(-7.3, 9.7, 801)
    flat = gaussian(1.2, 0.6)
    xs, area = trapezoid_plane(-7.0, 9.0, 321)
    solid = Gaussian(torch.tensor([1.2, 0.5], dtype=torch.float64), 0.36 * torch.eye(2, dtype=torch.float64))
    at = solid.log_prob(torch.tensor([[1.5, 0.5]], dtype=torch.float64)).exp()
    return [
        Check(float(flat.log_prob(x).exp().sum()) * h, 1.0, 1e-12, "∫ in one dimension"),
        Check(float(solid.log_prob(xs).exp().sum()) * area, 1.0, 1e-12, "∫ in two dimensions"),
        Check(float(at), math.exp(-0.125) / (0.72 * math.pi), 1e-14, "the value one deviation / 2 from the mean"),
    ]


@claim(
    "A002",
    NOTES_2025["Eq. 82"],
    NOTES_2026["Eq. 12"],
    statement="The mean is the constant from which a random variable has the least mean square distance.",
    formula="E X = argmin_z E|X − z|²",
)
def mean_minimises_the_distance() -> list[Check]:
    """The risk is a parabola in z, and three of its values give its minimum: with a second difference of 2 and values
    up to 20, quadrature's relative 10⁻¹³ is 3·10⁻¹² there."""
    x, h = trapezoid(-8.0, 8.0, 801)
    weights = MIXTURE.log_prob(x).exp() * h

    def risk(z: float) -> float:
        return float((weights * (x[:, 0] - z) ** 2).sum())

    checks = []
    for z in (-3.0, 2.0):
        left, middle, right = risk(z - 1.0), risk(z), risk(z + 1.0)
        vertex = z - 0.5 * (right - left) / (right - 2.0 * middle + left)
        checks.append(Check(vertex, MEAN, 3e-12, f"the minimiser, from three values about z = {z:g}"))
    return [*checks, Check(risk(MEAN + 0.1) - risk(MEAN), 0.01, 3e-12, "the excess at a distance of 0.1")]


@claim(
    "A003",
    NOTES_2025["Eq. 83"],
    NOTES_2026["Eq. 13"],
    statement="The expectation of a function of X is its integral against the density of X.",
    formula="E sin X = ∫ sin(x) p(x) dx = sin(m) exp(−s²/2) for N(m, s²)",
)
def unconscious_statistician() -> list[Check | Statistical]:
    """Quadrature to 10⁻¹². The draws have deviation below 1: 10⁵ of them show a shift of 6.2/√10⁵ = 0.02."""
    law, expected = gaussian(0.8, 0.7), math.sin(0.8) * math.exp(-0.245)
    x, h = trapezoid(-7.0, 9.0, 801)
    integral = float((x[:, 0].sin() * law.log_prob(x).exp()).sum()) * h
    draws = law.sample(100_000, seed=3)[:, 0].sin()
    return [
        Check(integral, expected, 1e-12, "by quadrature"),
        mean_test(draws, expected, "by draws of the oracle"),
    ]


@claim(
    "A004",
    NOTES_2025["Eq. 84-86"],
    NOTES_2026["Eq. 14-16"],
    statement="Marginal densities are integrals of the joint density, conditional densities are quotients of "
    "densities, and Bayes' rule exchanges the two variables.",
    formula="p(x) = ∫ p(x, y) dy,  p(x | y) = p(x, y)/p(y),  p(x | y) = p(y | x) p(x)/p(y)",
)
def bayes_rule() -> list[Check]:
    """Quadrature to 10⁻¹²; quotients of densities of order one keep it. The posterior's mean is the oracle's denoiser,
    which knows it in closed form."""
    mean, covariance = [0.4, -0.3], [[0.49, 0.3], [0.3, 0.81]]
    joint = Gaussian(torch.tensor(mean, dtype=torch.float64), torch.tensor(covariance, dtype=torch.float64))
    y, h = trapezoid(-10.0, 10.0, 1001)
    along_y = torch.cat([torch.full_like(y, 0.9), y], dim=1)
    of_x, of_y = gaussian(0.4, 0.7), gaussian(-0.3, 0.9)
    marginal = float(joint.log_prob(along_y).exp().sum()) * h
    point = torch.tensor([[0.9, 0.1]], dtype=torch.float64)
    conditional = joint.log_prob(point) - of_y.log_prob(point[:, 1:])
    slope, spread = 0.3 / 0.81, math.sqrt(0.49 - 0.09 / 0.81)
    exact = gaussian(0.4 + slope * 0.4, spread).log_prob(point[:, :1])
    x0, step = trapezoid(-9.0, 9.0, 1201)
    posterior = _posterior(0.5, x0)
    oracle = MIXTURE.x0(torch.tensor([[0.5]], dtype=torch.float64), TIME, PATH)
    mean_of_x0 = float((posterior * x0[:, 0]).sum()) * step
    return [
        Check(marginal, float(of_x.log_prob(point[:, :1]).exp()), 1e-12, "the marginal density at 0.9"),
        Check(float(conditional.exp()), float(exact.exp()), 1e-12, "the conditional density of 0.9 given 0.1"),
        Check(float(posterior.sum()) * step, 1.0, 1e-12, "∫ of Bayes' posterior of x₀ given x_t"),
        Check(mean_of_x0, float(oracle), 1e-12, "its mean, and the oracle's E[x₀ | x_t]"),
    ]


@claim(
    "A005",
    NOTES_2025["Eq. 87-89"],
    NOTES_2026["Eq. 17-19"],
    TUTORIAL["Eq. 28-29"],
    statement="The conditional expectation is the function of Y with the least mean square distance from X, and only "
    "it is.",
    formula="E[X | Y] = argmin_g E|X − g(Y)|²",
)
def conditional_expectation() -> list[Check | Statistical]:
    """Least squares on a grid with the joint density as weights: the normal equations of cubics in y are conditioned
    like 10², so that quadrature's 10⁻¹² is 10⁻¹⁰ in the coefficients. Conversely the residual of the oracle's
    denoiser is orthogonal to functions of x_t. The fit to 10⁵ draws is tested on its slope, of known error."""
    alpha, sigma = PATH.alpha(TIME), PATH.sigma(TIME)
    data, total = gaussian(0.5, 0.7), (alpha * 0.7) ** 2 + sigma**2
    slope = alpha * 0.49 / total
    pairs, area = trapezoid_plane(-6.0, 6.0, 301)
    x0, x_t = pairs[:, :1], pairs[:, 1:]
    weights = (data.log_prob(x0) + gaussian(0.0, sigma).log_prob(x_t - alpha * x0)).exp() * area
    powers = x_t ** torch.arange(4.0, dtype=torch.float64)
    fit = torch.linalg.solve(powers.T @ (weights[:, None] * powers), powers.T @ (weights * x0[:, 0])).tolist()
    exact = [0.5 - slope * alpha * 0.5, slope, 0.0, 0.0]
    checks: list[Check | Statistical] = [
        Check(one, two, 1e-10, f"the coefficient of y^{k}") for k, (one, two) in enumerate(zip(fit, exact, strict=True))
    ]
    joint = (MIXTURE.log_prob(x0) + gaussian(0.0, sigma).log_prob(x_t - alpha * x0)).exp() * area
    residual = joint * (x0 - MIXTURE.x0(x_t, TIME, PATH))[:, 0]
    for name, function in (("y", x_t), ("sin 3y", (3.0 * x_t).sin()), ("[a Gaussian bump]", (-(x_t**2)).exp())):
        checks.append(Check(float((residual * function[:, 0]).sum()), 0.0, 1e-12, f"E (X − E[X | Y]) {name}"))
    draws = data.sample(100_000, seed=5)
    noisy = alpha * draws + sigma * standard_normal(draws, 6)
    centred, least = noisy - alpha * 0.5, draws - 0.5
    products = (centred * (least - slope * centred) / total)[:, 0]
    return [*checks, mean_test(products, 0.0, "the slope of a fit to draws, less the conditional expectation's")]


@claim(
    "A006",
    NOTES_2025["Eq. 90-91"],
    NOTES_2026["Eq. 20-21"],
    statement="The mean of a conditional mean is the mean. Given Y = y, a function of X and Y is a function of X "
    "alone.",
    formula="E E[X | Y] = E X,  E[f(X, Y) | Y = y] = E[f(X, y) | Y = y]",
)
def tower_property() -> list[Check]:
    """Quadrature to 10⁻¹² over p_t of the oracle's conditional mean, and over Bayes' posterior, divided by σ = 0.4."""
    alpha, sigma = PATH.alpha(TIME), PATH.sigma(TIME)
    y, h = trapezoid(-8.0, 8.0, 1001)
    weights = MIXTURE.log_prob(y, TIME, PATH).exp() * h
    denoised = MIXTURE.x0(y, TIME, PATH)[:, 0]
    x0, step = trapezoid(-9.0, 9.0, 1201)
    given = float((_posterior(0.5, x0) * (0.5 - alpha * x0[:, 0]) / sigma).sum()) * step
    noise = MIXTURE.eps(torch.tensor([[0.5]], dtype=torch.float64), TIME, PATH)
    return [
        Check(float((weights * denoised).sum()), MEAN, 1e-12, "E E[x₀ | x_t]"),
        Check(float((weights * y[:, 0] * denoised).sum()), alpha * SQUARE, 1e-12, "E x_t E[x₀ | x_t] = E x_t x₀"),
        Check(given, float(noise), 3e-12, "E[(y − α x₀)/σ | x_t = y], and the oracle's E[ε | x_t]"),
    ]


@claim(
    "A007",
    NOTES_2025["Eq. 92-95"],
    statement="Integration by parts moves a derivative from one factor of an integral to the other, with a minus sign.",
    formula="∫ ∇f·v = −∫ f ∇·v,  ∫ f Δg = ∫ g Δf",
)
def integration_by_parts() -> list[Check]:
    """Quadrature in the plane, with densities that decay in place of compact support: 10⁻¹² (see the module)."""
    x, area = trapezoid_plane(-7.0, 7.0, 281)
    score, velocity = MIXTURE_2D.score(x, TIME, PATH), MIXTURE_2D.velocity(x, TIME, PATH)
    f = MIXTURE_2D.log_prob(x, TIME, PATH).exp()
    bump = (-0.5 * (x - 0.3).square().sum(1)).exp()
    d_bump, d_f = -(x - 0.3) * bump[:, None], score * f[:, None]
    jacobian = torch.func.vmap(torch.func.jacrev(lambda y: MIXTURE_2D.score(y[None], TIME, PATH)[0]))(x)
    laplacian_f = f * (torch.einsum("bii->b", jacobian) + score.square().sum(1))
    laplacian_bump = bump * ((x - 0.3).square().sum(1) - 2.0)
    parts = [("f ∂₁g", f * d_bump[:, 0], -bump * d_f[:, 0]), ("f ∂₂g", f * d_bump[:, 1], -bump * d_f[:, 1])]
    parts.append(("∇f·v, v the velocity", (d_f * velocity).sum(1), -f * MIXTURE_2D.divergence(x, TIME, PATH)))
    parts.append(("f Δg", f * laplacian_bump, bump * laplacian_f))
    return [Check(float(one.sum()) * area, float(two.sum()) * area, 1e-12, what) for what, one, two in parts]


@claim(
    "A008",
    NOTES_2025["appendix B"],
    HUTCHINSON,
    statement="A quadratic form in noise of unit covariance has the trace of its matrix for its mean.",
    formula="E εᵀAε = tr A",
)
def trace_of_a_quadratic_form() -> list[Check | Statistical]:
    """The mean over all sixteen vectors of four signs is exact: rounding alone, 10⁻¹⁴. Random probes of either law are
    tested with their own standard error."""
    generator = torch.Generator().manual_seed(8)
    matrix = torch.randn(4, 4, generator=generator, dtype=torch.float64)
    trace = float(matrix.trace())

    def products(directions: Tensor) -> Tensor:
        return directions @ matrix

    signs = torch.tensor(list(product((-1.0, 1.0), repeat=4)), dtype=torch.float64)[:, None, :]
    x = torch.zeros(1, 4, dtype=torch.float64)
    checks: list[Check | Statistical] = [
        Check(float(quadratic(signs, products).mean()), trace, 1e-14, "over all vectors of signs")
    ]
    for law, seed in (("rademacher", 8), ("gaussian", 9)):
        probes = draws(per_sample_keys(seed, 1), [0], (20_000, 4), x, law)[0].transpose(0, 1)
        estimates = quadratic(probes, products)[:, 0]
        checks.append(mean_test(estimates, trace, f"{law} probes"))
    return checks

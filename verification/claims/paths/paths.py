"""Probability paths and their conditional fields.

With a = α_t and b = σ_t of a path, and dots for time derivatives, one data point z has the path and the field

    x_t = a z + b ε,        u_t(x | z) = (ȧ − (ḃ/b) a) z + (ḃ/b) x = ȧ z + ḃ ε.

The trapezoidal rule integrates Gaussian tails up to rounding, 10⁻¹² (see `quadrature`).
"""

from __future__ import annotations

import torch

from ....generative import (
    VE,
    VP,
    CondOT,
    Cosine,
    GaussianPath,
    GeometricVE,
    Interpolant,
    SubVP,
    flow,
)
from ....generative.training import target
from ....solvers import ExponentialAdams, solve, standard_normal
from ..claim import Bound, Check, Statistical, claim
from ..sources import BLOG, NOTES_2025, SLIDES, TUTORIAL
from ..tools.errors import largest
from ..tools.points import MIDDLE_TIMES, MIXTURE, WHOLE_PATHS, cdf, gaussian, name_of, point, schedule_at
from ..tools.quadrature import trapezoid
from ..tools.tests import ks_test

EVERY_PATH: tuple[GaussianPath, ...] = (*WHOLE_PATHS, CondOT(1e-3), Cosine(), VP(), SubVP(), VE(), GeometricVE())


@claim(
    "A051",
    NOTES_2025["Eq. 12"],
    SLIDES,
    BLOG["section 3.1"],
    statement="The path of one data point leads from the noise to that point.",
    formula="p₀(· | z) = N(0, I),  p₁(· | z) = δ_z",
)
def conditional_ends() -> list[Check]:
    """(α, σ) is (0, 1) at t = 0 and (1, 0) at t = 1; cos(π/2) and arcs are rounded, the rest is exact: 1.2·10⁻¹⁶."""
    checks = []
    for path in WHOLE_PATHS:
        for t, alpha, sigma in ((0.0, 0.0, 1.0), (1.0, 1.0, 0.0)):
            checks.append(Check(path.alpha(t), alpha, 1.2e-16, f"α of {name_of(path)} at t = {t:g}"))
            checks.append(Check(path.sigma(t), sigma, 1.2e-16, f"σ of {name_of(path)} at t = {t:g}"))
    return checks


@claim(
    "A052",
    NOTES_2025["Eq. 13-14"],
    SLIDES,
    BLOG["section 3.1"],
    statement="The density of the marginal path is the mean of the conditional densities. To draw from it, draw a "
    "data point and then its noise.",
    formula="p_t(x) = ∫ p_t(x | z) p_data(z) dz",
)
def marginal_path() -> list[Check | Statistical]:
    """Quadrature over z to 10⁻¹², and 10⁴ draws of z and then of x."""
    z, h = trapezoid(-9.0, 9.0, 1801)
    prior = MIXTURE.log_prob(z)
    checks: list[Check | Statistical] = []
    for path in WHOLE_PATHS:
        for t in MIDDLE_TIMES:
            x = torch.tensor([[0.4]], dtype=torch.float64)
            noise = gaussian(0.0, path.sigma(t)).log_prob(x - path.alpha(t) * z)
            integral = float((noise + prior).exp().sum()) * h
            exact = float(MIXTURE.log_prob(x, t, path).exp())
            checks.append(Check(integral, exact, 1e-12, f"the density at 0.4 on {name_of(path)} at t = {t:g}"))
    data = MIXTURE.sample(10_000, seed=52)
    time = torch.full((10_000,), 0.6, dtype=torch.float64)
    states = Interpolant(CondOT()).state(time, standard_normal(data, 53), data)
    return [*checks, ks_test(cdf(MIXTURE, states, 0.6, CondOT()), "draws at t = 0.6")]


@claim(
    "A053",
    NOTES_2025["Eq. 15"],
    statement="The marginal path leads from the noise to the data.",
    formula="p₀ = N(0, I),  p₁ = p_data",
)
def marginal_ends() -> list[Check]:
    """Two closed forms at ends where α and σ are right to 10⁻¹⁶; log densities up to 30 lose 10⁻¹⁴ of them."""
    x = trapezoid(-3.0, 3.0, 25)[0]
    noise, data = gaussian(0.0, 1.0).log_prob(x), MIXTURE.log_prob(x)
    checks = []
    for path in WHOLE_PATHS:
        for t, exact, name in ((0.0, noise, "noise"), (1.0, data, "data")):
            distance = largest(MIXTURE.log_prob(x, t, path) - exact)
            checks.append(
                Check(distance, 0.0, 1e-12, f"log p at t = {t:g} less that of the {name}, on {name_of(path)}")
            )
    return checks


@claim(
    "A054",
    NOTES_2025["Example 9, Eq. 16 and Summary 17"],
    BLOG["section 3.1"],
    statement="Along a path α does not fall, σ does not rise and the log-SNR rises; the slopes that a path gives are "
    "the derivatives.",
    formula="α̇ ≥ 0,  σ̇ ≤ 0,  dλ/dt > 0",
)
def monotone_schedules() -> list[Check | Bound]:
    """Slopes against automatic differentiation, relative to the largest: chains of ten operations whose inputs are
    rounded at a condition of 10⁴ at most (log of the noise near the data) keep 10⁻¹⁰."""
    t = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    checks: list[Check | Bound] = []
    for path in EVERY_PATH:
        slopes = []
        half = path.half_log_snr, path.d_half_log_snr
        for value, slope in ((path.alpha, path.d_alpha), (path.sigma, path.d_sigma), half):
            at = t.clone().requires_grad_()
            out = torch.as_tensor(value(at))
            exact = torch.zeros_like(t) if not out.requires_grad else torch.autograd.grad(out.sum(), at)[0]
            given = torch.as_tensor(slope(t))
            slopes.append(given)
            error = float((given - exact).abs().max() / (given.abs().max() + 1e-300))
            checks.append(Check(error, 0.0, 1e-10, f"{slope.__name__} of {name_of(path)}"))
        checks.append(Bound(float(slopes[0].min()), 0.0, f"the least slope of α on {name_of(path)}", above=True))
        checks.append(Bound(float(slopes[1].max()), 0.0, f"the largest slope of σ on {name_of(path)}"))
        checks.append(Bound(float(slopes[2].min()), 1e-3, f"the least slope of λ on {name_of(path)}", above=True))
    return checks


@claim(
    "A055",
    NOTES_2025["Eq. 17 and 46"],
    TUTORIAL["Eq. 3"],
    SLIDES,
    BLOG["section 3.1"],
    statement="Scaled data plus scaled noise has the conditional law of the path.",
    formula="x = a z + b ε ~ N(a z, b² I)",
)
def reparameterisation() -> list[Check | Statistical]:
    """The state is affine in ε: its value without noise is the mean, its response to ε = 1 the deviation, to rounding.
    Normality by 10⁵ draws."""
    z, zero = torch.full((1, 1), 1.7, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    checks: list[Check | Statistical] = []
    time = torch.full((1,), 0.3, dtype=torch.float64)
    for path in WHOLE_PATHS:
        a, b = path.alpha(0.3), path.sigma(0.3)
        without, unit = (float(Interpolant(path).state(time, noise, z)) for noise in (zero, zero + 1.0))
        checks.append(Check(without, 1.7 * a, 1e-14, f"the mean on {name_of(path)}"))
        checks.append(Check(unit - without, b, 1e-14, f"the deviation on {name_of(path)}"))
    eps = standard_normal(torch.empty(100_000, 1, dtype=torch.float64), 55)
    states = Interpolant(CondOT()).state(torch.full((100_000,), 0.3, dtype=torch.float64), eps, z.expand_as(eps))
    return [*checks, ks_test(torch.special.ndtr((states[:, 0] - 0.3 * 1.7) / 0.7), "x standardised")]


@claim(
    "A056",
    NOTES_2025["Example 11, Eq. 21-22"],
    SLIDES,
    BLOG["section 3.2"],
    statement="The conditional field moves the point a z + b ε with its time derivative, and its flow is x ↦ a z + b "
    "x.",
    formula="u_t(x | z) = (ȧ − (ḃ/b) a) z + (ḃ/b) x = ȧ z + ḃ ε,  ψ_t(x | z) = a z + b x",
)
def conditional_field() -> list[Check]:
    """Two forms of one combination of numbers of order 1 to 10 (80 on VE, hence relative): 10⁻¹². The exponential
    solver is exact where the denoiser is constant: three steps of rounding."""
    z, eps = 1.7, torch.tensor([[-0.8], [0.1], [1.3]], dtype=torch.float64)
    clean = torch.full_like(eps, z)
    checks = []
    for path in EVERY_PATH:
        t = 0.55
        a, b, da, db = schedule_at(path, t)
        x = a * clean + b * eps
        printed = (da - db / b * a) * z + db / b * x
        known = target("velocity", path, torch.full((3,), t, dtype=torch.float64), clean, eps)
        predicted = point(z, path).predict("velocity", t, x)
        size = largest(known)
        for what, value in (("ȧ z + ḃ ε", known), ("the point's denoiser", predicted)):
            error = largest(value - printed) / size
            checks.append(Check(error, 0.0, 1e-12, f"u by {what}, less Eq. 21, on {name_of(path)}"))
        start, end = 0.1, 0.9
        there = path.alpha(start) * clean + path.sigma(start) * eps
        moved = solve(flow(point(z, path), "x0"), there, [start, 0.3, 0.7, end], ExponentialAdams(1)).x
        exact = path.alpha(end) * clean + path.sigma(end) * eps
        checks.append(Check(largest(moved - exact), 0.0, 1e-12, f"the flow on {name_of(path)}"))
    return checks


@claim(
    "A057",
    NOTES_2025["Example 19"],
    SLIDES,
    BLOG["section 3.3"],
    statement="On the straight path the conditional velocity is the remaining way over the remaining time, which is "
    "data less noise.",
    formula="u_t(x | z) = (z − x)/(1 − t) = z − ε",
)
def straight_velocity() -> list[Check]:
    """Numbers of order 1, divided by 1 − t = 0.1 at least: 10⁻¹⁴ and less."""
    path, z = CondOT(), 1.7
    eps = torch.tensor([[-0.8], [0.1], [1.3]], dtype=torch.float64)
    checks = []
    for t in (0.1, 0.5, 0.9):
        x = t * z + (1.0 - t) * eps
        field = point(z, path).predict("velocity", t, x)
        checks.append(Check(largest(field - (z - eps)), 0.0, 1e-13, f"less z − ε at t = {t:g}"))
        checks.append(Check(largest(field - (z - x) / (1.0 - t)), 0.0, 1e-13, f"less (z − x)/(1 − t) at t = {t:g}"))
    return checks

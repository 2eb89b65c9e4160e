"""The Fokker-Planck equation and the stochastic equations that keep the laws of a path.

A process dX = f dt + g dW with the density p obeys

    ∂p/∂t = −∇·(p f) + ½ g² Δp,

and f = u + ½ g² s keeps the path's p_t for every g(t) ≥ 0, as ½ g² (Δp − ∇·(p s)) = 0. The drift is the one that
`diffusion_sde` gives; its divergence and Δp = p (∇·s + |s|²) are taken by automatic differentiation.

Samplers of Gaussian data are affine, and their output laws sums of squares of known coefficients. Values with an error
C₁ h + C₂ h² + C₃ h³ at h, h/2 and h/4 leave C₃ h³/8 after twofold extrapolation: 10⁻⁶ C₃ at h = 1/50.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from ....generative import VE, CondOT, diffusion_sde
from ....generative.equations import constant
from ....solvers import EulerMaruyama, WhiteNoise, solve, standard_normal
from ..claim import Check, Statistical, claim
from ..sources import BLOG, FOKKER, NOTES_2025, SLIDES
from ..tools.densities import fokker_planck_rate, rate_checks
from ..tools.errors import extrapolated, limiting_order
from ..tools.examples import DEVIATION, MEAN
from ..tools.points import MIDDLE_TIMES, MIXTURE, MIXTURE_2D, WHOLE_PATHS, cdf, gaussian, grid, name_of, point
from ..tools.quadrature import trapezoid, trapezoid_plane
from ..tools.samplers import response
from ..tools.tests import ks_test

LEVELS: dict[str, Callable[[float], float]] = {
    "0": constant(0.0),
    "1": constant(1.0),
    "2": constant(2.0),
    "√(2(1−t)/max(t, 0.05))": lambda t: math.sqrt(2.0 * (1.0 - t) / max(t, 0.05)),
}
DATA = gaussian(MEAN, DEVIATION)


@claim(
    "A075",
    NOTES_2025["Theorem 15, Eq. 30 and 101"],
    statement="The densities of a stochastic equation obey the Fokker-Planck equation; without drift it is the heat "
    "equation.",
    formula="∂p/∂t = −∇·(p f) + ½ g² Δp",
)
def fokker_planck() -> list[Check]:
    """The right side is exact, and the left side a central difference, of order 2 to 0.01 and right to 1e-6 after one
    extrapolation (`rate_checks`). On VE with σ = 1 − t the density at the time of diffusion σ² is that of heat after
    σ²/2."""
    x, checks = trapezoid_plane(-1.5, 1.5, 7)[0], list[Check]()
    for path in WHOLE_PATHS:
        for t in MIDDLE_TIMES:
            equation = diffusion_sde(MIXTURE_2D.denoiser(path), constant(1.3), 0.1, 0.9)
            exact = fokker_planck_rate(equation.drift, 1.3, x, t, path)
            checks += rate_checks(x, t, path, exact, f"{name_of(path)}, t = {t:g}")
    heat, t = VE(1.0), 0.5
    exact = -2.0 * (1.0 - t) * fokker_planck_rate(lambda t, y: 0.0 * y, 1.0, x, t, heat)
    return [*checks, *rate_checks(x, t, heat, exact, "the heat equation")]


@claim(
    "A076",
    NOTES_2025["Eq. 98-100"],
    statement="The mean of a function changes at the rate of the mean of what the generator makes of the function.",
    formula="d/dt E f(X_t) = E[∇f·u + ½ g² Δf]",
)
def weak_form() -> list[Check]:
    """For f = sin the mean is Σ w_k sin(α m_k) exp(−v_k/2), differentiated automatically; the right side is a
    quadrature of terms up to 10, right to 10⁻¹¹."""
    x, h = trapezoid(-8.0, 8.0, 1601)
    checks = []
    for path in WHOLE_PATHS:
        for t in MIDDLE_TIMES:
            at = torch.tensor(t, dtype=torch.float64, requires_grad=True)
            alpha, sigma = path.alpha(at), path.sigma(at)
            spread = alpha**2 * MIXTURE.covs[:, 0, 0] + sigma**2
            mean = (MIXTURE.weights * (alpha * MIXTURE.means[:, 0]).sin() * (-0.5 * spread).exp()).sum()
            (slope,) = torch.autograd.grad(mean, at)
            equation = diffusion_sde(MIXTURE.denoiser(path), constant(1.3), 0.1, 0.9)
            generator = (x.cos() * equation.drift(t, x) - 0.5 * 1.3**2 * x.sin())[:, 0]
            weak = float((MIXTURE.log_prob(x, t, path).exp() * generator).sum()) * h
            checks.append(Check(weak, float(slope), 1e-11, f"{name_of(path)}, t = {t:g}"))
    return checks


@claim(
    "A077",
    NOTES_2025["Theorem 13, Eq. 25-26, 34, 48 and 62"],
    SLIDES,
    BLOG["section 4.1"],
    statement="The velocity plus half the squared noise level times the score keeps the laws of the path, for every "
    "noise level.",
    formula="dX = [u + ½ g² s] dt + g dW ⇒ X_t ~ p_t",
)
def any_noise_level() -> list[Check | Statistical]:
    """For one data point the drift has the slope ḃ/b − g²/2b², so that v = b² solves v' = 2 (ḃ/b − g²/2b²) v + g²: to
    rounding. For Gaussian data the mean at t = 1 is right to rounding, because α' is constant; the variance,
    extrapolated from 50, 100 and 200 steps, to 10⁻⁶ C₃, where C₃ is ρ³/6 of the largest rate ρ: 8 at g = 2, hence 10⁻⁴,
    and 20 at the level that is 6 at the start, hence 2·10⁻³. 10⁴ draws for the mixture take 200 steps, whose bias,
    1/200 in the variance, is a tenth of what they detect."""
    path, checks = CondOT(), list[Check | Statistical]()
    x = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    for name, g in LEVELS.items():
        b, db = path.sigma(0.5), path.d_sigma(0.5)
        conditional = diffusion_sde(point(1.7, path), g, 0.1, 0.7)
        slope = float(conditional.drift(0.5, x).diff(dim=0))
        checks.append(Check(2.0 * slope * b**2 + g(0.5) ** 2, 2.0 * b * db, 1e-12, f"v' of a data point, g = {name}"))
        equation = diffusion_sde(DATA.denoiser(path), g, spread=DEVIATION)
        laws = [response(EulerMaruyama(), equation, grid(n)).law() for n in (50, 100, 200)]
        tolerance = 2e-3 if g(0.05) > 5.0 else 1e-4
        checks.append(Check(laws[0][0], MEAN, 1e-12, f"the mean at t = 1, g = {name}"))
        variance = extrapolated([deviation**2 for _, deviation in laws])
        checks.append(Check(variance, DEVIATION**2, tolerance, f"the variance at t = 1, g = {name}"))
    sampled = diffusion_sde(MIXTURE.denoiser(path), constant(1.0), spread=0.4)
    start = standard_normal(torch.empty(10_000, 1, dtype=torch.float64), 77)
    end = solve(sampled, start, grid(200), EulerMaruyama(), WhiteNoise(78)).x
    return [*checks, ks_test(cdf(MIXTURE, end), "the mixture at t = 1, g = 1")]


@claim(
    "A078",
    NOTES_2025["Theorem 13"],
    FOKKER,
    statement="On an equation with any noise level, the method of Euler and Maruyama reaches the right law with weak "
    "order one.",
    formula="|Var X₁ − s²| = O(h)",
)
def weak_order_of_euler_maruyama() -> list[Check]:
    """Exact laws at 40, 80 and 160 steps; the order, extrapolated to h → 0, is right to (ρh)², where the rate ρ is
    g²/2s² + 1/s, up to 5: 0.02, and 0.05 is asked for."""
    checks = []
    for name in ("1", "2"):
        equation = diffusion_sde(DATA.denoiser(CondOT()), LEVELS[name], spread=DEVIATION)
        laws = [response(EulerMaruyama(), equation, grid(n)).law() for n in (40, 80, 160)]
        shown = limiting_order([abs(deviation**2 - DEVIATION**2) for _, deviation in laws])
        checks.append(Check(shown, 1.0, 0.05, f"the order of the variance, g = {name}"))
    return checks

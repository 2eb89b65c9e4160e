"""Marginal fields and the continuity equation.

The marginal field is the posterior mean of the conditional ones, and carries p_t along:

    u_t(x) = E[ȧ z + ḃ ε | x_t = x],        ∂p/∂t = −∇·(p u).

On the line a flow that does so is the increasing map with F_t(ψ_t(x)) = F_0(x). RK4 with n steps errs there by C/n⁴:
2.6·10⁻¹⁰ C with 250, and fields that vary on a scale of ½, near t = 1, have a C of 2⁵, hence 10⁻⁸.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ....generative import CondOT, GaussianPath, flow
from ....generative.likelihood import exact_trace
from ....solvers import RK4, solve
from ..claim import Bound, Check, claim
from ..sources import BLOG, NOTES_2025, SLIDES, TUTORIAL
from ..tools.densities import rate_checks
from ..tools.errors import largest
from ..tools.points import (
    MIDDLE_TIMES,
    MIXTURE,
    MIXTURE_2D,
    THREE_STATES,
    WHOLE_PATHS,
    cdf,
    gaussian,
    grid,
    name_of,
    schedule_at,
)
from ..tools.quadrature import trapezoid, trapezoid_plane

STARTS = trapezoid(-2.5, 2.5, 21)[0]


def _posterior_mean(x: Tensor, t: float, path: GaussianPath) -> Tensor:
    """∫ u_t(x | z) p_t(x | z) p_data(z) dz / p_t(x) at x of shape (n, 1)."""
    a, b, da, db = schedule_at(path, t)
    z, h = trapezoid(-9.0, 9.0, 1801)
    weights = (gaussian(0.0, b).log_prob((x - a * z.T).reshape(-1, 1)).reshape(len(x), -1) + MIXTURE.log_prob(z)).exp()
    conditional = (da - db / b * a) * z.T + db / b * x
    return ((weights * conditional).sum(1) * h / MIXTURE.log_prob(x, t, path).exp()).unsqueeze(1)


@claim(
    "A058",
    NOTES_2025["Theorem 10, Eq. 19-20, 32-33 and 43"],
    SLIDES,
    BLOG["section 3.2"],
    statement="The marginal field is the posterior mean of the conditional fields, and its flow has the laws of the "
    "marginal path.",
    formula="u_t(x) = ∫ u_t(x | z) p_t(x | z) p_data(z)/p_t(x) dz;  Ẋ = u_t(X) ⇒ X_t ~ p_t",
)
def marginal_field() -> list[Check]:
    """Quadrature of terms up to 10, over a density of 0.1 or more: 10⁻¹¹. The flow as in the module."""
    checks = []
    for path in WHOLE_PATHS:
        for t in MIDDLE_TIMES:
            error = largest(_posterior_mean(THREE_STATES, t, path) - MIXTURE.velocity(THREE_STATES, t, path))
            checks.append(Check(error, 0.0, 1e-11, f"quadrature less the oracle, {name_of(path)}, t = {t:g}"))
    equation = flow(MIXTURE.denoiser(CondOT()))
    for t in (0.4, 0.8, 1.0):
        moved = solve(equation, STARTS, grid(250, 0.0, t), RK4()).x
        error = largest(cdf(MIXTURE, moved, t, CondOT()) - torch.special.ndtr(STARTS[:, 0]))
        checks.append(Check(error, 0.0, 1e-8, f"F_t(ψ_t(x)) less Φ(x) at t = {t:g}"))
    return checks


@claim(
    "A059",
    NOTES_2025["Eq. 23"],
    statement="The divergence of a field is the trace of its Jacobian: the sum of the derivatives of each component "
    "along its own axis.",
    formula="∇·v = Σ_i ∂v^i/∂x^i",
)
def divergence() -> list[Check]:
    """Derivatives of one closed form by automatic differentiation, against its own, of order 1 to 10: 10⁻¹²."""
    path, x = CondOT(), trapezoid_plane(-2.0, 2.0, 5)[0]
    checks = []
    for t in MIDDLE_TIMES:
        at = x.clone().requires_grad_()
        value, exact = MIXTURE_2D.velocity(at, t, path), MIXTURE_2D.divergence(x, t, path)

        def products(directions: Tensor, at: Tensor = at, value: Tensor = value) -> Tensor:
            return torch.stack([torch.autograd.grad(value, at, v, retain_graph=True)[0] for v in directions])

        traced = exact_trace(products, x)
        slopes = [torch.autograd.grad(value[:, i].sum(), at, retain_graph=True)[0][:, i] for i in (0, 1)]
        checks.append(Check(largest(slopes[0] + slopes[1] - exact), 0.0, 1e-12, f"Σ ∂v^i/∂x^i at t = {t:g}"))
        checks.append(Check(largest(traced - exact), 0.0, 1e-12, f"the exact trace of likelihoods at t = {t:g}"))
    return checks


@claim(
    "A060",
    NOTES_2025["Theorem 12, Eq. 24"],
    SLIDES,
    TUTORIAL["Eq. 60 and 71"],
    statement="The marginal path and the marginal field satisfy the continuity equation.",
    formula="∂p_t/∂t = −∇·(p_t u_t)",
)
def continuity_equation() -> list[Check]:
    """The right side is exact, −p (∇·u + u·s). The left side is a central difference, of order 2 to 0.01, and right to
    1e-6 after one extrapolation (`rate_checks`)."""
    checks: list[Check] = []
    x = trapezoid_plane(-1.5, 1.5, 7)[0]
    for path in WHOLE_PATHS:
        for t in MIDDLE_TIMES:
            density = MIXTURE_2D.log_prob(x, t, path).exp()
            score, velocity = MIXTURE_2D.score(x, t, path), MIXTURE_2D.velocity(x, t, path)
            exact = -density * (MIXTURE_2D.divergence(x, t, path) + (score * velocity).sum(1))
            checks += rate_checks(x, t, path, exact, f"{name_of(path)}, t = {t:g}")
    return checks


@claim(
    "A061",
    TUTORIAL["Eq. 32 and 59"],
    NOTES_2025["proof of Theorem 10"],
    statement="The marginal velocity is the same combination of the conditional means of data and noise as the "
    "conditional velocity is of data and noise. Fluxes of components add up; their velocities do not.",
    formula="u = ȧ E[z | x] + ḃ E[ε | x],  p u = Σ w_k p_k u_k",
)
def velocity_as_a_mean() -> list[Check | Bound]:
    """Combinations of closed forms of order 1 to 10: 10⁻¹². The plain sum of the fields is seen to be far off."""
    checks: list[Check | Bound] = []
    parts = [gaussian(float(m), math.sqrt(float(c))) for m, c in zip(MIXTURE.means, MIXTURE.covs, strict=True)]
    for path in WHOLE_PATHS:
        for t in MIDDLE_TIMES:
            velocity, where = MIXTURE.velocity(THREE_STATES, t, path), f"{name_of(path)}, t = {t:g}"
            mean = path.d_alpha(t) * MIXTURE.x0(THREE_STATES, t, path) + path.d_sigma(t) * MIXTURE.eps(
                THREE_STATES, t, path
            )
            fields = torch.cat([part.velocity(THREE_STATES, t, path) for part in parts], dim=1)
            densities = torch.stack([part.log_prob(THREE_STATES, t, path).exp() for part in parts], dim=1)
            flux = MIXTURE.log_prob(THREE_STATES, t, path).exp() * velocity[:, 0]
            checks.append(Check(largest(velocity - mean), 0.0, 1e-12, f"u, {where}"))
            checks.append(Check(largest(flux - (densities * fields) @ MIXTURE.weights), 0.0, 1e-12, f"p u, {where}"))
            mixed = largest(velocity[:, 0] - fields @ MIXTURE.weights)
            checks.append(Bound(mixed, 0.01, f"u less Σ w_k u_k, {where}", above=True))
    return checks


@claim(
    "A062",
    SLIDES["table of conditionings"],
    statement="The path may be conditioned on its data end, on its noise end or on both: all three give the same "
    "marginals and the same field.",
    formula="E[f(x_t) (ȧ z + ḃ ε)] = E[f(x_t) u_t(x_t)] for every f",
)
def three_conditionings() -> list[Check]:
    """Given z the field is averaged over z at a fixed x, given ε over ε, given both over both against test functions.
    Quadrature: 10⁻¹¹ over densities of 0.1 and more, and 10⁻¹² in the plane."""
    path, t = CondOT(), 0.6
    a, b = path.alpha(t), path.sigma(t)
    density, velocity = MIXTURE.log_prob(THREE_STATES, t, path).exp(), MIXTURE.velocity(THREE_STATES, t, path)
    eps, h = trapezoid(-9.0, 9.0, 1801)
    clean = (THREE_STATES - b * eps.T) / a
    weights = (gaussian(0.0, 1.0).log_prob(eps) + MIXTURE.log_prob(clean.reshape(-1, 1)).reshape(3, -1)).exp() / a * h
    given_noise = (weights * (clean - eps.T)).sum(1) / density
    pairs, area = trapezoid_plane(-8.0, 8.0, 401)
    z, noise = pairs[:, :1], pairs[:, 1:]
    joint = (MIXTURE.log_prob(z) + gaussian(0.0, 1.0).log_prob(noise)).exp() * area
    x, step = trapezoid(-8.0, 8.0, 1601)
    marginal = MIXTURE.log_prob(x, t, path).exp() * step
    checks = [
        Check(largest(weights.sum(1) - density), 0.0, 1e-12, "p_t by its noise end"),
        Check(largest(given_noise - velocity[:, 0]), 0.0, 1e-11, "u_t by its noise end"),
        Check(largest(_posterior_mean(THREE_STATES, t, path) - velocity), 0.0, 1e-11, "u_t by its data end"),
    ]
    for centre in (-1.0, 0.3, 1.7):

        def bump(x: Tensor, centre: float = centre) -> Tensor:
            return (-2.0 * (x[:, 0] - centre) ** 2).exp()

        both = float((joint * bump(a * z + b * noise) * (z - noise)[:, 0]).sum())
        field = float((marginal * bump(x) * MIXTURE.velocity(x, t, path)[:, 0]).sum())
        checks.append(Check(both, field, 1e-12, f"the flux near {centre:g} by both ends"))
    return checks

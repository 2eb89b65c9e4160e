"""Marginal fields and the continuity equation (chapter A.4).

The marginal field is the posterior mean of the conditional ones, and carries p_t along:

    u_t(x) = E[ȧ z + ḃ ε | x_t = x],        ∂p/∂t = −∇·(p u).

On the line a flow that does so is the increasing map with F_t(ψ_t(x)) = F_0(x). RK4 with n steps errs there by C/n⁴:
2.6·10⁻¹⁰ C with 250, and fields that vary on a scale of ½, near t = 1, have a C of 2⁵, hence 10⁻⁸.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ....generative import CondOT, Cosine, GaussianPath, Polynomial, flow
from ....generative.likelihood import Exact
from ....solvers import RK4, solve
from ..claim import Bound, Check, claim
from ..tools.measuring import MIXTURE, MIXTURE_2D, cdf, gaussian, grid, line, orders, plane

__all__: list[str] = []

PATHS: list[GaussianPath] = [CondOT(), Cosine(-math.inf, math.inf), Polynomial(2.0)]
TIMES = (0.2, 0.5, 0.8)
POINTS = torch.tensor([[-1.0], [0.3], [1.7]], dtype=torch.float64)
STARTS = line(-2.5, 2.5, 21)[0]


def _largest(x: Tensor) -> float:
    return float(x.detach().abs().max())


def _name(path: GaussianPath) -> str:
    return type(path).__name__


def _posterior_mean(x: Tensor, t: float, path: GaussianPath) -> Tensor:
    """∫ u_t(x | z) p_t(x | z) p_data(z) dz / p_t(x) at x of shape (n, 1)."""
    a, b, da, db = (float(f(t)) for f in (path.alpha, path.sigma, path.d_alpha, path.d_sigma))
    z, h = line(-9.0, 9.0, 1801)
    weights = (gaussian(0.0, b).log_prob((x - a * z.T).reshape(-1, 1)).reshape(len(x), -1) + MIXTURE.log_prob(z)).exp()
    conditional = (da - db / b * a) * z.T + db / b * x
    return ((weights * conditional).sum(1) * h / MIXTURE.log_prob(x, t, path).exp()).unsqueeze(1)


@claim(
    "A058",
    "Lecture notes 000, theorem 10, Eq. 19-20, 32-33 and 43; slides 003; blog post 004",
    "The marginal field is the posterior mean of the conditional fields, and its flow has the marginal path's laws.",
    formula="u_t(x) = ∫ u_t(x | z) p_t(x | z) p_data(z)/p_t(x) dz;  Ẋ = u_t(X) ⇒ X_t ~ p_t",
)
def marginal_field() -> list[Check]:
    """Quadrature of terms up to 10, over a density of 0.1 or more: 10⁻¹¹. The flow as in the module."""
    checks = []
    for path in PATHS:
        for t in TIMES:
            error = _largest(_posterior_mean(POINTS, t, path) - MIXTURE.velocity(POINTS, t, path))
            checks.append(Check(error, 0.0, 1e-11, f"quadrature less the oracle, {_name(path)}, t = {t:g}"))
    equation = flow(MIXTURE.denoiser(CondOT()))
    for t in (0.4, 0.8, 1.0):
        moved = solve(equation, STARTS, grid(250, 0.0, t), RK4()).x
        error = _largest(cdf(MIXTURE, moved, t, CondOT()) - torch.special.ndtr(STARTS[:, 0]))
        checks.append(Check(error, 0.0, 1e-8, f"F_t(ψ_t(x)) less Φ(x) at t = {t:g}"))
    return checks


@claim(
    "A059",
    "Lecture notes 000, Eq. 23",
    "The divergence is the sum of each component's derivative in its own direction: the trace of the Jacobian.",
    formula="∇·v = Σ_i ∂v^i/∂x^i",
)
def divergence() -> list[Check]:
    """Derivatives of one closed form by automatic differentiation, against its own, of order 1 to 10: 10⁻¹²."""
    path, x = CondOT(), plane(-2.0, 2.0, 5)[0]
    checks = []
    for t in TIMES:
        at = x.clone().requires_grad_()
        value, exact = MIXTURE_2D.velocity(at, t, path), MIXTURE_2D.divergence(x, t, path)

        def products(directions: Tensor, at: Tensor = at, value: Tensor = value) -> Tensor:
            return torch.stack([torch.autograd.grad(value, at, v, retain_graph=True)[0] for v in directions])

        traced = Exact(2, 2, len(x))(products, x)[:, 0]
        slopes = [torch.autograd.grad(value[:, i].sum(), at, retain_graph=True)[0][:, i] for i in (0, 1)]
        checks.append(Check(_largest(slopes[0] + slopes[1] - exact), 0.0, 1e-12, f"Σ ∂v^i/∂x^i at t = {t:g}"))
        checks.append(Check(_largest(traced - exact), 0.0, 1e-12, f"the exact trace of likelihoods at t = {t:g}"))
    return checks


@claim(
    "A060",
    "Lecture notes 000, theorem 12, Eq. 24; slides 003; tutorial 002, Eq. 60 and 71",
    "The marginals and the marginal field satisfy the continuity equation.",
    formula="∂p_t/∂t = −∇·(p_t u_t)",
)
def continuity_equation() -> list[Check]:
    """The right side is exact, −p (∇·u + u·s). A central difference in t errs by e² p'''/6 + O(e⁴): of order 2 to
    O(e²), 0.01 here. One extrapolation from e = 0.005 leaves e⁴ p⁽⁵⁾/480, 5·10⁻⁷ with p⁽⁵⁾ = 5! (σ'/σ)⁵, σ'/σ = 5."""
    checks = []
    x = plane(-1.5, 1.5, 7)[0]
    for path in PATHS:
        for t in TIMES:
            density = MIXTURE_2D.log_prob(x, t, path).exp()
            score, velocity = MIXTURE_2D.score(x, t, path), MIXTURE_2D.velocity(x, t, path)
            exact = -density * (MIXTURE_2D.divergence(x, t, path) + (score * velocity).sum(1))
            one, two = (_slope(x, t, e, path) for e in (0.005, 0.0025))
            order = orders([float((one - exact).norm()), float((two - exact).norm())])[0]
            where = f"{_name(path)}, t = {t:g}"
            checks.append(Check(order, 2.0, 0.01, f"the order of the residual, {where}"))
            checks.append(Check(_largest((4.0 * two - one) / 3.0 - exact), 0.0, 1e-6, f"extrapolated, {where}"))
    return checks


def _slope(x: Tensor, t: float, e: float, path: GaussianPath) -> Tensor:
    after, before = (MIXTURE_2D.log_prob(x, t + sign * e, path).exp() for sign in (1.0, -1.0))
    return (after - before) / (2.0 * e)


@claim(
    "A061",
    "Tutorial 002, Eq. 32 and 59; lecture notes 000, proof of theorem 10",
    "The marginal velocity combines the conditional means of data and noise; fluxes add up, velocities do not.",
    formula="u = ȧ E[z | x] + ḃ E[ε | x],  p u = Σ w_k p_k u_k",
)
def velocity_as_a_mean() -> list[Check | Bound]:
    """Combinations of closed forms of order 1 to 10: 10⁻¹². The plain sum of the fields is seen to be far off."""
    checks: list[Check | Bound] = []
    parts = [gaussian(float(m), math.sqrt(float(c))) for m, c in zip(MIXTURE.means, MIXTURE.covs, strict=True)]
    for path in PATHS:
        for t in TIMES:
            velocity, where = MIXTURE.velocity(POINTS, t, path), f"{_name(path)}, t = {t:g}"
            mean = path.d_alpha(t) * MIXTURE.x0(POINTS, t, path) + path.d_sigma(t) * MIXTURE.eps(POINTS, t, path)
            fields = torch.cat([part.velocity(POINTS, t, path) for part in parts], dim=1)
            densities = torch.stack([part.log_prob(POINTS, t, path).exp() for part in parts], dim=1)
            flux = MIXTURE.log_prob(POINTS, t, path).exp() * velocity[:, 0]
            checks.append(Check(_largest(velocity - mean), 0.0, 1e-12, f"u, {where}"))
            checks.append(Check(_largest(flux - (densities * fields) @ MIXTURE.weights), 0.0, 1e-12, f"p u, {where}"))
            mixed = _largest(velocity[:, 0] - fields @ MIXTURE.weights)
            checks.append(Bound(mixed, 0.01, f"u less Σ w_k u_k, {where}", above=True))
    return checks


@claim(
    "A062",
    "Slides 003, table of conditionings",
    "Conditioning the path on its data end, on its noise end or on both gives the same marginals and the same field.",
    formula="E[f(x_t) (ȧ z + ḃ ε)] = E[f(x_t) u_t(x_t)] for every f",
)
def conditionings() -> list[Check]:
    """Given z the field is averaged over z at a fixed x, given ε over ε, given both over both against test functions.
    Quadrature: 10⁻¹¹ over densities of 0.1 and more, and 10⁻¹² in the plane."""
    path, t = CondOT(), 0.6
    a, b = float(path.alpha(t)), float(path.sigma(t))
    density, velocity = MIXTURE.log_prob(POINTS, t, path).exp(), MIXTURE.velocity(POINTS, t, path)
    eps, h = line(-9.0, 9.0, 1801)
    clean = (POINTS - b * eps.T) / a
    weights = (gaussian(0.0, 1.0).log_prob(eps) + MIXTURE.log_prob(clean.reshape(-1, 1)).reshape(3, -1)).exp() / a * h
    given_noise = (weights * (clean - eps.T)).sum(1) / density
    pairs, area = plane(-8.0, 8.0, 401)
    z, noise = pairs[:, :1], pairs[:, 1:]
    joint = (MIXTURE.log_prob(z) + gaussian(0.0, 1.0).log_prob(noise)).exp() * area
    x, step = line(-8.0, 8.0, 1601)
    marginal = MIXTURE.log_prob(x, t, path).exp() * step
    checks = [
        Check(_largest(weights.sum(1) - density), 0.0, 1e-12, "p_t by its noise end"),
        Check(_largest(given_noise - velocity[:, 0]), 0.0, 1e-11, "u_t by its noise end"),
        Check(_largest(_posterior_mean(POINTS, t, path) - velocity), 0.0, 1e-11, "u_t by its data end"),
    ]
    for centre in (-1.0, 0.3, 1.7):

        def bump(x: Tensor, centre: float = centre) -> Tensor:
            return (-2.0 * (x[:, 0] - centre) ** 2).exp()

        both = float((joint * bump(a * z + b * noise) * (z - noise)[:, 0]).sum())
        field = float((marginal * bump(x) * MIXTURE.velocity(x, t, path)[:, 0]).sum())
        checks.append(Check(both, field, 1e-12, f"the flux near {centre:g} by both ends"))
    return checks

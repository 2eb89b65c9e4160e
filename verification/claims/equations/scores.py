"""Scores, and what they say of a density.

    s_t(x) = ∇ log p_t(x) = E[−(x − α z)/σ² | x_t = x] = −E[ε | x_t = x]/σ = (α E[z | x_t = x] − x)/σ²

Scores of the oracle are closed forms. They are compared with quadrature over the posterior and with automatic
derivatives of log p. Both are right to rounding: 10⁻¹² for numbers of order 1 to 10 (see `quadrature`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ....generative import VP, CondOT, Denoiser, GaussianPath
from ....generative.equations import reversal
from ....generative.training import target
from ..claim import Bound, Check, claim
from ..sources import BLOG, NOTES_2025, SLIDES, TUTORIAL
from ..tools.errors import largest
from ..tools.points import (
    MIDDLE_TIMES,
    MIXTURE,
    MIXTURE_2D,
    THREE_STATES,
    WHOLE_PATHS,
    gaussian,
    name_of,
    point,
    schedule_at,
)
from ..tools.quadrature import trapezoid, trapezoid_plane


def _cases() -> list[tuple[GaussianPath, float, str]]:
    return [(path, t, f"{name_of(path)}, t = {t:g}") for path in (*WHOLE_PATHS, VP()) for t in MIDDLE_TIMES]


def _slope_of_log(x: Tensor, t: float, path: GaussianPath, shift: float = 0.0) -> Tensor:
    """∇ (log p_t + shift) by automatic differentiation."""
    at = x.clone().requires_grad_()
    return torch.autograd.grad((MIXTURE.log_prob(at, t, path) + shift).sum(), at)[0]


@claim(
    "A071",
    NOTES_2025["Eq. 27, 36 and 51"],
    TUTORIAL["section 2.4"],
    SLIDES,
    BLOG["section 4.1"],
    statement="The score of the marginal law is the posterior mean of the scores of the conditional laws.",
    formula="∇ log p_t(x) = ∫ ∇ log p_t(x | z) p_t(x | z) p_data(z)/p_t(x) dz",
)
def marginal_score() -> list[Check]:
    """Quadrature of terms up to x/σ² = 10³, where VP at t = 0.8 has σ = 0.6 and Polynomial 0.36, over densities of 0.01
    and more: 10⁻¹⁰."""
    z, h = trapezoid(-9.0, 9.0, 1801)
    checks = []
    for path, t, where in _cases():
        a, b = path.alpha(t), path.sigma(t)
        residual = THREE_STATES - a * z.T
        noise = gaussian(0.0, b).log_prob(residual.reshape(-1, 1)).reshape(3, -1)
        weights = (noise + MIXTURE.log_prob(z)).exp() * h / MIXTURE.log_prob(THREE_STATES, t, path).exp()[:, None]
        mean = -(weights * residual).sum(1) / b**2
        checks.append(Check(largest(mean - MIXTURE.score(THREE_STATES, t, path)[:, 0]), 0.0, 1e-10, where))
    return checks


@claim(
    "A072",
    NOTES_2025["Example 14, Eq. 28, 39 and 53"],
    SLIDES,
    BLOG["section 4.1"],
    statement="The score of the conditional law is minus the residual over the variance.",
    formula="∇ log N(x; αz, σ²) = −(x − αz)/σ² = −ε/σ",
)
def conditional_score() -> list[Check]:
    """Residuals of order 1 over σ² = 0.1 and more: 10⁻¹²."""
    z, checks = 1.7, []
    eps = torch.tensor([[-0.8], [0.1], [1.3]], dtype=torch.float64)
    clean = torch.full_like(eps, z)
    for path, t, where in _cases():
        a, b = path.alpha(t), path.sigma(t)
        at = (a * clean + b * eps).requires_grad_()
        slope = torch.autograd.grad(gaussian(a * z, b).log_prob(at).sum(), at)[0]
        regressed = target("score", path, torch.full((3,), t, dtype=torch.float64), clean, eps)
        network = point(z, path)
        predicted = network.predict("score", t, at.detach())
        checks.append(Check(largest(slope + (at - a * z) / b**2), 0.0, 1e-12, f"∇ log N, {where}"))
        checks.append(Check(largest(regressed - slope), 0.0, 1e-12, f"the target of training, {where}"))
        checks.append(Check(largest(predicted - slope), 0.0, 1e-12, f"the denoiser of one point, {where}"))
    return checks


@claim(
    "A073",
    NOTES_2025["Eq. 29"],
    statement="The Laplacian is the divergence of the gradient.",
    formula="Δw = Σ_i ∂²w/∂x_i² = ∇·∇w",
)
def laplacian() -> list[Check]:
    """Δp = p (∇·s + |s|²) in closed form and by automatic differentiation: 10⁻¹²."""
    x, path, checks = trapezoid_plane(-2.0, 2.0, 7)[0], CondOT(), []
    for t in MIDDLE_TIMES:
        at = x.clone().requires_grad_()
        gradient = torch.autograd.grad(MIXTURE_2D.log_prob(at, t, path).exp().sum(), at, create_graph=True)[0]
        second = [torch.autograd.grad(gradient[:, i].sum(), at, retain_graph=True)[0][:, i] for i in (0, 1)]
        score = MIXTURE_2D.score(at, t, path)
        slopes = [torch.autograd.grad(score[:, i].sum(), at, retain_graph=True)[0][:, i] for i in (0, 1)]
        expected = MIXTURE_2D.log_prob(x, t, path).exp() * (slopes[0] + slopes[1] + score.square().sum(1))
        checks.append(Check(largest(second[0] + second[1] - expected), 0.0, 1e-12, f"Δp at t = {t:g}"))
    return checks


@claim(
    "A074",
    TUTORIAL["Eq. 30"],
    statement="The score is minus the mean noise over σ, and Tweedie's formula, with a plus, gives the mean data from "
    "it.",
    formula="s = −E[ε | x_t]/σ,  E[x₀ | x_t] = (x_t + σ² s)/α",
)
def tweedie() -> list[Check]:
    """The derivative of log p against closed forms, over α = 0.06 (VP at t = 0.2) and more: 10⁻¹²."""
    checks = []
    for path, t, where in _cases():
        a, b, slope = path.alpha(t), path.sigma(t), _slope_of_log(THREE_STATES, t, path)
        mean = (THREE_STATES + b**2 * slope) / a
        learned = Denoiser(lambda x, time, path=path: MIXTURE.score(x, time, path), path, predicts="score")
        checks.append(Check(largest(slope + MIXTURE.eps(THREE_STATES, t, path) / b), 0.0, 1e-12, f"−E[ε]/σ, {where}"))
        checks.append(Check(largest(mean - MIXTURE.x0(THREE_STATES, t, path)), 0.0, 1e-12, f"E[x₀], {where}"))
        predicted = learned.predict("x0", t, THREE_STATES)
        checks.append(Check(largest(predicted - mean), 0.0, 1e-12, f"E[x₀] of a score network, {where}"))
    return checks


@claim(
    "A082",
    TUTORIAL["section 2.2"],
    SLIDES["Energy-based models"],
    statement="The score does not depend on the normalising constant: it is minus the gradient of the energy.",
    formula="∇ log (e^(−E)/Z) = −∇E",
)
def normalising_constant() -> list[Check]:
    """The derivative of a constant is zero to the last bit; against the closed form 10⁻¹²."""
    checks = []
    for path, t, where in _cases():
        plain, shifted = (_slope_of_log(THREE_STATES, t, path, shift) for shift in (0.0, -3.7))
        checks.append(Check(largest(shifted - plain), 0.0, 0.0, f"with another constant, {where}"))
        checks.append(
            Check(largest(shifted - MIXTURE.score(THREE_STATES, t, path)), 0.0, 1e-12, f"the oracle, {where}")
        )
    return checks


@claim(
    "A084",
    NOTES_2025["section 4.3 and Proposition 1"],
    statement="The factor between score and velocity is half the squared noise level of the process that adds the "
    "noise.",
    formula="k_t = b² ȧ/a − ḃ b = g²/2,  u = (ȧ/a) x + k_t s",
)
def factor_of_the_score() -> list[Check | Bound]:
    """k is of order 1 to 10 here: 10⁻¹² relative to it; u likewise. Halving g² is seen to be wrong."""
    checks: list[Check | Bound] = []
    for path, t, where in _cases():
        a, b, da, db = schedule_at(path, t)
        k, g = b**2 * da / a - db * b, float(reversal(path)(t))
        velocity = MIXTURE.velocity(THREE_STATES, t, path)
        drift = da / a * THREE_STATES + k * MIXTURE.score(THREE_STATES, t, path)
        checks.append(Check(0.5 * g**2 / k, 1.0, 1e-12, f"g²/2 over k, {where}"))
        checks.append(Check(largest(drift - velocity) / largest(velocity), 0.0, 1e-12, f"u, {where}"))
        wrong = da / a * THREE_STATES + 0.25 * g**2 * MIXTURE.score(THREE_STATES, t, path)
        checks.append(Bound(largest(wrong - velocity) / largest(velocity), 0.01, f"with g²/4, {where}", above=True))
    return checks

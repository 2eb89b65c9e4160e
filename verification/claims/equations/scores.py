"""Scores and what they say of a density (chapter A.5, first half).

    s_t(x) = ∇ log p_t(x) = E[−(x − α z)/σ² | x_t = x] = −E[ε | x_t = x]/σ = (α E[z | x_t = x] − x)/σ²

Scores of the oracle are closed forms; against them stand quadrature over the posterior and automatic derivatives of
log p. Both are right to rounding: 10⁻¹² for numbers of order 1 to 10 (see `measuring` for the quadrature).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ....generative import VP, CondOT, Cosine, Denoiser, GaussianPath, Polynomial
from ....generative.equations import reversal
from ....generative.training import target
from ..claim import Bound, Check, claim
from ..tools.measuring import MIXTURE, MIXTURE_2D, gaussian, line, plane

__all__: list[str] = []

PATHS: list[GaussianPath] = [CondOT(), Cosine(-math.inf, math.inf), Polynomial(2.0), VP()]
TIMES = (0.2, 0.5, 0.8)
POINTS = torch.tensor([[-1.0], [0.3], [1.7]], dtype=torch.float64)


def _largest(x: Tensor) -> float:
    return float(x.detach().abs().max())


def _cases() -> list[tuple[GaussianPath, float, str]]:
    return [(path, t, f"{type(path).__name__}, t = {t:g}") for path in PATHS for t in TIMES]


def _slope_of_log(x: Tensor, t: float, path: GaussianPath, shift: float = 0.0) -> Tensor:
    """∇ (log p_t + shift) by automatic differentiation."""
    at = x.clone().requires_grad_()
    return torch.autograd.grad((MIXTURE.log_prob(at, t, path) + shift).sum(), at)[0]


@claim(
    "A071",
    "Lecture notes 000, Eq. 27, 36 and 51; tutorial 002, section 2.4; slides 003; blog post 004, section 4.1",
    "The score of the marginal is the posterior mean of the scores of the conditional laws.",
    formula="∇ log p_t(x) = ∫ ∇ log p_t(x | z) p_t(x | z) p_data(z)/p_t(x) dz",
)
def marginal_score() -> list[Check]:
    """Quadrature of terms up to x/σ² = 10³, where VP at t = 0.8 has σ = 0.6 and Polynomial 0.36, over densities of 0.01
    and more: 10⁻¹⁰."""
    z, h = line(-9.0, 9.0, 1801)
    checks = []
    for path, t, where in _cases():
        a, b = float(path.alpha(t)), float(path.sigma(t))
        residual = POINTS - a * z.T
        noise = gaussian(0.0, b).log_prob(residual.reshape(-1, 1)).reshape(3, -1)
        weights = (noise + MIXTURE.log_prob(z)).exp() * h / MIXTURE.log_prob(POINTS, t, path).exp()[:, None]
        mean = -(weights * residual).sum(1) / b**2
        checks.append(Check(_largest(mean - MIXTURE.score(POINTS, t, path)[:, 0]), 0.0, 1e-10, where))
    return checks


@claim(
    "A072",
    "Lecture notes 000, example 14, Eq. 28, 39 and 53; slides 003; blog post 004",
    "The conditional score is minus the residual over the variance.",
    formula="∇ log N(x; αz, σ²) = −(x − αz)/σ² = −ε/σ",
)
def conditional_score() -> list[Check]:
    """Residuals of order 1 over σ² = 0.1 and more: 10⁻¹²."""
    z, checks = 1.7, []
    eps = torch.tensor([[-0.8], [0.1], [1.3]], dtype=torch.float64)
    clean = torch.full_like(eps, z)
    for path, t, where in _cases():
        a, b = float(path.alpha(t)), float(path.sigma(t))
        at = (a * clean + b * eps).requires_grad_()
        slope = torch.autograd.grad(gaussian(a * z, b).log_prob(at).sum(), at)[0]
        regressed = target("score", path, torch.full((3,), t, dtype=torch.float64), clean, eps)
        network = Denoiser(lambda x, time: torch.full_like(x, z), path, predicts="x0")
        predicted = network.predict("score", t, at.detach())
        checks.append(Check(_largest(slope + (at - a * z) / b**2), 0.0, 1e-12, f"∇ log N, {where}"))
        checks.append(Check(_largest(regressed - slope), 0.0, 1e-12, f"the target of training, {where}"))
        checks.append(Check(_largest(predicted - slope), 0.0, 1e-12, f"the denoiser of one point, {where}"))
    return checks


@claim(
    "A073",
    "Lecture notes 000, Eq. 29",
    "The Laplacian is the divergence of the gradient.",
    formula="Δw = Σ_i ∂²w/∂x_i² = ∇·∇w",
)
def laplacian() -> list[Check]:
    """Δp = p (∇·s + |s|²) in closed form and by automatic differentiation: 10⁻¹²."""
    x, path, checks = plane(-2.0, 2.0, 7)[0], CondOT(), []
    for t in TIMES:
        at = x.clone().requires_grad_()
        gradient = torch.autograd.grad(MIXTURE_2D.log_prob(at, t, path).exp().sum(), at, create_graph=True)[0]
        second = [torch.autograd.grad(gradient[:, i].sum(), at, retain_graph=True)[0][:, i] for i in (0, 1)]
        score = MIXTURE_2D.score(at, t, path)
        slopes = [torch.autograd.grad(score[:, i].sum(), at, retain_graph=True)[0][:, i] for i in (0, 1)]
        expected = MIXTURE_2D.log_prob(x, t, path).exp() * (slopes[0] + slopes[1] + score.square().sum(1))
        checks.append(Check(_largest(second[0] + second[1] - expected), 0.0, 1e-12, f"Δp at t = {t:g}"))
    return checks


@claim(
    "A074",
    "Tutorial 002, Eq. 30",
    "The score is minus the mean noise over σ, and gives the mean data by Tweedie's formula, with a plus.",
    formula="s = −E[ε | x_t]/σ,  E[x₀ | x_t] = (x_t + σ² s)/α",
)
def tweedie() -> list[Check]:
    """The derivative of log p against closed forms, over α = 0.06 (VP at t = 0.2) and more: 10⁻¹²."""
    checks = []
    for path, t, where in _cases():
        a, b, slope = float(path.alpha(t)), float(path.sigma(t)), _slope_of_log(POINTS, t, path)
        mean = (POINTS + b**2 * slope) / a
        learned = Denoiser(lambda x, time, path=path: MIXTURE.score(x, time, path), path, predicts="score")
        checks.append(Check(_largest(slope + MIXTURE.eps(POINTS, t, path) / b), 0.0, 1e-12, f"−E[ε]/σ, {where}"))
        checks.append(Check(_largest(mean - MIXTURE.x0(POINTS, t, path)), 0.0, 1e-12, f"E[x₀], {where}"))
        predicted = learned.predict("x0", t, POINTS)
        checks.append(Check(_largest(predicted - mean), 0.0, 1e-12, f"E[x₀] of a score network, {where}"))
    return checks


@claim(
    "A082",
    "Tutorial 002, section 2.2; slides 003",
    "The score does not know the normalising constant: it is minus the gradient of the energy.",
    formula="∇ log (e^(−E)/Z) = −∇E",
)
def normalising_constant() -> list[Check]:
    """The derivative of a constant is zero to the last bit; against the closed form 10⁻¹²."""
    checks = []
    for path, t, where in _cases():
        plain, shifted = (_slope_of_log(POINTS, t, path, shift) for shift in (0.0, -3.7))
        checks.append(Check(_largest(shifted - plain), 0.0, 0.0, f"with another constant, {where}"))
        checks.append(Check(_largest(shifted - MIXTURE.score(POINTS, t, path)), 0.0, 1e-12, f"the oracle, {where}"))
    return checks


@claim(
    "A084",
    "Lecture notes 000, section 4.3 with proposition 1",
    "The factor between score and velocity is half the squared noise of the process that adds the noise.",
    formula="k_t = b² ȧ/a − ḃ b = g²/2,  u = (ȧ/a) x + k_t s",
)
def factor_of_the_score() -> list[Check | Bound]:
    """k is of order 1 to 10 here: 10⁻¹² relative to it; u likewise. Halving g² is seen to be wrong."""
    checks: list[Check | Bound] = []
    for path, t, where in _cases():
        a, b, da, db = (float(f(t)) for f in (path.alpha, path.sigma, path.d_alpha, path.d_sigma))
        k, g = b**2 * da / a - db * b, float(reversal(path)(t))
        velocity = MIXTURE.velocity(POINTS, t, path)
        drift = da / a * POINTS + k * MIXTURE.score(POINTS, t, path)
        checks.append(Check(0.5 * g**2 / k, 1.0, 1e-12, f"g²/2 over k, {where}"))
        checks.append(Check(_largest(drift - velocity) / _largest(velocity), 0.0, 1e-12, f"u, {where}"))
        wrong = da / a * POINTS + 0.25 * g**2 * MIXTURE.score(POINTS, t, path)
        checks.append(Bound(_largest(wrong - velocity) / _largest(velocity), 0.01, f"with g²/4, {where}", above=True))
    return checks

"""Flows that carry one law to another: any two laws, blurred data, densities that are pushed forward.

On the line the flow is the increasing map between two laws, F_data(ψ₁(x)) = F_source(x). RK4 with n steps errs there by
C/n⁴: 2.6·10⁻¹⁰ C with 250, and fields that vary on a scale of ½, near t = 1, have a C of 2⁵, hence 10⁻⁸.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ....generative import CondOT, Denoiser, GaussianPath, Interpolant, flow
from ....generative.training import target
from ....solvers import RK4, solve, standard_normal
from ...oracles import GaussianMixture
from ..claim import Check, claim
from ..sources import NOTES_2025, SLIDES, TUTORIAL
from ..tools.errors import largest
from ..tools.points import MIXTURE, MIXTURE_2D, THREE_STATES, WHOLE_PATHS, cdf, gaussian, grid, name_of, schedule_at
from ..tools.quadrature import trapezoid, trapezoid_plane

STARTS = trapezoid(-2.5, 2.5, 21)[0]


@claim(
    "A063",
    NOTES_2025["section 4.3 and Summary 23"],
    SLIDES,
    statement="Flow matching carries any law to any other: the exact field of a straight bridge takes one mixture to "
    "another.",
    formula="u(x) = E[ȧ x₁ + ḃ x₀ | x_t = x],  F_data(ψ₁(x)) = F_source(x)",
)
def any_law_to_any_law() -> list[Check]:
    """Given the component of either end the pair is normal and the field linear; the flow as in the module."""
    source = GaussianMixture(
        MIXTURE.weights.flip(0), 0.8 * MIXTURE.means - 1.0, torch.full((2, 1, 1), 0.3, dtype=torch.float64)
    )
    checks = []
    for path in WHOLE_PATHS[:2]:

        def net(x: Tensor, t: Tensor, path: GaussianPath = path) -> Tensor:
            return _bridge(source, MIXTURE, path, x, float(t[0]))

        end = solve(Interpolant(path).flow(net), STARTS, grid(250), RK4()).x
        error = largest(cdf(MIXTURE, end) - cdf(source, STARTS))
        checks.append(Check(error, 0.0, 1e-8, f"F_data(ψ₁(x)) less F_source(x) on {name_of(path)}"))
    return checks


def _bridge(source: GaussianMixture, data: GaussianMixture, path: GaussianPath, x: Tensor, t: float) -> Tensor:
    """E[ȧ x₁ + ḃ x₀ | x], over the pairs of components: (B, 1)."""
    a, b, da, db = schedule_at(path, t)
    weights = (data.weights[:, None] * source.weights).flatten()
    m, c = (torch.repeat_interleave(value.flatten(), len(source.weights)) for value in (data.means, data.covs))
    n, d = (value.flatten().repeat(len(data.weights)) for value in (source.means, source.covs))
    variance, residual = a**2 * c + b**2 * d, x - (a * m + b * n)
    share = torch.softmax(weights.log() - 0.5 * (residual**2 / variance + variance.log()), dim=1)
    fields = da * m + db * n + (a * da * c + b * db * d) / variance * residual
    return (share * fields).sum(1, keepdim=True)


@claim(
    "A064",
    TUTORIAL["Eq. 34-35"],
    statement="With a least noise σ_min the straight path ends in blurred data, and the velocity still gives the "
    "score.",
    formula="φ_t = (1 − (1 − σ_min) t) z₀ + t z₁,  u = z₁ − (1 − σ_min) z₀,  ȧ b − a ḃ = 1",
)
def blurred_data() -> list[Check]:
    """Closed forms of order 1 to 10, divided by σ_min = 0.1 at least: 10⁻¹². The flow as in the module."""
    least = 0.1
    path = CondOT(least)
    t = torch.tensor([0.0, 0.3, 0.9, 1.0], dtype=torch.float64)
    z0, z1 = (standard_normal(torch.empty(4, 1, dtype=torch.float64), seed) for seed in (64, 65))
    regressed = target("velocity", path, t, z1, z0)
    rotation = torch.as_tensor(path.d_alpha(t) * path.sigma(t) - path.alpha(t) * path.d_sigma(t))
    x, h = trapezoid(-8.0, 8.0, 1601)
    square = (gaussian(0.0, 0.7).log_prob(x, 0.6, path).exp() * x[:, 0] ** 2).sum() * h
    blurred = GaussianMixture(MIXTURE.weights, MIXTURE.means, MIXTURE.covs + least**2)
    learned = Denoiser(lambda x, time: MIXTURE.velocity(x, time, path), path, predicts="velocity")
    ends = solve(flow(MIXTURE.denoiser(path)), STARTS, grid(250), RK4()).x
    return [
        Check(largest(regressed - (z1 - (1.0 - least) * z0)), 0.0, 1e-12, "the target less z₁ − (1 − σ_min) z₀"),
        Check(largest(rotation - 1.0), 0.0, 1e-12, "ȧ b − a ḃ"),
        Check(float(square), 0.36 * 0.49 + (1.0 - 0.6 * 0.9) ** 2, 1e-12, "t² s² + (1 − (1 − σ_min) t)² at t = 0.6"),
        Check(
            largest(MIXTURE.log_prob(THREE_STATES, 1.0, path) - blurred.log_prob(THREE_STATES)), 0.0, 1e-12, "log p₁"
        ),
        Check(
            largest(learned.predict("score", 0.6, THREE_STATES) - MIXTURE.score(THREE_STATES, 0.6, path)),
            0.0,
            1e-12,
            "score",
        ),
        Check(largest(cdf(blurred, ends) - torch.special.ndtr(STARTS[:, 0])), 0.0, 1e-8, "the flow's end"),
    ]


@claim(
    "A065",
    NOTES_2025["Figure 1"],
    SLIDES["figures 5-7"],
    statement="A flow divides the density that it carries by the determinant of its map.",
    formula="p_t(ψ_t(x)) |det ∂ψ_t/∂x| = p₀(x)",
)
def pushforward() -> list[Check]:
    """RK4 with 100 steps: 10⁻⁸ C in the state and its derivative, C = 2⁵ as in the module, times gradients of log p
    and of log det up to 10: below 10⁻⁵."""
    path, checks = CondOT(), []
    for t in (0.5, 1.0):
        x = trapezoid_plane(-2.0, 2.0, 5)[0].requires_grad_()
        image = solve(flow(MIXTURE_2D.denoiser(path)), x, grid(100, 0.0, t), RK4()).x
        rows = [torch.autograd.grad(image[:, i].sum(), x, retain_graph=True)[0] for i in (0, 1)]
        moved = MIXTURE_2D.log_prob(image, t, path) + torch.linalg.det(torch.stack(rows, dim=1)).log()
        error = largest(moved - MIXTURE_2D.log_prob(x, 0.0, path))
        checks.append(Check(error, 0.0, 1e-5, f"log p_t(ψ_t) + log det − log p₀ at t = {t:g}"))
    return checks

"""Chapter A.6: one prediction from another, and any of them in any sampler.

Every kind of prediction is p x₀ + q ε, and x = α x₀ + σ ε; so two of the three numbers x, y and z that stand for x,
one kind and another give the third. The conversions divide by a determinant, which vanishes at one end of the path or
the other: there errors are magnified.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ....generative.denoiser import KINDS, Denoiser, coefficients, conversion
from ....generative.discrete import ancestral
from ....generative.equations import Interpolant, constant, diffusion_sde, flow, reverse_sde
from ....generative.paths import CondOT, Cosine, GaussianPath, Real
from ....generative.training import target
from ....solvers import EulerMaruyama, ExponentialAdams, Heun, WhiteNoise, solve
from ...oracles import GaussianMixture
from ..claim import Bound, Check, claim
from ..tools.bridges import Bridge
from ..tools.measuring import most
from ..tools.points import MIXTURE, PATHS, STATES, TIMES, called, exact, points, rows
from ..tools.quadrature import normal, point

__all__ = ["gain"]

def gain(source: str, aim: str, path: GaussianPath, t: float) -> float:
    """By how much the conversion multiplies an error."""
    return float(conversion(coefficients(source, path, t), coefficients(aim, path, t), path, t)[1])


@claim(
    "A108",
    "Lecture notes 000, Proposition 1 and Eq. 54; tutorial 002, section 7.4",
    "The velocity is an affine function of the score, for the conditional and the marginal path alike.",
    formula="u = k s + (α'/α) x,  k = σ²α'/α − σ'σ",
)
def velocity_from_score() -> list[Check]:
    """Identities of fields of order 10 at t = 0.1, 0.5 and 0.9: rounding, magnified by k ≤ 10, 1e-12. At t = 1e-4 of
    CondOT the conversion multiplies errors of the score by k = 1/t − 1 = 9999, to a relative 1e-12."""
    found = []
    for path in PATHS:
        for name, denoiser in (("marginal", MIXTURE.denoiser(path)), ("conditional", point(0.7, path))):
            worst = 0.0
            for t in TIMES:
                alpha, sigma, d_alpha, d_sigma = rows(path, t)
                k = sigma**2 * d_alpha / alpha - d_sigma * sigma
                u, s = (denoiser.predict(kind, t, STATES) for kind in ("velocity", "score"))
                worst = most(worst, (u - k * s - d_alpha / alpha * STATES).abs().max().item())
            found.append(Check(worst, 0.0, 1e-12, f"{name}, {called(path)}"))
    return [*found, Check(gain("score", "velocity", CondOT(), 1e-4), 9999.0, 1e-8, "k on CondOT at t = 1e-4")]


def _turned(of: Callable[[Tensor], Real], s: float) -> float:
    """The derivative of of(1 − s) in s, automatically."""
    at = torch.tensor(s, dtype=torch.float64, requires_grad=True)
    slope: float = torch.autograd.grad(torch.as_tensor(of(1.0 - at)), at)[0].item()
    return slope


@claim(
    "A109",
    "Lecture notes 000, Eq. 55; tutorial 002, Eq. 35",
    "The score is an affine function of the velocity, whichever way time runs.",
    formula="s = (α u − α' x) / (σ (σ α' − α σ'))",
)
def score_from_velocity() -> list[Check]:
    """Identities as in A108, with divisions by σ² ≥ 0.01 of numbers of order 1, 1e-12, and the conversion of a network
    for u. With time turned round, s = 1 − t, the derivatives in s are taken automatically, and u is made of them. At
    t = 0.9999 errors grow by t/(1 − t) = 9999, to the rounding of 1 − t, a relative 1e-12."""
    found = []
    for path in PATHS:
        worst = turned = told = 0.0
        denoiser = Denoiser(exact(MIXTURE, "velocity", path), path, predicts="velocity")
        for t in TIMES:
            alpha, sigma, d_alpha, d_sigma = rows(path, t)
            u, s = MIXTURE.velocity(STATES, t, path), MIXTURE.score(STATES, t, path)
            forth = (alpha * u - d_alpha * STATES) / (sigma * (sigma * d_alpha - alpha * d_sigma))
            back_alpha, back_sigma = _turned(path.alpha, 1.0 - t), _turned(path.sigma, 1.0 - t)
            u = back_alpha * MIXTURE.x0(STATES, t, path) + back_sigma * MIXTURE.eps(STATES, t, path)
            back = (alpha * u - back_alpha * STATES) / (sigma * (sigma * back_alpha - alpha * back_sigma))
            worst = most(worst, (forth - s).abs().max().item())
            turned = most(turned, (back - s).abs().max().item())
            told = most(told, (denoiser.predict("score", t, STATES) - s).abs().max().item())
        found += [
            Check(worst, 0.0, 1e-12, called(path)),
            Check(turned, 0.0, 1e-12, f"time turned round, {called(path)}"),
            Check(told, 0.0, 1e-12, f"a network for u, {called(path)}"),
        ]
    return [*found, Check(gain("velocity", "score", CondOT(), 0.9999), 9999.0, 1e-8, "the gain at t = 0.9999, CondOT")]


@claim(
    "A110",
    "Derived from lecture notes 000, Eq. 55",
    "On CondOT the velocity alone gives the score, the clean sample and the noise by one line each.",
    formula="s = (t u − x)/(1 − t),  x̂₀ = x + (1 − t) u,  ε̂ = x − t u",
)
def straight_line_shortcuts() -> list[Check]:
    """The lines against the conversions of a network that predicts the velocity, and against the exact fields of a
    mixture: rounding, over 1 − t ≥ 0.1, 1e-12."""
    path, found = CondOT(), []
    denoiser = Denoiser(exact(MIXTURE, "velocity", path), path, predicts="velocity")
    for kind in ("score", "x0", "eps"):
        worst = 0.0
        for t in TIMES:
            u = MIXTURE.velocity(STATES, t, path)
            line = {"score": (t * u - STATES) / (1.0 - t), "x0": STATES + (1.0 - t) * u, "eps": STATES - t * u}[kind]
            for other in (denoiser.predict(kind, t, STATES), exact(MIXTURE, kind, path)(STATES, t)):
                worst = most(worst, (line - other).abs().max().item())
        found.append(Check(worst, 0.0, 1e-12, kind))
    return found


@claim(
    "A113",
    "Lecture notes 000, section 4.2",
    "On a Gaussian path one network gives velocity and score; where the noise is not Gaussian it takes two.",
    formula="s = (α u − α' x) / (σ (σ α' − α σ')) only if the source is N(0, I)",
)
def one_head() -> list[Check | Bound]:
    """The formula of A109 on a bridge from a source to N(1, 0.25), t = 0.5: rounding for a normal source, 1e-12. With a
    source of two components at ±1 it errs by as much as the score itself."""
    path, t = CondOT(), torch.full((13,), 0.5, dtype=torch.float64)
    ones = torch.ones(2, dtype=torch.float64)
    two = GaussianMixture(0.5 * ones, torch.stack([ones[:1], -ones[:1]]), 0.1 * ones[:, None, None])

    def error(source: GaussianMixture) -> float:
        bridge = Bridge(Interpolant(path), source, 1.0, 0.5)
        told = Denoiser(bridge.velocity, path, predicts="velocity").predict("score", 0.5, STATES)
        return (told - bridge.score(STATES, t)).abs().max().item()

    return [
        Check(error(normal(0.0, 1.0)), 0.0, 1e-12, "a normal source"),
        Bound(error(two), 0.5, "a source of two components", above=True),
    ]


@claim(
    "A114",
    "Tutorial 002, Eq. 11-12, corrected",
    "The clean sample follows from the noise, and errors of the noise come back multiplied by σ/α.",
    formula="x̂₀ = (x − σ ε̂)/α",
)
def clean_from_noise() -> list[Check]:
    """The exact fields of a mixture, rounding over α ≥ 0.1: 1e-12. On the cosine schedule cut at a log-SNR of ±15
    (7.5 as log α/σ) the factor at the noisy end is e^7.5 = 1808.04, to a relative 1e-10 of the angle's rounding."""
    found = []
    for path in PATHS:
        worst = 0.0
        for t in (0.5, 0.9):
            clean = (STATES - path.sigma(t) * MIXTURE.eps(STATES, t, path)) / path.alpha(t)
            worst = most(worst, (clean - MIXTURE.x0(STATES, t, path)).abs().max().item())
        found.append(Check(worst, 0.0, 1e-12, called(path)))
    return [*found, Check(-gain("eps", "x0", Cosine(), 0.0), math.exp(7.5), 1e-6, "σ/α at the noisy end")]


@claim(
    "A115",
    "Tutorial 002, Eq. 13-15",
    "Where α² + σ² = 1, v = α ε − σ x₀ is the velocity of a rotation: x₀ and ε follow without a division.",
    formula="x₀ = α x − σ v,  ε = σ x + α v,  α' x₀ + σ' ε = −(π/2) v on the cosine path",
)
def rotation() -> list[Check]:
    """Identities between numbers of order 1: a few roundings, 1e-14. Time runs towards the data here; the other way
    round the velocity is +(π/2) v."""
    x0, eps, t = points()
    found = []
    for path in (PATHS[1], PATHS[2]):
        alpha, sigma = (torch.as_tensor(f(t))[:, None] for f in (path.alpha, path.sigma))
        x, v = alpha * x0 + sigma * eps, target("v", path, t, x0, eps)
        worst = most((alpha * x - sigma * v - x0).abs().max().item(), (sigma * x + alpha * v - eps).abs().max().item())
        found.append(Check(worst, 0.0, 1e-14, f"x₀ and ε, {called(path)}"))
        worst = 0.0
        for s in TIMES:
            v_row, (signal, noise, _, _) = coefficients("v", path, s), rows(path, s)
            for row, expected in (((1.0, 0.0), (signal, -noise)), ((0.0, 1.0), (noise, signal))):
                made = conversion(v_row, row, path, s)
                worst = most(worst, *(abs(float(a) - b) for a, b in zip(made, expected, strict=True)))
        found.append(Check(worst, 0.0, 1e-14, f"the conversions, {called(path)}"))
    turned = target("velocity", PATHS[1], t, x0, eps) + 0.5 * math.pi * target("v", PATHS[1], t, x0, eps)
    return [*found, Check(turned.abs().max().item(), 0.0, 1e-14, "the velocity of the cosine path")]


@claim(
    "A116",
    "Tutorial 002, Eq. 16-17",
    "At high noise −v is x₀ and ε is x; at low noise x is x₀ and v is ε.",
    formula="|x₀ + v|, |ε − x| = O(α);  |x₀ − x|, |ε − v| = O(σ)",
)
def limits_of_v() -> list[Check]:
    """At the ends of the cosine schedule, a log-SNR of ±15, the small coefficient is c = e^(−7.5)(1 − O(e^(−15))) and
    the large one 1 − c²/2; over |x₀|, |ε| ≤ 1 the largest deviation is c + c²/2, 5.5e-4 and 1.6e-7, to e^(−22)."""
    path, c = Cosine(), 1.0 / math.sqrt(1.0 + math.exp(15.0))
    x0 = torch.tensor([[1.0], [1.0], [-1.0], [-1.0]], dtype=torch.float64)
    eps = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]], dtype=torch.float64)
    found = []
    for t in (0.0, 1.0):
        times = torch.full((4,), t, dtype=torch.float64)
        x, v = path.alpha(t) * x0 + path.sigma(t) * eps, target("v", path, times, x0, eps)
        pairs = ((x0, -v), (eps, x)) if t == 0.0 else ((x0, x), (eps, v))
        worst = most(*((one - other).abs().max().item() for one, other in pairs))
        found.append(Check(worst, c + 0.5 * c**2, 1e-9, "high noise" if t == 0.0 else "low noise"))
    return found


SAMPLERS: dict[str, Callable[[Denoiser, Tensor], Tensor]] = {
    "multistep": lambda net, times: solve(flow(net, "x0"), STATES, times, ExponentialAdams(2)).x,
    "Heun": lambda net, times: solve(flow(net), STATES, times, Heun()).x,
    "g = 1/2": lambda net, times: solve(
        diffusion_sde(net, constant(0.5), 0.1, 0.9), STATES, times, EulerMaruyama(), WhiteNoise(1)
    ).x,
    "reversal": lambda net, times: solve(reverse_sde(net), STATES, times, EulerMaruyama(), WhiteNoise(1)).x,
    "ancestral": lambda net, times: ancestral(net, STATES, WhiteNoise(1), times, variance="small").x,
}


@claim(
    "A123",
    "Lecture notes 000, section 4.2; tutorial 002, section 7.4",
    "A network of any kind drives any sampler: all 25 conversions between the five kinds are exact.",
    formula="(x, y_kind) ↦ y_other for x0, eps, v, velocity, score",
)
def every_pair() -> list[Check]:
    """Exact fields of a mixture at t = 0.1, 0.5 and 0.9, on paths with and without α² + σ² = 1: rounding times two
    factors of at most 1/(α σ) ≈ 1e3 on VP at t = 0.1, 1e-11. Ten steps from nets of the five kinds, of two
    deterministic samplers, two stochastic equations and the ancestral chain on the same noise, agree to ten times
    that."""
    found = []
    for path in PATHS:
        worst = 0.0
        nets = {kind: Denoiser(exact(MIXTURE, kind, path), path, predicts=kind) for kind in KINDS}
        for t in TIMES:
            for denoiser in nets.values():
                for aim in KINDS:
                    apart = denoiser.predict(aim, t, STATES) - exact(MIXTURE, aim, path)(STATES, t)
                    worst = most(worst, apart.abs().max().item())
        found.append(Check(worst, 0.0, 1e-11, f"25 pairs, {called(path)}"))
        times = torch.linspace(0.1, 0.9, 11, dtype=torch.float64)
        for name, sampled in SAMPLERS.items():
            ends = [sampled(net, times) for net in nets.values()]
            worst = most(*((end - ends[0]).abs().max().item() for end in ends))
            found.append(Check(worst, 0.0, 1e-10, f"{name}, {called(path)}"))
    return found

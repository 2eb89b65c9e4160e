"""Conversions of one prediction to another, and samplers that take any of them.

Every kind of prediction is p x₀ + q ε, and x = α x₀ + σ ε. Therefore x and one prediction give every other. The
conversions divide by a determinant, which vanishes at one end of the path or the other: errors are magnified there.
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
from ..sources import FOKKER, NOTES_2025, TUTORIAL
from ..tools.bridges import Bridge
from ..tools.errors import largest
from ..tools.points import BROAD_MIXTURE, PATHS, STATES, TIMES, exact, gaussian, name_of, point, schedule_at, triples


def gain(source: str, aim: str, path: GaussianPath, t: float) -> float:
    """The factor by which the conversion multiplies an error."""
    return float(conversion(coefficients(source, path, t), coefficients(aim, path, t), path, t)[1])


@claim(
    "A108",
    NOTES_2025["Proposition 1 and Eq. 54"],
    TUTORIAL["section 7.4"],
    statement="The velocity is an affine function of the score, for the conditional and the marginal path alike.",
    formula="u = k s + (α'/α) x,  k = σ²α'/α − σ'σ",
)
def velocity_from_score() -> list[Check]:
    """Identities of fields of order 10 at t = 0.1, 0.5 and 0.9: rounding, magnified by k ≤ 10, 1e-12. At t = 1e-4 of
    CondOT the conversion multiplies errors of the score by k = 1/t − 1 = 9999, to a relative 1e-12."""
    found = []
    for path in PATHS:
        for name, denoiser in (("marginal", BROAD_MIXTURE.denoiser(path)), ("conditional", point(0.7, path))):
            worst = 0.0
            for t in TIMES:
                alpha, sigma, d_alpha, d_sigma = schedule_at(path, t)
                k = sigma**2 * d_alpha / alpha - d_sigma * sigma
                u, s = (denoiser.predict(kind, t, STATES) for kind in ("velocity", "score"))
                worst = largest(worst, largest(u - k * s - d_alpha / alpha * STATES))
            found.append(Check(worst, 0.0, 1e-12, f"{name}, {name_of(path)}"))
    return [*found, Check(gain("score", "velocity", CondOT(), 1e-4), 9999.0, 1e-8, "k on CondOT at t = 1e-4")]


def _turned(of: Callable[[Tensor], Real], s: float) -> float:
    """The derivative of of(1 − s) in s, automatically."""
    at = torch.tensor(s, dtype=torch.float64, requires_grad=True)
    slope: float = torch.autograd.grad(torch.as_tensor(of(1.0 - at)), at)[0].item()
    return slope


@claim(
    "A109",
    NOTES_2025["Eq. 55"],
    TUTORIAL["Eq. 35"],
    statement="The score is an affine function of the velocity, in whichever direction time runs.",
    formula="s = (α u − α' x) / (σ (σ α' − α σ'))",
)
def score_from_velocity() -> list[Check]:
    """Identities as in A108, with divisions by σ² ≥ 0.01 of numbers of order 1, 1e-12, and the conversion of a network
    for u. With time turned round, s = 1 − t, the derivatives in s are taken automatically, and u is made of them. At
    t = 0.9999 errors grow by t/(1 − t) = 9999, to the rounding of 1 − t, a relative 1e-12."""
    found = []
    for path in PATHS:
        worst = turned = told = 0.0
        denoiser = Denoiser(exact(BROAD_MIXTURE, "velocity", path), path, predicts="velocity")
        for t in TIMES:
            alpha, sigma, d_alpha, d_sigma = schedule_at(path, t)
            u, s = BROAD_MIXTURE.velocity(STATES, t, path), BROAD_MIXTURE.score(STATES, t, path)
            forth = (alpha * u - d_alpha * STATES) / (sigma * (sigma * d_alpha - alpha * d_sigma))
            back_alpha, back_sigma = _turned(path.alpha, 1.0 - t), _turned(path.sigma, 1.0 - t)
            u = back_alpha * BROAD_MIXTURE.x0(STATES, t, path) + back_sigma * BROAD_MIXTURE.eps(STATES, t, path)
            back = (alpha * u - back_alpha * STATES) / (sigma * (sigma * back_alpha - alpha * back_sigma))
            worst = largest(worst, largest(forth - s))
            turned = largest(turned, largest(back - s))
            told = largest(told, largest(denoiser.predict("score", t, STATES) - s))
        found += [
            Check(worst, 0.0, 1e-12, name_of(path)),
            Check(turned, 0.0, 1e-12, f"time turned round, {name_of(path)}"),
            Check(told, 0.0, 1e-12, f"a network for u, {name_of(path)}"),
        ]
    return [*found, Check(gain("velocity", "score", CondOT(), 0.9999), 9999.0, 1e-8, "the gain at t = 0.9999, CondOT")]


@claim(
    "A110",
    NOTES_2025["Eq. 55"],
    FOKKER,
    statement="On the straight path the velocity alone gives the score, the clean sample and the noise, by one line "
    "each.",
    formula="s = (t u − x)/(1 − t),  x̂₀ = x + (1 − t) u,  ε̂ = x − t u",
)
def straight_line_shortcuts() -> list[Check]:
    """The lines against the conversions of a network that predicts the velocity, and against the exact fields of a
    mixture: rounding, over 1 − t ≥ 0.1, 1e-12."""
    path, found = CondOT(), []
    denoiser = Denoiser(exact(BROAD_MIXTURE, "velocity", path), path, predicts="velocity")
    for kind in ("score", "x0", "eps"):
        worst = 0.0
        for t in TIMES:
            u = BROAD_MIXTURE.velocity(STATES, t, path)
            line = {"score": (t * u - STATES) / (1.0 - t), "x0": STATES + (1.0 - t) * u, "eps": STATES - t * u}[kind]
            for other in (denoiser.predict(kind, t, STATES), exact(BROAD_MIXTURE, kind, path)(STATES, t)):
                worst = largest(worst, largest(line - other))
        found.append(Check(worst, 0.0, 1e-12, kind))
    return found


@claim(
    "A113",
    NOTES_2025["section 4.2"],
    statement="On a Gaussian path one network gives both velocity and score. Where the source is not Gaussian, two "
    "networks are needed.",
    formula="s = (α u − α' x) / (σ (σ α' − α σ')) only if the source is N(0, I)",
)
def one_network_for_velocity_and_score() -> list[Check | Bound]:
    """The formula of A109 on a bridge from a source to N(1, 0.25), t = 0.5: rounding for a normal source, 1e-12. With a
    source of two components at ±1 it errs by as much as the score itself."""
    path, t = CondOT(), torch.full((13,), 0.5, dtype=torch.float64)
    ones = torch.ones(2, dtype=torch.float64)
    two = GaussianMixture(0.5 * ones, torch.stack([ones[:1], -ones[:1]]), 0.1 * ones[:, None, None])

    def error(source: GaussianMixture) -> float:
        bridge = Bridge(Interpolant(path), source, 1.0, 0.5)
        told = Denoiser(bridge.velocity, path, predicts="velocity").predict("score", 0.5, STATES)
        return largest(told - bridge.score(STATES, t))

    return [
        Check(error(gaussian(0.0, 1.0)), 0.0, 1e-12, "a normal source"),
        Bound(error(two), 0.5, "a source of two components", above=True),
    ]


@claim(
    "A114",
    TUTORIAL["Eq. 11-12, corrected"],
    statement="The clean sample follows from the predicted noise, and an error of the noise is multiplied by σ/α on "
    "the way.",
    formula="x̂₀ = (x − σ ε̂)/α",
)
def clean_from_noise() -> list[Check]:
    """The exact fields of a mixture, rounding over α ≥ 0.1: 1e-12. On the cosine schedule cut at a log-SNR of ±15
    (7.5 as log α/σ) the factor at the noisy end is e^7.5 = 1808.04, to a relative 1e-10 of the angle's rounding."""
    found = []
    for path in PATHS:
        worst = 0.0
        for t in (0.5, 0.9):
            clean = (STATES - path.sigma(t) * BROAD_MIXTURE.eps(STATES, t, path)) / path.alpha(t)
            worst = largest(worst, largest(clean - BROAD_MIXTURE.x0(STATES, t, path)))
        found.append(Check(worst, 0.0, 1e-12, name_of(path)))
    return [*found, Check(-gain("eps", "x0", Cosine(), 0.0), math.exp(7.5), 1e-6, "σ/α at the noisy end")]


@claim(
    "A115",
    TUTORIAL["Eq. 13-15"],
    statement="Where α² + σ² = 1, v = α ε − σ x₀ is the velocity of a rotation, so that x₀ and ε follow from x and v "
    "without a division.",
    formula="x₀ = α x − σ v,  ε = σ x + α v,  α' x₀ + σ' ε = −(π/2) v on the cosine path",
)
def rotation_by_v() -> list[Check]:
    """Identities between numbers of order 1: a few roundings, 1e-14. Time runs towards the data here; the other way
    round the velocity is +(π/2) v."""
    x0, eps, t = triples()
    found = []
    for path in (PATHS[1], PATHS[2]):
        alpha, sigma = (torch.as_tensor(f(t))[:, None] for f in (path.alpha, path.sigma))
        x, v = alpha * x0 + sigma * eps, target("v", path, t, x0, eps)
        worst = largest(largest(alpha * x - sigma * v - x0), largest(sigma * x + alpha * v - eps))
        found.append(Check(worst, 0.0, 1e-14, f"x₀ and ε, {name_of(path)}"))
        worst = 0.0
        for s in TIMES:
            v_row, (signal, noise, _, _) = coefficients("v", path, s), schedule_at(path, s)
            for row, expected in (((1.0, 0.0), (signal, -noise)), ((0.0, 1.0), (noise, signal))):
                made = conversion(v_row, row, path, s)
                worst = largest(worst, *(abs(float(a) - b) for a, b in zip(made, expected, strict=True)))
        found.append(Check(worst, 0.0, 1e-14, f"the conversions, {name_of(path)}"))
    turned = target("velocity", PATHS[1], t, x0, eps) + 0.5 * math.pi * target("v", PATHS[1], t, x0, eps)
    return [*found, Check(largest(turned), 0.0, 1e-14, "the velocity of the cosine path")]


@claim(
    "A116",
    TUTORIAL["Eq. 16-17"],
    statement="At high noise −v tends to x₀ and x to ε; at low noise x tends to x₀ and v to ε.",
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
        worst = largest(*(largest(one - other) for one, other in pairs))
        found.append(Check(worst, c + 0.5 * c**2, 1e-9, "high noise" if t == 0.0 else "low noise"))
    return found


SAMPLERS: dict[str, Callable[[Denoiser, Tensor], Tensor]] = {
    "multistep": lambda net, times: solve(flow(net, "x0"), STATES, times, ExponentialAdams(2)).x,
    "Heun": lambda net, times: solve(flow(net), STATES, times, Heun()).x,
    "g = 1/2": lambda net, times: (
        solve(diffusion_sde(net, constant(0.5), 0.1, 0.9), STATES, times, EulerMaruyama(), WhiteNoise(1)).x
    ),
    "reversal": lambda net, times: solve(reverse_sde(net), STATES, times, EulerMaruyama(), WhiteNoise(1)).x,
    "ancestral": lambda net, times: ancestral(net, STATES, WhiteNoise(1), times, variance="small").x,
}


@claim(
    "A123",
    NOTES_2025["section 4.2"],
    TUTORIAL["section 7.4"],
    statement="A network that predicts any of the five quantities can drive any sampler: all 25 conversions are exact.",
    formula="(x, y_kind) ↦ y_other for x0, eps, v, velocity, score",
)
def every_pair_of_predictions() -> list[Check]:
    """Exact fields of a mixture at t = 0.1, 0.5 and 0.9, on paths with and without α² + σ² = 1: rounding times two
    factors of at most 1/(α σ) ≈ 1e3 on VP at t = 0.1, 1e-11. Ten steps from nets of the five kinds, of two
    deterministic samplers, two stochastic equations and the ancestral chain on the same noise, agree to ten times
    that."""
    found = []
    for path in PATHS:
        worst = 0.0
        nets = {kind: Denoiser(exact(BROAD_MIXTURE, kind, path), path, predicts=kind) for kind in KINDS}
        for t in TIMES:
            for denoiser in nets.values():
                for aim in KINDS:
                    apart = denoiser.predict(aim, t, STATES) - exact(BROAD_MIXTURE, aim, path)(STATES, t)
                    worst = largest(worst, largest(apart))
        found.append(Check(worst, 0.0, 1e-11, f"25 pairs, {name_of(path)}"))
        times = torch.linspace(0.1, 0.9, 11, dtype=torch.float64)
        for name, sampled in SAMPLERS.items():
            ends = [sampled(net, times) for net in nets.values()]
            worst = largest(*(largest(end - ends[0]) for end in ends))
            found.append(Check(worst, 0.0, 1e-10, f"{name}, {name_of(path)}"))
    return found

"""Bridges between any two laws, with latent noise: laws, regressions, the stochastic equation, likelihoods.

x_t = α x₁ + σ x₀ + γ z with γ² = c t (1 − t), c = 0.64, and exact fields (`LatentBridge`), on the straight and on the
trigonometric path.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ....generative import BrownianLatent, CondOT, Cosine, GaussianPath, Interpolant, flow_log_likelihood
from ....generative.equations import EncoderDecoder, constant, noise_level
from ....solvers import EulerMaruyama
from ....solvers.common import host
from ...oracles import GaussianMixture
from ..claim import Bound, Check, claim
from ..sources import FOKKER, INTERPOLANTS, NOTES_2025
from ..tools.errors import extrapolated, largest
from ..tools.latent_bridges import LatentBridge
from ..tools.points import BROAD_MIXTURE, MIDDLE_TIMES, MIXTURE, STATES, gaussian, grid
from ..tools.quadrature import hermite
from ..tools.samplers import response

LATENT = BrownianLatent(0.8)
PATHS: dict[str, GaussianPath] = {"straight": CondOT(), "trigonometric": Cosine(-math.inf, math.inf)}
START, END = (-1.0, 0.5), (1.2, 0.8)
"""Mean and deviation of the normal source and of the normal data."""


def square(t: Tensor) -> Tensor:
    """γ²."""
    return 0.64 * t * (1.0 - t)


def rate(t: Tensor) -> Tensor:
    """2 γ γ'."""
    return 0.64 * (1.0 - 2.0 * t)


def bridge(path: GaussianPath, source: GaussianMixture, data: GaussianMixture) -> LatentBridge:
    return LatentBridge(path, source, data, square, rate)


@claim(
    "A242",
    NOTES_2025["Theorem 13 and section 4.3"],
    INTERPOLANTS["corollary 2.10"],
    statement="The stochastic equation of a velocity and a score ends in the data at every noise level, whatever the "
    "source: of a bridge between normal laws mean and deviation are those of the data for σ = 0, 1 and 2.",
    formula="dX = [u + ½ σ_t² s] dt + σ_t dW,  X₀ ~ source,  X₁ ~ N(m, s²)",
)
def normal_bridge_with_noise() -> list[Check]:
    """Euler-Maruyama in 50, 100 and 200 steps, whose law is exact (`response`); after twofold extrapolation C₃ h³/8 is
    left, 1e-6 C₃ at h = 1/50. Rates near t = 0 are up to ½ σ²/s₀² = 8 at σ = 2, and 8³/6 of them make C₃ 100: 1e-4.
    On the trigonometric path it is η, with the level 2 sin(π t), which vanishes where γ does."""
    checks = []
    for name, path in PATHS.items():
        exact = bridge(path, gaussian(*START), gaussian(*END))
        interpolant = Interpolant(path, LATENT)
        if name == "straight":
            equations = {
                f"σ = {g:g}": interpolant.sde(exact.velocity, exact.score, constant(g)) for g in (0.0, 1.0, 2.0)
            }
        else:
            level = noise_level.sine(2.0)
            equations = {"2 sin(π t), η": interpolant.sde(exact.velocity, exact.eta, level, predicts="eta")}
        for which, equation in equations.items():
            laws = [response(EulerMaruyama(), equation, grid(n)).law(*START) for n in (50, 100, 200)]
            for what, value, values in zip(("mean", "deviation"), END, zip(*laws, strict=True), strict=True):
                checks.append(Check(extrapolated(values), value, 1e-4, f"{name}, {which}: the {what}"))
    return checks


@claim(
    "A243",
    NOTES_2025["Theorem 13 and Eq. 25"],
    INTERPOLANTS["corollary 2.10"],
    statement="The densities of a bridge between two mixtures obey the Fokker-Planck equation of the drift u + ½ σ² s "
    "for σ = 0, 1 and 2; without the score they do not.",
    formula="∂p/∂t = −∇·(p [u + ½ σ² s]) + ½ σ² Δp",
)
def mixture_bridge_with_noise() -> list[Check | Bound]:
    """Both sides by automatic differentiation of closed forms: rounding, 1e-12. Without the score the rest is ½ σ² Δp,
    of the size of p'' of a mixture, above 0.1."""
    checks: list[Check | Bound] = []
    for name, path in PATHS.items():
        exact = bridge(path, BROAD_MIXTURE, MIXTURE)
        interpolant = Interpolant(path, LATENT)
        for level in (0.0, 1.0, 2.0):
            drift = interpolant.sde(exact.velocity, exact.score, constant(level)).drift
            rests = [_residual(exact, drift, level, t) for t in MIDDLE_TIMES]
            checks.append(Check(largest(*rests), 0.0, 1e-12, f"{name}, σ = {level:g}"))
        rest = _residual(exact, interpolant.flow(exact.velocity).drift, 1.0, 0.5)
        checks.append(Bound(largest(rest), 0.1, f"{name}, σ = 1 without the score", above=True))
    return checks


def _residual(exact: LatentBridge, drift: object, level: float, t: float) -> Tensor:
    """∂p/∂t + (p f)' − ½ σ² p'' at the states."""
    x = STATES.clone().requires_grad_()
    times = torch.full((len(x),), t, dtype=torch.float64, device="cpu", requires_grad=True)
    density = exact.log_prob(x, times).exp()
    in_time, slope = torch.autograd.grad(density.sum(), (times, x), create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), x, retain_graph=True)
    flux = density[:, None] * drift(t, x)  # type: ignore[operator]
    (outflow,) = torch.autograd.grad(flux.sum(), x)
    return (in_time + outflow[:, 0] - 0.5 * level**2 * bend[:, 0]).detach()


def _triples(n: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x₀, x₁ and z (N, 1) of the normal bridge, and their weights (N,)."""
    nodes, weights = hermite(n)
    points, share = torch.cartesian_prod(nodes, nodes, nodes), torch.cartesian_prod(weights, weights, weights).prod(1)
    source, data, z = points[:, :1], points[:, 1:2], points[:, 2:]
    return START[0] + START[1] * source, END[0] + END[1] * data, z, share


@claim(
    "A244",
    INTERPOLANTS["eq. 4"],
    statement="With latent noise a bridge between independent normal laws is normal at every time, on the straight "
    "path, on the trigonometric one, and where the source fades out before the data fade in.",
    formula="E exp(i ω x_t) = exp(i ω (α m₁ + σ m₀) − ½ ω² (α² s₁² + σ² s₀² + γ²))",
)
def law_of_a_latent_bridge() -> list[Check]:
    """16 Gauss-Hermite nodes a variable: of cos and sin of a frequency a = ω s ≤ 1.6 the rest is 16! a³²/32!, 3e-16:
    rounding, 1e-12."""
    source, data, z, share = _triples(16)
    curves = {name: (path, path.alpha, path.sigma) for name, path in PATHS.items()}
    fading = {name: (Interpolant(curve[0], LATENT), *curve[1:]) for name, curve in curves.items()}
    fading["encoder-decoder"] = (
        Interpolant(EncoderDecoder(), LATENT),
        lambda t: math.cos(math.pi * t) ** 2 * (t >= 0.5),
        lambda t: math.cos(math.pi * t) ** 2 * (t < 0.5),
    )
    checks = []
    for name, (interpolant, alpha, sigma) in fading.items():
        errors = []
        for t in MIDDLE_TIMES:
            x = interpolant.state(t, source, data, z)[:, 0]
            mean = alpha(t) * END[0] + sigma(t) * START[0]
            variance = (alpha(t) * END[1]) ** 2 + (sigma(t) * START[1]) ** 2 + 0.64 * t * (1.0 - t)
            for omega in (0.5, 1.0, 2.0):
                size = math.exp(-0.5 * omega**2 * variance)
                for function, plain in ((torch.cos, math.cos), (torch.sin, math.sin)):
                    errors.append(float((share * function(omega * x)).sum()) - size * plain(omega * mean))
        checks.append(Check(largest(host(errors)), 0.0, 1e-12, name))
    return checks


@claim(
    "A245",
    INTERPOLANTS["section 2"],
    FOKKER,
    statement="The two regressions of a latent bridge have the velocity and −γ times the score as their minimisers: "
    "what they leave of the targets is orthogonal to every function of the state.",
    formula="E[(∂_t I + γ' z − u(x_t)) f(x_t)] = 0,  E[(z + γ s(x_t)) f(x_t)] = 0",
)
def two_regressions() -> list[Check]:
    """f = 1, x, x³, sin x and cos 2x by 16 nodes a variable as in A244: rounding, 1e-11."""
    source, data, z, share = _triples(16)
    functions = (torch.ones_like, lambda x: x, lambda x: x**3, torch.sin, lambda x: (2.0 * x).cos())
    checks = []
    for name, path in PATHS.items():
        exact, interpolant = bridge(path, gaussian(*START), gaussian(*END)), Interpolant(path, LATENT)
        rests: dict[str, list[Tensor]] = {"velocity": [], "η": []}
        for t in MIDDLE_TIMES:
            x = interpolant.state(t, source, data, z)
            times = torch.full((len(x),), t, dtype=torch.float64, device="cpu")
            left = {
                "velocity": interpolant.velocity(t, source, data, z) - exact.velocity(x, times),
                "η": z - exact.eta(x, times),
            }
            for head, rest in left.items():
                rests[head] += [(share * (rest * f(x))[:, 0]).sum() for f in functions]
        checks += [Check(largest(*each), 0.0, 1e-11, f"{name}: {head}") for head, each in rests.items()]
    return checks


@claim(
    "A246",
    NOTES_2025["section 4.3"],
    INTERPOLANTS["section 2"],
    statement="The likelihood of data follows from the density of any source: a flow from one mixture to another has "
    "the density of the other.",
    formula="log p₁(x₁) = log p₀(x₀) − ∫₀¹ ∇·u dt",
)
def likelihood_from_any_source() -> Check:
    """33 nodes, of order 4 at least: on rates up to 5 the error is (5 h)⁴/120 a unit of time, 5e-6 with h = 1/32 and
    rates that vary slowly, and 2e-4 where derivatives are as large as 5 × 5 a unit of time."""
    exact = bridge(CondOT(), BROAD_MIXTURE, MIXTURE)
    x, flow = STATES[2:-2:2], Interpolant(CondOT(), LATENT).flow(exact.velocity)
    found = flow_log_likelihood(flow, x, BROAD_MIXTURE.log_prob, nodes=33)
    return Check(largest(found.value - MIXTURE.log_prob(x)), 0.0, 2e-4)

"""Errata of the lecture notes: printed formulas of samplers, targets and conversions.

Each claim measures two things: by how much the printed form fails, and that the corrected one holds.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ....generative.denoiser import Denoiser, coefficients
from ....generative.equations import flow
from ....generative.paths import CondOT, Cosine, GaussianPath, Polynomial
from ....generative.training import squared_error
from ....solvers import ODE, RK4, SDE, Euler, EulerMaruyama, solve
from ...oracles import GaussianClasses, OrnsteinUhlenbeck
from ..claim import Bound, Check, claim, uncovered
from ..sources import NOTES_2025, SLIDES
from ..tools.errors import largest
from ..tools.points import BROAD_MIXTURE, STATES, affine_network, gaussian, grid, name_of, point, schedule_at, triples
from ..tools.quadrature import nodes
from ..tools.samplers import response


@claim(
    "E01",
    NOTES_2025["Example 6"],
    statement="The Ornstein-Uhlenbeck process tends to the variance σ²/2θ, and not to σ².",
    formula="printed N(0, σ²); N(0, σ²/(2θ))",
    erratum=True,
)
def stationary_variance() -> list[Bound | Check]:
    """θ = 1/4, σ = 1. The printed variance 1 does not stay: after a time 1 it is 2 − e^(−1/2) = 1.39. The corrected one
    stays, to rounding; and Euler and Maruyama's chain with h = 0.02 keeps σ²/(2θ − θ²h) over a time of 20, to
    rounding."""
    process, h = OrnsteinUhlenbeck(0.25, 1.0), 0.02
    equation = SDE(lambda t, x: -0.25 * x, lambda t, x: 1.0, noise="additive")
    made = response(EulerMaruyama(), equation, grid(1000, 0.0, 20.0))
    start = process.stationary().covs.item()
    kept = made.gain**2 / (0.5 - 0.0625 * h) + made.kicks.square().sum().item()
    return [
        Bound(abs(process.variance(1.0, start=1.0) - 1.0), 0.3, "printed: how far its variance moves", above=True),
        Check(process.variance(1.0, start=start), 2.0, 1e-14, "corrected: the variance after a time 1"),
        Check(kept, 1.0 / (0.5 - 0.0625 * h), 1e-11, "corrected: the variance that the chain keeps"),
    ]


@claim(
    "E02",
    NOTES_2025["Algorithm 1"],
    SLIDES["Sampling Algorithm for Flow Model"],
    statement="The loop of Euler's method needs n steps. With the printed n − 1 the flow stops short of the data.",
    formula="printed i = 1, …, n − 1: |X − z| = |z − x₀|/n; i = 1, …, n: 0",
    erratum=True,
)
def steps_of_euler() -> list[Bound | Check]:
    """One data point at a distance 3 on CondOT, where Euler's steps are exact: 3/n is left, to rounding."""
    equation, start = flow(point(3.0, CondOT())), torch.zeros(1, 1, dtype=torch.float64)
    found: list[Bound | Check] = []
    for n in (4, 10, 50):
        short, whole = (abs(solve(equation, start, times, Euler()).x.item() - 3.0) for times in (grid(n)[:-1], grid(n)))
        found += [
            Bound(short, 2.9 / n, f"printed, n = {n}: what is left of the way", above=True),
            Check(whole, 0.0, 1e-13, f"corrected, n = {n}"),
        ]
    return found


@claim(
    "E03",
    NOTES_2025["Algorithm 2"],
    statement="The loop of Euler and Maruyama's method needs n steps. The printed n − 1 add too little noise.",
    formula="printed σ² (1 − h); σ²",
    erratum=True,
)
def steps_of_euler_maruyama() -> list[Bound | Check]:
    """No drift, σ = 2, n = 10: the variance is σ² times the time that is covered, to rounding."""
    equation = SDE(lambda t, x: torch.zeros_like(x), lambda t, x: 2.0, noise="additive")
    grids = grid(10)[:-1], grid(10)
    short, whole = (response(EulerMaruyama(), equation, times).law(0.0, 0.0)[1] ** 2 for times in grids)
    return [
        Bound(4.0 - short, 0.39, "printed: what is missing of the variance", above=True),
        Check(whole, 4.0, 1e-13, "corrected: the variance"),
    ]


@claim(
    "E04",
    NOTES_2025["Algorithm 5"],
    statement="The target of guided training is α' x₀ + σ' ε. With the two slopes exchanged the samples go astray; on "
    "the straight path they run backwards.",
    formula="printed α' ε + σ' x₀; α' x₀ + σ' ε",
    erratum=True,
    damage="our copy has lost the letters under the dots of (α̇ ε + β̇ z), and does not tell their order.",
)
def exchanged_target() -> list[Bound | Check]:
    """The exact fields of both targets on N(3, 0.25), RK4 in 100 steps on rates up to 4, (0.04)⁴ = 3e-6. On CondOT the
    printed target is the negative velocity."""
    data, straight = gaussian(3.0, 0.5), CondOT()
    found: list[Bound | Check] = []
    for path in (straight, Cosine(-math.inf, math.inf)):
        denoiser, name = data.denoiser(path), name_of(path)

        def printed(t: float, x: Tensor, denoiser: Denoiser = denoiser) -> Tensor:
            return denoiser.combination(denoiser.path.d_sigma(t), denoiser.path.d_alpha(t), t, x)

        wrong = response(RK4(), ODE(printed), grid(100)).law()
        right = response(RK4(), flow(denoiser), grid(100)).law()
        found += [
            Bound(abs(wrong[0] - 3.0), 5.0, f"printed, {name}: the error of the mean", above=True),
            Bound(wrong[1] - 0.5, 1.0, f"printed, {name}: the error of the deviation", above=True),
            Check(right[0], 3.0, 1e-5, f"corrected, {name}: the mean"),
            Check(right[1], 0.5, 1e-5, f"corrected, {name}: the deviation"),
        ]
    x0, eps, t = triples()
    p, q = (torch.as_tensor(value)[:, None] for value in coefficients("velocity", straight, t))
    opposite = q * x0 + p * eps + (x0 - eps)
    return [*found, Check(largest(opposite), 0.0, 0.0, "printed, CondOT: its target plus the velocity")]


@uncovered(
    "E05",
    NOTES_2025["sections 4.1 and 5.3"],
    statement="Two references to Algorithm 5 mean Algorithm 3, the training of flow matching.",
    erratum=True,
)
def number_of_the_algorithm() -> None:
    """Nothing to compute: a wrong number of an algorithm."""


@claim(
    "E06",
    NOTES_2025["the line below Eq. 67"],
    statement="The guided velocity adds the gradient of the classifier log p(y|x), and not of log p(x|y).",
    formula="printed u + k ∇ log p_t(x|y); u + k ∇ log p_t(y|x)",
    erratum=True,
)
def gradient_of_the_classifier() -> list[Bound | Check]:
    """Two classes in closed form on CondOT at t = 1/2: an identity to rounding, 1e-12; the printed form adds k s(x) too
    much, as large as the score."""
    path, classes = CondOT(), GaussianClasses([gaussian(-1.0, 0.6), BROAD_MIXTURE])
    alpha, sigma, d_alpha, d_sigma = schedule_at(path, 0.5)
    k = sigma**2 * d_alpha / alpha - d_sigma * sigma
    every, law = classes.population, classes.classes[0]
    true, base = law.velocity(STATES, 0.5, path), every.velocity(STATES, 0.5, path)
    label = torch.zeros(len(STATES), dtype=torch.int64)
    log_prob = classes.classifier(path)
    gradient = torch.func.grad(lambda x: log_prob(x, x.new_full((len(x),), 0.5), label).sum())(STATES)
    return [
        Bound(largest(base + k * law.score(STATES, 0.5, path) - true), 1.0, "printed: its error", above=True),
        Check(largest(base + k * gradient - true), 0.0, 1e-12, "corrected"),
    ]


@claim(
    "E07",
    NOTES_2025["after Eq. 55"],
    statement="The losses of flow matching and of score matching differ by the factor k², which depends on time, and "
    "not by a constant.",
    formula="printed L_CFM = L_DSM + C; L_CFM(t) = k_t² L_DSM(t)",
    erratum=True,
)
def factor_between_losses() -> list[Bound | Check]:
    """u = 0.3 x − 0.1 and its score on N(0, 1), CondOT: exact nodes. The ratio is 16, 1 and 1/16 at t = 0.2, 0.5 and
    0.8 to rounding; the difference runs over more than 20."""
    path, apart, found = CondOT(), [], []
    denoiser = Denoiser(affine_network, path, predicts="velocity")
    for t, ratio in ((0.2, 16.0), (0.5, 1.0), (0.8, 0.0625)):
        at = nodes(gaussian(0.0, 1.0), 3, t)
        flows, scores = (
            at.mean(squared_error(lambda x, s, _, k=k: denoiser.predict(k, s, x), path, k, at.t, at.x0, at.eps)).item()
            for k in ("velocity", "score")
        )
        apart.append(flows - scores)
        found.append(Check(flows / scores, ratio, 1e-11 * ratio, f"corrected, t = {t:g}: the ratio"))
    return [Bound(max(apart) - min(apart), 20.0, "printed: the range of the difference", above=True), *found]


@claim(
    "E08",
    NOTES_2025["Eq. 55"],
    statement="The divisor of the score is not always different from 0: it vanishes at t = 0 if α' does.",
    formula="printed σ²α' − α σ'σ ≠ 0 on [0, 1); it is 0 at t = 0 for α = t²",
    erratum=True,
)
def vanishing_denominator() -> list[Bound | Check]:
    """α = t², σ = 1 − t²: the denominator is 2t (1 − t²), 0 at t = 0 and its inverse beyond any bound before. Where α
    starts with a slope it does not vanish: 1 for CondOT and π/2 for the cosine path, to rounding."""

    def denominator(path: GaussianPath, t: float) -> float:
        alpha, sigma, d_alpha, d_sigma = schedule_at(path, t)
        return sigma * (sigma * d_alpha - alpha * d_sigma)

    return [
        Check(denominator(Polynomial(2.0), 0.0), 0.0, 0.0, "printed: α = t² at t = 0"),
        Bound(1.0 / denominator(Polynomial(2.0), 1e-8), 4e7, "printed: the factor of errors at t = 1e-8", above=True),
        Check(denominator(CondOT(), 0.0), 1.0, 0.0, "corrected: CondOT at t = 0"),
        Check(denominator(Cosine(-math.inf, math.inf), 0.0), 0.5 * math.pi, 1e-14, "corrected: cosine at t = 0"),
    ]

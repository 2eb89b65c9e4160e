"""Formulas that we suspected of being wrong, and that are right as printed: samplers and what they are trained on.

The derivations of the tutorial's appendix B are claims of the chapter `likelihood`.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import nn

from ....generative import CFG, VE, CondOT, Cosine, flow, posterior
from ....generative.training import load, squared_error, target
from ....solvers import ODE, Euler, Langevin, Time, WhiteNoise, solve
from ...oracles import GaussianClasses
from ..claim import Check, claim
from ..sources import NOTES_2025, SLIDES, TUTORIAL
from ..tools.distillation import consistency_pairs, progressive_steps
from ..tools.errors import largest
from ..tools.examples import EXAMPLE, EXAMPLE_TIMES, printed_log_density, reverse_diffusion
from ..tools.points import FIVE_PATHS, MIXTURE, column, gaussian, grid, schedule_at
from ..tools.samplers import response


@claim(
    "C6a",
    TUTORIAL["Eq. 18, 19 and 27, section 5"],
    statement="The four printed lines of the posterior are one and the same Gaussian, with the coefficient (α_s/α_t) "
    "σ_t²/σ_s².",
    formula="Eq. 19, lines 1 to 4, λ = log α²/σ²",
)
def four_lines_of_the_posterior() -> list[Check]:
    """Mean weights and variance of each line against `posterior`, in units of the largest coefficient, σ_s², or 1: a
    dozen roundings, 1e-13."""
    gaps: list[list[float]] = [[], [], [], []]
    for path in FIVE_PATHS:
        for s, t in ((0.2, 0.35), (0.4, 0.8)):
            a, b, alpha, sigma = (float(of(u)) for u in (s, t) for of in (path.alpha, path.sigma))
            falls = path.log_snr(s) - path.log_snr(t)
            left = b**2 - (a / alpha) ** 2 * sigma**2
            snr = a**2 / b**2 * sigma**2 / alpha**2
            c = -math.expm1(falls)
            lines = (
                (a / alpha * sigma**2 / b**2, left * alpha / b**2, left * sigma**2 / b**2),
                (alpha / a * snr, (1.0 - snr) * alpha, (1.0 - snr) * sigma**2),
                (alpha / a * math.exp(falls), (1.0 - math.exp(falls)) * alpha, (1.0 - math.exp(falls)) * sigma**2),
                (alpha * (1.0 - c) / a, alpha * c, c * sigma**2),
            )
            made = posterior(path, s, t)
            ours = float(made.from_x), float(made.from_x0), float(made.variance)
            for gap, line in zip(gaps, lines, strict=True):
                gap += [abs(one - two) / max(1.0, b**2) for one, two in zip(line, ours, strict=True)]
    return [Check(largest(*gap), 0.0, 1e-13, f"line {i}, largest difference") for i, gap in enumerate(gaps, 1)]


@claim(
    "C6b",
    TUTORIAL["Eq. 24-26"],
    NOTES_2025["Eq. 70 and 77"],
    statement="Scores, velocities, v and ε may all be guided with the same weight, because the weights add up to one "
    "and conversions are affine.",
    formula="s + w (s_y − s) = (1 − w) s + w s_y, and ṽ = w v_y + (1 − w) v",
)
def algebra_of_guidance() -> list[Check]:
    """`CFG` on a network that predicts v, read in each of the five kinds, against the printed combination of exact
    fields: a dozen roundings of numbers of order 10, 1e-12."""
    path, t, w, x = Cosine(), 0.4, 3.0, column([-1.5, 0.2, 1.8])
    model = GaussianClasses([gaussian(1.0, 0.5), gaussian(-1.2, 0.8)])
    guided = CFG(model.denoiser(path).given(0), w)
    checks = []
    for kind in ("score", "velocity", "v", "eps", "x0"):
        everyone, one = (getattr(law, kind)(x, t, path) for law in (model.population, model.classes[0]))
        gap = guided.predict(kind, t, x) - ((1.0 - w) * everyone + w * one)
        checks.append(Check(largest(gap), 0.0, 1e-12, f"guided {kind}, less the printed combination"))
    return checks


@claim(
    "C6c",
    TUTORIAL["Eq. 34-35"],
    statement="The path with σ_min has the printed velocity as its target, and Eq. 35 gives its score although α + σ "
    "> 1.",
    formula="φ_t = (1 − (1 − σ_min) t) z_0 + t z_1;  score = (α u − α' z)/(σ (σ α' − α σ'))",
)
def path_with_least_noise() -> list[Check]:
    """Against `CondOT(0.1)`: target by the loss with the zero network, score of a mixture: rounding, 1e-13."""
    least, t, x = 0.1, 0.7, column([-0.9, 0.4, 1.3])
    path = CondOT(least)
    z0, z1 = column([0.3, -1.2, 2.0]), column([1.0, 0.5, -0.7])
    seen = []
    times = torch.full((3,), t, dtype=torch.float64)

    def zero(x: torch.Tensor, t: torch.Tensor, label: None) -> torch.Tensor:
        seen.append(x)
        return torch.zeros_like(x)

    square = squared_error(zero, path, "velocity", times, z1, z0)
    alpha, sigma, d_alpha, d_sigma = schedule_at(path, t)
    velocity = MIXTURE.velocity(x, t, path)
    score = (alpha * velocity - d_alpha * x) / (sigma * (sigma * d_alpha - alpha * d_sigma))
    return [
        Check(largest(seen[0] - ((1.0 - (1.0 - least) * t) * z0 + t * z1)), 0.0, 1e-13, "φ_t"),
        Check(largest(square - (z1 - (1.0 - least) * z0).square()), 0.0, 1e-13, "square of the target"),
        Check(largest(target("velocity", path, times, z1, z0) - (z1 - (1.0 - least) * z0)), 0.0, 1e-13, "the target"),
        Check(largest(score - MIXTURE.score(x, t, path)), 0.0, 1e-13, "score by Eq. 35"),
        Check(sigma * d_alpha - alpha * d_sigma, 1.0, 1e-15, "σ α' − α σ'"),
    ]


@claim(
    "C6d",
    SLIDES["Evaluating the probabilities with ODEs"],
    statement="The integral of the log-likelihood has the right sign.",
    formula="log p_0(x_0) = log π(x_T) − ½ ∫ σ² tr ∇s dt",
)
def sign_of_the_integral() -> Check:
    """As in A180: quadrature and flow both below 1e-8."""
    x0 = column([-1.4, -0.2, 0.6, 1.9])
    return Check(largest(printed_log_density(x0, -1.0) - MIXTURE.log_prob(x0)), 0.0, 1e-8, "error of log p_0")


@claim(
    "C6e",
    SLIDES["Algorithm 3"],
    statement="The predictor's factor 2 − √(1 − β) is no misprint of 1/√(1 − β): it differs from it by β²/4, 1e-4 on "
    "DDPM's levels.",
    formula="(2 − √(1 − β)) x + β s = x − f(x) + g² s, f(x) = (√(1 − β) − 1) x, g² = β",
)
def factor_of_the_predictor() -> list[Check]:
    """The reversal of x + f(x) + g z by its own terms: rounding, 1e-15. At β = 0.02 the factors differ by
    β²/4 + β³/4, and the next term, 15/64 β⁴, is below 1e-7."""
    x, score, beta = column([0.7, -1.1]), column([-0.4, 2.0]), 0.02
    reversed_step = x - (math.sqrt(1.0 - beta) - 1.0) * x + beta * score
    largest_gap = 1.0 / math.sqrt(1.0 - beta) - (2.0 - math.sqrt(1.0 - beta))
    return [
        Check(largest(reverse_diffusion(x, score, beta) - reversed_step), 0.0, 1e-15, "the step, less the reversal"),
        Check(largest_gap, beta**2 / 4.0 + beta**3 / 4.0, 1e-7, "difference of the factors at β = 0.02"),
    ]


@claim(
    "C6f",
    SLIDES["Langevin dynamics; Algorithm 3"],
    statement="The step (ε/2, √ε) of one slide and (ε, √2ε) of another are the same step: ε is twice as large in the "
    "first.",
    formula="x + (ε/2) s + √ε z with ε = 2δ is x + δ s + √2δ z",
)
def two_step_sizes() -> Check:
    """`Langevin` from the same normals, three steps of δ = 0.1 σ²: roundings of numbers of order one, 1e-14."""
    path, x = VE(1.0), column([-1.0, 0.3, 2.2])
    times = torch.tensor([0.5, 0.75], dtype=torch.float64)
    ours = solve(flow(MIXTURE.denoiser(path), "x0"), x, times, Langevin(None, 3, 0.1), WhiteNoise(4)).x
    noise, epsilon = WhiteNoise(4), 2.0 * 0.1 * 0.25
    for index in range(3):
        x = x + 0.5 * epsilon * MIXTURE.score(x, 0.5, path) + math.sqrt(epsilon) * noise.extra(index, x)
    return Check(largest(ours - x), 0.0, 1e-14, "three steps in either convention")


@claim(
    "C6g",
    SLIDES["Reverse Process; Algorithm 2"],
    statement="The posterior mean in ε, which Algorithm 2 uses, is right as printed.",
    formula="(x_t − (1 − α_t)/√(1 − ᾱ_t) ε)/√α_t",
)
def mean_in_the_noise() -> Check:
    """Against Bayes' rule in precisions, β̃ (√α x/β + √ᾱ' x₀/(1 − ᾱ')), for the example of A156: rounding, 1e-14."""
    x0, eps = 1.3, -0.4
    x = math.sqrt(0.45) * x0 + math.sqrt(0.55) * eps
    printed = (x - 0.1 / math.sqrt(0.55) * eps) / math.sqrt(0.9)
    bayes = float(posterior(EXAMPLE, *EXAMPLE_TIMES).variance) * (math.sqrt(0.9) * x / 0.1 + math.sqrt(0.5) * x0 / 0.5)
    return Check(printed, bayes, 1e-14, "printed mean, against Bayes' rule")


@claim(
    "C6h",
    SLIDES["Distillation; Training consistency models via distillation"],
    statement="The target of progressive distillation and the pairs of the consistency losses are right as printed.",
    formula="x̃ = (z'' − (σ''/σ) z)/(α'' − (σ''/σ) α)",
)
def targets_of_distillation() -> list[Check]:
    """The measurements, and so the tolerances, of A197 and A199."""
    return [*progressive_steps(), *consistency_pairs()]


@claim(
    "E42",
    TUTORIAL["Eq. 33"],
    statement="Eq. 33 prints no sign of the step η. The text above it solves the equation backward in time from t = "
    "T, and so η is negative; with a positive η the same steps lead away from the data.",
    formula="z + η v with η = −T/n",
)
def sign_of_the_euler_step() -> list[Check]:
    """200 steps towards N(3, 0.25) on the straight path α = 1 − t, σ = t from t = 1, exact laws. With η < 0 the mean is
    3 to rounding and the deviation 1/2 to 1/n of 2. With η > 0 the field leads on, to t = 2, where α = −1 and σ = 2:
    the mean is −3, to rounding, and the deviation √(0.25 + 4), to 1/n of 2."""

    def velocity(t: Time, z: torch.Tensor) -> torch.Tensor:
        alpha, sigma = 1.0 - t, t
        clean = 3.0 + 0.25 * alpha / (0.25 * alpha**2 + sigma**2) * (z - 3.0 * alpha)
        return (z - alpha * clean) / sigma - clean

    back, forth = (response(Euler(), ODE(velocity), grid(200, 1.0, end)).law() for end in (0.0, 2.0))
    return [
        Check(back[0], 3.0, 1e-12, "η < 0: the mean"),
        Check(back[1], 0.5, 0.01, "η < 0: the deviation"),
        Check(forth[0], -3.0, 1e-12, "η > 0: the mean"),
        Check(forth[1], math.sqrt(4.25), 0.01, "η > 0: the deviation"),
    ]


@claim(
    "E24",
    NOTES_2025["section 5.2.2"],
    statement="The labels 0 … N have N + 1 values, and as many embedding vectors, as the text counts. The empty label "
    "of classifier-free guidance is no value of the label, and takes one vector more.",
    formula="N + 1 for the labels, and 1 for ∅",
)
def vectors_for_labels() -> list[Check]:
    """The embedding of a shipped network for the digits 0 … 9, N = 9: integers."""
    network = cast(nn.Module, load("digits-flow").net)
    shapes = {name: value.shape[0] for name, value in network.state_dict().items()}
    [count] = [shape for name, shape in shapes.items() if name.endswith("label.weight")]
    return [
        Check(float(count - 1), 10.0, 0.0, "vectors for the digits"),
        Check(float(count), 11.0, 0.0, "vectors with that of the empty label"),
    ]

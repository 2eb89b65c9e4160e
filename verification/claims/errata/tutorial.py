"""Errata of the tutorial on scores, guidance and schedules; those of its losses are in `tutorial_losses`.

Each claim measures two things: by how much the printed form fails, and that the corrected one holds. Where only a name,
an index or the order of definitions is wrong there is nothing to compute.

The tutorial's time runs from the data to noise, t = 1 − (the time here), and its λ is log(α²/σ²), the log-SNR.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from ....generative.paths import CondOT, Cosine
from ....generative.training import regression_loss
from ....solvers import Noise
from ..claim import Bound, Check, claim, uncovered
from ..sources import TUTORIAL
from ..tools.errors import largest
from ..tools.examples import classified_chain
from ..tools.points import MIXTURE, STATES, gaussian, grid, point
from ..tools.samplers import response


@uncovered(
    "E31",
    TUTORIAL["Eq. 4"],
    statement="ε_t is drawn from N(0, I); the text prints that it equals N(0, I).",
    erratum=True,
)
def noise_is_drawn() -> None:
    """Nothing to compute: a sign."""


@claim(
    "E32",
    TUTORIAL["section 2.4"],
    statement="The score of N(α x, σ² I) points towards the mean, and so it carries a minus.",
    formula="printed (z − α x)/σ²;  −(z − α x)/σ²",
    erratum=True,
)
def sign_of_the_score() -> list[Bound | Check]:
    """One point on CondOT at t = 1/2: the gradient of the log density by automatic differentiation, to rounding. The
    printed one has the ratio −1 to it."""
    path, t, x0 = CondOT(), 0.5, 0.7
    alpha, sigma = path.alpha(t), path.sigma(t)
    gradient = torch.func.grad(lambda z: (-0.5 * ((z - alpha * x0) / sigma) ** 2).sum())(STATES)
    printed = (STATES - alpha * x0) / sigma**2
    return [
        Bound(largest(printed - gradient) / largest(gradient), 1.9, "printed: its relative error", above=True),
        Check(largest(point(x0, path).predict("score", t, STATES) - gradient), 0.0, 1e-13, "corrected"),
    ]


@claim(
    "E33",
    TUTORIAL["Eq. 11"],
    statement="The predicted sample is z plus σ² times the score, over α (Tweedie's formula), because ε is −σ times "
    "the score.",
    formula="printed x = (z − σ² s)/α;  x = (z + σ² s)/α",
    erratum=True,
)
def sign_in_tweedies_formula() -> list[Bound | Check]:
    """A mixture on CondOT at t = 1/2, an identity to rounding; the printed form is off by 2σ² |s|/α, 5 and more."""
    path, t = CondOT(), 0.5
    alpha, sigma = path.alpha(t), path.sigma(t)
    score, mean = MIXTURE.score(STATES, t, path), MIXTURE.denoiser(path).predict("x0", t, STATES)
    return [
        Bound(largest((STATES - sigma**2 * score) / alpha - mean), 5.0, "printed: its error", above=True),
        Check(largest((STATES + sigma**2 * score) / alpha - mean), 0.0, 1e-13, "corrected"),
    ]


def printed_chain(n: int, sign: float) -> tuple[float, float]:
    """Mean and deviation of the chain of n steps with the printed mean; sign +1: with that error alone corrected."""
    path, data, times = Cosine(), gaussian(1.2, 0.4), grid(n).tolist()

    def run(z: Tensor, noise: Noise) -> Tensor:
        for i, (s, t) in enumerate(pairwise(times)):
            c = -math.expm1(path.log_snr(s) - path.log_snr(t))
            alpha, sigma = path.alpha(t), path.sigma(t)
            guided = z + sign * sigma**2 * data.score(z, s, path)
            z = alpha * (1.0 - c) / path.alpha(s) * z + c * guided
            if i < n - 1:
                z = z + math.sqrt(c) * sigma * noise.extra(i, z)
        return z

    return response(run).law()


@claim(
    "E34",
    TUTORIAL["section 4.2"],
    statement="The mean of classifier guidance lacks the factor α_t/α_{t+1}, takes σ of the wrong time, and has the "
    "wrong sign.",
    formula="printed c (z − σ_t² ∇);  c (α_t/α_{t+1}) (z + σ²_{t+1} ∇)",
    erratum=True,
)
def classifier_guidance() -> list[Bound | Check]:
    """The exact law of 200 steps towards N(1.2, 0.16), with the exact score of the guided law. As printed the deviation
    is 4.9e5; with the sign alone corrected mean and deviation are 1.188 and 0.413; corrected altogether they are 1.200
    and 0.391, to three digits (A150)."""
    printed, signed, right = printed_chain(200, -1.0), printed_chain(200, 1.0), classified_chain(200)
    return [
        Bound(printed[1], 1e5, "printed: the deviation, which should be 0.4", above=True),
        Check(signed[0], 1.188, 5e-4, "its sign alone corrected: the mean"),
        Check(signed[1], 0.413, 5e-4, "its sign alone corrected: the deviation"),
        Check(right[0], 1.2, 5e-4, "corrected: the mean"),
        Check(right[1], 0.391, 5e-4, "corrected: the deviation"),
    ]


@claim(
    "E35",
    TUTORIAL["section 4.1"],
    statement="The share of labels that training drops has nothing to do with the weight w of guidance.",
    formula="printed P(y ← ∅) = 1 − w, −3 for w = 4;  P = η in [0, 1)",
    erratum=True,
)
def share_of_dropped_labels() -> list[Bound | Check]:
    """w = 4 would need the probability −3. The loss refuses it, and takes 0.1."""

    def net(x: Tensor, t: Tensor, label: Tensor) -> Tensor:
        return torch.zeros_like(x)

    def refuses(share: float) -> bool:
        try:
            regression_loss(net, CondOT(), "velocity", STATES, label_dropout=share)
        except ValueError:
            return True
        return False

    return [
        Bound(1.0 - 4.0, 0.0, "printed: a probability that should not be negative"),
        Check(float(refuses(1.0 - 4.0)), 1.0, 0.0, "printed: refused by the loss"),
        Check(float(refuses(0.1)), 0.0, 0.0, "corrected: η = 0.1 is refused"),
    ]


@claim(
    "E36",
    TUTORIAL["Eq. 9"],
    statement="In the tutorial's time σ grows with t. The printed decreasing order is the convention of another paper.",
    formula="printed σ₁ > σ₂ > … > σ_T;  σ = sin(πt/2)",
    erratum=True,
)
def order_of_the_levels() -> list[Bound | Check]:
    """The cosine schedule at t = 0, ¼, …, 1 of the tutorial: closed form, to rounding. Every level is the highest
    yet."""
    path = Cosine(-math.inf, math.inf)
    levels = [path.sigma(1.0 - t) for t in grid(4).tolist()]
    closed = [math.sin(0.5 * math.pi * t) for t in grid(4).tolist()]
    rises = [after - before for before, after in pairwise(levels)]
    return [
        Bound(min(rises), 0.05, "printed: the least rise where there should be a fall", above=True),
        Check(largest(*(abs(one - two) for one, two in zip(levels, closed, strict=True))), 0.0, 1e-15, "corrected"),
    ]


@uncovered("E37", TUTORIAL["Eq. 18"], statement="The variance lacks parentheses: it is (σ²_{t+1} − …) I.", erratum=True)
def brackets_of_the_variance() -> None:
    """Nothing to compute: brackets."""


@uncovered(
    "E38",
    TUTORIAL["Eq. 19-21"],
    statement="c is used before it is defined, and x_θ, x_t and p_θ have indices of the wrong time.",
    erratum=True,
)
def definition_after_use() -> None:
    """Nothing to compute: the order of definitions, and indices."""


@uncovered(
    "E40",
    TUTORIAL["section 2.4"],
    statement="Gradient and integral are exchanged in the third line, and not in the fourth.",
    erratum=True,
)
def number_of_the_line() -> None:
    """Nothing to compute: a number."""


@uncovered(
    "E41",
    TUTORIAL["section 7.2"],
    statement="The coefficient of the noise is σ_t, and not β_t; and cos(½πt) means cos(πt/2).",
    erratum=True,
)
def name_of_the_noise_coefficient() -> None:
    """Nothing to compute: names."""


@uncovered("E44", TUTORIAL["Eq. 36, 37 and 42"], statement="ε_τ and the first token have wrong indices.", erratum=True)
def indices_of_tokens() -> None:
    """Nothing to compute: indices."""


@uncovered(
    "E45",
    TUTORIAL["appendix B"],
    statement="z_* stands for x, an equation of another paper is cited, and dz/dt is used before it is defined.",
    erratum=True,
)
def names_in_the_derivation() -> None:
    """Nothing to compute: names."""

"""Errata of the tutorial (document 002), E31 to E45: scores, guidance, schedules (its losses: E39, E43, E46 and E47).

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
from ....solvers import ODE, Euler, Noise, Time
from ..claim import Bound, Check, claim, uncovered
from ..sampling.guided_sampling import classified_chain
from ..tools.instruments import largest
from ..tools.measuring import MIXTURE, grid, most
from ..tools.points import STATES
from ..tools.quadrature import normal, point
from ..tools.responses import respond, response

TUTORIAL = "Tutorial 002"

uncovered("E31", f"{TUTORIAL}, Eq. 4", "ε_t is drawn from N(0, I), not equal to it.", "nothing to compute: a sign.")


@claim(
    "E32",
    f"{TUTORIAL}, section 2.4",
    "The score of N(α x, σ² I) points towards its mean: it carries a minus.",
    formula="printed (z − α x)/σ²;  −(z − α x)/σ²",
    erratum=True,
)
def sign_of_the_score() -> list[Bound | Check]:
    """One point on CondOT at t = 1/2: the gradient of the log density by automatic differentiation, to rounding. The
    printed one has the ratio −1 to it."""
    path, t, x0 = CondOT(), 0.5, 0.7
    alpha, sigma = float(path.alpha(t)), float(path.sigma(t))
    gradient = torch.func.grad(lambda z: (-0.5 * ((z - alpha * x0) / sigma) ** 2).sum())(STATES)
    printed = (STATES - alpha * x0) / sigma**2
    return [
        Bound(largest(printed - gradient) / largest(gradient), 1.9, "printed: its relative error", above=True),
        Check(largest(point(x0, path).predict("score", t, STATES) - gradient), 0.0, 1e-13, "corrected"),
    ]


@claim(
    "E33",
    f"{TUTORIAL}, Eq. 11",
    "The predicted sample is z plus σ² times the score, over α (Tweedie's formula), because ε is −σ times the score.",
    formula="printed x = (z − σ² s)/α;  x = (z + σ² s)/α",
    erratum=True,
)
def tweedie() -> list[Bound | Check]:
    """A mixture on CondOT at t = 1/2, an identity to rounding; the printed form is off by 2σ² |s|/α, 5 and more."""
    path, t = CondOT(), 0.5
    alpha, sigma = float(path.alpha(t)), float(path.sigma(t))
    score, mean = MIXTURE.score(STATES, t, path), MIXTURE.denoiser(path).predict("x0", t, STATES)
    return [
        Bound(largest((STATES - sigma**2 * score) / alpha - mean), 5.0, "printed: its error", above=True),
        Check(largest((STATES + sigma**2 * score) / alpha - mean), 0.0, 1e-13, "corrected"),
    ]


def printed_chain(n: int, sign: float) -> tuple[float, float]:
    """Mean and deviation of the chain of n steps with the printed mean; sign +1: with that error alone corrected."""
    path, data, times = Cosine(), normal(1.2, 0.4), grid(n).tolist()

    def run(z: Tensor, noise: Noise) -> Tensor:
        for i, (s, t) in enumerate(pairwise(times)):
            c = -math.expm1(float(path.log_snr(s)) - float(path.log_snr(t)))
            alpha, sigma = float(path.alpha(t)), float(path.sigma(t))
            guided = z + sign * sigma**2 * data.score(z, s, path)
            z = alpha * (1.0 - c) / float(path.alpha(s)) * z + c * guided
            if i < n - 1:
                z = z + math.sqrt(c) * sigma * noise.extra(i, z)
        return z

    return respond(run).law()


@claim(
    "E34",
    f"{TUTORIAL}, section 4.2",
    "The mean of classifier guidance lost the factor α_t/α_{t+1}, takes σ of the wrong time, and has the wrong sign.",
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
    f"{TUTORIAL}, section 4.1",
    "The share of labels that training leaves out has nothing to do with the weight w of guidance.",
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
    f"{TUTORIAL}, Eq. 9",
    "In the tutorial's time σ grows with t; the decreasing order is that of another paper.",
    formula="printed σ₁ > σ₂ > … > σ_T;  σ = sin(πt/2)",
    erratum=True,
)
def order_of_the_levels() -> list[Bound | Check]:
    """The cosine schedule at t = 0, ¼, …, 1 of the tutorial: closed form, to rounding. Every level is the highest
    yet."""
    path = Cosine(-math.inf, math.inf)
    levels = [float(path.sigma(1.0 - t)) for t in grid(4).tolist()]
    closed = [math.sin(0.5 * math.pi * t) for t in grid(4).tolist()]
    rises = [after - before for before, after in pairwise(levels)]
    return [
        Bound(min(rises), 0.05, "printed: the least rise where there should be a fall", above=True),
        Check(most(*(abs(one - two) for one, two in zip(levels, closed, strict=True))), 0.0, 1e-15, "corrected"),
    ]


uncovered(
    "E37", f"{TUTORIAL}, Eq. 18", "The variance lacks parentheses: (σ²_{t+1} − …) I.", "nothing to compute: brackets."
)
uncovered(
    "E38",
    f"{TUTORIAL}, Eqs. 19 to 21",
    "c is used before it is defined, and x_θ, x_t and p_θ carry indices of the wrong time.",
    "nothing to compute: the order of definitions, and indices.",
)
uncovered(
    "E40", f"{TUTORIAL}, section 2.4", "It is the third line that swaps the gradient.", "nothing to compute: a number."
)
uncovered(
    "E41",
    f"{TUTORIAL}, section 7.2",
    "The coefficient of noise is σ_t, not β_t; and cos(½πt) means cos(πt/2).",
    "nothing to compute: names.",
)


@claim(
    "E42",
    f"{TUTORIAL}, Eq. 33",
    "From noise at t = T Euler's steps must go back in time: η is negative.",
    formula="printed z + η v, η > 0;  η = −T/n",
    erratum=True,
)
def sign_of_the_step() -> list[Bound | Check]:
    """200 steps towards N(3, 0.25) on the straight path α = 1 − t, σ = t from t = 1, exact laws. With η < 0 the mean is
    3 to rounding and the deviation 1/2 to 1/n of 2. With η > 0 the same field leads on, to t = 2, where α = −1 and σ =
    2: the mean is −3, to rounding, and the deviation √(0.25 + 4), to 1/n of 2."""

    def velocity(t: Time, z: Tensor) -> Tensor:
        alpha, sigma = 1.0 - t, t
        clean = 3.0 + 0.25 * alpha / (0.25 * alpha**2 + sigma**2) * (z - 3.0 * alpha)
        return (z - alpha * clean) / sigma - clean

    back, forth = (response(ODE(velocity), torch.linspace(1.0, end, 201).double(), Euler()).law() for end in (0.0, 2.0))
    return [
        Bound(3.0 - forth[0], 5.99, "printed: the error of the mean", above=True),
        Bound(forth[1] - 0.5, 1.4, "printed: the error of the deviation", above=True),
        Check(forth[0], -3.0, 1e-12, "printed: the mean"),
        Check(forth[1], math.sqrt(4.25), 0.01, "printed: the deviation"),
        Check(back[0], 3.0, 1e-12, "corrected: the mean"),
        Check(back[1], 0.5, 0.01, "corrected: the deviation"),
    ]
uncovered(
    "E44", f"{TUTORIAL}, Eqs. 36, 37 and 42", "Indices of ε_τ and of the first token.", "nothing to compute: indices."
)
uncovered(
    "E45",
    f"{TUTORIAL}, appendix B",
    "z_* stands for x, an equation of another paper is cited, and dz/dt is used before it is defined.",
    "nothing to compute: names.",
)

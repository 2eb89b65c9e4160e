"""Guidance: what it does to the fields, and what it does to the samples.

Two normal laws, N(0, S²) of the population and N(m, s²) of a class, show it in closed form. Guidance by w ends in a
normal law of deviation S^{1−w} s^w, whatever the schedule, and not in p(x)^{1−w} p(x|c)^w.
"""

from __future__ import annotations

import math

import torch

from ....generative.denoiser import CFG, ClassifierGuidance, Static
from ....generative.equations import flow
from ....generative.paths import CondOT, Cosine, Polynomial
from ....solvers import RK4, solve
from ...oracles import GaussianClasses, guided_law
from ..claim import Bound, Check, claim
from ..sources import FOKKER, NOTES_2025, TUTORIAL
from ..tools.errors import largest
from ..tools.examples import PAIR
from ..tools.points import (
    BROAD_MIXTURE,
    FEATURES,
    NODE_ERROR,
    PATHS,
    STATES,
    TIMES,
    gaussian,
    grid,
    name_of,
    residual,
    schedule_at,
)
from ..tools.quadrature import nodes

CLASSES = GaussianClasses([gaussian(-1.0, 0.6), BROAD_MIXTURE])


@claim(
    "A141",
    NOTES_2025["Eq. 63-64"],
    statement="Flow matching that is trained with labels finds the field of each class.",
    formula="argmin E‖u(x, y) − (α' x₀ + σ' ε)‖² = E[u(x|x₀) | x, y] = u(x|y)",
)
def guided_minimiser() -> list[Check]:
    """The residual of u(x|y) is orthogonal to every h under the law of its class: `NODE_ERROR`, as in A103."""
    path, found = CondOT(), []
    for label, law in enumerate(CLASSES.classes):
        at = nodes(law, 64, 0.6)
        x, field = at.x(path), CLASSES.denoiser(path).given(label)
        left = residual(law, "velocity", path, at) + law.velocity(x, 0.6, path) - field.predict("velocity", 0.6, x)
        worst = largest(*(abs(at.mean(left * h(x)).item()) for h in FEATURES))
        found.append(Check(worst, 0.0, NODE_ERROR, f"class {label}"))
    return found


@claim(
    "A142",
    NOTES_2025["Eq. 65-67"],
    TUTORIAL["Eq. 22-23"],
    statement="The score of a class is the score of the population plus the gradient of the classifier, and the "
    "velocity of the class follows from it.",
    formula="s(x|y) = s(x) + ∇ log p_t(y|x),  u(x|y) = (α'/α) x + k s(x|y)",
)
def bayes_rule_for_guidance() -> list[Check]:
    """The class's oracle, the classifier differentiated, and the formula: identities, with rounding over σ² ≥ 0.01 and
    of mixtures whose log-densities are of order 100, 1e-11."""
    found = []
    for path in PATHS:
        worst = 0.0
        for label, law in enumerate(CLASSES.classes):
            guided = ClassifierGuidance(CLASSES.denoiser(path), CLASSES.classifier(path), 1.0, label)
            for t in TIMES:
                alpha, sigma, d_alpha, d_sigma = schedule_at(path, t)
                k = sigma**2 * d_alpha / alpha - d_sigma * sigma
                score, velocity = law.score(STATES, t, path), law.velocity(STATES, t, path)
                by_formula = d_alpha / alpha * STATES + k * score
                for one, other in (
                    (guided.predict("score", t, STATES), score),
                    (guided.predict("velocity", t, STATES), velocity),
                    (by_formula, velocity),
                ):
                    worst = largest(worst, largest(one - other))
        found.append(Check(worst, 0.0, 1e-11, name_of(path)))
    return found


@claim(
    "A144",
    NOTES_2025["section 5.1"],
    TUTORIAL["Eq. 24-25"],
    statement="Guidance with a classifier and without one is the same, for every kind of prediction. It does not "
    "commute with clipping.",
    formula="(1 − w) y + w y_c = y + w (σ² p/α − σ q) ∇ log p_t(c|x)",
)
def guidance_with_and_without_a_classifier() -> list[Check | Bound]:
    """As A142, times w ≤ 4: 1e-11 · 4. Clipped to [−1, 1] before or after guidance, x₀-hat differs by numbers of
    order 1 where the branches do."""
    found: list[Check | Bound] = []
    for path in PATHS:
        worst = 0.0
        for weight in (0.0, 1.0, 2.5, 4.0):
            free = CFG(CLASSES.denoiser(path).given(0), weight)
            classified = ClassifierGuidance(CLASSES.denoiser(path), CLASSES.classifier(path), weight, 0)
            for kind in ("x0", "eps", "v", "velocity", "score"):
                for t in TIMES:
                    apart = free.predict(kind, t, STATES) - classified.predict(kind, t, STATES)
                    worst = largest(worst, largest(apart))
        found.append(Check(worst, 0.0, 4e-11, name_of(path)))
    path, clip = CondOT(), Static()
    plain, told = (PAIR.given(label).x0(STATES, 0.5, path) for label in (PAIR.null_label, 0))
    apart = clip(-plain + 2.0 * told) - (-clip(plain) + 2.0 * clip(told))
    return [*found, Bound(largest(apart), 0.5, "clipped after guidance and before, w = 2", above=True)]


@claim(
    "A145",
    NOTES_2025["section 5.1"],
    TUTORIAL["section 4.1"],
    FOKKER,
    statement="Guidance by w between normal laws ends in the deviation S^(1−w) s^w on every schedule, and not in the "
    "tilted law p^(1−w) p_c^w.",
    formula="w = 2, 4: mean 2.07026, 2.27635, variance 0.25, 0.015625; tilted 1.714, 1.846 and 0.5714, 0.3077",
)
def law_under_guidance() -> list[Check | Bound]:
    """S = 2, s = 1, m = 1.5. The flow is linear, so that its values at 0 and 1 give the law; 100 steps of RK4 on rates
    below 10 a unit of time err by up to (h · 10)⁵/120 = 8e-8 a step, in all below 1e-5. The digits of the mean are
    those of its closed form to 5e-6, the variance is S^(2−2w) s^(2w)."""
    found: list[Check | Bound] = []
    times, units = grid(100), STATES[[6, 8]]
    for weight, mean, variance in ((0.0, 0.0, 4.0), (1.0, 1.5, 1.0), (2.0, 2.07026, 0.25), (4.0, 2.27635, 0.015625)):
        law = guided_law(gaussian(0.0, 2.0), gaussian(1.5, 1.0), weight)
        closed = law.means.item()
        found.append(Check(closed, mean, 5e-6, f"w = {weight:g}, the mean in closed form"))
        for path in (CondOT(), Cosine(-math.inf, math.inf), Polynomial(2.0)):
            made = solve(flow(CFG(PAIR.denoiser(path).given(0), weight)), units, times, RK4()).x
            centre, end = made.flatten().tolist()
            found += [
                Check(centre, closed, 1e-5, f"w = {weight:g}, the mean, {name_of(path)}"),
                Check((end - centre) ** 2, variance, 1e-5, f"w = {weight:g}, the variance, {name_of(path)}"),
            ]
        if weight > 1.0:
            tilted = 1.0 / ((1.0 - weight) / 4.0 + weight)
            found += [
                Bound(tilted - law.covs.item(), 0.25, f"w = {weight:g}, the tilted variance less", above=True),
                Bound(closed - 1.5 * weight * tilted, 0.3, f"w = {weight:g}, the mean less the tilted one", above=True),
            ]
    return found


@claim(
    "A146",
    FOKKER,
    statement="At a time t < 1 the guided score is not the score of the tilted law with noise added.",
    formula="S = 2, s = 1, m = 1.5, w = 2, CondOT, t = 1/2, x = 1: −1/5, and −4/11",
)
def not_the_tilted_score() -> list[Check]:
    """(1 − w)(−x/1.25) + w (−(x − 0.75)/0.5) = −1/5 against −(x − 6/7)/(11/28) = −4/11: both by rounding, 1e-14."""
    path, x = CondOT(), torch.ones(1, 1, dtype=torch.float64)
    guided = CFG(PAIR.denoiser(path).given(0), 2.0).predict("score", 0.5, x).item()
    tilted = gaussian(12.0 / 7.0, math.sqrt(4.0 / 7.0)).score(x, 0.5, path).item()
    return [Check(guided, -0.2, 1e-14, "guided"), Check(tilted, -4.0 / 11.0, 1e-14, "the tilted law, noised")]

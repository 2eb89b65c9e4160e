"""The weight of each time in a loss, the times that are drawn, and the labels.

The errors of all kinds of prediction are one error in different units, so that their losses differ by a weight in t.
The weight changes the variance of training, but not the minimiser.
"""

from __future__ import annotations

import torch

from ....generative.denoiser import Denoiser
from ....generative.paths import CondOT, GaussianPath, stratified
from ....generative.training import EDM, SNR, MinSNR, Unweighted, Weighting, squared_error
from ...oracles import GaussianClasses
from ..claim import Bound, Check, Statistical, claim
from ..sources import NOTES_2025, SLIDES, TUTORIAL, VDM
from ..tools.errors import largest
from ..tools.points import (
    BROAD_MIXTURE,
    FEATURES,
    NODE_ERROR,
    PATHS,
    STATES,
    Net,
    affine_network,
    gaussian,
    name_of,
    residual,
    triples,
)
from ..tools.quadrature import nodes
from ..tools.tests import ks_test, mean_test

KINDS = ("score", "eps", "x0", "v")


def reading(denoiser: Denoiser, kind: str) -> Net:
    """A network of one kind made of a denoiser of another."""
    return lambda x, t, label: denoiser.predict(kind, t, x)


def noise_of(path: GaussianPath) -> Net:
    """ε-hat = −σ s for the score `line`."""
    return lambda x, t, label: -path.sigma(t)[:, None] * affine_network(x, t)


@claim(
    "A111",
    NOTES_2025["section 4.2, corrected"],
    statement="Sample by sample the loss of flow matching is k² times the loss of score matching: they differ by a "
    "weight in time, and not by a constant.",
    formula="‖u − u(x|x₀)‖² = k_t² ‖s − s(x|x₀)‖²",
)
def ratio_of_losses() -> list[Check]:
    """For any velocity and the score that it gives: 16, 1 and 1/16 at t = 0.2, 0.5 and 0.8 on CondOT, where
    k = (1 − t)/t. A relative rounding of 1e-12; the weighting that counts errors of the velocity is k² to the same."""
    path, (x0, eps, _) = CondOT(), triples()
    denoiser, found = Denoiser(affine_network, path, predicts="velocity"), []
    for t, expected in ((0.2, 16.0), (0.5, 1.0), (0.8, 0.0625)):
        times = torch.full((len(x0),), t, dtype=torch.float64)
        flow = squared_error(affine_network, path, "velocity", times, x0, eps)
        score = squared_error(lambda x, s, _: denoiser.predict("score", s, x), path, "score", times, x0, eps)
        weight = Unweighted("velocity").of("score", path, times[:1]).item()
        worst = largest((flow / score) / expected - 1.0)
        found += [
            Check(worst, 0.0, 1e-12, f"t = {t:g}, the ratio over {expected:g}, less 1"),
            Check(weight, expected, 1e-11, f"t = {t:g}, the weight of the score's error"),
        ]
    return found


@claim(
    "A117",
    TUTORIAL["section 2.5"],
    statement="On a variance-preserving path the losses of score, ε, x₀ and v are one loss with four weights in time.",
    formula="|Δs|² = |Δε|²/σ² = (α²/σ⁴)|Δx₀|²,  |Δε|² = α²|Δv|²,  |Δx₀|² = σ²|Δv|²",
)
def equivalent_losses() -> list[Check]:
    """One network read as the four kinds, sample by sample: the ratios to the printed weights, less 1, by rounding over
    factors of at most 1/(α σ)² ≈ 100, 1e-12."""
    x0, eps, t = triples()
    found = []
    for path in PATHS[1:]:
        alpha, sigma = (torch.as_tensor(f(t))[:, None] for f in (path.alpha, path.sigma))
        denoiser = Denoiser(affine_network, path, predicts="v")
        square = {kind: squared_error(reading(denoiser, kind), path, kind, t, x0, eps) for kind in KINDS}
        ratios = (
            square["score"] / (square["eps"] / sigma**2),
            square["score"] / (alpha**2 / sigma**4 * square["x0"]),
            square["eps"] / (alpha**2 * square["v"]),
            square["eps"] / (alpha**2 / sigma**2 * square["x0"]),
            square["x0"] / (sigma**2 * square["v"]),
        )
        worst = largest(*(largest(ratio - 1.0) for ratio in ratios))
        found.append(Check(worst, 0.0, 1e-12, name_of(path)))
    return found


@claim(
    "A121",
    TUTORIAL["Eq. 9-10"],
    statement="Denoising score matching with the weight σ² is the plain mean square error of the noise.",
    formula="σ² ‖s + ε/σ‖² = ‖ε̂ − ε‖²",
)
def weight_of_the_simple_loss() -> list[Check]:
    """The weight that counts errors of ε, on the score, over σ², and the squares themselves: rounding, 1e-12."""
    x0, eps, t = triples()
    found = []
    for path in PATHS:
        weight = Unweighted("eps")
        ratio = weight.of("score", path, t) / path.sigma(t) ** 2
        score = squared_error(affine_network, path, "score", t, x0, eps, weighting=weight)
        noise = squared_error(noise_of(path), path, "eps", t, x0, eps)
        worst = largest(largest(ratio - 1.0), largest(score / noise - 1.0))
        found.append(Check(worst, 0.0, 1e-12, name_of(path)))
    return found


@claim(
    "A122",
    TUTORIAL["listing of the training loss"],
    VDM,
    statement="Each of the stratified times is uniform, each stratum has one, and the mean over a batch keeps little "
    "of its variance.",
    formula="t_k = (u + k/B) mod 1:  Var(mean of t²) = (1 + 1/(15 B²))/(12 B²) instead of (4/45)/B",
)
def stratified_times() -> list[Check | Statistical]:
    """With u the least of the times, their mean square is u² + u (B − 1)/B + (B − 1)(2B − 1)/(6B²), to rounding in
    every batch; for u uniform on [0, 1/B) its variance is (1 + 1/(15B²))/(12B²), 68.3 times below that of independent
    times at B = 64. That formula against the midpoint rule with 1e5 points, whose relative error is 1e-10. In 4000
    batches: the first time, and u B, are uniform, by Kolmogorov and Smirnov's test; and the square of what the mean of
    t² is off by has the formula for its mean, where one that is off by 8.8 % is found with probability 0.99 even if 100
    tests share the level of 1 %."""
    batch, count = 64, 4000
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack([stratified(batch, generator, torch.empty(0).double()) for _ in range(count)])
    u = draws.amin(1)
    mean = u**2 + u * (batch - 1) / batch + (batch - 1) * (2 * batch - 1) / (6 * batch**2)
    strata = (draws * batch).floor().sort(dim=1).values
    empty = (strata != torch.arange(batch)).any(1).double().mean().item()
    variance = (1.0 + 1.0 / (15.0 * batch**2)) / (12.0 * batch**2)
    v = (torch.arange(100_000, dtype=torch.float64) + 0.5) / (100_000 * batch)
    found = (v**2 + v * (batch - 1) / batch).var(correction=0).item()
    squares = (draws.square().mean(1) - 1.0 / 3.0).square()
    return [
        Check(largest(draws.square().mean(1) - mean), 0.0, 1e-15 * batch, "the mean of t² in a batch"),
        Check(empty, 0.0, 0.0, "the share of batches with an empty stratum"),
        Check(found / variance, 1.0, 1e-9, "its variance over the formula"),
        Check((4.0 / 45.0) / batch / variance, 64.0 * 16.0 / 15.0, 0.002, "how much variance is taken away"),
        ks_test(draws[:, 0], "the first time of each batch"),
        ks_test(u * batch, "u B of each batch"),
        mean_test(squares, variance, "the variance of the mean of t²"),
    ]


@claim(
    "A125",
    SLIDES["Noise Conditional Network"],
    statement="A network that is told the noise level has the same minimiser under all weights in time. A network "
    "that is not told has a different one for each.",
    formula="argmin_u Σ_t w_t E‖u(x_t, t) − y_t‖² is the same for every w > 0",
)
def minimiser_under_weights() -> list[Check | Bound]:
    """If the network is told t, the residual of u* is orthogonal to every h at each time, so under every weight:
    `NODE_ERROR` times the largest weight, 25. A linear network θ x that is not told has θ = Σ w E[x y]/Σ w E[x²]. For
    the velocity of N(0, 1) at t = 0.2 and 0.8 on CondOT, E[x y] = 2t − 1 and E[x²] = 0.68: θ is 0 under equal weights,
    and (0.6/0.68)(w₂ − w₁)/(w₁ + w₂) under others, more than 0.5 if the weight is the SNR."""
    path, times, found = CondOT(), (0.2, 0.8), []
    weightings: tuple[Weighting, ...] = (SNR(), MinSNR(), EDM())
    for weighting in weightings:
        worst = 0.0
        for t in times:
            at = nodes(BROAD_MIXTURE, 64, t)
            left = weighting.of("velocity", path, at.t)[:, None] * residual(BROAD_MIXTURE, "velocity", path, at)
            worst = largest(worst, *(abs(at.mean(left * h(at.x(path))).item()) for h in FEATURES))
        found.append(Check(worst, 0.0, 25.0 * NODE_ERROR, f"told, {weighting}"))
    data = gaussian(0.0, 1.0)

    def slope(weighting: Weighting | None) -> float:
        above = below = 0.0
        for t in times:
            at = nodes(data, 3, t)
            theta = torch.zeros((), dtype=torch.float64, requires_grad=True)
            x = at.x(path)
            square = squared_error(
                lambda *_, value=theta * x: value, path, "velocity", at.t, at.x0, at.eps, weighting=weighting
            )
            first = torch.autograd.grad(at.mean(square), theta, create_graph=True)[0]
            above -= first.item()
            below += torch.autograd.grad(first, theta)[0].item()
        return above / below

    return [
        *found,
        Check(slope(None), 0.0, 1e-12, "not told, equal weights"),
        Bound(slope(SNR()), 0.5, "not told, weighted by the SNR", above=True),
    ]


@claim(
    "A126",
    NOTES_2025["section 5.1, Key Idea 5 and Summary 27"],
    statement="The conditional path does not depend on the label. With the label fixed, the guided model is the plain "
    "model of its class.",
    formula="u(x | x₀, y) = u(x | x₀);  u(x | y) = u of p(· | y)",
)
def label_and_path() -> list[Check]:
    """The same squares with and without labels for a network that ignores them: bitwise. A class against its own oracle
    through mixtures of other orders of summation: rounding, 1e-12."""
    x0, eps, t = triples()
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    found = []
    classes = GaussianClasses([gaussian(-1.0, 0.6), BROAD_MIXTURE])
    for path in PATHS:
        plain, told = (squared_error(affine_network, path, "velocity", t, x0, eps, label) for label in (None, labels))
        found.append(Check(largest(plain - told), 0.0, 0.0, f"the loss, {name_of(path)}"))
        worst = 0.0
        for label, law in enumerate(classes.classes):
            denoiser = classes.denoiser(path).given(label)
            for s in (0.1, 0.5, 0.9):
                apart = denoiser.predict("velocity", s, STATES) - law.velocity(STATES, s, path)
                worst = largest(worst, largest(apart))
        found.append(Check(worst, 0.0, 1e-12, f"the field of a class, {name_of(path)}"))
    return found

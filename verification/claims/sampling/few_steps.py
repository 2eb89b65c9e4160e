"""Few-step samplers: what students of exact teachers learn on Gaussian data, and the laws of one step and of two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from ....generative import Consistency, Cosine, FlowMap, flow
from ....solvers import ExponentialAdams
from ...statistics import rms
from ..claim import Bound, Check, claim
from ..sources import CONSISTENCY, FOKKER, PROGRESSIVE, SLIDES, TRAJECTORY
from ..tools.distillation import EDM
from ..tools.errors import extrapolated, largest, order
from ..tools.examples import DEVIATION, MEAN
from ..tools.flow_maps import Affine, AsTeacher, affine_fit, distilled, jump_response
from ..tools.points import MIXTURE, WHOLE_PATHS, column, gaussian, grid
from ..tools.quadrature import hermite, nodes
from ..tools.samplers import response

DATA = gaussian(MEAN, DEVIATION)
FIT = column([-1.1, 0.2, 0.9, 2.3])


@claim(
    "A237",
    SLIDES["Distillation, Algorithm 2"],
    PROGRESSIVE["section 3"],
    statement="After any number of rounds of progressive distillation, the best student of Gaussian data makes in its "
    "few steps what the first teacher made in all of its own. For N(0, 1) on the cosine path that is a shrinking by "
    "cos(π/2N)^N.",
    formula="16 → 8 → 4 → 2 → 1 steps: the same affine output;  N(0, 1): X = cos(π/2N)^N x",
)
def rounds_of_progressive_distillation() -> list[Check]:
    """The target x̃ is affine in the state, so that the best affine student hits it: rounding, 1e-11 after four rounds
    of fits. One DDIM step over an angle φ = π/2N has the gain α_t α_s + σ_t σ_s = cos φ on N(0, 1)."""
    checks, first, whole = [], 16, Cosine(-math.inf, math.inf)
    for path in WHOLE_PATHS:
        times = grid(first).tolist()
        student = FlowMap(AsTeacher(DATA.denoiser(path)), path, predicts="v")
        teacher = response(ExponentialAdams(1), flow(DATA.denoiser(path), "x0"), times)
        gaps = []
        while len(times) > 2:
            student = distilled(student, times, lambda s: FIT)
            times = times[::2]
            made = jump_response(student, times)
            gaps += [made.gain - teacher.gain, made.offset - teacher.offset]
        checks.append(Check(largest(*gaps), 0.0, 1e-11, f"students of 8, 4, 2 and 1 steps, less 16 of DDIM, on {path}"))
    normal, times = gaussian(0.0, 1.0), grid(4).tolist()
    student = FlowMap(AsTeacher(normal.denoiser(whole)), whole, predicts="v")
    for _ in range(2):
        student, times = distilled(student, times, lambda s: FIT), times[::2]
    gain = math.cos(math.pi / 8.0) ** 4
    return [*checks, Check(jump_response(student, times).gain, gain, 1e-12, "gain of one step, taught by 4: cos(π/8)⁴")]


def levels(n: int, smallest: float = 0.05, largest: float = 3.0) -> list[float]:
    """n levels of noise, rising in equal steps of their logarithm."""
    return torch.logspace(math.log10(smallest), math.log10(largest), n, dtype=torch.float64, device="cpu").tolist()


def consistency_pairs_of(sigmas: Sequence[float], taught: bool) -> list[tuple[float, float]]:
    """Offset and gain of the best affine student at each level, the identity at the first: by the loss of consistency
    distillation with the exact teacher and Euler's step in σ, or by that of consistency training."""
    pairs = [(0.0, 1.0)]
    for low, high in pairwise(sigmas):
        t = EDM.time(-2.0 * math.log(high))
        at = nodes(DATA, 8, t)
        x, offset, gain = at.x(EDM), *pairs[-1]
        noise = DATA.eps(x, t, EDM) if taught else at.eps
        pairs.append(affine_fit(x, offset + gain * (x + (low - high) * noise), at.weight))
    return pairs


@claim(
    "A238",
    SLIDES["Consistency Model, Algorithm 2"],
    CONSISTENCY["Algorithms 2 and 3"],
    statement="The best affine student of consistency distillation makes in one step what its teacher's solver makes "
    "in all of its steps, and misses the consistency function to first order in the step. On Gaussian data "
    "consistency training has the same minimiser.",
    formula="N(m, s²), levels σ_n: gain Π (1 − (σ_{n+1} − σ_n) σ_{n+1}/(s² + σ_{n+1}²)) → √((s² + σ_1²)/(s² + σ_N²))",
)
def minimisers_of_consistency_losses() -> list[Check]:
    """Each fit is exact for affine targets: rounding, 1e-12. For training the target is noisy, and the regression of
    affine functions needs moments up to the second, for which 8 nodes are exact: 1e-12. The error of the solver at
    20, 40 and 80 levels has the order 1, off by its second term, one in 80: 0.05."""
    checks, errors, sizes = [], [], (20, 40, 80)
    for n in sizes:
        sigmas = levels(n)
        taught, alone = consistency_pairs_of(sigmas, taught=True), consistency_pairs_of(sigmas, taught=False)
        product = math.prod(
            1.0 - (high - low) * high / (DEVIATION**2 + high**2) for low, high in pairwise(sigmas)
        )
        exact = math.hypot(DEVIATION, sigmas[0]) / math.hypot(DEVIATION, sigmas[-1])
        errors.append(taught[-1][1] - exact)
        if n == sizes[0]:
            gaps = [a - b for one, two in zip(taught, alone, strict=True) for a, b in zip(one, two, strict=True)]
            checks += [
                Check(taught[-1][1], product, 1e-12, "gain of the student of 20 levels"),
                Check(taught[-1][0], MEAN * (1.0 - product), 1e-12, "its offset"),
                Check(largest(*gaps), 0.0, 1e-12, "training without a teacher, less distillation, at every level"),
            ]
    return [*checks, Check(order(sizes, errors), 1.0, 0.05, "order of the student's error in the step")]


def targets(x: Tensor, sigma: float, delta: float) -> tuple[Tensor, Tensor, Tensor]:
    """What both losses ask of a student at x, (B, 1), and Var(z | x), for the mixture and the exact f at σ − Δ.

    Training asks for E[f(x₀ + (σ − Δ) z) | x], over the mixture that x₀ | x is, and distillation for
    f(E[x₀ + (σ − Δ) z | x]).
    """
    below = EDM.time(-2.0 * math.log(sigma - delta))
    (xi, w), means, spreads = hermite(40), MIXTURE.means[:, 0], MIXTURE.covs[:, 0, 0]
    total = spreads + sigma**2
    shares = torch.softmax(MIXTURE.weights.log() - 0.5 * total.log() - 0.5 * (x - means) ** 2 / total, 1)
    centres = means + spreads * (x - means) / total
    clean = centres[:, :, None] + (spreads * sigma**2 / total).sqrt()[:, None] * xi
    z = (x[:, :, None] - clean) / sigma

    def expected(values: Tensor) -> Tensor:
        return (shares * (values.view_as(z) @ w)).sum(1, keepdim=True)

    f = MIXTURE.map(EDM)
    trained = expected(f((x[:, :, None] - delta * z).reshape(-1, 1), below))
    return trained, f(x - delta * expected(z), below), expected(z**2) - expected(z) ** 2


@claim(
    "A239",
    SLIDES["Consistency Model, Algorithm 3"],
    CONSISTENCY["Theorem 2"],
    statement="Away from Gaussian data consistency training asks for something else than distillation: the curvature "
    "of f adds to it, at each level by the square of the step, and so over all levels by the step.",
    formula="E[f(x_n) | x_{n+1}] − f(E[x_n | x_{n+1}]) = ½ f'' (Δσ)² Var(z | x_{n+1}) + O(Δσ³)",
)
def bias_of_consistency_training() -> list[Check]:
    """At σ = 0.8 on the mixture, Δ = 0.004, 0.002 and 0.001. The difference has the order 2, off by its next term, of
    the relative size Δ times derivatives below 5: 0.01. The difference over Δ², without its own errors of first and
    second order, is the printed one: f'' is up to 8.5, its difference of fourth order with h = 0.004 has an error of
    h⁴/90 times a sixth derivative, below 1e6, and the third order in Δ is left, 1e-8 times one below 1e4: 1e-3.
    """
    x, sigma, deltas, h = column([-1.7, -0.4, 0.3, 1.5]), 0.8, (0.004, 0.002, 0.001), 0.004
    found = [targets(x, sigma, delta) for delta in deltas]
    gaps = [trained - taught for trained, taught, _ in found]
    f, t = MIXTURE.map(EDM), EDM.time(-2.0 * math.log(sigma))
    near, far = (f(x + step, t) + f(x - step, t) - 2.0 * f(x, t) for step in (h, 2.0 * h))
    curvature = (16.0 * near - far) / (12.0 * h**2)
    limit = extrapolated([gap / delta**2 for gap, delta in zip(gaps, deltas, strict=True)])
    return [
        Check(order([1, 2, 4], [rms(gap) for gap in gaps]), 2.0, 0.01, "order of the difference in the step"),
        Check(largest(limit - 0.5 * curvature * found[0][2]), 0.0, 1e-3, "difference over Δ², less ½ f'' Var(z | x)"),
    ]


@claim(
    "A240",
    CONSISTENCY["Algorithm 1"],
    TRAJECTORY["Algorithm 3"],
    statement="With an exact flow map the law of the samples is that of the data at one jump, at two and at four, with "
    "any noise between them.",
    formula="x ← (α_t/α_u) X(x, s, u) + √(σ_t² − (α_t σ_u/α_u)²) ξ keeps p_t, for every u between t and 1",
)
def jumps_keep_the_law() -> list[Check]:
    """The exact affine response to the start and to every noise. From N(0, 1) at α = 0 to N(0.7, 0.5²): rounding,
    1e-12."""
    gaps = []
    for path in WHOLE_PATHS:
        for times in ([0.0, 1.0], [0.0, 0.4, 1.0], [0.0, 0.2, 0.5, 0.7, 1.0]):
            for gamma in (0.0, 0.5, 1.0):
                mean, deviation = jump_response(DATA.map(path), times, gamma).law()
                gaps += [mean - MEAN, deviation - DEVIATION]
    return [Check(largest(*gaps), 0.0, 1e-12, "mean and deviation, 1, 2 and 4 jumps, γ = 0, ½ and 1, three paths")]


def one_and_two(net: Affine, middle: float) -> list[tuple[float, float]]:
    """W₂ to N(0.7, 0.5²), and the deviation, after one jump from the law at σ = 80 and after two, with noise at σ =
    middle between them."""
    student, found = Consistency(AtOneTime(net), EDM, predicts="x0"), []
    for times in ([0.0, 1.0], [0.0, EDM.time(-2.0 * math.log(middle)), 1.0]):
        mean, deviation = jump_response(student, times, 1.0).law(MEAN, math.hypot(DEVIATION, 80.0))
        found.append((math.hypot(mean - MEAN, deviation - DEVIATION), deviation))
    return found


def erring(middle: float, first: float, second: float) -> Affine:
    """f at σ = 80 and at σ = middle with gains that are `first` and `second` times the exact ones, about the mean."""
    gains = [k * DEVIATION / math.hypot(DEVIATION, sigma) for k, sigma in ((first, 80.0), (second, middle))]
    times = (0.0, EDM.time(-2.0 * math.log(middle)))
    return Affine(times, tuple((MEAN * (1.0 - gain), gain) for gain in gains))


@claim(
    "A241",
    SLIDES["tables of consistency models"],
    CONSISTENCY["Algorithm 1"],
    FOKKER,
    statement="Noise and a second step shrink what the first step of a consistency model did wrong, and add the error "
    "at the smaller noise. If every level of training adds the same error, two steps are closer to the data than one. "
    "If the error grows like σ²/(s² + σ²), they are not.",
    formula="gains k(σ) s/√(s² + σ²): deviation k_1 s after one, k_2 s √(1 + s² (k_1² − 1)/(s² + σ_2²)) after two",
)
def two_steps_and_one() -> list[Check | Bound]:
    """Of an affine f that keeps the mean, W₂ is the error of the deviation: rounding, 1e-11. With 18 levels from 0.002
    to 80, each 1 % off, and a second step at σ = 1.2, two steps have 11 levels and 1/(1 + 2.4²) of 18: 0.76 of one, to
    first order. With k = 1 + δ σ²/(s² + σ²) both have δ, to first order in δ, and two have more to second order."""
    checks: list[Check | Bound] = []
    for middle, first, second in ((1.0, 1.2, 1.05), (0.5, 0.9, 0.99)):
        (_, one), (_, two) = one_and_two(erring(middle, first, second), middle)
        shrunk = DEVIATION**2 / (DEVIATION**2 + middle**2)
        expected = second * DEVIATION * math.sqrt(1.0 + shrunk * (first**2 - 1.0))
        checks += [
            Check(one, first * DEVIATION, 1e-11, f"deviation after one step, k = {first:g}"),
            Check(two, expected, 1e-11, f"after two, k = {first:g} and {second:g}, σ = {middle:g}"),
        ]
    sigmas = levels(18, 0.002, 80.0)
    place = next(n for n, sigma in enumerate(sigmas) if sigma > 1.2)
    (one, _), (two, _) = one_and_two(erring(sigmas[place], 1.01**17, 1.01**place), sigmas[place])
    checks.append(Bound(two / one, 0.8, "W₂ of two steps over that of one, an equal error at every level"))
    for middle in (0.25, 0.5, 1.0, 4.0):
        k = [1.0 + 0.01 * sigma**2 / (DEVIATION**2 + sigma**2) for sigma in (80.0, middle)]
        (one, _), (two, _) = one_and_two(erring(middle, *k), middle)
        checks.append(Check(two / one, 1.0, 0.01, f"the same ratio, an error that grows as the noise, σ = {middle:g}"))
    return checks


class AtOneTime:
    """A network of the state's time alone."""

    def __init__(self, net: Affine) -> None:
        self.net = net

    def __call__(self, x: Tensor, s: Tensor) -> Tensor:
        return self.net(x, s, s)

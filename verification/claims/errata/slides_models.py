"""Errata of the slides on sampling, training and consistency models.

Each claim measures two things: by how much the printed form fails, and that the corrected one holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ....generative import VE, VP, CondOT, Cosine, flow
from ....generative.training import squared_error, target
from ....solvers import Euler, Langevin, solve
from ..claim import Bound, Check, claim, uncovered
from ..sources import SLIDES
from ..tools.errors import largest
from ..tools.examples import DEVIATION, MEAN
from ..tools.points import column, gaussian, grid, point
from ..tools.quadrature import hermite, legendre
from ..tools.samplers import response


@claim(
    "E76",
    SLIDES["Sampling Algorithm for Flow Model"],
    statement="The loop of Euler's method must take n steps. As printed it takes n − 1 and returns the state one step "
    "early.",
    formula="printed: for i = 1, …, n − 1; right: i = 1, …, n",
    erratum=True,
)
def steps_of_the_loop() -> list[Check | Bound]:
    """Data at one point 3 away from the noise, straight path: after n steps it is reached, to the rounding of n steps,
    1e-13; after n − 1 the distance 3/n is left, the same."""
    equation, x, checks = flow(point(3.0, CondOT())), column([0.0]), list[Check | Bound]()
    for n in (4, 10, 50):
        times = grid(n)
        early, last = (solve(equation, x, grid, Euler()).x.item() for grid in (times[:-1], times))
        checks.append(Check(3.0 - early, 3.0 / n, 1e-13, f"what is left as printed, n = {n}"))
        checks.append(Check(last, 3.0, 1e-13, f"end with n steps, n = {n}"))
    return [*checks, Bound(3.0 - early, 0.05, "error of the printed loop, n = 50", above=True)]


@claim(
    "E77",
    SLIDES["Algorithm 1, first copy"],
    statement="The network must be told the noise level: without it the least loss is larger.",
    formula="printed: ε_θ(x_t); right: ε_θ(x_t, t); N(0, 1) on the cosine path: least loss 1 − 4/π² and ½",
    erratum=True,
)
def noise_level_unknown() -> list[Check | Bound]:
    """x_t ~ N(0, 1) at every t: told t the best network is σ x, with the loss E α² = ½; not told, E[σ] x = 2x/π, with
    1 − 4/π² = 0.595. Integrals of polynomials in x₀ and ε, exact with 3 nodes each, and of trigonometric functions
    over t with 20 nodes: 1e-12. The stray norm bars on the loss slide are typographic.
    """
    path, (z, w), (times, weights) = Cosine(-math.inf, math.inf), hermite(3), legendre(20, 0.0, 1.0)
    x0, eps, weight = column(z.repeat_interleave(3)), column(z.repeat(3)), torch.outer(w, w).flatten()

    def with_t(x: Tensor, t: Tensor, label: None) -> Tensor:
        return path.sigma(t).unsqueeze(1) * x

    def without_t(x: Tensor, t: Tensor, label: None) -> Tensor:
        return 2.0 / math.pi * x

    def loss(net: Callable[..., Tensor]) -> float:
        at = (torch.full((9,), t, dtype=torch.float64) for t in times.tolist())
        parts = [squared_error(net, path, "eps", t, x0, eps)[:, 0] @ weight for t in at]
        return float(torch.stack(parts) @ weights)

    told, untold = loss(with_t), loss(without_t)
    return [
        Bound(untold - told, 0.09, "loss that not knowing t costs", above=True),
        Check(untold, 1.0 - 4.0 / math.pi**2, 1e-12, "least loss without t"),
        Check(told, 0.5, 1e-12, "least loss with t"),
    ]


@uncovered(
    "E78",
    SLIDES["Using multiple noise levels"],
    statement="The mean over the noise levels runs to N, but there are L levels.",
    erratum=True,
)
def number_of_levels() -> None:
    """Nothing to compute: a name of a number."""


@claim(
    "E79",
    SLIDES["Consistency Model"],
    statement="The boundary lies at σ = 0 on one slide, and at the first level t_1 > 0 in the algorithms. If f is the "
    "identity at t_1, it makes samples of the noised data. The loss slide lacks its expectation.",
    formula="f(x, 0) = x makes N(m, s²); f(x, t_1) = x makes N(m, s² + t_1²)",
    erratum=True,
)
def boundary_of_consistency() -> list[Check | Bound]:
    """The exact maps of N(0.7, 0.25) from 80 to 0 and to t_1 = 0.3, from the marginal N(0.7, 0.25 + 6400): linear, so
    that the deviations are exact, 1e-12. What is meant as data is wider by √0.34 − 0.5 = 0.083.

    Without an expectation the loss is a number of the draw: for f off by 0.1 x, the squares of two draws differ.
    """
    path, data, first = VE(80.0), gaussian(MEAN, DEVIATION), 0.3
    end = path.time(-2.0 * math.log(first))
    start = math.hypot(DEVIATION, 80.0)

    def deviation(t: float) -> float:
        return start * data.flow_map(column([0.0, 1.0]), 0.0, t, path)[:, 0].diff().item()

    x = column([-1.0, 0.4])
    loss = (0.1 * data.flow_map(x, end, 1.0, path)).square()
    return [
        Bound(deviation(end) - DEVIATION, 0.083, "error of the deviation with the boundary at t_1", above=True),
        Check(deviation(end), math.hypot(DEVIATION, first), 1e-12, "deviation with the boundary at t_1 = 0.3"),
        Check(deviation(1.0), DEVIATION, 1e-12, "with the boundary at 0"),
        Check(largest(data.flow_map(x, end, end, path) - x), 0.0, 1e-13, "f(x, t_1) − x of the map to t_1"),
        Bound(loss.diff(dim=0).abs().item(), 1e-3, "difference of the loss of two draws, no expectation", above=True),
    ]


@claim(
    "E80",
    SLIDES["Langevin dynamics; Algorithm 3"],
    statement="Unadjusted Langevin steps do not sample from p. The last corrector asks for the score of the clean "
    "data, which no network for noised data has.",
    formula="N(0, s²) becomes N(0, s²/(1 − ε/(4 s²))): + 14 % at ε = s²/2",
    erratum=True,
)
def unadjusted_langevin_is_biased() -> list[Check | Bound]:
    """100 steps of ε = 0.5 on N(0, 1): contraction by 3/4 each, so that nothing of the start is left, and the variance
    is 1/(1 − 1/8) = 8/7 to rounding, 1e-12. As printed it would be 1. `Langevin` with δ = ε/2 makes the same steps:
    size · σ² = 0.25 at σ = 0.5, on data of variance 0.75.
    """
    path, data = VE(1.0), gaussian(0.0, math.sqrt(0.75))
    equation = flow(data.denoiser(path), "x0")
    times = torch.tensor([0.5, 0.75], dtype=torch.float64)
    deviation = response(Langevin(None, 100, 1.0), equation, times).law()[1]
    try:
        gaussian(MEAN, DEVIATION).denoiser(VP()).predict("score", 1.0, column([0.3]))
        refused = 0.0
    except ValueError:
        refused = 1.0
    return [
        Bound(abs(deviation**2 - 1.0), 0.14, "error of the variance as printed", above=True),
        Check(deviation**2, 8.0 / 7.0, 1e-12, "variance in the limit, corrected"),
        Check(refused, 1.0, 0.0, "the score of a network at σ = 0 is refused"),
    ]


@claim(
    "E81",
    SLIDES["Denoising Score Matching"],
    statement="The score of a noised sample is −ε/σ² for noise ε of deviation σ, and −ε/σ for noise of deviation 1. "
    "It is not −ε.",
    formula="(x − x̃)/σ² = −(x̃ − x)/σ²; printed: −ε",
    erratum=True,
)
def scale_of_the_score() -> list[Check | Bound]:
    """At σ = 0.5, σ² = 1/4: the target that the loss takes. Rounding, 1e-14."""
    path, eps, x0 = VE(0.5), column([0.8, -1.5]), column([0.3, 0.3])
    t = torch.zeros(2, dtype=torch.float64)
    score = target("score", path, t, x0, eps)
    added = 0.5 * eps  # the slide's ε
    return [
        Bound(largest(score + added), 2.0, "error of −ε, with noise of deviation σ", above=True),
        Check(largest(score + added / 0.25), 0.0, 1e-14, "of −ε/σ², with noise of deviation σ"),
        Check(largest(score + eps / 0.5), 0.0, 1e-14, "of −ε/σ, with noise of deviation 1"),
    ]


@uncovered(
    "E82",
    SLIDES,
    statement="DDIM is cited with the wrong authors, and α_t, the index t and the direction of time change their "
    "meaning between slides.",
    erratum=True,
)
def references_of_the_slides() -> None:
    """Nothing to compute: references and names; that the toy equation asks for a linear drift is a part of A136."""

"""Brownian motion, and what a step of Euler and Maruyama makes of it.

Where it can be avoided nothing is drawn: increments of a Brownian path are combinations of independent normals with
known weights, and on a linear equation so is the whole solution. Covariances, and the distance of two solutions on the
same path, are sums over these weights, whose rounding is below 10⁻¹².

The order that errors C h^p (1 + O(h)) at h, h/2 and h/4 show is extrapolated to h → 0 (`limiting_order`), and right to
O(h²): with θ = 2 and h = 1/16, (θh)² = 0.016 per unit of the second coefficient; the tolerance is 0.05.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch
from scipy.stats import chi2
from torch import Tensor

from ....solvers import SDE, BrownianTree, EulerMaruyama, WhiteNoise, solve
from ...statistics import rms
from ..claim import Bound, Check, Statistical, claim
from ..sources import NOTES_2025, NOTES_2026
from ..tools.errors import limiting_order
from ..tools.examples import PLAIN, PROCESS
from ..tools.points import grid
from ..tools.samplers import PathImpulses, path_response
from ..tools.tests import ks_test, mean_test


def _covariance(path: PathImpulses, first: tuple[float, float], second: tuple[float, float]) -> float:
    """Cov of the increments of a path over two intervals."""
    one, two = (path.weights(*times, lambda t: t) for times in (first, second))
    lengths = math.sqrt((first[1] - first[0]) * (second[1] - second[0]))
    return lengths * sum(weight * two.get(number, 0.0) for number, weight in one.items())


def _tree(n: int, t1: float = 1.0) -> tuple[BrownianTree, Tensor]:
    like = torch.zeros(n, 1, dtype=torch.float64)
    return BrownianTree(like, 0.0, t1, seed=31), like


@claim(
    "A031",
    NOTES_2025["section 2.2"],
    NOTES_2026["section 2.2"],
    statement="Brownian motion has independent normal increments, of variance t − s over [s, t].",
    formula="W_t − W_s ~ N(0, t − s),  Cov(W_s, W_t) = min(s, t)",
)
def brownian_motion() -> list[Check | Statistical]:
    """Covariances from the weights of the path, to rounding. Normality of an increment by 2·10⁴ paths."""
    path = PathImpulses(0.0, 1.0)
    checks: list[Check | Statistical] = [
        Check(_covariance(path, (0.0, 0.25), (0.0, 0.75)), 0.25, 1e-12, "Cov(W_¼, W_¾)"),
        Check(_covariance(path, (0.0, 0.3), (0.0, 0.7)), 0.3, 1e-12, "Cov(W_0.3, W_0.7)"),
        Check(_covariance(path, (0.1, 0.4), (0.4, 0.9)), 0.0, 1e-12, "disjoint increments"),
        Check(_covariance(path, (0.1, 0.4), (0.1, 0.4)), 0.3, 1e-12, "the variance of W_0.4 − W_0.1"),
    ]
    tree, like = _tree(20_000)
    increment = tree.normal(0.1, 0.4, lambda t: t, like)[:, 0]
    return [*checks, ks_test(torch.special.ndtr(increment), "W_0.4 − W_0.1, standardised")]


@claim(
    "A032",
    NOTES_2025["Eq. 5"],
    NOTES_2026["Eq. 5"],
    statement="A path drawn step by step with √h ε has on its grid exactly the law of Brownian motion.",
    formula="W_{t+h} = W_t + √h ε",
)
def simulated_path() -> list[Check | Statistical]:
    """The covariance of all increments of 16 steps is h I to rounding, in whatever order they are asked for; of numbers
    that are drawn afresh the last of 16 sums is tested for normality, by 2·10⁴ paths."""
    path, n = PathImpulses(0.0, 1.0), 16
    cells = [(i / n, (i + 1) / n) for i in range(n)]
    covariance = np.array([[_covariance(path, one, two) for one in cells] for two in reversed(cells)])[::-1]
    x = torch.zeros(20_000, 1, dtype=torch.float64)
    motion = SDE(lambda t, x: torch.zeros_like(x), lambda t, x: 1.0, noise="additive")
    end = solve(motion, x, grid(n), EulerMaruyama(), WhiteNoise(32)).x[:, 0]
    return [
        Check(float(np.abs(covariance - np.eye(n) / n).max()), 0.0, 1e-12, "the covariance of increments, less h I"),
        ks_test(torch.special.ndtr(end), "W₁ after 16 steps"),
    ]


@claim(
    "A033",
    NOTES_2025["section 2.2"],
    NOTES_2026["section 2.2"],
    statement="Brownian paths are infinitely long, and their squared steps add up to the time that has passed.",
    formula="E Σ|ΔW| = √(2nt/π) → ∞,  Σ ΔW² → t with deviation t √(2/n)",
)
def path_length() -> list[Statistical]:
    """4000 paths of n = 512 steps on [0, 1]: sums of absolute values have deviation √(1 − 2/π) = 0.6, so that their
    mean is known to 0.01 of 18.05. n Σ ΔW² is chi-squared with n degrees of freedom a path, 2·10⁶ over all paths."""
    paths, n = 4000, 512
    tree, like = _tree(paths)
    times = grid(n).tolist()
    steps = torch.cat([tree.normal(s, t, lambda t: t, like) for s, t in pairwise(times)], dim=1)
    squares, degrees = float(steps.square().sum()), paths * n
    p = 2.0 * min(float(chi2.cdf(squares, degrees)), float(chi2.sf(squares, degrees)))
    fault = f"a variance that is off by {6.2 * math.sqrt(2.0 / degrees):.2g} of its value"
    lengths = steps.abs().sum(1) / math.sqrt(n)
    spread = (steps.square().mean(1) - 1.0) ** 2
    return [
        mean_test(lengths, math.sqrt(2.0 * n / math.pi), "the length of a path at 512 steps"),
        Statistical(min(1.0, p), degrees, fault, squares / degrees, 1.0, "the mean quadratic variation"),
        mean_test(spread, 2.0 / n, "the variance of the quadratic variation"),
    ]


@claim(
    "A034",
    NOTES_2025["Eq. 6"],
    NOTES_2026["Eq. 6"],
    statement="Euler and Maruyama's step leaves a remainder h R, where R vanishes with h: like √h if the noise is "
    "constant.",
    formula="X_{t+h} = X_t + h u + σ ΔW + h R;  OU from 0: rms R = θσ √(h/3) (1 + O(h))",
)
def remainder_of_euler_maruyama() -> list[Check]:
    """R is normal, and the same path in n steps gives it to O(1/n); its variance, extrapolated from n = 128 and 256, is
    right to 1/(128 · 256) of a tenth of itself, 3·10⁻⁶. Exactly it is σ² ∫₀ʰ (e^(−θu) − 1)² du / h². Order ½ as in the
    module."""
    theta, sigma = PROCESS.theta, PROCESS.sigma
    checks, deviations = [], []
    for h in (1 / 8, 1 / 16, 1 / 32):
        path = PathImpulses(0.0, h)
        variances = []
        for n in (128, 256):
            fine = path_response(EulerMaruyama(), PLAIN, grid(n, 0.0, h), path)
            once = path_response(EulerMaruyama(), PLAIN, [0.0, h], path)
            variances.append(float(((fine.kicks - once.kicks) / h).square().sum()))
        variance = 2.0 * variances[1] - variances[0]
        exact = h + 2.0 * math.expm1(-theta * h) / theta - 0.5 * math.expm1(-2.0 * theta * h) / theta
        checks.append(Check(math.sqrt(variance), sigma * math.sqrt(exact) / h, 1e-5, f"rms R at h = {h:g}"))
        deviations.append(math.sqrt(variance))
    order = limiting_order(deviations)
    leading = deviations[-1] / (theta * sigma * math.sqrt(1 / 96))
    return [
        *checks,
        Check(order, 0.5, 0.05, "the order of rms R"),
        Check(leading, 1.0, 0.5 * theta / 32, "rms R over θσ √(h/3) at h = 1/32, up to (1 − 3θh/8)"),
    ]


@claim(
    "A035",
    NOTES_2025["Theorem 5"],
    NOTES_2026["Theorem 5"],
    statement="An equation with a Lipschitz drift and continuous noise has one solution, to which refined steps "
    "converge.",
    formula="dX = u(X, t) dt + σ(t) dW:  ‖X^(n) − X^(2n)‖ → 0",
)
def existence_of_a_solution() -> list[Bound]:
    """On one path the distance of n and 2n steps is of order 1 (additive noise), so that it halves; a factor of 1.6
    over 500 paths, whose rms has a relative standard error of 1/√1000 = 0.03, is six deviations away from 2."""
    equation = SDE(lambda t, x: x.sin() + math.cos(t), lambda t, x: 1.0 + 0.5 * t, noise="additive")
    like = torch.linspace(-1.0, 1.0, 500, dtype=torch.float64).unsqueeze(1)
    tree = BrownianTree(like, 0.0, 1.0, seed=35)
    ends = [solve(equation, like, grid(n), EulerMaruyama(), tree).x for n in (8, 16, 32, 64, 128)]
    gaps = [rms(one - two) for one, two in pairwise(ends)]
    return [
        Bound(one / two, 1.6, f"the factor by which the distance of {n} and {2 * n} steps falls", above=True)
        for n, (one, two) in zip((8, 16, 32), pairwise(gaps), strict=True)
    ]

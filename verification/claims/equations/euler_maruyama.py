"""The Ornstein-Uhlenbeck process and the orders of the Euler-Maruyama method.

Samplers of a linear equation are affine maps of start and noise, with known coefficients: their means and variances,
and the distance of two of them on the same path, are sums with a rounding below 10⁻¹². Orders are extrapolated as in
`brownian_motion`, and right to (θh)² = 0.016 at h = 1/16; the tolerance is 0.05.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch

from ....solvers import SDE, EulerMaruyama, ExponentialAdams, solve
from ...oracles import OrnsteinUhlenbeck
from ..claim import Check, claim
from ..sources import BLOG, FOKKER, NOTES_2025, NOTES_2026
from ..tools.errors import extrapolated, limiting_order
from ..tools.examples import PLAIN, PROCESS
from ..tools.points import grid
from ..tools.quadrature import hermite
from ..tools.samplers import Given, PathImpulses, path_response, response


@claim(
    "A036",
    NOTES_2025["Example 6, Eq. 8"],
    NOTES_2026["Example 6, Eq. 8"],
    statement="The Ornstein-Uhlenbeck process has known mean, variance and covariance at all times.",
    formula="E X_t = e^(−θt) x₀,  Var X_t = σ² (1 − e^(−2θt))/2θ,  Cov(X_s, X_t) = e^(−θ|t−s|) Var X_s",
)
def ornstein_uhlenbeck() -> list[Check]:
    """The exponential solver is exact for this equation, to rounding. The method of Euler and Maruyama errs by
    C h (1 + O(h)): from 64, 128 and 256 steps twofold extrapolation leaves (θh)³, 3·10⁻⁵ at most."""
    theta, sigma = PROCESS.theta, PROCESS.sigma
    decay, variance = math.exp(-0.7 * theta), sigma**2 * -math.expm1(-1.4 * theta) / (2.0 * theta)
    exact = response(ExponentialAdams(1), PROCESS.equation(), [0.0, 0.2, 0.7])
    mean, spread = exact.law(1.3, 0.0)
    path = PathImpulses(0.0, 0.75)
    equation, early = PROCESS.equation(), [0.0, 0.25]
    late, sooner = (path_response(ExponentialAdams(1), equation, times, path) for times in ([*early, 0.75], early))
    covariance = float(late.kicks @ sooner.kicks)
    laws = [response(EulerMaruyama(), PLAIN, grid(n, 0.0, 0.7)).law(1.3, 0.0) for n in (64, 128, 256)]
    means, deviations = zip(*laws, strict=True)
    return [
        Check(mean, 1.3 * decay, 1e-12, "the mean, in two exact steps"),
        Check(spread**2, variance, 1e-12, "the variance"),
        Check(covariance, math.exp(-0.5 * theta) * PROCESS.variance(0.25), 1e-12, "the covariance at ¼ and ¾"),
        Check(extrapolated(means), 1.3 * decay, 3e-5, "the mean by Euler and Maruyama, extrapolated"),
        Check(
            extrapolated([deviation**2 for deviation in deviations]),
            variance,
            3e-5,
            "the variance by Euler and Maruyama, extrapolated",
        ),
    ]


@claim(
    "A037",
    NOTES_2026["Example 6 and Figure 3"],
    NOTES_2025["Figure 3"],
    statement="The stationary law of the process has the variance σ²/2θ.",
    formula="X_t → N(0, σ²/2θ)",
)
def stationary_law() -> list[Check]:
    """From any start the distance to it falls as e^(−2θt), below 10⁻¹⁷ at θt = 20; an exact step keeps it, to rounding.
    θ = 1/4 and σ = 1 give 2."""
    process = OrnsteinUhlenbeck(theta=0.25, sigma=1.0)
    _, far = response(ExponentialAdams(1), process.equation(), [0.0, 40.0, 80.0]).law(5.0, 0.0)
    _, kept = response(ExponentialAdams(1), process.equation(), [0.0, 3.0]).law(0.0, math.sqrt(2.0))
    oracle = float(process.stationary().covs)
    return [
        Check(far**2, 2.0, 1e-12, "the variance after t = 80"),
        Check(kept**2, 2.0, 1e-12, "what t = 3 makes of the variance 2"),
        Check(oracle, 2.0, 0.0, "the oracle's"),
    ]


@claim(
    "A038",
    NOTES_2025["Eq. 9 and Algorithm 2"],
    NOTES_2026["Eq. 9 and Algorithm 2"],
    BLOG["section 2.2"],
    statement="Euler and Maruyama's method is of weak order 1. Its strong order is 1 for additive noise, and ½ "
    "otherwise.",
    formula="X_{t+h} = X_t + h u + √h σ ε",
)
def orders_of_euler_maruyama() -> list[Check]:
    """Orders as in the module. For dX = μX dt + σX dW a step multiplies by F(ξ), and the solution by E(ξ), so that
    E|X_n − X|² = (E F²)ⁿ − 2 (E FE)ⁿ + (E E²)ⁿ; twenty nodes of Gauss and Hermite are exact to rounding, n 10⁻¹⁶
    of a square of 10⁻³, whose next term in h is again one order smaller."""
    equation, start = PLAIN, (1.3, 0.4)
    times = [grid(n) for n in (16, 32, 64)]
    laws = [response(EulerMaruyama(), equation, each).law(start[0], math.sqrt(start[1])) for each in times]
    moments = [(mean, deviation**2) for mean, deviation in laws]
    exact = (start[0] * math.exp(-PROCESS.theta), PROCESS.variance(1.0, start[1]))
    checks = [
        Check(limiting_order([abs(each[k] - exact[k]) for each in moments]), 1.0, 0.05, f"the weak order of the {name}")
        for k, name in enumerate(("mean", "variance"))
    ]
    path = PathImpulses(0.0, 1.0)
    ends = [path_response(EulerMaruyama(), equation, grid(n), path) for n in (128, 64, 32, 16)][::-1]
    gaps = [float((one.kicks - two.kicks).norm()) for one, two in pairwise(ends)]
    checks.append(Check(limiting_order(gaps), 1.0, 0.05, "the strong order for additive noise"))
    geometric = _strong_order_of_multiplicative_noise()
    return [*checks, Check(geometric, 0.5, 0.05, "the strong order for dX = μX dt + σX dW")]


def _strong_order_of_multiplicative_noise(mu: float = 0.5, sigma: float = 1.0) -> float:
    nodes, weight = hermite(20)
    xi = nodes.unsqueeze(1)
    equation = SDE(lambda t, x: mu * x, lambda t, x: sigma * x)

    errors = []
    for n in (256, 512, 1024):
        h = 1.0 / n
        step = solve(equation, torch.ones_like(xi), [0.0, h], EulerMaruyama(), Given(xi)).x[:, 0]
        exact = ((mu - 0.5 * sigma**2) * h + sigma * math.sqrt(h) * xi[:, 0]).exp()
        ff, fe, ee = (float((weight * product).sum()) for product in (step**2, step * exact, exact**2))
        errors.append(math.sqrt(ff**n - 2.0 * fe**n + ee**n))
    return limiting_order(errors)


@claim(
    "A039",
    NOTES_2025["Eq. 9"],
    NOTES_2026["Eq. 9"],
    FOKKER,
    statement="On the Ornstein-Uhlenbeck process, Euler and Maruyama's steps have a stationary variance of their own.",
    formula="Var X_∞ = σ²/(2θ − θ²h)",
)
def discrete_stationary_variance() -> list[Check]:
    """A step is x → a x + c ξ, and c²/(1 − a²) the variance that it keeps: a few roundings, 10⁻¹² at a² = 0.95."""
    theta, sigma = PROCESS.theta, PROCESS.sigma
    checks = []
    for h in (0.5, 0.1, 0.0125):
        step = response(EulerMaruyama(), PLAIN, [0.0, h])
        checks.append(Check(step.kept_variance, sigma**2 / (2.0 * theta - theta**2 * h), 1e-12, f"at h = {h:g}"))
    return checks

"""Errata of the blog post.

Each claim measures two things: by how much the printed form fails, and that the corrected one holds. Where only a name
or an index is wrong there is nothing to compute.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ....generative import CondOT, Cosine, diffusion_sde
from ....generative.equations import constant
from ....generative.training import squared_error
from ....solvers import ODE, RK4, SDE, EulerMaruyama, Time, solve
from ..claim import Bound, Check, claim, uncovered
from ..sources import BLOG
from ..tools.errors import largest, order
from ..tools.points import MIXTURE, cdf, column, gaussian, grid, schedule_at
from ..tools.quadrature import hermite
from ..tools.samplers import response


@claim(
    "E91",
    BLOG["section 3.1"],
    statement="The conditional path ends at its point. It is the marginal path that ends in the law of the data.",
    formula="p_1(·|z) = δ_z, p_1 = p_data; printed: p_1(·|z) = p_data",
    erratum=True,
)
def ends_of_the_paths() -> list[Check | Bound]:
    """A path's α = 1 and σ = 0 at t = 1 are exact for CondOT, and to one rounding for the cosine: 1e-15. The data have
    a variance above 0.1, the conditional law at t = 1 none."""
    shares, means, spreads = MIXTURE.weights, MIXTURE.means[:, 0], MIXTURE.covs[:, 0, 0]
    variance = float(shares @ (spreads + means**2) - (shares @ means) ** 2)
    paths = (CondOT(), Cosine(-math.inf, math.inf))
    x = column([-1.0, 0.0, 1.1])
    marginal = largest(*(largest(cdf(MIXTURE, x, 1.0, path) - cdf(MIXTURE, x)) for path in paths))
    return [
        Bound(variance - float(paths[1].sigma(1.0)) ** 2, 0.1, "error of its variance as printed", above=True),
        Check(largest(*(path.sigma(1.0) for path in paths)), 0.0, 1e-15, "deviation of p_1(·|z)"),
        Check(largest(*(abs(path.alpha(1.0) - 1.0) for path in paths)), 0.0, 1e-15, "its mean over z, less 1"),
        Check(marginal, 0.0, 1e-14, "distribution function of p_1, less that of the data"),
    ]


@uncovered(
    "E92",
    BLOG["sections 3.1 and 3.2"],
    statement="The index t is missing in N(α_t z, β² I), which should read β_t², and in p(·|z), which should read "
    "p_t(·|z).",
    erratum=True,
)
def missing_time_index() -> None:
    """Nothing to compute: an index."""


@uncovered(
    "E93",
    BLOG["sections 1 and 3.2"],
    statement="The velocity is written u(·|z) where its value at X_t is meant, and the step is written h . u where h "
    "u is meant.",
    erratum=True,
)
def argument_of_the_velocity() -> None:
    """Nothing to compute: an argument and a stray dot."""


@claim(
    "E94",
    BLOG["section 4.1, SDE for the Gaussian path"],
    statement="The bracket of the drift must close before b_t X_t: it encloses the factor of the score alone.",
    formula="[(a_t + σ²/2) s(X_t) + b_t X_t] dt; printed: [(a_t + σ²/2 s(X_t) + b_t X_t)] dt",
    erratum=True,
)
def bracket_of_the_drift() -> list[Check | Bound]:
    """N(3, 0.25), σ = 0.5, from the marginal at t = 0.05 to 0.95 on the straight path: Euler-Maruyama, whose laws are
    exact. It converges with order 1, to 0.1 over 400 to 800 steps, to mean and deviation α 3 = 2.85 and
    √(0.475² + 0.05²) = 0.4776; extrapolated, with an error of order h² = 1e-6 times derivatives of order 100, 1e-4.
    As printed they tend to what the equations of mean and variance for the printed drift give, solved by 900 steps of
    RK4: 13.6 and 12.7, with derivatives that are larger by 1/t0² = 400, 0.05.
    """
    path, data, t0, t1 = CondOT(), gaussian(3.0, 0.5), 0.05, 0.95
    start = 3.0 * t0, math.hypot(0.5 * t0, 1.0 - t0)
    right = diffusion_sde(data.denoiser(path), constant(0.5), t0, t1)

    def printed(t: Time, x: Tensor) -> Tensor:
        alpha, sigma, d_alpha, d_sigma = schedule_at(path, t)
        a, b = sigma**2 * d_alpha / alpha - d_sigma * sigma, d_alpha / alpha
        return a + 0.5 * 0.5**2 * data.score(x, t, path) + b * x

    def laws(equation: SDE) -> list[tuple[float, float]]:
        grids = (grid(n, t0, t1) for n in (200, 400, 800))
        return [response(EulerMaruyama(), equation, times).law(*start) for times in grids]

    good, bad = laws(right), laws(SDE(printed, lambda t, x: 0.5, noise="additive"))
    moments = ODE(lambda t, y: torch.stack([_mean_rate(t, y[:, 0]), _variance_rate(t, y[:, 1])], 1))
    begin = torch.tensor([[start[0], start[1] ** 2]], dtype=torch.float64)
    mean, variance = solve(moments, begin, grid(900, t0, t1), RK4()).x[0].tolist()
    truth = 3.0 * t1, math.hypot(0.5 * t1, 1.0 - t1)
    deviations = [deviation - truth[1] for _, deviation in good]
    extrapolated = [2.0 * fine - coarse for coarse, fine in zip(good[1], good[2], strict=True)]
    wrong = [2.0 * fine - coarse for coarse, fine in zip(bad[1], bad[2], strict=True)]
    return [
        Bound(abs(wrong[0] - truth[0]), 10.0, "error of the mean as printed", above=True),
        Check(wrong[0], mean, 0.05, "mean as printed"),
        Check(wrong[1], math.sqrt(variance), 0.05, "deviation as printed"),
        Check(order([200, 400, 800], deviations), 1.0, 0.1, "order of the corrected form"),
        Check(extrapolated[0], truth[0], 1e-4, "mean, corrected"),
        Check(extrapolated[1], truth[1], 1e-4, "deviation, corrected"),
    ]


def _mean_rate(t: float, mean: Tensor) -> Tensor:
    """The rate of the mean under the printed drift a + ⅛ s(x) + x/t, a = (1 − t)²/t + 1 − t, s of N(3, 0.25)."""
    return (1.0 - t) ** 2 / t + 1.0 - t - 0.125 * (mean - 3.0 * t) / (0.25 * t**2 + (1.0 - t) ** 2) + mean / t


def _variance_rate(t: float, variance: Tensor) -> Tensor:
    """The rate of the variance under the same drift."""
    return 2.0 * variance * (1.0 / t - 0.125 / (0.25 * t**2 + (1.0 - t) ** 2)) + 0.25


@claim(
    "E95",
    BLOG["section 3.3, example"],
    statement="The flow matching loss must contain the network. As printed it contains the target's own symbol "
    "instead, and there is nothing to train.",
    formula="E‖u^θ(tz + (1 − t)ε) − (z − ε)‖²; printed: u^target in place of u^θ",
    erratum=True,
)
def loss_without_a_network() -> list[Check | Bound]:
    """Data N(0, 1), network θ x, at t = 0.3: the loss is E(θ x − (z − ε))² with E x² = 0.58 and
    E x (z − ε) = t − (1 − t) = −0.4, of slope 2 (0.58 θ + 0.4) in θ: 1.96 at θ = 1. With the target in place of the
    network the loss is a number, and its slope 0. Three nodes each for z and ε are exact: 1e-12.
    """
    path, (z, w) = CondOT(), hermite(3)
    x0, eps, weight = column(z.repeat_interleave(3)), column(z.repeat(3)), torch.outer(w, w).flatten()
    t = torch.full((9,), 0.3, dtype=torch.float64)
    theta = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    target = gaussian(0.0, 1.0)

    def slope(net: Tensor) -> float:
        square = squared_error(lambda x, t, label: net, path, "velocity", t, x0, eps)
        return float(torch.autograd.grad(square[:, 0] @ weight + 0.0 * theta, theta)[0])

    x = 0.3 * x0 + 0.7 * eps
    return [
        Check(slope(target.velocity(x, 0.3, path)), 0.0, 0.0, "slope in θ of the printed loss"),
        Bound(abs(slope(target.velocity(x, 0.3, path)) - 1.96), 1.9, "its error", above=True),
        Check(slope(theta * x), 2.0 * (0.58 + 0.4), 1e-12, "slope in θ of the corrected loss, at θ = 1"),
    ]


@claim(
    "E96",
    BLOG["section 4.2, example"],
    statement="The factor that the noise-prediction loss drops is 1/β_t², not 1/β_t.",
    formula="‖ε/β + s‖² = β^{−2} ‖ε + β s‖²",
    erratum=True,
)
def dropped_factor() -> list[Check | Bound]:
    """Sample by sample at β = 0.5, with the same network as score s and as ε̂ = −β s: the ratio of the losses is 4, to
    rounding, 1e-13; printed 2."""
    path, t = CondOT(), torch.full((2,), 0.5, dtype=torch.float64)
    x0, eps = column([0.7, -1.0]), column([0.4, 2.0])
    score = squared_error(lambda x, t, label: torch.sin(x), path, "score", t, x0, eps)
    noise = squared_error(lambda x, t, label: -0.5 * torch.sin(x), path, "eps", t, x0, eps)
    ratio = score / noise
    return [
        Bound(float((ratio - 2.0).abs().min()), 1.9, "error of the printed factor 1/β = 2", above=True),
        Check(largest(ratio - 4.0), 0.0, 1e-13, "factor of two samples, less 1/β² = 4"),
    ]


@uncovered(
    "E97",
    BLOG["sections 3.3 and 4"],
    statement="Some expectations run over x where ε is in the integrand, one loss has two names, (a_t, b_t) are "
    "exchanged against the lecture notes, and an author is cited by a wrong name.",
    erratum=True,
)
def names_in_the_blog_post() -> None:
    """Nothing to compute: names and references."""

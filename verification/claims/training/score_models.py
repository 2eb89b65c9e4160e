"""Score-based models: score matching, and Langevin dynamics over many levels of noise."""

from __future__ import annotations

import math

import torch
from scipy.stats import binom
from torch import Tensor

from ....generative import VE, GeometricVE, annealed_langevin
from ....generative.paths import Geometric
from ....generative.training import SNR, squared_error
from ....solvers import SDE, EulerMaruyama, WhiteNoise, solve, unroll
from ...oracles import GaussianMixture
from ..claim import Bound, Check, Statistical, claim
from ..sources import SLIDES
from ..tools.errors import largest
from ..tools.points import MIXTURE, column, gaussian, grid
from ..tools.quadrature import hermite


@claim(
    "A171",
    SLIDES["Score Matching; Denoising Score Matching"],
    statement="Half the denoising loss and half the Fisher divergence, the squared error of the score, differ by a "
    "number that does not depend on the network.",
    formula="½ E‖s_θ − ∇log q(x̃|x)‖² = ½ E‖s_θ − ∇log q(x̃)‖² + s²/(2 q (s² + q)) for x ~ N(m, s²), x̃ = x + N(0, q)",
)
def denoising_score_matching() -> list[Check]:
    """s² = 0.85, q = 0.35: 0.85/(0.7 · 1.2). Both losses are integrals of polynomials (networks of degree up to 3), for
    which quadrature with 20 nodes in x and in ε is exact; a few thousand roundings, 1e-12 of terms of order 10.
    """
    mean, spread, noise = 0.3, 0.85, 0.35
    path, (z, w) = VE(math.sqrt(noise)), hermite(20)
    x0 = column(mean + math.sqrt(spread) * z).repeat_interleave(20, 0)
    eps, weight, t = column(z.repeat(20)), torch.outer(w, w).flatten(), torch.zeros(400, dtype=torch.float64)
    data = gaussian(mean, math.sqrt(spread))
    score = data.score(x0 + math.sqrt(noise) * eps, 0.0, path)
    checks = []
    for name, net in (("0", torch.zeros_like), ("−x", torch.neg), ("x³ − 1", lambda x: x**3 - 1.0)):
        denoising = squared_error(lambda x, t, label, net=net: net(x), path, "score", t, x0, eps)[:, 0] @ weight
        fisher = (net(x0 + math.sqrt(noise) * eps) - score).square()[:, 0] @ weight
        checks.append(Check(0.5 * float(denoising - fisher), 0.85 / 0.84, 1e-11, f"difference, network {name}"))
    return checks


@claim(
    "A172",
    SLIDES["Using multiple noise levels"],
    statement="With the weights σ² all levels of noise count the same: the zero network has the loss d at each of "
    "them.",
    formula="λ(σ) = σ²: E σ² ‖ε/σ‖² = d",
)
def level_weights() -> list[Check]:
    """Squares of normals, which three nodes integrate exactly; σ²/σ² rounds, 1e-12. Without weights the cleanest of ten
    levels from 10 to 0.1 counts 1e4 times what the noisiest does."""
    path, (z, w) = GeometricVE(0.1, 10.0), hermite(3)
    times = Geometric(10.0, 0.1, 10).quantile(path, (torch.arange(10, dtype=torch.float64) + 0.5) / 10.0)
    t, eps = times.repeat_interleave(3), column(z.repeat(10))

    def by_level(weighting: SNR | None) -> Tensor:
        square = squared_error(
            lambda x, t, label: torch.zeros_like(x), path, "score", t, torch.zeros_like(eps), eps, weighting=weighting
        )
        return square.reshape(10, 3) @ w

    plain = by_level(None)
    return [
        Check(largest(by_level(SNR()) - 1.0), 0.0, 1e-12, "largest distance from d = 1 over ten levels"),
        Check(float(plain.max() / plain.min()), 1e4, 1e-7, "ratio of the levels without weights"),
    ]


@claim(
    "A143",
    SLIDES["Challenge in low data density regions; Annealed Langevin Dynamics"],
    statement="Langevin dynamics do not find the masses of separated modes. Annealed over levels of noise, they do.",
    formula="0.8 N(5, 1) + 0.2 N(−5, 1) from U[−8, 8]: half the mass on the right without annealing, 0.8 with it",
)
def annealing_finds_the_masses() -> list[Bound | Statistical]:
    """The barrier between the modes is 12.5: in 1000 steps of 0.1, a time of 50, nothing crosses, and the mass at the
    right of 0 is that of the start, 0.5. Ten levels from 10 to 0.5, 100 steps each, keep a bias, which is allowed to be
    0.05. The claims that are tested are masses within 0.05 of 0.5 and of 0.8 among 4000, so that p is near 1 where they
    hold. Masses that are off by 0.11 are seven standard errors beyond, and are found with probability 0.99 even if 100
    tests share the level of 1 %. Both arrive at the modes: the mean square distance from the nearer one, 1 in the data
    and 1 + 0.25 at the last level, which h = 0.1 changes by h/4, is below 1.5.
    """
    n, path = 4000, VE(10.0)
    weights, eye = torch.tensor([0.8, 0.2], dtype=torch.float64), torch.ones(2, 1, 1, dtype=torch.float64)
    data = GaussianMixture(weights, column([5.0, -5.0]), eye)
    start = 16.0 * torch.rand(n, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 8.0
    plain = SDE(lambda t, x: 0.5 * data.score(x, 1.0, path), lambda t, x: 1.0, noise="additive")
    times = grid(1000, 0.0, 100.0)
    stuck = solve(plain, start, times, EulerMaruyama(), WhiteNoise(1)).x
    annealed = annealed_langevin(data.denoiser(path), 10.0, 0.5, levels=10, steps=100, epsilon=0.05)
    found = solve(annealed[0], start, *annealed[1:], WhiteNoise(2)).x
    checks: list[Bound | Statistical] = []
    for what, x, mass in (("without annealing", stuck, 0.5), ("annealed", found, 0.8)):
        right = int((x > 0.0).sum())
        p = 2.0 * min(float(binom.sf(right - 1, n, mass + 0.05)), float(binom.cdf(right, n, mass - 0.05)))
        checks.append(Statistical(min(p, 1.0), n, "a mass that is off by 0.11", right / n, mass, what))
        checks.append(Bound(float((x.abs() - 5.0).square().mean()), 1.5, f"mean square distance from a mode, {what}"))
    return checks


@claim(
    "A173",
    SLIDES["Annealed Langevin Dynamics"],
    statement="The levels of noise fall in a geometric progression, and each starts from where the last one ended.",
    formula="σ_1 > σ_2 > … > σ_L, x⁽ⁱ⁺¹⁾_start = x⁽ⁱ⁾_end",
)
def levels_in_order() -> list[Check]:
    """σ_L is recovered through a logarithm and its exponential, ten units of rounding: 1e-14 relative. With no steps at
    any level the state comes out as it went in, to the bit; rising levels are refused."""
    path, levels = VE(20.0), 12
    equation, times, solver = annealed_langevin(MIXTURE.denoiser(path), 10.0, 0.1, levels, 3, 2e-3, denoise=False)
    sigmas = path.sigma(times[:-1])
    x = column([-1.0, 0.3, 2.0])
    nothing = annealed_langevin(MIXTURE.denoiser(path), 10.0, 0.1, levels, 0, 2e-3, denoise=False)
    kept = solve(nothing[0], x, *nothing[1:], WhiteNoise(0)).x
    evaluations = unroll(equation, times, solver).evaluations
    asked = torch.tensor([evaluation.time for evaluation in evaluations], dtype=torch.float64)
    try:
        annealed_langevin(MIXTURE.denoiser(path), 0.1, 10.0, levels, 3, 2e-3)
        refused = 0.0
    except ValueError:
        refused = 1.0
    ratio = 0.01 ** (1.0 / (levels - 1))
    return [
        Check(largest(sigmas[1:] / sigmas[:-1] - ratio), 0.0, 1e-12, "σ_{i+1}/σ_i, largest distance from one ratio"),
        Check(largest(kept - x), 0.0, 0.0, "change from level to level"),
        Check(largest(asked - times[:-1].repeat_interleave(3)), 0.0, 0.0, "levels of the evaluations"),
        Check(refused, 1.0, 0.0, "rising levels are refused"),
    ]

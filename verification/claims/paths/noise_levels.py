"""Levels of noise: those of a schedule, and that of the stochastic equation that is solved.

A schedule is given by its log-SNR 2λ = log(α²/σ²) and may be shifted by a constant. A sampler may add any noise g dW:
the law at its end is the same, as long as the network is perfect and the steps are small.
"""

from __future__ import annotations

import math

import torch

from ....generative.denoiser import Denoiser
from ....generative.equations import constant, diffusion_sde, flow
from ....generative.paths import VP, CondOT, Cosine, GaussianPath, Shifted, Table, linear_betas
from ....solvers import RK4, EulerMaruyama, solve
from ..claim import Bound, Check, claim
from ..sources import BLOG, NOTES_2025, SIMPLE_DIFFUSION, TUTORIAL
from ..tools.errors import largest
from ..tools.points import PATHS, STATES, exact, gaussian, grid, name_of, schedule_at
from ..tools.samplers import response


@claim(
    "A112",
    NOTES_2025["Eq. 56"],
    BLOG["section 4.1"],
    statement="A network that predicts the score drives the stochastic equation of any noise level.",
    formula="dX = [(k + g²/2) s + (α'/α) X] dt + g dW",
)
def score_alone() -> list[Check | Bound]:
    """The drift is an identity, 1e-12. For N(3, 0.25) on CondOT, g = 1/2, from t = 0.05 to 0.95, the law at the end of
    Euler and Maruyama's steps is known exactly: its mean is that of the path on a line, to rounding; the deviation's
    error is C/n + O(1/n²), so that it halves when n doubles, to 2 + O(1/n), here 0.02 at n = 200, and extrapolation
    leaves O(1/n²), 5e-5."""
    path, data, t0, t1 = CondOT(), gaussian(3.0, 0.5), 0.05, 0.95
    equation = diffusion_sde(Denoiser(exact(data, "score", path), path, predicts="score"), constant(0.5), t0, t1)
    alpha, sigma, d_alpha, d_sigma = schedule_at(path, 0.5)
    k = sigma**2 * d_alpha / alpha - d_sigma * sigma
    drift = (k + 0.125) * data.score(STATES, 0.5, path) + d_alpha / alpha * STATES
    apart = largest(equation.drift(0.5, STATES) - drift)

    def law(n: int) -> tuple[float, float]:
        made = response(EulerMaruyama(), equation, grid(n, t0, t1))
        return made.law(3.0 * t0, math.hypot(0.5 * t0, 1.0 - t0))

    (_, coarse), (mean, fine) = law(200), law(400)
    deviation = math.sqrt(t1**2 * 0.25 + (1.0 - t1) ** 2)
    return [
        Check(apart, 0.0, 1e-12, "the drift"),
        Check(mean, 3.0 * t1, 1e-10, "the mean at the end"),
        Check((coarse - deviation) / (fine - deviation), 2.0, 0.02, "the error of 200 steps over that of 400"),
        Check(2.0 * fine - coarse, deviation, 5e-5, "the deviation at the end, extrapolated"),
    ]


@claim(
    "A118",
    TUTORIAL["Eq. 5-7"],
    statement="On a variance-preserving path the squares of signal and noise are two sigmoids of the log-SNR.",
    formula="α² = 1/(1 + e^(−2λ)),  σ² = 1/(1 + e^(2λ)),  2λ = log(α²/σ²)",
)
def log_snr_gives_two_sigmoids() -> list[Check]:
    """Numbers below 1 from λ with |λ| < 7.5: a relative rounding of e^(2λ) of 15 units, 4e-15."""
    t = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    found = []
    paths: tuple[GaussianPath, ...] = (Cosine(), VP(), Table(linear_betas()))
    for path in paths:
        level = path.log_snr(t)
        signal, noise = (torch.as_tensor(f(t)) ** 2 for f in (path.alpha, path.sigma))
        apart = torch.stack([torch.sigmoid(level) - signal, torch.sigmoid(-level) - noise])
        found.append(Check(largest(apart), 0.0, 4e-15, name_of(path)))
    return found


@claim(
    "A119",
    TUTORIAL["section 2.3 and its listing"],
    statement="The cosine schedule has the log-SNR −2 log tan(π s/2). Cutting the log-SNR to ±15 moves α by at most "
    "5.5e-4.",
    formula="α = cos(π s/2),  s = 1 − t,  |α_cut − α| ≤ e^(−7.5)",
)
def cosine_schedule() -> list[Check | Bound]:
    """The log-SNR of the uncut schedule by the rounding of tan near its pole, 1e-12 for s in [0.01, 0.99]. The cut
    schedule turns the angle by at most e^(−7.5) at each end, so that α moves most where it is 0: by
    sin(arctan e^(−7.5)), to rounding. At both ends 2 λ = ±15, to the rounding of a tangent over e^(−7.5), 1e-11; in
    between it rises."""
    s = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    whole, cut = Cosine(-math.inf, math.inf), Cosine()
    apart = whole.log_snr(1.0 - s) + 2.0 * (0.5 * math.pi * s).tan().log()
    t = grid(1000)
    moved = largest(cut.alpha(t) - (0.5 * math.pi * (1.0 - t)).cos())
    ends = [cut.log_snr(end) for end in (0.0, 1.0)]
    rise = cut.half_log_snr(t).diff().min().item()
    return [
        Check(largest(apart), 0.0, 1e-12, "the log-SNR"),
        Check(moved, math.sin(math.atan(math.exp(-7.5))), 1e-14, "how far the cut moves α"),
        Check(ends[0], -15.0, 1e-11, "the noisy end"),
        Check(ends[1], 15.0, 1e-11, "the clean end"),
        Bound(rise, 0.0, "the least rise between neighbours", above=True),
    ]


@claim(
    "A120",
    TUTORIAL["section 2.3"],
    SIMPLE_DIFFUSION,
    statement="A schedule for images of side d, shifted from one for the reference side r, has an SNR that is (r/d)² "
    "times as large.",
    formula="log SNR + 2 log(r/d)",
)
def resolution_shift() -> list[Check]:
    """(64/256)² = 1/16 at every time, also on a shifted path whose α and σ are found by another road: rounding of
    e^(2λ) with |λ| < 10, 1e-12."""
    t = torch.linspace(0.05, 0.95, 19, dtype=torch.float64)
    shift, found = math.log(64 / 256), []
    for path in PATHS:
        moved = Shifted(path, shift)
        before, after = ((p.alpha(t) / p.sigma(t)) ** 2 for p in (path, moved))
        worst = largest((after / before) * 16.0 - 1.0)
        found.append(Check(worst, 0.0, 1e-12, name_of(path)))
    return found


@claim(
    "A124",
    NOTES_2025["section 4.2"],
    BLOG["section 4.1"],
    statement="A perfect network samples the data at every noise level. With an imperfect network and finite steps, "
    "some noise level is best.",
    formula="dX = [u + ½ g² s] dt + g dW",
)
def best_noise_level() -> list[Check | Bound]:
    """N(0, 1/4) on CondOT from t = 0.05 to 0.95; the exact deviation after n steps of Euler and Maruyama. A perfect
    model errs by C/n + D/n² + O(1/n³), of which extrapolation from 200, 400 and 800 steps leaves the third: with rates
    ½ g²/v up to 20 a step is h ρ ≤ 0.0225 at n = 800, and its cube 1.1e-5; 2e-5 with the next. A score that is 5 % too
    small: at 200 steps the level 1.5 beats both the flow (0), which keeps all of the model's error, and 4, which pays
    for its steps."""
    path, data, t0, t1 = CondOT(), gaussian(0.0, 0.5), 0.05, 0.95

    def error(factor: float, level: float, n: int) -> float:
        net = Denoiser(lambda x, t: factor * data.score(x, t, path), path, predicts="score")
        equation = diffusion_sde(net, constant(level), t0, t1, spread=0.5)
        made = response(EulerMaruyama(), equation, grid(n, t0, t1))
        start, end = (math.hypot(0.5 * t, 1.0 - t) for t in (t0, t1))
        return made.law(0.0, start)[1] - end

    found: list[Check | Bound] = [
        Check(
            (8.0 * error(1.0, level, 800) - 6.0 * error(1.0, level, 400) + error(1.0, level, 200)) / 3.0,
            0.0,
            2e-5,
            f"a perfect model, g = {level:g}",
        )
        for level in (0.0, 1.0, 3.0)
    ]
    none, some, much = (abs(error(0.95, level, 200)) for level in (0.0, 1.5, 4.0))
    return [
        *found,
        Bound(some / none, 0.5, "an imperfect model: the error at g = 1.5 over that of the flow"),
        Bound(some / much, 0.8, "an imperfect model: the error at g = 1.5 over that at g = 4"),
    ]


@claim(
    "A127",
    NOTES_2025["section 4.3"],
    statement="The end of the flow is a function of its start: solved twice it gives the same numbers, and it has the "
    "law of the data.",
    formula="X₁ = ψ₁(X₀),  ψ₁(N(0, 1)) = N(m, s²) by x ↦ m + s x",
)
def deterministic_flow() -> list[Check]:
    """Bitwise the same when repeated. For N(0.7, 0.25) on the cosine path the map is 0.7 + x/2: of 100 steps of RK4 on
    a field whose time scales are above 0.3 the error is of the order (h/0.3)⁴ = 1e-6."""
    path, data = Cosine(-math.inf, math.inf), gaussian(0.7, 0.5)
    times = grid(100)
    once, again = (solve(flow(data.denoiser(path)), STATES, times, RK4()).x for _ in range(2))
    return [
        Check(largest(once - again), 0.0, 0.0, "solved twice"),
        Check(largest(once - 0.7 - 0.5 * STATES), 0.0, 1e-6, "the map"),
    ]

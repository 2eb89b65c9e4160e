"""Fast sampling: DDIM, x_t = α_t x̂₀ + σ_t ε̂, and steps in parallel."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ....generative import VP, CondOT, Cosine, flow
from ....generative.equations import grids
from ....solvers import Euler, ExponentialAdams, Picard, same, solve, unroll
from ...statistics import rms
from ..claim import Bound, Check, claim
from ..sources import FOKKER, SLIDES
from ..tools.errors import largest
from ..tools.points import MIXTURE, column, gaussian, grid, point
from ..tools.samplers import response

DDIM = ExponentialAdams(1)


@claim(
    "A191",
    SLIDES["Accelerated sampling"],
    statement="DDIM, DPM-Solver-1 and the exponential integrator of the semilinear flow take one and the same step.",
    formula="α_t x̂ + σ_t ε̂ = (α_t/α_s) x − σ_t (e^h − 1) ε̂ = (σ_t/σ_s) x + α_t (1 − e^{−h}) x̂, h = λ_t − λ_s",
)
def ddim_by_three_names() -> list[Check]:
    """Three printed forms against the solver, on three paths: a handful of roundings of numbers of order one, times
    α_t/α_s = 4 and e^h: 1e-13. Whatever quantity is held, the table of coefficients is the same (`same`): a yes."""
    gaps, agreements, x, (s, t) = [], [], column([-1.3, 0.2, 2.1]), (0.2, 0.55)
    for path in (CondOT(), Cosine(), VP()):
        denoiser = MIXTURE.denoiser(path)
        x0, eps = (denoiser.predict(kind, s, x) for kind in ("x0", "eps"))
        (a, b), (alpha, sigma) = ((path.alpha(u), path.sigma(u)) for u in (s, t))
        h = path.half_log_snr(t) - path.half_log_snr(s)
        made = solve(flow(denoiser, "x0"), x, [s, t], DDIM).x
        forms = (
            alpha * x0 + sigma * eps,
            alpha / a * x - sigma * math.expm1(h) * eps,
            sigma / b * x - alpha * math.expm1(-h) * x0,
        )
        gaps += [largest(made - form) for form in forms]
        tables = [unroll(flow(denoiser, hold), grids.uniform(path, 8, t0=0.1, t1=0.9), DDIM) for hold in ("x0", "eps")]
        agreements.append(bool(same(*tables)))
    return [
        Check(largest(*gaps), 0.0, 1e-13, "largest difference of three forms, three paths"),
        Check(float(sum(agreements)), 3.0, 0.0, "paths on which holding x₀ and holding ε are the same table"),
    ]


@claim(
    "A193",
    SLIDES["Accelerated sampling"],
    FOKKER,
    statement="DDIM is of first order even for data N(0, I): on equal steps of angle its output is too narrow by a "
    "power of a cosine.",
    formula="deviation = cos(π/2N)^N ≈ 1 − π²/(8 N)",
)
def ddim_on_noise() -> list[Check]:
    """One step of the angle φ maps x to cos φ x: N roundings, 1e-12. N = 200: the next term is π⁴/(128 N²) = 2e-5."""
    path, checks = Cosine(-math.inf, math.inf), []
    for n in (1, 5, 10, 50, 200):
        made = response(DDIM, flow(gaussian(0.0, 1.0).denoiser(path), "x0"), grids.uniform(path, n)).law()[1]
        checks.append(Check(made, math.cos(0.5 * math.pi / n) ** n, 1e-12, f"deviation, N = {n}"))
    return [*checks, Check(200.0 * (1.0 - made), math.pi**2 / 8.0, 200.0 * 2e-5, "N (1 − deviation), N = 200")]


@claim(
    "A194",
    SLIDES["Accelerated sampling"],
    FOKKER,
    statement="For data at one point DDIM is exact in any number of steps.",
    formula="x̂₀ = z ⟹ x_t = α_t z + (σ_t/σ_s)(x_s − α_s z)",
)
def ddim_on_a_point() -> list[Check]:
    """Every step keeps (x − α z)/σ: roundings of at most 10 steps, 1e-13; at σ = 0 nothing but z is left."""
    gaps, ends = [], []
    for path in (CondOT(), Cosine(-math.inf, math.inf), VP()):
        equation, x = flow(point(2.5, path), "x0"), column([-3.0, 0.1, 4.0])
        eps = (x - 2.5 * path.alpha(0.0)) / path.sigma(0.0)
        for n in (1, 3, 10):
            states = solve(equation, x, grids.uniform(path, n), DDIM, save=True)
            exact = 2.5 * column(path.alpha(states.ts)).unsqueeze(1)
            exact = exact + column(path.sigma(states.ts)).unsqueeze(1) * eps
            gaps.append(largest(exact - (states.x if states.xs is None else states.xs)))
            ends.append(largest(states.x - 2.5))
    return [
        Check(largest(*gaps), 0.0, 1e-13, "largest error on the way, three paths, N = 1, 3, 10"),
        Check(largest(*ends), 0.0, 1e-13, "distance of the end from 2.5"),
    ]


@claim(
    "A195",
    SLIDES["Compared to DDPM, DDIM is able to"],
    statement="The same latent gives the same sample. More steps hardly change it, and neighbours stay neighbours, so "
    "that latents can be interpolated.",
    formula="|D(z) − D(z')| ≤ L |z − z'|, L = max_z |ψ'(z)| + O(1/N)",
)
def latents_have_meaning() -> list[Check | Bound]:
    """The same computation twice: no bit differs. Twice the steps halve the distance to the limit, so that the
    differences from 50 to 100 and from 100 to 200 steps are as 2 to 1, off by a relative O(1/N): 2 to 0.2.

    The largest slope between 801 latents tends to that of the exact map of the flow, to which twice the steps halve the
    distance, too.
    """
    path, z = CondOT(), torch.linspace(-4.0, 4.0, 801, dtype=torch.float64).unsqueeze(1)
    equation = flow(MIXTURE.denoiser(path), "x0")

    def decoded(n: int) -> Tensor:
        return solve(equation, z, grids.uniform(path, n), DDIM).x

    coarse, fine, finest = decoded(50), decoded(100), decoded(200)
    exact = MIXTURE.flow_map(z, 0.0, 1.0, path)
    some, more, steepest = (largest(ends.diff(dim=0) / z.diff(dim=0)) for ends in (fine, finest, exact))
    return [
        Check(largest(decoded(50) - coarse), 0.0, 0.0, "difference of two runs"),
        Check(rms(coarse - fine) / rms(fine - finest), 2.0, 0.2, "ratio of what 50 to 100 and 100 to 200 steps change"),
        Check((steepest - some) / (steepest - more), 2.0, 0.2, "ratio of their slopes' errors"),
    ]


@claim(
    "A196",
    SLIDES["Parallel ODE solving"],
    statement="Sweeps over all steps at once converge to the sequential solution. After k sweeps k states are final, "
    "and the others are much closer than this requires.",
    formula="x_i^{k+1} = x_0 + h Σ_{j<i} u(x_j^k);  ‖x^k − x‖ ≤ C (Lt)^k/k!",
)
def picard_sweeps_in_parallel() -> list[Check | Bound]:
    """Sums in another order, 32 terms: 1e-13. `Picard` with tolerance 0 has the sequential result to the bit, in any
    window, and with a window of all steps in fewer calls than there are steps.

    The field on [0, 0.9] has slopes |∂u/∂x| ≤ L, which are measured; after k sweeps the error is at most the first
    one times (L t)^k/k!, which at k = 5 is far above rounding.
    """
    path, n, x = CondOT(), 32, column([-1.5, 0.2, 1.0])
    times = grid(n, 0.0, 0.9)
    equation = flow(MIXTURE.denoiser(path))
    exact = solve(equation, x, times, Euler(), save=True).xs
    sequential = x.expand(n + 1, 3, 1) if exact is None else exact
    iterate, errors, final = x.expand(n + 1, 3, 1).clone(), [], []
    for sweep in range(n + 1):
        errors.append(largest(iterate - sequential))
        final.append(largest(iterate[: sweep + 1] - sequential[: sweep + 1]))
        slopes = torch.stack([equation.drift(t, y) for t, y in zip(times.tolist(), iterate, strict=True)])
        iterate = x + torch.cat([torch.zeros(1, 3, 1).double(), (times[1] * slopes[:-1]).cumsum(0)])
    states = torch.linspace(-4.0, 4.0, 801, dtype=torch.float64).unsqueeze(1)
    steepest = largest(*(largest(MIXTURE.divergence(states, t, path)) for t in times[:-1].tolist()))
    parallel = {window: solve(equation, x, times, Picard(Euler(), window, 0.0)) for window in (4, n)}
    return [
        Check(largest(*final), 0.0, 1e-13, "error of the first k states after k sweeps"),
        Check(errors[-1], 0.0, 1e-13, "error of all after N sweeps"),
        Bound(errors[5], errors[0] * (0.9 * steepest) ** 5 / math.factorial(5), "error after 5 sweeps of 32"),
        *(Check(largest(made.x - sequential[-1]), 0.0, 0.0, f"Picard, window {w}") for w, made in parallel.items()),
        Bound(float(parallel[n].nfe.depth), n - 1.0, "calls one after the other, for 32 steps"),
    ]

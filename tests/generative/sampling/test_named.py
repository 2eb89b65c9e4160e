"""Published samplers by name, against their formulas in their own notation, on a mixture."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import Tensor
from toy import MIXTURE, PATHS, Draws, states

from fokker.generative import VE, VP, CondOT, GaussianPath, named
from fokker.generative.equations import grids
from fokker.generative.sampling import PUBLISHED, Sampler
from fokker.generative.sampling.named import ALIASES
from fokker.solvers import ExponentialAdams, WhiteNoise, solve, unroll

UNEVEN = [0.05, 0.11, 0.3, 0.34, 0.6, 0.81, 0.9, 0.97]
each_path = pytest.mark.parametrize("path", PATHS, ids=str)


def draws(n: int) -> list[Tensor]:
    return list(torch.randn(n, 8, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64))


def close(solved: Tensor, written: Tensor, tolerance: float = 1e-11) -> None:
    assert (solved - written).abs().max() < tolerance * written.abs().max()


def run(name: str, path: GaussianPath, x: Tensor, times: Any, noise: Sequence[Tensor] | None = None) -> Tensor:
    sampler = named(name)
    equation = sampler.equation(MIXTURE.denoiser(path))
    return solve(equation, x, times, sampler.solver, None if noise is None else Draws(noise)).x


def denoise(z: Tensor, sigma: float) -> Tensor:
    """EDM's D(z; σ) of the mixture, z = x₀ + σ ε."""
    return MIXTURE.x0(z, 1.0 - sigma / 80.0, VE())


def test_dpm2_ancestral() -> None:
    """As Crowson's implementation writes it: σ_up, σ_down, a midpoint in log σ; no noise on the last step."""
    _, times, _ = named("dpm2-ancestral")(MIXTURE.denoiser(VE()), 9)
    z = x = states(VE(), 0.0)
    noise = draws(9)
    for (sigma, following), xi in zip(pairwise((80.0 * (1.0 - times)).tolist()), noise, strict=True):
        up = math.sqrt(following**2 * (sigma**2 - following**2) / sigma**2)
        down = math.sqrt(following**2 - up**2)
        slope = (z - denoise(z, sigma)) / sigma
        if down > 0.0:
            middle = math.sqrt(sigma * down)
            there = z + (middle - sigma) * slope
            slope = (there - denoise(there, middle)) / middle
        z = z + (down - sigma) * slope + up * xi
    close(run("dpm2-ancestral", VE(), x, times, noise), z)


@each_path
@pytest.mark.parametrize("order", [2, 3])
def test_dpm_solver(path: GaussianPath, order: int) -> None:
    """Algorithms 1 (r₁ = 1/2) and 2 (r₁ = 1/3, r₂ = 2/3) of Lu et al. (2206.00927)."""
    x = written = states(path, UNEVEN[0])
    for s, t in pairwise(UNEVEN):
        lam, h = path.half_log_snr(s), path.half_log_snr(t) - path.half_log_snr(s)

        def at(r: float, lam: float = lam, h: float = h) -> tuple[float, float, float]:
            time = path.time(2.0 * (lam + r * h))
            return time, path.alpha(time), path.sigma(time)

        def eps(x: Tensor, time: float) -> Tensor:
            return MIXTURE.eps(x, time, path)

        first, alpha = eps(written, s), path.alpha(s)
        if order == 2:
            time, a, b = at(0.5)
            u = a / alpha * written - b * math.expm1(0.5 * h) * first
            written = path.alpha(t) / alpha * written - path.sigma(t) * math.expm1(h) * eps(u, time)
            continue
        r1, r2 = 1 / 3, 2 / 3
        (t1, a1, b1), (t2, a2, b2) = at(r1), at(r2)
        u1 = a1 / alpha * written - b1 * math.expm1(r1 * h) * first
        d1 = eps(u1, t1) - first
        u2 = a2 / alpha * written - b2 * math.expm1(r2 * h) * first
        u2 = u2 - b2 * r2 / r1 * (math.expm1(r2 * h) / (r2 * h) - 1.0) * d1
        d2 = eps(u2, t2) - first
        written = path.alpha(t) / alpha * written - path.sigma(t) * math.expm1(h) * first
        written = written - path.sigma(t) / r2 * (math.expm1(h) / h - 1.0) * d2
    close(run(f"dpm-solver-{order}s", path, x, UNEVEN), written)


@each_path
@pytest.mark.parametrize("name", ["dpm++2s", "res-2s"])
def test_two_stages_of_x0(path: GaussianPath, name: str) -> None:
    """Algorithm 1 of 2211.01095 with r = 1/2; RES (2308.02157) with b₂ = φ₂(−h)/c₂, b₁ = φ₁ − b₂, c₂ = 1/2."""
    x = written = states(path, UNEVEN[0])
    for s, t in pairwise(UNEVEN):
        lam, h = path.half_log_snr(s), path.half_log_snr(t) - path.half_log_snr(s)
        middle = path.time(2.0 * lam + h)
        value = MIXTURE.x0(written, s, path)
        u = path.sigma(middle) / path.sigma(s) * written - path.alpha(middle) * math.expm1(-0.5 * h) * value
        there = MIXTURE.x0(u, middle, path)
        if name == "dpm++2s":
            change = -path.alpha(t) * math.expm1(-h) * there
        else:
            phi1 = -math.expm1(-h) / h
            phi2 = (phi1 - 1.0) / -h
            change = path.alpha(t) * h * ((phi1 - 2.0 * phi2) * value + 2.0 * phi2 * there)
        written = path.sigma(t) / path.sigma(s) * written + change
    close(run(name, path, x, UNEVEN), written)


def linear(path: GaussianPath, x: Tensor, s: float, t: float, value: Tensor, slope: Tensor | float) -> Tensor:
    """The flow from s to t, exact for x₀-hat = value + slope (λ − λ_s)."""
    h = path.half_log_snr(t) - path.half_log_snr(s)
    phi1 = -math.expm1(-h) / h
    phi2 = (1.0 - phi1) / h
    return path.sigma(t) / path.sigma(s) * x + path.alpha(t) * h * (phi1 * value + h * phi2 * slope)


@each_path
def test_three_stages_of_x0(path: GaussianPath) -> None:
    """RES (2308.02157, section 3.2) with c₂ = 1/3 and c₃ = 2/3: the last value so far gives the slope in λ."""
    x = written = states(path, UNEVEN[0])
    for s, t in pairwise(UNEVEN):
        lam, h = path.half_log_snr(s), path.half_log_snr(t) - path.half_log_snr(s)
        t1, t2 = (path.time(2.0 * (lam + r * h)) for r in (1.0 / 3.0, 2.0 / 3.0))
        value = MIXTURE.x0(written, s, path)
        u1 = linear(path, written, s, t1, value, 0.0)
        u2 = linear(path, written, s, t2, value, (MIXTURE.x0(u1, t1, path) - value) / (h / 3.0))
        written = linear(path, written, s, t, value, (MIXTURE.x0(u2, t2, path) - value) / (2.0 * h / 3.0))
    close(run("res-3s", path, x, UNEVEN), written)


@pytest.mark.parametrize("name", ["flow-euler", "flow-heun"])
def test_methods_of_flow_matching(name: str) -> None:
    """Along the velocity, x + h v, and x + h (v + v')/2."""
    path = CondOT()
    x = written = states(path, UNEVEN[0])
    for s, t in pairwise(UNEVEN):
        velocity = MIXTURE.velocity(written, s, path)
        if name == "flow-heun":
            velocity = 0.5 * (velocity + MIXTURE.velocity(written + (t - s) * velocity, t, path))
        written = written + (t - s) * velocity
    close(run(name, path, x, UNEVEN), written)


MULTISTEP = [
    *(("deis", 3, 0), ("deis-rho", 3, 0), ("ipndm", 4, 0), ("dpm++2m", 2, 0), ("dpm++3m", 3, 0)),
    *(("sde-dpm++2m", 2, 0), ("unipc", 2, 1)),
]
"""Names, past values, and those ahead: UniPC's corrector has one."""


@pytest.mark.parametrize(("name", "values", "ahead"), MULTISTEP)
def test_adams_weights_are_the_integrals_of_lagrange_polynomials(name: str, values: int, ahead: int) -> None:
    """Eq. 15 of 2204.13902: C_j = S ∫ dr L_j, in log r or r, by adaptive quadrature; after the start.

    r = σ/α and S = α for ε-hat; for x₀-hat r = α/σ and S = σ (2211.01095, eq. 8), or with noise r = α²/σ², S = σ²/α.
    """
    path = VP()
    sampler, r = named(name), [path.sigma(t) / path.alpha(t) for t in UNEVEN]
    scales = [path.alpha(t) for t in UNEVEN]
    if name in ("dpm++2m", "dpm++3m", "sde-dpm++2m", "unipc"):
        power = 2 if name == "sde-dpm++2m" else 1
        r, scales = [level**-power for level in r], [path.alpha(t) * s**power for t, s in zip(UNEVEN, r, strict=True)]
    scheme = unroll(sampler.equation(MIXTURE.denoiser(path)), UNEVEN, sampler.solver)
    variable: Callable[[float], float] = (lambda r: r) if sampler.logarithmic is False else math.log
    evaluated = {evaluation.time: j for j, evaluation in enumerate(scheme.evaluations)}
    for i in range(values, 7 - ahead):
        times = [i + ahead - j for j in range(values + ahead)]
        nodes = [variable(r[k]) for k in times]
        for j, at in enumerate(times):

            def lagrange(r: float, j: int = j, nodes: list[float] = nodes) -> float:
                return float(np.prod([(variable(r) - n) / (nodes[j] - n) for k, n in enumerate(nodes) if k != j]))

            weight = scales[i + 1] * quad(lagrange, r[i], r[i + 1], epsabs=1e-13, epsrel=1e-13)[0]
            assert scheme.states[i]["N", evaluated[UNEVEN[at]]] == pytest.approx(weight, rel=1e-10)


def test_ipndm_on_even_steps_has_the_printed_weights() -> None:
    """(55, −59, 37, −9)/24 where the steps in σ/α are equal (Liu et al. 2202.09778, eq. 12)."""
    path = VE()
    times = grids.uniform(path, 10, t1=0.99)
    sampler = named("ipndm")
    scheme = unroll(sampler.equation(MIXTURE.denoiser(path)), times, sampler.solver)
    weights = [value for (kind, _), value in sorted(scheme.states[8].items()) if kind == "N"][::-1]
    step = path.sigma(times[9].item()) - path.sigma(times[8].item())
    assert [24.0 * w / step for w in weights] == pytest.approx([55.0, -59.0, 37.0, -9.0], rel=1e-9)


MOST = {"t0": 0.02, "t1": 0.95}


@cache
def flowed(path: GaussianPath) -> Tensor:
    """The probability flow over the part of the path where everything is defined."""
    held = named("dpm++3m").equation(MIXTURE.denoiser(path))
    times = grids.log_snr(path, 600, **MOST)
    return solve(held, states(path, MOST["t0"]), times, ExponentialAdams(4, corrector=True)).x


@pytest.mark.parametrize("name", PUBLISHED)
@each_path
def test_every_sampler_runs_and_gets_better(path: GaussianPath, name: str) -> None:
    """With 1, 2 and 3 steps everything is finite; deterministic ones approach the flow, at least linearly."""
    sampler, start = named(name), 0.0
    if sampler.hold == "eps" and path.alpha(0.0) == 0.0:
        with pytest.raises(ValueError, match="scale S vanishes at t = 0"):
            run(name, path, states(path, 0.0), sampler.grid(path, 3), draws(9))
        start = 0.02
    end = 1.0 if sampler.hold != "velocity" or path.sigma(1.0) > 0.0 or isinstance(path, CondOT) else 0.99
    x = states(path, start)
    for n in (1, 2, 3):
        equation, times, solver = sampler(MIXTURE.denoiser(path), n, t0=start, t1=end)
        assert torch.isfinite(solve(equation, x, times, solver, WhiteNoise(0)).x).all()
    if sampler.stochastic:
        return
    x = states(path, MOST["t0"])
    ends = [solve(equation, x, sampler.grid(path, n, **MOST), sampler.solver).x for n in (40, 80)]
    assert (ends[1] - flowed(path)).norm() < 0.6 * (ends[0] - flowed(path)).norm()


UNIFORM = ("ddim", "ddpm", "predictor-corrector", "flow-euler", "flow-heun")
KARRAS = ("euler", "euler-ancestral", "edm-heun", "edm-stochastic", "dpm2-ancestral", "deis-rho", "ipndm")


@pytest.mark.parametrize("name", PUBLISHED)
def test_grids_are_those_of_the_papers(name: str) -> None:
    """Uniform in t, in (σ/α)^{1/7}, or in log-SNR."""
    path = VP()
    _, times, _ = named(name)(MIXTURE.denoiser(path), 12, t0=0.1, t1=0.9)
    assert (times[0].item(), times[-1].item()) == (0.1, 0.9)
    if name not in UNIFORM:
        times = (-path.half_log_snr(times) / 7.0).exp() if name in KARRAS else path.half_log_snr(times)
    torch.testing.assert_close(times.diff(), times.diff().mean().expand(12), rtol=1e-9, atol=0.0)


def test_settings_are_those_of_the_papers() -> None:
    """S_churn, S_min, S_max and S_noise of table 5 of 2206.00364; one step of the corrector, as 2011.13456 reports."""
    churned, corrected = named("edm-stochastic").solver, named("predictor-corrector").solver
    assert repr(churned) == "Churn(ExponentialRK(EDM_HEUN), 40, 0.05, 50, 1.003)"
    assert repr(corrected) == "Langevin(ExponentialAdams(1), 1, 0.05)"
    assert (named("edm-stochastic").hold, named("predictor-corrector").eta) == ("eps", 1.0)
    row = Sampler(ExponentialAdams(2), "eps", 0.5, grids.uniform, logarithmic=False)
    assert row.equation(MIXTURE.denoiser(VP())).clock.logarithmic is False


def test_names() -> None:
    assert named("DPM++2M") is named("dpmpp-2m") is PUBLISHED["dpm++2m"]
    assert named("LMS") is PUBLISHED["ipndm"]
    assert named("dpm2") is PUBLISHED["dpm-solver-2s"]
    assert all(target in PUBLISHED for target in ALIASES.values())
    with pytest.raises(ValueError, match=r"Unknown sampler 'dpm\+\+4m'; choose one of ddim, ddpm, .*lms"):
        named("dpm++4m")
    assert all(row.name == name and row.source for name, row in PUBLISHED.items())

"""Published samplers, written out from their papers' formulas, are special cases of a few solvers.

Each sampler below is transcribed in its own notation and knows only x₀-hat; the solvers know only S, r and N.
The data is a mixture, so that no identity holds by linearity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from toy import MIXTURE, PATHS, Draws, states

from fokker.generative import VP, CondOT, Cosine, GaussianPath, flow, reverse_sde
from fokker.generative.equations import grids
from fokker.solvers import Euler, ExponentialAdams, Heun, solve
from fokker.verification import Gaussian

Times = Sequence[float]
UNEVEN = [0.05, 0.11, 0.3, 0.34, 0.6, 0.81, 0.9, 0.97]

each_path = pytest.mark.parametrize("path", PATHS, ids=str)


def draws(n: int) -> list[Tensor]:
    return list(torch.randn(n, 8, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64))


def same(solved: Tensor, written: Tensor, tolerance: float = 1e-12) -> None:
    assert (solved - written).abs().max() < tolerance * written.abs().max()


def ddim(path: GaussianPath, x: Tensor, times: Times, eta: float, noise: Sequence[Tensor]) -> Tensor:
    """DDIM (Song, Meng and Ermon 2010.02502, eqs. 12 and 16), with √ᾱ = α and √(1 − ᾱ) = σ."""
    for (s, t), xi in zip(pairwise(times), noise, strict=True):
        x0 = MIXTURE.x0(x, s, path)
        eps = (x - path.alpha(s) * x0) / path.sigma(s)
        abar_s, abar_t = path.alpha(s) ** 2, path.alpha(t) ** 2
        std = 0.0
        if eta:
            std = eta * math.sqrt((1.0 - abar_t) / (1.0 - abar_s)) * math.sqrt(1.0 - abar_s / abar_t)
        x = path.alpha(t) * x0 + math.sqrt(path.sigma(t) ** 2 - std**2) * eps + std * xi
    return x


@each_path
@pytest.mark.parametrize("hold", ["x0", "eps", "velocity"])
def test_ddim_is_the_first_exponential_method(path: GaussianPath, hold: str) -> None:
    """In these three forms freezing N over a step freezes x₀-hat and ε-hat; in the fourth it does not."""
    x = states(path, UNEVEN[0])
    solved = solve(flow(MIXTURE.denoiser(path), hold), x, UNEVEN, ExponentialAdams(1)).x
    same(solved, ddim(path, x, UNEVEN, 0.0, draws(7)))


@pytest.mark.parametrize("hold", ["x0", "velocity"])
def test_ddim_from_end_to_end(hold: str) -> None:
    """At t = 1, where σ = 0, DDIM returns x₀-hat."""
    times = grids.uniform(CondOT(), 9).tolist()
    x = states(CondOT(), 0.0)
    solved = solve(flow(MIXTURE.denoiser(CondOT()), hold), x, times, ExponentialAdams(1)).x
    same(solved, ddim(CondOT(), x, times, 0.0, draws(9)))


def test_euler_on_the_straight_path_is_ddim() -> None:
    times = grids.quadratic(CondOT(), 8).tolist()
    x = states(CondOT(), 0.0)
    solved = solve(flow(MIXTURE.denoiser(CondOT())), x, times, Euler()).x
    same(solved, ddim(CondOT(), x, times, 0.0, draws(8)))


@each_path
def test_holding_v_is_euler_in_the_angle(path: GaussianPath) -> None:
    """φ = atan2(α, σ), z = x / √(α² + σ²), dz/dφ = −v / √(α² + σ²): z moves by Δφ times its slope."""
    x = states(path, UNEVEN[0])
    solved = solve(flow(MIXTURE.denoiser(path), "v"), x, UNEVEN, ExponentialAdams(1)).x
    for s, t in pairwise(UNEVEN):
        norm_s, norm_t = (math.hypot(path.alpha(r), path.sigma(r)) for r in (s, t))
        turn = math.atan2(path.alpha(t), path.sigma(t)) - math.atan2(path.alpha(s), path.sigma(s))
        x = norm_t / norm_s * (x - turn * MIXTURE.v(x, s, path))
    same(solved, x)


def test_ddpm_is_the_first_exponential_method_on_the_reverse_sde() -> None:
    """Ancestral sampling (Ho et al. 2006.11239, eqs. 6, 7): posterior mean and variance β̃ of each step."""
    path = VP()
    times = grids.uniform(path, 12).tolist()
    x, noise = states(path, 0.0), draws(12)
    solved = solve(reverse_sde(MIXTURE.denoiser(path)), x, times, ExponentialAdams(1), Draws(noise)).x
    for (s, t), xi in zip(pairwise(times), noise, strict=True):
        x0 = MIXTURE.x0(x, s, path)
        abar, abar_previous = path.alpha(s) ** 2, path.alpha(t) ** 2
        beta = 1.0 - abar / abar_previous
        mean = math.sqrt(abar_previous) * beta / (1.0 - abar) * x0
        mean = mean + math.sqrt(1.0 - beta) * (1.0 - abar_previous) / (1.0 - abar) * x
        x = mean + math.sqrt((1.0 - abar_previous) / (1.0 - abar) * beta) * xi
    same(solved, x)


@each_path
def test_ddpm_on_every_path(path: GaussianPath) -> None:
    """q(x_t | x_s, x₀) by Bayes from the transition x_s | x_t ~ N(a x_t, b²): precision 1/σ_t² + a²/b²."""
    x, noise = states(path, UNEVEN[0]), draws(7)
    solved = solve(reverse_sde(MIXTURE.denoiser(path)), x, UNEVEN, ExponentialAdams(1), Draws(noise)).x
    for (s, t), xi in zip(pairwise(UNEVEN), noise, strict=True):
        a, b = path.transition(s, t)
        precision = 1.0 / path.sigma(t) ** 2 + (a / b) ** 2
        mean = (path.alpha(t) * MIXTURE.x0(x, s, path) / path.sigma(t) ** 2 + a * x / b**2) / precision
        x = mean + xi / math.sqrt(precision)
    same(solved, x, 1e-11)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_ddim_with_eta_is_the_sde_with_eta_at_its_ends(eta: float) -> None:
    x, noise = states(VP(), UNEVEN[0]), draws(7)
    equation = reverse_sde(MIXTURE.denoiser(VP()), eta)
    solved = solve(equation, x, UNEVEN, ExponentialAdams(1), Draws(noise)).x
    same(solved, ddim(VP(), x, UNEVEN, eta, noise), 1e-11)


@pytest.mark.parametrize("eta", [0.3, 0.7])
@pytest.mark.parametrize("path", [Cosine(), VP()], ids=str)
def test_ddim_with_eta_between(path: GaussianPath, eta: float) -> None:
    """Over a step h of log-SNR, DDIM keeps √(1 − η² (1 − e^{−2h})) of ε-hat where the SDE keeps e^{−η² h}.

    They are the same sampler when the SDE's own η solves e^{−2 η'² h} = 1 − η² (1 − e^{−2h}): one number on a
    grid uniform in log-SNR, which tends to η as h tends to 0.
    """
    times = grids.log_snr(path, 9, t0=0.05, t1=0.97).tolist()
    x, noise = states(path, times[0]), draws(9)
    h = path.half_log_snr(times[1]) - path.half_log_snr(times[0])
    own = math.sqrt(-0.5 * math.log1p(eta**2 * math.expm1(-2.0 * h)) / h)
    solved = solve(reverse_sde(MIXTURE.denoiser(path), own), x, times, ExponentialAdams(1), Draws(noise)).x
    same(solved, ddim(path, x, times, eta, noise), 1e-11)
    assert own < eta


@each_path
def test_edm_heun_is_heun_in_the_clock(path: GaussianPath) -> None:
    """Algorithm 1 of Karras et al. (2206.00364), σ(t) = t and s(t) = 1, for the denoiser of z = x / α."""
    times = grids.karras(path, 10, t0=0.05, t1=0.99)
    sigmas = (path.sigma(times) / path.alpha(times)).tolist()
    z = states(path, 0.05) / path.alpha(0.05)

    def denoise(z: Tensor, sigma: float) -> Tensor:
        t = path.time(-2.0 * math.log(sigma))
        return MIXTURE.x0(path.alpha(t) * z, t, path)

    solved = solve(flow(MIXTURE.denoiser(path), "eps").in_clock(), z, sigmas, Heun()).x
    for sigma, following in pairwise(sigmas):
        slope = (z - denoise(z, sigma)) / sigma
        euler = z + (following - sigma) * slope
        slope_there = (euler - denoise(euler, following)) / following
        z = z + (following - sigma) * (0.5 * slope + 0.5 * slope_there)
    same(solved, z, 1e-11)


def dpm_solver(path: GaussianPath, x: Tensor, times: Times, kappa: float, noise: Sequence[Tensor]) -> Tensor:
    """DPM-Solver++(2M) and, for κ = 1, SDE-DPM-Solver++(2M) (Lu et al. 2211.01095, prop. 4.1, section 5).

    The integral of the linear interpolant is taken exactly, as with the public code's solver_type "taylor".
    The first step is of first order, corrected with the value that the second step evaluates anyway.
    """
    previous = h_previous = None
    value = MIXTURE.x0(x, times[0], path)
    for i, (s, t) in enumerate(pairwise(times)):
        h = path.half_log_snr(t) - path.half_log_snr(s)
        alpha, sigma, z = path.alpha(t), path.sigma(t), (1.0 + kappa) * h
        kept = sigma / path.sigma(s) * math.exp(-kappa * h) * x
        kept = kept + sigma * math.sqrt(-math.expm1(-2.0 * kappa * h)) * noise[i]
        first, second = -alpha * math.expm1(-z), alpha * (math.expm1(-z) / z + 1.0)
        if previous is None:
            x = kept + first * value
            following = MIXTURE.x0(x, t, path)
            x = kept + first * value + second * (following - value)
        else:
            x = kept + first * value + second * (h / h_previous) * (value - previous)
            following = MIXTURE.x0(x, t, path) if t != times[-1] else None
        previous, value, h_previous = value, following, h
    return x


@each_path
@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("spacing", ["log-SNR", "uneven"])
def test_dpm_solver_is_the_second_exponential_method(path: GaussianPath, eta: float, spacing: str) -> None:
    times = grids.log_snr(path, 7, t0=0.05, t1=0.97).tolist() if spacing == "log-SNR" else UNEVEN
    x, noise = states(path, times[0]), draws(7)
    equation = reverse_sde(MIXTURE.denoiser(path), eta, "x0")
    solved = solve(equation, x, times, ExponentialAdams(2), Draws(noise)).x
    same(solved, dpm_solver(path, x, times, eta**2, noise), 1e-11)


def test_dpm_solver_as_printed_differs_within_its_order() -> None:
    """Algorithm 2 of 2211.01095: weights 1 + 1/2r and −1/2r, first step uncorrected. Both have order 2."""
    path, differences = VP(), []
    for n in (40, 80):
        times = grids.log_snr(path, n, t0=0.05, t1=0.97).tolist()
        x = states(path, times[0])
        solved = solve(flow(MIXTURE.denoiser(path), "x0"), x, times, ExponentialAdams(2)).x
        previous = h_previous = None
        for s, t in pairwise(times):
            h, value = path.half_log_snr(t) - path.half_log_snr(s), MIXTURE.x0(x, s, path)
            ratio = h_previous / h if previous is not None else None
            combined = value if ratio is None else (1.0 + 0.5 / ratio) * value - 0.5 / ratio * previous
            x = path.sigma(t) / path.sigma(s) * x - path.alpha(t) * math.expm1(-h) * combined
            previous, h_previous = value, h
        differences.append((solved - x).norm().item())
    assert math.log2(differences[0] / differences[1]) == pytest.approx(2.0, abs=0.2)


ADAMS_BASHFORTH = {
    2: (3 / 2, -1 / 2),
    3: (23 / 12, -16 / 12, 5 / 12),
    4: (55 / 24, -59 / 24, 37 / 24, -9 / 24),
}


@pytest.mark.parametrize("order", [2, 3, 4])
def test_holding_the_velocity_on_the_straight_path_is_adams_bashforth(order: int) -> None:
    n, path, solver = 12, CondOT(), ExponentialAdams(order)
    times = grids.uniform(path, n)
    solution = solve(flow(MIXTURE.denoiser(path)), states(path, 0.0), times, solver, save=True)
    values = [MIXTURE.velocity(x, t, path) for t, x in zip(solution.ts.tolist(), solution.xs, strict=True)]
    for i in range(2 * order, n):
        step = sum(weight * values[i - j] for j, weight in enumerate(ADAMS_BASHFORTH[order]))
        same(solution.xs[i + 1], solution.xs[i] + step / n)


@pytest.mark.parametrize("n", [1, 2, 5, 10, 50])
@pytest.mark.parametrize("hold", ["x0", "velocity"])
def test_ddim_shrinks_the_normal_law_by_a_known_factor(n: int, hold: str) -> None:
    """For data N(0, I) a step of angle π/2N multiplies x by cos(π/2N), so the samples have sd cos(π/2N)^N."""
    eye = torch.eye(2, dtype=torch.float64)
    path, oracle = Cosine(-math.inf, math.inf), Gaussian(eye.new_zeros(2), eye)
    x = torch.linspace(-2.0, 2.0, 14, dtype=torch.float64).reshape(7, 2)
    solved = solve(flow(oracle.denoiser(path), hold), x, grids.uniform(path, n), ExponentialAdams(1)).x
    assert (solved - math.cos(0.5 * math.pi / n) ** n * x).abs().max() < 1e-12

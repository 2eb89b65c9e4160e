"""The papers' samplers, in their own notation and with oracles of a mixture in place of their networks.

The data is a mixture, so that no identity holds by linearity. Which names are one sampler is in `equivalences`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from toy import ENDS, MIXTURE, PATHS, Draws, states

from fokker.generative import VE, VP, CondOT, Cosine, GaussianPath, flow, reverse_sde
from fokker.generative.equations import grids
from fokker.solvers import (
    EDM_HEUN,
    Ancestral,
    BrownianTree,
    Churn,
    ExponentialAdams,
    ExponentialRK,
    Langevin,
    Restart,
    Stepper,
    solve,
)

ONE = ExponentialAdams(1)
UNEVEN = [0.05, 0.11, 0.3, 0.34, 0.6, 0.81, 0.9, 0.97]


def ddim(path: GaussianPath, times: list[float], eta: float, x: Tensor, normal: Callable[[int], Tensor]) -> Tensor:
    """Song, Meng and Ermon (2010.02502), eqs. 12 and 16, where α is what others call ᾱ, in x/√(α² + σ²)."""
    length = [math.hypot(path.alpha(t), path.sigma(t)) for t in times]
    alphas = [(path.alpha(t) / size) ** 2 for t, size in zip(times, length, strict=True)]
    x = x / length[0]
    for i, (t, alpha, alpha_next) in enumerate(zip(times, alphas, alphas[1:], strict=False)):
        predicted = MIXTURE.x0(length[i] * x, t, path)
        epsilon = MIXTURE.eps(length[i] * x, t, path)
        deviation = eta * math.sqrt((1 - alpha_next) / (1 - alpha)) * math.sqrt(1 - alpha / alpha_next)
        direction = math.sqrt(max(1 - alpha_next - deviation**2, 0.0)) * epsilon
        x = math.sqrt(alpha_next) * predicted + direction + deviation * normal(i)
    return length[-1] * x


def denoised(z: Tensor, level: float) -> Tensor:
    """D(z; σ) of the variance-exploding papers."""
    return MIXTURE.x0(z, 1.0 - level, VE(1.0))


def euler_ancestral(levels: list[float], eta: float, z: Tensor, normal: Callable[[int], Tensor]) -> Tensor:
    """k-diffusion's: sigma_up, sigma_down, and a step of Euler's method along d = (x − D)/σ."""
    for i, (level, level_next) in enumerate(pairwise(levels)):
        up = min(level_next, eta * math.sqrt(level_next**2 * (level**2 - level_next**2) / level**2))
        down = math.sqrt(level_next**2 - up**2)
        z = z + (z - denoised(z, level)) / level * (down - level)
        if level_next > 0.0:
            z = z + up * normal(i)
    return z


def edm(
    levels: list[float],
    z: Tensor,
    normal: Callable[[int], Tensor],
    churn: float,
    low: float,
    high: float,
    excess: float,
) -> Tensor:
    """Karras et al. (2206.00364), algorithm 2."""
    steps = len(levels) - 1
    for i, (t, t_next) in enumerate(pairwise(levels)):
        gamma = min(churn / steps, math.sqrt(2.0) - 1.0) if low <= t <= high else 0.0
        t_hat = t + gamma * t
        z_hat = z + math.sqrt(t_hat**2 - t**2) * excess * normal(i)
        d = (z_hat - denoised(z_hat, t_hat)) / t_hat
        z = z_hat + (t_next - t_hat) * d
        if t_next != 0.0:
            d_next = (z - denoised(z, t_next)) / t_next
            z = z_hat + (t_next - t_hat) * (0.5 * d + 0.5 * d_next)
    return z


def annealed(
    levels: list[float], epsilon: float, count: int, z: Tensor, normal: Callable[[int], Tensor]
) -> Tensor:
    """Song and Ermon (1907.05600), algorithm 1."""
    for i, level in enumerate(levels):
        alpha = epsilon * level**2 / levels[-1] ** 2
        for t in range(count):
            score = MIXTURE.score(z, 1.0 - level, VE(1.0))
            z = z + alpha / 2.0 * score + math.sqrt(alpha) * normal(i * count + t)
    return z


def normals(n: int) -> list[Tensor]:
    return list(torch.randn(n, 8, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64))


def drawn(x: Tensor) -> tuple[BrownianTree, Callable[[int], Tensor]]:
    tree = BrownianTree(x, 0.0, 1.0, seed=5)
    return tree, lambda index: tree.extra(index, x)


def ratios(path: GaussianPath, times: Tensor) -> list[float]:
    return [path.sigma(t) / path.alpha(t) for t in times.tolist()]


@pytest.mark.parametrize("hold", ["x0", "velocity"])
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("path", ENDS, ids=repr)
def test_ddim(path: GaussianPath, eta: float, hold: str) -> None:
    """From end to end of every path: from α = 0, where r is infinite, and to σ = 0, where no noise falls."""
    times = grids.karras(path, 7)
    x = states(path, times[0].item())
    tree, normal = drawn(x)
    solver = Ancestral(ONE, eta) if eta else ONE
    end = solve(flow(MIXTURE.denoiser(path), hold), x, times, solver, tree if eta else None).x
    torch.testing.assert_close(end, ddim(path, times.tolist(), eta, x, normal), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("eta", [0.3, 0.7])
@pytest.mark.parametrize("path", [Cosine(), VP()], ids=repr)
def test_ddim_with_eta_between(path: GaussianPath, eta: float) -> None:
    """Over a step h of λ, DDIM keeps √(1 − η² (1 − e^{−2h})) of ε-hat where the reverse equation keeps e^{−η² h}.

    They are the same sampler when the equation's own η solves e^{−2 η'² h} = 1 − η² (1 − e^{−2h}): one number on a
    grid uniform in log-SNR, which tends to η as h tends to 0.
    """
    times = grids.log_snr(path, 9, t0=0.05, t1=0.97)
    x, noise = states(path, 0.05), normals(9)
    h = path.half_log_snr(times[1].item()) - path.half_log_snr(times[0].item())
    own = math.sqrt(-0.5 * math.log1p(eta**2 * math.expm1(-2.0 * h)) / h)
    end = solve(reverse_sde(MIXTURE.denoiser(path), own), x, times, ONE, Draws(noise)).x
    torch.testing.assert_close(end, ddim(path, times.tolist(), eta, x, noise.__getitem__), rtol=1e-11, atol=1e-11)
    assert own < eta


@pytest.mark.parametrize("path", PATHS, ids=repr)
def test_holding_v_is_euler_in_the_angle(path: GaussianPath) -> None:
    """φ = atan2(α, σ), z = x / √(α² + σ²), dz/dφ = −v / √(α² + σ²): z moves by Δφ times its slope."""
    x = expected = states(path, UNEVEN[0])
    for s, t in pairwise(UNEVEN):
        length_s, length_t = (math.hypot(path.alpha(r), path.sigma(r)) for r in (s, t))
        turn = math.atan2(path.alpha(t), path.sigma(t)) - math.atan2(path.alpha(s), path.sigma(s))
        expected = length_t / length_s * (expected - turn * MIXTURE.v(expected, s, path))
    end = solve(flow(MIXTURE.denoiser(path), "v"), x, UNEVEN, ONE).x
    torch.testing.assert_close(end, expected, rtol=1e-12, atol=1e-12)


def dpm_solver(path: GaussianPath, times: list[float], kappa: float, x: Tensor, noise: list[Tensor]) -> Tensor:
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


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("path", PATHS, ids=repr)
def test_dpm_solver_is_the_second_exponential_method(path: GaussianPath, eta: float) -> None:
    x, noise = states(path, UNEVEN[0]), normals(7)
    equation = reverse_sde(MIXTURE.denoiser(path), eta, "x0")
    end = solve(equation, x, UNEVEN, ExponentialAdams(2), Draws(noise)).x
    torch.testing.assert_close(end, dpm_solver(path, UNEVEN, eta**2, x, noise), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("eta", [0.5, 1.0])
@pytest.mark.parametrize("path", [VE(), CondOT()], ids=repr)
def test_ancestral_is_euler_ancestral(path: GaussianPath, eta: float) -> None:
    times = grids.karras(path, 7, t0=0.02)
    z = states(path, 0.02) / path.alpha(0.02)
    tree, normal = drawn(z)
    end = solve(flow(MIXTURE.denoiser(path), "eps"), path.alpha(0.02) * z, times, Ancestral(ONE, eta), tree).x
    expected = euler_ancestral(ratios(path, times), eta, z, normal)
    torch.testing.assert_close(end / path.alpha(1.0), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("s_noise", [1.0, 1.007])
@pytest.mark.parametrize("churn", [1.5, 40.0])
@pytest.mark.parametrize("path", [VE(), CondOT()], ids=repr)
def test_churn_is_edm(path: GaussianPath, churn: float, s_noise: float) -> None:
    """With its bounds, of which either cuts off some levels; the first noisier time lies before the grid."""
    times = grids.karras(path, 7, t0=0.0 if path.alpha(0.0) > 0.0 else 0.02)
    t0, levels = times[0].item(), ratios(path, times)
    z = states(path, t0) / path.alpha(t0)
    tree, normal = drawn(z)
    for low, high in ((0.0, math.inf), (levels[5], levels[1])):
        solver = Churn(ExponentialRK(EDM_HEUN), churn, low, high, s_noise)
        solution = solve(flow(MIXTURE.denoiser(path), "eps"), path.alpha(t0) * z, times, solver, tree)
        expected = edm(levels, z, normal, churn, low, high, s_noise)
        torch.testing.assert_close(solution.x / path.alpha(1.0), expected, rtol=1e-12, atol=1e-12)
        assert solution.nfe == 2 * 7 - 1


@pytest.mark.parametrize("path", [VE(10.0), CondOT(), Cosine()], ids=repr)
def test_langevin_alone_is_annealed_langevin_dynamics(path: GaussianPath) -> None:
    times = grids.karras(path, 5, t0=0.1, t1=0.99)
    levels = ratios(path, times[:-1])
    z = states(path, 0.1) / path.alpha(0.1)
    tree, normal = drawn(z)
    solution = solve(flow(MIXTURE.denoiser(path)), path.alpha(0.1) * z, times, Langevin(None, 3, 0.1), tree)
    expected = annealed(levels, 2.0 * 0.1 * levels[-1] ** 2, 3, z, normal)
    torch.testing.assert_close(solution.x / path.alpha(0.99), expected, rtol=1e-12, atol=1e-12)
    assert solution.nfe == 5 * 3


@pytest.mark.parametrize("inner", [ONE, Ancestral(ONE, 0.5)], ids=repr)
def test_a_predictor_is_corrected_before_its_step(inner: Stepper) -> None:
    """Song et al. (2011.13456), algorithm 2, on the reverse equation, or with the ancestral sampler for a predictor."""
    path, times, size = CondOT(), [0.1, 0.4, 0.7, 0.9], 0.1
    equation = flow(MIXTURE.denoiser(path)) if inner.draws else reverse_sde(MIXTURE.denoiser(path))
    x = expected = states(path, 0.1)
    tree, normal = drawn(x)
    shifted = Shifted(tree)
    for i, (t0, t1) in enumerate(pairwise(times)):
        delta = size * (1.0 - t0) ** 2
        for j in range(2):
            score = MIXTURE.score(expected, t0, path)
            expected = expected + delta * score + math.sqrt(2.0 * delta) * normal(3 * inner.draws + 2 * i + j)
        shifted.by = i
        expected = solve(equation, expected, [t0, t1], inner, shifted).x
    found = solve(equation, x, times, Langevin(inner, 2, size), tree).x
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


class Shifted:
    """A tree whose extra normals are counted on from `by`."""

    replays = True

    def __init__(self, tree: BrownianTree) -> None:
        self.normal, self.normal_and_area, self.tree, self.by = tree.normal, tree.normal_and_area, tree, 0

    def extra(self, index: int, like: Tensor) -> Tensor:
        return self.tree.extra(index + self.by, like)


def test_a_restart_is_solves_in_a_row() -> None:
    """Solve, and twice add noise and solve again, and go on; saved states are those of the outer grid."""
    path, times, again = Cosine(), [0.1, 0.3, 0.6, 0.7, 0.9], [0.25, 0.5, 0.6]
    equation, x = flow(MIXTURE.denoiser(path)), states(path, 0.1)
    tree, normal = drawn(x)
    inner = ExponentialAdams(2)
    first = solve(equation, x, times[:3], inner, save=True).xs
    end = first[-1]
    scale, deviation = path.transition(0.25, 0.6)
    for repeat in range(2):
        end = solve(equation, scale * end + deviation * normal(repeat), again, inner).x
    rest = solve(equation, end, times[2:], inner, save=True).xs
    expected = torch.cat([first[:-1], rest])
    solver = Restart(inner, again, 2)
    whole = solve(equation, x, times, solver, tree, save=True)
    torch.testing.assert_close(whole.xs, expected, rtol=1e-12, atol=1e-12)
    assert whole.ts.tolist() == times
    assert (whole.accepted, whole.rejected) == (4, 0)
    some = solve(equation, x, times, solver, tree, save=[0.6, 0.9])
    assert some.ts.tolist() == [0.6, 0.9]
    torch.testing.assert_close(some.xs, expected[[2, 4]], rtol=1e-12, atol=1e-12)
    last = solve(equation, x, times, solver, tree)
    assert last.xs is None
    assert torch.equal(last.x, whole.x)
    assert torch.equal(solve(equation, x, times, solver, tree, checkpoint=True).x, whole.x)

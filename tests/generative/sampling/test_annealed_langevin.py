"""Annealed Langevin dynamics against the published loop, and its exact law: Gaussian moments, masses by quadrature."""

from __future__ import annotations

import math

import pytest
import torch
from impulses import DATA, MEAN, VARIANCE, affine_map, output_law
from toy import MIXTURE, Draws

from fokker.generative import VE, CondOT, Cosine, GaussianPath
from fokker.generative.sampling import annealed_langevin
from fokker.solvers import WhiteNoise, solve
from fokker.verification import GaussianMixture

MODES = GaussianMixture(
    torch.tensor([0.8, 0.2], dtype=torch.float64),
    torch.tensor([[5.0], [-5.0]], dtype=torch.float64),
    torch.ones(2, 1, 1, dtype=torch.float64),
)


def moments(levels: list[float], steps: int, epsilon: float, mean: float, variance: float) -> tuple[float, float]:
    """Of z after z ← z + a/2 (m − z)/(v + r²) + √a ξ at every level r, a = ε r²/r_L²."""
    for r in levels:
        a = epsilon * r**2 / levels[-1] ** 2
        keep = 1.0 - 0.5 * a / (VARIANCE + r**2)
        for _ in range(steps):
            mean, variance = MEAN + keep * (mean - MEAN), keep**2 * variance + a
    return mean, variance


def geometric(noisiest: float, cleanest: float, levels: int) -> list[float]:
    return [noisiest * (cleanest / noisiest) ** (i / (levels - 1)) for i in range(levels)]


@pytest.mark.parametrize("path", [VE(20.0), CondOT(), Cosine()], ids=repr)
@pytest.mark.parametrize("denoise", [False, True])
def test_the_moments_go_down_the_levels(path: GaussianPath, denoise: bool) -> None:
    """In z = x/α, whatever the path; x₀-hat takes z to m + (z − m) v/(v + r_L²), and counts one evaluation more."""
    levels, steps, epsilon = geometric(10.0, 0.1, 5), 7, 0.003
    equation, times, solver = annealed_langevin(
        DATA.denoiser(path), 10.0, 0.1, levels=5, steps=steps, epsilon=epsilon, denoise=denoise
    )
    reached = (path.sigma(times[:-1]) / path.alpha(times[:-1])).tolist()
    assert reached == pytest.approx(levels, rel=1e-10)
    assert times[-1] == 1.0
    affine = affine_map(equation, solver, times)
    assert len(affine) == 2 + 5 * steps
    first = float(path.alpha(float(times[0])))
    mean, variance = output_law(affine, 0.0, (10.0 * first) ** 2)
    expected, squared = moments(levels, steps, epsilon, 0.0, 100.0)
    if denoise:
        share = VARIANCE / (VARIANCE + levels[-1] ** 2)
        expected, squared = MEAN + share * (expected - MEAN), share**2 * squared
    end = float(path.alpha(1.0))
    assert mean / end == pytest.approx(expected, rel=1e-9)
    assert variance / end**2 == pytest.approx(squared, rel=1e-9)
    x = torch.zeros(3, 1, dtype=torch.float64)
    solution = solve(equation, x, times, solver, WhiteNoise(0))
    assert solution.nfe == solver.evaluations(5) == 5 * steps + denoise


@pytest.mark.parametrize("epsilon", [0.05, 0.5])
def test_the_stationary_variance_is_not_that_of_the_level(epsilon: float) -> None:
    """s²/(1 − ε/(4 s²)) with s² = v + r_L²: Langevin steps without a Metropolis test."""
    equation, times, solver = annealed_langevin(
        DATA.denoiser(VE(20.0)), 1.0, 0.5, levels=2, steps=400, epsilon=epsilon, denoise=False
    )
    s2 = VARIANCE + 0.25
    mean, variance = output_law(affine_map(equation, solver, times), 0.0, 1.0)
    assert variance == pytest.approx(s2 / (1.0 - epsilon / (4.0 * s2)), rel=1e-12)
    assert mean == pytest.approx(MEAN, rel=1e-12)


def test_the_published_loop() -> None:
    """Song and Ermon (1907.05600), algorithm 1, on data that is no Gaussian."""
    path, levels, epsilon = VE(20.0), geometric(10.0, 0.1, 4), 0.002
    noise = list(torch.randn(12, 8, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    x = expected = 10.0 * torch.randn(8, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    drawn = iter(noise)
    for sigma in levels:
        step = epsilon * sigma**2 / levels[-1] ** 2
        t = 1.0 - sigma / 20.0
        for _ in range(3):
            expected = expected + 0.5 * step * MIXTURE.score(expected, t, path) + math.sqrt(step) * next(drawn)
    equation, times, solver = annealed_langevin(
        MIXTURE.denoiser(path), 10.0, 0.1, levels=4, steps=3, epsilon=epsilon, denoise=False
    )
    found = solve(equation, x, times, solver, Draws(noise)).x
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    equation, times, solver = annealed_langevin(MIXTURE.denoiser(path), 10.0, 0.1, levels=4, steps=3, epsilon=epsilon)
    found = solve(equation, x, times, solver, Draws(noise)).x
    torch.testing.assert_close(found, MIXTURE.x0(expected, 1.0 - 0.1 / 20.0, path), rtol=1e-9, atol=1e-9)


def mass(levels: list[float], steps: int, epsilon: float) -> float:
    """P(z > 0) of the chain from U[−8, 8], its density propagated on a grid: kernels N(z + a/2 score, a), by doubling.

    The narrowest kernel is 2 grid spacings wide, so that sums are integrals to rounding: e^{−2π² 4}.
    """
    spacing = 0.5 * math.sqrt(epsilon)
    z = torch.arange(-24.0, 24.0, spacing, dtype=torch.float64)
    density = ((z.abs() <= 8.0) / (z.abs() <= 8.0).sum()).double()
    for r in levels:
        a = epsilon * r**2 / levels[-1] ** 2
        mean = z + 0.5 * a * MODES.score(z[:, None], 1.0 - r / 20.0, VE(20.0))[:, 0]
        kernel = torch.softmax(-0.5 * (z[None] - mean[:, None]) ** 2 / a, 1)
        density = density @ torch.linalg.matrix_power(kernel, steps)
    return density[z > 0.0].sum().item()


def test_annealing_finds_the_masses_of_separated_modes() -> None:
    """0.8 N(5, 1) + 0.2 N(−5, 1) from U[−8, 8]: Langevin dynamics leaves half on each side, annealed dynamics nearly
    0.8 on the right. 4000 samples have a standard error of 0.008 at most: five of them are a false alarm in a million,
    and see a fault of 0.04 beside the exact mass of the same chain."""
    levels = geometric(8.0, 0.4, 10)
    exact, plain = mass(levels, 100, 0.032), mass([levels[-1]], 1000, 0.032)
    assert plain == pytest.approx(0.5, abs=0.02)
    assert exact == pytest.approx(0.8, abs=0.05)
    equation, times, solver = annealed_langevin(
        MODES.denoiser(VE(20.0)), 8.0, 0.4, levels=10, steps=100, epsilon=0.032
    )
    start = 16.0 * torch.rand(4000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 8.0
    found = solve(equation, start, times, solver, WhiteNoise(1)).x
    assert (found > 0.0).double().mean().item() == pytest.approx(exact, abs=5.0 * math.sqrt(0.25 / 4000))


def test_what_does_not_fit_is_refused() -> None:
    denoiser = DATA.denoiser(Cosine())
    for numbers in ((0.1, 10.0, 5), (1.0, 0.0, 5), (10.0, 0.1, 1), (10.0, 0.1, 2.5), (math.inf, 0.1, 5)):
        with pytest.raises(ValueError, match="at least 2 levels"):
            annealed_langevin(denoiser, *numbers, steps=1, epsilon=0.001)  # type: ignore[arg-type]
    for epsilon in (0.0, 0.05, math.nan):
        with pytest.raises(ValueError, match=r"epsilon must lie between 0 and 4 cleanest² = 0.04"):
            annealed_langevin(denoiser, 10.0, 0.1, levels=5, steps=1, epsilon=epsilon)
    with pytest.raises(ValueError, match="no level 1e-05 before t = 1"):
        annealed_langevin(denoiser, 10.0, 1e-5, levels=5, steps=1, epsilon=1e-12)

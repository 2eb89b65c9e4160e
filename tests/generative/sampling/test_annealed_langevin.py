"""Annealed Langevin dynamics against the published loop, and the exact moments of its law."""

from __future__ import annotations

import math

import pytest
import torch
from toy import LINE, MEAN, MIXTURE, VARIANCE, Draws, output, response

from fokker.generative import VE, CondOT, Cosine, GaussianPath
from fokker.generative.sampling import annealed_langevin
from fokker.solvers import WhiteNoise, solve


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
        LINE.denoiser(path), 10.0, 0.1, levels=5, steps=steps, epsilon=epsilon, denoise=denoise
    )
    reached = (path.sigma(times[:-1]) / path.alpha(times[:-1])).tolist()
    assert reached == pytest.approx(levels, rel=1e-10)
    assert times[-1] == 1.0
    affine = response(equation, solver, times)
    assert len(affine.noises) == 5 * steps
    first = float(path.alpha(float(times[0])))
    mean, variance = output(affine, 0.0, (10.0 * first) ** 2)
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


def test_what_does_not_fit_is_refused() -> None:
    denoiser = LINE.denoiser(Cosine())
    for numbers in ((0.1, 10.0, 5), (1.0, 0.0, 5), (10.0, 0.1, 1), (10.0, 0.1, 2.5), (math.inf, 0.1, 5)):
        with pytest.raises(ValueError, match=r"Levels run from|is .*, but must be a (finite|whole) number"):
            annealed_langevin(denoiser, *numbers, steps=1, epsilon=0.001)  # type: ignore[arg-type]
    for epsilon in (0.0, 0.05):
        with pytest.raises(ValueError, match=r"epsilon must lie between 0 and 4 cleanest² = 0.04"):
            annealed_langevin(denoiser, 10.0, 0.1, levels=5, steps=1, epsilon=epsilon)
    with pytest.raises(ValueError, match="no level 1e-05 before t = 1"):
        annealed_langevin(denoiser, 10.0, 1e-5, levels=5, steps=1, epsilon=1e-12)

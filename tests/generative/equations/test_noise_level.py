"""The equation of any noise level: its drift and diffusion, and where steps are stable; what blows up is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from toy import LINE, MIXTURE, PATHS, VARIANCE, states

from fokker.generative import CFG, VE, CondOT, Cosine, Denoiser, GaussianPath, reverse_sde
from fokker.generative.equations import constant, diffusion_sde, grids, reversal, safe_interval
from fokker.generative.equations.noise_level import power_of_sigma, sine
from fokker.solvers import EulerMaruyama, WhiteNoise, solve

TIMES = [0.08, 0.5, 0.93]
LEVELS: dict[str, Callable[[GaussianPath], Callable[[Any], Any]]] = {
    "none": lambda path: constant(0.0),
    "constant": lambda path: constant(0.9),
    "sigma": lambda path: power_of_sigma(path, 1.3),
    "root of sigma": lambda path: power_of_sigma(path, 0.8, 0.5),
    "sine": lambda path: sine(1.2),
    "reversal": reversal,
    "half the reversal": lambda path: reversal(path, 0.5),
    "their own": lambda path: lambda t: 0.3 + t**2,
}

each_path = pytest.mark.parametrize("path", PATHS, ids=repr)
each_level = pytest.mark.parametrize("level", LEVELS)


@each_path
@each_level
def test_drift_and_diffusion(path: GaussianPath, level: str) -> None:
    g = LEVELS[level](path)
    made = diffusion_sde(MIXTURE.denoiser(path), g, 0.05, 0.95)
    for t in TIMES:
        x = states(path, t)
        expected = MIXTURE.velocity(x, t, path) + 0.5 * g(t) ** 2 * MIXTURE.score(x, t, path)
        torch.testing.assert_close(made.drift(t, x), expected, rtol=1e-9, atol=1e-9)
        assert made.diffusion(t, x) == g(t)
    assert made.noise == "additive"


@each_path
@pytest.mark.parametrize("eta", [0.4, 1.0])
def test_the_reversal_is_the_reverse_equation(path: GaussianPath, eta: float) -> None:
    made, reverse = diffusion_sde(MIXTURE.denoiser(path), reversal(path, eta), 0.05, 0.95), None
    reverse = reverse_sde(MIXTURE.denoiser(path), eta)
    for t in TIMES:
        x = states(path, t)
        torch.testing.assert_close(made.drift(t, x), reverse.drift(t, x), rtol=1e-9, atol=1e-9)
        assert made.diffusion(t, x) == pytest.approx(reverse.diffusion(t, x), rel=1e-12)


def test_the_published_levels() -> None:
    """SiT (2401.08740), section 3: w = g² is σ, sin²(π t), or that of the reversal, 2 σ² λ' = 2 (1 − t)/t here."""
    path, t = CondOT(), 0.3
    assert power_of_sigma(path, 1.0, 0.5)(t) ** 2 == pytest.approx(0.7, rel=1e-12)
    assert power_of_sigma(path, 2.0)(t) == pytest.approx(1.4, rel=1e-12)
    assert sine(1.0)(t) == pytest.approx(math.sin(0.3 * math.pi), rel=1e-12)
    assert reversal(path)(t) ** 2 == pytest.approx(2.0 * 0.7 / 0.3, rel=1e-12)
    assert constant(0.5)(t) == 0.5
    for make in (constant, sine, lambda level: reversal(path, level), lambda level: power_of_sigma(path, level)):
        for level in (-0.1, math.inf, math.nan):
            with pytest.raises(ValueError, match=r"(level|eta) is .*, but must be a finite number"):
                make(level)


def point_deviation(g: Callable[[float], float], n: int, t1: float = 1.0) -> float:
    """Of Euler-Maruyama on data at a point, on CondOT: the deviation from α x₀, which is (1 − t) exactly."""
    squared, h = 1.0, t1 / n
    for i in range(n):
        t = i * h
        squared = (1.0 - h * (1.0 / (1.0 - t) + 0.5 * g(t) ** 2 / (1.0 - t) ** 2)) ** 2 * squared + h * g(t) ** 2
    return math.sqrt(squared)


def test_a_constant_level_gets_worse_with_more_steps_and_is_refused() -> None:
    """On data at a point, σ = 0 at the end: finer grids blow up more. With g² = σ they do not."""
    assert point_deviation(lambda t: 1.0, 800) > 1e5 * point_deviation(lambda t: 1.0, 200) > 1e5
    fine = [point_deviation(lambda t: math.sqrt(1.0 - t), n) for n in (50, 200, 800)]
    assert fine == pytest.approx([0.025, 0.0063, 0.0016], rel=0.05)
    denoiser = MIXTURE.denoiser(CondOT())
    for path in (CondOT(), VE(), Cosine(-math.inf, math.inf)):
        with pytest.raises(ValueError, match="blows up towards t = 1,"):
            diffusion_sde(MIXTURE.denoiser(path), constant(1.0), 0.1)
    for g in (power_of_sigma(CondOT(), 1.0), power_of_sigma(CondOT(), 1.0, 0.5), sine(2.0), reversal(CondOT())):
        diffusion_sde(denoiser, g, 0.1)
    diffusion_sde(denoiser, constant(1.0), 0.0, 0.98)
    # At the distance d from t = 1 the drift's rate times d is 1, of the flow, and g²/2d: 1.7 is followed, 2.3 not.
    distance = 0.9 * 2.0**-28
    diffusion_sde(denoiser, constant(math.sqrt(1.4 * distance)), 0.1)
    with pytest.raises(ValueError, match="blows up towards t = 1,"):
        diffusion_sde(denoiser, constant(math.sqrt(2.6 * distance)), 0.1)
    diffusion_sde(denoiser, constant(1.0), spread=0.3)


@pytest.mark.parametrize("step", [0.005, 0.00122])
def test_the_safe_interval_is_where_steps_are_stable(step: float) -> None:
    """h (g²/(2 σ²) + 1/σ) ≤ 2 with σ = 1 − t, solved by hand; the last step starts there."""
    low, high = safe_interval(CondOT(), constant(1.0), step)
    sigma = 0.25 * (step + math.sqrt(step**2 + 4.0 * step))
    assert (low, high) == (0.0, pytest.approx(1.0 - sigma + step, rel=1e-9))
    denoiser = MIXTURE.denoiser(CondOT())
    diffusion_sde(denoiser, constant(1.0), 0.0, high - 1e-9, step=step)
    with pytest.raises(ValueError, match=rf"Steps of {step:g} are stable from 0 to {high:.6g}"):
        diffusion_sde(denoiser, constant(1.0), 0.0, min(0.999, high + 1e-6), step=step)


def test_steps_are_stable_where_it_says_so() -> None:
    """At t = 0.98 with 200 steps the deviation is 0.78 and with 800 it is 0.038, where 0.02 is exact."""
    assert point_deviation(lambda t: 1.0, 200, 0.98) == pytest.approx(0.78, rel=0.02)
    assert point_deviation(lambda t: 1.0, 800, 0.98) == pytest.approx(0.038, rel=0.02)
    denoiser = MIXTURE.denoiser(CondOT())
    with pytest.raises(ValueError, match=r"or take steps of 0.00122"):
        diffusion_sde(denoiser, constant(1.0), 0.0, 0.98, step=0.98 / 200)
    diffusion_sde(denoiser, constant(1.0), 0.0, 0.98, step=0.98 / 800)


def test_the_safe_interval_in_the_middle() -> None:
    """A g that is large at both ends; and the spread of the data, which only helps."""

    def g(t: float) -> float:
        return 0.1 / t + 0.1 / (1.0 - t)

    low, high = safe_interval(CondOT(), g, 0.01)
    for t, outside in ((low, low - 1e-6), (high - 0.01, high - 0.01 + 1e-6)):
        rates = [(g(s) ** 2 / (2.0 * (1.0 - s)) + 1.0) / (1.0 - s) for s in (t, outside)]
        assert 0.01 * rates[0] <= 2.0 * (1.0 + 1e-6)
        assert 0.01 * rates[1] > 2.0
    wide = safe_interval(CondOT(), g, 0.01, spread=0.5)
    assert wide[0] < low
    assert wide[1] > high
    longest = safe_interval(CondOT(), lambda t: 1e3 if 0.2 <= t <= 0.3 else 0.0, 0.01)
    assert longest == (pytest.approx(0.3, abs=1e-12), 1.0)
    with pytest.raises(ValueError, match="No time between 0 and 1 is safe"):
        safe_interval(CondOT(), constant(1e3), 0.1)
    with pytest.raises(ValueError, match="step is 0, but must"):
        safe_interval(CondOT(), constant(1.0), 0.0)


def test_the_rate_is_that_of_the_drift_on_data_of_that_spread() -> None:
    """On N(m, s²) a step of the largest safe size from t turns an error around; a longer one lets it grow."""
    denoiser, s = LINE.denoiser(CondOT()), math.sqrt(VARIANCE)
    x = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    drift = diffusion_sde(denoiser, constant(2.0), 0.0, 0.9).drift(0.5, x)
    rate = (drift[0] - drift[1]).item()
    assert safe_interval(CondOT(), constant(2.0), 2.0 / rate, 0.5, 0.500001, spread=s) == (0.5, 0.500001)
    with pytest.raises(ValueError, match="No time"):
        safe_interval(CondOT(), constant(2.0), 2.001 / rate, 0.5, 0.500001, spread=s)


def test_what_does_not_exist_is_refused() -> None:
    denoiser = MIXTURE.denoiser(CondOT())
    refused: list[tuple[Callable[[float], float], str]] = [
        (reversal(CondOT()), "inf at t = 0"),
        (lambda t: 0.5 - t, "is -"),
        (lambda t: math.nan if t > 0.5 else 0.1, "is nan at t"),
        (lambda t: 0.01 / (1.0 - t), "blows up"),
    ]
    for g, message in refused:
        with pytest.raises(ValueError, match=message):
            diffusion_sde(denoiser, g)
    for t0, t1 in ((0.5, 0.5), (0.0, 1.1), (0.9, 0.1)):
        with pytest.raises(ValueError, match="t0 < t1 <= 1"):
            diffusion_sde(denoiser, sine(1.0), t0, t1)
    with pytest.raises(ValueError, match="The score does not exist at t = 1"):
        diffusion_sde(denoiser, sine(1.0)).drift(1.0, states(CondOT(), 1.0))
    eps = Denoiser(lambda x, t: x, CondOT(), predicts="eps")
    with pytest.raises(ValueError, match="does not determine"):
        diffusion_sde(eps, sine(1.0))
    diffusion_sde(eps, sine(1.0), 0.1)


def test_samples_keep_their_labels_and_are_counted() -> None:
    def net(x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        return torch.sin(x + time[:, None]) * (1.0 + label[:, None])

    denoiser = CFG(Denoiser(net, CondOT(), predicts="velocity", label=[1, 2, 3]), 2.0, null=0)
    made, x = diffusion_sde(denoiser, sine(1.0)), states(CondOT(), 0.4, 3)
    index = torch.tensor([2, 0, 2])
    assert torch.equal(made.of_rows(index).drift(0.4, x[index]), made.drift(0.4, x)[index])
    times = grids.uniform(CondOT(), 5)
    assert solve(made, x, times, EulerMaruyama(), WhiteNoise(0)).nfe == 10
    at = torch.tensor([0.2, 0.4, 0.6], dtype=torch.float64)
    each = torch.cat([made.of_rows(torch.tensor([i])).drift(at[i].item(), x[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(made.drift(at, x), each, rtol=1e-12, atol=1e-12)

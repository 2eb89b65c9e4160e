"""Averages against their weights in closed form, which are those of the explicit sum."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from fokker.generative.training.ema import Average, Constant, PowerLaw

STEPS = 40


def run(rule: Average) -> tuple[Tensor, Tensor, Tensor]:
    """The average after `STEPS` steps of a network of one weight, that weight at 0, 1, …, and the average's first."""
    values = torch.randn(STEPS + 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    net, average = (nn.Linear(1, 1, bias=False).double() for _ in range(2))
    average.requires_grad_(False)
    nn.init.constant_(average.weight, float(values[0]))
    for step in range(1, STEPS + 1):
        nn.init.constant_(net.weight, float(values[step]))
        rule.update(average, net, step)
    return average.weight[0, 0], values[1:], values[0]


def explicit(rule: Average) -> tuple[Tensor, float]:
    """w_i = (1 − β_i) Π_{j>i} β_j, and what is left of the start."""
    beta = [rule.decay(step) for step in range(1, STEPS + 1)]
    weights = [(1 - beta[i]) * math.prod(beta[i + 1 :]) for i in range(STEPS)]
    return torch.tensor(weights, dtype=torch.float64), math.prod(beta)


RULES = [Constant(0.999), Constant(0.6), Constant(0.0), PowerLaw(0.05), PowerLaw(0.2)]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_average_is_the_weighted_sum_of_all_steps(rule: Average) -> None:
    average, values, start = run(rule)
    weights, left = explicit(rule)
    torch.testing.assert_close(average, weights @ values + left * start, rtol=1e-12, atol=1e-14)
    assert float(weights.sum()) + left == pytest.approx(1.0, abs=1e-13)


def test_a_constant_rate_forgets_geometrically_once_it_is_reached() -> None:
    weights, _ = explicit(Constant(0.6))  # from step 14 on, where n/(n + 9) exceeds 0.6
    last = torch.arange(14, STEPS + 1, dtype=torch.float64)
    torch.testing.assert_close(weights[13:], 0.4 * 0.6 ** (STEPS - last), rtol=1e-12, atol=0)


def test_before_that_the_weights_are_a_power_of_eight() -> None:
    """w_i = 9 (i+8)!/i! · n!/(n+9)!, and 9! n!/(n+9)! for the start."""
    weights, left = explicit(Constant(0.999))
    scale = 9 / math.perm(STEPS + 9, 9)
    expected = [scale * math.perm(i + 8, 8) for i in range(1, STEPS + 1)]
    torch.testing.assert_close(weights, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=0)
    assert left == pytest.approx(scale * math.factorial(8), rel=1e-12)


@pytest.mark.parametrize("width", [0.05, 0.1, 0.2, 1 / math.sqrt(12)])
def test_the_power_law_has_its_weights_in_closed_form(width: float) -> None:
    """w_i = (i^{γ+1} − (i−1)^{γ+1}) / n^{γ+1}, and the start is forgotten at once."""
    rule = PowerLaw(width)
    i = torch.arange(STEPS + 1, dtype=torch.float64)
    weights, left = explicit(rule)
    torch.testing.assert_close(weights, (i / STEPS).pow(rule.gamma + 1).diff(), rtol=1e-10, atol=1e-15)
    assert left == 0.0


@pytest.mark.parametrize("width", [0.02, 0.05, 0.1, 0.2, 1 / math.sqrt(12)])
def test_the_width_is_the_standard_deviation_of_the_profile(width: float) -> None:
    """Of the density (γ+1) x^γ on [0, 1]; its moments are (γ+1)/(γ+2) and (γ+1)/(γ+3)."""
    gamma = PowerLaw(width).gamma
    variance = (gamma + 1) / (gamma + 3) - ((gamma + 1) / (gamma + 2)) ** 2
    assert math.sqrt(variance) == pytest.approx(width, rel=1e-10)
    assert gamma >= 0.0


def test_published_exponents() -> None:
    """Widths of 5 % and 10 % are the exponents 16.97 and 6.94 of EDM2."""
    assert PowerLaw(0.05).gamma == pytest.approx(16.97, abs=0.005)
    assert PowerLaw(0.10).gamma == pytest.approx(6.94, abs=0.005)
    assert PowerLaw(1 / math.sqrt(12)).gamma == pytest.approx(0.0, abs=1e-12)


def test_the_widest_power_law_is_the_mean() -> None:
    average, values, _ = run(PowerLaw(1 / math.sqrt(12)))
    torch.testing.assert_close(average, values.mean(), rtol=1e-12, atol=0)


def test_an_average_of_float32_weights_is_in_float32() -> None:
    net, average = nn.Linear(3, 2), nn.Linear(3, 2).requires_grad_(False)
    Constant(0.9).update(average, net, 1)
    assert average.weight.dtype == torch.float32
    assert not average.weight.requires_grad


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Constant(1.0), r"rate is 1, but must be a finite number >= 0 and < 1"),
        (lambda: PowerLaw(0.0), "sigma_rel is 0, but must"),
        (lambda: PowerLaw(0.3), r"sigma_rel is 0.3, but must be a finite number from 1e-06 to 0.288"),
    ],
)
def test_rules_out_of_range(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()

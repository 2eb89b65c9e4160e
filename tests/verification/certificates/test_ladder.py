"""Orders that are read off ladders of errors: known slopes, floors, heads that are not asymptotic, random errors."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fokker.verification.certificates.certificate import Judged
from fokker.verification.certificates.ladder import fitted, floors
from fokker.verification.statistics import local_slopes
from fokker.verification.statistics.slopes import slope

STEPS = [8, 11, 16, 23, 32, 45, 64, 90, 128, 181, 256, 362, 512]
NONE = [0.0] * len(STEPS)
EPS = np.finfo(np.float64).eps


def errors(order: float, *, constant: float = 1.0, next_order: float = 0.0, floor: float = 0.0) -> list[float]:
    """C n^−p (1 + c/n), and rounding added in squares."""
    return [math.hypot(constant * n**-order * (1.0 + next_order / n), floor) for n in STEPS]


@pytest.mark.parametrize("order", [0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0])
def test_a_pure_power_has_its_order_everywhere(order: float) -> None:
    fit = fitted(STEPS, errors(order), NONE)
    assert fit is not None
    assert fit.slope == pytest.approx(order, abs=1e-12)
    assert (fit.first, fit.last) == (0, len(STEPS) - 1)
    assert slope(STEPS, errors(order)) == pytest.approx(order, abs=1e-12)
    assert local_slopes(STEPS, errors(order)) == pytest.approx([order] * (len(STEPS) - 1), abs=1e-12)


@pytest.mark.parametrize("order", [1.0, 2.0, 3.0])
def test_the_interval_covers_the_order_in_spite_of_the_next_one(order: float) -> None:
    """With the correction 1 + 3/n the slopes run from p + 0.2 to p; the fit's interval holds p, and is no wider than
    their drift."""
    fit = fitted(STEPS, errors(order, next_order=3.0), NONE)
    assert fit is not None
    assert abs(fit.slope - order) <= fit.half_width < 0.25


def test_the_head_before_the_asymptotic_range_is_left_out() -> None:
    """Up to 32 steps the errors stand still, as of steps that are too long."""
    values = [min(e, 32.0**-2) for e in errors(2.0)]
    fit = fitted(STEPS, values, NONE)
    assert fit is not None
    assert STEPS[fit.first] == 32
    assert fit.slope == pytest.approx(2.0, abs=1e-9)


def test_the_floor_is_found_and_left_out() -> None:
    """Order 4 with a floor of 1e-8, at n = 100: what is within ten floors is not used, so that 1/100 of the squares is
    the most that rounding adds, 0.5 % of an error, 0.015 of a slope over two rungs."""
    values = errors(4.0, floor=1e-8)
    floor = [1e-8] * len(STEPS)
    fit = fitted(STEPS, values, floor)
    assert fit is not None
    assert values[fit.last] > 1e-7
    assert values[fit.last + 1] <= 1e-7
    assert fit.slope == pytest.approx(4.0, abs=0.02)


def test_floors_are_those_of_rounding_or_those_that_are_seen() -> None:
    """ε √n times the size; or, where errors rise again, the largest of these."""
    falling = errors(2.0)
    assert floors(STEPS, falling, 3.0, EPS) == pytest.approx([3.0 * EPS * math.sqrt(n) for n in STEPS])
    rising = [*falling[:-3], 1e-13, 2e-13, 1.5e-13]
    assert floors(STEPS, rising, 3.0, EPS)[0] == pytest.approx(2e-13)


def test_no_range_no_order() -> None:
    generator = np.random.default_rng(0)
    noise = np.exp(generator.normal(size=len(STEPS))).tolist()
    assert fitted(STEPS, noise, NONE) is None
    assert fitted(STEPS[:3], errors(2.0)[:3], NONE[:3]) is None
    assert fitted(STEPS, errors(2.0), [1.0] * len(STEPS)) is None
    assert math.isnan(local_slopes([1, 2], [0.0, 1.0])[0])


def test_random_errors_have_an_interval_from_the_jackknife() -> None:
    """1000 ensembles in which each of 16 groups has the error n^−1 times a common lognormal factor of deviation 10 %,
    independent by rung: a 95 % interval holds the order in 95 ± 2.1 % of them (three standard errors)."""
    generator = np.random.default_rng(1)
    n = np.array([16, 32, 64, 128, 256])
    covered = 0
    for _ in range(1000):
        groups = (1.0 / n)[:, None] * np.exp(0.1 * generator.normal(size=(5, 16)))
        fit = fitted(n.tolist(), np.sqrt((groups**2).mean(1)).tolist(), [0.0] * 5, groups)
        assert fit is not None
        covered += abs(fit.slope - 1.0) <= fit.half_width
    assert covered / 1000 == pytest.approx(0.95, abs=0.021)


@pytest.mark.parametrize(
    ("declared", "verdict", "words"),
    [
        (2.0, "pass", "as declared (2)"),
        (3.0, "fail", "below the declared 3"),
        (1.0, "higher", "above the declared 1"),
        (2.5, "fail", "below the declared 2.5"),
        (None, "undecided", "declare an order to judge it by"),
    ],
)
def test_verdicts(declared: float | None, verdict: str, words: str) -> None:
    judged = Judged(declared, fitted(STEPS, errors(2.0), NONE), STEPS, None, None)
    assert judged.verdict()[0] == verdict
    assert words in judged.verdict()[1]


def test_without_a_fit_nothing_is_settled() -> None:
    assert Judged(2.0, None, STEPS, None, None).verdict()[0] == "undecided"


def test_the_step_that_limits_an_order_is_named() -> None:
    fit = fitted(STEPS, errors(2.0), NONE)
    assert "start-up limits it" in Judged(3.0, fit, STEPS, 3.0, 2.0).verdict()[1]
    assert "last step limits it" in Judged(3.0, fit, STEPS, 2.0, 3.0).verdict()[1]
    assert "limits it" not in Judged(3.0, fit, STEPS, 2.0, 2.0).verdict()[1]

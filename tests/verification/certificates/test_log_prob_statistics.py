"""The findings of a log_prob: the stated rate of false alarms, and the smallest fault at the stated probability.

Errors are simulated, 32 seeds at 32 samples. Without a fault an alarm has the probability 1e-3 at most: of 200 runs,
more than two alarm with the probability 0.1 %. The smallest fault is found with the probability 0.9: in fewer than 165
of 200 runs with the probability 0.1 %.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from fokker.verification.certificates.log_prob_certificate import LogProbFinding
from fokker.verification.certificates.log_prob_statistics import bias, change, coverage, falling, independence, spread

RUNS, SEEDS, POINTS = 200, 32, 32
TOLERANCE = 0.05


def drawn() -> Iterator[Tensor]:
    """Independent standard normals, (S, B), run by run."""
    generator = torch.Generator().manual_seed(3)
    for _ in range(RUNS):
        yield torch.randn(SEEDS, POINTS, generator=generator, dtype=torch.float64)


def of_probes(errors: Tensor) -> LogProbFinding:
    return falling("law", (1, 8), (errors, errors.roll(1, 0).roll(1, 1) / 8.0**0.5))


TESTS: dict[str, Callable[[Tensor], LogProbFinding]] = {
    "bias": lambda errors: bias("law", errors, TOLERANCE),
    "independence": lambda errors: independence("law", errors),
    "coverage": lambda errors: coverage("law", errors, torch.ones_like(errors)),
    "probes": of_probes,
    "batch": lambda errors: change("law", errors, TOLERANCE, "Alone"),
}


@pytest.mark.parametrize("test", TESTS)
def test_false_alarms(test: str) -> None:
    assert sum(TESTS[test](errors).verdict == "fail" for errors in drawn()) <= 2


def test_the_smallest_bias_is_found() -> None:
    found = 0
    for errors in drawn():
        least = bias("law", errors, TOLERANCE).figures["smallest_found"]
        found += bias("law", errors + least, TOLERANCE).verdict == "fail"
    assert found >= 165


def test_the_smallest_correlation_is_found() -> None:
    found = 0
    for errors in drawn():
        least = independence("law", errors).figures["smallest_found"]
        generator = torch.Generator().manual_seed(int(1e6 * errors[0, 0].abs()))
        common = torch.randn(SEEDS, 1, generator=generator, dtype=torch.float64)
        found += independence("law", least**0.5 * common + (1.0 - least) ** 0.5 * errors).verdict == "fail"
    assert found >= 165


def test_the_smallest_bars_are_found() -> None:
    found = 0
    for errors in drawn():
        least = coverage("law", errors, torch.ones_like(errors)).figures["smallest_found"]
        found += coverage("law", errors, torch.full_like(errors, least)).verdict == "fail"
    assert found >= 165


def test_bars_of_errors_that_a_seed_shares_count_less() -> None:
    """32 × 32 copies of 32 errors: the interval is that of 32 trials, three to eight times as wide."""
    errors = next(drawn())
    widths = []
    for each in (errors, errors[:, :1].expand(-1, POINTS)):
        figures = coverage("law", each, torch.ones_like(each)).figures
        widths.append(figures["high_at_68"] - figures["low_at_68"])
    assert 3.0 < widths[1] / widths[0] < 8.0


def test_student_s_law_is_named() -> None:
    """Bars from four numbers each: right in the mean square, but Student's law with three degrees of freedom."""
    generator = torch.Generator().manual_seed(0)
    each = torch.randn(4, 64, 64, generator=generator, dtype=torch.float64)
    found = coverage("law", each.mean(0), each.std(0) / 2.0)
    assert found.verdict == "fail"
    assert found.sentence.endswith("this is Student's law with 3 degrees of freedom.")


def test_a_single_seed_is_exact() -> None:
    errors = torch.tensor([[0.01, -0.04]], dtype=torch.float64)
    found = bias("law", errors, 0.05)
    assert found.verdict == "pass"
    assert found.figures == {"mean": pytest.approx(0.025), "largest": pytest.approx(0.04)}
    assert found.sentence == "Log p is off by 0.025 nats in the mean and at most 0.04, on 2 samples."
    wrong = bias("law", errors, 0.03)
    assert wrong.verdict == "fail"
    assert wrong.sentence.endswith("at most 0.04, on 2 samples; 0.03 is allowed.")
    assert change("law", errors, 0.05, "Alone").sentence == (
        "Alone, log p of a sample moves by up to 0.04 nats: samples share steps, a plan, or random numbers that the "
        "seed does not change."
    )


def test_spread() -> None:
    errors = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64)
    assert spread("law", errors).figures == {"of_a_sample": pytest.approx(2.0**0.5), "of_the_mean": 0.0}

"""How much is done in the minutes that are allowed."""

from __future__ import annotations

import pytest

from fokker.benchmarks import workload as module
from fokker.benchmarks.entrants import distinct
from fokker.benchmarks.problems import problem
from fokker.benchmarks.reference import EFFORT
from fokker.benchmarks.workload import NOISES, workload

SAMPLERS = distinct(["ddim", "heun", "dpm++2m"])
BUDGETS = (4, 10)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that takes 1 ms for each noise, whatever the machine."""
    monkeypatch.setattr(module, "seconds_of_a_call", lambda problem, samples: 1e-3 * samples)


@pytest.mark.usefixtures("call")
def test_without_a_limit_everything_runs() -> None:
    found = workload(problem("ring"), SAMPLERS, BUDGETS)
    assert (found.samples, found.effort, found.left_out) == (problem("ring").samples, EFFORT, "")
    assert len(found.cells) == 3 * 2 * 4
    assert found.evaluations == 3 * 4 * (4 + 10)
    assert found.call == pytest.approx(0.512)


@pytest.mark.usefixtures("call")
@pytest.mark.parametrize("minutes", [0.5, 1.0, 3.0, 10.0, 100.0])
@pytest.mark.parametrize("slots", [1, 4])
def test_the_work_fits_into_the_minutes(minutes: float, slots: int) -> None:
    found = workload(problem("ring"), SAMPLERS, BUDGETS, minutes=minutes, slots=slots)
    assert found.samples in NOISES
    assert found.seconds <= 60.0 * minutes
    assert found.effort >= module.LEAST_EFFORT or found.effort == EFFORT


@pytest.mark.usefixtures("call")
def test_more_minutes_are_more_noises() -> None:
    samples = [
        workload(problem("ring"), SAMPLERS, BUDGETS, minutes=minutes).samples for minutes in (0.5, 2.0, 8.0, 100.0)
    ]
    assert samples == sorted(samples)
    assert samples[0] < samples[-1] == max(NOISES)


@pytest.mark.usefixtures("call")
def test_few_minutes_leave_one_grid_to_a_sampler_and_say_so() -> None:
    found = workload(problem("ring"), SAMPLERS, (100, 200, 400), minutes=2.5)
    assert "one grid" in found.left_out
    assert found.left_out in str(found)
    assert len(found.cells) == 3 * 3


@pytest.mark.usefixtures("call")
def test_too_few_minutes_say_how_many_are_needed() -> None:
    with pytest.raises(ValueError, match=r"^0.01 min are too few: .* take (\S+) min") as failure:
        workload(problem("ring"), SAMPLERS, BUDGETS, minutes=0.01)
    needed = float(str(failure.value).partition("reference take ")[2].split()[0])
    assert workload(problem("ring"), SAMPLERS, BUDGETS, minutes=needed).samples == min(NOISES)
    with pytest.raises(ValueError, match="too few"):
        workload(problem("ring"), SAMPLERS, BUDGETS, minutes=0.9 * needed)


@pytest.mark.usefixtures("call")
def test_a_budget_below_every_step() -> None:
    with pytest.raises(ValueError, match="None of the samplers makes a step with 3 evaluations"):
        workload(problem("ring"), distinct(["rk4"]), (2, 3))

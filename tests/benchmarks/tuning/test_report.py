"""What `tune` reports beside the errors: those of labels and weights, tables for one weight, the learning curve."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

from fokker.benchmarks import Tuned, tune
from fokker.benchmarks.bootstrap import estimate
from fokker.benchmarks.problems import Problem
from fokker.benchmarks.reference import reference
from fokker.generative import CFG, CondOT, flow
from fokker.solvers import RK4, solve
from fokker.solvers.common import Progress
from fokker.verification import Gaussian, GaussianClasses

SAMPLES, WEIGHTS = 33, (1.0, 2.0)
HELD_OUT = range(SAMPLES + SAMPLES // 2, 2 * SAMPLES + SAMPLES // 2)
"""The positions of the held-out noises, the first of which has neither the first label nor the first weight."""


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fits of a few steps, and a reference to 1e-5."""
    monkeypatch.setattr(import_module("fokker.benchmarks.tuning.course"), "STEPS", {"log": 1, "huber": 2})
    monkeypatch.setattr(import_module("fokker.benchmarks.tuning.job"), "EFFORTS", (600,))


def classes() -> Problem:
    means = torch.tensor([[-1.0, 0.0], [1.0, 0.5]], dtype=torch.float64)
    law = GaussianClasses([Gaussian(mean, 0.04 * torch.eye(2, dtype=torch.float64)) for mean in means])
    return Problem("classes", "", law.denoiser(CondOT()), (2,), 8, classes=2)


def fit(guidance: float | tuple[float, ...], folder: Path | None = None, **settings: bool) -> Tuned:
    return tune(classes(), nfe=3, samples=SAMPLES, guidance=guidance, folder=folder, **settings)  # type: ignore[arg-type]


@cache
def plain() -> Tuned:
    return fit(WEIGHTS)


@cache
def curved() -> Tuned:
    return fit(WEIGHTS, curve=True)


@pytest.mark.parametrize("of", ["label", "weight"])
def test_the_squared_error_is_the_mean_over_the_parts(of: str) -> None:
    found = plain()
    parts = found.parts(of)
    assert len(parts) == 2
    squares = [len(part.held_out) * estimate(part.held_out) ** 2 for part in parts]
    assert sum(squares) == pytest.approx(SAMPLES * estimate(found.held_out["tuned"]) ** 2, rel=1e-12)
    squares = [len(part.training) * estimate(part.training) ** 2 for part in parts]
    assert sum(squares) == pytest.approx(SAMPLES * estimate(found.training) ** 2, rel=1e-12)
    told = found.scheme.about["report"]["by"][of]
    assert [part["ratio"] for part in told] == [[*part.ratio] for part in parts]


def test_a_part_has_the_noises_of_its_label_and_its_weight() -> None:
    """Each label alone, by RK4 of 40 steps: the reference of the report is known to 1e-5, RK4 to 2e-7."""
    found, problem = plain(), classes()
    at = torch.tensor(HELD_OUT)
    noise, weights = problem.noise(int(at[-1]) + 1, 0)[at], torch.tensor(WEIGHTS, dtype=torch.float64)[at // 2 % 2]
    for label, part in enumerate(found.parts("label")):
        rows = at % 2 == label
        guided = CFG(problem.denoiser.given(torch.full((int(rows.sum()),), label)), weights[rows])
        exact = solve(flow(guided), noise[rows], torch.linspace(0.0, 1.0, 41), RK4()).x
        errors = (found.scheme.run(flow(guided, "velocity"), noise[rows]).x - exact).square().mean(1).sqrt()
        torch.testing.assert_close(errors, torch.from_numpy(part.held_out), rtol=0.0, atol=1e-4)
        assert part.value == label
    for weight, part in zip(WEIGHTS, found.parts("weight"), strict=True):
        np.testing.assert_array_equal(part.held_out, found.held_out["tuned"][(weights == weight).numpy()])


def test_one_label_is_no_part() -> None:
    found = tune(classes().denoiser, (2,), nfe=2, samples=16, label=1)
    assert found.parts("label") == found.parts("weight") == []
    assert "label" not in str(found)
    with pytest.raises(ValueError, match="label, weight"):
        found.parts("class")


def test_fewer_noises_than_the_first_stage_takes_have_labels_too() -> None:
    assert [len(part.training) for part in tune(classes(), nfe=2, samples=16).parts("label")] == [8, 8]


def test_the_learning_curve_ends_at_the_fit() -> None:
    """The fit is the same with the curve and without, and its last point has the errors of the report."""
    found, point = curved(), curved().facts["curve"][-1]
    assert [each["noises"] for each in found.facts["curve"]] == [8, SAMPLES]
    assert found.scheme.states == plain().scheme.states
    assert point["held_out"][0] == estimate(found.held_out["tuned"], "trimmed")
    assert point["training"][0] == estimate(found.training, "trimmed")
    assert point["ratio"][0] == found.ratio()
    assert found.facts["curve"][0]["held_out"] != point["held_out"]


def test_a_table_for_one_weight_is_the_one_that_is_fitted_to_it(tmp_path: Path) -> None:
    found = fit(WEIGHTS, tmp_path, each=True)
    rows = found.facts["each"]
    assert [row["weight"] for row in rows] == [*WEIGHTS]
    assert rows[1]["own"] == estimate(fit(2.0, tmp_path).held_out["tuned"], "trimmed")
    assert rows[1]["ratio"][0] == rows[1]["common"] / rows[1]["own"]
    assert rows[1]["ratio"][1] <= rows[1]["ratio"][0] <= rows[1]["ratio"][2]
    assert found.scheme.states == plain().scheme.states


def test_what_is_finished_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the last bit, and without a step: the diary has as many steps as are asked for."""
    first = fit(WEIGHTS, tmp_path, curve=True)
    course = import_module("fokker.benchmarks.tuning.course")
    monkeypatch.setattr(course, "steps_of", lambda *_: (_ for _ in ()).throw(AssertionError("a step was made again")))
    monkeypatch.delattr(import_module("fokker.benchmarks.tuning.job"), "reference")
    again = fit(WEIGHTS, tmp_path, curve=True)
    assert {**again.facts, "seconds": 0.0} == {**first.facts, "seconds": 0.0}
    assert again.scheme.states == first.scheme.states == curved().scheme.states


def test_everything_fits_on_a_terminal_of_80_columns() -> None:
    """No cell is broken: each interval has both of its ends on its line."""
    own = [{"weight": 1.0, "common": 1.234e-05, "own": 1.1e-05, "ratio": [0.00123, 0.00111, 0.00135]}]
    curve = [{**point, "ratio": [0.00123, 0.00111, 0.00135]} for point in curved().facts["curve"]]
    many = tuple(np.arange(SAMPLES) % 12 for _ in range(2))
    found = replace(curved(), facts=curved().facts | {"each": own, "curve": curve}, dealt={"label": many})
    lines = str(found).splitlines()
    assert max(map(len, lines)) <= 80
    assert all(line.count("(") == line.count(")") for line in lines if "…" in line)
    assert sum("…" in line for line in lines) == 2 + 10 + 1 + 2
    ratios = [part.ratio[0] for part in found.parts("label")]
    first = next(i for i, line in enumerate(lines) if "The worst 10 of 12 labels" in line) + 4
    assert int(lines[first].split()[0]) == int(np.argmax(ratios))


@pytest.mark.parametrize("guidance", [None, 2.0, (2.0, 2.0)])
def test_one_weight_has_no_table_of_its_own(guidance: float | tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="give two weights or more"):
        fit(guidance, each=True)


def test_the_bar_shows_the_evaluations_of_the_reference() -> None:
    class Bar(Progress):
        def reach(self, position: float, what: str | None = None) -> None:
            shown.append((position, what))

    shown: list[tuple[float, str | None]] = []
    reference(classes(), 8, 0, 2000, Bar(0.0, 1.0, False))
    positions = [position for position, _ in shown]
    assert positions == sorted(positions)
    assert positions[0] == 0.0 < positions[-1] < 1.0
    assert {what for _, what in shown} >= {"reference, 32 steps", "reference, 192 steps"}

"""A result answers questions, draws, saves and says what to paste."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fokker.benchmarks.entrants import entrant
from fokker.benchmarks.ledger import Key, Row
from fokker.benchmarks.problems import problem
from fokker.benchmarks.reference import Reference
from fokker.benchmarks.results import Result
from fokker.benchmarks.results.plot import COLOURS, work_precision

NOISES = np.random.default_rng(0).lognormal(0.0, 0.3, 40)
SAMPLERS = ("default", "ddim", "heun", "exp-adams-2-eps")


def row(solver: str, error: float, budget: int, failure: str = "") -> Row:
    grid = entrant(solver).grids[0]
    return Row(solver, grid, budget, budget, budget, 0.1, failure, np.empty(0) if failure else error * NOISES)


def result(floor: float = 1e-9, settled: bool = True) -> Result:
    """The error of ddim falls as 3/n, that of the default as 9/n², that of heun as 1/n."""
    rows = [row("ddim", 3.0 / n, n) for n in (5, 10, 20)] + [row("default", 9.0 / n**2, n) for n in (5, 10, 20)]
    rows += [row("heun", 1.0 / n, n) for n in (5, 10, 20)] + [row("exp-adams-2-eps", 0.0, 5, "it does not apply")]
    ring = problem("ring")
    floors = torch.full((40,), floor, dtype=torch.float64)
    reference = Reference(torch.zeros(40, 2), floors, "A, B", "settled" if settled else "stalled", 1000, 1e-3)
    entrants = {name: entrant(name) for name in SAMPLERS}
    return Result(Key("ring", ring.digest, 0, 40), ring, entrants, tuple(rows), reference)


def test_the_best_at_a_budget_and_between_two() -> None:
    found = result()
    assert found.budgets == (5, 10, 20)
    assert [found.best(n).best[0].solver for n in (5, 9, 10, 99)] == ["heun", "heun", "default", "default"]
    with pytest.raises(ValueError, match="Nothing was measured with 4 evaluations; the budgets are 5, 10, 20"):
        found.best(4)


def test_a_recommendation_has_the_line_to_paste_and_no_doubt() -> None:
    found = result().recommend(10)
    assert (found.nfe, found.sampler, found.doubts) == (10, "default", ())
    assert found.sample == "x = sample(denoiser, (n, 2), nfe=10)"
    assert all(each in str(found) for each in (found.sample, "default: error 0.09"))


def test_doubts_are_told() -> None:
    assert "error is that of the reference solution" in result(floor=0.1).recommend(10).doubts[0]
    unresolved = result()
    close = [row("ddim", 1.0, 7), Row("heun", "uniform", 7, 7, 7, 0.1, "", np.roll(1.01 * NOISES, 1))]
    doubtful = Result(unresolved.key, unresolved.problem, unresolved.entrants, tuple(close), unresolved.reference)
    assert "do not tell it from heun" in doubtful.recommend(7).doubts[0]


def test_the_table_shows_marks_failures_and_the_floor() -> None:
    text = str(result())
    assert "exp-adams-2-eps failed 1 times: it does not apply" in text
    assert "agree to 1e-09" in text
    rough = result(floor=0.05, settled=False).table()
    assert "still differ by 5.0e-02" in rough
    assert rough.count("≈") == 3  # 0.09 and 0.02 lie below 0.15, and the mark is explained
    assert "≈: below 3 times that difference" in rough


def test_it_is_json_and_is_saved_whole(tmp_path: Path) -> None:
    result().save(tmp_path / "found.json")
    found = json.loads((tmp_path / "found.json").read_text())
    assert [best["budget"] for best in found["best"]] == [5, 10, 20]
    assert found["rows"][-1]["error"] is None
    assert found["reference"] == {"methods": "A, B", "floor": 1e-9, "settled": True}


def test_pictures_are_written_whole(tmp_path: Path) -> None:
    result(floor=0.1).plot(tmp_path / "one.png")
    work_precision([result(), result()], tmp_path / "two.png")
    for file in tmp_path.iterdir():
        assert file.read_bytes().startswith(b"\x89PNG")


def test_every_family_has_a_colour() -> None:
    names = ("heun", "ddim", "exp-rk-3-velocity", "deis-rho", "torchdiffeq-rk4", "default")
    families = [entrant(name).family for name in names]
    assert families == ["Runge-Kutta", "hold x0", "hold velocity", "hold eps", "torchdiffeq", "default"]
    assert set(families) | {entrant(lambda denoiser, x, times, noise: x).family} <= set(COLOURS)

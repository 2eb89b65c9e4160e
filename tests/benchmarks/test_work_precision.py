"""From samplers to rows, and from rows on disk to the rest of them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from fokker.benchmarks.commands.bench import by_budget
from fokker.benchmarks.engine import local
from fokker.benchmarks.entrants import DEFAULT_SAMPLERS, GRIDS, distinct
from fokker.benchmarks.ledger import Ledger
from fokker.benchmarks.problems import problem, problem_of
from fokker.benchmarks.reference import reference
from fokker.benchmarks.results import Result
from fokker.benchmarks.work_precision import compare, measure
from fokker.benchmarks.workload import Cell, Workload, cells
from fokker.generative import VP, Denoiser

EFFORT = 3000


def race(samplers: list[str], budgets: list[int], folder: Path | None = None, name: str = "gaussian") -> Result:
    chosen = problem(name)
    load = Workload(chosen, 4, tuple(cells(chosen, distinct(samplers), budgets)), EFFORT, 1e-3, 1)
    with local(workers=1) as engine:
        [found] = compare([load], engine=engine, folder=folder)
    return found


def test_a_sampler_without_a_step_has_no_row() -> None:
    ring = problem("ring")
    assert not cells(ring, distinct(["rk4"]), [3])
    assert {cell.steps for cell in cells(ring, distinct(["rk4"]), [8, 11])} == {2}
    assert len(cells(ring, distinct(["euler"]), [5, 8])) == 2 * len(GRIDS)


@pytest.mark.parametrize("solver", DEFAULT_SAMPLERS)
def test_no_sampler_exceeds_its_budget_and_more_work_is_more_precise(solver: str) -> None:
    rows = {row.budget: row for row in race([solver], [8, 50]).rows if row.grid in ("uniform", "own")}
    assert all(row.nfe <= budget for budget, row in rows.items())
    assert not any(row.failure for row in rows.values())
    assert rows[50].error < 0.3 * rows[8].error


def test_a_run_goes_on_where_another_one_stopped(tmp_path: Path) -> None:
    """Rows that are there are not measured again: one is changed, and stays."""
    race(["ddim"], [5], tmp_path)
    file = tmp_path / "results.sqlite"
    with Ledger(file) as ledger:
        assert len(ledger.find("SELECT * FROM rows")) == 4
        ledger.find("UPDATE rows SET steps = 99 WHERE grid = 'karras'")
    found = race(["ddim", "heun"], [5, 8], tmp_path)
    assert len(found.rows) == 16
    assert [row.steps for row in found.rows if row.steps == 99] == [99]
    again = race(["ddim", "heun"], [5, 8], tmp_path)
    assert [row.cell for row in again.rows] == [row.cell for row in found.rows]


def test_rows_of_a_much_poorer_reference_are_measured_again(tmp_path: Path) -> None:
    race(["ddim"], [5], tmp_path)
    with Ledger(tmp_path / "results.sqlite") as ledger:
        ledger.find("UPDATE rows SET steps = 99, floor = 1.0 WHERE grid = 'karras'")
    assert {row.steps for row in race(["ddim"], [5], tmp_path).rows} == {5}


def test_a_batch_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noises in one batch and one by one: labels and conditions stay with their noises."""
    digits = problem("digits")
    [cell] = [each for each in cells(digits, distinct(["ddim"]), [3]) if each.grid == "uniform"]
    known = reference(problem("digits"), 3, 0, 400)
    whole = measure(digits, cell, 0, known).errors
    monkeypatch.setattr("fokker.benchmarks.work_precision.NUMBERS_AT_ONCE", 64)
    np.testing.assert_allclose(measure(digits, cell, 0, known).errors, whole, rtol=1e-10)


def test_a_sampler_that_fails_becomes_a_row_that_says_so() -> None:
    def broken(denoiser: Denoiser, x: torch.Tensor, times: torch.Tensor, noise: object) -> torch.Tensor:
        if len(times) > 5:
            raise RuntimeError("more than I can do")
        return x

    ring = problem("ring")
    known = reference(ring, 4, 0, EFFORT)
    [entrant] = distinct([broken])
    found = measure(ring, Cell(entrant, "uniform", 8, 8), 0, known)
    assert "broken" in found.failure
    assert found.errors.size == 0


def test_more_evaluations_look_more_like_the_reference() -> None:
    chosen = problem("digits")
    found = by_budget(chosen, [5, 20], samples=2, seed=0)
    finest = by_budget(chosen, [60], samples=2, seed=0)[60]
    assert (found[20] - finest).square().mean() < 0.1 * (found[5] - finest).square().mean()


def test_a_network_of_the_users_own() -> None:
    """Data N(0, I/4) on VP, as a bare function that predicts ε: x(1) = x(0)/2 up to the ends of the path."""
    path = VP()

    def net(x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        alpha, sigma = path.alpha(time)[:, None], path.sigma(time)[:, None]
        return sigma * x / (0.25 * alpha**2 + sigma**2)

    chosen = problem_of(Denoiser(net, path, predicts="eps"), (3,), samples=4)
    known = reference(chosen, 4, 0, EFFORT)
    x = chosen.noise(4, 0)
    scale = [(0.25 * path.alpha(t) ** 2 + path.sigma(t) ** 2) ** 0.5 for t in (chosen.start, chosen.end)]
    bound = 1e-8 * math.sqrt(x.numel())  # two solutions agree to 1e-8 in the root mean square
    torch.testing.assert_close(known.solution, scale[1] / scale[0] * x, rtol=0.0, atol=bound)

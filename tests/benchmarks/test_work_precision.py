"""From rows to a verdict, and from samplers to rows."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from fokker.benchmarks.commands.sample import by_budget
from fokker.benchmarks.ledger import Key, Row
from fokker.benchmarks.plot import COLOURS, work_precision
from fokker.benchmarks.problems import problem
from fokker.benchmarks.reference import Reference, prepare
from fokker.benchmarks.results import Result, Standing, print_result
from fokker.benchmarks.samplers import DEFAULT_SAMPLERS, SAMPLERS, canonical, family
from fokker.benchmarks.work_precision import GRIDS, Job, jobs, measure
from fokker.generative.sampling import PUBLISHED

NOISES = np.random.default_rng(0).lognormal(0.0, 0.3, 40)


def row(solver: str, error: float, budget: int = 10, grid: str = "uniform", failure: str = "") -> Row:
    return Row(solver, grid, budget, budget, budget, 0.1, failure, np.empty(0) if failure else error * NOISES)


def test_the_best_and_its_lead() -> None:
    standing = Standing.of(10, [row("euler", 4.0), row("heun", 1.0), row("rk4", 2.0)], uncertainty=0.0)
    assert [best.solver for best in standing.best] == ["heun"]
    assert standing.runner_up is not None
    assert standing.runner_up.solver == "rk4"
    assert standing.lead is not None
    np.testing.assert_allclose(standing.lead, 2.0)
    assert standing.resolved
    assert standing.interval[0] < standing.best[0].error < standing.interval[1]


def test_a_lead_below_the_uncertainty_of_the_reference_is_not_resolved() -> None:
    rows = [row("heun", 1e-9), row("rk4", 2e-9)]
    assert Standing.of(10, rows, uncertainty=1e-12).resolved
    assert not Standing.of(10, rows, uncertainty=1e-8).resolved


def test_a_lead_that_the_noises_cannot_tell_is_not_resolved() -> None:
    heun, other = row("heun", 1.0), np.random.default_rng(1).lognormal(0.0, 0.3, 40)
    rk4 = Row("rk4", "uniform", 10, 2, 8, 0.1, "", other / np.sqrt(np.mean(other**2)) * 1.01 * heun.error)
    standing = Standing.of(10, [heun, rk4], uncertainty=0.0)
    assert standing.lead is not None
    assert standing.lead[1] < 1.0 < standing.lead[2]
    assert not standing.resolved


def test_one_method_under_two_names_shares_the_first_place() -> None:
    rows = [row("ddim", 1.0), row("euler", 1.0 + 1e-12), row("heun", 3.0)]
    standing = Standing.of(10, rows, uncertainty=0.0)
    assert {best.solver for best in standing.best} == {"ddim", "euler"}
    assert standing.runner_up is not None
    assert standing.runner_up.solver == "heun"


def test_unknown_solvers_list_the_known_ones() -> None:
    assert canonical("dpm++2m") == "exp-adams-2-x0"
    for name, row in PUBLISHED.items():
        if not row.stochastic and name != "euler":  # here Euler's method on dx/dt
            entry = SAMPLERS[canonical(name)]
            found = (repr(entry.solver), entry.hold, entry.logarithmic)
            assert found == (repr(row.solver), row.hold, row.logarithmic)
    with pytest.raises(ValueError, match="Unknown solver 'hein'") as failure:
        canonical("hein")
    assert all(name in str(failure.value) for name in SAMPLERS)


def test_every_family_has_a_colour() -> None:
    assert {family(sampler) for sampler in SAMPLERS.values()} == set(COLOURS)
    families = [family(SAMPLERS[name]) for name in ("heun", "ddim", "exp-rk-3-velocity", "deis-rho", "torchdiffeq-rk4")]
    assert families == ["Runge-Kutta", "hold x0", "hold velocity", "hold eps", "torchdiffeq"]


def test_a_sampler_without_a_step_has_no_row() -> None:
    key = Key("ring", "0123456789abcdef", 0, 4)
    assert not list(jobs(key, ["rk4"], [3]))
    assert {job.steps for job in jobs(key, ["rk4"], [8, 11])} == {2}
    assert len(list(jobs(key, ["euler"], [5, 8]))) == 2 * len(GRIDS)


@pytest.mark.parametrize("solver", DEFAULT_SAMPLERS)
def test_no_sampler_exceeds_its_budget_and_more_work_is_more_precise(solver: str, tmp_path: Path) -> None:
    key = Key("gaussian", problem("gaussian").digest, 0, 4)
    prepare(problem("gaussian"), 4, 0, folder=tmp_path)
    rows = [measure(job, tmp_path) for job in jobs(key, [solver], [8, 50]) if job.grid == "uniform"]
    assert all(found.nfe <= found.budget for found in rows)
    assert not any(found.failure for found in rows)
    assert rows[1].error < 0.3 * rows[0].error


def test_what_does_not_apply_becomes_a_row_that_says_so(tmp_path: Path) -> None:
    """With ε held no step can start at α = 0."""
    key = Key("gaussian", problem("gaussian").digest, 0, 4)
    prepare(problem("gaussian"), 4, 0, folder=tmp_path)
    found = measure(Job(key, "exp-adams-2-eps", "uniform", 8, 8), tmp_path)
    assert "t = 0" in found.failure
    assert found.errors.size == 0


def test_more_evaluations_look_more_like_the_reference() -> None:
    chosen = problem("digits")
    found = by_budget(chosen, [5, 20], samples=2, seed=0)
    finest = by_budget(chosen, [60], samples=2, seed=0)[60]
    assert (found[20] - finest).square().mean() < 0.1 * (found[5] - finest).square().mean()


def result() -> Result:
    rows = [row(solver, 3.0 / budget, budget) for solver in ("euler", "heun") for budget in (5, 10, 20)]
    rows.append(row("exp-adams-2-eps", 0.0, failure="it does not apply"))
    floors = torch.full((40,), 1e-9, dtype=torch.float64)
    reference = Reference(torch.zeros(40, 2), floors, "A, B", "settled", 1000, 1e-3)
    return Result(Key("ring", "0" * 16, 0, 40), "a ring", rows, reference)


def test_the_report_shows_failures_and_is_json() -> None:
    console = Console(width=120, record=True, file=StringIO())
    print_result(console, result())
    text = console.export_text()
    assert "exp-adams-2-eps failed 1 times: it does not apply" in text
    assert "agree to 1e-09" in text
    found = json.loads(json.dumps(result().as_dict()))
    assert [best["budget"] for best in found["best"]] == [5, 10, 20]
    assert found["rows"][-1]["error"] is None


def test_pictures_are_written_whole(tmp_path: Path) -> None:
    work_precision([result()], tmp_path / "work_precision.png")
    [file] = tmp_path.iterdir()
    assert file.read_bytes().startswith(b"\x89PNG")

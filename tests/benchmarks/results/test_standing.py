"""From rows to a ranking."""

from __future__ import annotations

import numpy as np

from fokker.benchmarks.ledger import Row
from fokker.benchmarks.results import Standing

NOISES = np.random.default_rng(0).lognormal(0.0, 0.3, 40)


def row(solver: str, error: float, errors: np.ndarray | None = None) -> Row:
    return Row(solver, "uniform", 10, 10, 10, 0.1, "", error * (NOISES if errors is None else errors))


def test_the_best_and_its_lead() -> None:
    standing = Standing.of(10, [row("euler", 4.0), row("heun", 1.0), row("rk4", 2.0)], floor=0.0)
    assert [best.solver for best in standing.best] == ["heun"]
    assert standing.runner_up is not None
    assert standing.runner_up.solver == "rk4"
    assert standing.lead is not None
    np.testing.assert_allclose(standing.lead, 2.0)
    assert standing.resolved
    assert standing.interval[0] < standing.best[0].error < standing.interval[1]
    assert standing.typical is None


def test_below_three_floors_nothing_is_ranked_and_above_it_goes_on() -> None:
    rows = [row("heun", 1e-9), row("rk4", 2e-9)]
    assert Standing.of(10, rows, floor=1e-12).resolved
    low = Standing.of(10, rows, floor=1e-8)
    assert (low.resolved, low.floored) == (False, True)
    high = Standing.of(10, [row("heun", 1e-7), row("rk4", 2e-7)], floor=1e-8)
    assert (high.resolved, high.floored) == (True, False)


def test_a_lead_that_the_noises_cannot_tell_is_not_resolved() -> None:
    heun, other = row("heun", 1.0), np.random.default_rng(1).lognormal(0.0, 0.3, 40)
    rk4 = row("rk4", 1.01 * heun.error, other / np.sqrt(np.mean(other**2)))
    standing = Standing.of(10, [heun, rk4], floor=0.0)
    assert standing.lead is not None
    assert standing.lead[1] < 1.0 < standing.lead[2]
    assert not standing.resolved


def test_one_method_under_two_names_shares_the_first_place() -> None:
    standing = Standing.of(10, [row("ddim", 1.0), row("euler", 1.0 + 1e-12), row("heun", 3.0)], floor=0.0)
    assert {best.solver for best in standing.best} == {"ddim", "euler"}
    assert standing.runner_up is not None
    assert standing.runner_up.solver == "heun"


def test_a_few_noises_that_rule_the_rms_are_told() -> None:
    """One noise in a hundred is a hundred times worse for heun, which is four times better for all others."""
    errors = np.tile(NOISES, 10)
    heun = errors.copy()
    heun[:4] = 400.0
    standing = Standing.of(10, [row("heun", 0.25, heun), row("rk4", 1.0, errors)], floor=0.0)
    assert standing.best[0].solver == "rk4"
    assert standing.typical is not None
    assert standing.typical.solver == "heun"
    assert standing.as_dict()["best_by_median"] == {"solver": "heun", "grid": "uniform"}

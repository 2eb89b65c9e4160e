"""Rows survive, are found once, and are never mixed with those of another problem."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from fokker.benchmarks.store import Key, Row, Store

KEY = Key("ring", 0, 3)


def row(budget: int = 5, failure: str = "", errors: tuple[float, ...] = (3.0, 4.0, 0.0)) -> Row:
    return Row("heun", "karras", budget, 2, 4, 0.25, failure, np.array(errors))


def test_a_row_comes_back_as_it_was(tmp_path: Path) -> None:
    with Store(tmp_path / "results.sqlite") as store:
        store.begin(KEY, {"path": "VP"})
        store.add(KEY, row())
    with Store(tmp_path / "results.sqlite") as store:
        [found] = store.rows(KEY)
        assert store.configuration(KEY) == {"path": "VP"}
    assert (found.solver, found.grid, found.budget, found.steps, found.nfe) == ("heun", "karras", 5, 2, 4)
    np.testing.assert_array_equal(found.errors, [3.0, 4.0, 0.0])
    assert found.error == pytest.approx((25 / 3) ** 0.5, rel=1e-15)


def test_a_row_is_written_once(tmp_path: Path) -> None:
    with Store(tmp_path / "results.sqlite") as store:
        store.begin(KEY, {})
        store.add(KEY, row())
        store.add(KEY, row(errors=(9.0, 9.0, 9.0)))
        store.add(KEY, row(budget=8))
        store.add(Key("ring", 1, 3), row())
        assert [found.budget for found in store.rows(KEY)] == [5, 8]
        assert store.rows(KEY)[0].errors[0] == 3.0


def test_a_failure_is_a_row(tmp_path: Path) -> None:
    with Store(tmp_path / "results.sqlite") as store:
        store.begin(KEY, {})
        store.add(KEY, row(failure="the state is not finite", errors=()))
        [found] = store.rows(KEY)
    assert found.failure == "the state is not finite"
    assert np.isnan(found.error)


def test_another_version_of_a_problem_is_refused(tmp_path: Path) -> None:
    with Store(tmp_path / "results.sqlite") as store:
        store.begin(KEY, {"path": "VP", "shape": [2]})
        store.begin(KEY, {"shape": [2], "path": "VP"})
        with pytest.raises(ValueError, match="another version of 'ring'"):
            store.begin(KEY, {"path": "VE", "shape": [2]})


def test_a_file_of_another_kind_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "results.sqlite"
    file.write_text("these are no results, " * 100)
    with pytest.raises(ValueError, match="no file of benchmark results"):
        Store(file)
    assert file.read_text().startswith("these are no results")


def test_a_database_of_another_kind_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "results.sqlite"
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE rows (name TEXT)")
    with pytest.raises(ValueError, match="no file of benchmark results"):
        Store(file)

"""Rows survive, are found once, are never mixed with those of another problem, and tell when they have changed."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from fokker.benchmarks import store as stores
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


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A file of forty rows, closed."""
    file = tmp_path / "results.sqlite"
    with Store(file) as store:
        store.begin(KEY, {"path": "VP"})
        for budget in range(40):
            store.add(KEY, row(budget))
    return file


def test_a_file_that_another_program_has_locked(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "PATIENCE", 0.05)
    with Store(filled) as store:
        other = sqlite3.connect(filled)
        other.execute("BEGIN EXCLUSIVE")
        new = Key("ring", 1, 3)
        for call in (lambda: store.add(KEY, row(50)), lambda: store.begin(new, {}), lambda: Store(filled)):
            with pytest.raises(OSError, match="database is locked; see who uses it") as raised:
                call()
            assert raised.value.filename == str(filled)
        other.close()
        store.add(KEY, row(50))
        assert len(store.rows(KEY)) == 41


def test_a_full_disk(filled: Path) -> None:
    with Store(filled) as store:
        (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
        store._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(OSError, match="database or disk is full") as raised:
            store.add(KEY, row(50, errors=(1.0,) * 10**5))
        assert raised.value.filename == str(filled)
        assert len(store.rows(KEY)) == 40


@pytest.mark.parametrize("place", ["/proc/fokker/results.sqlite", "results.sqlite/below"])
def test_a_file_that_cannot_be_made(place: str, filled: Path) -> None:
    with pytest.raises(OSError, match=r"No such file|not a directory|File exists"):
        Store(filled.parent / place)


def test_a_file_that_is_cut_off_or_overwritten(filled: Path) -> None:
    """Whatever was hit, no row has changed in silence: there is an error, or the rows are those that were written."""
    content, generator = filled.read_bytes(), random.Random(0)
    with Store(filled) as store:
        sound = [(found.cell, found.errors.tolist(), found.error) for found in store.rows(KEY)]
    told = list[str]()
    for trial in range(60):
        changed = bytearray(content)
        start = generator.randrange(100, len(content))
        if trial % 2:
            del changed[start:]
        else:
            changed[start : start + 64] = generator.randbytes(len(changed[start : start + 64]))
        filled.write_bytes(changed)
        try:
            with Store(filled) as store:
                store.configuration(KEY)
                found = [(found.cell, found.errors.tolist(), found.error) for found in store.rows(KEY)]
        except (ValueError, OSError) as error:
            told.append(str(error))
        else:
            assert [errors for _, errors, _ in found] == [errors for _, errors, _ in sound]
    assert len(told) >= 40
    assert all(str(filled) in each and "\n" not in each for each in told)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE rows SET errors = zeroblob(24) WHERE budget = 7", "the row of heun on karras at 7 evaluations"),
        ("UPDATE rows SET errors = zeroblob(23) WHERE budget = 7", "the row of heun on karras at 7 evaluations"),
        ("UPDATE rows SET errors = 'text' WHERE budget = 7", "the row of heun on karras at 7 evaluations"),
        ("UPDATE rows SET errors = errors || errors WHERE budget = 7", "the row of heun on karras at 7 evaluations"),
        ("UPDATE rows SET error = NULL WHERE budget = 7", "the row of heun on karras at 7 evaluations"),
        ("UPDATE rows SET error = 'x' WHERE budget = 7", "the row of heun on karras at 7 evaluations"),
        ("UPDATE rows SET failure = 'x' WHERE budget = 7", "the row of heun on karras at 7 evaluations"),
        ("UPDATE runs SET configuration = '{'", "the configuration of 'ring' is no JSON"),
        ("UPDATE runs SET configuration = zeroblob(3)", "the configuration of 'ring' is no JSON"),
    ],
)
def test_a_row_that_is_not_what_was_written(change: str, message: str, filled: Path) -> None:
    with sqlite3.connect(filled) as other:
        other.execute(change)
    other.close()
    with Store(filled) as store, pytest.raises(ValueError, match=rf"^{filled} is damaged: {message}"):
        store.rows(KEY) if "rows" in change else store.configuration(KEY)


def test_a_file_without_its_tables(filled: Path) -> None:
    with Store(filled) as store:
        store._connection.execute("DROP TABLE rows")
        with pytest.raises(OSError, match="no such table"):
            store.rows(KEY)

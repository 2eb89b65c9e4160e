"""Rows survive, are found once, are never mixed with those of another problem, and tell when they have changed."""

from __future__ import annotations

import random
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch

from fokker.benchmarks import database
from fokker.benchmarks.ledger import Key, Ledger, Row
from fokker.benchmarks.provenance import Provenance

KEY = Key("ring", "0123456789abcdef", 0, 3)


def row(budget: int = 5, failure: str = "", errors: tuple[float, ...] = (3.0, 4.0, 0.0)) -> Row:
    return Row("heun", "karras", budget, 2, 4, 0.25, failure, np.array(errors))


def test_a_row_comes_back_as_it_was(tmp_path: Path) -> None:
    with Ledger(tmp_path / "results.sqlite") as ledger:
        ledger.begin(KEY, {"path": "VP"})
        ledger.add(KEY, row())
    with Ledger(tmp_path / "results.sqlite") as ledger:
        [found] = ledger.rows(KEY)
        assert ledger.identity(KEY.digest) == {"path": "VP"}
    assert (found.solver, found.grid, found.budget, found.steps, found.nfe) == ("heun", "karras", 5, 2, 4)
    np.testing.assert_array_equal(found.errors, [3.0, 4.0, 0.0])
    assert found.error == pytest.approx((25 / 3) ** 0.5, rel=1e-15)


def test_a_row_is_written_once(tmp_path: Path) -> None:
    with Ledger(tmp_path / "results.sqlite") as ledger:
        ledger.begin(KEY, {})
        ledger.add(KEY, row())
        ledger.add(KEY, row(errors=(9.0, 9.0, 9.0)))
        ledger.add(KEY, row(budget=8))
        ledger.add(Key("ring", "0123456789abcdef", 1, 3), row())
        assert [found.budget for found in ledger.rows(KEY)] == [5, 8]
        assert ledger.rows(KEY)[0].errors[0] == 3.0


def test_a_row_gives_way_to_one_against_a_better_reference(tmp_path: Path) -> None:
    """The floors fall from 4e-3 to 2e-3, to 1e-3, and rise again: that of more than half of 4e-3 changes nothing."""
    with Ledger(tmp_path / "results.sqlite") as ledger:
        for floor, kept in ((4e-3, 4e-3), (2e-3, 4e-3), (1e-3, 1e-3), (3e-3, 1e-3), (0.0, 0.0), (0.0, 0.0)):
            ledger.add(KEY, replace(row(errors=(floor + 1.0,) * 3), floor=floor))
            [found] = ledger.rows(KEY)
            assert (found.floor, found.errors[0]) == (kept, kept + 1.0)
        ledger.add(KEY, row(budget=8))
        assert len(ledger.rows(KEY)) == 2


def test_a_failure_is_a_row(tmp_path: Path) -> None:
    with Ledger(tmp_path / "results.sqlite") as ledger:
        ledger.begin(KEY, {})
        ledger.add(KEY, row(failure="the state is not finite", errors=()))
        [found] = ledger.rows(KEY)
    assert found.failure == "the state is not finite"
    assert np.isnan(found.error)


def test_two_versions_of_a_problem_stand_side_by_side(tmp_path: Path) -> None:
    trained_anew = KEY._replace(digest="f" * 16)
    with Ledger(tmp_path / "results.sqlite") as ledger:
        for key, path, error in ((KEY, "VP", 1.0), (trained_anew, "VE", 2.0)):
            ledger.begin(key, {"path": path, "shape": [2]})
            ledger.add(key, row(errors=(error,) * 3))
        ledger.begin(KEY, {"shape": [2], "path": "VP"})
        assert ledger.runs() == [KEY, trained_anew]
        assert [ledger.identity(key.digest)["path"] for key in ledger.runs()] == ["VP", "VE"]
        assert [[found.error for found in ledger.rows(key)] for key in ledger.runs()] == [[1.0], [2.0]]
        with pytest.raises(ValueError, match="0123456789abcdef stands for another problem than 'ring'"):
            ledger.begin(KEY, {"path": "VE", "shape": [2]})
        with pytest.raises(ValueError, match="knows no problem of digest 'nothing'"):
            ledger.identity("nothing")


def test_two_versions_of_the_package_stand_side_by_side(tmp_path: Path) -> None:
    old = replace(row(errors=(1.0, 1.0, 1.0)), provenance=replace(Provenance.here(), fokker="0.0.1"))
    with Ledger(tmp_path / "results.sqlite") as ledger:
        ledger.add(KEY, old)
        assert not ledger.rows(KEY)
        ledger.add(KEY, row())
        assert [found.errors[0] for found in ledger.rows(KEY)] == [3.0]
        assert [found.errors[0] for found in ledger.rows(KEY, "0.0.1")] == [1.0]
        assert ledger.versions(KEY) == [version("fokker"), "0.0.1"]


def test_a_row_says_where_it_comes_from(tmp_path: Path) -> None:
    written = replace(row(), start=1e-3, floor=1e-9)
    with Ledger(tmp_path / "results.sqlite") as ledger:
        ledger.add(KEY, written)
        [found] = ledger.rows(KEY)
    assert (found.start, found.floor) == (1e-3, 1e-9)
    assert found.provenance == written.provenance
    assert found.provenance.torch == torch.__version__
    assert found.provenance.threads == torch.get_num_threads()
    assert found.provenance.machine.endswith(" processors")
    measured = datetime.fromisoformat(found.provenance.measured)
    assert abs((datetime.now(UTC) - measured).total_seconds()) < 600.0


def test_a_law_comes_back_as_it_was_and_is_written_once(tmp_path: Path) -> None:
    with Ledger(tmp_path / "results.sqlite") as ledger:
        ledger.add_law(KEY, "ddim(eta=0.5)", 10, {"w2": [0.1, 0.2], "floor": 0.01})
        ledger.add_law(KEY, "ddim(eta=0.5)", 10, {"w2": [9.0]})
        ledger.add_law(KEY, "ddim(eta=0.5)", 5, {"w2": [0.3]})
        ledger.add_law(KEY._replace(seed=1), "ddim(eta=0.5)", 5, {})
        first = {("ddim(eta=0.5)", 5): {"w2": [0.3]}, ("ddim(eta=0.5)", 10): {"w2": [0.1, 0.2], "floor": 0.01}}
        assert ledger.laws(KEY) == first
        ledger.connection.execute("UPDATE laws SET content = '[]' WHERE budget = 10")
        with pytest.raises(ValueError, match=r"damaged: the law of ddim\(eta=0.5\) at 10 evaluations"):
            ledger.laws(KEY)


def test_a_file_of_another_kind_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "results.sqlite"
    file.write_text("these are no results, " * 100)
    with pytest.raises(ValueError, match="no file of benchmark results"):
        Ledger(file)
    assert file.read_text().startswith("these are no results")


def test_a_database_of_another_kind_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "results.sqlite"
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE rows (name TEXT)")
    with pytest.raises(ValueError, match="no file of benchmark results"):
        Ledger(file)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (1, r"an older version of fokker \(format 1, now 2\)"),
        (0, r"an older version of fokker \(format 1, now 2\)"),
        (3, r"a newer version of fokker \(format 3, here 2\); update fokker, or choose"),
    ],
)
def test_a_file_of_another_format_is_refused_and_left_alone(form: int, message: str, tmp_path: Path) -> None:
    file = tmp_path / "results.sqlite"
    with sqlite3.connect(file) as other:
        other.execute(f"PRAGMA application_id = {database.APPLICATION}")
        other.execute(f"PRAGMA user_version = {form}")
        other.execute("CREATE TABLE runs (problem TEXT)")
    other.close()
    content = file.read_bytes()
    with pytest.raises(ValueError, match=f"^{file} was written by {message}") as raised:
        Ledger(file)
    assert "\n" not in str(raised.value)
    assert file.read_bytes() == content


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A file of forty rows, closed."""
    file = tmp_path / "results.sqlite"
    with Ledger(file) as ledger:
        ledger.begin(KEY, {"path": "VP"})
        for budget in range(40):
            ledger.add(KEY, row(budget))
    return file


def test_a_file_that_another_program_has_locked(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who reads does not wait."""
    monkeypatch.setattr(database, "PATIENCE", 0.05)
    empty = tmp_path / "empty.sqlite"
    with Ledger(filled) as ledger:
        locks = [sqlite3.connect(file) for file in (filled, empty)]
        for lock in locks:
            lock.execute("BEGIN EXCLUSIVE")
        new = KEY._replace(digest="f" * 16)
        for call, file in (
            (lambda: ledger.add(KEY, row(50)), filled),
            (lambda: ledger.begin(new, {}), filled),
            (lambda: Ledger(empty), empty),
        ):
            with pytest.raises(OSError, match="database is locked; see who uses it") as raised:
                call()
            assert raised.value.filename == str(file)
        with Ledger(filled) as reader:
            assert len(reader.rows(KEY)) == 40
        for lock in locks:
            lock.close()
        ledger.add(KEY, row(50))
        assert len(ledger.rows(KEY)) == 41


def test_a_full_disk(filled: Path) -> None:
    with Ledger(filled) as ledger:
        (pages,) = ledger.connection.execute("PRAGMA page_count").fetchone()
        ledger.connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(OSError, match="database or disk is full") as raised:
            ledger.add(KEY, row(50, errors=(1.0,) * 10**5))
        assert raised.value.filename == str(filled)
        assert len(ledger.rows(KEY)) == 40


@pytest.mark.parametrize("place", ["/proc/fokker/results.sqlite", "results.sqlite/below"])
def test_a_file_that_cannot_be_made(place: str, filled: Path) -> None:
    with pytest.raises(OSError, match=r"No such file|not a directory|File exists"):
        Ledger(filled.parent / place)


def test_a_file_that_is_cut_off_or_overwritten(filled: Path) -> None:
    """Whatever was hit, no row has changed in silence: there is an error, or the rows are those that were written."""
    content, generator = filled.read_bytes(), random.Random(0)
    with Ledger(filled) as ledger:
        sound = [(found.cell, found.errors.tolist(), found.error) for found in ledger.rows(KEY)]
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
            with Ledger(filled) as ledger:
                ledger.identity(KEY.digest)
                found = [(found.cell, found.errors.tolist(), found.error) for found in ledger.rows(KEY)]
        except (ValueError, OSError) as error:
            told.append(str(error))
        else:
            assert [errors for _, errors, _ in found] == [errors for _, errors, _ in sound]
    assert len(told) >= 40
    assert [each for each in told if str(filled) not in each or "\n" in each] == []


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
        ("UPDATE problems SET identity = '{'", "the identity of 0123456789abcdef is no JSON"),
        ("UPDATE problems SET identity = zeroblob(3)", "the identity of 0123456789abcdef is no JSON"),
    ],
)
def test_a_row_that_is_not_what_was_written(change: str, message: str, filled: Path) -> None:
    with sqlite3.connect(filled) as other:
        other.execute(change)
    other.close()
    with Ledger(filled) as ledger, pytest.raises(ValueError, match=rf"^{filled} is damaged: {message}"):
        ledger.rows(KEY) if "rows" in change else ledger.identity(KEY.digest)


def test_a_file_without_its_tables(filled: Path) -> None:
    with Ledger(filled) as ledger:
        ledger.connection.execute("DROP TABLE rows")
        with pytest.raises(OSError, match="no such table"):
            ledger.rows(KEY)

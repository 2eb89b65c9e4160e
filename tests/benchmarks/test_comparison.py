"""What changed between two ledgers is found, what did not is not, and a person can read it."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from fokker.benchmarks.comparison import Comparison, compare_ledgers
from fokker.benchmarks.ledger import Key, Ledger, Row
from fokker.benchmarks.provenance import Provenance

KEY = Key("ring", "a" * 16, 0, 200)
ERRORS = np.random.default_rng(0).lognormal(0.0, 0.5, 200)
OTHER = np.random.default_rng(1).lognormal(0.0, 0.5, 200)
ORIGIN = Provenance("0.1.0", "2.5.0", "3.12.0", "a processor", 1, "2025-01-31T12:00:00.000Z")


def row(solver: str, errors: np.ndarray = ERRORS, budget: int = 10, floor: float = 0.0, failure: str = "") -> Row:
    errors = np.empty(0) if failure else errors
    return Row(solver, "karras", budget, 5, 10, 0.1, failure, errors, 0.0, floor, ORIGIN)


def written(file: Path, *rows: Row, key: Key = KEY) -> Path:
    with Ledger(file) as ledger:
        ledger.begin(key, {"digest": key.digest})
        for each in rows:
            ledger.add(key, each)
    return file


def compared(folder: Path, before: list[Row], after: list[Row]) -> Comparison:
    return compare_ledgers(written(folder / "a.sqlite", *before), written(folder / "b.sqlite", *after))


def printed(comparison: Comparison) -> str:
    console = Console(width=160, record=True, file=StringIO())
    console.print(comparison.table())
    return console.export_text()


def test_changes_come_first_and_the_largest_before_the_others(tmp_path: Path) -> None:
    found = compared(
        tmp_path,
        [row("same"), row("worse"), row("better"), row("broken"), row("mended", failure="why"), row("gone")],
        [
            row("same"), row("worse", 1.1 * ERRORS), row("better", 0.2 * ERRORS), row("broken", failure="no step"),
            row("mended"), row("new"),
        ],
    )
    assert [change.cell.solver for change in found.changes] == ["broken", "mended", "better", "worse", "same"]
    assert [change.resolved for change in found.changes] == [True, True, True, True, False]
    assert found.changes[2].ratio == pytest.approx((0.2, 0.2, 0.2), rel=1e-12)
    assert found.changes[4].ratio == (1.0, 1.0, 1.0)
    assert [cell.solver for cell in found.new] == ["new"]
    assert [cell.solver for cell in found.gone] == ["gone"]
    assert found.summary() == (
        "4 of 5 results changed beyond their intervals, 2 for the better and 2 for the worse; 1 are new, 1 are gone."
    )
    text = printed(found)
    assert "1.1 (1.1 … 1.1)" in text
    assert "fails: no step" in text
    assert "same" not in text
    assert found.summary() in " ".join(text.split())
    everything = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert [each["solver"] for each in everything["changes"]][2:] == ["better", "worse", "same"]
    assert everything["changes"][0]["failure"] == "no step"


def test_intervals_are_of_pairs(tmp_path: Path) -> None:
    """1 % on each noise is a change. 1 % between unlike errors, whose ratio is known to about 6 %, is none."""
    like = OTHER * 1.01 * np.sqrt(np.mean(ERRORS**2) / np.mean(OTHER**2))
    found = compared(tmp_path, [row("paired"), row("not")], [row("paired", 1.01 * ERRORS), row("not", like)])
    assert [(change.cell.solver, change.resolved) for change in found.changes] == [("paired", True), ("not", False)]
    ratio = found.changes[1].ratio
    assert ratio is not None
    assert ratio[0] == pytest.approx(1.01, rel=1e-12)
    assert ratio[1] < 0.98 < 1.04 < ratio[2]


def test_rounding_and_floors_are_no_change(tmp_path: Path) -> None:
    """The rms error is 1.27, and rises by 0.127, which 2 × 0.08 explains."""
    found = compared(
        tmp_path,
        [row("rounded"), row("below", floor=0.08), row("above", floor=0.01), row("exact", 0.0 * ERRORS)],
        [row("rounded", ERRORS * (1 + 1e-9)), row("below", 1.1 * ERRORS), row("above", 1.1 * ERRORS), row("exact")],
    )
    assert [(change.cell.solver, change.resolved) for change in found.changes] == [
        ("exact", True), ("above", True), ("below", False), ("rounded", False),
    ]
    assert found.as_dict()["changes"][0]["ratio"] == {"ratio": None, "low": None, "high": None}


def test_the_head_tells_versions_machines_and_problems_apart(tmp_path: Path) -> None:
    newer = replace(row("heun", 2.0 * ERRORS), provenance=replace(ORIGIN, torch="2.6.0", machine="[red]another"))
    before = written(tmp_path / "a.sqlite", row("heun"))
    after = written(tmp_path / "b.sqlite", newer, key=KEY._replace(digest="b" * 16))
    found = compare_ledgers(before, after)
    assert found.changes[0].resolved
    assert found.as_dict()["after"]["machines"] == ["[red]another, 1 threads"]
    text = " ".join(printed(found).split())
    assert f"ring is another problem in each: {'a' * 16} and {'b' * 16}" in text
    assert "torch 2.5.0" in text
    assert "torch 2.6.0" in text
    assert "[red]another" in text
    assert "another problem" not in printed(compare_ledgers(before, before))


def test_what_was_written_last_counts(tmp_path: Path) -> None:
    """Of two versions of a problem, and of two versions of the package."""
    newer = replace(row("heun", 3.0 * ERRORS), provenance=replace(ORIGIN, fokker="0.2.0"))
    file = written(tmp_path / "a.sqlite", row("heun"), newer)
    [change] = compare_ledgers(written(tmp_path / "b.sqlite", row("heun")), file).changes
    assert change.ratio == pytest.approx((3.0, 3.0, 3.0), rel=1e-12)
    written(file, row("heun", 4.0 * ERRORS), key=KEY._replace(digest="0" * 16))
    [change] = compare_ledgers(tmp_path / "b.sqlite", file).changes
    assert change.ratio == pytest.approx((4.0, 4.0, 4.0), rel=1e-12)


def test_folders_missing_files_and_nothing_in_common(tmp_path: Path) -> None:
    file = written(tmp_path / "run" / "results.sqlite", row("heun"))
    found = compare_ledgers(tmp_path / "run", file)
    assert found.summary() == "0 of 1 results changed beyond their intervals; 0 are new, 0 are gone."
    other = written(tmp_path / "b.sqlite", row("heun"), key=KEY._replace(problem="other"))
    assert "0 of 0" in compare_ledgers(file, other).summary()
    with pytest.raises(FileNotFoundError, match=f"There is no ledger {tmp_path / 'results.sqlite'}; give a folder"):
        compare_ledgers(tmp_path, file)
    assert not (tmp_path / "results.sqlite").exists()
    with pytest.raises(TypeError, match="path is of type str"):
        compare_ledgers("run", file)  # type: ignore[arg-type]

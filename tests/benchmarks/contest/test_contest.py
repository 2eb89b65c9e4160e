"""The comparison of ways of tuning: what its tables say, and that it goes on where it ended."""

from __future__ import annotations

import math
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from fokker.benchmarks.contest import PROBLEMS, WAYS, Contest, Row, contest, contest as run
from fokker.benchmarks.contest.row import OURS
from fokker.benchmarks.tuning import BASELINES

BEST = Row(0.2, 0.1, 0.4, 0.0, (12, 8), "ddim")


def test_ratios_are_to_the_best_published_and_their_mean_is_geometric() -> None:
    """½ and ⅛ have the mean ¼; the PSNR of rms 0.2 and the range 2 is 20 dB."""
    rows = {
        name: {3: {way: BEST if way == "best published" else replace(BEST, trimmed=trimmed) for way in WAYS}}
        for name, trimmed in {"one": 0.2, "two": 0.05}.items()
    }
    found = Contest(rows)
    assert [found.ratio(name, 3, "ours") for name in rows] == [0.5, 0.125]
    assert found.mean(3, "ours") == pytest.approx(0.25)
    assert found.mean(3, "ours", "median") == pytest.approx(1.0)
    assert found.summary().splitlines()[-1].split() == ["ours", "0.250"]
    assert BEST.psnr == pytest.approx(20.0)
    assert "ddim" in found.table()
    assert math.isinf(Row.of(np.array([1.0, math.inf]), 0.0, 8).rms)


def test_what_is_finished_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second call measures nothing, and a damaged file is named. Of the published ways one takes part."""
    module, ways = import_module("fokker.benchmarks.contest.contest"), ("default", "best published", "gits-ddim", *OURS)
    monkeypatch.setattr(module, "WAYS", ways)
    first = contest(["plane-condot"], [3], folder=tmp_path, samples=32)
    assert set(first.rows["plane-condot"][3]) == set(ways)
    for name in ("tune", "starts_of", "Trajectories"):
        monkeypatch.delattr(module, name)
    assert run(["plane-condot"], [3], folder=tmp_path, samples=32) == first
    cell = first.rows["plane-condot"][3]
    assert cell["ours"].trimmed <= cell["default"].trimmed
    assert {row.noises for row in cell.values()} == {(48, 32)}
    damaged = next((tmp_path / "contest").iterdir())
    damaged.write_bytes(damaged.read_bytes().replace(b"0", b"1", 1))
    with pytest.raises(ValueError, match=damaged.name):
        contest(["plane-condot"], [3], folder=tmp_path, samples=32)


def test_the_ways_and_problems_are_those_of_the_table() -> None:
    assert len(PROBLEMS) == 11
    ours = ["ours, times", "ours, schedule", "ours, coefficients", "ours"]
    assert [*WAYS] == ["default", "best published", *BASELINES, *ours]
    made = PROBLEMS["space-condot"]()
    assert (made.shape, made.name) == ((64,), "space-condot")
    with pytest.raises(ValueError, match="problem"):
        contest(["none"], folder="never")

"""Rows: what they hold, and that an interruption leaves one for each step."""

from __future__ import annotations

import builtins
import csv
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from fokker.generative.training.metrics import BINS, COLUMNS, EDGES, Metrics, loss_by_log_snr


def fill(file: Path, start: int, stop: int, tensorboard: Path | None = None, flush: bool = True) -> Metrics:
    metrics = Metrics(file, start, tensorboard)
    for step in range(start + 1, stop + 1):
        log_snr, loss = torch.tensor([-18.0, 0.4, 1.8]), torch.tensor([1.0, 2.0, 4.0]) * step
        metrics.add(step, [0.5 * step, 1e-3, 2.0, 0.9], log_snr, loss)
    if flush:
        metrics.flush()
    return metrics


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_loss_by_log_snr() -> None:
    log_snr = torch.tensor([-math.inf, -9.0, -8.0, -7.0, 0.0, 7.999, 8.0, math.inf])
    means = loss_by_log_snr(log_snr, torch.arange(8.0))
    assert means == [0.5, 2.5, None, None, None, 4.0, None, None, 5.0, 6.5]
    assert len(BINS) == len(EDGES) + 1 == len(means)


def test_a_row_says_what_was_seen(tmp_path: Path) -> None:
    fill(tmp_path / "m.csv", 0, 3).close()
    first, _, third = rows(tmp_path / "m.csv")
    assert list(first) == COLUMNS
    assert (third["step"], third["loss"], third["rate"], third["ema_decay"]) == ("3", "1.5", "0.001", "0.9")
    assert (third["loss[-inf,-8)"], third["loss[0,2)"], third["loss[2,4)"]) == ("3.0", "9.0", "")


@pytest.mark.parametrize("start", [0, 2, 4, 7])
def test_going_on_takes_back_later_rows_and_doubles_none(start: int, tmp_path: Path) -> None:
    fill(tmp_path / "whole.csv", 0, 9).close()
    fill(tmp_path / "m.csv", 0, 7).close()
    fill(tmp_path / "m.csv", start, 9).close()
    assert (tmp_path / "m.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.parametrize("tail", ["8", "8,4.0,0.001", "7", "\x00\x00", '8,"'])
def test_a_row_that_was_cut_short_is_taken_back(tail: str, tmp_path: Path) -> None:
    file = tmp_path / "m.csv"
    fill(tmp_path / "whole.csv", 0, 9).close()
    fill(file, 0, 6).close()
    file.write_text(file.read_text() + tail)
    fill(file, 6, 9).close()
    assert file.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_flushed_rows_are_on_the_disk(tmp_path: Path) -> None:
    metrics = fill(tmp_path / "m.csv", 0, 4)
    assert [row["step"] for row in rows(tmp_path / "m.csv")] == ["1", "2", "3", "4"]
    metrics.close()


def test_a_file_of_other_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("step,loss\n1,2.0\n")
    with pytest.raises(ValueError, match=r"m.csv has other columns than step,loss,rate,.*; remove it"):
        Metrics(tmp_path / "m.csv", 1)


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = accumulator.EventAccumulator(str(folder))
    found.Reload()
    return [(event.step, event.value) for event in found.Scalars(tag)]


def test_tensorboard_sees_the_same_rows_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    killed = fill(tmp_path / "m.csv", 0, 7, tmp_path / "board")
    fill(tmp_path / "m.csv", 4, 9, tmp_path / "board").close()
    assert scalars(tmp_path / "board", "loss") == [(step, 0.5 * step) for step in range(1, 10)]
    assert scalars(tmp_path / "board", "loss/[0,2)") == [(step, 3.0 * step) for step in range(1, 10)]
    killed.close()


def test_without_tensorboard_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if name.split(".")[0] == "tensorboard":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *args, **options)

    for name in [name for name in sys.modules if name.startswith(("tensorboard", "torch.utils.tensorboard"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r'TensorBoard is not installed: pip install "fokker\[train\]"'):
        Metrics(tmp_path / "m.csv", 0, tmp_path / "board")
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_text_is_refused_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(b"\xff\xfe step")
    with pytest.raises(ValueError, match=f"^{file}: 'utf-8' codec"):
        Metrics(file, start=3)

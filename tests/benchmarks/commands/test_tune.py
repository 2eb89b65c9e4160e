"""`fokker tune`: the file that it writes samples, and the same command goes on from a folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from fokker.benchmarks.problems import problem
from fokker.cli import main
from fokker.generative import sample
from fokker.solvers import Scheme


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["fokker", "tune", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_the_file_is_a_sampler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, folder = tmp_path / "ring.json", tmp_path / "kept"
    words = ("ring", "--nfe", "2", "--samples", "64", "--out", str(file), "--folder", str(folder))
    assert run(monkeypatch, *words) in (0, None)
    out = capsys.readouterr().out.replace("\n", " ")
    assert "Order 0" in out
    assert str(file) in out
    first = Scheme.load(file)
    assert sample(problem("ring").denoiser, (3, 2), 2, sampler=file, dtype=torch.float64).shape == (3, 2)
    assert run(monkeypatch, *words) in (0, None)
    assert Scheme.load(file).evaluations == first.evaluations


@pytest.mark.parametrize(
    ("words", "said"), [([], "with --folder FOLDER the same command"), (["--folder", "kept"], "kept keeps")]
)
def test_an_interrupted_fit_says_how_to_go_on(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fokker.benchmarks.commands.tune.tune", stopped)
    assert run(monkeypatch, "ring", *words) == 130
    told, ended = capsys.readouterr().err.splitlines()
    assert said in told
    assert "Interrupted" in ended


def test_a_stochastic_sampler_has_its_noise_fitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "noise.json"
    words = ("ring", "--nfe", "3", "--samples", "100", "--sampler", "ddpm", "--out", str(file))
    assert run(monkeypatch, *words) in (0, None)
    assert "matched Gaussian" in capsys.readouterr().out
    assert Scheme.load(file).about["eta"] == 1.0
    assert sample(problem("ring").denoiser, (3, 2), 3, sampler=file, dtype=torch.float64).shape == (3, 2)

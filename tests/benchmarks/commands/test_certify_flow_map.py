"""`fokker certify FLOW_MAP --teacher NETWORK`: the tables, the file, and the verdict."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fokker.benchmarks.commands.certify_flow_map import certify_student

MODULE = """
import torch
from fokker import CondOT, Denoiser, FlowMap, Gaussian

data, path = Gaussian(torch.zeros(2), torch.eye(2)), CondOT()
teacher = data.denoiser(path)


class Early:
    shape, classes = (2,), 3

    def __call__(self, x, s, t, label):
        return teacher.output(s, x)


class Teacher:
    classes = 3

    def __call__(self, x, time, label):
        return teacher.net(x, time)


taught = Denoiser(Teacher(), path, predicts="v")
early = FlowMap(Early(), path, predicts="v")
"""


def test_a_flow_map_is_certified_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The start of a student of N(0, I) jumps to the mean: an error of 1."""
    (tmp_path / "few_steps_mine.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "found.json"
    assert not certify_student("few_steps_mine:early", "few_steps_mine:taught", file)
    printed = capsys.readouterr().out
    assert printed.startswith("fail  few_steps_mine:early against Denoiser(Teacher")
    assert f"written: {file}" in printed
    found = json.loads(file.read_text())
    assert found["verdict"] == "fail"
    assert found["laws"][0]["error"] == pytest.approx(1.0, abs=1e-3)

"""`fokker certify-likelihood`: the certificate on stdout and as JSON, the verdict as the exit status."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from fokker.cli import main

CODE = """
import math

def normal(x):
    return -0.5 * x.square().flatten(1).sum(1) - 0.5 * x[0].numel() * math.log(2.0 * math.pi)

def right(velocity, x, seed):
    return velocity.law.log_prob(x.double().flatten(1))

def of_denoiser(denoiser, x, seed):
    return right(denoiser.net, x, seed)

def without_divergence(velocity, x, seed):
    h = -1.0 / 200
    for i in range(200):
        middle = x + 0.5 * h * velocity(x, 1.0 + i * h)
        x = x + h * velocity(middle, 1.0 + (i + 0.5) * h)
    return normal(x)
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "of_my_own.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    threads = torch.get_num_threads()
    yield "of_my_own"
    torch.set_num_threads(threads)
    sys.modules.pop("of_my_own", None)


def fokker(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Runs the command in this process; its exit status."""
    monkeypatch.setattr(sys, "argv", ["fokker", "certify-likelihood", *arguments])
    with pytest.raises(SystemExit) as ending:
        main()
    return int(ending.value.code or 0)


def test_a_right_function_passes(
    mine: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fokker(monkeypatch, f"{mine}:right", "--dim", "4", "--json", "found.json") == 0
    out = capsys.readouterr().out
    assert out.startswith("pass  of_my_own:right in 4 dimensions: No fault was found on 32 samples of each law.")
    assert out.endswith("written: found.json\n")
    found = json.loads(Path("found.json").read_text())
    assert (found["name"], found["dim"], found["verdict"]) == ("of_my_own:right", 4, "pass")
    assert {each["about"] for each in found["findings"]} == {"bias", "batch", "dtype", "shape"}


def test_forms_and_shapes(mine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fokker(monkeypatch, f"{mine}:of_denoiser", "--form", "denoiser", "--dim", "6", "--shape", "2x3") == 0
    assert fokker(monkeypatch, f"{mine}:of_denoiser", "--dim", "2") == 2  # a velocity has no net


def test_a_wrong_function_fails_with_its_fault(
    mine: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fokker(monkeypatch, f"{mine}:without_divergence", "--dim", "3", "--tolerance", "0.1", "--seed", "1") == 1
    out = capsys.readouterr().out
    assert out.startswith("fail  of_my_own:without_divergence in 3 dimensions: Wrong: bias, fault")
    assert "The divergence is left out." in out

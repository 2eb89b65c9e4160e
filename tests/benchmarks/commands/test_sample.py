"""`fokker sample`: pictures, and numbers from any engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fokker.benchmarks.commands.sample import draw
from fokker.generative import load, named, sample
from fokker.generative.training import read
from fokker.solvers import ExponentialAdams, unroll

OPTIONS = {"nfe": 4, "label": None, "guidance": None, "seed": 2}


@pytest.fixture(autouse=True)
def _one_thread() -> object:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_numbers_are_those_of_sample_from_any_engine(tmp_path: Path) -> None:
    draw("digits-flow", 25, tmp_path / "here.npy", **OPTIONS)
    draw("digits-flow", 25, tmp_path / "local.safetensors", engine="local", **OPTIONS)
    labels = torch.arange(25) % 10
    expected = sample(load("digits-flow"), (25, 1, 8, 8), nfe=4, label=labels, seed=2)
    tensors, facts = read(tmp_path / "local.safetensors")
    assert torch.equal(torch.from_numpy(np.load(tmp_path / "here.npy")), expected)
    assert torch.equal(tensors["samples"], expected)
    assert torch.equal(tensors["label"], labels)
    assert facts == {"network": "digits-flow", "nfe": 4, "guidance": None, "sampler": None, "seed": 2}


def test_a_file_of_a_table_draws_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes need no file: they get the table."""
    monkeypatch.chdir(tmp_path)
    denoiser, row = load("digits-flow"), named("dpm++2m")
    equation, times, solver = row(denoiser, 4)
    table = replace(unroll(equation, times, solver), about={"hold": row.hold})
    table.save("mine.json")
    draw("digits-flow", 3, tmp_path / "here.npy", sampler="mine.json", **OPTIONS)
    expected = sample(denoiser, (3, 1, 8, 8), nfe=4, label=range(3), seed=2, sampler=table)
    assert torch.equal(torch.from_numpy(np.load(tmp_path / "here.npy")), expected)
    unroll(equation, [0.0, 0.1, 0.3, 0.5, 0.7, 1.0], ExponentialAdams(2, start_up=False)).save("five.json")
    with pytest.raises(ValueError, match=r"^nfe = 4 is less than the 5 evaluations that .* takes; allow 5"):
        draw("digits-flow", 3, tmp_path / "here.npy", sampler="five.json", **OPTIONS)


@pytest.mark.slow
def test_a_picture_is_drawn_of_images_from_local_processes(tmp_path: Path) -> None:
    draw("digits-flow", 7, tmp_path / "here.png", **OPTIONS)
    draw("digits-flow", 7, tmp_path / "local.png", engine="local", **OPTIONS)
    assert (tmp_path / "here.png").read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / "here.png").read_bytes() == (tmp_path / "local.png").read_bytes()

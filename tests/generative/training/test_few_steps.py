"""Flow maps are trained by the same loop: repeatable bit for bit, interrupted or killed, from a teacher."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from fokker.generative import Denoiser, FlowMap, sample
from fokker.generative.training import Images, Training, data, load, read, train
from fokker.generative.training.checkpoint import shipped
from fokker.generative.training.objectives import OBJECTIVES, Teacher
from fokker.generative.training.state import State
from fokker.solvers import Euler

INNER = {"class": "MLP", "dim": 4, "width": 16, "depth": 1, "classes": 2}
PLAIN = {"predicts": "velocity", "path": {"class": "CondOT"}, "batch": 16, "learning_rate": 1e-2, "warmup": 2}


def two_classes() -> Images:
    """2×2 images, one class dark and one bright."""
    levels = torch.tensor([0, 3]).repeat(20)[:, None, None, None].expand(40, 1, 2, 2).contiguous()
    label = torch.tensor([0, 1]).repeat(20)
    return Images(levels, label, levels, label, levels=4, classes=2)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(data.DATASETS, "tiny", two_classes)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The file of a network that was trained for a moment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(data.DATASETS, "tiny", two_classes)
        training = Training(data="tiny", network=INNER, steps=200, **PLAIN)
        return str(train(training, tmp_path_factory.mktemp("teacher") / "net"))


def student(objective: dict[str, Any], guided: bool = False, **change: Any) -> Training:
    network = {"class": "TwoTimes", "network": INNER, "guided": guided}
    return Training(data="tiny", network=network, objective=objective, **{"steps": 8, **PLAIN, **change})


def objectives(teacher: str) -> dict[str, Training]:
    guided = {"network": teacher, "guidance": [1.0, 2.0], "solver": "Euler", "substeps": 2}
    huber = {"class": "PseudoHuber", "c": 0.01}
    return {
        "distillation": student({"class": "ConsistencyDistillation", "teacher": teacher, "anywhere": True}),
        "guided": student({"class": "ConsistencyDistillation", "teacher": guided, "grid": "karras"}, guided=True),
        "training": student({"class": "ConsistencyTraining", "distance": huber, "last": 10}),
        "progressive": student(
            {"class": "ProgressiveDistillation", "teacher": teacher, "first": 2, "rounds": 2, "rehearse": True},
            weighting={"class": "TruncatedSNR"},
        ),
        "mean flow": student({"class": "MeanFlow"}, times={"class": "LogitNormal"}),
        "taught mean flow": student({"class": "MeanFlow", "teacher": teacher, "equal": 0.5}),
    }


NAMES = ["distillation", "guided", "training", "progressive", "mean flow", "taught mean flow"]


def bits(file: Path) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in read(file)[0].items()}


@pytest.mark.parametrize("name", NAMES)
def test_a_student_that_was_interrupted_goes_on_bit_for_bit(
    name: str, teacher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = objectives(teacher)[name]
    whole = train(training, tmp_path / "whole", every=3)
    replace = os.replace
    writes = 0

    def fails_after_the_second(*files: Any) -> None:
        nonlocal writes
        replace(*files)
        writes += 1
        if writes == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("fokker.solvers.common.files.os.replace", fails_after_the_second)
        with pytest.raises(KeyboardInterrupt):
            train(training, tmp_path / "parts", every=3)
    assert int(read(tmp_path / "parts.state")[0]["step"]) == 6
    assert train(training, tmp_path / "parts", every=3).read_bytes() == whole.read_bytes()
    assert bits(tmp_path / "parts.state") == bits(tmp_path / "whole.state")
    flow_map = load(whole)
    assert isinstance(flow_map, FlowMap)
    assert sample(flow_map, (4, 1, 2, 2), nfe=2, label=[0, 1, 0, 1]).isfinite().all()


KILLED = """
import json, os, signal, sys
import torch
from fokker.generative.training import Training, data, train
from fokker.solvers.common import files

label = torch.arange(40) % 2
levels = (3 * label)[:, None, None, None].expand(40, 1, 2, 2).contiguous()
data.DATASETS["tiny"] = lambda: data.Images(levels, label, levels, label, levels=4, classes=2)
torch.set_num_threads(1)
replace, writes = os.replace, 0

def kills(*names):
    global writes
    writes += 1
    if writes == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*names)

files.os.replace = kills
train(Training(**json.loads(sys.argv[2])), sys.argv[1], every=3, metrics=True)
"""


def test_a_student_that_was_killed_goes_on_bit_for_bit(teacher: str, tmp_path: Path) -> None:
    """Killed while the state of step 6 is written, after the header of the rows and the state of step 3."""
    training = objectives(teacher)["progressive"]
    whole = train(training, tmp_path / "whole", every=3, metrics=True)
    command = [sys.executable, "-c", KILLED, str(tmp_path / "parts"), json.dumps(training.record())]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert int(read(tmp_path / "parts.state")[0]["step"]) == 3
    assert train(training, tmp_path / "parts", every=3, metrics=True).read_bytes() == whole.read_bytes()
    assert (tmp_path / "parts.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_student_begins_as_its_teacher(teacher: str) -> None:
    """Its first jump is a step of DDIM, to float32's rounding. One of another architecture begins from the seed."""
    training = objectives(teacher)["distillation"]
    x, label = torch.randn(6, 1, 2, 2), torch.arange(6) % 2
    s, t = torch.rand(2, 6).sort(dim=0).values
    flow_map = FlowMap(State(training).net, training.gaussian_path, predicts="velocity").given(label)
    denoiser = load(teacher)
    assert isinstance(denoiser, Denoiser)
    expected = Teacher(denoiser, Euler()).given(label).step(x, s, t)
    torch.testing.assert_close(flow_map(x, s, t), expected, rtol=1e-4, atol=1e-5)
    wider = {"class": "TwoTimes", "network": {**INNER, "width": 8}}
    other = State(dataclasses.replace(training, network=wider)).net
    fresh = State(student({"class": "ConsistencyTraining"}, seed=0)).net
    assert other.arguments["network"]["width"] == 8
    assert fresh(x, s, t).ne(State(training).net(x, s, t)).any()


def test_a_student_learns_what_its_teacher_does(teacher: str, tmp_path: Path) -> None:
    """After 300 steps one jump is nearer to the teacher's flow than its step of DDIM is, by a factor of three."""
    training = student(
        {"class": "ProgressiveDistillation", "teacher": teacher, "first": 2, "rounds": 2}, steps=300, ema=0.9
    )
    flow_map, denoiser = load(train(training, tmp_path / "net")), load(teacher)
    label = torch.arange(200) % 2
    shape = (200, 1, 2, 2)
    exact, euler = sample(denoiser, shape, 50, label), sample(denoiser, shape, 1, label, sampler=Euler())
    found = sample(flow_map, shape, 1, label)
    assert (found - exact).square().mean() < (euler - exact).square().mean() / 9


SHIPPED = [name for name in shipped() if name.endswith("-map")]


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("nfe", [1, 2])
def test_a_shipped_student_is_nearer_to_its_teacher_s_flow_than_the_teacher_s_default(name: str, nfe: int) -> None:
    """On 30 noises, by a factor of √2 in RMS; on 1000 it is 1.8 to 3.4. At four evaluations the default is nearer."""
    label = torch.arange(30) % 10
    denoiser, flow_map, shape = load(name.removesuffix("-map")), load(name), (30, 1, 8, 8)
    exact = sample(denoiser, shape, 20, label)
    taught, plain = (sample(model, shape, nfe, label) for model in (flow_map, denoiser))
    assert (taught - exact).square().mean() < (plain - exact).square().mean() / 2


def test_metrics_and_sheets_are_those_of_every_training(teacher: str, tmp_path: Path) -> None:
    train(objectives(teacher)["taught mean flow"], tmp_path / "net", metrics=True, sheet_every=8)
    assert len((tmp_path / "net.csv").read_text().splitlines()) == 9
    assert sorted(file.name for file in (tmp_path / "net.sheets").iterdir()) == ["0.png", "8.png"]


def test_rates_begin_anew_in_each_round(teacher: str) -> None:
    training = dataclasses.replace(objectives(teacher)["progressive"], steps=20, learning_rate=1.0)
    assert training.rate(0) == training.rate(10) == 0.5
    assert training.rate(5) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"objective": "MeanFlow"}, "objective is 'MeanFlow'; give a class"),
        ({"objective": {"class": "Meanflow"}}, "Unknown class of objective 'Meanflow'; choose one of Consistency"),
        ({"objective": {"class": "MeanFlow", "equal": 2.0}}, "objective MeanFlow does not fit: equal is 2"),
        ({"objective": {"class": "MeanFlow", "distance": {"class": "L1"}}}, "Unknown class of distance 'L1'"),
        ({"objective": {"class": "ConsistencyDistillation"}}, "needs a teacher; give teacher = "),
        ({"objective": {"class": "ConsistencyTraining", "teacher": "digits-flow"}}, "takes no teacher; leave it out"),
        ({"objective": {"class": "MeanFlow", "teacher": 3}}, "network of the teacher is 3"),
        ({"objective": {"class": "MeanFlow", "teacher": {"network": "digits-flow", "steps": 2}}}, "teacher Teacher d"),
        ({"objective": {"class": "MeanFlow", "teacher": {"network": "digits-flow", "solver": 1}}}, "Unknown solver"),
        ({"objective": {"class": "MeanFlow", "teacher": "digits-eps"}}, r"teacher is on VP\(.*use one path"),
        ({"objective": {"class": "MeanFlow", "teacher": "digits-flow"}}, "knows 2 classes, but its teacher 10"),
        ({"network": INNER}, "MeanFlow trains a network of two times"),
        ({"objective": None}, "A network of two times needs an objective"),
        ({"importance": 4}, "MeanFlow draws its times itself; leave importance out"),
        ({"weighting": {"class": "SNR"}}, "MeanFlow has its weights in its distance"),
        ({"predicts": "state"}, "MeanFlow learns a velocity, which a prediction of the state does not determine"),
        ({"predicts": "noise"}, "choose one of x0"),
        ({"times": {"class": "LogitNormal"}, "objective": {"class": "ConsistencyTraining"}}, "times of its own; leave"),
        ({"network": {"class": "TwoTimes", "network": INNER, "guided": True}}, "give both guided = true and guidance"),
    ],
)
def test_what_cannot_be_trained_is_refused_when_it_is_said(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(student({"class": "MeanFlow"}), **change)


def test_a_missing_teacher_is_told_with_those_that_there_are() -> None:
    with pytest.raises(FileNotFoundError, match="digits-flow"):
        student({"class": "MeanFlow", "teacher": "digits"})


def test_a_flow_map_teaches_nobody(teacher: str, tmp_path: Path) -> None:
    file = train(student({"class": "MeanFlow"}), tmp_path / "net")
    with pytest.raises(ValueError, match="is a flow map; a teacher is a network of one time"):
        student({"class": "MeanFlow", "teacher": str(file)})


def test_every_objective_has_a_name() -> None:
    assert set(OBJECTIVES) == {"ConsistencyDistillation", "ConsistencyTraining", "MeanFlow", "ProgressiveDistillation"}

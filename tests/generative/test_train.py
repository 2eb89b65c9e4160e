"""The same configuration gives the same bits, interrupted or not; and training learns something."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from fokker.generative import data, train as module
from fokker.generative.checkpoint import build_network, build_path, load, read
from fokker.generative.data import Images
from fokker.generative.losses import regression_loss
from fokker.generative.train import CONFIGS, Training, configurations, train

TINY = Training(
    data="tiny",
    predicts="velocity",
    network={"class": "MLP", "dim": 4, "width": 16, "depth": 1, "classes": 2},
    path={"class": "CondOT"},
    steps=10,
    batch=32,
    learning_rate=1e-2,
    warmup=2,
)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two classes of 2×2 images, one dark and one bright."""
    levels = torch.tensor([0, 3]).repeat(20)[:, None, None, None].expand(40, 1, 2, 2).contiguous()
    label = torch.tensor([0, 1]).repeat(20)
    images = Images(levels, label, levels, label, levels=4, classes=2)
    monkeypatch.setitem(data.DATASETS, "tiny", lambda: images)


def bits(file: Path) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in read(file)[0].items()}


def test_the_same_configuration_gives_the_same_bits(tmp_path: Path) -> None:
    first, second = (train(TINY, tmp_path / name / "net.safetensors") for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    other = train(dataclasses.replace(TINY, seed=1), tmp_path / "c")
    assert bits(other) != bits(first)


def test_an_interrupted_training_continues_as_if_nothing_had_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(TINY, tmp_path / "whole", every=4)
    calls = 0

    def fails_at_the_seventh(*args: Any, **options: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 7:
            raise KeyboardInterrupt
        return regression_loss(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(module, "regression_loss", fails_at_the_seventh)
        with pytest.raises(KeyboardInterrupt):
            train(TINY, tmp_path / "parts", every=4)
    assert not (tmp_path / "parts").exists()
    parts = train(TINY, tmp_path / "parts", every=4)
    assert parts.read_bytes() == whole.read_bytes()
    assert bits(tmp_path / "parts.state") == bits(tmp_path / "whole.state")


def test_a_finished_training_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = train(TINY, tmp_path / "net").read_bytes()
    monkeypatch.setattr(module, "regression_loss", None)
    assert train(TINY, tmp_path / "net").read_bytes() == before


def test_a_state_of_another_configuration_is_refused(tmp_path: Path) -> None:
    train(TINY, tmp_path / "net")
    with pytest.raises(ValueError, match="belongs to another configuration"):
        train(dataclasses.replace(TINY, steps=20), tmp_path / "net")


def test_training_learns_the_classes(tmp_path: Path) -> None:
    """The denoised middle of a noisy image is dark for class 0 and bright for class 1."""
    denoiser = load(train(dataclasses.replace(TINY, steps=300), tmp_path / "net"))
    x0 = denoiser.given([0, 1]).predict("x0", 0.1, torch.zeros(2, 1, 2, 2))
    torch.testing.assert_close(x0.mean(dim=(1, 2, 3)), torch.tensor([-0.75, 0.75]), rtol=0, atol=0.1)


def test_a_loss_that_is_not_finite_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "regression_loss", lambda *args, **options: torch.tensor(torch.nan))
    with pytest.raises(FloatingPointError, match="nan at step 0; lower learning_rate"):
        train(TINY, tmp_path / "net")
    assert not list(tmp_path.iterdir())


def test_the_rate_warms_up_and_decays_to_zero() -> None:
    training = dataclasses.replace(TINY, steps=1000, warmup=10, learning_rate=1.0)
    assert training.rate(0) == pytest.approx(0.1)
    assert training.rate(500) == pytest.approx(0.5)
    assert training.rate(1000) == pytest.approx(0.0, abs=1e-12)


def test_every_committed_configuration_can_be_built() -> None:
    names = configurations()
    assert {"digits-flow", "digits-eps", "digits-rough", "mnist-flow", "mnist-eps"} <= set(names)
    for name in names:
        training = Training.read(name)
        assert training == Training.read(CONFIGS / f"{name}.toml")
        build_network(training.network)
        build_path(training.path)


def test_the_stress_case_differs_from_digits_flow_in_its_top_frequency_alone() -> None:
    smooth, rough = Training.read("digits-flow"), Training.read("digits-rough")
    network = {**smooth.network, "top_frequency": 1000.0}
    assert dataclasses.replace(smooth, network=network) == rough


@pytest.mark.parametrize("name", configurations())
def test_a_shipped_network_has_the_committed_configuration(name: str) -> None:
    denoiser, training = load(name), Training.read(name)
    assert {"class": type(denoiser.net).__name__, **denoiser.net.arguments} == {
        "channels": 1,
        "patch": 1,
        **training.network,
    }
    assert denoiser.path == build_path(training.path)
    assert denoiser.predicts == training.predicts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps = ", "is no TOML file"),
        ("step = 5", "unknown keys step; valid: data, predicts"),
        ('data = "digits"', "lacks the keys batch, learning_rate, network, path, predicts, steps"),
    ],
)
def test_files_that_are_no_configuration(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(ValueError, match=message):
        Training.read(tmp_path / "x.toml")


def test_an_unknown_name_lists_the_committed_ones() -> None:
    with pytest.raises(FileNotFoundError, match="digits-flow"):
        Training.read("digits")


@pytest.mark.parametrize(
    ("change", "message"),
    [({"steps": 0}, "steps is 0"), ({"ema": 1.0}, "ema is 1.0"), ({"batch": "many"}, "batch is 'many'")],
)
def test_numbers_out_of_range(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **change)

"""What is saved is what is loaded; what is no checkpoint is refused; nothing is half-written."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fokker.generative.networks import MLP, UNet
from fokker.generative.paths import VP, CondOT, Cosine, GaussianPath, Shifted, Table, squared_cosine_betas
from fokker.generative.training import load, read, write
from fokker.generative.training.checkpoint import WEIGHTS, build_path, describe_path, save_checkpoint, shipped


@dataclass(frozen=True)
class Straight(CondOT):
    """A path of one's own."""

    colour: float = 0.5


@pytest.fixture
def net() -> MLP:
    torch.manual_seed(0)
    return MLP(3, width=8, depth=1, classes=2)


def test_saved_and_loaded(net: MLP, tmp_path: Path) -> None:
    path = Cosine(log_snr_min=-5.0, shift=0.5)
    save_checkpoint(tmp_path / "a.safetensors", net, path, predicts="v", time="log_snr", training={"seed": 1})
    denoiser = load(tmp_path / "a.safetensors")
    assert denoiser.path == path
    assert denoiser.predicts == "v"
    assert denoiser.time == "log_snr"
    assert denoiser.net.arguments == net.arguments
    assert not denoiser.net.training
    for name, value in denoiser.net.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, net.state_dict()[name].half().float())
    assert not any(parameter.requires_grad for parameter in denoiser.net.parameters())


def test_a_name_that_is_not_there_lists_the_shipped_ones() -> None:
    with pytest.raises(FileNotFoundError, match="digits-flow"):
        load("digits")


def test_a_file_that_is_no_safetensors(tmp_path: Path) -> None:
    for content in (b"", b"no tensors here", b"\x80\x02}q\x00."):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(ValueError, match="is no safetensors file"):
            load(tmp_path / "x")


def test_a_safetensors_file_of_somebody_else(tmp_path: Path) -> None:
    save_file({"w": torch.zeros(2)}, tmp_path / "x")
    with pytest.raises(ValueError, match="carries no Fokker configuration"):
        load(tmp_path / "x")
    save_file({"w": torch.zeros(2)}, tmp_path / "x", {"fokker": json.dumps({"format": 99})})
    with pytest.raises(ValueError, match="is of format 99, but this version reads 1 and 2"):
        load(tmp_path / "x")


def test_a_file_of_the_first_format_keeps_its_meaning(tmp_path: Path) -> None:
    """There log(α/σ) was called log-SNR: by the clock, and by the bounds of `Cosine`, inside a `Shifted` too."""
    net = MLP(dim=3, width=8, depth=1)
    path = {"class": "Shifted", "path": {"class": "Cosine", "log_snr_min": -4.0, "log_snr_max": 5.0}, "shift": 0.5}
    told = {"network": {"class": "MLP", **net.arguments}, "path": path, "predicts": "v", "time": "log_snr"}
    save_file(net.state_dict(), tmp_path / "x", {"fokker": json.dumps({"format": 1, **told})})
    denoiser = load(tmp_path / "x")
    assert denoiser.time == "half_log_snr"
    assert denoiser.path == Shifted(Cosine(-8.0, 10.0), 0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": {"class": "GPT"}}, "Unknown class of network 'GPT'; choose one of .*MLP, UNet"),
        ({"network": {"class": "MLP", "dim": 3, "colour": 1}}, "network MLP does not fit.*colour"),
        ({"network": {"class": "MLP", "dim": 4}}, "holds other weights than its configuration"),
        ({"path": {"class": "Bent"}}, "Unknown class of path 'Bent'; choose one of CondOT, Cosine"),
        ({"path": {"class": "Shifted", "path": {"class": "Spiral"}, "shift": 1.0}}, "Unknown class of path 'Spiral'"),
        ({"path": {"class": "Shifted", "path": 1.0, "shift": 1.0}}, "path Shifted does not fit"),
        ({"path": {"class": "CondOT", "sigma": 1.0}}, "path CondOT does not fit.*sigma"),
        ({"predicts": "noise"}, "noise"),
        ({"predicts": None}, "lacks predicts"),
    ],
)
def test_a_configuration_that_does_not_fit(net: MLP, tmp_path: Path, change: dict, message: str) -> None:
    file = tmp_path / "x"
    save_checkpoint(file, net, CondOT(), predicts="velocity")
    tensors, configuration = read(file)
    changed = {key: value for key, value in {**configuration, **change}.items() if value is not None}
    write(file, tensors, changed)
    with pytest.raises(ValueError, match=message):
        load(file)


def test_only_networks_that_can_be_built_again_are_saved(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"Cannot save a Linear; give one of .*MLP, UNet"):
        save_checkpoint(tmp_path / "x", torch.nn.Linear(1, 1), VP(), predicts="eps")


def test_only_paths_that_can_be_built_again_are_saved(net: MLP, tmp_path: Path) -> None:
    class Changed(CondOT):
        """No dataclass: its argument is no field."""

        def __init__(self, noise: float) -> None:
            super().__init__(noise)

    @dataclass(frozen=True)
    class Holding(CondOT):
        thing: object = None

    @dataclass(frozen=True)
    class VP(CondOT):
        """Another path has the name."""

    paths: list[tuple[str, GaussianPath]] = [("Changed", Changed(0.1)), ("Holding", Holding(thing=print)), ("VP", VP())]
    for name, path in paths:
        for given in (path, Shifted(path, 1.0)):
            with pytest.raises(TypeError, match=f"Cannot save a {name}; a path that is saved is a frozen dataclass"):
                save_checkpoint(tmp_path / "x", net, given, predicts="eps")
    assert not list(tmp_path.iterdir())
    assert build_path({"class": "VP"}) != VP()


def test_a_path_of_ones_own_is_saved_and_loaded(net: MLP, tmp_path: Path) -> None:
    path = Shifted(Straight(0.1, colour=2.0), -0.5)
    save_checkpoint(tmp_path / "x", net, path, predicts="v")
    assert load(tmp_path / "x").path == path
    again = type("Straight", (CondOT,), {"__module__": Straight.__module__})  # the cell of a notebook, run again
    assert type(build_path({"class": "Straight"})) is again


def test_an_interrupted_write_leaves_the_old_file(
    net: MLP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "x"
    save_checkpoint(file, net, VP(), predicts="eps")
    before = file.read_bytes()

    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        save_checkpoint(file, net, VP(), predicts="x0")
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("path", [Cosine(-5.0, 6.0, 0.5), Shifted(Table(squared_cosine_betas(20)), -0.7)], ids=str)
def test_a_path_is_saved_and_loaded(net: MLP, tmp_path: Path, path: GaussianPath) -> None:
    save_checkpoint(tmp_path / "x", net, path, predicts="v")
    assert load(tmp_path / "x").path == path


def test_a_path_and_its_configuration() -> None:
    assert build_path({"class": "VP", "beta_max": 10.0}) == VP(beta_max=10.0)
    assert build_path({"class": "CondOT"}) == CondOT()  # as files from before sigma_min have it
    nested = {"class": "Shifted", "path": {"class": "CondOT", "sigma_min": 0.0}, "shift": -1.0}
    assert describe_path(Shifted(CondOT(), -1.0)) == nested
    assert build_path(nested) == Shifted(CondOT(), -1.0)


def test_what_is_stated_beside_a_file_must_be_what_it_says(net: MLP, tmp_path: Path) -> None:
    file = tmp_path / "x"
    save_checkpoint(file, net, Shifted(CondOT(), -1.0), predicts="v", time="log_snr")
    assert load(file, path=Shifted(CondOT(), -1.0), predicts="v", time="log_snr").predicts == "v"
    for stated, message in (
        ({"path": CondOT()}, r"with path = Shifted\(.*shift=-1.0\), but path = CondOT\(sigma_min=0.0\) was stated"),
        ({"predicts": "eps"}, "with predicts = 'v', but predicts = 'eps' was stated; leave predicts out"),
        ({"time": "t"}, "with time = 'log_snr', but time = 't' was stated"),
        ({"time": lambda t: t}, "with time = 'log_snr', but time = <function"),
    ):
        with pytest.raises(ValueError, match=message):
            load(file, **stated)


def test_what_is_shipped() -> None:
    assert {"digits-flow", "digits-eps", "digits-rough", "mnist-flow", "mnist-eps"} <= set(shipped())
    assert sum(file.stat().st_size for file in WEIGHTS.glob("*.safetensors")) < 8e6


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_network_is_the_one_of_its_card(name: str) -> None:
    card = json.loads((WEIGHTS / f"{name}.json").read_text())
    assert card["sha256"] == hashlib.sha256((WEIGHTS / f"{name}.safetensors").read_bytes()).hexdigest()
    denoiser = load(name)
    assert isinstance(denoiser.net, UNet)
    x = torch.zeros(2, *denoiser.net.shape)
    assert denoiser.given([0, 1]).predict("x0", 0.5, x).shape == x.shape

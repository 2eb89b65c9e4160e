"""What is saved is what is loaded; what is no checkpoint is refused; nothing is half-written."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fokker.generative.flow_maps import FlowMap
from fokker.generative.networks import MLP, DiT, TwoTimes, UNet
from fokker.generative.paths import VP, CondOT, Cosine, GaussianPath, Shifted, Table, squared_cosine_betas
from fokker.generative.training import load, read, training_record, write
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
    with pytest.raises(ValueError, match="is of format 99, but this version reads 1 to 3"):
        load(tmp_path / "x")


def test_a_file_of_the_first_format_keeps_its_meaning(tmp_path: Path) -> None:
    """There log(α/σ) was called log-SNR: by the clock, and by the bounds of `Cosine`, inside a `Shifted` too."""
    net = MLP(dim=3, width=8, depth=1)
    path = {"class": "Shifted", "path": {"class": "Cosine", "log_snr_min": -4.0, "log_snr_max": 5.0}, "shift": 0.5}
    told = {"network": {"class": "MLP", **net.arguments}, "path": path, "predicts": "v", "time": "log_snr"}
    save_file(net.state_dict(), tmp_path / "x", {"fokker": json.dumps({"format": 1, **told})})
    with pytest.warns(UserWarning, match="has no digest"):
        denoiser = load(tmp_path / "x")
    assert denoiser.time == "half_log_snr"
    assert denoiser.path == Shifted(Cosine(-8.0, 10.0), 0.5)
    told["path"]["path"]["log_snr_min"] = "low"
    save_file(net.state_dict(), tmp_path / "x", {"fokker": json.dumps({"format": 1, **told})})
    message = f"^{tmp_path / 'x'}: could not convert"
    with pytest.warns(UserWarning, match="no digest"), pytest.raises(ValueError, match=message):
        load(tmp_path / "x")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": {"class": "GPT"}}, "Unknown class of network 'GPT'; choose one of .*MLP, .*UNet"),
        ({"network": {"class": "MLP", "dim": 3, "colour": 1}}, "network MLP does not fit.*colour"),
        ({"network": {"class": "MLP", "dim": 4}}, "holds other weights than its configuration"),
        ({"path": {"class": "Bent"}}, "Unknown class of path 'Bent'; choose one of CondOT, Cosine"),
        ({"path": {"class": "Shifted", "path": {"class": "Spiral"}, "shift": 1.0}}, "Unknown class of path 'Spiral'"),
        ({"path": {"class": "Shifted", "path": 1.0, "shift": 1.0}}, "path Shifted does not fit"),
        ({"path": {"class": "CondOT", "sigma": 1.0}}, "path CondOT does not fit.*sigma"),
        ({"predicts": "noise"}, "noise"),
        ({"predicts": None}, "lacks predicts"),
        ({"predicts": 3}, "predicts is 3, but must be a name"),
        ({"time": ["t"]}, r"time is \['t'\], but must be a name"),
        ({"time": "day"}, "day"),
        ({"network": "MLP"}, "The network is 'MLP'; give a class and its arguments"),
        ({"network": {"class": ["MLP"]}}, r"Unknown class of network \['MLP'\]"),
        ({"network": {"class": "MLP", "dim": "3"}}, "MLP does not fit: dim is '3', but must be a whole number"),
        ({"network": {"class": "MLP", "dim": 3.5}}, "dim is 3.5, but must be a whole number"),
        ({"network": {"class": "MLP", "dim": -3}}, "dim is -3, but must be a whole number from 1"),
        ({"network": {"class": "MLP", "dim": 3, "depth": 10**9}}, "depth is 1000000000, but must be"),
        ({"network": {"class": "MLP", "dim": 10**30}}, "dim is 1000000000000000000000000000000, but must be"),
        ({"network": {"class": "MLP", "dim": 2**20, "width": 2**20}}, "holds other weights than its configuration"),
        ({"network": {"class": "UNet", "size": 2**20}}, "holds other weights than its configuration"),
        ({"path": "VP"}, "The path is 'VP'; give a class and its arguments"),
        ({"path": {"class": "VP", "beta_max": "20"}}, "path VP does not fit"),
        ({"path": {"class": "Shifted", "path": {"class": "CondOT"}, "shift": float("nan")}}, "path Shifted does not"),
        ({"precondition": 0.5}, "precondition is 0.5, but must be the arguments of EDM"),
        ({"precondition": {"sigma_data": "one"}}, "precondition EDM does not fit"),
        ({"precondition": {"sigma_data": -1.0}}, "sigma_data"),
    ],
)
def test_a_configuration_that_does_not_fit(net: MLP, tmp_path: Path, change: dict, message: str) -> None:
    """One sentence names the file, before the weights or the network take memory."""
    file = tmp_path / "x"
    save_checkpoint(file, net, CondOT(), predicts="velocity")
    tensors, configuration = read(file)
    changed = {key: value for key, value in {**configuration, **change}.items() if value is not None}
    write(file, tensors, changed)
    with pytest.raises(ValueError, match=message) as raised:
        load(file)
    assert str(raised.value).startswith(str(file))
    assert "\n" not in str(raised.value)


def test_a_sample_that_no_memory_holds(tmp_path: Path) -> None:
    """The weights of a UNet do not depend on the size of its images, and those of a DiT neither, whose positions do."""
    for net in (UNet(8, width=8), DiT(8, width=8, depth=1, heads=1)):
        save_checkpoint(tmp_path / "x", net, CondOT(), predicts="v")
        tensors, configuration = read(tmp_path / "x")
        configuration["network"]["size"] = 2**20
        write(tmp_path / "x", tensors, configuration)
        with pytest.raises(ValueError, match=r"x: the size of a sample is 1099511627776, which takes .* GB of memory"):
            load(tmp_path / "x")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weight: weight.int(), r"x: The weight head.bias is torch.int32, but must be of a floating-point dtype"),
        (lambda weight: weight.index_fill(0, torch.tensor(1), torch.nan), r"weight head.bias is nan at \[1\]"),
        (lambda weight: weight / 0.0, r"weight head.bias is (inf|nan|-inf) at \[0\], but must be finite"),
        (lambda weight: weight[:2], "holds other weights than its configuration describes"),
    ],
)
def test_weights_are_finite_floats(net: MLP, tmp_path: Path, change: Callable, message: str) -> None:
    save_checkpoint(tmp_path / "x", net, CondOT(), predicts="v")
    tensors, configuration = read(tmp_path / "x")
    tensors["head.bias"] = change(tensors["head.bias"])
    write(tmp_path / "x", tensors, configuration)
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "x")


def test_a_weight_that_half_precision_does_not_hold_is_not_saved(net: MLP, tmp_path: Path) -> None:
    with torch.no_grad():
        net.head.bias[2] = 1e5  # beyond 65504
    with pytest.raises(ValueError, match=r"The weight head.bias is inf at \[2\]"):
        save_checkpoint(tmp_path / "x", net, CondOT(), predicts="v")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["[]", "3", '"x"', "null", "[" * 10**5, "9" * 5000, '{"format": 3'])
def test_metadata_that_are_no_object(text: str, tmp_path: Path) -> None:
    save_file({"w": torch.zeros(2)}, tmp_path / "x", {"fokker": text})
    with pytest.raises(ValueError, match=f"^{tmp_path / 'x'} carries no Fokker configuration"):
        load(tmp_path / "x")


@pytest.mark.parametrize("training", ["digits", [], 3, {"data": ["digits"]}, {}])
def test_a_record_of_the_training_that_is_none(training: object, net: MLP, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "x", net, CondOT(), predicts="v")
    tensors, configuration = read(tmp_path / "x")
    write(tmp_path / "x", tensors, {**configuration, "training": training})
    if isinstance(training, dict):
        assert training_record(tmp_path / "x") == training
    else:
        with pytest.raises(ValueError, match=f"^{tmp_path / 'x'}: training is .*, but must be an object"):
            training_record(tmp_path / "x")


def test_every_bit_of_a_checkpoint_counts(net: MLP, tmp_path: Path) -> None:
    """A flip in any part of the file is noticed, by one sentence with its name: 300 bytes of the head, 100 others."""
    file = tmp_path / "x"
    save_checkpoint(file, net, Shifted(CondOT(), 0.5), predicts="v", training={"seed": 1})
    content, generator = file.read_bytes(), random.Random(0)
    head = 8 + int.from_bytes(content[:8], "little")
    places = [*range(40), *generator.sample(range(40, head), 260), *generator.sample(range(head, len(content)), 100)]
    message = rf"^{file} (is damaged|is no safetensors file|carries no Fokker|is of format)"
    flips = [(place, generator.randrange(8)) for place in places]
    number = content.index(b"format") + len(r'format\": ')
    for place, bit in [*flips, *((number, bit) for bit in range(8))]:  # one makes it a format without a digest
        changed = bytearray(content)
        changed[place] ^= 1 << bit
        file.write_bytes(changed)
        with pytest.raises(ValueError, match=message):
            load(file)
    file.write_bytes(content)
    assert load(file).predicts == "v"


def test_a_file_without_a_digest_is_loaded_with_a_word(net: MLP, tmp_path: Path) -> None:
    """A file of format 2 had none; one of format 3 that has lost it is damaged."""
    save_checkpoint(tmp_path / "x", net, CondOT(), predicts="v")
    tensors, configuration = read(tmp_path / "x")
    old = tmp_path / "old"
    save_file(tensors, old, {"fokker": json.dumps({"format": 3, **configuration})})
    with pytest.raises(ValueError, match=f"^{old} is damaged"):
        load(old)
    save_file(tensors, old, {"fokker": json.dumps({"format": 2, **configuration})})
    with pytest.warns(UserWarning, match=rf"^{old} has no digest.*; write it anew: training.write"):
        assert load(old).predicts == "v"
    with pytest.warns(UserWarning, match="has no digest"):
        again = read(old)
    write(old, *again)
    assert old.read_bytes() == (tmp_path / "x").read_bytes()


def test_only_networks_that_can_be_built_again_are_saved(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"Cannot save a Linear; give one of .*MLP, .*UNet"):
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
    names = {"digits-flow", "digits-eps", "digits-rough", "digits-eps-rough", "mnist-flow", "mnist-eps"}
    names |= {"digits-flow-map", "digits-eps-map"}
    assert names <= set(shipped())
    assert sum(file.stat().st_size for file in WEIGHTS.glob("*.safetensors")) < 8e6


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_network_is_the_one_of_its_card(name: str) -> None:
    card = json.loads((WEIGHTS / f"{name}.json").read_text())
    assert card["sha256"] == hashlib.sha256((WEIGHTS / f"{name}.safetensors").read_bytes()).hexdigest()
    model = load(name)
    assert isinstance(model.net, UNet | TwoTimes)
    x = torch.zeros(2, *model.net.shape)
    given = model.given([0, 1])
    end = given(x, 0.5, 1.0) if isinstance(given, FlowMap) else given.predict("x0", 0.5, x)
    assert end.shape == x.shape

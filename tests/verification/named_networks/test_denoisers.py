"""Networks by name: shipped ones, checkpoints, folders of diffusers, and objects of modules."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from fokker.generative import VP, Table, from_diffusers, linear_betas, load
from fokker.generative.networks import MLP
from fokker.generative.training.checkpoint import save_checkpoint
from fokker.verification.named_networks import (
    ClockExpression,
    declared_classes,
    declared_shape,
    named_denoiser,
    named_network,
)  # fmt: skip

diffusers = pytest.importorskip("diffusers")

MODULE = '''
import torch
from torch import Tensor, nn
from fokker.generative import CondOT, Denoiser


class Net(nn.Module):
    """Half of the state, with a shape and labels."""

    shape, classes = (2,), 3

    def __init__(self, scale: float = 0.5) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))
        self.dropout = nn.Dropout()

    def forward(self, x: Tensor, time: Tensor, label: Tensor | None = None) -> Tensor:
        return self.dropout(self.scale * x) + time[:, None]


def net(x, time):
    return 0.5 * x + time[:, None]


def made(scale=0.25):
    return Net(scale)


def failing():
    raise RuntimeError("no weights")


net_object = Net()
denoiser = Denoiser(Net(), CondOT(), predicts="velocity")
number = 3
'''
X = torch.linspace(-1.0, 1.0, 6, dtype=torch.float64).reshape(3, 2)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module in the working folder."""
    (tmp_path / "my_networks.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_networks", raising=False)
    return "my_networks"


def test_shipped_networks_and_checkpoints_are_loaded(tmp_path: Path) -> None:
    assert named_denoiser("digits-flow").path == load("digits-flow").path
    net, file = MLP(2), tmp_path / "net.safetensors"
    save_checkpoint(file, net, VP(), predicts="eps", time="1-t")
    for stated in ({}, {"predicts": "eps"}, {"path": "VP(0.1, 20)"}, {"path": "VP", "time": "1-t"}):
        found = named_denoiser(str(file), **stated)
        assert (found.path, found.predicts, found.time) == (VP(), "eps", "1-t")
    with pytest.raises(ValueError, match="It was trained with predicts = 'eps', but predicts = 'v' was stated"):
        named_denoiser(str(file), predicts="v")
    with pytest.raises(ValueError, match="It was trained with path"):
        named_denoiser(str(file), path="CondOT()")


@pytest.mark.parametrize("name", ["Net", "net", "made", "net_object"])
def test_a_network_of_a_module_takes_what_is_stated(module: str, name: str) -> None:
    found = named_denoiser(f"{module}:{name}", predicts="x0", path="Table(linear_betas(100))", time="100*(1-t)")
    assert (found.path, found.predicts) == (Table(linear_betas(100)), "x0")
    assert isinstance(found.time, ClockExpression)
    scale = 0.25 if name == "made" else 0.5
    torch.testing.assert_close(found.output(0.3, X), scale * X + 70.0)
    assert named_network(f"{module}:{name}")(X, X.new_ones(3)).isfinite().all()
    plain = named_denoiser(f"{module}:{name}", predicts="velocity", path="CondOT")
    assert plain.time == "t"


def test_a_denoiser_of_a_module_knows_its_conventions(module: str) -> None:
    found = named_denoiser(f"{module}:denoiser")
    assert not found.net.training  # type: ignore[attr-defined]
    assert named_network(f"{module}:denoiser") is found.net
    assert (declared_shape(found), declared_classes(found)) == ((2,), 3)
    with pytest.raises(ValueError, match=r"it is a Denoiser, which says what .*; leave out --predicts and --time"):
        named_denoiser(f"{module}:denoiser", predicts="x0", time="t")


@pytest.mark.parametrize(
    ("name", "stated", "message"),
    [
        ("my_networks:net", {}, r"does not say what it predicts .*\(fokker probe my_networks:net"),
        ("my_networks:net", {"predicts": "x0"}, "does not say what it predicts"),
        ("my_networks:net", {"predicts": "x1", "path": "VP()"}, "Unknown kind of prediction 'x1'"),
        ("my_networks:net", {"predicts": "x0", "path": "VPP()"}, "There is no path 'VPP'"),
        ("my_networks:net", {"predicts": "x0", "path": "VP()", "time": "s"}, "the clock 's' is not known"),
        ("my_networks:number", {}, "is of type int; give a Denoiser, or a network"),
        ("my_networks:failing", {}, r"my_networks:failing\(\) raises RuntimeError: no weights"),
        ("my_networks:absent", {}, "my_networks has no 'absent'"),
        ("no_networks:net", {}, "There is no module 'no_networks'"),
        ("digits-flw", {}, r"There is no network 'digits-flw' \(digits-flow"),
        ("", {}, "There is no network ''"),
        (3, {}, "network is of type int"),
    ],
)
def test_bad_names_end_in_a_sentence(module: str, name: Any, stated: dict[str, str], message: str) -> None:
    with pytest.raises((TypeError, ValueError, FileNotFoundError), match=message) as failure:
        named_denoiser(name, **stated)
    assert "\n" not in str(failure.value)


UNET = {
    "sample_size": 8, "in_channels": 1, "out_channels": 1, "layers_per_block": 1, "block_out_channels": (8, 8),
    "down_block_types": ("DownBlock2D", "DownBlock2D"), "up_block_types": ("UpBlock2D", "UpBlock2D"),
    "norm_num_groups": 4, "num_class_embeds": 3,
}  # fmt: skip
DIT = {
    "num_attention_heads": 2, "attention_head_dim": 4, "in_channels": 2, "out_channels": 4, "num_layers": 1,
    "sample_size": 4, "patch_size": 2, "num_embeds_ada_norm": 5, "norm_num_groups": 4,
}  # fmt: skip


def saved(folder: Path, kind: str) -> tuple[Any, Any]:
    """A network with its scheduler, as pipelines save them."""
    torch.manual_seed(0)
    if kind == "unet":
        model, scheduler = diffusers.UNet2DModel(**UNET), diffusers.DDIMScheduler(prediction_type="v_prediction")
    else:
        model = diffusers.DiTTransformer2DModel(**DIT)
        scheduler = diffusers.DDPMScheduler(variance_type="learned_range")
    model.save_pretrained(folder / kind)
    scheduler.save_pretrained(folder / "scheduler")
    return model.eval(), scheduler


@pytest.mark.parametrize(("kind", "shape", "classes"), [("unet", (1, 8, 8), 3), ("transformer", (2, 4, 4), 5)])
def test_a_folder_of_diffusers_is_a_network(kind: str, shape: tuple[int, ...], classes: int, tmp_path: Path) -> None:
    model, scheduler = saved(tmp_path, kind)
    found, expected = named_denoiser(str(tmp_path)), from_diffusers(model, scheduler)
    assert (found.path, found.predicts, found.learned_variance) == (
        expected.path, expected.predicts, expected.learned_variance
    )  # fmt: skip
    assert (declared_shape(found), declared_classes(found)) == (shape, classes)
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        outputs = [each.given(1).output(0.5, x) for each in (found, expected)]
    torch.testing.assert_close(*outputs, rtol=1e-3, atol=1e-5)
    assert not any(weight.requires_grad for weight in found.net.model.parameters())  # type: ignore[attr-defined]


def test_a_variant_of_the_weights_is_found(tmp_path: Path) -> None:
    model, _ = saved(tmp_path, "unet")
    (tmp_path / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    model.half().save_pretrained(tmp_path / "unet", variant="fp16")
    assert declared_shape(named_denoiser(str(tmp_path))) == (1, 8, 8)


def test_a_folder_that_lacks_a_part_ends_in_a_sentence(tmp_path: Path) -> None:
    def refused(message: str) -> None:
        with pytest.raises(ValueError, match=message):
            named_denoiser(str(tmp_path))

    refused("has no unet/config.json and no transformer/config.json; give a folder with one")
    saved(tmp_path, "unet")
    with pytest.raises(ValueError, match="its scheduler says what it predicts on which path; leave out --path"):
        named_denoiser(str(tmp_path), path="VP()")
    model, scheduler = tmp_path / "unet", tmp_path / "scheduler" / "scheduler_config.json"
    weights, configuration = model / "diffusion_pytorch_model.safetensors", model / "config.json"
    whole = {file: file.read_bytes() for file in (weights, configuration, scheduler)}

    def damaged(file: Path, content: bytes | None, message: str) -> None:
        file.unlink() if content is None else file.write_bytes(content)
        refused(message)
        file.write_bytes(whole[file])

    damaged(scheduler, None, "has no scheduler/scheduler_config.json, which says what the network predicts")
    damaged(scheduler, b"{", "scheduler_config.json is no JSON")
    damaged(scheduler, b"[]", "holds no object")
    damaged(scheduler, b'{"_class_name": "NoScheduler"}', "NoScheduler")
    damaged(configuration, b"\xff", "config.json is no JSON")
    damaged(configuration, b"{}", "is of the class 'None', which diffusers does not have")
    damaged(configuration, json.dumps({"_class_name": "os.system"}).encode(), "is of the class 'os.system'")
    damaged(configuration, json.dumps({"_class_name": "logging"}).encode(), "is of the class 'logging'")
    damaged(weights, whole[weights][:100], "The network in .*unet cannot be read")
    damaged(weights, None, "has no weights diffusion_pytorch_model.safetensors; save the network with")
    (model / "diffusion_pytorch_model.bin").write_bytes(b"a pickle")
    damaged(weights, None, "has no weights diffusion_pytorch_model.safetensors")
    (tmp_path / "transformer").mkdir()
    (tmp_path / "transformer" / "config.json").write_text("{}")
    refused("has both unet/ and transformer/")

"""The digest of a network changes with its weights, and with nothing else that loads or asks it."""

from __future__ import annotations

import copy
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from toy import MIXTURE

from fokker.generative import CFG, VP, CondOT, Denoiser, load
from fokker.generative.denoiser import network_digest
from fokker.generative.training.checkpoint import locate


class Net(nn.Module):
    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2, dtype=dtype)
        nn.init.constant_(self.layer.weight, 0.5)
        nn.init.zeros_(self.layer.bias)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        self.seen = x
        value: Tensor = self.layer(x)
        return value


def made(net: Any, **given: Any) -> Denoiser:
    return Denoiser(net, CondOT(), **{"predicts": "eps", **given})


def test_a_shipped_network_is_the_same_from_everywhere(tmp_path: Path) -> None:
    """By its name, from a copy of its file, with a label, and guided."""
    denoiser = load("digits-flow")
    shutil.copy(locate("digits-flow"), tmp_path / "mine.safetensors")
    others = [
        load("digits-flow"), load(tmp_path / "mine.safetensors"), denoiser.given(3), CFG(denoiser.given(3), 2.0),
        denoiser.given([1, 2]).of_rows(torch.tensor([1])), copy.deepcopy(denoiser),
    ]  # fmt: skip
    assert {network_digest(each) for each in others} == {network_digest(denoiser)}
    assert len(network_digest(denoiser)) == 16
    assert network_digest(load("digits-eps")) != network_digest(denoiser)


def test_weights_count_and_what_a_call_leaves_behind_does_not() -> None:
    net = Net()
    first = network_digest(made(net))
    made(net).predict("x0", 0.5, torch.ones(1, 2))
    compiled = torch.compile(Net(), backend="eager")
    assert network_digest(made(net)) == network_digest(made(Net())) == network_digest(made(compiled)) == first
    assert network_digest(made(Net().half())) != first
    wide = Net(torch.float64)
    assert network_digest(made(wide)) == first  # a bench converts to float64, and its tables are for this network
    with torch.no_grad():
        wide.layer.weight[0, 0] += 1e-12
    assert network_digest(made(wide)) != first
    with torch.no_grad():
        net.layer.weight[0, 0] += 1e-6
    changed = network_digest(made(net))
    assert changed != first
    net.layer.weight = nn.Parameter(torch.full((2, 2), 0.5))
    assert network_digest(made(net)) == first


def test_it_is_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second question reads no weight: the digest of a network of gigabytes takes seconds."""
    net = Net()
    first = network_digest(made(net))
    monkeypatch.setattr(sys.modules[network_digest.__module__], "Contents", None)
    assert network_digest(made(net, predicts="x0")) == first


def test_a_function_is_its_code() -> None:
    def scaled(scale: float) -> Any:
        return lambda x, time: scale * x

    assert network_digest(made(scaled(2.0))) == network_digest(made(scaled(2.0)))
    assert network_digest(made(scaled(2.0))) != network_digest(made(scaled(3.0)))
    assert network_digest(MIXTURE.denoiser(VP())) == network_digest(MIXTURE.denoiser(VP()))


def test_what_is_no_denoiser() -> None:
    with pytest.raises(TypeError, match="denoiser is of type Net"):
        network_digest(Net())  # type: ignore[arg-type]

"""What training refuses, and the numbers that it takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from doors import check_numbers, check_refusals

from fokker.generative import VP, CondOT, regression_loss, weightings
from fokker.generative.networks import MLP
from fokker.generative.training import Training, dataset, train
from fokker.generative.training.ema import Constant, PowerLaw

X0, LABEL = torch.ones(4, 2), torch.tensor([0, 1, 2, 0])
NET = MLP(2, width=8, depth=1, classes=3)
TINY = Training(
    data="digits",
    predicts="velocity",
    network={"class": "MLP", "dim": 64, "width": 8, "depth": 1, "classes": 10},
    path={"class": "CondOT"},
    steps=2,
    batch=4,
    learning_rate=0.5,
)


def loss(**changed: Any) -> torch.Tensor:
    given = {"net": NET, "path": CondOT(), "predicts": "velocity", "x0": X0}
    return regression_loss(**given | {"generator": torch.Generator().manual_seed(0)} | changed)


def with_field(name: str) -> Callable[[Any], Any]:
    return lambda v: dataclasses.replace(TINY, **{name: v})


def in_loss(name: str) -> Callable[[Any], Any]:
    return lambda v: loss(**{name: v})


def in_training(name: str) -> Callable[[Any], Any]:
    return lambda v: train(TINY, "x", **{name: v})


DOORS = [
    ("net", "function", in_loss("net")),
    ("path", "object", in_loss("path")),
    ("kind of prediction", "name", in_loss("predicts")),
    ("x0", "samples", in_loss("x0")),
    ("label", "samples", in_loss("label"), None),
    ("generator", "object", in_loss("generator"), None),
    ("label_dropout", "real", in_loss("label_dropout")),
    ("weighting", "object", in_loss("weighting"), None),
    ("times", "object", in_loss("times")),
    ("draw", "function", in_loss("draw")),
    ("importance", "object", in_loss("importance"), None),
    ("precondition", "object", in_loss("precondition"), None),
    ("observe", "function", in_loss("observe"), None),
    ("gamma", "real", weightings.MinSNR),
    ("sigma_data", "real", weightings.EDM),
    ("kind of prediction", "name", weightings.Unweighted),
    ("rate", "real", Constant),
    ("sigma_rel", "real", PowerLaw),
    ("data set", "name", dataset),
    ("data", "name", with_field("data")),
    *[(name, "whole", with_field(name)) for name in ("batch", "importance")],
    *[(name, "whole", with_field(name), 10**9) for name in ("steps", "warmup")],
    ("seed", "whole", with_field("seed"), -1, 10**9),
    *[(name, "real", with_field(name)) for name in ("learning_rate", "label_dropout", "ema")],
    *[(name, "object", with_field(name), None) for name in ("weighting", "times", "precondition")],
    *[(name, "object", with_field(name)) for name in ("network", "path")],
    ("autocast", "name", with_field("autocast")),
    ("stratify", "flag", with_field("stratify")),
    ("name_or_path", "object", Training.read, "x"),
    ("training", "object", lambda v: train(v, "x")),
    ("file", "object", partial(train, TINY), "x"),
    *[(name, "whole", in_training(name), 10**9, 10**40) for name in ("every", "sheet_every")],
    *[(name, "flag", in_training(name)) for name in ("progress", "metrics", "tensorboard")],
]


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door[0])
def test_wrong_values_are_refused_at_the_door(door: tuple[Any, ...]) -> None:
    name, kind, call, *fine = door
    check_refusals(name, kind, call, but=fine)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: loss(x0=X0[:0]), r"x0 of shape \(0, 2\) holds no numbers"),
        (lambda: loss(label=LABEL[:3]), r"int64 of shape \(3,\) for 4 samples; give int64 of shape \(4,\)"),
        (lambda: loss(label=LABEL, label_dropout=0.1, net=lambda x, t, label: x), "let the network have a null_label"),
        (lambda: loss(net=lambda x, t, label: x[:, :1]), r"returned shape \(4, 1\) for a state of shape \(4, 2\)"),
        (lambda: loss(net=lambda x, t, label: None), "The network returned a NoneType"),
        (lambda: loss(draw=lambda count, generator, like: None), "What draw returned is None"),
        (lambda: loss(draw=lambda count, generator, like: like), r"draw returned shape \(4, 2\) for 4 samples"),
        (lambda: weightings.row("v", CondOT(), torch.tensor([float("nan")])), "t is nan"),
        (lambda: weightings.determinant("v", 3.5, X0), "path is of type float"),  # type: ignore[arg-type]
        (lambda: weightings.inside(LABEL), "t is torch.int64"),
        (lambda: train(TINY, ""), "is a folder or a device"),
        (lambda: with_field("network")({"class": "MLP", "dim": 2.5}), "network MLP does not fit: dim is 2.5"),
        (lambda: with_field("network")({"class": "MLP", "dim": 2, "widht": 8}), "unexpected keyword argument 'widht'"),
    ],
)
def test_values_that_do_not_fit_are_refused(call: Callable[[], Any], sentence: str) -> None:
    with pytest.raises((TypeError, ValueError), match=sentence):
        call()


def test_a_wrong_value_in_a_file_is_named_with_the_file(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "generative/configs/digits-flow.toml").read_text()
    file = tmp_path / "mine.toml"
    for line, sentence in (("batch = 'many'", "batch is 'many'"), ("batch = -1", "batch is -1")):
        rest = [each for each in text.splitlines() if not each.startswith("batch")]
        file.write_text("\n".join([line, *rest]))
        with pytest.raises(ValueError, match=f"mine.toml: {sentence}, but must be a whole number from 1"):
            Training.read(file)


def test_a_number_may_have_any_type() -> None:
    check_numbers(lambda v: loss(label=LABEL, label_dropout=v), 0.5)
    check_numbers(lambda v: loss(weighting=weightings.MinSNR(v), path=VP(), predicts="eps"), 0.5)
    check_numbers(lambda v: PowerLaw(v).gamma, 0.125)
    for name, value in {"steps": 3, "batch": 2, "seed": 5, "learning_rate": 0.25, "label_dropout": 0.5}.items():
        check_numbers(lambda v, name=name: dataclasses.replace(TINY, **{name: v}).record()[name], value)
    assert dataclasses.replace(TINY, stratify=np.bool_(False)).record()["stratify"] is False

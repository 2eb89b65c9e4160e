"""The minimum is where theory puts it; times are stratified; labels are dropped at the stated rate."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fokker.generative.losses import regression_loss, stratified
from fokker.generative.path import VE, VP, CondOT, Cosine
from fokker.generative.prediction import KINDS, target


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("count", [1, 2, 7, 64])
def test_one_time_in_every_stratum(count: int) -> None:
    t = stratified(count, generator())
    assert sorted((t * count).floor().int().tolist()) == list(range(count))


def test_times_come_in_random_order() -> None:
    t = stratified(64, generator())
    assert (t.diff() < 0).sum() > 16


@pytest.mark.parametrize("path", [CondOT(), VP(), Cosine(), VE()], ids=lambda path: type(path).__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_of_a_point_mass_is_zero_at_its_exact_prediction(kind: str, path) -> None:
    """If x₀ = c always, then ε = (x − α c)/σ is known, and with it every kind of target."""
    x0 = torch.full((16, 3), 0.7, dtype=torch.float64)

    def exact(x: Tensor, t: Tensor, label: Tensor | None) -> Tensor:
        eps = (x - path.alpha(t)[:, None] * x0) / path.sigma(t)[:, None]
        return target(kind, path, t, x0, eps)

    assert regression_loss(exact, path, kind, x0, generator=generator()) < 1e-18


def test_the_loss_of_silence_is_the_second_moment_of_the_target() -> None:
    """E‖velocity‖²/dim = E x₀² + 1 under CondOT."""
    x0 = torch.full((4096, 4), 0.5, dtype=torch.float64)
    loss = regression_loss(lambda x, t, label: 0.0 * x, CondOT(), "velocity", x0, generator=generator())
    count = x0.numel()
    assert float(loss) == pytest.approx(1.25, abs=5 * math.sqrt((2 + 4 * 0.25) / count))


class Spy:
    null_label = 9

    def __call__(self, x: Tensor, t: Tensor, label: Tensor | None) -> Tensor:
        self.label = label
        return x


def test_labels_are_dropped_at_the_stated_rate_and_otherwise_kept() -> None:
    spy, label = Spy(), torch.arange(4000) % 9
    regression_loss(spy, VP(), "eps", torch.zeros(4000, 1), label, generator=generator(), label_dropout=0.1)
    dropped = spy.label == spy.null_label
    assert abs(int(dropped.sum()) - 400) < 5 * math.sqrt(4000 * 0.1 * 0.9)
    assert torch.equal(spy.label[~dropped], label[~dropped])


def test_without_dropout_labels_pass_untouched() -> None:
    spy, label = Spy(), torch.arange(8)
    regression_loss(spy, VP(), "eps", torch.zeros(8, 1), label, generator=generator())
    assert torch.equal(spy.label, label)
    regression_loss(spy, VP(), "eps", torch.zeros(8, 1), generator=generator(), label_dropout=0.1)
    assert spy.label is None


def test_the_same_generator_gives_the_same_loss() -> None:
    x0 = torch.ones(8, 2)
    losses = [regression_loss(Spy(), CondOT(), "x0", x0, generator=generator(3)) for _ in range(2)]
    assert losses[0] == losses[1]


def test_an_unknown_kind_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="velocity"):
        regression_loss(Spy(), CondOT(), "noise", torch.ones(2, 2))

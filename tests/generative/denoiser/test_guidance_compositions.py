"""Two models, guided models of guided models, and what holds for every guidance."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from toy import GAUSSIAN, MIXTURE, states

from fokker.generative import CFG, VP, CondOT, Denoiser
from fokker.generative.denoiser import KINDS, AutoGuidance, Static
from fokker.verification import Gaussian
from fokker.verification.oracles import GaussianClasses

FAR = Gaussian(torch.tensor([0.3, -1.5], dtype=torch.float64), 0.2 * torch.eye(2, dtype=torch.float64))
CLASSES = GaussianClasses([MIXTURE, FAR, GAUSSIAN])
NULL = CLASSES.null_label
LABELS = torch.tensor([0, 1, 2, 3, 1, 0, 3, 2])
X = states(CondOT(), 0.4)


def conditional(label: Any = LABELS) -> Denoiser:
    return CLASSES.denoiser(CondOT()).given(label)


def network(x: Tensor, time: Tensor, label: Tensor, context: Tensor) -> Tensor:
    """Of images, with a label, and a context that has a row for each sample."""
    level = (time * (1.0 + label)).reshape(-1, 1, 1, 1)
    return torch.sin(x * level + context.reshape(-1, 2, 1, 1))


IMAGES = torch.randn(5, 2, 3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
CONTEXT, EMPTY = torch.randn(2, 5, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def imaging(label: Any = (0, 1, 2, 3, 1), **options: Any) -> Denoiser:
    return Denoiser(network, VP(), predicts="eps", label=label, condition={"context": CONTEXT}, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_autoguidance_leads_from_the_bad_model_through_the_good_one(kind: str) -> None:
    """(1 − w) y_bad + w y_good in every kind, though the models predict different ones."""
    path, t = VP(), 0.5
    x = states(path, t)

    def worse(x: Tensor, time: Tensor) -> Tensor:
        return GAUSSIAN.eps(x, time, path)

    bad = Denoiser(worse, path, predicts="eps")
    y_good, y_bad = MIXTURE.denoiser(path).predict(kind, t, x), bad.predict(kind, t, x)
    for weight in (0.0, 1.0, 2.0):
        guided = AutoGuidance(MIXTURE.denoiser(path), bad, weight)
        expected = (1.0 - weight) * y_bad + weight * y_good
        assert (guided.predict(kind, t, x) - expected).norm() < 1e-10 * (x.norm() + expected.norm())
        assert (guided.cost, guided.evaluations(t)) == (2, 2)


def test_the_threshold_of_the_good_model_acts_on_what_is_guided() -> None:
    limit = Static(0.6)
    good, bad = conditional(), conditional(0)
    clipped = [Denoiser(d.net, d.path, predicts="v", label=d.label, threshold=limit) for d in (good, bad)]
    expected = limit(2.0 * good.predict("x0", 0.4, X) - bad.predict("x0", 0.4, X))
    torch.testing.assert_close(AutoGuidance(*clipped, 2.0).predict("x0", 0.4, X), expected, rtol=1e-12, atol=1e-12)
    assert not AutoGuidance(*clipped, 2.0).smooth
    assert AutoGuidance(good, clipped[1], 2.0).smooth
    assert not AutoGuidance(good, CFG(bad, 2.0, interval=(-1.0, 1.0)), 2.0).smooth


def test_autoguidance_of_the_two_branches_is_classifier_free_guidance() -> None:
    auto = AutoGuidance(conditional(), conditional(NULL), 2.5)
    torch.testing.assert_close(auto.output(0.4, X), CFG(conditional(), 2.5).output(0.4, X), rtol=1e-12, atol=1e-12)


def test_labels_reach_both_models_unless_one_has_none() -> None:
    good, bad = CLASSES.denoiser(CondOT()), MIXTURE.denoiser(CondOT())
    apart = AutoGuidance(good, bad, 2.0).given(1).output(0.4, X)
    expected = 2.0 * good.given(1).output(0.4, X) - bad.output(0.4, X)
    torch.testing.assert_close(apart, expected, rtol=1e-12, atol=1e-12)
    both = AutoGuidance(good, good, 2.0).given(LABELS).output(0.4, X)
    torch.testing.assert_close(both, good.given(LABELS).output(0.4, X), rtol=1e-12, atol=1e-12)


def test_guidance_of_guided_models() -> None:
    """An affine map of affine maps, whichever is inside, and its evaluations add up."""
    bad = conditional(0)
    outside = CFG(AutoGuidance(conditional(), bad, 2.0), 3.0)
    labelled, plain, worse, worse_plain = (
        conditional(label).output(0.4, X) for label in (LABELS, NULL, torch.zeros(8, dtype=torch.int64), NULL)
    )
    good = plain + 3.0 * (labelled - plain)
    guided_bad = worse_plain + 3.0 * (worse - worse_plain)
    torch.testing.assert_close(outside.output(0.4, X), 2.0 * good - guided_bad, rtol=1e-11, atol=1e-11)
    inside = AutoGuidance(CFG(conditional(), 3.0), CFG(bad, 3.0), 2.0)
    torch.testing.assert_close(inside.output(0.4, X), outside.output(0.4, X), rtol=1e-11, atol=1e-11)
    assert outside.cost == inside.cost == 4
    assert AutoGuidance(CFG(conditional(), 3.0), bad, 2.0).cost == 3
    twice = CFG(CFG(conditional(), 2.0), 3.0).output(0.4, X)
    torch.testing.assert_close(twice, CFG(conditional(), 6.0).output(0.4, X), rtol=1e-11, atol=1e-11)


# Whatever the guidance.

GUIDED = {
    "cfg": lambda d: CFG(d, 3.0, null=4),
    "negative": lambda d: CFG(d, 3.0, negative=[4, 3, 2, 1, 0]),
    "condition": lambda d: CFG(d, 3.0, negative={"context": EMPTY}),
    "interval": lambda d: CFG(d, 3.0, null=4, interval=(-2.0, 1.0)),
    "everything": lambda d: CFG(
        d, torch.tensor([1.0, 2.0, 3.0, 0.5, 4.0]), negative={"context": EMPTY}, interval=(-2.0, 1.0), rescale=0.7
    ),
    "auto": lambda d: AutoGuidance(d, imaging(0), torch.tensor([1.0, 2.0, 3.0, 0.5, 4.0])),
}
each_guidance = pytest.mark.parametrize("name", GUIDED)


@each_guidance
@pytest.mark.parametrize("kind", ["x0", "eps"])
def test_a_sample_is_the_same_alone_and_in_a_batch(name: str, kind: str) -> None:
    """Images at one time, and at a time each (with log-SNRs on both sides of the interval), repeated and reordered."""
    guided, index = GUIDED[name](imaging()), torch.tensor([4, 2, 2, 0])
    times = torch.tensor([0.3, 0.5, 0.6, 0.7, 0.9], dtype=torch.float64)
    for t in (0.6, times):
        together = guided.predict(kind, t, IMAGES)
        some = guided.of_rows(index).predict(kind, t[index] if isinstance(t, Tensor) else t, IMAGES[index])
        torch.testing.assert_close(some, together[index], rtol=1e-12, atol=1e-12)
        for i in range(5):
            at = t[i].item() if isinstance(t, Tensor) else t
            alone = guided.of_rows(torch.tensor([i])).predict(kind, at, IMAGES[i : i + 1])
            torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-12, atol=1e-12)


@each_guidance
def test_derivatives_go_through(name: str) -> None:
    """Forwards and backwards give one Jacobian, and central differences, of error h² + ulp/h, give it too."""
    guided, direction = GUIDED[name](imaging()), torch.cos(IMAGES)

    def predict(x: Tensor) -> Tensor:
        return guided.predict("velocity", 0.6, x)

    value, forward = torch.func.jvp(predict, (IMAGES,), (direction,))
    _, backward = torch.autograd.functional.vjp(predict, IMAGES, torch.ones_like(value))
    assert (backward * direction).sum().item() == pytest.approx(forward.sum().item(), rel=1e-11)
    h = 1e-5
    difference = (predict(IMAGES + h * direction) - predict(IMAGES - h * direction)) / (2.0 * h)
    torch.testing.assert_close(forward, difference, rtol=1e-6, atol=1e-6)


@each_guidance
def test_nothing_is_read_back_from_the_device(name: str) -> None:
    """No operation that would wait for a value: neither a number, nor a shape that depends on values."""

    class Reads(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            assert function not in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)
            return function(*args, **(kwargs or {}))

    guided = GUIDED[name](imaging())
    with Reads():
        for t in (0.2, 0.6):
            guided.predict("x0", t, IMAGES)

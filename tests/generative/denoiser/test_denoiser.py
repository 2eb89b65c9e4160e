"""Whatever a network was trained on is said once: its clock, its conditions, its frame, its thresholds."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
from torch import Tensor
from toy import GAUSSIAN

from fokker.generative import VP, CondOT, Denoiser
from fokker.generative.denoiser import EDM, KINDS, Dynamic, Static
from fokker.generative.paths import Table, linear_betas

X = torch.linspace(-2.0, 2.0, 12, dtype=torch.float64).reshape(4, 3)
TABLE = Table(linear_betas(10))


class Spy:
    """A network that remembers what it was given."""

    null_label = 4

    def __init__(self, channels: int = 1) -> None:
        self.channels = channels

    def __call__(self, x: Tensor, time: Tensor, label: Tensor | None = None, **condition: Any) -> Tensor:
        self.x, self.time, self.label, self.condition = x, time, label, condition
        return torch.cat([torch.sin(x + i) for i in range(self.channels)], dim=1)


# The clock.


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("t", lambda t: t),
        ("1-t", lambda t: 1.0 - t),
        ("sigma", TABLE.sigma),
        ("log_snr", lambda t: 2.0 * TABLE.half_log_snr(t)),
        ("half_log_snr", TABLE.half_log_snr),
        ("index", lambda t: 10.0 * (1.0 - t) - 1.0),
        (lambda t: 1000.0 * t, lambda t: 1000.0 * t),
    ],
    ids=["t", "1-t", "sigma", "log_snr", "half_log_snr", "index", "function"],
)
def test_the_network_sees_its_own_clock(time: Any, expected: Any, dtype: torch.dtype) -> None:
    spy = Spy()
    denoiser, times = Denoiser(spy, TABLE, predicts="eps", time=time), [0.1, 0.35, 0.5, 0.8]
    for t in times:
        denoiser.output(t, X.to(dtype))
        torch.testing.assert_close(spy.time, torch.full((4,), expected(t), dtype=dtype))
    denoiser.output(torch.tensor(times, dtype=torch.float64), X.to(dtype))
    torch.testing.assert_close(spy.time, torch.tensor([expected(t) for t in times], dtype=dtype))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_the_indices_of_a_table_arrive_as_whole_numbers(dtype: torch.dtype) -> None:
    """In bfloat16, whose spacing at 999 is 4, they would not."""
    spy, table = Spy(), Table(linear_betas(1000))
    denoiser = Denoiser(spy, table, predicts="eps", time="index")
    times = table.at(torch.arange(1000, dtype=torch.float64))
    denoiser.output(times, torch.zeros(1000, 2, dtype=dtype))
    assert spy.time.tolist() == list(range(1000))
    for index in (0, 499, 998, 999):
        denoiser.output(table.at(index), torch.zeros(1, 2, dtype=dtype))
        assert spy.time.tolist() == [index]


def test_the_index_is_not_negative() -> None:
    """Between the cleanest level and the clean sample, where the continuous index runs from 0 to −1."""
    spy = Spy()
    denoiser = Denoiser(spy, TABLE, predicts="eps", time="index")
    denoiser.output(0.99, X)
    assert spy.time.tolist() == [0.0] * 4
    denoiser.output(torch.tensor([0.8, 0.9, 0.95, 1.0], dtype=torch.float64), X)
    assert spy.time.tolist() == pytest.approx([1.0, 0.0, 0.0, 0.0], abs=1e-12)


def test_clocks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="Only a Table of betas has the clock 'index', but the path is CondOT"):
        Denoiser(Spy(), CondOT(), predicts="eps", time="index")
    clocks = "t, 1-t, sigma, log_snr, half_log_snr, index"
    with pytest.raises(ValueError, match=f"Unknown clock 'lambda'; choose one of {clocks}"):
        Denoiser(Spy(), CondOT(), predicts="eps", time="lambda")
    with pytest.raises(ValueError, match="The network's clock, 'log_snr', is inf at t = 1; start or end"):
        Denoiser(Spy(), CondOT(), predicts="x0", time="log_snr").output(1.0, X)


@pytest.mark.parametrize("time", ["t", "1-t", "sigma", "log_snr", "half_log_snr", "index"])
def test_a_denoiser_with_a_named_clock_can_be_pickled(time: str) -> None:
    denoiser = Denoiser(Spy(), TABLE, predicts="eps", time=time, label=[0, 1, 2, 3], threshold=Static())
    conversion = denoiser.conversion_to(1.0, 0.0, 0.5)
    read, converted = pickle.loads(pickle.dumps((denoiser, conversion)))  # noqa: S301, written in this line
    assert torch.equal(read.predict("x0", 0.5, X), denoiser.predict("x0", 0.5, X))
    assert torch.equal(read.net.time, denoiser.net.time)
    assert torch.equal(read.net.label, denoiser.net.label)
    assert torch.equal(converted(X, X), conversion(X, X))


def test_only_gaussian_paths_have_denoisers() -> None:
    with pytest.raises(TypeError, match="path is a str; a denoiser needs a Gaussian path"):
        Denoiser(Spy(), "vp", predicts="eps")


# Conditions and labels.


def test_conditions_reach_the_network() -> None:
    """Tensors have a row a sample, or one for all; everything else is the very object that was given."""
    spy, text, scale = Spy(), torch.randn(4, 5, 2), torch.tensor(0.3)
    pooled, size, kind = torch.randn(4, 6), torch.tensor([[64, 32]]), ["a", "b"]
    condition = {"text": text, "scale": scale, "added": {"pooled": pooled, "size": size}, "kind": kind, "flag": True}
    denoiser = Denoiser(spy, CondOT(), predicts="v", condition=condition)
    denoiser.output(0.5, X)
    assert torch.equal(spy.condition["text"], text)
    assert torch.equal(spy.condition["added"]["pooled"], pooled)
    assert torch.equal(spy.condition["added"]["size"], size.expand(4, 2))
    assert spy.condition["scale"] is scale
    assert spy.condition["kind"] is kind
    assert spy.condition["flag"] is True
    index = torch.tensor([2, 0, 2, 3, 1])
    denoiser.of_rows(index).output(0.5, X[index])
    assert torch.equal(spy.condition["text"], text[index])
    assert torch.equal(spy.condition["added"]["pooled"], pooled[index])
    assert torch.equal(spy.condition["added"]["size"], size.expand(5, 2))
    assert spy.condition["scale"] is scale
    denoiser.given({"text": text + 1.0}).output(0.5, X)
    assert torch.equal(spy.condition["text"], text + 1.0)
    assert "added" not in spy.condition
    denoiser.given(2).output(0.5, X)
    assert torch.equal(spy.condition["text"], text)
    assert spy.label.tolist() == [2] * 4


def test_labels_reach_the_network() -> None:
    spy = Spy()
    denoiser = Denoiser(spy, CondOT(), predicts="v", label=[0, 1, 4, 2])
    for given, expected in ((denoiser, [0, 1, 4, 2]), (denoiser.of_rows(torch.tensor([3, 3, 0, 1])), [2, 2, 0, 1])):
        given.output(0.5, X)
        assert spy.label.tolist() == expected
        assert spy.label.dtype == torch.int64
    denoiser.given(torch.tensor([3])).output(0.5, X)
    assert spy.label.tolist() == [3] * 4
    denoiser.given(None).output(0.5, X)
    assert spy.label is None


@pytest.mark.parametrize(
    ("label", "error", "match"),
    [
        (-1, ValueError, "label -1 is negative"),
        ([0, 5, 1, 1], ValueError, "labels 0 to 4, its null_label, but got 5"),
        ([[0, 1]], TypeError, r"label\[0\] is \[0, 1\], but must be a whole number"),
        (torch.tensor([[0, 1]]), ValueError, r"shape \(1, 2\)"),
        ([], ValueError, r"shape \(0,\)"),
        ([0.5], ValueError, r"label\[0\] is 0.5, but must be a whole number"),
        (torch.tensor([0.5]), TypeError, "Labels are torch.float32; give integers"),
        (True, TypeError, "label is True, but must be a whole number"),
    ],
)
def test_bad_labels_are_refused_at_the_door(label: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        Denoiser(Spy(), CondOT(), predicts="v", label=label)
    with pytest.raises(error, match=match):
        Denoiser(Spy(), CondOT(), predicts="v").given(label)


def test_declared_classes_bound_the_labels() -> None:
    """With null_label out of line, as in networks whose label 0 means none, or far beyond the classes."""
    net = Spy()
    net.classes, net.null_label = 3, 100
    assert Denoiser(net, CondOT(), predicts="v", label=100).label == 100
    with pytest.raises(ValueError, match="labels 0 to 2, and 100 for none, but got 3"):
        Denoiser(net, CondOT(), predicts="v", label=[0, 3])


def test_what_has_no_row_for_a_sample_is_refused_at_the_call() -> None:
    with pytest.raises(ValueError, match="label has 3 rows for 4 samples; give one a sample, or one for all"):
        Denoiser(Spy(), CondOT(), predicts="v", label=[0, 1, 2]).output(0.5, X)
    with pytest.raises(ValueError, match="condition 'text' has 2 rows for 4 samples"):
        Denoiser(Spy(), CondOT(), predicts="v", condition={"text": torch.zeros(2, 7)}).output(0.5, X)
    with pytest.raises(TypeError, match="condition must map the names"):
        Denoiser(Spy(), CondOT(), predicts="v", condition=[torch.zeros(4, 7)])


# The network's output.


def test_outputs_of_another_shape_are_refused() -> None:
    def output(net: Any, x: Tensor = X, **options: Any) -> None:
        Denoiser(net, CondOT(), predicts="v", **options).output(0.5, x)

    with pytest.raises(ValueError, match=r"shape \(4, 6\) for a state of shape \(4, 3\).*learned_variance=True"):
        output(Spy(channels=2))
    with pytest.raises(ValueError, match=r"shape \(4, 3\) for a state of shape \(4, 3\), which needs \(4, 6\)"):
        output(Spy(), learned_variance=True)
    with pytest.raises(ValueError, match=r"shape \(4, 1\).*return that shape"):
        output(lambda x, t: x[:, :1])
    with pytest.raises(TypeError, match="returned a dict; wrap it"):
        output(lambda x, t: {"sample": x})
    with pytest.raises(ValueError, match="doubles the channels, but the state has none"):
        output(lambda x, t: x, X[:, 0], learned_variance=True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_learned_variance_is_the_second_half(kind: str) -> None:
    plain, double = Denoiser(Spy(), VP(), predicts="eps"), Denoiser(Spy(2), VP(), predicts="eps", learned_variance=True)
    output, variance = double.output_and_variance(0.5, X)
    assert torch.equal(output, torch.sin(X))
    assert torch.equal(variance, torch.sin(X + 1.0))
    assert torch.equal(double.predict(kind, 0.5, X), plain.predict(kind, 0.5, X))
    assert plain.output_and_variance(0.5, X)[1] is None


@pytest.mark.parametrize("predicts", KINDS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_output_becomes_every_kind_before_the_threshold_and_back(predicts: str, kind: str) -> None:
    times = torch.tensor([0.2, 0.4, 0.6, 0.9], dtype=torch.float64)
    plain, limited = (Denoiser(Spy(), VP(), predicts=predicts, threshold=limit) for limit in (None, Static(0.1)))
    for t in (0.6, times):
        output = limited.output(t, X)
        prediction = limited.from_output(kind, t, X, output)
        torch.testing.assert_close(prediction, plain.predict(kind, t, X), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(limited.to_output(kind, t, X, prediction), output, rtol=1e-12, atol=1e-12)
        if kind == predicts:
            assert prediction is output


def test_an_output_that_does_not_determine_a_kind_is_refused() -> None:
    denoiser = Denoiser(Spy(), CondOT(), predicts="velocity")
    with pytest.raises(ValueError, match="t = 1, where alpha = 1 and sigma = 0"):
        denoiser.to_output("x0", 1.0, X, X)
    with pytest.raises(ValueError, match="'epsilon'; choose one of"):
        denoiser.from_output("epsilon", 0.5, X, X)


# One by one.

FACES = {
    "plain": {"predicts": "eps"},
    "preconditioned": {"predicts": "x0", "precondition": EDM()},
    "thresholded": {"predicts": "v", "threshold": Dynamic(0.6, 0.5)},
    "static": {"predicts": "velocity", "threshold": Static(0.5)},
}


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_is_the_same_alone_and_in_a_batch(face: str, kind: str) -> None:
    def net(x: Tensor, time: Tensor, label: Tensor, shift: Tensor) -> Tensor:
        return torch.sin(x + time[:, None] * label[:, None] + shift)

    condition = {"shift": X.flip(0)}
    denoiser = Denoiser(net, VP(), label=[1, 3, 0, 2], condition=condition, **FACES[face])
    times = torch.tensor([0.2, 0.5, 0.6, 0.9], dtype=torch.float64)
    for t in (0.6, times):
        together = denoiser.predict(kind, t, X)
        for i in range(4):
            at = times[i : i + 1] if isinstance(t, Tensor) else t
            alone = denoiser.of_rows(torch.tensor([i])).predict(kind, at, X[i : i + 1])
            torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("face", FACES)
def test_derivatives_go_through(face: str) -> None:
    """Forwards and backwards give one Jacobian, and central differences, of error h² + ulp/h, give it too."""
    denoiser = Denoiser(lambda x, time: torch.sin(x), VP(), **FACES[face])
    direction = torch.cos(X)

    def predict(x: Tensor) -> Tensor:
        return denoiser.predict("velocity", 0.6, x)

    _, forward = torch.func.jvp(predict, (X,), (direction,))
    matrix = torch.autograd.functional.jacobian(predict, X).reshape(12, 12)
    torch.testing.assert_close(forward.flatten(), matrix @ direction.flatten(), rtol=1e-12, atol=1e-12)
    h = 1e-5
    difference = (predict(X + h * direction) - predict(X - h * direction)) / (2.0 * h)
    torch.testing.assert_close(forward, difference, rtol=1e-7, atol=1e-7)


def test_the_exact_denoiser_is_one_evaluation_at_every_time() -> None:
    denoiser = GAUSSIAN.denoiser(VP())
    assert denoiser.cost == denoiser.evaluations(0.3) == 1

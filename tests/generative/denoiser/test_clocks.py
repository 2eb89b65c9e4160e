"""A clock that is a function of t: of floats or of tensors, of numbers or of integers, everywhere."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fokker.generative import CondOT, Denoiser, flow
from fokker.generative.denoiser import ClassifierGuidance
from fokker.generative.likelihood import log_likelihood
from fokker.generative.sampling import decode, encode
from fokker.solvers import Adaptive, Dopri5, Heun, solve

TIMES = torch.tensor([0.1, 0.35, 0.5, 0.8], dtype=torch.float64)
X = torch.linspace(-2.0, 2.0, 12, dtype=torch.float64).reshape(4, 3)
Clock = Callable[[Any], Any]

LEVELS: dict[str, Clock] = {
    "for both": lambda t: (1.0 + t).log() if isinstance(t, Tensor) else math.log(1.0 + t),
    "with math": lambda t: math.log(1.0 + t),
    "with torch": lambda t: torch.log(1.0 + t),
    "with methods": lambda t: t.add(1.0).log(),
    "in a column": lambda t: torch.log(1.0 + torch.as_tensor(t, dtype=torch.float64))[..., None],
}
"""log(1 + t), written in several ways."""

INDICES: dict[str, Clock] = {
    "with int": lambda t: int(10.0 * t),
    "with math": lambda t: math.floor(10.0 * t),
    "with torch": lambda t: torch.floor(10.0 * t).long(),
    "with both": lambda t: (10.0 * t).long() if isinstance(t, Tensor) else int(10.0 * t),
    "with numpy": lambda t: np.int64(10.0 * t),
    "short": lambda t: torch.as_tensor(10.0 * t).to(torch.int32),
}
"""The whole part of 10 t."""


class Spy:
    """A network that remembers its clock."""

    def __call__(self, x: Tensor, time: Tensor) -> Tensor:
        self.time = time
        return -x * (1.0 + time.to(x)[:, None])


class Embedded(nn.Module):
    """A network that looks its time up in a table of ten rows."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(10, 3).double().requires_grad_(False)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        return torch.tanh(x + self.table(time))


@pytest.mark.parametrize("written", LEVELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_clock_may_be_written_for_floats_or_for_tensors(written: str, dtype: torch.dtype) -> None:
    """The network sees the same numbers for one time, for one a sample, and for a batch of one."""
    spy, expected = Spy(), torch.log(1.0 + TIMES).to(dtype)
    denoiser = Denoiser(spy, CondOT(), predicts="velocity", time=LEVELS[written])
    denoiser.output(TIMES, X.to(dtype))
    torch.testing.assert_close(spy.time, expected)
    for t, level in zip(TIMES, expected, strict=True):
        for given in (t.item(), t, t.reshape(1)):
            denoiser.output(given, X.to(dtype))
            torch.testing.assert_close(spy.time, level.expand(4))


@pytest.mark.parametrize("written", INDICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_integers_stay_integers(written: str, dtype: torch.dtype) -> None:
    """At the times (k + ½)/10, where rounding changes no whole part."""
    spy, times = Spy(), torch.tensor([0.15, 0.35, 0.55, 0.85], dtype=torch.float64)
    denoiser = Denoiser(spy, CondOT(), predicts="velocity", time=INDICES[written])
    whole = torch.int32 if written == "short" else torch.int64
    denoiser.output(times, X.to(dtype))
    assert (spy.time.dtype, spy.time.tolist()) == (whole, [1, 3, 5, 8])
    denoiser.output(0.35, X.to(dtype))
    assert (spy.time.dtype, spy.time.tolist()) == (whole, [3] * 4)


@pytest.mark.parametrize("written", INDICES)
def test_an_embedding_of_time_goes_through_everything(written: str) -> None:
    clock = INDICES[written]
    net = Embedded()
    plain = Denoiser(net, CondOT(), predicts="velocity", time=INDICES["with both"])
    denoiser = Denoiser(net, CondOT(), predicts="velocity", time=clock)
    times = torch.linspace(0.03, 0.93, 10, dtype=torch.float64)
    for solver, steps in ((Heun(), times), (Dopri5(), Adaptive(0.03, 0.93, rtol=1e-2, atol=1e-2, per_sample=True))):
        expected = solve(flow(plain), X, steps, solver).x
        assert torch.equal(solve(flow(denoiser), X, steps, solver).x, expected)
    for way in (encode, decode):
        assert torch.equal(way(denoiser, X, times=times), way(plain, X, times=times))
    back: dict[str, Any] = {"times": (0.93, 0.03), "nodes": 9}
    assert torch.equal(log_likelihood(denoiser, X, **back).value, log_likelihood(plain, X, **back).value)


@pytest.mark.parametrize("written", LEVELS)
def test_the_clock_of_a_classifier(written: str) -> None:
    def log_prob(x: Tensor, time: Tensor) -> Tensor:
        return -(time[:, None] * x).square().sum(1)

    denoiser = Denoiser(Spy(), CondOT(), predicts="velocity")
    guided = ClassifierGuidance(denoiser, log_prob, 2.0, time=LEVELS[written])
    known = ClassifierGuidance(denoiser, log_prob, 2.0, time=LEVELS["for both"])
    for t in (0.35, TIMES):
        torch.testing.assert_close(guided.output(t, X), known.output(t, X), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize(
    ("clock", "t", "error", "message"),
    [
        (lambda t: math.log(t), 0.0, ValueError, "fails at t = 0 .*; start or end elsewhere"),
        (lambda t: 1.0 / t, 0.0, ValueError, "fails at t = 0 .*division by zero"),
        (lambda t: torch.log(t), 0.0, ValueError, "is -inf at t = 0"),
        (torch.log, torch.tensor([0.5, 0.2, 0.0, 0.3]), ValueError, "is -inf at t = 0; start or end at another time"),
        (lambda t: "now", 0.5, TypeError, "returned a str; return numbers"),
        (lambda t: None, TIMES, TypeError, "returned a NoneType; return numbers"),
        (lambda t: torch.ones(3), TIMES, ValueError, r"returned shape \(3,\) for 4 times"),
        (lambda t: torch.ones(2), 0.5, ValueError, r"returned shape \(2,\) for 1 times"),
        (lambda t: t.nonsense, 0.5, AttributeError, "nonsense"),
        ("log_snr", torch.tensor([0.5, 0.2, 0.0, 0.3]), ValueError, "'log_snr', is -inf at t = 0"),
    ],
)
def test_a_clock_without_a_value_is_told(clock: Any, t: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Denoiser(Spy(), CondOT(), predicts="velocity", time=clock).output(t, X)


def test_a_clock_of_floats_loses_no_gradient_silently() -> None:
    denoiser = Denoiser(Spy(), CondOT(), predicts="velocity", time=lambda t: math.exp(t))
    with pytest.raises(ValueError, match="requires a gradient, but becomes a number"):
        denoiser.output(TIMES.clone().requires_grad_(), X)


def test_a_clock_that_is_no_function_is_refused() -> None:
    with pytest.raises(TypeError, match="time is 3, but must be the name of a clock, such as 't', or a function of t"):
        Denoiser(Spy(), CondOT(), predicts="velocity", time=3)

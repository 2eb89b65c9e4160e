"""What a denoiser and guidance refuse, the numbers that they take, and the gradients that flow through them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from doors import GRADIENT, PAIR, check_numbers, check_refusals

from fokker.generative import (
    CFG,
    EDM,
    AutoGuidance,
    ClassifierGuidance,
    CondOT,
    Denoiser,
    Dynamic,
    Static,
    encode,
    sample,
)


def net(x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
    return -x


def labelled(x: torch.Tensor, time: torch.Tensor, label: torch.Tensor, *, scale: float = 1.0) -> torch.Tensor:
    return -scale * (1.0 + label[:, None]) * x


def log_prob(x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
    return -0.5 * x.square().sum(1)


PLAIN = Denoiser(net, CondOT(), predicts="velocity")
DENOISER = Denoiser(labelled, CondOT(), predicts="velocity", label=1)
X = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)


def make(**changed: Any) -> Denoiser:
    return Denoiser(**{"net": labelled, "path": CondOT(), "predicts": "velocity"} | changed)


def field(name: str) -> Callable[[Any], Any]:
    return lambda v: make(**{name: v})


DOORS = [
    ("net", "function", field("net")),
    ("path", "object", field("path")),
    ("kind of prediction", "name", field("predicts")),
    ("time|clock", "name", field("time")),
    ("[Ll]abel", "seed", field("label"), None, [1] * 7),
    ("precondition", "object", lambda v: make(predicts="x0", precondition=v), None),
    ("learned_variance", "flag", field("learned_variance")),
    ("threshold", "function", field("threshold"), None),
    ("[Ll]abel", "seed", DENOISER.given, None, [1] * 7),
    ("t", "real", lambda v: PLAIN.predict("velocity", v, X), GRADIENT, PAIR, 1e300, -1e300),
    ("kind of prediction", "name", lambda v: PLAIN.predict(v, 0.5, X)),
    ("x is", "object", partial(PLAIN.predict, "velocity", 0.5)),
    ("denoiser", "object", lambda v: CFG(v, 2.0, null=0)),
    ("weight", "real", lambda v: CFG(DENOISER, v, null=0), GRADIENT, PAIR),
    ("rescale", "real", lambda v: CFG(DENOISER, 2.0, null=0, rescale=v)),
    ("interval", "real", lambda v: CFG(DENOISER, 2.0, null=0, interval=(v, 9.0)), -math.inf, -1e300),
    ("interval", "object", lambda v: CFG(DENOISER, 2.0, null=0, interval=v), None),
    ("time|clock", "name", lambda v: CFG(DENOISER, 2.0, null=0, interval_in=v)),
    ("null|label", "whole", lambda v: CFG(DENOISER, 2.0, null=v), None, 10**9),
    ("denoiser", "object", lambda v: AutoGuidance(v, PLAIN, 2.0)),
    ("denoiser", "object", lambda v: AutoGuidance(PLAIN, v, 2.0)),
    ("weight", "real", partial(AutoGuidance, PLAIN, PLAIN), GRADIENT, PAIR),
    ("denoiser", "object", lambda v: ClassifierGuidance(v, log_prob, 2.0)),
    ("log_prob", "function", lambda v: ClassifierGuidance(PLAIN, v, 2.0)),
    ("weight", "real", partial(ClassifierGuidance, PLAIN, log_prob), GRADIENT, PAIR),
    ("bound", "real", Static),
    ("bound", "real", partial(Dynamic, 0.9)),
    ("quantile", "real", Dynamic),
    ("largest", "real", partial(Dynamic, 0.9, 1.0), math.inf, 1e300),
    ("sigma_data", "real", EDM, [0.5], PAIR),
]


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door[0])
def test_wrong_values_are_refused_at_the_door(door: tuple[Any, ...]) -> None:
    name, kind, call, *fine = door
    check_refusals(name, kind, call, but=fine)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: sample(PLAIN, (2, 2), label=1), r"called as net\(x, time, label\), which its signature"),
        (lambda: PLAIN.given({"scale": 2.0}), r"called as net\(x, time, scale=\.\.\.\)"),
        (lambda: Denoiser(torch.nn.Tanh(), CondOT(), predicts="v", label=1), r"called as net\(x, time, label\)"),
        (lambda: ClassifierGuidance(PLAIN, log_prob, 1.0, label=2), r"called as net\(x, time, label\)"),
        (lambda: PLAIN.predict("v", torch.tensor([0.1, 0.2, 0.3]), X), r"t has shape \(3,\) for states of"),
        (lambda: PLAIN.predict("v", torch.tensor(1), X), r"t is torch\.int64"),
        (lambda: make(label=2**63), "label is 9223372036854775808, but must be a whole number <="),
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[[], Any], sentence: str) -> None:
    with pytest.raises((TypeError, ValueError), match=sentence):
        call()


def test_a_network_whose_signature_says_nothing_takes_everything() -> None:
    anything = Denoiser(lambda *given, **more: -given[0], CondOT(), predicts="velocity", label=1)
    assert torch.equal(anything.given({"context": 2.0}).predict("velocity", 0.5, X), -X)


def test_a_number_may_have_any_type() -> None:
    check_numbers(lambda v: make(label=v).predict("velocity", 0.5, X), 1)
    check_numbers(lambda v: DENOISER.predict("x0", v, X), 0.5)
    check_numbers(lambda v: CFG(DENOISER, v, null=0).predict("x0", 0.5, X), 2.5)
    check_numbers(lambda v: CFG(DENOISER, 2.0, null=v).predict("x0", 0.5, X), 3)
    check_numbers(lambda v: CFG(DENOISER, 2.0, null=0, rescale=v).predict("x0", 0.5, X), 0.5)
    check_numbers(lambda v: CFG(DENOISER, 2.0, null=0, interval=[-1.0, v]).interval, 0.5)
    check_numbers(lambda v: Static(v)(X), 1.5)
    check_numbers(lambda v: Dynamic(v, 0.5)(X), 0.75)
    for labels in ([0, 2], (0, 2), torch.tensor([0, 2], dtype=torch.int32), np.array([0, 2]), [np.int64(0), 2.0]):
        found = make(label=labels).predict("velocity", 0.5, X)
        torch.testing.assert_close(found, -torch.tensor([[1.0], [3.0]]) * X, check_dtype=False)


@pytest.mark.parametrize("threshold", [Static(1.5), Dynamic(0.9, 1.5)], ids=str)
def test_thresholds_of_nothing_are_nothing(threshold: Static | Dynamic) -> None:
    for shape in ((0, 3), (2, 0), (0,)):
        assert threshold(torch.empty(shape)).shape == shape
    assert encode(make(net=net, threshold=threshold), torch.empty(0, 2)).shape == (0, 2)


def test_gradients_flow_to_the_weight_and_to_the_times() -> None:
    """The guided velocity is (1 − w) u₀ + w u₁ = −(1 + w) x here; x₀ = x + (1 − t) u on the straight path."""
    w = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    t = torch.tensor([0.25, 0.5], dtype=torch.float64, requires_grad=True)
    x0 = CFG(DENOISER, w, null=0).predict("x0", t, X)
    of_weight, of_times = torch.autograd.grad(x0.sum(), (w, t))
    torch.testing.assert_close(of_weight, -((1.0 - t[:, None]) * X).sum().detach())
    torch.testing.assert_close(of_times, 3.0 * X.sum(1))


def test_a_gradient_flows_to_the_weight_through_a_whole_solve() -> None:
    """dx/dt = −(1 + w) x from 1 to 0 ends at z = x e^{1 + w}, and dz/dw = z."""
    w = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    z = encode(CFG(DENOISER, w, null=0), X, nfe=600)
    (found,) = torch.autograd.grad(z.sum(), w)
    torch.testing.assert_close(found, X.sum() * math.exp(1.5), rtol=1e-4, atol=0.0)

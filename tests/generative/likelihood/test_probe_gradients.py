"""Derivatives through random probes: those of the estimate with the same draws."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from toy import random_mixture

from fokker.generative import CondOT, Denoiser
from fokker.generative.likelihood import log_likelihood, plan_likelihood

KINDS: dict[str, dict[str, Any]] = {
    "exact": {"trace": "exact"},
    "orthogonal": {"trace": "orthogonal", "probes": 2},
    "orthogonal, all rows": {"trace": "orthogonal", "probes": 4},
    "coloured": {"trace": "coloured", "probes": 3},
    "hutchinson": {"trace": "hutchinson", "probes": 2},
    "frozen orthogonal": {"trace": "orthogonal", "probes": 2, "frozen": True},
    "frozen hutchinson": {"trace": "hutchinson", "probes": 2, "frozen": True},
}


class Scaled(nn.Module):
    """The velocity of a mixture in four dimensions, times a parameter, on samples with pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.oracle = random_mixture(4).denoiser(CondOT())
        self.gain = nn.Parameter(torch.tensor(0.9, dtype=torch.float64))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        return self.gain * self.oracle.predict("velocity", time, x.flatten(1)).reshape(x.shape)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_finite_differences(kind: str) -> None:
    """Central differences of h = 1e-5 are right to h² f'''/6 ≈ 1e-9 and to rounding, 1e-13/h = 1e-8."""
    net = Scaled()
    denoiser = Denoiser(net, CondOT(), predicts="v")
    x = random_mixture(4).sample(3, 1).reshape(3, 1, 2, 2)
    plan = plan_likelihood(denoiser, x, nodes=9, **KINDS[kind])

    def value(x: Tensor) -> Tensor:
        return log_likelihood(denoiser, x, plan, seed=5).value.sum()

    start = x.clone().requires_grad_()
    by_x, by_gain = torch.autograd.grad(value(start), (start, net.gain))
    direction, h = torch.sin(torch.arange(12.0, dtype=torch.float64)).reshape(x.shape), 1e-5
    with torch.no_grad():
        along_x = (value(x + h * direction) - value(x - h * direction)) / (2.0 * h)
        net.gain += h
        above = value(x)
        net.gain -= 2.0 * h
        along_gain = (above - value(x)) / (2.0 * h)
    torch.testing.assert_close((by_x * direction).sum(), along_x, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(by_gain, along_gain, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_sketch_is_taken_for_constant(frozen: bool) -> None:
    """Gradients of Hutch++ are finite."""
    denoiser = Denoiser(Scaled(), CondOT(), predicts="v")
    x = random_mixture(4).sample(3, 1).requires_grad_()
    plan = plan_likelihood(denoiser, x.detach(), nodes=9, trace="hutch++", probes=6, frozen=frozen)
    found = log_likelihood(denoiser, x, plan)
    (gradient,) = torch.autograd.grad(found.value.sum(), x)
    assert bool(gradient.isfinite().all())
    assert not found.probe_stderr.requires_grad

"""Gradients of values by the solution of the flow and by the traces."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from toy import MIXTURE, random_mixture

from fokker.generative import VP, CondOT, Denoiser, log_likelihood, plan_likelihood


@pytest.mark.parametrize("options", [{"error": 1e-5}, {"nodes": 65}], ids=str)
def test_the_gradient_is_the_score(options: dict[str, Any]) -> None:
    """Of the exact network, as precisely as the value is; through samples that are refined as well."""
    x = MIXTURE.sample(4, 1).requires_grad_()
    result = log_likelihood(MIXTURE.denoiser(CondOT()), x, **options)
    (gradient,) = torch.autograd.grad(result.value.sum(), x)
    torch.testing.assert_close(gradient, MIXTURE.score(x.detach(), 1.0, CondOT()), rtol=0.0, atol=1e-3)
    assert not result.discretisation.requires_grad
    assert not result.probe_stderr.requires_grad


@pytest.mark.parametrize(
    ("trace", "how"),
    [("exact", {"error": 1e-6}), ("exact", {"nodes": 9}), ("hutchinson", {"nodes": 9}), ("orthogonal", {"nodes": 9})],
    ids=str,
)
def test_gradients_of_a_parameter_against_finite_differences(trace: str, how: dict[str, Any]) -> None:
    """Central ones, with an error of h² and of 1/h times that of the values: rounding for a fixed number of nodes."""
    net = MIXTURE.denoiser(VP()).net
    x = MIXTURE.sample(3, 1)

    def scaled(scale: Tensor) -> Denoiser:
        return Denoiser(lambda y, t: scale * net(y, t), VP(), predicts="v")

    one, h = torch.tensor(0.9, dtype=torch.float64), 1e-3
    plan = plan_likelihood(scaled(one), x, trace=trace, probes=None if trace == "exact" else 1, **how)

    def value(scale: Tensor, x: Tensor) -> Tensor:
        result = log_likelihood(scaled(scale), x, plan)
        return (result.value + result.prior_mismatch).sum()

    parameter, leaf = one.clone().requires_grad_(), x.clone().requires_grad_()
    by_parameter, by_x = torch.autograd.grad(value(parameter, leaf), [parameter, leaf])
    tolerance = 1e-5 if "nodes" in how else 2e-3
    difference = (value(one + h, x) - value(one - h, x)) / (2.0 * h)
    torch.testing.assert_close(by_parameter, difference, rtol=tolerance, atol=tolerance)
    step = torch.zeros_like(x)
    step[1, 0] = h
    difference = (value(one, x + step) - value(one, x - step)) / (2.0 * h)
    torch.testing.assert_close(by_x[1, 0], difference, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("trace", ["exact", "orthogonal", "hutchinson", "hutch++"])
@pytest.mark.parametrize("how", [{"error": 0.5}, {"nodes": 5}], ids=str)
def test_gradients_are_finite_at_both_ends_and_kept_only_where_asked(trace: str, how: dict[str, Any]) -> None:
    law = random_mixture(4)
    x = law.sample(2, 1).requires_grad_()
    plan = plan_likelihood(law.denoiser(CondOT()), x, trace=trace, probes=None if trace == "exact" else 2, **how)
    result = log_likelihood(law.denoiser(CondOT()), x, plan)
    (gradient,) = torch.autograd.grad(result.value.sum(), x)
    assert bool(gradient.isfinite().all())
    with torch.no_grad():
        plain = log_likelihood(law.denoiser(CondOT()), x, plan)
    assert not plain.value.requires_grad
    torch.testing.assert_close(plain.value, result.value.detach(), rtol=0.0, atol=1e-12)

"""Plans: what they promise, and that they are data."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from toy import GAUSSIAN, MIXTURE, random_mixture

from fokker.generative import CFG, VP, CondOT, log_likelihood, plan_likelihood
from fokker.verification.oracles import GaussianClasses

LAW = random_mixture(16)
DENOISER, X = LAW.denoiser(CondOT()), LAW.sample(64, 3)
CLASSES = GaussianClasses([MIXTURE, GAUSSIAN])

KINDS: list[dict[str, Any]] = [
    {"error": 1e-2, "trace": "exact"},
    {"error": 0.3},
    {"nodes": 17, "trace": "hutchinson", "probes": 3},
    {"error": 0.3, "trace": "hutch++"},
]
each_kind = pytest.mark.parametrize("options", KINDS, ids=str)


@each_kind
def test_a_plan_is_carried_out_as_the_options_say(options: dict[str, Any]) -> None:
    plan = plan_likelihood(DENOISER, X, **options)
    one, two = log_likelihood(DENOISER, X, plan), log_likelihood(DENOISER, X, **options)
    assert torch.equal(one.value, two.value)
    assert torch.equal(one.nfe.per_sample, two.nfe.per_sample)


@each_kind
def test_plans_are_copied_pickled_and_printed(options: dict[str, Any]) -> None:
    plan = plan_likelihood(DENOISER, X[:8], **options)
    for other in (pickle.loads(pickle.dumps(plan)), copy.deepcopy(plan), copy.copy(plan)):  # noqa: S301
        assert other == plan
        assert np.array_equal(other.errors, plan.errors)
        assert torch.equal(log_likelihood(DENOISER, X[:4], other).value, log_likelihood(DENOISER, X[:4], plan).value)
    assert f"{plan.intervals + 1} nodes" in str(plan)
    assert ("an exact trace" if plan.trace == "exact" else plan.trace) in str(plan)
    assert "LikelihoodPlan(" in repr(plan)


@each_kind
def test_a_plan_holds_for_other_samples(options: dict[str, Any]) -> None:
    """And for other labels of the network."""
    plan = plan_likelihood(DENOISER, X, **options)
    other = LAW.sample(64, 8)
    result = log_likelihood(DENOISER, other, plan)
    error = result.value - LAW.log_prob(other)
    assert float(error.abs().mean()) <= options.get("error", 3.0)
    labels = torch.arange(20) % 3
    denoiser = CLASSES.denoiser(CondOT()).given(labels)
    x = MIXTURE.sample(20, 1)
    value = log_likelihood(denoiser, x, plan_likelihood(denoiser, x, error=1e-3)).value
    torch.testing.assert_close(value, CLASSES.given(labels).log_prob(x), rtol=0.0, atol=1e-2)


def test_the_promise_is_kept() -> None:
    """Standard error and products as they come out, and the errors themselves: 64 values, in the root mean square."""
    for target in (1.0, 0.3, 0.1):
        plan = plan_likelihood(DENOISER, X, error=target)
        result = log_likelihood(DENOISER, X, plan)
        error = (result.value - LAW.log_prob(X)).square().mean().sqrt()
        assert float(error) <= 1.3 * target
        assert plan.discretisation <= 0.5 * target
        if plan.trace != "exact":
            assert plan.probe_stderr <= target
            assert result.nfe.vjp >= plan.products  # samples whose probes scatter more have them again
        assert float(result.nfe.per_sample.double().mean()) == pytest.approx(plan.evaluations, rel=1.0)


def test_the_plan_is_exact_where_that_is_cheaper() -> None:
    assert plan_likelihood(DENOISER, X, error=1e-4).trace == "exact"
    assert plan_likelihood(DENOISER, X, error=1.0).trace != "exact"
    assert plan_likelihood(MIXTURE.denoiser(CondOT()), MIXTURE.sample(4, 1), error=1.0).trace == "exact"


def test_smaller_errors_take_more() -> None:
    plans = [plan_likelihood(DENOISER, X, error=e) for e in (1.0, 0.3, 0.1, 0.03)]
    products = [plan.products for plan in plans]
    assert products == sorted(products)
    assert products[0] < products[-1]
    for options in ({"error": 1e-1}, {"error": 1e-3}, {"error": 1e-5}):
        tolerance = plan_likelihood(DENOISER, X, trace="exact", **options).tolerance
        assert tolerance is not None
        assert tolerance <= 0.3 * options["error"] / 16


def test_the_error_of_the_mean_is_that_of_each_over_the_root_of_their_number() -> None:
    mean = plan_likelihood(DENOISER, X, error_of_mean=0.05)
    assert mean.trace != "exact"
    assert mean.probe_stderr <= 0.05 * math.sqrt(len(X))
    assert mean.discretisation <= 0.05
    assert mean.products <= plan_likelihood(DENOISER, X, error=0.05).products
    result = log_likelihood(DENOISER, X, mean)
    assert abs(float((result.value - LAW.log_prob(X)).mean())) <= 0.05 * 3.0


def test_the_error_is_a_thousandth_for_each_dimension_if_nothing_is_given() -> None:
    one, two = plan_likelihood(DENOISER, X[:8]), plan_likelihood(DENOISER, X[:8], error=0.016)
    assert (one.clock, one.intervals, one.tolerance, one.trace) == (two.clock, two.intervals, two.tolerance, two.trace)


@pytest.mark.parametrize("trace", ["exact", "orthogonal", "hutchinson"])
@pytest.mark.parametrize("nodes", [5, 21])
def test_a_fixed_number_of_nodes_takes_the_same_of_every_sample(trace: str, nodes: int) -> None:
    """For a guided network too; and it says how far it is off."""
    for denoiser in (DENOISER, CFG(GaussianClasses([LAW, LAW]).denoiser(VP()).given(0), 1.5)):
        plan = plan_likelihood(denoiser, X[:8], nodes=nodes, trace=trace, probes=None if trace == "exact" else 2)
        assert plan.tolerance is None
        assert plan.intervals == nodes - 1
        result = log_likelihood(denoiser, X[:8], plan)
        assert result.nfe.per_sample.unique().numel() == 1
        assert result.nfe.branches == denoiser.cost
        assert bool(result.discretisation.isfinite().all())
        assert bool((result.discretisation > 0.0).all())

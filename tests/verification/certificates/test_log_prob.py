"""`certify_log_prob`: a right function passes, every mutant is found and named, and the libraries are what they are.

Statistical tests have fixed seeds. The false-alarm rate of each finding is 1e-3; the faults of the mutants are several
times the smallest that is found with 90 %, which the findings state.
"""

from __future__ import annotations

import copy
import json
import math
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from log_probs import (
    normal,
    with_flow_matching,
    with_flow_matching_exact,
    with_log_likelihood,
    with_probes,
    with_zuko,
    with_zuko_exact,
)
from torch import Tensor

from fokker.verification.certificates import LogProbCertificate, certify_log_prob
from fokker.verification.certificates.exact_fields import exact_fields

STEPS = 16
FEW = {"points": 16, "seeds": 16, "tolerance": 0.2}
"""For functions that solve: RK4 with 16 steps is off by less than 0.1 nats."""


def integrated(
    velocity: Any,
    x: Tensor,
    seed: int,
    probes: int = 1,
    *,
    shared: bool = False,
    divided: bool = True,
    sign: float = 1.0,
    bars: float | None = None,
    again: bool = False,
) -> Any:
    """log p by RK4 with frozen Rademacher probes; the keywords make mutants of it.

    The standard error is that of the probes, which is exact to a tenth with 32 of them.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = 1 if shared else len(x)
    signs = 2.0 * torch.randint(2, (probes, rows, *x.shape[1:]), generator=generator).to(x) - 1.0
    signs = signs[:1].expand(probes, len(x), *x.shape[1:]) if again else signs.expand(probes, *x.shape)

    def field(t: float, z: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            at = z.detach().requires_grad_()
            velocity_at = velocity(at, t)
        rows = torch.autograd.grad(velocity_at, at, signs, is_grads_batched=True)[0]
        return velocity_at.detach(), (rows * signs).flatten(2).sum(2)

    z, each, h = x, x.new_zeros(probes, len(x)), -1.0 / STEPS
    for i in range(STEPS):
        t = 1.0 + i * h
        u1, t1 = field(t, z)
        u2, t2 = field(t + h / 2, z + h / 2 * u1)
        u3, t3 = field(t + h / 2, z + h / 2 * u2)
        u4, t4 = field(t + h, z + h * u3)
        z, each = z + h / 6 * (u1 + 2 * u2 + 2 * u3 + u4), each + h / 6 * (t1 + 2 * t2 + 2 * t3 + t4)
    value = normal(z) + sign * (each.mean(0) if divided else each.sum(0))
    if bars is None:
        return value
    deviation = each.std(0) if probes > 1 else torch.zeros_like(value)
    return value, bars * deviation / math.sqrt(probes)


def exact(velocity: Any, x: Tensor, seed: int) -> Tensor:
    """log p itself."""
    return velocity.law.log_prob(x.double().flatten(1))


def verdicts(found: LogProbCertificate) -> dict[str, str]:
    """The worst verdict of each kind of finding."""
    order = ("pass", "note", "fail")
    worst: dict[str, str] = {}
    for each in found.findings:
        worst[each.about] = max(worst.get(each.about, "pass"), each.verdict, key=order.index)
    return worst


def sentence(found: LogProbCertificate, about: str) -> str:
    return next(each.sentence for each in found.findings if each.about == about and each.verdict == "fail")


def test_the_exact_log_p_passes_with_the_error_zero() -> None:
    found = certify_log_prob(exact, 9)
    assert found.passed
    assert found.seeds == 1
    assert [each.figures["largest"] for each in found.findings if each.about == "bias"] == [0.0, 0.0]
    assert set(verdicts(found)) == {"bias", "batch", "dtype", "shape"}


@pytest.mark.slow
def test_right_probes_pass() -> None:
    found = certify_log_prob(partial(integrated, bars=1.0, probes=32), 4, name="right", **FEW)
    assert found.passed, found
    measured = {"bias", "spread", "independence", "coverage", "probes", "batch", "dtype", "shape"}
    assert set(verdicts(found)) == measured
    slope = next(each.figures["slope"] for each in found.findings if each.about == "probes")
    assert slope == pytest.approx(-1.0, abs=0.2)  # its 99.9 % half-width


FAULTS: dict[str, tuple[Callable[..., Any], str, str]] = {
    "sign": (partial(integrated, sign=-1.0), "fault", "The divergence has the wrong sign"),
    "sum": (partial(integrated, probes=3, divided=False), "fault", "not divided by 3"),
    "one probe again": (partial(integrated, again=True), "probes", "not like 1/k"),
    "shared": (partial(integrated, shared=True), "independence", "samples share their probes"),
    "bars": (partial(integrated, probes=32, bars=0.5), "coverage", "errors are 2"),
}


@pytest.mark.parametrize(
    "fault", [pytest.param(each, marks=[] if each == "shared" else pytest.mark.slow) for each in FAULTS]
)
def test_a_mutant_with_probes_is_found(fault: str) -> None:
    function, about, said = FAULTS[fault]
    found = certify_log_prob(function, 4, name=fault, **FEW)
    assert not found.passed
    assert said in sentence(found, about), found
    assert about in found.reason


@pytest.mark.slow
def test_a_sum_that_one_probe_hides_is_found_with_several() -> None:
    found = certify_log_prob(partial(integrated, divided=False), 4, name="sum", **FEW)
    assert "With 8 probes" in sentence(found, "bias")


def wrong(change: Callable[[Any, Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """A change of log p, from the law's own values, the samples and their noise."""
    fields = {each.law: each for each in exact_fields(6, 32, 0)}

    def function(velocity: Any, x: Tensor, seed: int) -> Tensor:
        field = next(each for law, each in fields.items() if torch.equal(law.means, velocity.law.means))
        noise = torch.stack([field.noise[(field.x - row).abs().sum(1).argmin()] for row in x.double().flatten(1)])
        return change(exact(velocity, x, seed), x.double().flatten(1), noise)

    return function


CHANGES: dict[str, tuple[Callable[[Tensor, Tensor, Tensor], Tensor], str]] = {
    "normaliser": (lambda p, x, z: p + 3.0 * math.log(2.0 * math.pi), "normaliser (d/2) log 2π of the prior"),
    "left out": (lambda p, x, z: normal(z), "The divergence is left out"),
    "half": (lambda p, x, z: 0.5 * (p + normal(z)), "divided by 2 once too often"),
    "prior at the data": (lambda p, x, z: p - normal(z) + normal(x), "evaluated at the data"),
    "another prior": (lambda p, x, z: p - normal(z) + normal(z / 2.0) - 6.0 * math.log(2.0), "deviation 2"),
    "its factor": (lambda p, x, z: p - normal(z) + normal(z / 2.0), "deviation 2, and not 1, and no factor"),
    "minus": (lambda p, x, z: -p, "It is −log p"),
    "bits": (lambda p, x, z: p / math.log(2.0), "in bits"),
    "bits/dim": (lambda p, x, z: -p / (6.0 * math.log(2.0)), "bits per dimension"),
    "per dimension": (lambda p, x, z: p / 6.0, "divided by the dimension"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_typical_fault_is_named(change: str) -> None:
    function, said = CHANGES[change]
    found = certify_log_prob(wrong(function), 6, name=change)
    assert said in sentence(found, "fault"), found


def test_no_fault_is_named_that_does_not_explain_the_error() -> None:
    found = certify_log_prob(wrong(lambda p, x, z: p + x[:, 0].sin()), 6)
    assert verdicts(found)["bias"] == "fail"
    assert "fault" not in verdicts(found)


def test_a_batch_that_shares_its_value_is_found() -> None:
    found = certify_log_prob(lambda velocity, x, seed: exact(velocity, x, seed) + 0.2 * x.abs().amax(), 4, tolerance=9)
    assert verdicts(found)["batch"] == "note"  # within such a tolerance
    found = certify_log_prob(lambda velocity, x, seed: exact(velocity, x, seed) + 0.2 * x.std(), 4, tolerance=0.5)
    assert verdicts(found)["batch"] == "fail"
    assert "30 deviations away" in sentence(found, "batch")


def test_float32_and_images_are_tried() -> None:
    def vectors(velocity: Any, x: Tensor, seed: int) -> Tensor:
        if x.ndim > 2 or x.dtype != torch.float64:
            raise RuntimeError("double vectors alone")
        return exact(velocity, x, seed)

    found = certify_log_prob(vectors, 4)
    assert verdicts(found) == {"bias": "pass", "batch": "pass", "dtype": "fail", "shape": "note"}
    assert sentence(found, "dtype") == (
        "With float32 samples there is no value. vectors ended in RuntimeError: double vectors alone."
    )
    assert certify_log_prob(lambda velocity, x, seed: exact(velocity, x, seed), 4, shape=(1, 2, 2)).passed


def test_values_that_are_not_finite() -> None:
    found = certify_log_prob(lambda velocity, x, seed: exact(velocity, x, seed) / 0.0, 2)
    assert sentence(found, "bias") == "Log p is not finite 1024 times of 1024."


def test_random_numbers_that_do_not_follow_the_seed_are_told() -> None:
    generator = torch.Generator().manual_seed(0)

    def function(velocity: Any, x: Tensor, seed: int) -> Tensor:
        return exact(velocity, x, seed) + 0.1 * torch.randn(len(x), generator=generator, dtype=torch.float64)

    found = certify_log_prob(function, 2)
    assert "Two calls with one seed differ" in str(found)
    assert found.seeds == 32


def test_a_global_generator_follows_the_seed_and_is_put_back() -> None:
    def function(velocity: Any, x: Tensor, seed: int) -> Tensor:
        return exact(velocity, x, seed) + 0.1 * torch.randn(len(x), dtype=torch.float64)

    state = torch.get_rng_state()
    found = certify_log_prob(function, 2)
    assert "Two calls with one seed" not in str(found)
    assert torch.equal(torch.get_rng_state(), state)


def test_it_is_data() -> None:
    found = certify_log_prob(exact, 2)
    assert copy.deepcopy(found) == found
    assert pickle.loads(pickle.dumps(found)) == found  # noqa: S301
    assert json.loads(json.dumps(found.as_json()))["verdict"] == "pass"
    told: list[tuple[int, int, str]] = []
    certify_log_prob(exact, 2, progress=lambda *each: told.append(each))
    assert told[-1][0] == told[-1][1] == len(told) - 1


LIBRARIES: dict[str, tuple[Callable[..., Any], str]] = {
    "ours": (with_log_likelihood, "denoiser"),
    "flow_matching": (with_flow_matching_exact, "velocity"),
    "zuko": (with_zuko_exact, "velocity"),
}


@pytest.mark.parametrize("library", LIBRARIES)
def test_exact_libraries_are_right(library: str) -> None:
    function, form = LIBRARIES[library]
    found = certify_log_prob(function, 9, form=form)
    assert found.passed, found
    assert found.seeds == 1
    apart = [each.figures["largest"] for each in found.findings if each.about == "batch"]
    assert 1e-9 < max(apart) < found.tolerance  # all share steps, or a plan


@pytest.mark.slow
@pytest.mark.parametrize("function", [with_flow_matching, with_zuko])
def test_libraries_with_probes_are_right(function: Callable[..., Any]) -> None:
    found = certify_log_prob(function, 4, points=16, seeds=16)
    assert found.passed, found
    assert found.seeds == 16


@pytest.mark.slow
def test_our_probes_are_right() -> None:
    found = certify_log_prob(partial(with_probes, probes=16), 4, form="denoiser", points=16, name="ours")
    assert found.passed, found

"""Samplers of other libraries: their certificates and laws against those of our own methods."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from peers import k_diffusion
from torch import Tensor

from fokker.benchmarks.commands.verify import given
from fokker.generative import CondOT, Table, linear_betas, named
from fokker.generative.adapters import FunctionSampler, function_sampler
from fokker.generative.adapters.levels import NoiseByLevel
from fokker.generative.paths import VE, VP
from fokker.solvers import solve
from fokker.verification import certify
from fokker.verification.certificates import PROBLEMS, cases_of, exact_laws, method
from fokker.verification.certificates.problems import sampling
from fokker.verification.certificates.stochastic_problems import DATA, keeping
from fokker.verification.laws import Impulses, impulse_response
from fokker.verification.oracles import marginal

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in diffusers
TABLE = Table(linear_betas(1000))
FEW = (8, 11, 16, 23)


@pytest.fixture(scope="module")
def k() -> Any:
    """The samplers of k-diffusion."""
    k_diffusion()
    return sys.modules["k_diffusion.sampling"]


# The certificate of the same method


@pytest.mark.parametrize(("ours", "theirs"), [("euler", "sample_euler"), ("edm-heun", "sample_heun")])
def test_the_same_method_has_the_same_errors(ours: str, theirs: str, k: Any) -> None:
    for path in (CondOT(), VP(), VE()):
        problem = sampling(path, named(ours).hold)
        expected = certify(named(ours), problem, steps=FEW, apart=False)
        found = certify(function_sampler(getattr(k, theirs)), problem, steps=FEW)
        np.testing.assert_allclose(found.errors, expected.errors, rtol=1e-9)


def test_the_same_stochastic_method_has_the_same_law(k: Any) -> None:
    for ours, theirs in (("euler-ancestral", "sample_euler_ancestral"), ("dpm2-ancestral", "sample_dpm_2_ancestral")):
        problem = keeping(CondOT(), "eps")
        expected = certify(named(ours), problem, steps=FEW)
        found = certify(function_sampler(getattr(k, theirs)), problem, steps=FEW)
        np.testing.assert_allclose(found.errors, expected.errors, rtol=1e-9)


@pytest.mark.parametrize(
    ("ours", "theirs", "options"),
    [
        ("ddpm", "DDPMScheduler", {"clip_sample": False}),
        ("ddpm", "DDIMScheduler", {"clip_sample": False, "eta": 1.0}),
        ("ddim", "DDIMScheduler", {"clip_sample": False}),
        ("euler-ancestral", "EulerAncestralDiscreteScheduler", {}),
    ],
)
def test_a_scheduler_has_the_law_of_our_method_on_its_steps(ours: str, theirs: str, options: dict[str, Any]) -> None:
    """On 10 steps of 100 indices each; their coefficients are float32."""
    times = torch.cat([TABLE.at(torch.arange(999, -1, -100)), torch.ones(1, dtype=torch.float64)])
    equation, _, solver = named(ours)(DATA.denoiser(TABLE), 10)
    start = marginal(DATA, TABLE, times[0].item())
    expected = impulse_response(lambda x, noise: solve(equation, x, times, solver, noise).x, dim=1).law(start)
    found = exact_laws(function_sampler(getattr(diffusers, theirs), timestep_spacing="trailing", **options), [10])
    assert found.variances[0] == pytest.approx(expected.cov.item() / DATA.covs.item(), rel=1e-5)
    assert found.means[0] == pytest.approx(0.0, abs=1e-5)


def test_normals_of_overlapping_steps_belong_to_one_path() -> None:
    """The covariance of two increments of a Brownian path is the length that they share, over √(length × length)."""
    asked = [(5.0, 3.0), (5.0, 1.0), (4.3, 1.4), (3.0, 1.0), (6.0, 0.5), (5.0, 3.0)]
    path, like = VE(10.0), torch.zeros(40, 1, dtype=torch.float64)
    sampler = NoiseByLevel(Impulses(), path, like, (0.0, 1.0))
    rows = torch.stack([sampler(*pair)[:, 0] for pair in asked])
    found = rows @ rows.T
    expected = torch.tensor([
        [max(0.0, min(a, c) - max(b, d)) / ((a - b) * (c - d)) ** 0.5 for c, d in asked] for a, b in asked
    ], dtype=torch.float64)  # fmt: skip
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


# Orders


@pytest.mark.parametrize(
    ("theirs", "order"),
    [("sample_euler", 1), ("sample_heun", 2), ("sample_dpm_2", 2), ("sample_dpmpp_2m", 2)],
)
def test_orders_of_k_diffusion(theirs: str, order: int, k: Any) -> None:
    assert certify(function_sampler(getattr(k, theirs)), declared=order).passed


@pytest.mark.parametrize(
    ("theirs", "order"),
    [("DPMSolverMultistepScheduler", 2), ("UniPCMultistepScheduler", 3), ("FlowMatchEulerDiscreteScheduler", 1)],
)
def test_orders_of_diffusers(theirs: str, order: int) -> None:
    certificate = certify(function_sampler(getattr(diffusers, theirs)), declared=order)
    assert certificate.passed, certificate
    assert certificate.kind == "deterministic"


def mine(denoiser: Any, x: Tensor, times: Tensor, noise: Any, extra: float = 0.0) -> Tensor:
    """Euler's method, with noise that does not belong there."""
    for s, t in zip(times.tolist(), times.tolist()[1:], strict=False):
        x = x + (t - s) * denoiser.predict("velocity", s, x)
        if extra:
            x = x + extra * (t - s) ** 0.5 * torch.randn_like(x)
    return x


def test_a_bias_is_reported() -> None:
    """Euler's method for dx = u dt + ε dW converges to another law, with a larger variance."""
    right, wrong = function_sampler(mine), function_sampler(mine, extra=0.2)
    assert certify(right, declared=1).passed
    certificate = certify(wrong, steps=(8, 16, 32, 64, 128, 256, 512))
    assert certificate.kind == "law"
    assert certificate.verdict == "fail"
    assert "converges, with order" in certificate.reason
    assert "its variance is 1.1 times the exact one: the noise is off" in certificate.reason
    laws = exact_laws(wrong, [500])
    exact = 1.0 + 0.04 * _kept() / keeping(CondOT()).exact.cov.item()
    assert laws.variances[0] == pytest.approx(exact, rel=0.02)


def _kept() -> float:
    """∫ M(t)² dt, the part of unit noise that the linear flow keeps: M² is the ratio of the variances at the ends."""
    times = keeping(CondOT()).grid(20000)
    path = CondOT()
    variance = path.alpha(times) ** 2 * DATA.covs.item() + path.sigma(times) ** 2
    return float(torch.trapezoid(variance[-1] / variance, times))


# Doors


def test_the_form_is_read_from_the_function(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code = """
def of_equation(equation, x, times, noise): return x
def unnamed(f, x, times, noise): return x
def of_denoiser(denoiser, x, times, noise, part=1.0): return x
def of_model(model, x, sigmas): return x
number = 3
"""
    (tmp_path / "written.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert not isinstance(method("written:of_equation"), FunctionSampler)
    assert not isinstance(method("written:unnamed"), FunctionSampler)
    assert method("written:of_denoiser", options={"part": 0.5}).options == {"part": 0.5}
    assert method("written:of_model").form == "k-diffusion"
    assert method("written:unnamed", "fokker").form == "fokker"
    assert not isinstance(method("written:of_denoiser", "equation"), FunctionSampler)
    assert method("diffusers:DDIMScheduler", options={"eta": 1.0}).form == "diffusers"
    for call, sentence in (
        (lambda: method("written:of_equation", options={"a": 1}), "is a function .*, which takes no options"),
        (lambda: method("written:of_model", "equation"), r"must take \(equation, x, times, noise\), \(denoiser"),
        (lambda: method("written:of_model", "euler"), "Unknown form 'euler'; choose one of equation, fokker"),
        (lambda: method("written:number"), "written:number is of type int"),
        (lambda: method("euler", "fokker"), "euler takes no form and no options"),
        (lambda: method("diffusers:DDIMScheduler", options={"no": 1}), "DDIMScheduler has no option no"),
    ):
        with pytest.raises(ValueError, match=sentence):
            call()


def test_options_of_the_command() -> None:
    found = given(["a=1", "b=true", "c=trailing", "d=[0.1, 0.2]", "e=null", "f='1'", "g=", "h=a=b", "i=-0.5"])
    assert found == {
        "a": 1, "b": True, "c": "trailing", "d": [0.1, 0.2], "e": None, "f": "1", "g": "", "h": "a=b", "i": -0.5,
    }  # fmt: skip
    for wrong in (["a"], ["=1"], ["1a=2"], ["a=1", "a=2"]):
        with pytest.raises(ValueError, match="must be NAME=VALUE, each name once"):
            given(wrong)


def uniform_draws(denoiser: Any, x: Tensor, times: Tensor, noise: Any) -> Tensor:
    return mine(denoiser, x, times, noise) + 0.1 * torch.rand_like(x)


def numpy_draws(denoiser: Any, x: Tensor, times: Tensor, noise: Any) -> Tensor:
    return mine(denoiser, x, times, noise) + float(np.random.default_rng().normal())


def bent(denoiser: Any, x: Tensor, times: Tensor, noise: Any) -> Tensor:
    return torch.sin(mine(denoiser, x, times, noise)) + 0.0 * torch.randn_like(x)


def diverging(denoiser: Any, x: Tensor, times: Tensor, noise: Any) -> Tensor:
    return mine(denoiser, x, times, noise) / (0.0 if len(times) < 12 else 1.0)


def test_what_cannot_be_measured_is_said() -> None:
    for sampler, sentence in (
        (function_sampler(uniform_draws), "uniform_draws draws random numbers that are no normals of its state"),
        (function_sampler(numpy_draws), "Two runs of numpy_draws with the same noise differ; draw by torch.randn"),
        (function_sampler(bent), "The sampler is off an affine map"),
        (function_sampler(diffusers.DDPMScheduler), r"clips x0-hat.*--option clip_sample=false"),
    ):
        with pytest.raises(ValueError, match=sentence):
            exact_laws(sampler)
    with pytest.raises(TypeError, match=r"give sampling\(path\) or keeping\(path\)"):
        certify(function_sampler(mine), PROBLEMS["ode"])
    with pytest.raises(TypeError, match="sampler is of type function"):
        exact_laws(mine)  # type: ignore[arg-type]


def test_step_counts_at_which_a_sampler_diverges_are_left_out() -> None:
    certificate = certify(function_sampler(diverging), sampling(CondOT()), steps=(8, 16, 23, 32, 45), declared=1)
    assert certificate.steps == (16, 23, 32, 45)
    assert certificate.passed


def test_the_table_of_laws() -> None:
    laws = exact_laws(function_sampler(mine), [4, 8])
    assert laws.evaluations == (4, 8)
    assert str(laws).splitlines()[0] == "The law of mine on keeping, CondOT, hold velocity, eta 0:"
    assert len(str(laws).splitlines()) == 4
    assert [problem.name.split(",")[0] for _, problem in cases_of(function_sampler(mine))] == ["sampling", "keeping"]

"""`fokker likelihood`: code lengths that are known, an error budget that holds, and the same figures everywhere."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy import MIXTURE, random_mixture

from fokker.benchmarks.commands import likelihood as command
from fokker.benchmarks.commands.likelihood import measure_likelihood
from fokker.benchmarks.commands.likelihood_result import DataLikelihood
from fokker.generative import CFG, Dequantisation, load, log_likelihood
from fokker.generative.training import dataset

MODULE = """
import torch
from toy import MIXTURE, random_mixture
from fokker.generative import CondOT, Denoiser

mixture = MIXTURE.denoiser(CondOT())
wide = random_mixture(16).denoiser(CondOT())
bare = MIXTURE.denoiser(CondOT()).net
normal = Denoiser(lambda x, time: 0.0 * x, CondOT(), predicts="v")


def shifted(x, time, shift):
    return 0.0 * x + shift


linear = Denoiser(lambda x, time: torch.nn.functional.linear(x, torch.ones(2, 2)), CondOT(), predicts="velocity")
undefined = Denoiser(lambda x, time: x * float("nan"), CondOT(), predicts="velocity")
undecided = Denoiser(lambda x, time: torch.rand_like(x), CondOT(), predicts="velocity")
moved = Denoiser(shifted, CondOT(), predicts="velocity", condition={"shift": torch.zeros(1, 2)})
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "of_likelihood.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as workers have
    yield
    torch.set_num_threads(threads)


def measured(network: str, **options: Any) -> DataLikelihood:
    return measure_likelihood(network if network.endswith("flow") else f"of_likelihood:{network}", **options)


@pytest.mark.parametrize(("network", "law"), [("mixture", MIXTURE), ("wide", random_mixture(16))])
def test_points_of_a_mixture(network: str, law: Any) -> None:
    """200 points. Trace, steps and quadrature add 5 % at most, and the mean is within 5 % + 4 · 0.23 of probes that
    take 5 % of the variance: within 0.3 standard errors of the closed form."""
    x = law.sample(200, 0)
    np.save("x.npy", x.numpy())
    found = measured(network, data="x.npy", seed=3)
    exact = -law.log_prob(x) / (x.shape[1] * math.log(2.0))
    assert (found.samples, found.dim, found.grey) == (200, x.shape[1], False)
    assert found.over_samples == pytest.approx(float(exact.std()) / math.sqrt(200), rel=0.05)
    assert abs(found.bits_per_dim - float(exact.mean())) < 0.3 * found.over_samples
    assert 0.0 <= found.added < 0.05


def test_an_error_of_each_sample_and_of_the_mean() -> None:
    x = MIXTURE.sample(30, 0)
    np.save("x.npy", x.numpy())
    exact = float(-MIXTURE.log_prob(x).mean()) / (2.0 * math.log(2.0))
    for target in ({"error": 1e-5}, {"error_of_mean": 1e-5}):
        found = measured("mixture", data="x.npy", **target)
        assert abs(found.bits_per_dim - exact) < 1e-5
        assert found.discretisation < 1e-5


def test_a_bare_network_is_told_what_it_predicts() -> None:
    np.save("x.npy", MIXTURE.sample(20, 0).numpy())
    stated = measured("bare", data="x.npy", error=1e-3, predicts="v", path="CondOT()", time="t")
    expected = measured("mixture", data="x.npy", error=1e-3)
    assert dataclasses.replace(stated, minutes=0.0) == dataclasses.replace(expected, minutes=0.0)


def test_grey_levels_in_a_file_are_those_of_the_data_set() -> None:
    np.save("digits.npy", dataset("digits").held_out[:6].numpy().astype(np.uint8))
    options: dict[str, Any] = {"images": 6, "error": 2.0, "seed": 4}
    here, there = measured("digits-flow", **options), measured("digits-flow", data="digits.npy", levels=17, **options)
    assert dataclasses.replace(here, minutes=0.0) == dataclasses.replace(there, minutes=0.0)
    assert here.grey


def test_several_draws_of_a_known_bound() -> None:
    """Under N(0, 1) two levels on [−1, 1] have P(0) = P(1) = Φ(1) − Φ(0). One draw u ~ U(0, 1) falls short of log P by
    log E exp(−u²/2) + E u²/2 = 0.0111 nats, and u²/2 has the standard deviation 0.15, so that 3200 draws are within
    3 · 0.15/√3200 = 0.008 nats, and 100 within 0.045."""
    np.save("levels.npy", np.tile([[0], [1]], (50, 1)))
    length, gap = -math.log2(0.5 * math.erf(1.0 / math.sqrt(2.0))), 0.0111 / math.log(2.0)
    found = measured("normal", data="levels.npy", levels=2, draws=32, error=1e-3)
    assert (found.draws, found.samples) == (32, 100)
    assert abs(found.bits_per_dim - length) < 0.008 / math.log(2.0)
    assert found.gap == pytest.approx(gap, abs=0.2 * gap)
    assert 0.0 <= found.remaining < 0.1 * gap
    assert "variational gap that the draws close" in str(found)
    one = measured("normal", data="levels.npy", levels=2, error=1e-3)
    assert one.bits_per_dim == pytest.approx(length + gap, abs=0.045 / math.log(2.0))
    assert "variational" not in str(one)


def test_labels_and_guidance_are_those_of_the_network() -> None:
    images = dataset("digits")
    x = images.dequantisation(images.held_out[:2], 0)
    found = measured("digits-flow", images=2, label=3, guidance=1.5, error=4.0)
    guided = CFG(load("digits-flow").given(3), 1.5)
    expected = log_likelihood(guided, x, error=4.0).bits_per_dim(images.dequantisation)
    assert found.bits_per_dim == pytest.approx(float(expected.mean()), rel=1e-6)


def test_a_condition_has_a_row_a_sample() -> None:
    """The flow dx/dt = c moves N(0, 1) to N(c, 1)."""
    x, shift = torch.randn(2, 30, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    np.save("x.npy", x.numpy())
    np.save("shift.npy", shift.numpy())
    found = measured("moved", data="x.npy", condition=Path("shift.npy"), images=20, error=1e-6)
    exact = 0.5 * (x - shift)[:20].square().sum(1) + math.log(2.0 * math.pi)
    assert found.bits_per_dim == pytest.approx(float(exact.mean()) / (2.0 * math.log(2.0)), abs=1e-6)


@pytest.mark.slow
def test_figures_do_not_depend_on_the_engine() -> None:
    np.save("x.npy", MIXTURE.sample(66, 0).numpy())
    options = {"data": "x.npy", "trace": "hutchinson", "probes": 2, "error": 0.1, "seed": 4}
    here, there = (measured("mixture", engine=engine, **options) for engine in (None, "local"))
    assert dataclasses.replace(here, minutes=0.0) == dataclasses.replace(there, minutes=0.0)


def test_samples_follow_from_the_minutes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of 200 samples that take 0.1 s each, 0.9 · 6 s allow 54, and what the work before took is left out."""
    np.save("x.npy", MIXTURE.sample(200, 0).numpy())
    made = command.plan_likelihood
    monkeypatch.setattr(command, "plan_likelihood", lambda *a, **b: dataclasses.replace(made(*a, **b), seconds=0.1))
    found = measured("mixture", data="x.npy", minutes=0.1, error=0.1)
    assert 20 < found.samples <= 54
    said = capsys.readouterr().err
    assert said.startswith(f"fokker: {found.samples} samples, ")
    assert said.count("\n") == 1
    with pytest.raises(ValueError, match=r"minutes is 0.001, but two samples take longer; give at least 0\.1\."):
        measured("mixture", data="x.npy", minutes=0.001, error=0.1)


def test_the_table_says_what_more_samples_bring() -> None:
    values = {
        "samples": 100, "dim": 4, "grey": True, "bits_per_dim": 2.0, "over_samples": 0.1, "over_probes": 0.01,
        "discretisation": 0.001, "prior_mismatch": 0.0, "evaluations": 20.0, "products": 30, "trace": "orthogonal",
        "minutes": 1.0,
    }  # fmt: skip
    text = str(DataLikelihood(**values))
    assert "code length of 100 images" in text
    assert "add 1.5 % to the standard error" in text  # 0.101/√(0.1² − 0.01²) − 1
    assert "400 images would halve it, in about 4 minutes. From 1,000,000 images on" in text
    assert "do not pay" in str(DataLikelihood(**values | {"discretisation": 0.2}))
    assert "From a billion images on" in str(DataLikelihood(**values | {"discretisation": 0.0}))
    assert "in less than a second" in str(DataLikelihood(**values | {"minutes": 1e-3}))
    assert "1.7e-05     4.7e-05\n" in str(DataLikelihood(**values | {"over_probes": 1.7e-5}))
    assert "-0.0000" not in str(DataLikelihood(**values | {"prior_mismatch": -0.0}))
    alike = str(DataLikelihood(**values | {"over_samples": 0.0, "over_probes": 0.0}))
    assert alike.endswith("\nThe values of the images are alike, so that more of them bring nothing.")


def test_whole_numbers_are_taken_for_points_with_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    np.save("grey.npy", np.array([[0.0, 255.0], [3.0, 7.0]]))
    measured("normal", data="grey.npy", error=1e-2)
    assert "grey.npy holds whole numbers alone; if they are grey levels" in capsys.readouterr().err
    np.save("signs.npy", np.array([[0.0, 1.0], [-1.0, 1.0]]))
    measured("normal", data="signs.npy", error=1e-2)
    assert "whole numbers" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("network", "shape", "sentence"),
    [
        ("linear", (5, 3), "of_likelihood:linear fails at t = 0.5 for samples of shape (3,), with RuntimeError: "),
        ("linear", (5, 1, 3), "for samples of shape (1, 3), with RuntimeError: "),
        ("moved", (5, 3), "for samples of shape (3,), with RuntimeError: "),
        ("undefined", (5, 2), "undefined at t = 0.5, for samples of shape (2,), returns what is not finite"),
        ("undecided", (5, 2), "answers one question in two ways"),
    ],
)
def test_a_network_that_refuses_the_data_is_told_before_the_work(
    network: str, shape: tuple[int, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save("x.npy", np.random.default_rng(0).normal(size=shape).astype(np.float32))
    with pytest.raises(ValueError, match=re.escape(sentence)):
        measured(network, data="x.npy")
    assert capsys.readouterr().err == ""


def test_a_condition_for_a_network_without_one() -> None:
    np.save("x.npy", np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"x\.npy is for an argument that the network does not take"):
        measured("normal", data="x.npy", condition=Path("x.npy"))


def test_levels_are_seen_between_minus_one_and_one() -> None:
    levels = torch.tensor([[0, 3], [1, 2]])
    np.save("levels.npy", levels.numpy())
    found, x = measured("normal", data="levels.npy", levels=4, seed=5), Dequantisation(4)(levels, 5)
    nats = 0.5 * x.square().sum(1).mean() + math.log(2.0 * math.pi) + 2.0 * math.log(2.0)  # of cells half as wide
    assert found.bits_per_dim == pytest.approx(float(nats) / (2.0 * math.log(2.0)), abs=1e-3)

"""What tuning promises: it is exact where a table can be, never worse than the default, and the same again."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from toy import MIXTURE

from fokker.benchmarks import Tuned, tune
from fokker.benchmarks.bootstrap import estimate
from fokker.benchmarks.problems import Problem
from fokker.benchmarks.tuning.tune import FREEDOMS
from fokker.generative import CFG, VP, CondOT, flow
from fokker.solvers import RK4, Scheme, solve
from fokker.verification import Gaussian, GaussianClasses


def gaussian(sd: float) -> Problem:
    law = Gaussian(torch.zeros(2, dtype=torch.float64), sd**2 * torch.eye(2, dtype=torch.float64))
    return Problem("gaussian", "", law.denoiser(CondOT()), (2,), 8)


@pytest.mark.parametrize("nfe", [1, 2])
def test_a_gaussian_is_exact_with_one_evaluation(nfe: int) -> None:
    """N is linear in z there, so that z₀ and N span the end: the reference is all that is left, to 1e-8."""
    found = tune(gaussian(0.3), nfe=nfe, samples=64)
    assert estimate(found.held_out["default"]) > 1e-2
    assert estimate(found.held_out["tuned"]) < 1e-6
    assert found.facts["gaussian_law"].keys() == {"0.1", "0.5", "1.0"}


def mixture(free: str = "all", folder: Path | None = None, **settings: object) -> Tuned:
    problem = Problem("mixture", "", MIXTURE.denoiser(VP()), (2,), 8)
    return tune(problem, nfe=3, samples=128, free=free, folder=folder, **settings)  # type: ignore[arg-type]


fitted = cache(mixture)


@cache
def short(free: str) -> Tuned:
    """A fit of a few steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(import_module("fokker.benchmarks.tuning.course"), "STEPS", {"log": 4, "huber": 12})
        return mixture(free)


@pytest.mark.parametrize("free", FREEDOMS)
def test_no_freedom_is_worse_than_the_default(free: str) -> None:
    found = short(free)
    assert found.ratio() <= 1.0
    assert found.scheme.nfe == 3


def test_more_freedom_is_better_on_the_training_noises() -> None:
    """Other numbers are at hand, but a fit may end in another minimum: a tenth is allowed."""
    errors = {free: estimate(short(free).training, "trimmed") for free in FREEDOMS}
    assert errors["all"] <= 1.1 * min(errors.values())


def test_an_ended_fit_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    whole = fitted()
    cut = mixture(folder=tmp_path, minutes=1e-6)
    resumed = mixture(folder=tmp_path)
    assert resumed.scheme.states == whole.scheme.states
    assert resumed.scheme.evaluations == whole.scheme.evaluations
    assert cut.scheme.states != whole.scheme.states
    damaged = next((tmp_path / "tuning").iterdir())
    damaged.write_bytes(damaged.read_bytes().replace(b"0", b"1", 1))
    with pytest.raises(ValueError, match=damaged.name):
        mixture(folder=tmp_path)


def test_the_file_samples_with_the_errors_of_the_report(tmp_path: Path) -> None:
    found = fitted()
    found.save(tmp_path / "tuned.json")
    scheme = Scheme.load(tmp_path / "tuned.json")
    assert scheme == found.scheme
    report = scheme.about["report"]
    assert report["held_out"]["tuned"]["rms"][0] == estimate(found.held_out["tuned"])
    assert "Order 0" in str(found)


def test_labels_and_weights_of_guidance_are_part_of_the_noises() -> None:
    """One table serves all labels and weights: its errors are those of these flows, which differ."""
    cov = 0.04 * torch.eye(2, dtype=torch.float64)
    means = torch.tensor([[-1.0, 0.0], [1.0, 0.5]], dtype=torch.float64)
    law = GaussianClasses([Gaussian(mean, cov) for mean in means])
    problem = Problem("classes", "", law.denoiser(CondOT()), (2,), 8, classes=2)
    found = tune(problem, nfe=3, samples=64, guidance=(1.0, 2.0))
    assert found.ratio() <= 1.0
    labels, weights = torch.tensor([0, 1, 0, 1]), torch.tensor([1.0, 1.0, 2.0, 2.0], dtype=torch.float64)
    held = flow(CFG(problem.denoiser.given(labels), weights), "velocity")
    training = problem.noise(64, 0)[:4]  # of these noises the errors are known
    exact = solve(flow(CFG(problem.denoiser.given(labels), weights)), training, torch.linspace(0.0, 1.0, 201), RK4()).x
    errors = (found.scheme.run(held, training).x - exact).square().mean(1).sqrt()
    torch.testing.assert_close(errors, torch.from_numpy(found.training[:4]), rtol=1e-2, atol=0.0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"free": "grid"}, "free"), ({"nfe": 0}, "nfe"), ({"samples": 1}, "samples"), ({"minutes": 0.0}, "minutes"),
        ({"objective": "l1"}, "objective"),
    ],
    ids=str,
)  # fmt: skip
def test_wrong_arguments_are_named(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tune(gaussian(0.3), **wrong)  # type: ignore[arg-type]


def test_the_errors_are_those_of_the_noises_that_were_not_fitted() -> None:
    found = fitted()
    assert len(found.held_out["tuned"]) == 128 == len(found.training)
    assert not np.array_equal(found.held_out["tuned"], found.training)

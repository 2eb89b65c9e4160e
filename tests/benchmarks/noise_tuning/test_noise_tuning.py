"""Noise that is fitted: the law of a table is exact, the fit too where it can be, and it is never worse on samples."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy import GAUSSIAN, LINE, MIXTURE

from fokker.benchmarks.noise_tuning import TunedLaw, tune_noise
from fokker.benchmarks.noise_tuning.amounts import Amounts
from fokker.benchmarks.noise_tuning.descent import fits
from fokker.benchmarks.noise_tuning.matched import Matched
from fokker.benchmarks.noise_tuning.tune_noise import _start
from fokker.benchmarks.problems import Problem
from fokker.benchmarks.stochastic import entrant
from fokker.generative import VP, CondOT, sample
from fokker.solvers import Scheme
from fokker.verification import Gaussian
from fokker.verification.laws import impulse_response
from fokker.verification.oracles import Law, marginal
from fokker.verification.statistics import gaussian_w2

SAMPLERS = (
    "ddpm", "ddim(eta=1)", "sde-dpm++2m", "euler-maruyama", "sra1", "euler-ancestral", "edm-stochastic",
    "predictor-corrector",
)  # fmt: skip


def problem_of(law: Any, path: Any = None) -> Problem:
    return Problem("law", "", law.denoiser(path or VP()), tuple(law.shape), 8)


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_law_is_that_of_the_impulse_response(name: str) -> None:
    """Both are exact: a direction at a time, and all at once. Rounding of σ/α = 80 at the start is 80² · 1e-16."""
    problem = problem_of(GAUSSIAN)
    run = entrant(name).run(problem.denoiser, 8)
    response = impulse_response(run.solver, run.equation, run.times, dim=2)  # type: ignore[union-attr]
    first, last = float(run.times[0]), float(run.times[-1])
    noise = Law(torch.zeros(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64) * problem.path.sigma(first) ** 2)
    expected = gaussian_w2(*response.law(noise), *marginal(GAUSSIAN, problem.path, last))
    matched = Matched.of(problem.path, GAUSSIAN.means[0], GAUSSIAN.covs[0])
    assert matched.w2(_start(problem, name, 8)) == pytest.approx(expected, rel=1e-8, abs=1e-8)


@pytest.mark.parametrize(("name", "nfe"), [("ddpm", 2), ("sde-dpm++2m", 4), ("euler-maruyama", 2)])
def test_the_law_of_gaussian_data_becomes_exact(name: str, nfe: int) -> None:
    """A mean and a variance are two numbers, and each step has three."""
    found = tune_noise(problem_of(LINE, CondOT()), nfe=nfe, sampler=name, samples=400)
    assert found.gaussian["start"] > 1e-2
    assert found.gaussian["tuned"] < 1e-9
    assert not found.facts["kept_start"]
    assert found.ratio() < 1.0


def test_the_amounts_of_noise_are_the_best_ones() -> None:
    """W₂² is convex in their squares q: no other q on a segment from the fit is better, to the rounding of W₂²."""
    law = Gaussian(torch.zeros(4, dtype=torch.float64), torch.diag(torch.tensor([0.01, 0.1, 1.0, 3.0]).double()))
    problem = problem_of(law)
    matched, start = Matched.of(problem.path, law.means[0], law.covs[0]), _start(problem, "ddpm", 5)
    amounts = Amounts(start, noise_alone=True)
    best = [*fits(amounts, matched)][-1]

    def error(p: Any) -> float:
        return float(np.square(matched.misses(start, amounts.numbers(p[None]))).sum())

    assert error(best) < 0.9 * error(0.0 * best)
    rng = np.random.default_rng(0)
    for _ in range(20):
        other = rng.random(amounts.size) * 2.0
        for part in (1e-3, 0.1, 1.0):
            q = (1.0 - part) * (1.0 + best) ** 2 + part * other**2
            assert error(np.sqrt(q) - 1.0) >= error(best) - 1e-12


def mixture(**settings: Any) -> TunedLaw:
    return tune_noise(problem_of(MIXTURE, CondOT()), nfe=4, sampler="ddpm", samples=400, **settings)


def test_the_samples_are_nearer_to_the_model(tmp_path: Path) -> None:
    """The held-out samples, and those of `sample` from the file, which has the report."""
    found = mixture()
    assert found.ratio() < 0.8
    assert found.gaussian["tuned"] < found.gaussian["start"]
    found.save(tmp_path / "noise.json")
    scheme = Scheme.load(tmp_path / "noise.json")
    assert scheme == found.scheme
    assert scheme.about["report"]["sliced_w2"]["tuned"][0] == found.held_out["tuned"].value
    assert scheme.about["eta"] == 1.0
    denoiser = MIXTURE.denoiser(CondOT())
    x = sample(denoiser, (400, 2), 4, sampler=tmp_path / "noise.json", dtype=torch.float64)
    assert bool(x.isfinite().all())
    assert "resolved" in str(found)
    assert mixture().scheme.states == found.scheme.states


def test_a_fit_that_is_worse_on_held_out_samples_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples that choose, and are wrong: only the held-out ones tell."""
    module = import_module("fokker.benchmarks.noise_tuning.tune_noise")
    monkeypatch.setattr(module, "fits", lambda amounts, matched: iter([np.full(amounts.size, 2.0)]))
    own = module._measured

    def measured(scheme: Scheme, problem: Problem, nfe: int, count: int, seed: int, *rest: Any) -> Any:
        found = own(scheme, problem, nfe, count, seed, *rest)
        chosen = seed % 4 == 2 and scheme.states != _start(problem, "ddpm", 4).states
        return replace(found, value=0.0) if chosen else found

    monkeypatch.setattr(module, "_measured", measured)
    found = mixture()
    assert found.facts["kept_start"]
    assert found.ratio() == 1.0
    assert found.scheme.states == _start(problem_of(MIXTURE, CondOT()), "ddpm", 4).states
    assert "the table is the start's" in str(found)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sampler": "ddim"}, "ddim draws no"), ({"sampler": "restart"}, "no sampler"), ({"free": "times"}, "free"),
        ({"nfe": 1, "sampler": "ddpm"}, "within 1 evaluations"), ({"samples": 10}, "samples"), ({"nfe": 0}, "nfe"),
    ],
    ids=str,
)  # fmt: skip
def test_wrong_arguments_are_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tune_noise(problem_of(LINE), **wrong)

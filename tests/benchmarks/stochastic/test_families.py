"""Samplers by their names and amounts of noise: what they run, and what it costs."""

from __future__ import annotations

import pickle
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fokker.benchmarks.problems import Problem, problem
from fokker.benchmarks.stochastic import FAMILIES, STOCHASTIC, Family, entrant
from fokker.benchmarks.stochastic.draws import ExactErrors, Job, draw
from fokker.benchmarks.stochastic.entrants import Diffusion, Planned
from fokker.generative import VP, Denoiser, Sampler, named, reverse_sde
from fokker.generative.adapters import function_sampler
from fokker.generative.equations import reversal
from fokker.solvers import Ancestral, ExponentialAdams, Heun, solve, unroll
from fokker.verification import Gaussian

GAUSSIAN = problem("gaussian")


def errors(name: str, budget: int, there: Problem = GAUSSIAN) -> ExactErrors:
    found = draw(Job(entrant(name), budget, 1, 0), there)
    assert found.exact is not None, found.failure
    return found.exact


@pytest.mark.parametrize("family", FAMILIES.values(), ids=list(FAMILIES))
def test_every_amount_of_noise_has_its_name_and_spends_its_budget(family: Family) -> None:
    for level in family.levels:
        made = entrant(family.text(level))
        assert made.name == family.text(level)
        assert pickle.loads(pickle.dumps(made)).name == made.name  # noqa: S301  # our own
        for budget in (20, 51):
            found = draw(Job(made, budget, 1, 0), GAUSSIAN)
            assert not found.failure
            assert budget - 2 <= found.nfe <= budget, made.name


@pytest.mark.thinned(3)
@pytest.mark.parametrize("name", STOCHASTIC)
def test_stochastic_samplers_approach_the_law(name: str) -> None:
    """With four times the evaluations a sampler of weak order 1 is four times as near, up to what is not yet the
    leading order: less than 0.55. The data are 3 in size; 0.15 is near, and Langevin dynamics, of which no step is
    exact for a Gaussian and whose levels are far apart, comes within 0.6."""
    few, many = (errors(name, budget).steps for budget in (100, 400))
    assert many < 0.55 * few
    assert many < (0.6 if name == "annealed-langevin" else 0.15)


@pytest.mark.parametrize("name", [name for name in FAMILIES if name in ("ddim", *STOCHASTIC) and "sde-s" not in name])
def test_published_names_are_the_published_samplers(name: str) -> None:
    own = entrant(name)
    if not isinstance(own, Planned) or name in ("euler-maruyama", "sra1"):
        return
    row = named(name)
    assert repr(own.sampler.solver) == repr(row.solver)
    assert (own.sampler.hold, own.sampler.eta, own.sampler.grid) == (row.hold, row.eta, row.grid)


def test_the_file_of_a_table_takes_part(tmp_path: Path) -> None:
    """With the law of the sampler that it was made of; a budget below its own is a failure that says so."""
    denoiser = problem("gaussian").denoiser
    row = named("dpm++2m")
    equation, times, solver = row(denoiser, 6)
    replace(unroll(equation, times, solver), about={"hold": row.hold}).save(tmp_path / "mine.json")
    found = entrant(str(tmp_path / "mine.json")).run(denoiser, 6).response(12)
    expected = entrant(row).run(denoiser, 6).response(12)
    torch.testing.assert_close(found.matrix, expected.matrix, rtol=0.0, atol=1e-12)
    with pytest.raises(ValueError, match="allow 6"):
        entrant(str(tmp_path / "mine.json")).run(denoiser, 5)


def test_eta_of_ddim_is_that_of_the_ancestral_sampler() -> None:
    made = entrant(" DDIM( eta = 0.5 ) ")
    assert isinstance(made, Planned)
    assert repr(made.sampler.solver) == repr(Ancestral(ExponentialAdams(1), 0.5))
    assert made.stochastic
    assert not entrant("ddim(eta=0)").stochastic


def test_ddim_with_eta_1_is_ddpm() -> None:
    """On VP, where both start at t = 0: one method. Roundings of 20 steps: 1e-12."""
    law = Gaussian(torch.ones(2, dtype=torch.float64), 0.25 * torch.eye(2, dtype=torch.float64))
    there = Problem("vp", "a Gaussian", law.denoiser(VP()), (2,), 1)
    assert abs(errors("ddpm", 20, there).total - errors("ddim(eta=1)", 20, there).total) < 1e-12


def test_any_sampler_and_any_noise_level_takes_part() -> None:
    assert entrant(None).name == entrant("default").name == "default"
    assert entrant(Heun()).name == "Heun()"
    assert entrant(Sampler(Heun(), name="mine")).name == "mine"
    own = Diffusion("reversal", reversal)
    assert entrant(own) is own
    assert draw(Job(own, 20, 50, 0), problem("ring")).x is not None


@pytest.mark.parametrize(
    ("name", "budget", "words"),
    [
        ("restart", 5, "two steps and 1 repeats"),
        ("annealed-langevin", 4, "5 evaluations"),
        ("predictor-corrector", 1, "takes 2 evaluations"),
        ("sra1", 1, "takes 2 evaluations"),
    ],
)
def test_a_budget_below_a_step_is_a_failure_that_says_so(name: str, budget: int, words: str) -> None:
    assert words in draw(Job(entrant(name), budget, 1, 0), GAUSSIAN).failure


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ddim(eta=2)", "eta is 2"),
        ("ddim(eta=-1)", "eta is -1"),
        ("ddim(eta=x)", "ddim(eta=x): could not convert"),
        ("ddim(size=1)", "Unknown parameter of ddim 'size'; choose one of eta"),
        ("unipc(eta=1)", "Unknown family of samplers 'unipc'; choose one of ddim"),
        ("restart(repeats=0.5)", "repeats is 0.5, but must be a whole number"),
        ("dpm", "Unknown sampler 'dpm'"),
    ],
)
def test_wrong_names_are_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        entrant(text)


def test_what_is_no_sampler_is_refused() -> None:
    with pytest.raises(TypeError, match="sampler is 3"):
        entrant(3)  # type: ignore[arg-type]


def stepwise(denoiser: Denoiser, x: Tensor, times: Tensor, noise: Any) -> Tensor:
    """DDPM, as anyone may write it, in the form (denoiser, x, times, noise)."""
    return solve(reverse_sde(denoiser), x, times, ExponentialAdams(1), noise).x


def test_the_code_of_others_has_its_exact_law_and_is_counted() -> None:
    """DDPM as a function is DDPM on VP, where both start at t = 0: roundings of 20 steps, 1e-12."""
    law = Gaussian(torch.ones(2, dtype=torch.float64), 0.25 * torch.eye(2, dtype=torch.float64))
    there = Problem("vp", "a Gaussian", law.denoiser(VP()), (2,), 1)
    theirs = entrant(function_sampler(stepwise))
    assert (theirs.name, theirs.stochastic) == ("stepwise", True)
    found = draw(Job(theirs, 20, 1, 0), there)
    assert found.nfe == 20
    assert found.exact is not None
    assert abs(found.exact.total - errors("ddpm", 20, there).total) < 1e-12
    one, two = (draw(Job(each, 20, 50, 0), problem("ring")).x for each in (theirs, entrant("ddpm")))
    assert one is not None
    assert two is not None
    torch.testing.assert_close(one, two)


def drawn(denoiser: Denoiser, x: Tensor, times: Tensor, noise: Any) -> Tensor:
    """The noise alone."""
    return noise.extra(0, x)


def test_noise_reaches_every_sample_in_batches() -> None:
    """600 samples in two batches: no normal is drawn twice."""
    x = draw(Job(entrant(function_sampler(drawn)), 4, 600, 0), problem("ring")).x
    assert x is not None
    assert len(torch.unique(x)) == 1200

"""What a user gives becomes a sampler that runs on any problem, within its budget."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fokker.benchmarks.entrants import DEFAULT_SAMPLERS, GRIDS, Ours, Saved, Theirs, distinct, entrant
from fokker.benchmarks.problems import Problem, problem, problem_of
from fokker.benchmarks.workload import workload
from fokker.generative import VP, CondOT, flow, grids, sample
from fokker.generative.sampling import PUBLISHED, Sampler
from fokker.solvers import ExponentialAdams, solve, unroll
from fokker.verification import Gaussian

FEW = 4


def gaussian(path: Any = None) -> Problem:
    """A Gaussian of two dimensions, whose flow is affine."""
    cov = torch.tensor([[0.5, 0.2], [0.2, 0.3]], dtype=torch.float64)
    data = Gaussian(torch.tensor([0.3, -0.4], dtype=torch.float64), cov)
    return problem_of(data.denoiser(path or CondOT()), (2,), name="small", samples=FEW)


def euler(model: Any, x: Tensor, sigmas: Tensor) -> Tensor:
    """Euler's method in σ, as a function of k-diffusion's kind."""
    for here, there in pairwise(sigmas):
        x = x + (there - here) * (x - model(x, here.expand(len(x)))) / here
    return x


def run(name: Any, chosen: Problem, budget: int, grid: str | None = None) -> tuple[Tensor, int]:
    found = entrant(name)
    x = chosen.noise(FEW, 0)
    return found.run(chosen, chosen.labelled(FEW), x, budget, grid or found.grids[0])


@pytest.mark.parametrize("name", [*DEFAULT_SAMPLERS, *PUBLISHED])
def test_nobody_exceeds_a_budget(name: str) -> None:
    chosen = gaussian()
    if name in PUBLISHED and PUBLISHED[name].stochastic:
        with pytest.raises(ValueError, match=r"draws noise.*--law"):
            workload(chosen, [entrant(name)], [7])
        return
    for budget in (7, 12):
        x, nfe = run(name, chosen, budget)
        assert nfe <= budget
        assert entrant(name).steps(chosen, budget) <= nfe
        assert x.isfinite().all()


def test_guidance_is_paid_for() -> None:
    """With a cost of two a call, a budget of 10 pays for five."""
    digits = problem("digits")
    guided = problem_of(digits.denoiser, digits.shape, label=3, guidance=2.0, samples=2)
    found = entrant("ddim")
    assert found.steps(guided, 10) == 5
    _, nfe = found.run(guided, guided.labelled(2), guided.noise(2, 0), 10, "uniform")
    assert nfe == 10


def test_the_default_is_what_sample_does() -> None:
    """On a path whose end is the data, the rows of "default" are the samples of `sample`."""
    chosen = gaussian()
    x, _ = run("default", chosen, 8)
    made = sample(chosen.denoiser, (FEW, 2), nfe=8, seed=0, dtype=torch.float64)
    torch.testing.assert_close(x, made, rtol=0.0, atol=1e-13)  # 8 steps of a few roundings


def test_what_holds_eps_starts_where_sample_starts_it() -> None:
    """ε-hat says nothing about x₀ at α = 0."""
    chosen = gaussian()
    x, _ = run("deis", chosen, 10, "log_snr")
    made = sample(chosen.denoiser, (FEW, 2), nfe=10, seed=0, sampler="deis", dtype=torch.float64)
    torch.testing.assert_close(x, made, rtol=0.0, atol=1e-12)


def test_a_function_of_another_library_equals_ours() -> None:
    """Euler's method in σ is DDIM, on any grid."""
    chosen = gaussian(VP())
    ours, _ = run("ddim", chosen, 9, "log_snr")
    theirs, nfe = run(euler, chosen, 9, "log_snr")
    assert nfe == 9
    torch.testing.assert_close(theirs, ours, rtol=1e-11, atol=1e-11)


def test_a_saved_scheme_is_the_solver_it_came_from(tmp_path: Path) -> None:
    chosen, file = gaussian(), tmp_path / "five.json"
    times = grids.quadratic(CondOT(), 5)
    unroll(flow(chosen.denoiser, "x0"), times, ExponentialAdams(1)).save(file)
    found = entrant(f"{file}@x0")
    assert isinstance(found, Saved)
    assert [found.steps(chosen, budget) for budget in (4, 5, 9)] == [0, 5, 5]
    x, nfe = run(f"{file}@x0", chosen, 5)
    ours, _ = run("ddim", chosen, 5, "quadratic")
    assert nfe == 5
    torch.testing.assert_close(x, ours, rtol=0.0, atol=1e-14)


def test_a_file_says_what_its_flow_holds(tmp_path: Path) -> None:
    """A word after the file says otherwise; and a table that starts later starts with the smaller states there."""
    chosen, file = gaussian(), tmp_path / "five.json"
    scheme = unroll(flow(chosen.denoiser, "eps"), [0.2, 0.5, 1.0], ExponentialAdams(1))
    scheme = replace(scheme, about={"hold": "eps"})
    scheme.save(file)
    holds = {str(file): "eps", f"{file}@x0": "x0"}
    for given, hold in holds.items():
        found = entrant(given)
        assert isinstance(found, Saved)
        assert found.hold == hold
    assert entrant(scheme).hold == "eps"  # type: ignore[attr-defined]
    x, _ = run(str(file), chosen, 2)
    noise = chosen.noise(FEW, 0)
    expected = solve(flow(chosen.denoiser, "eps"), 0.8 * noise, scheme.times, ExponentialAdams(1)).x
    torch.testing.assert_close(x, expected, rtol=0.0, atol=1e-14)


def test_objects_and_texts_are_taken_alike() -> None:
    for given in ("ExponentialAdams(3)", ExponentialAdams(3), Sampler(ExponentialAdams(3))):
        found = entrant(given)
        assert isinstance(found, Ours)
        assert found.name == "ExponentialAdams(3)"
    assert isinstance(entrant(euler), Theirs)
    assert [each.name for each in distinct(["heun", "heun", "ddim"])] == ["heun", "ddim"]


def test_another_version_of_a_function_has_another_name() -> None:
    def first(model: Any, x: Tensor, sigmas: Tensor) -> Tensor:
        return model(x, sigmas[:1].expand(len(x)))

    one, other = entrant(first), entrant(euler)
    assert one.name.split("@")[1] != other.name.split("@")[1]
    assert one.name == entrant(first).name


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("hein", "Unknown sampler 'hein'; choose one of default, "),
        ("nowhere.json", "There is no file"),
        ("math:nothing", "math has no 'nothing'"),
        ("Heun(", "'Heun\\(' cannot be read"),
    ],
)
def test_what_is_no_sampler_is_one_sentence(given: str, sentence: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match="^" + sentence):
        entrant(given)


CODE = {
    "default": ("x = sample(denoiser, (n, 2), nfe=8)", ")"),
    "ddim": ('x = sample(denoiser, (n, 2), nfe=8, sampler="ddim")', ', sampler="ddim")'),
}


@pytest.mark.parametrize("name", ["default", "ddim", "dpm++2m", "exp-adams-2c-velocity", "heun", "deis"])
@pytest.mark.parametrize("grid", sorted(GRIDS))
def test_the_lines_that_one_pastes_run_and_give_the_row(name: str, grid: str) -> None:
    """`sample` and `solve`, from the same noise."""
    found, chosen = entrant(name), gaussian()
    grid = grid if grid in found.grids else found.grids[0]
    code = found.code(chosen, 8, grid)
    row, _ = found.run(chosen, chosen.labelled(FEW), chosen.noise(FEW, 0), 8, grid)
    noise = chosen.noise(FEW, 0) / chosen.path.sigma(chosen.start)
    import fokker
    from fokker.generative.adapters import FokkerScheduler

    names = {each: getattr(fokker, each) for each in ("named", "solve", "grids", "Heun", "ExponentialAdams")}
    names |= {"Sampler": Sampler, "denoiser": chosen.denoiser, "noise": noise, "n": FEW}
    exec(code.solve, names)
    torch.testing.assert_close(names["x"], row, rtol=0.0, atol=1e-12)
    names["sample"] = lambda *args, **more: sample(*args, **more, dtype=torch.float64)
    exec(code.sample, names)
    torch.testing.assert_close(names["x"], row, rtol=0.0, atol=1e-12)
    given = code.scheduler.partition("scheduler.config")[2].removesuffix(")").removeprefix(", sampler=")
    FokkerScheduler(**({"sampler": eval(given, names)} if given else {}))

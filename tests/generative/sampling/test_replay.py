"""A table, or its file, as a sampler: it draws what the table computes, and refuses what is not the table's."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from toy import MIXTURE

from fokker.generative import (
    CFG,
    CondOT,
    Denoiser,
    encode,
    flow,
    interpolate,
    load,
    named,
    reverse_sde,
    round_trip,
    sample,
)
from fokker.generative.denoiser import network_digest
from fokker.generative.equations import grids
from fokker.generative.sampling import as_sampler, regular_interval, sample_chunks
from fokker.solvers import ExponentialAdams, Replay, Scheme, solve, standard_normal, unroll
from fokker.solvers.noise import per_sample_keys
from fokker.solvers.scheme import Evaluation

DENOISER = MIXTURE.denoiser(CondOT())
SHAPE = (6, 2)
DOUBLE: dict[str, Any] = {"dtype": torch.float64}


def table(name: str, n: int, denoiser: Denoiser = DENOISER, t0: float = 0.0) -> Scheme:
    """Of a published sampler on its own grid, with what its file says of it."""
    row = named(name)
    scheme = unroll(*row(denoiser, n, t0=t0)[:2], row.solver)
    return replace(scheme, about={"hold": row.hold, "eta": row.eta})


def one_step() -> Scheme:
    """As `tune` makes them: one step, and an evaluation that goes back in time."""
    x: dict[tuple[str, int], float] = {("x", 0): 1.0}
    calls = (Evaluation(0, 0.0, x), Evaluation(0, 0.6, x | {("N", 0): 0.6}), Evaluation(0, 0.5, x | {("N", 1): 0.5}))
    return Scheme("found", (0.0, 1.0), (x | {("N", 0): 0.2, ("N", 1): 0.5, ("N", 2): 0.3},), calls)


@pytest.mark.parametrize("name", ["dpm++2m", "ipndm", "unipc", "flow-heun"])
def test_a_file_draws_the_samples_of_its_sampler(name: str, tmp_path: Path) -> None:
    """With as many evaluations, to the rounding of 12 steps of states of order 1, 1e-12."""
    t0 = regular_interval(DENOISER, named(name), both_ways=False)[0]
    scheme = table(name, 6, t0=t0)
    scheme.save(tmp_path / "mine.json")
    expected = sample(DENOISER, SHAPE, nfe=scheme.nfe, sampler=name, **DOUBLE)
    for given in (str(tmp_path / "mine.json"), tmp_path / "mine.json", scheme, as_sampler(scheme)):
        found = sample(DENOISER, SHAPE, nfe=scheme.nfe, sampler=given, **DOUBLE)
        torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-12)


def test_a_table_of_one_step_is_what_run_computes() -> None:
    scheme = one_step()
    x = standard_normal(torch.empty(SHAPE, dtype=torch.float64), per_sample_keys(0, 6, torch.device("cpu")))
    expected = scheme.run(flow(DENOISER, "velocity"), x).x
    assert torch.equal(sample(DENOISER, SHAPE, nfe=3, sampler=scheme, **DOUBLE), expected)
    chunked = sample(DENOISER, SHAPE, sampler=scheme, chunk=4, **DOUBLE)
    torch.testing.assert_close(chunked, expected, rtol=0.0, atol=1e-13)


def test_a_table_that_draws() -> None:
    """Noise of the solver's own, and that of an equation, whose η the table says."""
    for name in ("euler-ancestral", "ddpm", "sde-dpm++2m"):
        t0 = regular_interval(DENOISER, named(name), both_ways=False)[0]
        scheme = table(name, 6, t0=t0)
        expected = sample(DENOISER, SHAPE, nfe=scheme.nfe, sampler=name, **DOUBLE)
        found = sample(DENOISER, SHAPE, nfe=scheme.nfe, sampler=scheme, **DOUBLE)
        torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-11)
    noisy = unroll(reverse_sde(DENOISER), [0.1, 0.5, 0.9], ExponentialAdams(1))
    with pytest.raises(ValueError, match=r"is for an equation with noise; say of which η: about = \{'eta': 1.0\}"):
        as_sampler(noisy)


def test_it_starts_and_ends_where_it_says() -> None:
    """Also where other samplers of the same network start elsewhere; the first states have the deviation σ there."""
    scheme = replace(unroll(flow(DENOISER, "eps"), [0.2, 0.5, 0.97], ExponentialAdams(1)), about={"hold": "eps"})
    sampler = as_sampler(scheme)
    equation, times, solver = sampler(DENOISER, 2, t0=0.2, t1=0.97)
    assert regular_interval(DENOISER, sampler, both_ways=False) == (0.2, 0.97)
    x = 0.8 * standard_normal(torch.empty(SHAPE, dtype=torch.float64), per_sample_keys(0, 6, torch.device("cpu")))
    expected = solve(equation, x, times, solver).x
    assert torch.equal(sample(DENOISER, SHAPE, sampler=scheme, **DOUBLE), expected)
    for n, ends in ((3, {"t0": 0.2, "t1": 0.97}), (2, {}), (2, {"t0": 0.2, "t1": 1.0})):
        with pytest.raises(ValueError, match=r"^The table has 2 steps from t = 0.2 to t = 0.97, but \d steps"):
            sampler(DENOISER, n, **ends)


def test_where_the_network_cannot_be_asked() -> None:
    """One that predicts ε says nothing of the velocity at α = 0."""
    eps = Denoiser(lambda x, time: x, CondOT(), predicts="eps")
    with pytest.raises(ValueError, match=r"^found asks for the velocity at t = 0, where .* predicts eps"):
        sample(eps, SHAPE, sampler=one_step())


@pytest.mark.parametrize(("nfe", "weight"), [(2, None), (5, 2.0)])
def test_a_budget_below_the_table_is_refused_with_what_it_needs(nfe: int, weight: float | None) -> None:
    calls: list[int] = []

    def net(x: torch.Tensor, time: torch.Tensor, label: torch.Tensor | None = None) -> torch.Tensor:
        calls.append(1)
        return -x

    denoiser: Denoiser = Denoiser(net, CondOT(), predicts="velocity")
    if weight is not None:
        denoiser = CFG(denoiser.given(1), weight, null=0)
    needed = 3 * denoiser.cost
    with pytest.raises(ValueError, match=f"^nfe = {nfe} is less than the {needed} evaluations .*; allow {needed}"):
        sample(denoiser, SHAPE, nfe=nfe, sampler=one_step())
    assert not calls
    assert sample(denoiser, SHAPE, nfe=needed, sampler=one_step()).shape == SHAPE


def test_guidance_in_an_interval_costs_what_it_costs() -> None:
    """2 evaluations where |log SNR| < 0.6: of t = 0, 0.6, 0.5 only at the last, since the second is at 0.81."""

    def net(x: torch.Tensor, time: torch.Tensor, label: torch.Tensor | None = None) -> torch.Tensor:
        return -x

    guided = CFG(Denoiser(net, CondOT(), predicts="velocity").given(1), 2.0, interval=(-0.6, 0.6), null=0)
    needed = sum(int(guided.evaluations(t)) for t in (0.0, 0.6, 0.5))
    assert needed == 4
    with pytest.raises(ValueError, match="allow 4"):
        sample(guided, SHAPE, nfe=3, sampler=one_step())
    assert sample(guided, SHAPE, nfe=4, sampler=one_step()).shape == SHAPE


@pytest.mark.parametrize("call", [
    lambda x, s: encode(DENOISER, x, sampler=s),
    lambda x, s: encode(DENOISER, x, sampler=s, times=[0.0, 0.5, 1.0]),
    lambda x, s: interpolate(DENOISER, x, x, sampler=s),
    lambda x, s: round_trip(DENOISER, x, sampler=s),
])
def test_there_is_no_way_back(call: Any) -> None:
    with pytest.raises(ValueError, match=r"^found is a table from noise to data, and has no way back; choose a named"):
        call(MIXTURE.sample(2, seed=0), one_step())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"about": {"hold": "speed"}}, r"Unknown about\['hold'\] 'speed'; choose one of x0, eps, velocity, v"),
        ({"about": {"eta": -1.0}}, r"about\['eta'\] is -1"),
        ({"times": (1.0, 0.0)}, "found goes from t = 1 to t = 0, but samples go from noise to data"),
    ],
)
def test_a_table_that_samples_nothing(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    scheme = replace(one_step(), **change)
    with pytest.raises(ValueError, match=f"^{message}"):
        as_sampler(scheme)
    scheme.save(tmp_path / "mine.json")
    with pytest.raises(ValueError, match=f"^{tmp_path / 'mine.json'}: {message}"):
        sample(DENOISER, SHAPE, sampler=tmp_path / "mine.json")


def test_a_file_that_is_not_there_or_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"There is no file 'none\.json'"):
        sample(DENOISER, SHAPE, sampler="none.json")
    (tmp_path / "x.JSON").write_text("{}")
    with pytest.raises(ValueError, match="is no scheme that Fokker wrote"):
        sample(DENOISER, SHAPE, sampler=tmp_path / "x.JSON")
    with pytest.raises(ValueError, match="Unknown sampler"):
        sample(DENOISER, SHAPE, sampler="mine.txt")


def test_a_table_of_another_network_is_used_with_a_word() -> None:
    """Once a call, for all chunks; for its own network, and for a table that does not say, there is none."""
    mine, other = load("digits-flow"), load("digits-rough")
    about = {"network": network_digest(mine), "network_name": "digits-flow"}
    scheme = replace(one_step(), about=about)
    shape = (3, 1, 8, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sample(mine.given(3), shape, sampler=scheme)
        sample(other, shape, sampler=one_step())
    with pytest.warns(UserWarning, match="^found was made for another network, digits-flow; on this one") as caught:
        assert len(list(sample_chunks(other, shape, sampler=scheme, chunk=1))) == 3
    assert len(caught) == 1
    nameless = replace(scheme, about={"network": about["network"]})
    with pytest.warns(UserWarning, match=f"another network, {about['network']};"):
        sample(other, shape, sampler=nameless)


def test_the_sampler_of_a_table_is_data() -> None:
    sampler = as_sampler(replace(one_step(), about={"hold": "v"}))
    assert pickle.loads(pickle.dumps(sampler)) == sampler  # noqa: S301  # made here
    assert isinstance(sampler.solver, Replay)
    assert str(sampler) == "found: Replay(found), holds v"
    assert sampler.hold == "v"
    assert sampler.grid(CondOT(), 1).tolist() == [0.0, 1.0]
    assert sampler.grid != grids.uniform
    assert not sampler.stochastic

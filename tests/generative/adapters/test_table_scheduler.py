"""A table as a scheduler: a pipeline's own calls, one a timestep, make the samples of `sample`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from toy import MIXTURE

from fokker.generative import VP, CondOT, GaussianPath, flow, named
from fokker.generative.adapters import FokkerScheduler
from fokker.solvers import ExponentialAdams, ExponentialRK, Scheme, WhiteNoise, solve, unroll
from fokker.solvers.scheme import Evaluation

diffusers = pytest.importorskip("diffusers")

Form = Mapping[tuple[str, int], float]


def found(first: float = 1.0, at: float = 0.1) -> Scheme:
    """One step with an evaluation that goes back in time, of which the first is of a part of the state."""
    x: dict[tuple[str, int], float] = {("x", 0): 1.0}
    calls = (
        Evaluation(0, at, {("x", 0): first}),
        Evaluation(0, 0.7, x | {("N", 0): 0.5}),
        Evaluation(0, 0.5, x | {("N", 0): 0.1, ("N", 1): 0.3}),
    )
    return Scheme("found", (0.1, 1.0), (x | {("N", 0): 0.2, ("N", 1): 0.4, ("N", 2): 0.3},), calls)


def looped(scheduler: Any, denoiser: Any, x: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    for t in scheduler.timesteps:
        output = denoiser.output(scheduler._run.time, x)  # as timesteps are float32
        x = scheduler.step(output, t, x, generator=generator).prev_sample
    return x


@pytest.mark.parametrize("path", [CondOT(), VP()], ids=str)
@pytest.mark.parametrize("scheme", [found(), found(0.9), found(0.8, 0.3)], ids=["whole", "part", "later"])
def test_a_loop_is_a_run(path: GaussianPath, scheme: Scheme, tmp_path: Path) -> None:
    """From a file, to the rounding of a few sums of states of order 1; the first state is the part that is asked."""
    scheme.save(tmp_path / "mine.json")
    denoiser = MIXTURE.denoiser(path)
    scheduler = FokkerScheduler.for_denoiser(denoiser, str(tmp_path / "mine.json"))
    scheduler.set_timesteps(5)
    assert len(scheduler.timesteps) == 3
    noise = torch.randn(4, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = scheme.run(flow(denoiser, "velocity"), path.sigma(0.1) * noise).x
    made = looped(scheduler, denoiser, scheduler.init_noise_sigma * noise)
    torch.testing.assert_close(made, expected, rtol=0.0, atol=1e-13)


@pytest.mark.parametrize("solver", [ExponentialAdams(3), ExponentialRK(2)], ids=repr)
def test_a_table_of_many_steps_holds_what_it_says(solver: Any) -> None:
    denoiser, times = MIXTURE.denoiser(CondOT()), [0.05, 0.3, 0.6, 0.8, 0.95]
    scheme = replace(unroll(flow(denoiser, "eps"), times, solver), about={"hold": "eps"})
    scheduler = FokkerScheduler.for_denoiser(denoiser, scheme)
    scheduler.set_timesteps(scheme.nfe)
    noise = torch.randn(4, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = solve(flow(denoiser, "eps"), 0.95 * noise, times, solver).x
    made = looped(scheduler, denoiser, scheduler.init_noise_sigma * noise)
    torch.testing.assert_close(made, expected, rtol=0.0, atol=1e-13)


def test_a_table_that_draws() -> None:
    denoiser, row = MIXTURE.denoiser(CondOT()), named("euler-ancestral")
    equation, times, solver = row(denoiser, 5, t0=0.05)
    scheme = replace(unroll(equation, times, solver), about={"hold": row.hold})
    scheduler = FokkerScheduler.for_denoiser(denoiser, scheme)
    scheduler.set_timesteps(5)
    noise = torch.randn(4, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    drawn = WhiteNoise(torch.Generator().manual_seed(0))
    expected = solve(equation, scheduler.init_noise_sigma * noise, times, solver, drawn).x
    torch.testing.assert_close(
        looped(scheduler, denoiser, scheduler.init_noise_sigma * noise), expected, rtol=0.0, atol=1e-12
    )


def test_what_a_table_cannot_do(tmp_path: Path) -> None:
    found().save(tmp_path / "mine.json")
    config = {"_class_name": "DDIMScheduler", "clip_sample": False}
    scheduler = FokkerScheduler.from_config(config, sampler=str(tmp_path / "mine.json"))
    with pytest.raises(ValueError, match=r"^num_inference_steps is 2, but found takes 3 evaluations; allow 3"):
        scheduler.set_timesteps(2)
    for given in ({"timesteps": [900, 500, 100]}, {"sigmas": [9.0, 1.0, 0.1]}):
        with pytest.raises(ValueError, match=r"^found is a table with times of its own; leave timesteps or sigmas out"):
            scheduler.set_timesteps(**given)
    scheduler.set_timesteps(3)
    with pytest.raises(ValueError, match=r"^found is a table whose later evaluations need the earlier ones; start at"):
        scheduler.set_begin_index(1)
    rounded = FokkerScheduler.from_config(config, sampler=found(), integers=True)
    with pytest.raises(ValueError, match="leave integers=True out"):
        rounded.set_timesteps(3)
    scheduler.save_config(tmp_path)
    again = FokkerScheduler.from_pretrained(tmp_path)
    again.set_timesteps(3)
    assert again.timesteps.tolist() == scheduler.timesteps.tolist()

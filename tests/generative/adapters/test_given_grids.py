"""Grids that pipelines give: timesteps, noise levels and shifts, against diffusers' own schedulers."""

from __future__ import annotations

import inspect
import math
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from fokker.generative import CondOT, Denoiser
from fokker.generative.adapters import FokkerScheduler
from fokker.generative.adapters.apart import clock_of
from fokker.generative.sampling import PUBLISHED
from fokker.solvers import ExponentialAdams

diffusers = pytest.importorskip("diffusers")

# diffusers makes arrays of tensors, on which numpy 2 and torch do not agree
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

UNIFORM = np.linspace(1.0, 1 / 8, 8)
GRIDS: dict[str, dict[str, Any]] = {
    "sigmas": {"sigmas": UNIFORM.tolist()},
    "an array of later ones": {"sigmas": np.linspace(0.9, 0.01, 11)},
    "timesteps": {"timesteps": np.linspace(1000, 10, 7).tolist()},
    "both": {"timesteps": [999, 700, 400, 100], "sigmas": [0.999, 0.7, 0.4, 0.1]},
}
REPLACED = ({}, {"use_karras_sigmas": True}, {"use_exponential_sigmas": True}, {"use_beta_sigmas": True})


def flow(**fields: Any) -> Any:
    return diffusers.FlowMatchEulerDiscreteScheduler(**fields)


@pytest.mark.parametrize("grid", GRIDS)
def test_a_flow_is_shifted_as_by_diffusers(grid: str) -> None:
    """Bit by bit, for every combination of the fields that move a grid."""
    choices = product((1.0, 3.0), (False, True), ("exponential", "linear"), (None, 0.1), REPLACED)
    for shift, dynamic, kind, terminal, replaced in choices:
        theirs = flow(
            shift=shift, use_dynamic_shifting=dynamic, time_shift_type=kind, shift_terminal=terminal, **replaced
        )
        ours = FokkerScheduler.from_config(theirs, sampler="flow-euler")
        for scheduler in (theirs, ours):
            scheduler.set_timesteps(**GRIDS[grid], mu=1.3)
        assert torch.equal(ours.timesteps, theirs.timesteps)
        assert torch.equal(ours.sigmas, theirs.sigmas)


def test_a_flow_that_counts_from_the_noise() -> None:
    theirs = flow(invert_sigmas=True, shift=2.0)
    ours = FokkerScheduler.from_config(theirs, sampler="flow-euler")
    for scheduler in (theirs, ours):
        scheduler.set_timesteps(sigmas=UNIFORM)
    assert torch.equal(ours.timesteps, theirs.timesteps)
    assert torch.equal(ours.sigmas, theirs.sigmas)


@pytest.mark.parametrize("linear", [False, True])
def test_a_dynamic_shift_moves_a_sampler_s_own_grid(linear: bool) -> None:
    """σ = s u / (1 + (s − 1) u) for u from 1 to 0, with s = e^mu or mu; then 1 − σ is stretched to 1 − terminal."""
    kind, s = ("linear", 1.3) if linear else ("exponential", math.exp(1.3))
    theirs = flow(use_dynamic_shifting=True, time_shift_type=kind, shift_terminal=0.1, shift=7.0)
    scheduler = FokkerScheduler.from_config(theirs, sampler="flow-euler")
    scheduler.set_timesteps(8, mu=1.3)
    uniform = torch.linspace(1.0, 0.0, 9, dtype=torch.float64)
    expected = 1.0 - s * uniform / (1.0 + (s - 1.0) * uniform)
    expected[:-1] *= 0.9 / expected[-2]
    torch.testing.assert_close(scheduler.times, expected, rtol=0.0, atol=1e-12)
    assert float(scheduler.sigmas[-2]) == pytest.approx(0.1)


@pytest.mark.parametrize("arguments", [{"num_inference_steps": 8}, {"sigmas": UNIFORM}])
def test_a_dynamic_shift_needs_mu(arguments: dict[str, Any]) -> None:
    for theirs in (flow(use_dynamic_shifting=True), diffusers.UniPCMultistepScheduler(
        use_dynamic_shifting=True, use_flow_sigmas=True, prediction_type="flow_prediction"
    )):  # fmt: skip
        with pytest.raises(ValueError, match=r"^use_dynamic_shifting makes the shift depend on mu, .* give mu, or set"):
            FokkerScheduler.from_config(theirs).set_timesteps(**arguments)


def test_mu_without_dynamic_shifting_is_ignored() -> None:
    """Pipelines pass it in any case. On a table there is nothing to shift."""
    for theirs in (flow(shift=3.0), diffusers.DDIMScheduler(), diffusers.UniPCMultistepScheduler()):
        plain, told = (FokkerScheduler.from_config(theirs) for _ in range(2))
        plain.set_timesteps(9)
        told.set_timesteps(9, mu=0.7)
        assert torch.equal(plain.timesteps, told.timesteps)


@pytest.mark.parametrize("name", [None, *PUBLISHED])
def test_every_sampler_takes_the_grid_of_a_pipeline(name: str | None) -> None:
    """With one evaluation a step at exactly these times; with several the steps start at some of them."""
    theirs = flow(shift=3.0)
    scheduler = FokkerScheduler.from_config(theirs, sampler=name)
    for n in (1, 5, 28):  # with 28 the default has three values, and its own grid a start-up
        if n == 1 and name in ("flow-heun", "predictor-corrector"):
            with pytest.raises(ValueError, match="less than one step, which takes 2 evaluations"):
                scheduler.set_timesteps(sigmas=[1.0])
            continue
        sigmas = np.linspace(1.0, 1 / n, n)
        theirs.set_timesteps(sigmas=sigmas)
        scheduler.set_timesteps(sigmas=sigmas)
        assert len(scheduler.timesteps) <= n
        late = scheduler.times[0] > 0.0  # σ/α = ∞ is no start for this sampler
        starts = (scheduler.times[int(late) : -1]).tolist()
        given = (1.0 - theirs.sigmas.double()).tolist()
        assert all(min(abs(t - other) for other in given) < 1e-9 for t in starts)
        assert float(scheduler.times[-1]) == 1.0
        if scheduler.sampler.solver.evaluations(7) == 7:
            assert len(scheduler.timesteps) == n
            assert torch.equal(scheduler.timesteps[int(late) :], theirs.timesteps[int(late) :])
        else:
            assert name is not None
            assert not isinstance(PUBLISHED[name].solver, ExponentialAdams)
        if late:
            assert 0.0 < float(scheduler.times[0]) < given[1]


def test_several_evaluations_a_step_use_what_is_asked_for() -> None:
    """A method with two evaluations a step, and one in the last: 9 are 5 steps, and of 8 one is left."""
    for n, used in ((9, 9), (8, 7)):
        own, given = (FokkerScheduler(sampler="dpm++2s") for _ in range(2))
        own.set_timesteps(n)
        given.set_timesteps(timesteps=np.linspace(990, 0, n))
        assert len(own.timesteps) == len(given.timesteps) == used
        assert own.num_inference_steps == given.num_inference_steps == n


def test_timesteps_of_a_table_are_indices() -> None:
    given = [901, 700, 350, 20, 0]
    theirs = diffusers.DDPMScheduler()
    ours = FokkerScheduler.from_config(theirs, sampler="ddpm")
    for scheduler in (theirs, ours):
        scheduler.set_timesteps(timesteps=given)
    assert torch.equal(ours.timesteps, theirs.timesteps)
    path = ours.denoiser.path
    assert ours.times.tolist() == [*(path.at(i) for i in given), 1.0]
    ours.set_timesteps(timesteps=torch.tensor([900.5, 3.25]))
    assert ours.timesteps.tolist() == [900.5, 3.25]


@pytest.mark.parametrize("n", [None, 4])
def test_noise_levels_of_a_table_are_ratios(n: int | None) -> None:
    """σ/α, as EulerDiscreteScheduler has them, with 0 at the end."""
    theirs = diffusers.EulerDiscreteScheduler()
    sigmas = [10.0, 3.0, 0.5, 0.1, 0.0]
    theirs.set_timesteps(sigmas=sigmas)
    ours = FokkerScheduler.from_config(theirs, sampler="euler")
    ours.set_timesteps(n, sigmas=sigmas)
    path = ours.denoiser.path
    found = [path.sigma(t) / path.alpha(t) for t in ours.times.tolist()]
    assert found == pytest.approx(sigmas, rel=1e-9)
    # theirs interpolate in a table of 1000 products in float32
    torch.testing.assert_close(ours.timesteps, theirs.timesteps, rtol=1e-4, atol=1e-2)


def test_a_network_that_is_not_shown_its_shift() -> None:
    """CogView4: the state is at σ = s u/(1 + (s − 1) u), and the network sees 1000 u; noise is added at σ."""
    theirs = flow(use_dynamic_shifting=True, time_shift_type="linear", base_shift=0.25, max_shift=0.75)
    ours = FokkerScheduler.from_config(theirs, sampler="flow-heun")
    timesteps = np.linspace(1000, 1, 9)
    arguments = {"timesteps": timesteps, "sigmas": timesteps / 1000, "mu": 0.4}
    for scheduler in (theirs, ours):
        scheduler.set_timesteps(**arguments)
    shown = {round(t, 3): sigma for t, sigma in zip(theirs.timesteps.tolist(), theirs.sigmas.tolist(), strict=False)}
    found = [shown.get(round(t, 3)) for t in ours.timesteps.tolist()]
    assert all(sigma is None or sigma == pytest.approx(s) for sigma, s in zip(found, ours.sigmas, strict=False))
    assert sum(sigma is not None for sigma in found) >= 5
    x0, eps = torch.ones(1), torch.zeros(1)
    levels = [1.0 - float(ours.scale_noise(x0, t, eps)) for t in ours.timesteps]
    assert levels == pytest.approx(ours.sigmas[:-1].tolist(), abs=1e-6)
    # between two of them, on the line between: at the mean of the timesteps, the mean of the noise levels
    between = 0.5 * float(theirs.timesteps[2] + theirs.timesteps[3])
    assert 1.0 - float(ours.scale_noise(x0, between, eps)) == pytest.approx(float(theirs.sigmas[2:4].mean()), abs=1e-6)


@pytest.mark.parametrize("time", ["t", "1-t", "half_log_snr"])
def test_a_grid_for_a_denoiser_of_ours(time: str) -> None:
    """Its timesteps are the values of its own clock, and its noise levels are σ."""
    denoiser = Denoiser(lambda x, t: x, CondOT(), predicts="x0", time=time)
    times = torch.tensor([0.1, 0.3, 0.8], dtype=torch.float64)
    shown = clock_of(denoiser, times)
    scheduler = FokkerScheduler.for_denoiser(denoiser, "ddim")
    scheduler.set_timesteps(timesteps=shown)
    torch.testing.assert_close(scheduler.times, torch.cat([times, torch.ones(1).double()]), rtol=0.0, atol=1e-14)
    scheduler.set_timesteps(sigmas=1.0 - times)
    torch.testing.assert_close(scheduler.times, torch.cat([times, torch.ones(1).double()]), rtol=0.0, atol=1e-14)


def test_what_retrieve_timesteps_asks_for_is_in_the_signature() -> None:
    """Pipelines look the names up before they pass an argument."""
    found = list(inspect.signature(FokkerScheduler.set_timesteps).parameters)
    assert found == ["self", "num_inference_steps", "device", "timesteps", "sigmas", "mu"]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 9])
def test_a_start_up_leaves_no_evaluation_unused(n: int) -> None:
    """That of four values takes two more: with 1 or 2 evaluations there is none, and the steps are as many."""
    scheduler = FokkerScheduler(sampler="ipndm")
    scheduler.set_timesteps(n)
    assert len(scheduler.timesteps) == n
    assert len(scheduler.times) - 1 == (n if n < 3 else n - 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "needs num_inference_steps, timesteps or sigmas"),
        ({"num_inference_steps": 3, "sigmas": [1.0, 0.5]}, "num_inference_steps is 3, but 2 times are given"),
        ({"sigmas": [0.5, 0.9]}, "must lead from more to less noise"),
        ({"sigmas": [0.5, 0.5]}, "each once"),
        ({"sigmas": [14.6, 3.0, 0.5]}, "within the noise levels of the network"),
        ({"sigmas": [0.0]}, "must lead from more to less noise"),
        ({"sigmas": [math.nan, 0.5]}, "finite"),
        ({"num_inference_steps": 0}, "num_inference_steps is 0"),
        ({"num_inference_steps": 2.5}, "num_inference_steps is 2.5"),
        ({"num_inference_steps": 5, "mu": math.inf}, "mu is inf"),
    ],
)
def test_a_grid_that_leads_nowhere_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FokkerScheduler.from_config(flow(use_dynamic_shifting=True)).set_timesteps(**{"mu": 1.0, **arguments})

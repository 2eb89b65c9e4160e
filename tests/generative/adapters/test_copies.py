"""Copies and pickles of schedulers: equal to the original, and independent of it, before, after and during a run."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from fokker import Heun
from fokker.generative import VP, CondOT, Denoiser, Sampler, from_diffusers, from_velocity, grids
from fokker.generative.adapters import FokkerScheduler, from_k_diffusion
from fokker.generative.adapters.conventions import SCHEDULERS
from fokker.generative.sampling import PUBLISHED

diffusers = pytest.importorskip("diffusers")


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))  # noqa: S301  # what was written in this process


COPIES: dict[str, Callable[[Any], Any]] = {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": pickled}
FLOW, EDM = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0), diffusers.EDMEulerScheduler()
MADE: dict[str, Callable[[Any], FokkerScheduler]] = {
    "table": lambda name: FokkerScheduler(sampler=name),
    "flow": lambda name: FokkerScheduler.from_config(FLOW, sampler=name),
    "edm": lambda name: FokkerScheduler.from_config(EDM, sampler=name),
    "denoiser": lambda name: FokkerScheduler.for_denoiser(Denoiser(network, VP(), predicts="eps"), name),
}


def network(x: Tensor, t: Tensor) -> Tensor:
    """Smooth, and different at every time."""
    return torch.tanh(0.5 * x + torch.cos(0.01 * t.reshape(-1, 1)))


def run(scheduler: FokkerScheduler, x: Tensor, first: int = 0, last: int | None = None) -> Tensor:
    for k, t in enumerate(scheduler.timesteps[first:last]):
        drawn = torch.Generator().manual_seed(first + k)  # the same noise for every copy
        output = network(scheduler.scale_model_input(x, t), t)
        x = scheduler.step(output, t, x, generator=drawn).prev_sample
    return x


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("name", [None, *PUBLISHED])
def test_a_copy_goes_its_own_way(name: str | None, way: str) -> None:
    """Both runs make what an untouched scheduler makes, one after the other and step by step in turn."""
    for kind in MADE if name in (None, "unipc", "edm-heun", "ddpm") else ("table",):
        fresh, reference = MADE[kind](name), MADE[kind](name)
        x = torch.randn(2, 3, generator=torch.Generator().manual_seed(7))
        reference.set_timesteps(8)
        expected = run(reference, x)
        early = COPIES[way](fresh)
        fresh.set_timesteps(8)
        planned = COPIES[way](fresh)
        early.set_timesteps(8)
        assert torch.equal(run(early, x), expected)
        half = run(planned, x, 0, 3)
        middle = COPIES[way](planned)
        assert middle.step_index == planned.step_index == 3
        y = z = half
        for k in range(3, len(planned.timesteps)):
            y, z = run(planned, y, k, k + 1), run(middle, z, k, k + 1)
        assert torch.equal(y, expected)
        assert torch.equal(z, expected)
        assert torch.equal(run(fresh, x), expected)  # and the original has not begun before
        assert early.config == fresh.config


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_of_a_run_that_begins_later(way: str) -> None:
    for name in ("dpm-solver-3s", "unipc"):
        scheduler = MADE["flow"](name)
        scheduler.set_timesteps(sigmas=[0.9, 0.7, 0.6, 0.4, 0.2, 0.1])
        scheduler.set_begin_index(2)
        other, x = COPIES[way](scheduler), torch.ones(1, 2)
        assert torch.equal(run(other, x, 2), run(scheduler, x, 2))
        assert torch.equal(other.sigmas, scheduler.sigmas)


@pytest.mark.parametrize("way", COPIES)
def test_a_sampler_of_ones_own(way: str) -> None:
    scheduler = MADE["flow"](Sampler(Heun(), grid=grids.uniform, name="mine"))
    scheduler.set_timesteps(6)
    x = torch.ones(1, 2)
    assert torch.equal(run(COPIES[way](scheduler), x), run(scheduler, x))


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_of_its_entries(way: str) -> None:
    """A pipeline keeps the state of a scheduler a view as a copy of its __dict__, and puts it back."""
    scheduler = MADE["table"]("dpm++2m")
    scheduler.set_timesteps(5)
    x, expected = torch.ones(1, 2), MADE["table"]("dpm++2m")
    expected.set_timesteps(5)
    states = [COPIES[way](scheduler.__dict__) for _ in range(2)]
    results = [x, 2.0 * x]
    for k in range(5):
        for view in range(2):
            scheduler.__dict__.update(states[view])
            results[view] = run(scheduler, results[view], k, k + 1)
            states[view] = COPIES[way](scheduler.__dict__)
    assert torch.equal(results[0], run(expected, x))


@pytest.mark.parametrize("name", SCHEDULERS)
def test_denoisers_of_all_configurations_are_copied(name: str) -> None:
    extra = {"_class_name": name}
    if name == "UniPCMultistepScheduler":
        extra |= {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
    same(from_diffusers(Model(), extra))


def test_other_denoisers_are_copied() -> None:
    same(from_velocity(Turned(), CondOT()))
    same(from_velocity(Net(), CondOT(), order="x, t", scalar=True))
    same(from_k_diffusion(Net()))
    schedule = pytest.importorskip("flow_matching.path.scheduler")
    same(from_velocity(Net(), schedule.CosineScheduler(), order="x, t"))
    same(from_velocity(Net(), schedule.PolynomialConvexScheduler(2), order="x, t"))


class Net(torch.nn.Module):
    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return 0.5 * x + 0.01 * t.mean()


class Turned(torch.nn.Module):
    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        return 0.5 * x + 0.01 * t.mean()


class Model(torch.nn.Module):
    def forward(self, x: Tensor, timestep: Tensor, return_dict: bool = True) -> tuple[Tensor]:
        return (0.5 * x + 0.01 * timestep[0],)


def same(denoiser: Denoiser) -> None:
    x = torch.randn(2, 3, generator=torch.Generator().manual_seed(1))
    for way in COPIES.values():
        assert torch.equal(way(denoiser).predict("x0", 0.4, x), denoiser.predict("x0", 0.4, x))

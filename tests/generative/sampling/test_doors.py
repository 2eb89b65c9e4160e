"""What sampling refuses, the numbers that it takes, and what it makes of no samples."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from doors import GRADIENT, check_numbers, check_refusals

from fokker.generative import (
    VE,
    VP,
    CondOT,
    Denoiser,
    Sampler,
    annealed_langevin,
    decode,
    encode,
    interpolate,
    named,
    round_trip,
    sample,
    sample_chunks,
    slerp,
)
from fokker.solvers import ExponentialAdams, Heun

DENOISER = Denoiser(lambda x, t: -x, CondOT(), predicts="velocity")
NOISE = Denoiser(lambda x, t: 0.0 * x, VP(), predicts="eps")
ZERO = Denoiser(lambda x, t: 0.0 * x, VE(), predicts="x0")
X, Y = torch.tensor([[3.0, 0.0], [0.0, 2.0]]), torch.tensor([[0.0, 1.0], [1.0, 0.0]])
LEVELS = {"noisiest": 10.0, "cleanest": 0.5, "levels": 3, "steps": 2, "epsilon": 0.015625, "denoise": True}


def langevin(name: str) -> Callable[[Any], Any]:
    return lambda v: annealed_langevin(ZERO, **LEVELS | {name: v})


DOORS = [
    ("denoiser", "object", lambda v: sample(v, (2, 2))),
    ("shape|number of components", "whole", lambda v: sample_chunks(DENOISER, (2, v)), 10**9),
    ("shape|number of samples", "whole", lambda v: sample_chunks(DENOISER, (v, 2), chunk=1), 10**9),
    ("nfe", "whole", partial(sample, DENOISER, (2, 2))),
    ("progress", "flag", lambda v: sample(DENOISER, (2, 2), progress=v)),
    ("denoiser", "object", lambda v: sample_chunks(v, (2, 2))),
    ("nfe", "whole", partial(sample_chunks, DENOISER, (2, 2))),
    ("chunk", "whole", lambda v: sample_chunks(DENOISER, (2, 2), chunk=v), None, 10**9, 10**40),
    ("denoiser", "object", lambda v: encode(v, X)),
    ("x", "samples", partial(encode, DENOISER)),
    ("nfe", "whole", partial(encode, DENOISER, X), None),
    ("times", "real", lambda v: encode(DENOISER, X, times=[0.0, v, 1.0])),
    ("progress", "flag", lambda v: encode(DENOISER, X, progress=v)),
    ("denoiser", "object", lambda v: decode(v, X)),
    ("z", "samples", partial(decode, DENOISER)),
    ("nfe", "whole", partial(decode, DENOISER, X), None),
    ("x", "samples", partial(round_trip, DENOISER)),
    ("budgets", "whole", lambda v: round_trip(DENOISER, X, [v])),
    ("z0", "samples", lambda v: slerp(v, X, 0.5)),
    ("z1", "samples", lambda v: slerp(X, v, 0.5)),
    ("s", "real", partial(slerp, X[:1], Y[:1]), GRADIENT),
    ("denoiser", "object", lambda v: interpolate(v, X, Y)),
    ("x_a", "samples", lambda v: interpolate(DENOISER, v, Y)),
    ("x_b", "samples", lambda v: interpolate(DENOISER, X, v)),
    ("steps", "whole", partial(interpolate, DENOISER, X, Y)),
    ("denoiser", "object", lambda v: annealed_langevin(v, **LEVELS)),
    *[(name, "real", langevin(name)) for name in ("noisiest", "cleanest", "epsilon")],
    *[(name, "whole", langevin(name)) for name in ("levels", "steps")],
    ("denoise", "flag", langevin("denoise")),
    ("sampler", "name", lambda v: sample(DENOISER, (2, 2), sampler=v)),
    ("name", "object", named, "x"),
    ("solver", "object", Sampler),
    ("hold", "name", partial(Sampler, Heun())),
    ("eta", "real", partial(Sampler, Heun(), "x0")),
    ("grid", "function", lambda v: Sampler(Heun(), grid=v)),
    ("logarithmic", "flag", lambda v: Sampler(Heun(), logarithmic=v)),
    ("n", "whole", partial(Sampler(Heun()), DENOISER)),
]


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door[0])
def test_wrong_values_are_refused_at_the_door(door: tuple[Any, ...]) -> None:
    name, kind, call, *fine = door
    check_refusals(name, kind, call, but=fine)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: sample(DENOISER, ()), "asks for no samples"),
        (lambda: sample(DENOISER, 4), "shape is 4, but must be a sequence"),
        (lambda: sample(DENOISER, (10**12, 2)), "The number of samples is 1000000000000, which takes"),
        (lambda: sample_chunks(DENOISER, (2, 10**12)), "The number of components of a sample is"),
        (lambda: sample(DENOISER, (2, 2), dtype=torch.int64), r"dtype is torch\.int64, but must be a floating-point"),
        (lambda: sample(DENOISER, (2, 2), dtype="float32"), "dtype is 'float32', but must be a floating-point dtype"),
        (lambda: sample(DENOISER, (2, 2), device="gpu"), "device is 'gpu', where torch makes no tensors here"),
        (lambda: encode(DENOISER, X, times=[0.0, 2.0]), r"up to 1, where the data are, but are \[0.0, 2.0\]"),
        (lambda: encode(DENOISER, X, times=[0.5]), "times must be two at least"),
        (lambda: encode(DENOISER, X, times=[0.0, 0.5, 0.2, 1.0]), "turns back at entry 2"),
        (lambda: encode(DENOISER, X, times=torch.tensor([0.0, 1.0], requires_grad=True)), "times requires a gradient"),
        (lambda: round_trip(DENOISER, X[:0]), "and samples, but got"),
        (lambda: slerp(X, Y.double(), 0.5), "z1 is torch.float64 .*, but z0 torch.float32"),
        (lambda: slerp(X, Y, torch.tensor([0.1, math.nan])), r"s is nan at \[1\]"),
    ],
)
def test_values_that_do_not_fit_are_refused(call: Callable[[], Any], sentence: str) -> None:
    with pytest.raises((TypeError, ValueError), match=sentence):
        call()


def test_a_number_may_have_any_type() -> None:
    check_numbers(lambda v: sample(DENOISER, (v, 2), v), 4)
    check_numbers(lambda v: sample(DENOISER, (2, v), 4, chunk=v), 1)
    check_numbers(lambda v: encode(DENOISER, X, v), 4)
    check_numbers(lambda v: slerp(X, Y, v), 0.25)
    check_numbers(lambda v: interpolate(DENOISER, X, Y, v, v), 4)
    check_numbers(lambda v: Sampler(ExponentialAdams(1), "x0", v).eta, 0.5)
    check_numbers(lambda v: annealed_langevin(ZERO, **LEVELS | {"noisiest": v})[1], 8.0)
    assert sample(DENOISER, torch.tensor([2, 2]), 4).shape == sample(DENOISER, torch.Size((2, 2)), 4).shape == (2, 2)
    for times in (torch.tensor([0.0, 0.5, 1.0]), torch.tensor([1.0, 0.5, 0.0]).numpy(), (0, torch.tensor(0.5), 1)):
        torch.testing.assert_close(encode(DENOISER, X, times=times), encode(DENOISER, X, times=[0.0, 0.5, 1.0]))


@pytest.mark.parametrize("shape", [(0, 2), (2, 0), (0, 0)], ids=str)
def test_no_samples_and_samples_without_components_go_through(shape: tuple[int, ...]) -> None:
    none = torch.empty(shape)
    assert encode(DENOISER, none).shape == decode(DENOISER, none).shape == slerp(none, none, 0.5).shape == shape
    assert interpolate(DENOISER, none, none, steps=3).shape == (3, *shape)
    for sampler in ("ddim", "ddpm", "edm-heun"):
        assert sample(NOISE, (2, 0), 6, sampler=sampler).shape == (2, 0)


def test_gradients_flow_to_the_share_of_the_way() -> None:
    """On a quarter of a circle of radius r = 3 − 2 s, dz/ds = r' (cos, sin) + r π/2 (−sin, cos)."""
    s = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    z = slerp(X[:1].double(), Y[:1].double(), s)
    root = math.sqrt(0.5)
    for component, expected in zip(z[0], (-2 * root - math.pi * root, -2 * root + math.pi * root), strict=True):
        (found,) = torch.autograd.grad(component, s, retain_graph=True)
        assert found.item() == pytest.approx(expected, rel=1e-12)


def test_latents_of_any_size_have_a_length() -> None:
    for size in (1e-30, 1e30):
        torch.testing.assert_close(slerp(size * X, size * Y, 0.25) / size, slerp(X, Y, 0.25), rtol=1e-5, atol=1e-6)

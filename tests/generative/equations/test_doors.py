"""What the equations and the grids refuse, and the numbers that they take."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from doors import check_numbers, check_refusals

from fokker.generative import VE, CondOT, Denoiser, Interpolant, diffusion_sde, flow, grids, minibatch_ot, reverse_sde
from fokker.generative.equations import constant, reversal, safe_interval
from fokker.generative.equations.noise_level import power_of_sigma, sine
from fokker.solvers import ExponentialAdams, Heun, WhiteNoise, solve

DENOISER = Denoiser(lambda x, t: -x, CondOT(), predicts="velocity")
LINE, SOURCE, DATA, T = Interpolant(CondOT()), torch.zeros(2, 3), torch.ones(2, 3), torch.tensor([0.25, 0.5])
GRIDS = (grids.uniform, grids.quadratic, grids.log_snr, grids.karras, grids.power)
G = sine(0.5)


def net(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    return x


DOORS = [
    *[("path", "object", partial(grid, n=4)) for grid in GRIDS],
    *[("n", "whole", partial(grid, CondOT())) for grid in GRIDS],
    *[(f"t{i}", "real", lambda v, grid=grid, i=i: grid(CondOT(), 4, **{f"t{i}": v})) for grid in GRIDS for i in (0, 1)],
    ("rho", "real", partial(grids.karras, CondOT(), 4)),
    ("p", "real", partial(grids.power, CondOT(), 4)),
    ("early", "real", partial(grids.power, CondOT(), 4, 2.0)),
    ("denoiser", "object", flow),
    ("hold", "name", partial(flow, DENOISER)),
    ("logarithmic", "flag", lambda v: flow(DENOISER, logarithmic=v)),
    ("denoiser", "object", reverse_sde),
    ("eta", "real", partial(reverse_sde, DENOISER)),
    ("hold", "name", partial(reverse_sde, DENOISER, 1.0)),
    ("denoiser", "object", lambda v: diffusion_sde(v, G)),
    ("g", "function", partial(diffusion_sde, DENOISER)),
    ("t0", "real", lambda v: diffusion_sde(DENOISER, G, t0=v)),
    ("t1", "real", lambda v: diffusion_sde(DENOISER, G, t1=v)),
    ("spread", "real", lambda v: diffusion_sde(DENOISER, G, spread=v)),
    ("path", "object", lambda v: safe_interval(v, G, 0.1)),
    ("g", "function", lambda v: safe_interval(CondOT(), v, 0.1)),
    ("spread", "real", lambda v: safe_interval(CondOT(), G, 0.1, spread=v)),
    ("level", "real", constant),
    ("level", "real", sine),
    ("path", "object", reversal),
    ("eta", "real", partial(reversal, CondOT())),
    ("path", "object", partial(power_of_sigma, level=1.0)),
    ("level", "real", partial(power_of_sigma, CondOT())),
    ("power", "real", partial(power_of_sigma, CondOT(), 1.0)),
    ("path", "object", Interpolant),
    ("source", "samples", lambda v: LINE.state(T, v, DATA)),
    ("data", "samples", lambda v: LINE.state(T, SOURCE, v)),
    ("source", "samples", lambda v: LINE.velocity(T, v, DATA)),
    ("source", "samples", lambda v: LINE.loss(net, v, DATA)),
    ("net", "function", lambda v: LINE.loss(v, SOURCE, DATA)),
    ("net", "function", LINE.flow),
    ("source", "samples", lambda v: minibatch_ot(v, DATA)),
    ("data", "samples", lambda v: minibatch_ot(SOURCE, v)),
]


@pytest.mark.parametrize(("name", "kind", "call"), DOORS)
def test_wrong_values_are_refused_at_the_door(name: str, kind: str, call: Callable[[Any], Any]) -> None:
    check_refusals(name, kind, call)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: safe_interval(CondOT(), G, 0.0), "step is 0"),
        (lambda: solve(flow(DENOISER), SOURCE, [0.0, 1.5], Heun()), "go to t = 1.5, but the data are at t = 1"),
        (lambda: solve(reverse_sde(DENOISER), SOURCE, [0.5, 1.1], ExponentialAdams(1), WhiteNoise(0)), "to t = 1.1"),
        (lambda: LINE.loss(lambda x, t: x[:, :1], SOURCE, DATA), r"returned shape \(2, 1\) for a state of"),
        (lambda: LINE.loss(lambda x, t: None, SOURCE, DATA), "The network returned a NoneType"),  # type: ignore
        (lambda: grids.karras(VE(), 4, t0=-math.inf), "t0 is -inf"),
        (lambda: LINE.state(torch.tensor([0.1, 0.2, 0.3]), SOURCE, DATA), r"t has shape \(3,\) for 2 pairs"),
        (lambda: LINE.state(T * math.nan, SOURCE, DATA), "t is nan"),
        (lambda: LINE.state(T, SOURCE.double(), DATA), r"source is torch\.float64 .* give tensors of one"),
        (lambda: diffusion_sde(DENOISER, lambda t: "high"), r"g\(t\) is a str at t = 0"),
        (lambda: diffusion_sde(DENOISER, lambda t: torch.ones((), requires_grad=True), 0.0, 0.9), r"g\(t\) requires a"),
    ],
)
def test_values_that_do_not_fit_are_refused(call: Callable[[], Any], sentence: str) -> None:
    with pytest.raises((TypeError, ValueError), match=sentence):
        call()


def test_a_number_may_have_any_type() -> None:
    for grid in GRIDS:
        check_numbers(lambda v, grid=grid: grid(CondOT(), v), 4)
        check_numbers(lambda v, grid=grid: grid(CondOT(), 4, t0=v), 0.25)
        check_numbers(lambda v, grid=grid: grid(CondOT(), 4, t1=v), 0.75)
    check_numbers(lambda v: safe_interval(CondOT(), constant(1.0), v), 0.0625)
    check_numbers(lambda v: diffusion_sde(DENOISER, constant(v), 0.0, 0.5).diffusion(0.25, DATA), 0.5)
    check_numbers(lambda v: reverse_sde(DENOISER, v).clock.scale(T.double()), 0.5)
    check_numbers(lambda v: LINE.state(v, SOURCE, DATA), 0.25)


def test_no_pairs_are_no_mistake() -> None:
    none = torch.empty(0, 3)
    assert minibatch_ot(none, none).shape == (0,)
    assert LINE.state(torch.empty(0), none, none).shape == LINE.velocity(torch.empty(0), none, none).shape == (0, 3)


def test_gradients_flow_to_the_times_of_pairs() -> None:
    t = T.double().requires_grad_()
    source, data = torch.randn(2, 2, 3, dtype=torch.float64).unbind()
    (found,) = torch.autograd.grad(LINE.state(t, source, data).sum(), t)
    torch.testing.assert_close(found, (data - source).sum(1))

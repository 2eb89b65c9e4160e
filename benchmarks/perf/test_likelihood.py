"""log p(x) on the 64-dimensional mixture: time and error beside what tutorials do, and evaluations for 1e-3 nats."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from measured import enter
from torch import Tensor
from torchdiffeq import odeint

from fokker.benchmarks.problems import mixture64
from fokker.generative import CondOT, log_likelihood
from fokker.generative.likelihood.change_of_variables import even_times
from fokker.solvers import RK4, Adaptive, ExponentialAdams, Heun, Solver

ORACLE, PATH = mixture64(), CondOT()
DENOISER = ORACLE.denoiser(PATH)
CORRECTED = ExponentialAdams(3, corrector=True)
TOLERANCES = (1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 1e-6, 1e-7)
GRIDS = (16, 24, 32, 48, 64, 96, 128, 192, 256)


def grid(steps: int) -> Tensor:
    """From data to noise."""
    return even_times(PATH, steps).flip(0)


def by_hand(x: Tensor, tolerance: float) -> tuple[Tensor, int, int]:
    """torchdiffeq's dopri5 on (x, log p), and for each dimension one backward pass at every evaluation."""
    evaluations = 0

    def field(t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        nonlocal evaluations
        evaluations += 1
        with torch.enable_grad():
            at = state[0].detach().requires_grad_()
            velocity = DENOISER.predict("velocity", t.item(), at)
            trace = torch.zeros_like(state[1])
            for i in range(at.shape[1]):
                trace = trace + torch.autograd.grad(velocity[:, i].sum(), at, retain_graph=True)[0][:, i]
        return velocity.detach(), -trace

    start = (x, x.new_zeros(len(x)))
    z, change = odeint(field, start, torch.tensor([1.0, 0.0], dtype=x.dtype), rtol=tolerance, atol=tolerance)
    normal = -0.5 * z[-1].square().sum(1) - 0.5 * x.shape[1] * math.log(2.0 * math.pi)
    return normal - change[-1], evaluations, evaluations * x.shape[1]


def ours(x: Tensor, times: Any, solver: Solver | None = None, **settings: Any) -> tuple[Tensor, int, int]:
    found = log_likelihood(DENOISER, x, times, solver, **settings)
    return found.value, round(found.nfe.per_sample.double().mean().item()), found.nfe.vjp


def adaptive(tolerance: float) -> Adaptive:
    return Adaptive(1.0, 0.0, rtol=tolerance, atol=tolerance)


WAYS: dict[str, Callable[[Tensor], tuple[Tensor, int, int]]] = {
    "autograd loop, torchdiffeq dopri5, 1e-5": lambda x: by_hand(x, 1e-5),
    "log_likelihood, adaptive, 1e-4": lambda x: ours(x, adaptive(1e-4)),
    "log_likelihood, adaptive, 1e-5": lambda x: ours(x, adaptive(1e-5)),
    "log_likelihood, 32 exponential steps": lambda x: ours(x, grid(32), CORRECTED),
    "log_likelihood, 48 exponential steps": lambda x: ours(x, grid(48), CORRECTED),
}


@pytest.mark.parametrize("way", WAYS)
def test_exact_likelihood(benchmark: Any, way: str) -> None:
    """The peer runs in the same test, in turn."""
    x = ORACLE.sample(256, seed=1)
    exact, peer = ORACLE.log_prob(x), []

    def beside() -> None:
        start = time.perf_counter()
        WAYS["autograd loop, torchdiffeq dopri5, 1e-5"](x)
        peer.append(time.perf_counter() - start)

    value, evaluations, products = benchmark.pedantic(lambda: WAYS[way](x), setup=beside, rounds=3)
    error, seconds = value - exact, benchmark.stats.stats.median
    enter(
        "Exact log p of 256 points of mixture64, one thread (ours with its estimate of the error)",
        method=way,
        seconds=seconds,
        times_faster=sorted(peer)[1] / seconds,
        rms_error=f"{error.square().mean().sqrt():.1e}",
        median_error=f"{error.abs().median():.1e}",
        evaluations=evaluations,
        products=products,
    )


SEARCHED: dict[str, tuple[tuple[Any, ...], Callable[[Tensor, Any], tuple[Tensor, int, int]]]] = {
    "torchdiffeq dopri5, jointly": (TOLERANCES, by_hand),
    "Tsit5, adaptive": (TOLERANCES, lambda x, tolerance: ours(x, adaptive(tolerance))),
    "ExponentialAdams(3, corrector=True)": (GRIDS, lambda x, n: ours(x, grid(n), CORRECTED)),
    "RK4()": (GRIDS, lambda x, n: ours(x, grid(n), RK4())),
    "Heun()": (GRIDS, lambda x, n: ours(x, grid(n), Heun())),
}


@pytest.mark.parametrize("way", SEARCHED)
def test_evaluations_for_a_thousandth_of_a_nat(benchmark: Any, way: str) -> None:
    """The cheapest of a few tolerances or grids whose rms error over 32 points is below 1e-3."""
    x = ORACLE.sample(32, seed=2)
    exact, (settings, run) = ORACLE.log_prob(x), SEARCHED[way]

    def search() -> tuple[Any, float, int, int]:
        for setting in settings:
            value, evaluations, products = run(x, setting)
            error = (value - exact).square().mean().sqrt().item()
            if error < 1e-3:
                return setting, error, evaluations, products
        return "none", math.nan, 0, 0

    setting, error, evaluations, products = benchmark.pedantic(search, rounds=1)
    enter(
        "What 1e-3 nats take on mixture64 (rms over 32 points; ours with its estimate of the error)",
        method=way,
        setting=str(setting),
        rms_error=f"{error:.1e}",
        evaluations=evaluations,
        products=products,
    )

"""On a GPU: the same numbers as on the CPU, and loops that never wait for the device. Skipped where there is none."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from toy import MIXTURE

from fokker.benchmarks.problems import problem_of, seconds_of_a_call
from fokker.generative import (
    CFG,
    VP,
    CondOT,
    Denoiser,
    ancestral,
    flow,
    load,
    log_likelihood,
    plan_likelihood,
    reverse_sde,
    sample,
)
from fokker.generative.equations import grids
from fokker.solvers import (
    RK4,
    Adaptive,
    BrownianTree,
    Dopri5,
    EulerMaruyama,
    ExponentialAdams,
    ExponentialRK,
    Heun,
    Noise,
    Solver,
    WhiteNoise,
    solve,
    standard_normal,
    unroll,
)
from fokker.verification import GaussianMixture

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

CUDA = torch.device("cuda")


def on(device: torch.device | str) -> Denoiser:
    parts = (part.to(device) for part in (MIXTURE.weights, MIXTURE.means, MIXTURE.covs))
    return GaussianMixture(*parts).denoiser(CondOT())


def network(device: torch.device | str, dtype: torch.dtype = torch.float64) -> Denoiser:
    denoiser = load("digits-flow")
    assert isinstance(denoiser.net, nn.Module)
    denoiser.net.to(device, dtype)
    return denoiser


def noise(device: torch.device | str, n: int = 32) -> Tensor:
    return standard_normal(torch.empty(n, 2, dtype=torch.float64, device=device), seed=0)


def syncs(run: Callable[[], object]) -> int:
    """How often the host waits for the device."""
    run()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")  # which warns that it is a prototype
        try:
            run()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("called a synchronizing" in str(warning.message) for warning in seen)


SOLVERS: list[Solver] = [Heun(), RK4(), ExponentialAdams(3, corrector=True), ExponentialAdams(4), ExponentialRK(3)]


@pytest.mark.parametrize("solver", SOLVERS, ids=str)
def test_a_solve(solver: Solver) -> None:
    def run(device: torch.device | str, n: int = 16) -> Tensor:
        return solve(flow(on(device)), noise(device), grids.quadratic(CondOT(), n), solver).x

    torch.testing.assert_close(run(CUDA).cpu(), run("cpu"), rtol=1e-9, atol=1e-9)
    assert syncs(lambda: run(CUDA, 8)) == syncs(lambda: run(CUDA, 32))


@pytest.mark.parametrize("make", [BrownianTree, lambda x, t0, t1, seed: WhiteNoise(seed)], ids=["tree", "white"])
@pytest.mark.parametrize("solver", [EulerMaruyama(), ExponentialAdams(1)], ids=str)
def test_a_stochastic_solve(solver: Solver, make: Callable[..., Noise]) -> None:
    def run(device: torch.device | str, n: int = 16) -> Tensor:
        x, times = noise(device), grids.uniform(CondOT(), n, t0=0.01, t1=0.99)
        return solve(reverse_sde(on(device)), x, times, solver, make(x, 0.01, 0.99, 0)).x

    if make is BrownianTree:
        torch.testing.assert_close(run(CUDA).cpu(), run("cpu"), rtol=1e-9, atol=1e-9)
    assert syncs(lambda: run(CUDA, 8)) == syncs(lambda: run(CUDA, 32))


def test_a_scheme() -> None:
    scheme = unroll(flow(on("cpu")), grids.quadratic(CondOT(), 16), ExponentialAdams(3))
    ends = [scheme.run(flow(on(device)), noise(device)).x.cpu() for device in ("cpu", CUDA)]
    torch.testing.assert_close(*ends, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("per_sample", [False, True])
def test_adaptive_steps(per_sample: bool) -> None:
    times = Adaptive(0.0, 1.0, rtol=1e-6, atol=1e-6, per_sample=per_sample)
    ends = [solve(flow(on(device)), noise(device), times, Dopri5()).x.cpu() for device in ("cpu", CUDA)]
    torch.testing.assert_close(*ends, rtol=1e-9, atol=1e-9)


def test_guided_samples_of_a_network() -> None:
    """The same noise bit for bit; samples to the accuracy of single precision."""
    shape = (16, 1, 8, 8)
    drawn = [standard_normal(torch.empty(shape, device=device), seed=3).cpu() for device in ("cpu", CUDA)]
    torch.testing.assert_close(*drawn, rtol=1e-5, atol=1e-6)
    ends = [
        sample(network(device), shape, nfe=20, label=[3] * 16, guidance=2.0, seed=3, dtype=torch.float64, device=device)
        for device in ("cpu", CUDA)
    ]
    torch.testing.assert_close(ends[0], ends[1].cpu(), rtol=1e-8, atol=1e-8)


def test_guidance_never_waits() -> None:
    guided = CFG(network(CUDA).given(torch.arange(8) % 10), 2.0)
    x = standard_normal(torch.empty(8, 1, 8, 8, dtype=torch.float64, device=CUDA), seed=0)

    def run(n: int) -> Tensor:
        return solve(flow(guided), x, grids.quadratic(CondOT(), n), Heun()).x

    assert syncs(lambda: run(4)) == syncs(lambda: run(16))


def test_ancestral_steps() -> None:
    def run(device: torch.device | str) -> Tensor:
        parts = (part.to(device) for part in (MIXTURE.weights, MIXTURE.means, MIXTURE.covs))
        path, x = VP(), noise(device)
        times = grids.uniform(path, 16)
        tree = BrownianTree(x, 0.0, 1.0, seed=0)
        return ancestral(GaussianMixture(*parts).denoiser(path), x, tree, times, variance="large").x.cpu()

    torch.testing.assert_close(run("cpu"), run(CUDA), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("trace", ["exact", "orthogonal", "coloured", "hutchinson", "hutch++"])
def test_log_likelihood(trace: str) -> None:
    x = noise("cpu", 6 * 32).reshape(6, 1, 8, 8)
    plan = plan_likelihood(network("cpu"), x, error=0.1 if trace == "exact" else 1.0, trace=trace)
    found = [log_likelihood(network(device), x.to(device), plan) for device in ("cpu", CUDA)]
    torch.testing.assert_close(found[0].value, found[1].value.cpu(), rtol=1e-7, atol=1e-6)
    assert found[0].nfe == found[1].nfe


def test_problems_of_networks() -> None:
    """Noise comes from the host, so that it is the same everywhere, and goes to where the network is."""
    here, there = (problem_of(network(device), (1, 8, 8), guidance=2.0) for device in ("cpu", CUDA))
    assert (here.device.type, there.device.type) == ("cpu", "cuda")
    assert here.digest == there.digest
    times = [there.start, 0.5, there.end]
    ends = [solve(each.equation(4), each.noise(4, seed=0), times, Heun()).x for each in (here, there)]
    torch.testing.assert_close(ends[1].cpu(), ends[0], rtol=1e-9, atol=1e-9)
    held = network(CUDA)
    closure = Denoiser(lambda x, t, label: held.net(x, t, label), CondOT(), predicts="velocity")
    assert problem_of(closure, (1, 8, 8), label=1).device.type == "cuda"
    assert seconds_of_a_call(there, 4) > 0.0


def test_a_state_that_is_not_finite_is_named() -> None:
    def net(x: Tensor, t: Tensor) -> Tensor:
        bad = torch.arange(len(x), device=x.device)[:, None] == 5
        return torch.where(bad & (t[:, None] > 0.5), torch.nan, -x)

    equation = flow(Denoiser(net, CondOT(), predicts="velocity"))
    with pytest.raises(RuntimeError, match=r"not finite after step 9, from .* \(first: sample 5, component"):
        solve(equation, noise(CUDA, 8), grids.uniform(CondOT(), 16), Heun())

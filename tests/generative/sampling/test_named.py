"""Published samplers by name: grids, settings, names, and what they have in common."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor
from toy import MIXTURE, PATHS, Draws, states

from fokker.generative import VE, VP, CondOT, GaussianPath, named
from fokker.generative.equations import grids
from fokker.generative.sampling import PUBLISHED, Sampler
from fokker.generative.sampling.named import ALIASES
from fokker.solvers import ExponentialAdams, WhiteNoise, solve, unroll

each_path = pytest.mark.parametrize("path", PATHS, ids=str)


def draws(n: int) -> list[Tensor]:
    return list(torch.randn(n, 8, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64))


def run(name: str, path: GaussianPath, x: Tensor, times: Any, noise: Sequence[Tensor] | None = None) -> Tensor:
    sampler = named(name)
    equation = sampler.equation(MIXTURE.denoiser(path))
    return solve(equation, x, times, sampler.solver, None if noise is None else Draws(noise)).x


def test_ipndm_on_even_steps_has_the_printed_weights() -> None:
    """(55, −59, 37, −9)/24 where the steps in σ/α are equal (Liu et al. 2202.09778, eq. 12)."""
    path = VE()
    times = grids.uniform(path, 10, t1=0.99)
    sampler = named("ipndm")
    scheme = unroll(sampler.equation(MIXTURE.denoiser(path)), times, sampler.solver)
    weights = [value for (kind, _), value in sorted(scheme.states[8].items()) if kind == "N"][::-1]
    step = path.sigma(times[9].item()) - path.sigma(times[8].item())
    assert [24.0 * w / step for w in weights] == pytest.approx([55.0, -59.0, 37.0, -9.0], rel=1e-9)


MOST = {"t0": 0.02, "t1": 0.95}


@cache
def flowed(path: GaussianPath) -> Tensor:
    """The probability flow over the part of the path where everything is defined."""
    held = named("dpm++3m").equation(MIXTURE.denoiser(path))
    times = grids.log_snr(path, 600, **MOST)
    return solve(held, states(path, MOST["t0"]), times, ExponentialAdams(4, corrector=True)).x


@pytest.mark.parametrize("name", PUBLISHED)
@each_path
def test_every_sampler_runs_and_gets_better(path: GaussianPath, name: str) -> None:
    """With 1, 2 and 3 steps everything is finite; deterministic ones approach the flow, at least linearly."""
    sampler, start = named(name), 0.0
    if sampler.hold == "eps" and path.alpha(0.0) == 0.0:
        with pytest.raises(ValueError, match="scale S vanishes at t = 0"):
            run(name, path, states(path, 0.0), sampler.grid(path, 3), draws(9))
        start = 0.02
    end = 1.0 if sampler.hold != "velocity" or path.sigma(1.0) > 0.0 or isinstance(path, CondOT) else 0.99
    x = states(path, start)
    for n in (1, 2, 3):
        equation, times, solver = sampler(MIXTURE.denoiser(path), n, t0=start, t1=end)
        assert torch.isfinite(solve(equation, x, times, solver, WhiteNoise(0)).x).all()
    if sampler.stochastic:
        return
    x = states(path, MOST["t0"])
    ends = [solve(equation, x, sampler.grid(path, n, **MOST), sampler.solver).x for n in (40, 80)]
    assert (ends[1] - flowed(path)).norm() < 0.6 * (ends[0] - flowed(path)).norm()


UNIFORM = ("ddim", "ddpm", "predictor-corrector", "flow-euler", "flow-heun")
KARRAS = ("euler", "euler-ancestral", "edm-heun", "edm-stochastic", "dpm2-ancestral", "deis-rho", "ipndm")


@pytest.mark.parametrize("name", PUBLISHED)
def test_grids_are_those_of_the_papers(name: str) -> None:
    """Uniform in t, in (σ/α)^{1/7}, or in log-SNR."""
    path = VP()
    _, times, _ = named(name)(MIXTURE.denoiser(path), 12, t0=0.1, t1=0.9)
    assert (times[0].item(), times[-1].item()) == (0.1, 0.9)
    if name not in UNIFORM:
        times = (-path.half_log_snr(times) / 7.0).exp() if name in KARRAS else path.half_log_snr(times)
    torch.testing.assert_close(times.diff(), times.diff().mean().expand(12), rtol=1e-9, atol=0.0)


def test_settings_are_those_of_the_papers() -> None:
    """S_churn, S_min, S_max and S_noise of table 5 of 2206.00364; one step of the corrector, as 2011.13456 reports."""
    churned, corrected = named("edm-stochastic").solver, named("predictor-corrector").solver
    assert repr(churned) == "Churn(ExponentialRK(EDM_HEUN), 40, 0.05, 50, 1.003)"
    assert repr(corrected) == "Langevin(ExponentialAdams(1), 1, 0.05)"
    assert (named("edm-stochastic").hold, named("predictor-corrector").eta) == ("eps", 1.0)
    row = Sampler(ExponentialAdams(2), "eps", 0.5, grids.uniform, logarithmic=False)
    assert row.equation(MIXTURE.denoiser(VP())).clock.logarithmic is False


def test_names() -> None:
    assert named("DPM++2M") is named("dpmpp-2m") is PUBLISHED["dpm++2m"]
    assert named("LMS") is PUBLISHED["ipndm"]
    assert named("dpm2") is PUBLISHED["dpm-solver-2s"]
    assert all(target in PUBLISHED for target in ALIASES.values())
    with pytest.raises(ValueError, match=r"Unknown sampler 'dpm\+\+4m'; choose one of ddim, ddpm, .*lms"):
        named("dpm++4m")
    assert all(row.name == name and row.source for name, row in PUBLISHED.items())

"""Runs that start from a noised image: the timesteps that are due, and the error of what follows.

The data are Gaussian, N(0.4, 0.5²), and the network is exact. With V = 0.5² α² + σ² the flow from t to the end is

    x₁ = 0.4 α₁ + √(V₁/V_t) (x_t − 0.4 α_t).
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from fokker import RK4, Heun, WhiteNoise, solve
from fokker.generative import VP, CondOT, Denoiser, GaussianPath, Sampler
from fokker.generative.adapters import FokkerScheduler
from fokker.generative.adapters.entering import entered
from fokker.generative.sampling import PUBLISHED, as_sampler, resolve
from fokker.solvers import SRA1, Dopri5, ExponentialAdams, ExponentialRK, Langevin, unroll
from fokker.solvers.scheme import Form
from fokker.verification import Gaussian

MEAN, SPREAD = 0.4, 0.5
LAW = Gaussian(torch.tensor([MEAN], dtype=torch.float64), SPREAD**2 * torch.eye(1, dtype=torch.float64))
NAMES = [None, *PUBLISHED]
OTHERS = {
    "rk4": RK4(),
    "dopri5": Dopri5(),
    "exponential rk4": ExponentialRK(4),
    "five values": ExponentialAdams(4, corrector=True),
    "two corrections": Sampler(Langevin(ExponentialRK(2), steps=2, size=0.05), "x0", name="two corrections"),
    "sra1": Sampler(SRA1(), "x0", 1.0, name="sra1"),
}
X = torch.tensor([[-1.3], [0.2], [2.0]], dtype=torch.float64)


def scheduler_of(name: Any, path: GaussianPath) -> FokkerScheduler:
    return FokkerScheduler.for_denoiser(LAW.denoiser(path), OTHERS.get(name, name))


def run(scheduler: FokkerScheduler, denoiser: Denoiser, x: Tensor, begin: int, seed: int = 0) -> Tensor:
    """A pipeline from a timestep on, with a network that is exact in float64."""
    drawn = torch.Generator().manual_seed(seed)
    for t in scheduler.timesteps[begin:]:
        assert scheduler._run is not None
        x = scheduler.step(denoiser.output(scheduler._run.time, x), t, x, generator=drawn).prev_sample
    return x


@pytest.mark.parametrize("name", [*NAMES, *OTHERS])
def test_every_timestep_is_a_beginning(name: Any) -> None:
    """For every sampler: with 1 to 28 evaluations, the rest of the timesteps is due, and no other one."""
    path = VP() if name == "sra1" else CondOT()  # whose Brownian path starts at q = ∞ where α = 0
    for n in (3, 8, 28):
        if n == 3 and name in ("rk4", "dopri5", "exponential rk4", "five values", "two corrections"):
            continue
        scheduler = scheduler_of(name, path)
        scheduler.set_timesteps(n)
        timesteps = scheduler.timesteps.tolist()
        for begin in range(len(timesteps)):
            scheduler.set_begin_index(begin)
            assert scheduler.timesteps.tolist() == timesteps
            assert (scheduler.begin_index, scheduler.step_index) == (begin, begin)
            assert scheduler._run is not None
            due = [path.time(2.0 * path.half_log_snr(each.time)) for each in scheduler._run.scheme.evaluations]
            assert due == pytest.approx(timesteps[begin:], abs=1e-6)
            assert bool(run(scheduler, LAW.denoiser(path), X, begin).isfinite().all())


def error(name: Any, path: GaussianPath, n: int, later: int) -> float:
    """The error of a run from the middle on, `later` evaluations after it."""
    scheduler, denoiser = scheduler_of(name, path), LAW.denoiser(path)
    scheduler.set_timesteps(n)
    begin = len(scheduler.timesteps) // 2 + later
    scheduler.set_begin_index(begin)
    assert scheduler._run is not None
    t, end = scheduler._run.time, float(scheduler.times[-1])

    def deviation(t: float) -> float:
        return math.hypot(SPREAD * path.alpha(t), path.sigma(t))

    exact = MEAN * path.alpha(end) + deviation(end) / deviation(t) * (X - MEAN * path.alpha(t))
    return float((run(scheduler, denoiser, X, begin) - exact).abs().max())


FLOWS = [name for name in [*NAMES, "rk4"] if name is None or not as_sampler(OTHERS.get(name, name)).stochastic]


@pytest.mark.parametrize("name", FLOWS)
def test_the_error_falls_as_the_order_says(name: Any) -> None:
    """At all stages of a step at which a run may begin. A multistep method that starts anew, and an entry within a
    step, leave an error of O(h³): the order is 3 at most. Errors change sign on the way, so that the largest of
    several runs is compared, from n = 40 to n = 160, where a method of order p gains 4ᵖ; a half of an order is left
    for what is not yet asymptotic."""
    path = VP()
    solver = resolve(OTHERS.get(name, name), LAW.denoiser(path), 40).solver
    stages = max(1, (solver.evaluations_per_step or 1))
    coarse, fine = (max(error(name, path, n, later) for later in range(stages + 2)) for n in (40, 160))
    assert math.log(coarse / fine, 4.0) >= min(solver.order, 3) - 0.5


def law_after(name: str, n: int, later: int) -> tuple[float, float]:
    """The mean and the standard deviation at the end, from the law of x_t in the middle: every row is affine in x_t and
    the normals, and the values of the field are affine in the state."""
    path = CondOT()
    scheduler, denoiser = scheduler_of(name, path), LAW.denoiser(path)
    scheduler.set_timesteps(n)
    scheduler.set_begin_index(len(scheduler.timesteps) // 2 + later)
    assert scheduler._run is not None
    equation, scheme = scheduler.sampler.equation(denoiser), scheduler._run.scheme
    fields = {"field": equation.field, "score": equation.score}
    unit = torch.eye(2 + len(scheme.draws), dtype=torch.float64)  # of 1, x_t, and the normals
    kept = {("x", 0): unit[1], **{("ξ", k): unit[2 + k] for k in range(len(scheme.draws))}}

    def value(form: Form) -> Tensor:
        return sum((number * kept[symbol] for symbol, number in form.items()), 0.0 * unit[0])

    for step, state in enumerate(scheme.states):
        for j, each in enumerate(scheme.evaluations):
            if each.step == step:
                zero, one = fields[each.kind](each.time, torch.tensor([[0.0], [1.0]], dtype=torch.float64))[:, 0]
                kept["N", j] = zero * unit[0] + (one - zero) * value(each.argument)
        kept["x", step + 1] = value(state)
    constant, slope, *noises = kept["x", len(scheme.states)].tolist()
    t = scheduler._run.time
    mean = constant + slope * MEAN * path.alpha(t)
    return mean, math.hypot(slope * math.hypot(SPREAD * path.alpha(t), path.sigma(t)), *noises)


BIAS = {"edm-stochastic": 0.01, "predictor-corrector": 0.02}
"""What stays: the noise that EDM adds beyond that of the path (0.3 % a step), and a corrector of a fixed size."""


@pytest.mark.parametrize("name", [name for name in PUBLISHED if PUBLISHED[name].stochastic])
def test_the_law_converges_to_that_of_the_data(name: str) -> None:
    """Wherever a run begins: at weak order 1, an error of the mean and the deviation falls by four from n to 4 n."""
    for later in range(3):
        (_, coarse), (mean, fine) = (law_after(name, n, later) for n in (40, 160))
        assert mean == pytest.approx(MEAN, abs=0.01)
        assert abs(fine - SPREAD) <= 0.3 * abs(coarse - SPREAD) + BIAS.get(name, 0.0)


@pytest.mark.parametrize("name", ["ddim", "dpm++2s", "flow-heun", "ddpm", "euler-ancestral", "predictor-corrector"])
def test_a_beginning_of_a_step_is_a_solve_from_there(name: str) -> None:
    path = CondOT()
    denoiser, scheduler = LAW.denoiser(path), scheduler_of(name, path)
    scheduler.set_timesteps(12)
    assert scheduler._agenda is not None
    evaluations = scheduler._agenda.scheme.evaluations
    step = 3
    begin = next(k for k, each in enumerate(evaluations) if each.step == step)
    scheduler.set_begin_index(begin)
    row = scheduler.sampler
    noise = WhiteNoise(torch.Generator().manual_seed(0)) if row.stochastic else None
    expected = solve(row.equation(denoiser), X, scheduler.times[step:], row.solver, noise).x
    torch.testing.assert_close(run(scheduler, denoiser, X, begin), expected, rtol=0.0, atol=1e-13)


def test_the_noise_before_an_evaluation_is_in_the_state() -> None:
    """EDM adds noise before it evaluates: y' = y + ξ-term. In terms of y' a step has no noise, and no other evaluation:
    what a run from y' makes is what the whole run makes after it has been there."""
    row, denoiser = PUBLISHED["edm-stochastic"], LAW.denoiser(CondOT())
    equation = row.equation(denoiser)
    scheme = unroll(equation, row.grid(CondOT(), 6, t0=0.0125, t1=1.0), row.solver)
    begin = next(k for k, each in enumerate(scheme.evaluations) if each.step == 2)
    assert len(scheme.evaluations[begin].argument) == 2  # the state and a normal
    rest = entered(scheme, begin, equation, row.solver)
    assert dict(rest.evaluations[0].argument) == {("x", 0): 1.0}
    assert {symbol for symbol in rest.states[0] if symbol[0] == "ξ"} == set()
    assert [each.time for each in rest.evaluations] == [each.time for each in scheme.evaluations[begin:]]
    assert len(rest.draws) == sum(draw.step > 2 for draw in scheme.draws)


def test_a_run_may_begin_with_noise_in_the_state() -> None:
    """On the table of Stable Diffusion EDM's sampler adds noise from the first step on, where σ/α is below 50."""
    scheduler = FokkerScheduler(
        sampler="edm-stochastic", beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, clip_sample=False
    )
    scheduler.set_timesteps(15)
    path = scheduler.denoiser.path
    first, second = (float(path.sigma(t) / path.alpha(t)) for t in (scheduler._run.time, float(scheduler.times[0])))
    assert first / second == pytest.approx(math.sqrt(2.0), rel=1e-12)  # γ = min(40/8, √2 − 1)
    assert scheduler.init_noise_sigma == pytest.approx(path.sigma(scheduler._run.time))
    assert float(scheduler.timesteps[0]) > 999.0


@pytest.mark.parametrize("name", ["unipc", "dpm++2s", "ddpm"])
def test_the_first_timestep_says_where_a_run_begins(name: str) -> None:
    """As in diffusers, for pipelines that do not call set_begin_index."""
    path = CondOT()
    denoiser, told, untold = LAW.denoiser(path), scheduler_of(name, path), scheduler_of(name, path)
    for scheduler in (told, untold):
        scheduler.set_timesteps(9)
    told.set_begin_index(4)
    assert torch.equal(run(told, denoiser, X, 4), run_blindly(untold, denoiser, X, 4))
    with pytest.raises(ValueError, match="All timesteps have been taken"):
        untold.step(X, untold.timesteps[-1], X)


def run_blindly(scheduler: FokkerScheduler, denoiser: Denoiser, x: Tensor, begin: int) -> Tensor:
    drawn = torch.Generator().manual_seed(0)
    assert scheduler._agenda is not None
    times = [each.time for each in scheduler._agenda.scheme.evaluations[begin:]]
    for t, time in zip(scheduler.timesteps[begin:], times, strict=True):
        x = scheduler.step(denoiser.output(time, x), t, x, generator=drawn).prev_sample
    return x


def test_a_beginning_can_be_changed() -> None:
    scheduler = scheduler_of(Heun(), CondOT())
    scheduler.set_timesteps(8)
    for begin in (5, 2, 0, 7):
        scheduler.set_begin_index(begin)
        assert len(scheduler._run.scheme.evaluations) == 8 - begin
    with pytest.raises(ValueError, match=r"begin_index is 8, but .* has 8 timesteps here; start earlier, or ask"):
        scheduler.set_begin_index(8)
    with pytest.raises(ValueError, match="begin_index is -1"):
        scheduler.set_begin_index(-1)

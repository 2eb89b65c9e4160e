"""Samplers that are broken on purpose, and an honest one that starts badly: each is caught, with the right reason."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor
from toy import LINE

from fokker.generative import VP, CondOT, GaussianPath, flow, reverse_sde
from fokker.solvers import ODE, Equation, EulerMaruyama, ExponentialAdams, Noise, Semilinear, Step, solve
from fokker.solvers.exponential.multistep import _State
from fokker.solvers.exponential.weights import adams_plan
from fokker.solvers.loop import combined
from fokker.verification import Gaussian
from fokker.verification.certificates import certify
from fokker.verification.certificates.problems import PROBLEMS, Problem, sampling, uniform
from fokker.verification.certificates.stochastic_problems import arriving
from fokker.verification.laws import impulse_response
from fokker.verification.oracles import marginal

PATHS: list[GaussianPath] = [CondOT(), VP()]


def ddim(path: GaussianPath, *, exchanged: bool) -> Any:
    """x_t = α_t x̂ + (σ_t/σ_s)(x_s − α_s x̂), or with σ_s and σ_t exchanged."""

    def run(equation: Semilinear, x: Tensor, times: Tensor, noise: Noise | None) -> Tensor:
        for s, t in pairwise(times.tolist()):
            x0 = equation.field(s, x)
            eps = (x - path.alpha(s) * x0) / path.sigma(t if exchanged else s)
            x = path.alpha(t) * x0 + path.sigma(s if exchanged else t) * eps
        return x

    return run


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_ddim_with_its_sigmas_exchanged_does_not_converge(path: GaussianPath) -> None:
    problem = sampling(path, "x0")
    assert certify(ddim(path, exchanged=False), problem, declared=1).passed
    broken = certify(ddim(path, exchanged=True), problem, declared=1)
    assert broken.verdict == "fail"
    assert broken.bias is not None
    assert "its errors stop falling" in broken.reason or "the method does not converge" in broken.reason


def test_the_impulse_response_names_ddims_fault_too() -> None:
    """At η = 0 the exact law keeps the marginals as the steps get small; broken it keeps a wrong variance."""
    path = CondOT()
    equation, times = flow(LINE.denoiser(path), "x0"), torch.linspace(0.05, 0.95, 401, dtype=torch.float64)
    start, end = (marginal(LINE, path, t) for t in (0.05, 0.95))
    for exchanged in (False, True):
        run = partial(ddim(path, exchanged=exchanged), equation)
        law = impulse_response(lambda x, noise, run=run: run(x, times, noise), dim=1).law(start)
        off = abs(law.cov.item() / end.cov.item() - 1.0)
        assert off > 1.0 if exchanged else off < 0.02  # of order 1, 400 steps


def dpm_solver_2m(path: GaussianPath, weight: float) -> Any:
    """DPM-Solver++(2M): D = (1 + w) x̂_i − w x̂_{i−1}, with w = weight h_i/h_{i−1}, ½ as published."""

    def run(equation: Semilinear, x: Tensor, times: Tensor, noise: Noise | None) -> Tensor:
        logs = [float(path.half_log_snr(t)) for t in times.tolist()]
        before: Tensor | None = None
        for i, (s, t) in enumerate(pairwise(times.tolist())):
            x0 = value = equation.field(s, x)
            if before is not None:
                w = weight * (logs[i + 1] - logs[i]) / (logs[i] - logs[i - 1])
                value = (1.0 + w) * x0 - w * before
            ratio = path.sigma(t) / path.sigma(s)
            x = ratio * x + (path.alpha(t) - ratio * path.alpha(s)) * value
            before = x0
        return x

    return run


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_dpm_solver_with_half_its_second_difference_is_of_order_one(path: GaussianPath) -> None:
    problem = sampling(path, "x0")
    assert certify(dpm_solver_2m(path, 0.5), problem, declared=2).passed
    broken = certify(dpm_solver_2m(path, 0.25), problem, declared=2)
    assert broken.verdict == "fail"
    assert broken.order == pytest.approx(1.0, abs=0.15)
    assert "below the declared 2" in broken.reason


def heun(equation: Equation, x: Tensor, times: Tensor, noise: Noise | None, late: float = 1.0) -> Tensor:
    for s, t in pairwise(times.tolist()):
        first = equation.drift(s, x)
        second = equation.drift(s + late * (t - s), x + (t - s) * first)
        x = x + 0.5 * (t - s) * (first + second)
    return x


def stale_heun(equation: Equation, x: Tensor, times: Tensor, noise: Noise | None) -> Tensor:
    return heun(equation, x, times, noise, late=0.0)


def test_heun_with_its_second_stage_at_the_old_time_is_of_order_one() -> None:
    problem = PROBLEMS["ode"]
    assert certify(heun, problem, declared=2).passed
    broken = certify(stale_heun, problem, declared=2)
    assert broken.verdict == "fail"
    assert broken.order == pytest.approx(1.0, abs=0.15)
    assert "below the declared 2" in broken.reason


def likelihood(redrawn: bool) -> Problem:
    """The flow of N(0, diag(0.25, 4)) with −∫ wᵀ(∂u/∂x)w dt beside it, the signs w drawn once, or at every call.

    The Jacobian is diagonal, so that the estimate is exact for every w of signs; redrawn, the components are drawn
    normal, and the mean is right but nothing else.
    """
    path, generator = CondOT(), torch.Generator().manual_seed(0)
    data = Gaussian(torch.zeros(2).double(), torch.diag(torch.tensor([0.25, 4.0])).double())

    def drift(t: Any, x: Tensor) -> Tensor:
        state = x[:, :2]
        slopes = torch.stack([data.velocity(torch.eye(2).double(), t, path)[i, i] for i in range(2)])
        w = torch.randn(len(x), 2, generator=generator, dtype=x.dtype) if redrawn else torch.ones_like(state)
        return torch.cat([data.velocity(state, t, path), -(w * slopes * w).sum(1, keepdim=True)], 1)

    def exact(x: Tensor, s: float, t: float) -> Tensor:
        moved = data.flow_map(x[:, :2], s, t, path)
        spread = [marginal(data, path, time).cov.diagonal().log().sum() for time in (s, t)]
        return torch.cat([moved, x[:, 2:] - 0.5 * (spread[1] - spread[0])], 1)

    x = torch.cat([data.sample(16, 0), torch.zeros(16, 1, dtype=torch.float64)], 1)
    return Problem("log-likelihood", ODE(drift), exact, x, uniform)


def test_hutchinsons_probe_that_is_redrawn_makes_the_field_no_function() -> None:
    assert certify(heun, likelihood(redrawn=False), declared=2).passed
    broken = certify(heun, likelihood(redrawn=True), declared=2)
    assert broken.verdict == "fail"
    assert "the field is not a function of t and x; draw what is random once" in broken.reason


class Doubled:
    """Noise that counts twice."""

    replays = False

    def __init__(self, noise: Noise) -> None:
        self.noise = noise

    def normal(self, *query: Any) -> Tensor:
        return 2.0 * self.noise.normal(*query)

    def normal_and_area(self, *query: Any) -> tuple[Tensor, Tensor]:
        one, two = self.noise.normal_and_area(*query)
        return 2.0 * one, 2.0 * two

    def extra(self, *query: Any) -> Tensor:
        return 2.0 * self.noise.extra(*query)


def noisy(equation: Equation, x: Tensor, times: Tensor, noise: Noise | None) -> Tensor:
    assert noise is not None
    return solve(equation, x, times, EulerMaruyama(), Doubled(noise)).x


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_a_reverse_equation_with_its_noise_doubled_has_the_mean_but_not_the_variance(path: GaussianPath) -> None:
    problem = arriving(path, "x0")
    assert certify(EulerMaruyama(), problem).passed
    broken = certify(noisy, problem, declared=1)
    assert broken.verdict == "fail"
    assert "Its mean is right, but its variance is" in broken.reason
    assert "the noise is off" in broken.reason
    assert broken.bias is not None


def test_the_doubled_noise_is_four_times_the_variance_in_law() -> None:
    """From a point the variance is all noise's: four times the exact one, to the O(h) of 400 steps."""
    path = CondOT()
    problem = arriving(path, "x0")
    equation, times = problem.equation, problem.grid(400)
    law = impulse_response(lambda x, noise: noisy(equation, x, times, noise), dim=1).law(problem.start)
    assert law.cov.item() / problem.exact.cov.item() == pytest.approx(4.0, abs=0.05)
    assert law.mean.item() == pytest.approx(problem.exact.mean.item(), abs=0.01)
    assert reverse_sde(LINE.denoiser(path)).stochastic


class EulerStart(ExponentialAdams):
    """The multistep method of third order, with a first step of first order."""

    def step(self, equation: Any, t0: float, t1: float, x: Tensor, state: Any, noise: Noise | None) -> Step:
        if state.number > 0:
            return super().step(equation, t0, t1, x, state, noise)
        (planned,) = adams_plan(equation, [t0, t1], 1, False)
        value = equation.field(t0, x)
        return Step(combined(planned.ratio * x, planned.predictor, (value,)), _State(state.plan, 1, (value,)))


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_a_first_order_start_of_a_third_order_method_is_reported_as_second_order(path: GaussianPath) -> None:
    problem = sampling(path, "x0")
    certificate = certify(EulerStart(3), problem)
    assert certificate.declared == 3
    assert certificate.verdict == "fail"
    assert certificate.order == pytest.approx(2.0, abs=0.15)
    assert certificate.first_exact == pytest.approx(3.0, abs=0.15)
    assert "of order 3" in certificate.reason or "of order 2.9" in certificate.reason
    assert "the start-up limits it" in certificate.reason
    assert certify(ExponentialAdams(3), problem).passed

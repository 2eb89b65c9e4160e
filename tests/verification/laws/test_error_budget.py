"""Budgets whose entries are known in closed form."""

from __future__ import annotations

import json
import math

import pytest
import torch
from toy import LINE

from fokker.generative import VP, CondOT, Cosine
from fokker.generative.equations import grids
from fokker.solvers import Euler, ExponentialAdams, ExponentialRK
from fokker.verification.certificates.problems import MIXTURE
from fokker.verification.laws import ErrorBudget, error_budget, impulse_response
from fokker.verification.laws.coupled_samples import STAGES
from fokker.verification.oracles import marginal, reversed_transition
from fokker.verification.oracles.perturbed import Bias, perturbed

DOUBLE = torch.float64
FINE = ExponentialRK(4)


def w2(mean: float, deviation: float) -> float:
    """From N(0.7, 0.25)."""
    return math.hypot(mean - 0.7, deviation - 0.5)


def alone(budget: ErrorBudget, *, but: str, tolerance: float = 1e-9) -> None:
    """Every other stage costs nothing."""
    for stage in budget.stages:
        if stage.name != but:
            assert abs(stage.share) < tolerance
            assert stage.alone < tolerance


def test_the_prior_alone() -> None:
    """VP leaves α = e^−5.0 of the signal at t = 0; the flow, which is exact, carries N(0, σ²) to (x − α m)/v s + m."""
    path = VP()
    budget = error_budget(LINE, path, grids.log_snr(path, 200, t0=0.0, t1=1.0), FINE, dtype=DOUBLE)
    alpha, sigma = float(path.alpha(0.0)), float(path.sigma(0.0))
    scale = 0.5 / math.sqrt(alpha**2 * 0.25 + sigma**2)
    expected = w2(0.7 - scale * alpha * 0.7, scale * sigma)
    assert budget.exact
    assert budget["prior"].alone == pytest.approx(expected, rel=1e-9)
    assert budget.total == pytest.approx(expected, rel=1e-3)
    alone(budget, but="prior", tolerance=1e-6)


def test_the_early_stop_alone() -> None:
    """From the exact marginal of CondOT at 0 on: at t the law is N(0.7 t, t²/4 + (1 − t)²)."""
    path, stop = CondOT(), 0.9
    budget = error_budget(LINE, path, torch.linspace(0.0, stop, 201, dtype=DOUBLE), FINE, dtype=DOUBLE)
    expected = w2(0.7 * stop, math.sqrt(0.25 * stop**2 + (1.0 - stop) ** 2))
    assert budget["early stop"].alone == pytest.approx(expected, rel=1e-12)
    assert budget["early stop"].share == pytest.approx(expected, rel=1e-6)
    alone(budget, but="early stop", tolerance=1e-8)


def test_the_discretisation_alone() -> None:
    path, times = CondOT(), torch.linspace(0.0, 1.0, 11, dtype=DOUBLE)
    budget = error_budget(LINE, path, times, Euler(), dtype=DOUBLE)
    from fokker.generative import flow

    law = impulse_response(Euler(), flow(LINE.denoiser(path)), times, dim=1).law(marginal(LINE, path, 0.0))
    expected = w2(law.mean.item(), law.cov.sqrt().item())
    assert budget.total == pytest.approx(expected, rel=1e-12)
    assert budget["discretisation"].share == pytest.approx(expected, rel=1e-12)
    assert budget["discretisation"].alone == pytest.approx(expected, rel=1e-12)
    alone(budget, but="discretisation", tolerance=1e-12)
    assert budget.remainder == pytest.approx(0.0, abs=1e-12)


def test_the_model_alone() -> None:
    """A bias of the velocity, constant in x, moves the mean alone: Δ' = a(t) Δ + b(t), by Simpson's rule."""
    path, times = CondOT(), torch.linspace(0.0, 1.0, 101, dtype=DOUBLE)
    model = perturbed(LINE, Bias(0.1), path, "velocity")
    budget = error_budget(LINE, path, times, FINE, model=model, dtype=DOUBLE)

    def rate(t: float) -> float:
        """The slope of the exact velocity, and what the flow makes of a unit at t."""
        return math.sqrt(0.25 / (0.25 * t**2 + (1.0 - t) ** 2))

    zero = torch.zeros(1, 1, dtype=torch.float64)
    push = [
        float(model.predict("velocity", t, zero) - LINE.velocity(zero, t, path)) * rate(t)
        for t in torch.linspace(0.0, 1.0, 401).tolist()
    ]
    simpson = sum(w * p for w, p in zip([1, *[4, 2] * 199, 4, 1], push, strict=True)) / 1200.0
    assert budget.exact
    assert budget["model"].alone == pytest.approx(abs(simpson), rel=1e-6)
    assert budget["model"].share == pytest.approx(abs(simpson), rel=1e-6)
    alone(budget, but="model", tolerance=1e-7)


def test_the_rounding_alone() -> None:
    """In single precision, 200 steps: not nothing, and no more than √n roundings of states of size 2, 200 eps."""
    path, times = CondOT(), torch.linspace(0.0, 1.0, 201, dtype=DOUBLE)
    budget = error_budget(LINE, path, times, FINE, dtype=torch.float32)
    assert 1e-9 < budget["round-off"].alone < 200 * torch.finfo(torch.float32).eps
    assert budget["round-off"].share == pytest.approx(budget["round-off"].alone, rel=1e-6)
    assert error_budget(LINE, path, times, FINE, dtype=DOUBLE)["round-off"].alone == 0.0


def test_noise_is_exact_too() -> None:
    """DDPM's weak error, in law: only the discretisation, from the point of the impulse response."""
    path = Cosine()
    times = grids.log_snr(path, 20, t0=0.05, t1=0.95)
    budget = error_budget(LINE, path, times, ExponentialAdams(1), hold="x0", eta=1.0, dtype=DOUBLE)
    exact = reversed_transition(LINE, path, 1.0, 0.05, 0.95).of(marginal(LINE, path, 0.05))
    assert w2(exact.mean.item() / float(path.alpha(0.95)), 0.5) < 0.1
    assert budget.exact
    assert budget["discretisation"].share > 0.0
    assert budget.total <= sum(stage.alone for stage in budget.stages) + 1e-12  # W₂ is a metric


def test_a_mixture_is_measured_path_by_path() -> None:
    """Coupled by x₀ and ε, the discretisation alone is the rms distance to the exact flow's map F⁻¹ ∘ F."""
    path, times = CondOT(), torch.linspace(0.05, 0.95, 11, dtype=DOUBLE)
    budget = error_budget(MIXTURE, path, times, Euler(), samples=512, dtype=DOUBLE)
    clean = MIXTURE.sample(512, 0)
    assert not budget.exact
    assert budget.size == pytest.approx(float(MIXTURE.moments()[0].square() + MIXTURE.moments()[1]) ** 0.5)
    assert clean.shape == (512, 1)
    again = error_budget(MIXTURE, path, times, Euler(), samples=512, dtype=DOUBLE)
    assert again.as_json() == budget.as_json()
    assert budget["discretisation"].alone > 10.0 * budget["round-off"].alone
    fine = error_budget(MIXTURE, path, torch.linspace(0.05, 0.95, 21, dtype=DOUBLE), Euler(), samples=512, dtype=DOUBLE)
    assert budget["discretisation"].alone / fine["discretisation"].alone == pytest.approx(2.0, abs=0.3)  # order one


def test_what_is_printed_and_kept() -> None:
    budget = error_budget(LINE, CondOT(), torch.linspace(0.0, 0.9, 11, dtype=DOUBLE), Euler())
    text = str(budget)
    assert all(name in text for name in (*STAGES, "interaction", "W2, exact laws"))
    found = json.loads(json.dumps(budget.as_json()))
    assert [stage["name"] for stage in found["stages"]] == list(STAGES)
    assert found["total"] == pytest.approx(sum(stage["share"] for stage in found["stages"]) + found["remainder"])
    with pytest.raises(KeyError):
        budget["noise"]


def test_a_model_on_another_path_is_refused() -> None:
    with pytest.raises(ValueError, match="give both the same path"):
        error_budget(LINE, CondOT(), torch.linspace(0.0, 1.0, 5, dtype=DOUBLE), Euler(), model=LINE.denoiser(VP()))

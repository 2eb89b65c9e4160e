"""The rule of the default sampler: the same curve on every path, and never far from the best published sampler."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from fokker import solve
from fokker.benchmarks.study import Case, study
from fokker.generative import VE, VP, CondOT, Cosine, Denoiser, GaussianPath, GeometricVE, Polynomial, SubVP, load
from fokker.generative.sampling import default_for
from fokker.verification import GaussianMixture
from fokker.verification.oracles import Smooth, perturbed

PATHS = [CondOT(), VP(), Cosine(-math.inf, math.inf), VE()]
MEANS = torch.tensor([[1.0, 0.2], [-0.6, 0.8], [0.1, -1.0]], dtype=torch.float64)
COVS = torch.diag_embed(torch.tensor([[0.01, 0.04], [0.02, 0.02], [0.09, 0.01]], dtype=torch.float64))
LAW = GaussianMixture(torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64), MEANS, COVS)


@pytest.mark.parametrize("predicts", ["eps", "x0", "v"])
@pytest.mark.parametrize("nfe", [4, 10, 30, 100])
def test_the_default_is_the_same_curve_on_every_path(nfe: int, predicts: str) -> None:
    """Between the same two levels, from the same z = x/(α + σ), with an exact network: the same end to rounding."""
    z = torch.randn(64, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    ends = []
    for path in PATHS:
        denoiser = LAW.denoiser(path, predicts)
        t0, t1 = (float(path.time(2.0 * lam)) for lam in (-4.0, 5.0))
        sampler = default_for(denoiser, nfe)
        equation, times, solver = sampler(denoiser, sampler.solver.steps(nfe), t0=t0, t1=t1)
        x = solve(equation, (path.alpha(t0) + path.sigma(t0)) * z, times, solver).x
        ends.append(x / (path.alpha(t1) + path.sigma(t1)))
    for end in ends[1:]:
        torch.testing.assert_close(end, ends[0], rtol=0.0, atol=1e-9)


def off(kind: str, path: GaussianPath) -> Case:
    return Case("off", perturbed(LAW, Smooth(0.03, 1), path, kind), (2,), 256)


@pytest.mark.parametrize(
    "case",
    [
        lambda: Case("exact", LAW.denoiser(CondOT()), (2,), 256),
        lambda: Case("exact", LAW.denoiser(VP()), (2,), 256),
        lambda: off("eps", VP()),
        lambda: off("velocity", CondOT()),
    ],
    ids=["exact", "exact on VP", "error of eps", "error of the velocity"],
)
def test_the_default_is_never_far_from_the_best_published_sampler(case: object) -> None:
    """Without the hundredth of the noises with the largest errors: near a separatrix one noise decides."""
    found = replace(study([case], nfe=(5, 8, 20)), kind="best")
    assert not found.missed(), found.table()


def test_the_rule() -> None:
    flow, eps = load("digits-flow"), load("digits-eps")
    assert [repr(default_for(flow, nfe).solver) for nfe in (24, 25)] == [
        f"ExponentialAdams({values}, corrector=True)" for values in (2, 3)
    ]
    assert [default_for(eps, nfe).solver.ahead for nfe in (59, 60)] == [True, False]
    assert not default_for(eps, 8, both_ways=True).solver.ahead
    assert default_for(eps, 3).grid.keywords == {"p": 1.5, "early": 3 / 75}


@pytest.mark.parametrize("path", [CondOT(), VP(), VE(), Cosine(), SubVP(), GeometricVE(), Polynomial(2.0)], ids=str)
@pytest.mark.parametrize("predicts", ["x0", "v", "velocity", "eps", "score"])
def test_who_does_not_know_the_data_at_the_noise(path: GaussianPath, predicts: str) -> None:
    """ε and the score, and the velocity of a path with α = 1, which is ε times σ'."""
    unsure = predicts in ("eps", "score") or (predicts == "velocity" and isinstance(path, VE | GeometricVE))
    sampler = default_for(LAW.denoiser(path, predicts), 8)
    assert sampler.solver.ahead == unsure
    assert (sampler.grid.keywords["early"] > 0.0) == unsure


def test_no_network_is_evaluated_where_it_does_not_know_the_data() -> None:
    """VP, where x₀-hat is 152 times ε-hat at the start; one evaluation is at the end of the first of two steps."""
    seen = []

    def net(x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        seen.append(time[0].item())
        return x

    denoiser = Denoiser(net, VP(), predicts="eps")
    sampler = default_for(denoiser, 8)
    equation, times, solver = sampler(denoiser, solver_steps := sampler.solver.steps(8))
    solve(equation, torch.randn(2, 3, dtype=torch.float64), times, solver)
    assert solver_steps == 9
    assert seen == pytest.approx(times[1:-1].tolist())

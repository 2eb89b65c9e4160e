"""Exact laws of samplers: by their tables, by unit impulses, and in closed form."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from toy import Draws

from fokker.generative import VP, CondOT, Static, flow, reverse_sde
from fokker.generative.denoiser import Denoiser
from fokker.generative.equations import grids
from fokker.solvers import (
    Ancestral,
    Churn,
    Euler,
    EulerMaruyama,
    ExponentialAdams,
    ExponentialRK,
    Heun,
    Langevin,
    Restart,
    Solver,
    StochasticHeun,
    solve,
    unroll,
)  # fmt: skip
from fokker.verification import Gaussian
from fokker.verification.laws import Impulses, impulse_response
from fokker.verification.oracles import Law, marginal, reversed_transition

MEAN = torch.tensor([0.7, -0.2], dtype=torch.float64)
COV = torch.tensor([[0.5, 0.2], [0.2, 0.3]], dtype=torch.float64)
DATA, LINE = Gaussian(MEAN, COV), Gaussian(MEAN[:1], COV[:1, :1])
PATH = CondOT()
TIMES = grids.log_snr(PATH, 7, t0=0.1, t1=0.9)
NORMAL = Gaussian(torch.zeros(1).double(), torch.eye(1).double())


def close(one: Law, two: Law, tolerance: float = 1e-12) -> None:
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    "solver",
    [Euler(), Heun(), ExponentialAdams(1), ExponentialAdams(3, corrector=True), ExponentialRK(3), ExponentialRK(2)],
    ids=repr,
)
@pytest.mark.parametrize("hold", ["x0", "eps", "velocity"])
def test_a_table_and_impulses_give_one_map(solver: Solver, hold: str) -> None:
    equation = flow(DATA.denoiser(PATH), hold)
    table = impulse_response(solver, equation, TIMES, dim=2)
    run = impulse_response(lambda x, noise: solve(equation, x, TIMES, solver).x, dim=2)
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for found in (table, run, impulse_response(unroll(equation, TIMES, solver), equation, dim=2)):
        assert found.noises.shape == (0, 2, 2)
        torch.testing.assert_close(found(x), solve(equation, x, TIMES, solver).x, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    "solver",
    [EulerMaruyama(), StochasticHeun(), ExponentialAdams(2), Ancestral(ExponentialAdams(1), 0.6),
     Churn(ExponentialRK(2), 1.0), Langevin(ExponentialAdams(1), 2, 0.1),
     Restart(ExponentialAdams(1), TIMES[2:5], 2)],
    ids=lambda solver: type(solver).__name__,
)  # fmt: skip
def test_the_law_is_that_of_every_draw(solver: Solver) -> None:
    """The map, applied to given normals, is what the solver makes of a noise that hands these out."""
    stochastic = not isinstance(solver, Ancestral | Churn | Langevin | Restart)
    equation = reverse_sde(DATA.denoiser(PATH)) if stochastic else flow(DATA.denoiser(PATH), "x0")
    found = impulse_response(solver, equation, TIMES, dim=2)
    generator = torch.Generator().manual_seed(0)
    normals = torch.randn(len(found.noises), 4, 2, generator=generator, dtype=torch.float64)
    x = torch.randn(4, 2, generator=generator, dtype=torch.float64)
    made = solve(equation, x, TIMES, solver, Draws(normals)).x
    torch.testing.assert_close(found(x, list(normals)), made, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("n", "deviation"), [(5, 0.7705), (10, 0.8790), (50, 0.9746)])
def test_eulers_method_on_the_straight_path(n: int, deviation: float) -> None:
    """u = (2t − 1) x/(t² + (1 − t)²) for N(0, 1): a product of factors, and the published figures to their digits."""
    times = torch.linspace(0.0, 1.0, n + 1, dtype=torch.float64)
    law = impulse_response(Euler(), flow(NORMAL.denoiser(PATH)), times, dim=1).law(NORMAL)
    factors = [1.0 + (2.0 * t - 1.0) / (t**2 + (1.0 - t) ** 2) / n for t in times[:-1].tolist()]
    assert law.cov.sqrt().item() == pytest.approx(math.prod(factors), rel=1e-12)
    assert law.cov.sqrt().item() == pytest.approx(deviation, abs=5e-5)


def test_the_transitions_are_exact_laws() -> None:
    """They compose, keep the marginals, and at η = 0 follow the flow map."""
    s, t, u = 0.2, 0.5, 0.9
    for eta in (0.0, 0.7, 1.0):
        first, second, both = (reversed_transition(DATA, PATH, eta, a, b) for a, b in ((s, t), (t, u), (s, u)))
        start = Law(torch.tensor([0.3, 0.1]).double(), torch.diag(torch.tensor([0.2, 0.9]).double()))
        close(second.of(first.of(start)), both.of(start))
        close(both.of(marginal(DATA, PATH, s)), marginal(DATA, PATH, u))
    x = torch.randn(3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    moved = reversed_transition(DATA, PATH, 0.0, s, u)
    torch.testing.assert_close(x @ moved.matrix.mT + moved.offset, DATA.flow_map(x, s, u, PATH), rtol=1e-11, atol=1e-11)
    with pytest.raises(ValueError, match="forward in time"):
        reversed_transition(DATA, PATH, 1.0, u, s)


def test_code_that_is_not_ours() -> None:
    """DDPM's chain written out, with `noise.next`: the same law as the solver's by another road."""
    path = VP()
    times = grids.log_snr(path, 12, t0=0.1, t1=0.9).tolist()

    def chain(x: Tensor, noise: Impulses) -> Tensor:
        for s, t in pairwise(times):
            x0 = LINE.x0(x, s, path)
            ratio = path.sigma(t) / path.sigma(s)
            snr = math.exp(2.0 * (path.half_log_snr(s) - path.half_log_snr(t)))
            mean = path.alpha(t) * (1.0 - snr) * x0 + path.alpha(t) / path.alpha(s) * snr * x
            assert ratio < 1.0
            x = mean + path.sigma(t) * math.sqrt(1.0 - snr) * noise.next(x)
        return x

    solved = impulse_response(
        ExponentialAdams(1), reverse_sde(LINE.denoiser(path)), torch.tensor(times, dtype=torch.float64), dim=1
    )
    start = marginal(LINE, path, 0.1)
    close(impulse_response(chain, dim=1).law(start), solved.law(start))  # type: ignore[arg-type]


def test_what_is_not_affine_is_refused() -> None:
    exact = DATA.denoiser(PATH)
    clipped = Denoiser(exact.net, PATH, predicts=exact.predicts, threshold=Static(0.5))
    with pytest.raises(ValueError, match="off an affine map by"):
        impulse_response(Euler(), flow(clipped), TIMES, dim=2)
    with pytest.raises(ValueError, match="The sampler is off an affine map"):
        impulse_response(lambda x, noise: x.square(), dim=2)
    drawn = iter([1, 2])
    with pytest.raises(ValueError, match="drew 1 normals at first and 2 now"):
        impulse_response(lambda x, noise: sum((noise.next(x) for _ in range(next(drawn))), x), dim=1)  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="asked for twice"):
        impulse_response(lambda x, noise: noise.extra(0, x) + noise.extra(0, x), dim=1)
    with pytest.raises(TypeError, match="depends on what it solves"):
        impulse_response(Euler(), dim=1)
    with pytest.raises(TypeError, match="needs an equation and times"):
        impulse_response(Euler(), flow(exact), dim=2)

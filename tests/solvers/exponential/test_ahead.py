"""The first step with x₀-hat at its end."""

from __future__ import annotations

import pytest
import torch
from toy import MIXTURE

from fokker import solve
from fokker.generative import VE, VP, CondOT, Cosine, Denoiser, flow, grids, reverse_sde
from fokker.solvers import Adaptive, Dopri5, ExponentialAdams, FunctionClock, Semilinear, unroll

X = torch.tensor([[1.0, -0.5], [0.2, 0.7]], dtype=torch.float64)
HOLDS = ["x0", "eps", "velocity", "v"]


@pytest.mark.parametrize("hold", HOLDS)
def test_the_network_is_not_evaluated_at_the_start(hold: str) -> None:
    """x₁ = (σ₁/σ₀) x + (α₁ − α₀ σ₁/σ₀) x₀-hat((σ₁/σ₀) x, t₁), and N there follows from x₁ and the same x₀-hat."""
    path, seen = VP(), []
    exact = MIXTURE.denoiser(path, "eps")

    def net(x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        seen.append((time[0].item(), x))
        return exact.output(time[0].item(), x)

    times = [0.0, 0.3, 0.6]
    solution = solve(flow(Denoiser(net, path, predicts="eps"), hold), X, times, ExponentialAdams(1, ahead=True))
    assert [t for t, _ in seen] == [0.3]
    assert solution.nfe == 1
    ratio = path.sigma(0.3) / path.sigma(0.0)
    torch.testing.assert_close(seen[0][1], ratio * X)
    x0 = exact.predict("x0", 0.3, ratio * X)
    x1 = ratio * X + (path.alpha(0.3) - path.alpha(0.0) * ratio) * x0
    eps = (x1 - path.alpha(0.3) * x0) / path.sigma(0.3)

    def kept(x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        return eps

    onwards = solve(flow(Denoiser(kept, path, predicts="eps"), hold), x1, times[1:], ExponentialAdams(1)).x
    torch.testing.assert_close(solution.x, onwards, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("hold", HOLDS)
@pytest.mark.parametrize(("values", "corrector"), [(1, True), (2, False), (3, True)])
def test_the_order_is_two(hold: str, values: int, corrector: bool) -> None:
    """The local error of the first step is O(h²): twice as many steps leave a quarter of the error."""
    solver = ExponentialAdams(values, corrector=corrector, ahead=True)
    assert solver.order == 2
    equation, errors = flow(MIXTURE.denoiser(CondOT()), hold), []
    exact = solve(equation, X, Adaptive(0.1, 0.9, rtol=1e-12, atol=1e-13), Dopri5()).x
    for n in (80, 160):
        solution = solve(equation, X, grids.uniform(CondOT(), n, t0=0.1, t1=0.9), solver)
        assert solution.nfe == solver.evaluations(n) == n - 1
        errors.append(float((solution.x - exact).norm()))
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.15)


def test_an_error_of_eps_is_not_divided_by_alpha() -> None:
    """A constant error δ of ε-hat on VP, at the end of the first step.

    With x₀-hat at the end it is (σ₁/α₁) (α₁ − α₀ σ₁/σ₀) δ < δ; with x₀-hat at the start σ₀/α₀ = 152 for σ₁/α₁.
    """
    path, delta, t1 = VP(), 1e-3, 0.5
    step = path.alpha(t1) - path.alpha(0.0) * path.sigma(t1) / path.sigma(0.0)
    for ahead, t in ((True, t1), (False, 0.0)):
        solver = ExponentialAdams(1, ahead=ahead)
        ends = []
        for error in (0.0, delta):
            denoiser = Denoiser(lambda x, time, error=error: x + error, path, predicts="eps")
            ends.append(solve(flow(denoiser), X, [0.0, t1, 0.6], solver, save=[t1]).xs[0])
        found = (ends[1] - ends[0]).abs().max().item()
        assert found == pytest.approx(step * path.sigma(t) / path.alpha(t) * delta, rel=1e-6)


def test_evaluations_and_steps() -> None:
    solver = ExponentialAdams(3, corrector=True, ahead=True)
    assert [solver.evaluations(n) for n in (0, 1, 2, 3, 10)] == [0, 1, 1, 2, 9]
    assert [solver.steps(nfe) for nfe in (0, 1, 2, 9)] == [0, 2, 3, 10]
    assert repr(solver) == "ExponentialAdams(3, corrector=True, ahead=True)"
    one = solve(flow(MIXTURE.denoiser(CondOT())), X, [0.0, 1.0], solver)
    assert one.nfe == 1
    assert torch.equal(one.x, solve(flow(MIXTURE.denoiser(CondOT())), X, [0.0, 1.0], ExponentialAdams(1)).x)


@pytest.mark.parametrize("path", [CondOT(), VE(), Cosine()], ids=str)
def test_it_starts_where_there_is_no_signal(path: object) -> None:
    """At α = 0 too, for every hold that has a scale there."""
    for hold in ("x0", "velocity", "v"):
        equation = flow(MIXTURE.denoiser(path, "x0"), hold)
        found = solve(equation, path.sigma(0.0) * X, grids.power(path, 400), ExponentialAdams(2, ahead=True)).x
        exact = solve(equation, path.sigma(0.0) * X, grids.power(path, 400), ExponentialAdams(3, corrector=True)).x
        torch.testing.assert_close(found, exact, rtol=0.0, atol=1e-4)


def test_what_it_cannot_start() -> None:
    solver, denoiser = ExponentialAdams(2, ahead=True), MIXTURE.denoiser(CondOT())
    with pytest.raises(ValueError, match=r"to data and keeps some noise, but this one goes from t = 0\.9"):
        solve(flow(denoiser), X, [0.9, 0.5, 0.1], solver)
    bare = Semilinear(lambda t, x: -x, FunctionClock(lambda t: torch.ones_like(t), lambda t: t))
    for equation in (bare, reverse_sde(denoiser)):
        with pytest.raises(ValueError, match="needs the probability flow of a denoiser; leave ahead out"):
            unroll(equation, [0.1, 0.5, 0.9], solver)

"""Solvers around solvers: the papers' formulas in their own notation, exact output laws, limits, and step doubling.

On Gaussian data every sampler is an affine map of (x_T, ξ₁ … ξ_k): run with unit impulses in place of the normals it
gives that map, and with it the exact mean and variance of its output.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from cases import INITIAL, PROBLEMS
from torch import Tensor
from toy import ENDS, MIXTURE, PATHS, states

from fokker.generative import VE, CondOT, Cosine, GaussianPath, flow, grids, reverse_sde
from fokker.solvers import (
    EDM_HEUN,
    RK4,
    SDE,
    SRA1,
    Adaptive,
    Ancestral,
    BrownianTree,
    Churn,
    Equation,
    Euler,
    EulerMaruyama,
    ExponentialAdams,
    ExponentialRK,
    Halving,
    Heun,
    Langevin,
    Noise,
    Restart,
    Semilinear,
    SolveError,
    Solver,
    Step,
    Stepper,
    WhiteNoise,
    solve,
    unroll,
)
from fokker.verification import Gaussian, OrnsteinUhlenbeck

ONE = ExponentialAdams(1)
MEAN, VARIANCE = 0.7, 0.25
DATA = Gaussian(torch.tensor([MEAN], dtype=torch.float64), torch.tensor([[VARIANCE]], dtype=torch.float64))


class Impulses:
    """Noise that is 1 in row k + 2 at the k-th draw; rows 0 and 1 are without noise. No extra normal is asked twice."""

    replays = False

    def __init__(self) -> None:
        self.drawn, self.extras = 1, set()

    def normal(self, t0: float, t1: float, clock: Any, like: Tensor) -> Tensor:
        self.drawn += 1
        impulse = torch.zeros_like(like)
        impulse[self.drawn] = 1.0
        return impulse

    def extra(self, index: int, like: Tensor) -> Tensor:
        assert index not in self.extras
        assert index >= 0
        self.extras.add(index)
        return self.normal(0.0, 0.0, None, like)

    def normal_and_area(self, t0: float, t1: float, clock: Any, like: Tensor) -> tuple[Tensor, Tensor]:
        return self.normal(t0, t1, clock, like), self.normal(t0, t1, clock, like)


def output_law(
    equation: Equation, solver: Solver, times: Tensor, draws: int, mean: float, variance: float
) -> tuple[float, float]:
    """Mean and variance of the solver's output from N(mean, variance), with exactly that many draws."""
    impulses, noise = torch.zeros(2 + draws, 1, dtype=torch.float64), Impulses()
    impulses[1] = 1.0
    response = solve(equation, impulses, times, solver, noise).x[:, 0]
    assert noise.drawn == 1 + draws
    offset, *slopes = (response - torch.cat([response.new_zeros(1), response[:1].expand(1 + draws)])).tolist()
    return offset + slopes[0] * mean, slopes[0] ** 2 * variance + sum(kick**2 for kick in slopes[1:])


def marginal(path: GaussianPath, t: float) -> tuple[float, float]:
    return path.alpha(t) * MEAN, path.alpha(t) ** 2 * VARIANCE + path.sigma(t) ** 2


def reverse_law(path: GaussianPath, eta: float, x: float, s: float, t: float) -> tuple[float, float]:
    """The law of the reverse equation of level η at t, from the point x at s.

    In y = (x − α m)/√V, V = α² v + σ², it is dy = −y dτ + √2 dW_τ, dτ = η² σ²/V dλ, τ = η² (λ − ½ log(1 + v e^{2λ})).
    """
    elapsed = [eta**2 * (lam - 0.5 * math.log1p(VARIANCE * math.exp(2.0 * lam))) for lam in map(path.log_snr, (s, t))]
    decay = math.exp(elapsed[0] - elapsed[1])
    (mean0, variance0), (mean1, variance1) = marginal(path, s), marginal(path, t)
    return mean1 + math.sqrt(variance1 / variance0) * decay * (x - mean0), variance1 * (1.0 - decay**2)


def slope(steps: Sequence[int], errors: Sequence[float]) -> float:
    x, y = (torch.tensor(values, dtype=torch.float64).log() for values in (steps, errors))
    return -(((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()).item()


class ExactFlow(Stepper):
    """The probability flow of the Gaussian data without any error."""

    order = 9
    one_step = True

    def __init__(self, path: GaussianPath) -> None:
        self.path = path

    def evaluations(self, n: int) -> int:
        return 0

    def step(self, equation: Equation, t0: float, t1: float, x: Tensor, state: None, noise: Noise | None) -> Step:
        return Step(DATA.flow_map(x, t0, t1, self.path))


# The papers' formulas, with oracles of the mixture in place of their networks.


def ddim(path: GaussianPath, times: list[float], eta: float, x: Tensor, normal: Callable[[int], Tensor]) -> Tensor:
    """Song, Meng and Ermon (2010.02502), eqs. 12 and 16, where α is what others call ᾱ, in x/√(α² + σ²)."""
    length = [math.hypot(path.alpha(t), path.sigma(t)) for t in times]
    alphas = [(path.alpha(t) / size) ** 2 for t, size in zip(times, length, strict=True)]
    x = x / length[0]
    for i, (t, alpha, alpha_next) in enumerate(zip(times, alphas, alphas[1:], strict=False)):
        predicted = MIXTURE.x0(length[i] * x, t, path)
        epsilon = MIXTURE.eps(length[i] * x, t, path)
        deviation = eta * math.sqrt((1 - alpha_next) / (1 - alpha)) * math.sqrt(1 - alpha / alpha_next)
        direction = math.sqrt(max(1 - alpha_next - deviation**2, 0.0)) * epsilon
        x = math.sqrt(alpha_next) * predicted + direction + deviation * normal(i)
    return length[-1] * x


def denoised(z: Tensor, level: float) -> Tensor:
    """D(z; σ) of the variance-exploding papers."""
    return MIXTURE.x0(z, 1.0 - level, VE(1.0))


def euler_ancestral(levels: list[float], eta: float, z: Tensor, normal: Callable[[int], Tensor]) -> Tensor:
    """k-diffusion's: sigma_up, sigma_down, and a step of Euler's method along d = (x − D)/σ."""
    for i, (level, level_next) in enumerate(pairwise(levels)):
        up = min(level_next, eta * math.sqrt(level_next**2 * (level**2 - level_next**2) / level**2))
        down = math.sqrt(level_next**2 - up**2)
        z = z + (z - denoised(z, level)) / level * (down - level)
        if level_next > 0.0:
            z = z + up * normal(i)
    return z


def edm(
    levels: list[float],
    z: Tensor,
    normal: Callable[[int], Tensor],
    churn: float,
    low: float,
    high: float,
    excess: float,
) -> Tensor:
    """Karras et al. (2206.00364), algorithm 2."""
    steps = len(levels) - 1
    for i, (t, t_next) in enumerate(pairwise(levels)):
        gamma = min(churn / steps, math.sqrt(2.0) - 1.0) if low <= t <= high else 0.0
        t_hat = t + gamma * t
        z_hat = z + math.sqrt(t_hat**2 - t**2) * excess * normal(i)
        d = (z_hat - denoised(z_hat, t_hat)) / t_hat
        z = z_hat + (t_next - t_hat) * d
        if t_next != 0.0:
            d_next = (z - denoised(z, t_next)) / t_next
            z = z_hat + (t_next - t_hat) * (0.5 * d + 0.5 * d_next)
    return z


def annealed(
    levels: list[float], epsilon: float, count: int, z: Tensor, normal: Callable[[int], Tensor]
) -> Tensor:
    """Song and Ermon (1907.05600), algorithm 1."""
    for i, level in enumerate(levels):
        alpha = epsilon * level**2 / levels[-1] ** 2
        for t in range(count):
            score = MIXTURE.score(z, 1.0 - level, VE(1.0))
            z = z + alpha / 2.0 * score + math.sqrt(alpha) * normal(i * count + t)
    return z


def drawn(x: Tensor) -> tuple[BrownianTree, Callable[[int], Tensor]]:
    tree = BrownianTree(x, 0.0, 1.0, seed=5)
    return tree, lambda index: tree.extra(index, x)


def ratios(path: GaussianPath, times: Tensor) -> list[float]:
    return [path.sigma(t) / path.alpha(t) for t in times.tolist()]


@pytest.mark.parametrize("hold", ["x0", "velocity"])
@pytest.mark.parametrize("eta", [0.3, 1.0])
@pytest.mark.parametrize("path", ENDS, ids=repr)
def test_ancestral_is_ddim(path: GaussianPath, eta: float, hold: str) -> None:
    """From end to end of every path: from α = 0, where r is infinite, and to σ = 0, where no noise falls."""
    times = grids.karras(path, 7)
    x = states(path, times[0].item())
    tree, normal = drawn(x)
    end = solve(flow(MIXTURE.denoiser(path), hold), x, times, Ancestral(ONE, eta), tree).x
    torch.testing.assert_close(end, ddim(path, times.tolist(), eta, x, normal), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("eta", [0.5, 1.0])
@pytest.mark.parametrize("path", [VE(), CondOT()], ids=repr)
def test_ancestral_is_euler_ancestral(path: GaussianPath, eta: float) -> None:
    times = grids.karras(path, 7, t0=0.02)
    z = states(path, 0.02) / path.alpha(0.02)
    tree, normal = drawn(z)
    end = solve(flow(MIXTURE.denoiser(path), "eps"), path.alpha(0.02) * z, times, Ancestral(ONE, eta), tree).x
    expected = euler_ancestral(ratios(path, times), eta, z, normal)
    torch.testing.assert_close(end / path.alpha(1.0), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("s_noise", [1.0, 1.007])
@pytest.mark.parametrize("churn", [1.5, 40.0])
@pytest.mark.parametrize("path", [VE(), CondOT()], ids=repr)
def test_churn_is_edm(path: GaussianPath, churn: float, s_noise: float) -> None:
    """With its bounds, of which either cuts off some levels; the first noisier time lies before the grid."""
    times = grids.karras(path, 7, t0=0.0 if path.alpha(0.0) > 0.0 else 0.02)
    t0, levels = times[0].item(), ratios(path, times)
    z = states(path, t0) / path.alpha(t0)
    tree, normal = drawn(z)
    for low, high in ((0.0, math.inf), (levels[5], levels[1])):
        solver = Churn(ExponentialRK(EDM_HEUN), churn, low, high, s_noise)
        solution = solve(flow(MIXTURE.denoiser(path), "eps"), path.alpha(t0) * z, times, solver, tree)
        expected = edm(levels, z, normal, churn, low, high, s_noise)
        torch.testing.assert_close(solution.x / path.alpha(1.0), expected, rtol=1e-12, atol=1e-12)
        assert solution.nfe == 2 * 7 - 1


@pytest.mark.parametrize("path", [VE(10.0), CondOT(), Cosine()], ids=repr)
def test_langevin_alone_is_annealed_langevin_dynamics(path: GaussianPath) -> None:
    times = grids.karras(path, 5, t0=0.1, t1=0.99)
    levels = ratios(path, times[:-1])
    z = states(path, 0.1) / path.alpha(0.1)
    tree, normal = drawn(z)
    solution = solve(flow(MIXTURE.denoiser(path)), path.alpha(0.1) * z, times, Langevin(None, 3, 0.1), tree)
    expected = annealed(levels, 2.0 * 0.1 * levels[-1] ** 2, 3, z, normal)
    torch.testing.assert_close(solution.x / path.alpha(0.99), expected, rtol=1e-12, atol=1e-12)
    assert solution.nfe == 5 * 3


@pytest.mark.parametrize("inner", [ONE, Ancestral(ONE, 0.5)], ids=repr)
def test_a_predictor_is_corrected_before_its_step(inner: Stepper) -> None:
    """Song et al. (2011.13456), algorithm 2, on the reverse equation, or with the ancestral sampler for a predictor."""
    path, times, size = CondOT(), [0.1, 0.4, 0.7, 0.9], 0.1
    equation = flow(MIXTURE.denoiser(path)) if inner.draws else reverse_sde(MIXTURE.denoiser(path))
    x = expected = states(path, 0.1)
    tree, normal = drawn(x)
    shifted = Shifted(tree)
    for i, (t0, t1) in enumerate(pairwise(times)):
        delta = size * (1.0 - t0) ** 2
        for j in range(2):
            score = MIXTURE.score(expected, t0, path)
            expected = expected + delta * score + math.sqrt(2.0 * delta) * normal(3 * inner.draws + 2 * i + j)
        shifted.by = i
        expected = solve(equation, expected, [t0, t1], inner, shifted).x
    found = solve(equation, x, times, Langevin(inner, 2, size), tree).x
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


class Shifted:
    """A tree whose extra normals are counted on from `by`."""

    replays = True

    def __init__(self, tree: BrownianTree) -> None:
        self.normal, self.normal_and_area, self.tree, self.by = tree.normal, tree.normal_and_area, tree, 0

    def extra(self, index: int, like: Tensor) -> Tensor:
        return self.tree.extra(index + self.by, like)


# Exact output laws.


@pytest.mark.parametrize("wrap", [lambda s: Ancestral(s, 0.4), Ancestral, lambda s: Churn(s, 1.0)], ids="aAc")
@pytest.mark.parametrize("path", ENDS, ids=repr)
def test_detours_keep_the_marginals(path: GaussianPath, wrap: Callable[[Stepper], Stepper]) -> None:
    """With an exact solver of the flow inside, in four steps from end to end; only rounding is left.

    There is no noise to add before the step from α = 0, nor after the one to σ = 0.
    """
    times = grids.karras(path, 4)
    draws = 3 + ((path.alpha(0.0) if isinstance(wrap(ONE), Churn) else path.sigma(1.0)) > 0.0)
    mean, variance = marginal(path, 0.0)
    found = output_law(flow(DATA.denoiser(path)), wrap(ExactFlow(path)), times, draws, mean, variance)
    assert found == pytest.approx(marginal(path, 1.0), rel=1e-11)


@pytest.mark.parametrize("path", ENDS, ids=repr)
def test_restarts_keep_the_marginals(path: GaussianPath) -> None:
    """From t = 1 back to the very start, where α may be 0, too."""
    for t_a, t_b in ((0.2, 0.6), (0.0, 1.0)):
        solver = Restart(ExactFlow(path), [t_a, 0.5, t_b], 3)
        found = output_law(flow(DATA.denoiser(path)), solver, [0.0, 0.6, 1.0], 3, *marginal(path, 0.0))
        assert found == pytest.approx(marginal(path, 1.0), rel=1e-11)


T0, T1 = 0.1, 0.9
SPAN = CondOT().log_snr(T1) - CondOT().log_snr(T0)

PROCESSES: dict[str, tuple[Callable[[int], Stepper], int, float, float]] = {
    "ancestral": (lambda n: Ancestral(ONE, 0.6), 1, 0.0, 0.6**2),
    "ancestral, order 2": (lambda n: Ancestral(ExponentialRK(2)), 1, 0.0, 1.0),
    "churn": (lambda n: Churn(ONE, 2.0), 1, 0.0, 2.0 / SPAN),
    "churn, order 2": (lambda n: Churn(ExponentialRK(EDM_HEUN), 6.0), 1, 0.0, 6.0 / SPAN),
    "langevin": (lambda n: Langevin(ONE, 2, 1.0 / n), 2, 0.0, 2.0 / SPAN),
    "langevin, stochastic": (lambda n: Langevin(ONE, 1, 2.0 / n), 2, 1.0, 1.0 + 2.0 / SPAN),
    "langevin, ancestral": (lambda n: Langevin(Ancestral(ONE), 1, 2.0 / n), 2, 0.0, 1.0 + 2.0 / SPAN),
}
"""For n steps the solver, its draws a step, the η of the equation that it gets and the η² of the one that it solves."""


@pytest.mark.parametrize("case", PROCESSES)
def test_weak_order_as_a_process(case: str) -> None:
    """From a point, on a grid uniform in log-SNR, to the law of the reverse equation of that η."""
    make, draws, eta, squared = PROCESSES[case]
    equation = reverse_sde(DATA.denoiser(CondOT()), eta) if eta else flow(DATA.denoiser(CondOT()), "x0")
    mean, variance = reverse_law(CondOT(), math.sqrt(squared), 1.5, T0, T1)
    steps, errors = [128, 256, 512], []
    for n in steps:
        times = grids.log_snr(CondOT(), n, t0=T0, t1=T1)
        found = output_law(equation, make(n), times, draws * n, 1.5, 0.0)
        errors.append(max(abs(found[0] - mean), abs(found[1] - variance)))
    assert abs(slope(steps, errors) - make(1).weak_order) <= 0.15


@pytest.mark.parametrize("inner", [ONE, ExponentialRK(2), ExponentialRK(EDM_HEUN), ExponentialRK(3)], ids=repr)
@pytest.mark.parametrize("wrapper", ["ancestral", "churn", "restart"])
def test_the_law_of_the_output_is_of_the_order_of_the_solver(wrapper: str, inner: Stepper) -> None:
    """From the marginal itself; the error is that of mean and variance together."""
    equation, steps, errors = flow(DATA.denoiser(CondOT()), "x0"), [64, 128, 256], []
    for n in steps:
        again = grids.log_snr(CondOT(), n, t0=0.3, t1=0.7)
        halves = [grids.log_snr(CondOT(), n // 2, t0=a, t1=b) for a, b in ((T0, 0.7), (0.7, T1))]
        times = torch.cat([halves[0], halves[1][1:]])
        made: dict[str, Stepper] = {
            "ancestral": Ancestral(inner, 0.8), "churn": Churn(inner, 2.0), "restart": Restart(inner, again, 3)
        }
        solver = made[wrapper]
        assert solver.order == inner.order
        found = output_law(equation, solver, times, 3 if wrapper == "restart" else n, *marginal(CondOT(), T0))
        errors.append(math.dist(found, marginal(CondOT(), T1)))
    assert abs(slope(steps, errors) - inner.order) <= 0.15


@pytest.mark.parametrize("size", [0.05, 0.5])
def test_stationary_variance_of_langevin_dynamics(size: float) -> None:
    """After k steps at t = 1/2 from variance 0, exactly, and in the limit s²/(1 − δ/(2 s²))."""
    s2, delta = marginal(CondOT(), 0.5)[1], size * 0.25
    decay = 1.0 - delta / s2
    stationary = s2 / (1.0 - delta / (2.0 * s2))
    for k in (1, 7, 700):
        equation = flow(DATA.denoiser(CondOT()))
        mean, variance = output_law(equation, Langevin(None, k, size), [0.5, 0.75], k, 0.0, 0.0)
        assert variance / 1.5**2 == pytest.approx(stationary * (1.0 - decay ** (2 * k)), rel=1e-12)
        assert mean / 1.5 == pytest.approx(0.5 * MEAN * (1.0 - decay**k), rel=1e-12)


# Limits, counts and composition.

WRAPPED: list[tuple[Stepper, Stepper]] = [
    *((Ancestral(inner, 0.0), inner) for inner in (ONE, ExponentialRK(2), Heun())),
    *((Churn(inner, 0.0), inner) for inner in (ONE, ExponentialRK(EDM_HEUN), Heun())),
    *((Langevin(inner, 0, 0.1), inner) for inner in (ONE, Heun())),
    *((Restart(inner, [0.25, 0.5], 0), inner) for inner in (ONE, ExponentialAdams(3), Heun())),
]


@pytest.mark.parametrize("path", PATHS, ids=repr)
@pytest.mark.parametrize(("wrapped", "inner"), WRAPPED, ids=repr)
def test_without_noise_a_wrapper_is_its_solver(wrapped: Stepper, inner: Stepper, path: GaussianPath) -> None:
    """Bitwise, without noise= and with the solver's order."""
    equation, x = flow(MIXTURE.denoiser(path)), states(path, 0.1)
    times = [0.1, 0.25, 0.5, 0.6, 0.85, 0.9]
    assert torch.equal(solve(equation, x, times, wrapped).x, solve(equation, x, times, inner).x)
    assert wrapped.order == inner.order


COUNTED: list[tuple[Stepper, int, int]] = [
    (Ancestral(ExponentialRK(2)), 1, 0),
    (Churn(RK4(), 1.0), 1, 0),
    (Langevin(None, 3, 0.1), 3, 0),
    (Langevin(ExponentialRK(3), 2, 0.1), 2, 0),
    (Langevin(Ancestral(Heun()), 2, 0.1), 3, 0),
    (Langevin(Churn(ONE, 1.0), 2, 0.1), 3, 0),
    (Ancestral(Halving(ONE)), 1, 0),
    (Restart(ExponentialAdams(2, corrector=True), [0.25, 0.5, 0.75], 2), 0, 2),
    (Halving(ExponentialRK(2)), 0, 0),
]
"""A solver, its normals a step, and in a solve."""


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize(("solver", "a_step", "a_solve"), COUNTED, ids=repr)
def test_evaluations_and_normals_are_those_declared(solver: Stepper, a_step: int, a_solve: int, steps: int) -> None:
    """Counted by the ledger and by the noise, which also sees that no normal is used twice."""
    times = torch.linspace(0.125, 0.75, steps + 1, dtype=torch.float64)
    noise, x = Impulses(), torch.zeros(50, 1, dtype=torch.float64)
    solution = solve(flow(DATA.denoiser(CondOT())), x, times, solver, noise)
    assert solution.nfe == solver.evaluations(steps)
    assert solution.accepted == steps
    assert noise.drawn - 1 == a_step * steps + a_solve


@pytest.mark.parametrize("solver", [case[0] for case in COUNTED], ids=repr)
def test_wrappers_run_on_symbols(solver: Stepper) -> None:
    """The table of coefficients, replayed, makes the same numbers to rounding."""
    equation, x = flow(MIXTURE.denoiser(CondOT())), states(CondOT(), 0.1)
    tree, times = BrownianTree(x, 0.0, 1.0, seed=1), [0.1, 0.3, 0.75, 0.8]
    replayed = unroll(equation, times, solver).run(equation, x, tree)
    solution = solve(equation, x, times, solver, tree)
    torch.testing.assert_close(replayed.x, solution.x, rtol=1e-12, atol=1e-12)
    assert replayed.nfe == solution.nfe


def test_a_restart_is_solves_in_a_row() -> None:
    """Solve, and twice add noise and solve again, and go on; saved states are those of the outer grid."""
    path, times, again = Cosine(), [0.1, 0.3, 0.6, 0.7, 0.9], [0.25, 0.5, 0.6]
    equation, x = flow(MIXTURE.denoiser(path)), states(path, 0.1)
    tree, normal = drawn(x)
    inner = ExponentialAdams(2)
    first = solve(equation, x, times[:3], inner, save=True).xs
    end = first[-1]
    scale, deviation = path.transition(0.25, 0.6)
    for repeat in range(2):
        end = solve(equation, scale * end + deviation * normal(repeat), again, inner).x
    rest = solve(equation, end, times[2:], inner, save=True).xs
    expected = torch.cat([first[:-1], rest])
    solver = Restart(inner, again, 2)
    whole = solve(equation, x, times, solver, tree, save=True)
    torch.testing.assert_close(whole.xs, expected, rtol=1e-12, atol=1e-12)
    assert whole.ts.tolist() == times
    assert (whole.accepted, whole.rejected) == (4, 0)
    some = solve(equation, x, times, solver, tree, save=[0.6, 0.9])
    assert some.ts.tolist() == [0.6, 0.9]
    torch.testing.assert_close(some.xs, expected[[2, 4]], rtol=1e-12, atol=1e-12)
    last = solve(equation, x, times, solver, tree)
    assert last.xs is None
    assert torch.equal(last.x, whole.x)
    assert torch.equal(solve(equation, x, times, solver, tree, checkpoint=True).x, whole.x)


def test_a_failure_after_a_restart_keeps_what_was_done() -> None:
    equation, x = flow(MIXTURE.denoiser(CondOT())), states(CondOT(), 0.1)
    good = equation.field
    broken = replace(equation, field=lambda t, x: good(t, x) if t < 0.65 else x * math.nan)
    tree, solver = BrownianTree(x, 0.0, 1.0), Restart(ONE, [0.2, 0.4], 2)
    whole = solve(equation, x, [0.1, 0.4, 0.7, 0.9], solver, tree, save=True)
    with pytest.raises(SolveError, match=r"not finite after step 3, from t = 0\.7") as failure:
        solve(broken, x, [0.1, 0.4, 0.7, 0.9], solver, tree, save=True)
    partial = failure.value.solution
    assert partial.ts.tolist() == [0.1, 0.4, 0.7]
    assert torch.equal(partial.xs, whole.xs[:3])
    assert partial.nfe == 5


# Step doubling.


@pytest.mark.parametrize("inner", [ONE, ExponentialRK(3), RK4(), EulerMaruyama()], ids=repr)
def test_on_a_grid_two_half_steps_are_made(inner: Stepper) -> None:
    """Bitwise the solver on the grid with its middles, on the same path."""
    x = states(CondOT(), 0.1)
    make = reverse_sde if inner.stochastic else flow
    equation, tree = make(MIXTURE.denoiser(CondOT())), BrownianTree(x, 0.0, 1.0)
    halves = solve(equation, x, [0.125, 0.25, 0.375, 0.5, 0.625], inner, tree)
    doubled = solve(equation, x, [0.125, 0.375, 0.625], Halving(inner), tree, save=True)
    assert torch.equal(doubled.x, halves.x)
    assert doubled.nfe == halves.nfe
    assert (doubled.accepted, doubled.ts.tolist()) == (2, [0.125, 0.375, 0.625])


@pytest.mark.parametrize("inner", [Euler(), Heun(), RK4(), ONE, ExponentialRK(2), ExponentialRK(3)], ids=repr)
def test_the_estimate_of_step_doubling_is_the_error(inner: Stepper) -> None:
    """To leading order: their ratio tends to 1 like h, from 20 % at h = 0.04 to half of its distance at h = 0.02."""
    equation, x = flow(DATA.denoiser(CondOT()), "x0"), torch.tensor([[-0.8], [1.7]], dtype=torch.float64)
    distance, sizes = [], []
    for h in (0.04, 0.02):
        step = Halving(inner).step(equation, 0.4, 0.4 + h, x, None, None)
        ratio = (DATA.flow_map(x, 0.4, 0.4 + h, CondOT()) - step.x) / step.error
        distance.append((ratio - 1.0).abs().max().item())
        sizes.append(step.error.norm().item())
    assert distance[0] < 0.2
    assert distance[1] < 0.65 * distance[0]
    assert abs(slope([1, 2], sizes) - Halving(inner).error_order(equation)) <= 0.15


@pytest.mark.parametrize("inner", [EulerMaruyama(), SRA1()], ids=repr)
def test_the_estimate_on_a_path_is_half_an_order_above_the_strong_order(inner: Stepper) -> None:
    """Rms over 2000 paths, each within 2 % (standard error): 0.02 for the slope. It bounds the error's own rms, which
    SRA1 on 32 steps measures on the same paths.
    """
    equation = SDE(lambda t, x: -2.0 * (3.0 * x).sin(), lambda t, x: 1.5, noise="additive")
    x, sizes = torch.full((2000, 1), 2.0, dtype=torch.float64), []
    tree = BrownianTree(x, 0.0, 1.0, seed=0, area=True)
    for h in (2.0**-9, 2.0**-11):
        step = Halving(inner).step(equation, 0.0, h, x, None, tree)
        reference = solve(equation, x, torch.linspace(0.0, h, 33, dtype=torch.float64), SRA1(), tree).x
        sizes.append(step.error.square().mean().sqrt().item())
        assert (step.x - reference).square().mean().sqrt().item() < sizes[-1]
    assert abs(slope([1, 4], sizes) - Halving(inner).error_order(equation)) <= 0.15


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("inner", [RK4(), ExponentialRK(3)], ids=repr)
def test_an_adaptive_error_falls_with_the_tolerance(inner: Stepper, per_sample: bool) -> None:
    """The errors of n = O(tolerance^{−1/(p + 1)}) steps add up, for this equation with a factor below 1; a hundred
    times less tolerance gives 100^{p/(p + 1)} > 31 times less error, and at least 10 is asked.
    """
    problem, errors = PROBLEMS["log clock"], []
    for tolerance in (1e-4, 1e-6, 1e-8):
        times = Adaptive(0.0, 1.0, rtol=tolerance, atol=tolerance, per_sample=per_sample)
        solution = solve(problem.equation, INITIAL, times, Halving(inner))
        errors.append((solution.x - problem.exact(INITIAL)).square().mean().sqrt().item())
        assert errors[-1] < tolerance ** (inner.order / (inner.order + 1.0))
    assert errors[1] < errors[0] / 10.0
    assert errors[2] < errors[1] / 10.0


@pytest.mark.parametrize("inner", [EulerMaruyama(), SRA1()], ids=repr)
def test_adaptive_steps_follow_one_brownian_path(inner: Stepper) -> None:
    """The Ornstein-Uhlenbeck process, against its exact solution on the same tree.

    An error of a step a hundred times smaller comes with an h that is 100^{1/(p + 1/2)} times smaller, and n = 1/h of
    them add up as √n: 22 times less in all for p = 1, 32 for p = 3/2; at least 10 is asked. Rejected steps have seen
    the same path: the accepted steps, taken as a grid, make the same solution to the last bit. (The integral control,
    which sees the last error alone, has many of them.)
    """
    process = OrnsteinUhlenbeck(theta=2.0, sigma=1.5)
    x, equation = torch.full((6, 1), 2.0, dtype=torch.float64), process.equation()
    tree = BrownianTree(x, 0.0, 1.0, seed=3, area=True)
    exact = process.path(x, [0.0, 1.0], tree)[-1]
    errors, rejected = [], 0
    for tolerance in (3e-2, 3e-4):
        times = Adaptive(0.0, 1.0, rtol=tolerance, atol=tolerance, control="I")
        solution = solve(equation, x, times, Halving(inner), tree, save=True)
        errors.append((solution.x - exact).square().mean().sqrt().item())
        rejected += solution.rejected
        assert torch.equal(solve(equation, x, solution.ts, Halving(inner), tree).x, solution.x)
        assert solution.nfe == 2 + 3 * inner.evaluations(1) * (solution.accepted + solution.rejected)
    assert errors[1] < errors[0] / 10.0
    assert rejected > 0


X = states(CondOT(), 0.1)
FLOW = flow(MIXTURE.denoiser(CondOT()))
TIMES = [0.1, 0.5, 0.9]
BARE = Semilinear(lambda t, x: x, torch.ones_like, lambda t: t)
TOLERANCES = {"rtol": 1e-2, "atol": 1e-2}
BAD_INPUT: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "eta": (lambda: Ancestral(ONE, 1.2), ValueError, r"eta between 0 .* but got 1\.2"),
    "a multistep method": (lambda: Ancestral(ExponentialAdams(2)), TypeError, "Ancestral goes around a one-step"),
    "a solver that draws": (lambda: Churn(Ancestral(ONE), 1.0), TypeError, "draws no noise of its own, but got Ances"),
    "a class": (lambda: Halving(Heun), TypeError, "goes around a one-step solver"),
    "negative churn": (lambda: Churn(ONE, -1.0), ValueError, "finite churn"),
    "exchanged bounds": (lambda: Churn(ONE, 1.0, 2.0, 1.0), ValueError, "exchange them"),
    "half a step": (lambda: Langevin(ONE, 1.5, 0.1), ValueError, "steps = 0, 1, 2"),
    "no size": (lambda: Langevin(ONE, 1, 0.0), ValueError, "positive size"),
    "langevin twice": (lambda: Langevin(Langevin(ONE, 1, 0.1), 1, 0.1), TypeError, "draws no noise of its own"),
    "a multistep predictor": (lambda: Langevin(ExponentialAdams(2), 1, 0.1), TypeError, "one-step solver"),
    "a restart that draws": (lambda: Restart(Ancestral(ONE), TIMES, 1), TypeError, "Restart goes around a solver"),
    "a start-up": (lambda: Restart(ExponentialAdams(4), TIMES, 1), ValueError, "3 evaluations in 1 step and 10 in 8"),
    "a restart backwards": (lambda: Restart(ONE, [0.5, 0.1], 1), ValueError, "from noise to data"),
    "half a restart": (lambda: Restart(ONE, TIMES, 0.5), ValueError, "repeats = 0, 1, 2"),
    "a restart beside the grid": (
        lambda: solve(FLOW, X, TIMES, Restart(ONE, [0.1, 0.6], 1), WhiteNoise(0)),
        ValueError,
        r"needs t = 0\.6 on the way of the solve",
    ),
    "a restart at the start": (
        lambda: solve(FLOW, X, TIMES[1:], Restart(ONE, [0.1, 0.5], 1), WhiteNoise(0)),
        ValueError,
        r"needs t = 0\.5 on the way of the solve",
    ),
    "no noise": (lambda: solve(FLOW, X, TIMES, Ancestral(ONE)), ValueError, "Ancestral needs noise"),
    "data to noise": (
        lambda: solve(FLOW, X, TIMES[::-1], Churn(ONE, 1.0), WhiteNoise(0)),
        ValueError,
        r"runs from noise to data, but times go from 0\.9 down to 0\.1",
    ),
    "no path": (lambda: solve(BARE, X, TIMES, Ancestral(ONE), WhiteNoise(0)), ValueError, "give Semilinear.*noising"),
    "no score": (
        lambda: solve(replace(BARE, noising=CondOT()), X, TIMES, Langevin(ONE, 1, 0.1), WhiteNoise(0)),
        ValueError,
        "give Semilinear.*score",
    ),
    "a stochastic equation": (
        lambda: unroll(reverse_sde(MIXTURE.denoiser(CondOT())), TIMES, Ancestral(ONE)),
        ValueError,
        "to a deterministic equation",
    ),
    "levels from alpha = 0": (
        lambda: solve(FLOW, X, [0.0, 0.5], Langevin(None, 1, 0.1), WhiteNoise(0)),
        ValueError,
        "alpha = 0 at t = 0; start later",
    ),
    "steps chosen by state-dependent noise": (
        lambda: solve(
            SDE(lambda t, x: x, lambda t, x: x),
            X,
            Adaptive(0.0, 1.0, **TOLERANCES),
            Halving(EulerMaruyama()),
            BrownianTree(X, 0.0, 1.0),
        ),
        ValueError,
        "need additive noise, but the equation's is diagonal",
    ),
    "adaptive steps of a wrapper": (
        lambda: solve(FLOW, X, Adaptive(0.1, 0.9, **TOLERANCES), Ancestral(ONE), BrownianTree(X, 0.0, 1.0)),
        ValueError,
        "no error estimate",
    ),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_gets_one_clear_sentence(case: str) -> None:
    call, kind, sentence = BAD_INPUT[case]
    with pytest.raises(kind, match=sentence):
        call()


def test_bad_input_is_found_before_any_evaluation() -> None:
    evaluated = []
    watched = FLOW.watched(lambda function: lambda t, x: evaluated.append(t) or function(t, x))
    for solver in (Restart(ONE, [0.1, 0.6], 1), Langevin(None, 1, 0.1)):
        with pytest.raises(ValueError, match=r"add it|start later"):
            solve(watched, X, [0.0, 0.5], solver, WhiteNoise(0))
    assert evaluated == []

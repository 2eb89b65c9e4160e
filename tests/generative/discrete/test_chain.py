"""The posterior against Bayes' rule by linear algebra; the chain against DDPM as printed, and its exact law."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from toy import LINE, MEAN, MIXTURE, PATHS, VARIANCE, Draws, output, states

from fokker.generative import VE, VP, CondOT, Denoiser, GaussianPath, reverse_sde
from fokker.generative.discrete import ancestral, posterior
from fokker.generative.discrete.chain import chain_times, share
from fokker.generative.equations import grids
from fokker.generative.paths import Real, Table, linear_betas
from fokker.solvers import BrownianTree, ExponentialAdams, SolveError, WhiteNoise, solve
from fokker.verification.laws import impulse_response

TABLE = Table(linear_betas(50, 0.002, 0.3))
ALL = [*PATHS, TABLE]
STEPS = [(0.05, 0.11), (0.3, 0.7), (0.7, 0.7001), (0.02, 0.98)]

each_path = pytest.mark.parametrize("path", ALL, ids=lambda path: type(path).__name__)


@each_path
@pytest.mark.parametrize(("s", "t"), STEPS)
def test_every_form_of_the_posterior_is_bayes(path: GaussianPath, s: float, t: float) -> None:
    """Given x₀, x_t and x_s = a x_t + √B ξ are jointly normal; a and B are those of `transition`. One rounding of λ is
    magnified by 1/(λ_t − λ_s)."""
    x0, x = 0.7, -1.3
    a, deviation = path.transition(s, t)
    alpha, sigma = path.alpha(t), path.sigma(t)
    rows = [[sigma**2, a * sigma**2], [a * sigma**2, a**2 * sigma**2 + deviation**2]]
    precision = torch.tensor(rows, dtype=torch.float64).inverse()
    variance = 1.0 / precision[0, 0].item()
    mean = alpha * x0 - variance * precision[0, 1].item() * (x - a * alpha * x0)
    made, tolerance = posterior(path, s, t), 1e-12 * max(1.0, 0.1 / (path.half_log_snr(t) - path.half_log_snr(s)))
    assert made.variance == pytest.approx(variance, rel=100 * tolerance)  # the inverse loses digits of its own
    assert made.variance == pytest.approx((sigma * deviation / path.sigma(s)) ** 2, rel=tolerance)
    assert made.transition == pytest.approx(deviation**2, rel=tolerance)
    states = torch.tensor([x], dtype=torch.float64), torch.tensor([x0], dtype=torch.float64)
    eps = (states[0] - path.alpha(s) * x0) / path.sigma(s)
    in_precisions = made.variance * (a * x / deviation**2 + alpha * x0 / sigma**2)
    for form in (made.mean(*states).item(), made.mean_from_eps(states[0], eps).item(), in_precisions):
        assert form == pytest.approx(mean, rel=100 * tolerance)
    assert made.from_x * x + made.from_x0 * x0 == pytest.approx(in_precisions, rel=10 * tolerance)
    assert made.spread == pytest.approx(math.log(made.transition / made.variance), rel=1e-8, abs=1e-12)
    assert made.gain == pytest.approx(made.from_x0**2 / made.variance, rel=10 * tolerance)
    for v in (0.0, 0.3, 1.0):
        expected = v * math.log(made.transition) + (1.0 - v) * math.log(made.variance)
        assert math.log(made.reverse_variance(v)) == pytest.approx(expected, rel=1e-12)


def test_bayes_on_the_grid_of_a_whole_chain() -> None:
    """Given x₀ = 1 all latents are one Gaussian vector; conditioned on x_{i}, by its full covariance, x_{i+1} is q."""
    times = chain_times(TABLE)[:-1]
    a = TABLE.alpha(times)
    snr = torch.exp(2.0 * TABLE.half_log_snr(times))
    cov = a[:, None] * a[None] / torch.maximum(snr[:, None], snr[None])  # Cov(x_s, x_t) = α_s σ_t²/α_t, t the cleaner
    made = posterior(TABLE, times[:-1], times[1:])
    for i in range(len(times) - 1):
        gain = (cov[i + 1, i] / cov[i, i]).item()
        expected = gain, (a[i + 1] - gain * a[i]).item(), (cov[i + 1, i + 1] - gain * cov[i, i + 1]).item()
        found = made.from_x[i].item(), made.from_x0[i].item(), made.variance[i].item()
        assert found == pytest.approx(expected, rel=1e-10)


def test_at_the_ends_of_a_path() -> None:
    """From α = 0 nothing is known of x; at σ = 0 everything is known of x₀."""
    first, last = posterior(CondOT(), 0.0, 0.25), posterior(CondOT(), 0.25, 1.0)
    assert (first.from_x, first.from_x0, first.variance, first.transition) == (0.0, 0.25, 0.75**2, 1.0)
    assert (last.from_x, last.from_x0, last.variance, last.transition) == (0.0, 1.0, 0.0, 0.75**2)
    assert last.spread == math.inf
    assert last.reverse_variance(1.0) == 0.75**2


@each_path
def test_a_step_goes_from_noise_to_data(path: GaussianPath) -> None:
    for s, t in ((0.6, 0.4), (0.5, 0.5)):
        with pytest.raises(ValueError, match="does not rise from s"):
            posterior(path, s, t)
    t = torch.tensor([0.2, 0.5], dtype=torch.float64)
    with pytest.raises(ValueError, match="does not rise"):
        posterior(path, t, torch.tensor([0.3, 0.4], dtype=torch.float64))
    grid = torch.linspace(0.01, 0.98, 98, dtype=torch.float64)
    made = posterior(path, grid[:-1], grid[1:])
    assert ((made.removed > 0.0) & (made.removed < 1.0) & (made.variance < made.transition)).all()


@each_path
def test_the_small_variance_is_the_first_exponential_method_on_the_reverse_equation(path: GaussianPath) -> None:
    """On the same Brownian path. From α = 0 to σ = 0, where the two agree that no noise is added."""
    times = chain_times(path) if path == TABLE else grids.uniform(path, 12)
    x = states(path, float(times[0]))
    tree = BrownianTree(x, float(times[0]), 1.0, 3)
    found = ancestral(MIXTURE.denoiser(path), x, tree, times, variance="small")
    expected = solve(reverse_sde(MIXTURE.denoiser(path)), x, times, ExponentialAdams(1), tree)
    torch.testing.assert_close(found.x, expected.x, rtol=1e-10, atol=1e-10)
    assert found.nfe == expected.nfe == len(times) - 1


@pytest.mark.parametrize("variance", ["small", "large"])
def test_ddpm_as_printed(variance: str) -> None:
    """Ho et al. (2006.11239), algorithm 2, from betas alone, with σ_t² = β̃ or β and z = 0 in the last step."""
    betas = torch.tensor(TABLE.betas, dtype=torch.float64)
    abar = torch.cumprod(1.0 - betas, 0)
    noise = list(torch.randn(50, 8, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    x = expected = states(TABLE, 0.0)
    for i in reversed(range(50)):
        eps = MIXTURE.eps(expected, TABLE.at(i), TABLE)
        mean = (expected - betas[i] / (1.0 - abar[i]).sqrt() * eps) / (1.0 - betas[i]).sqrt()
        before = abar[i - 1] if i else 1.0
        squared = betas[i] if variance == "large" else (1.0 - before) / (1.0 - abar[i]) * betas[i]
        expected = mean + squared**0.5 * noise[49 - i] if i else mean
    found = ancestral(MIXTURE.denoiser(TABLE), x, Draws(noise), variance=variance)
    torch.testing.assert_close(found.x, expected, rtol=1e-10, atol=1e-10)


def law(path: GaussianPath, variance: str | float, times: Tensor | None = None) -> tuple[float, float, int]:
    """Mean, deviation and number of draws of what the chain makes of N(0, 1), exactly."""
    denoiser = LINE.denoiser(path)
    affine = impulse_response(lambda x, noise: ancestral(denoiser, x, noise, times, variance=variance).x, dim=1)
    mean, squared = output(affine, 0.0, 1.0)
    return mean, math.sqrt(squared), len(affine.noises)


def test_the_law_by_a_recursion_of_moments() -> None:
    """A step is μ̃(x, x₀-hat) with x₀-hat = m + k (x − α m), k = α v/V: an affine map."""
    for variance, power in (("small", 0.0), ("large", 1.0), (0.4, 0.4)):
        mean, squared = 0.0, 1.0
        betas = TABLE.betas
        abar = torch.cumprod(1.0 - torch.tensor(betas, dtype=torch.float64), 0).tolist()
        for i in reversed(range(50)):
            now, before, beta = abar[i], abar[i - 1] if i else 1.0, betas[i]
            k = math.sqrt(now) * VARIANCE / (now * VARIANCE + 1.0 - now)
            keep = math.sqrt(1.0 - beta) * (1.0 - before) / (1.0 - now)
            take = math.sqrt(before) * beta / (1.0 - now)
            small = (1.0 - before) / (1.0 - now) * beta
            noise = beta**power * small ** (1.0 - power) if i else 0.0
            mean = (keep + take * k) * mean + take * (1.0 - k * math.sqrt(now)) * MEAN
            squared = (keep + take * k) ** 2 * squared + noise
        found = law(TABLE, variance)
        assert found[:2] == pytest.approx((mean, math.sqrt(squared)), rel=1e-11)


def with_variance(path: GaussianPath, v: Real | Tensor) -> Denoiser:
    """The exact network, which says 2v − 1 beside it."""

    def net(x: Tensor, t: Tensor) -> Tensor:
        return torch.cat([MIXTURE.eps(x, t, path), torch.zeros_like(x) + 2.0 * v - 1.0], 1)

    return Denoiser(net, path, predicts="eps", learned_variance=True)


@pytest.mark.parametrize("path", [TABLE, VE(10.0)], ids=["table", "VE"])
def test_a_learned_variance_interpolates_between_small_and_large(path: GaussianPath) -> None:
    """In the logarithm (Nichol and Dhariwal 2102.09672, eq. 15), each component with its own."""
    times = None if path == TABLE else grids.karras(path, 9)
    x = states(path, 0.0)
    noise = list(torch.randn(50, 8, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    for v in (0.0, 0.3, 1.0):
        learned = ancestral(with_variance(path, v), x, Draws(noise), times, variance="learned")
        fixed = ancestral(MIXTURE.denoiser(path), x, Draws(noise), times, variance=v)
        torch.testing.assert_close(learned.x, fixed.x, rtol=1e-9, atol=1e-9)
        assert learned.nfe == fixed.nfe
    one = ancestral(with_variance(path, 0.0), x, Draws(noise), [0.1, 0.4], variance="learned").x
    both = torch.tensor([0.0, 0.6], dtype=torch.float64)
    own = ancestral(with_variance(path, both), x, Draws(noise), [0.1, 0.4], variance="learned").x
    assert torch.equal(one[:, 0], own[:, 0])
    step = posterior(path, 0.1, 0.4)
    ratio = math.sqrt(step.reverse_variance(0.6)) - math.sqrt(step.variance)
    torch.testing.assert_close(own[:, 1] - one[:, 1], ratio * noise[0][:, 1], rtol=1e-9, atol=1e-9)


def test_single_precision_follows_double_precision() -> None:
    denoiser = Denoiser(lambda x, t: 0.8 * x, TABLE, predicts="x0")
    noise = list(torch.randn(50, 8, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    double = ancestral(denoiser, states(TABLE, 0.0), Draws(noise), variance="large").x
    single = ancestral(denoiser, states(TABLE, 0.0).float(), Draws([xi.float() for xi in noise]), variance="large").x
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), double, rtol=1e-5, atol=1e-5)


def test_gradients_flow_through_the_chain() -> None:
    x = states(CondOT(), 0.0).requires_grad_()
    times = grids.uniform(CondOT(), 4)
    ancestral(MIXTURE.denoiser(CondOT()), x, WhiteNoise(0), times, variance="large").x.sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_what_a_solve_knows_a_chain_knows() -> None:
    """Saved states, the budget, and the diagnosis of what is not finite."""
    times, x = grids.uniform(CondOT(), 6), states(CondOT(), 0.0)
    tree, denoiser = BrownianTree(x, 0.0, 1.0, 1), MIXTURE.denoiser(CondOT())
    whole = ancestral(denoiser, x, tree, times, variance="large", save=True)
    assert whole.xs is not None
    assert whole.xs.shape == (7, 8, 2)
    part = ancestral(denoiser, x, tree, times[:4], variance="large")
    assert torch.equal(part.x, whole.xs[3])
    with pytest.raises(ValueError, match="6 evaluations, more than max_nfe = 5"):
        ancestral(denoiser, x, tree, times, variance="large", max_nfe=5)
    broken = Denoiser(lambda x, t: x / 0.0, CondOT(), predicts="x0")
    with pytest.raises(SolveError, match="not finite"):
        ancestral(broken, x, tree, times, variance="small")


def test_what_does_not_fit_is_refused() -> None:
    x, noise, denoiser = states(CondOT(), 0.0), WhiteNoise(0), MIXTURE.denoiser(CondOT())
    with pytest.raises(ValueError, match="no times of its own"):
        ancestral(denoiser, x, noise, variance="small")
    for variance in ("medium", 1.5, math.nan):
        with pytest.raises(ValueError, match=r"choose 'small', 'large', 'learned'|variance is .* from 0 to 1"):
            ancestral(denoiser, x, noise, [0.0, 0.5], variance=variance)
    with pytest.raises(ValueError, match="has not learned a variance"):
        ancestral(denoiser, x, noise, [0.0, 0.5], variance="learned")
    with pytest.raises(ValueError, match="strictly monotone"):
        ancestral(denoiser, x, noise, [0.0, 0.5, 0.4], variance="small")
    with pytest.raises(ValueError, match="forward in time"):
        ancestral(denoiser, x, noise, [0.5, 0.1], variance="small")
    assert (share("small"), share("large"), share(0.25), share("learned")) == (0.0, 1.0, 0.25, None)


def test_the_times_of_a_table_are_its_indices() -> None:
    times = chain_times(TABLE)
    torch.testing.assert_close(TABLE.index(times), torch.arange(49, -2, -1).double(), rtol=0.0, atol=1e-12)
    assert times[-1] == 1.0
    assert all(a < b for a, b in pairwise(times.tolist()))
    assert torch.equal(chain_times(VP(), [0.1, 0.9]), torch.tensor([0.1, 0.9], dtype=torch.float64))

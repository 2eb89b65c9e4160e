"""The oracles against definitions that share no code with them: quadrature, autograd, transport of mass."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from oracle_contract import PATHS, TIMES, check_fields, check_per_sample_times, check_transport
from torch import Tensor

from fokker.generative.paths import CondOT, Cosine, GaussianPath
from fokker.verification.oracles import Gaussian, GaussianMixture

FIELDS = ["score", "x0", "eps", "v", "velocity", "divergence", "log_prob"]


def mixture(dtype: torch.dtype = torch.float64, dim: int = 3) -> GaussianMixture:
    """Three components with overlapping support and covariances of different axes."""
    generator = torch.Generator().manual_seed(1)
    factor = torch.randn(3, dim, dim, generator=generator, dtype=torch.float64)
    covs = 0.2 * factor @ factor.mT + 0.05 * torch.eye(dim, dtype=torch.float64)
    means = torch.randn(3, dim, generator=generator, dtype=torch.float64)
    weights = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)
    return GaussianMixture(weights.to(dtype), means.to(dtype), covs.to(dtype))


def gaussian(dim: int = 3) -> Gaussian:
    oracle = mixture(dim=dim)
    return Gaussian(oracle.means[0], oracle.covs[0])


def states(oracle: GaussianMixture, t: float, path: GaussianPath, n: int = 16) -> Tensor:
    """Points in the bulk of p_t: α x₀ + σ ε."""
    x0 = oracle.sample(n, seed=2)
    eps = torch.randn(x0.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64).to(x0)
    return path.alpha(t) * x0 + path.sigma(t) * eps


def normal(x: Tensor, mean: Tensor, std: Tensor | float) -> Tensor:
    return torch.exp(-0.5 * ((x - mean) / std) ** 2) / (std * math.sqrt(2.0 * math.pi))


def line() -> tuple[GaussianMixture, Tensor, Tensor]:
    """A mixture in one dimension, and its density on a grid where trapezoidal sums are exact to 1e-14."""
    grid = torch.linspace(-7.0, 8.0, 6001, dtype=torch.float64)
    weights, means, stds = grid.new_tensor([[0.3, 0.5, 0.2], [-1.5, 0.2, 2.0], [0.3, 0.6, 0.4]])
    density = normal(grid[:, None], means, stds) @ weights
    return GaussianMixture(weights, means[:, None], stds[:, None, None] ** 2), grid, density


@pytest.mark.parametrize("path", PATHS, ids=str)
@pytest.mark.parametrize("t", TIMES)
def test_density_and_posterior_means_are_their_defining_integrals(path: GaussianPath, t: float) -> None:
    oracle, grid, density = line()
    alpha, sigma = path.alpha(t), path.sigma(t)
    x = alpha * torch.linspace(-2.0, 2.5, 9, dtype=torch.float64)[:, None] + 0.3 * sigma
    joint = density * normal(x, alpha * grid, sigma) * (grid[1] - grid[0])
    marginal = joint.sum(1)
    x0 = (joint @ grid) / marginal
    eps = (joint * (x - alpha * grid)).sum(1) / marginal / sigma
    torch.testing.assert_close(oracle.log_prob(x, t, path), marginal.log(), rtol=0, atol=1e-11)
    torch.testing.assert_close(oracle.x0(x, t, path)[:, 0], x0, rtol=0, atol=1e-11)
    torch.testing.assert_close(oracle.eps(x, t, path)[:, 0], eps, rtol=0, atol=1e-11)


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_density_integrates_to_one_in_two_dimensions(path: GaussianPath) -> None:
    oracle = mixture(dim=2)
    for t in (0.0, 0.4, 1.0):
        width = 10.0 * path.alpha(t) + 9.0 * path.sigma(t)
        side = torch.linspace(-width, width, 401, dtype=torch.float64)
        points = torch.cartesian_prod(side, side)
        total = oracle.log_prob(points, t, path).exp().sum() * (side[1] - side[0]) ** 2
        assert abs(total.item() - 1.0) < 1e-12


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_the_contract(path: GaussianPath) -> None:
    """In three dimensions and at several times; every oracle on every path is in `test_every_path`."""
    for t in TIMES:
        check_fields(mixture(), path, t)
        check_transport(mixture(), path, t)
    check_per_sample_times(mixture(), path)


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_flow_map_follows_the_velocity(path: GaussianPath) -> None:
    """It starts at the identity, its time derivative is the velocity where it arrives, and it composes."""
    oracle = gaussian()
    s = 0.15
    x = states(oracle, s, path)
    torch.testing.assert_close(oracle.flow_map(x, s, s, path), x, rtol=1e-13, atol=1e-13)
    for t in TIMES:
        times = torch.full((len(x),), t, dtype=torch.float64, requires_grad=True)
        arrived = oracle.flow_map(x, s, times, path)
        rate = [torch.autograd.grad(arrived[:, i].sum(), times, retain_graph=True)[0] for i in range(3)]
        velocity = oracle.velocity(arrived, t, path)
        torch.testing.assert_close(torch.stack(rate, 1), velocity, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(oracle.flow_map(arrived, t, s, path), x, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_flow_map_carries_the_noise_to_the_data(path: GaussianPath) -> None:
    """From end to end, log p₁(ψ(x)) = log p₀(x) - log |det ∂ψ/∂x|, whichever the path."""
    oracle = gaussian()
    x = states(oracle, 0.0, path)
    mapped = oracle.flow_map(x, 0.0, 1.0, path)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda x: oracle.flow_map(x[None], 0.0, 1.0, path)[0]))(x)
    expected = oracle.log_prob(x, 0.0, path) - torch.linalg.slogdet(jacobian).logabsdet
    torch.testing.assert_close(oracle.log_prob(mapped, 1.0, path), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("path", PATHS, ids=str)
@pytest.mark.parametrize("t", [0.0, 1.0])
def test_fields_are_finite_at_both_ends(field: str, path: GaussianPath, t: float) -> None:
    oracle = mixture()
    x = states(oracle, t, path)
    if field in ("velocity", "divergence") and math.isinf(path.d_sigma(t)):
        with pytest.raises(ValueError, match="slope of sigma is infinite at t = 1 on VP"):
            getattr(oracle, field)(x, t, path)
        return
    value = getattr(oracle, field)(x, t, path)
    assert value.isfinite().all()
    each = getattr(oracle, field)(x, x.new_full((len(x),), t), path)
    torch.testing.assert_close(each, value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("path", [CondOT(), Cosine(-math.inf, math.inf)], ids=str)
def test_ends_have_their_exact_values(path: GaussianPath) -> None:
    oracle = mixture()
    x = states(oracle, 0.5, path)
    mean = (oracle.weights @ oracle.means).expand_as(x)
    torch.testing.assert_close(oracle.eps(x, 1.0, path), torch.zeros_like(x), rtol=0, atol=0)
    torch.testing.assert_close(oracle.x0(x, 1.0, path), x, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(oracle.log_prob(x, 1.0, path), oracle.log_prob(x), rtol=0, atol=0)
    torch.testing.assert_close(oracle.eps(x, 0.0, path), x, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(oracle.x0(x, 0.0, path), mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(oracle.score(x, 0.0, path), -x, rtol=1e-12, atol=1e-12)


def test_flow_map_takes_times_per_sample() -> None:
    oracle, path = gaussian(), CondOT()
    starts = torch.linspace(0.0, 0.4, 8, dtype=torch.float64)
    ends = 1.0 - starts
    x = states(oracle, 0.2, path, n=8)
    each = [oracle.flow_map(x[i : i + 1], starts[i].item(), ends[i].item(), path) for i in range(8)]
    mapped = oracle.flow_map(x, starts, ends, path)
    torch.testing.assert_close(mapped, torch.cat(each), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("path", PATHS, ids=str)
def test_single_precision_agrees_with_double(field: str, path: GaussianPath) -> None:
    x = states(mixture(), 0.5, path)
    double = getattr(mixture(), field)(x, 0.5, path)
    single = getattr(mixture(torch.float32), field)(x.float(), 0.5, path)
    assert single.dtype == torch.float32
    assert (single - double).norm() < 1e-5 * double.norm()


def test_components_share_the_mass() -> None:
    """A Gaussian is the mixture of one component, and of two equal ones."""
    one = gaussian()
    weights = one.weights.new_tensor([0.25, 0.75])
    two = GaussianMixture(weights, one.means.expand(2, -1), one.covs.expand(2, -1, -1))
    x = states(one, 0.5, CondOT())
    torch.testing.assert_close(two.log_prob(x, 0.5, CondOT()), one.log_prob(x, 0.5, CondOT()))
    torch.testing.assert_close(two.velocity(x, 0.5, CondOT()), one.velocity(x, 0.5, CondOT()))
    expected = torch.distributions.MultivariateNormal(one.means[0], one.covs[0]).log_prob(x)
    torch.testing.assert_close(one.log_prob(x), expected)


def test_far_from_every_component_nothing_overflows() -> None:
    oracle = mixture()
    x = 1e4 * torch.ones(2, 3, dtype=torch.float64)
    for field in FIELDS:
        assert getattr(oracle, field)(x, 0.99, CondOT()).isfinite().all()


def test_samples_have_the_moments_and_the_shares() -> None:
    oracle, n = mixture(), 40_000
    x = oracle.sample(n, seed=0)
    mean = oracle.weights @ oracle.means
    centred = oracle.means - mean
    cov = torch.einsum("k,kij->ij", oracle.weights, oracle.covs + centred[:, :, None] * centred[:, None, :])
    assert ((x.mean(0) - mean).abs() < 5.0 * (cov.diagonal() / n).sqrt()).all()
    products = (x - mean)[:, :, None] * (x - mean)[:, None, :]
    assert ((products.mean(0) - cov).abs() < 5.0 * products.std(0) / math.sqrt(n)).all()


def test_samples_depend_on_seed_and_row_alone() -> None:
    oracle = mixture()
    assert torch.equal(oracle.sample(50, seed=4)[:7], oracle.sample(7, seed=4))
    assert not torch.equal(oracle.sample(7, seed=4), oracle.sample(7, seed=5))


def _of(weights: list[float], means: Tensor, covs: Tensor) -> Callable[[], object]:
    return lambda: GaussianMixture(torch.tensor(weights, dtype=torch.float64), means, covs)


EYES, ZEROS = torch.eye(2, dtype=torch.float64).expand(2, 2, 2), torch.zeros(2, 2, dtype=torch.float64)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_of([0.5, 0.6], ZEROS, EYES), "have sum 1.1 and"),
        (_of([1.5, -0.5], ZEROS, EYES), "positive"),
        (_of([0.5, 0.5], ZEROS, EYES[:, :1]), r"\(K, d, d\)"),
        (_of([1.0], ZEROS, EYES), r"\(K,\)"),
        (_of([0.5, 0.5], ZEROS.float(), EYES), "one floating dtype"),
        (_of([0.5, 0.5], ZEROS, EYES.tril() + torch.tensor([[0.0, 0.5], [0.0, 0.0]])), "not symmetric"),
        (_of([0.5, 0.5], ZEROS, -EYES), "eigenvalue -1"),
        (_of([0.5, 0.5], ZEROS, torch.ones_like(EYES)), "positive"),
        (lambda: mixture().score(torch.zeros(4, 2, dtype=torch.float64), 0.5, CondOT()), r"shape \(B, 3\)"),
        (lambda: mixture().score(torch.zeros(4, 3), 0.5, CondOT()), "needs torch.float64"),
        (lambda: mixture().score(ZEROS.new_zeros(4, 3), torch.zeros(2), CondOT()), "each of the 4"),
        (lambda: mixture().log_prob(ZEROS.new_zeros(4, 3), 0.5), "give path="),
    ],
)
def test_bad_input_is_refused_in_one_sentence(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as failure:
        make()
    assert "\n" not in str(failure.value)

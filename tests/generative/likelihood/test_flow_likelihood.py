"""Likelihoods under flows from any source, against densities in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from doors import check_refusals
from torch import Tensor

from fokker.generative import (
    CondOT,
    Cosine,
    Denoiser,
    Dequantisation,
    GaussianPath,
    Interpolant,
    Polynomial,
    flow_log_likelihood,
    log_likelihood,
)
from fokker.solvers import ODE, SDE, Field, standard_normal
from fokker.verification import GaussianMixture

BRIDGES = [CondOT(), Cosine(-math.inf, math.inf), Polynomial(2.0)]
each_bridge = pytest.mark.parametrize("path", BRIDGES, ids=str)


def mixture(modes: int, dim: int, seed: int, width: float) -> GaussianMixture:
    g = torch.Generator().manual_seed(seed)
    root = torch.randn(modes, dim, dim, generator=g, dtype=torch.float64)
    covs = width * (root @ root.mT / dim + 0.2 * torch.eye(dim, dtype=torch.float64))
    means = torch.randn(modes, dim, generator=g, dtype=torch.float64)
    weights = torch.arange(1.0, modes + 1.0, dtype=torch.float64)
    return GaussianMixture(weights / weights.sum(), means, covs)


@dataclass
class Between:
    """E[α' x₁ + σ' x₀ | x_t = x] for independent x₀ and x₁, both of a mixture: of all pairs of components."""

    path: GaussianPath
    source: GaussianMixture
    data: GaussianMixture

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        path, dtype = self.path, torch.float64
        alpha, sigma, d_alpha, d_sigma = (
            torch.as_tensor(f(t.to(dtype))).reshape(-1, 1) for f in (path.alpha, path.sigma, path.d_alpha, path.d_sigma)
        )
        flat, total, norm = x.flatten(1).to(dtype), [], []
        for w0, m0, c0 in zip(self.source.weights, self.source.means, self.source.covs, strict=True):
            for w1, m1, c1 in zip(self.data.weights, self.data.means, self.data.covs, strict=True):
                cov = alpha[..., None] ** 2 * c1 + sigma[..., None] ** 2 * c0
                apart = flat - alpha * m1 - sigma * m0
                pull = torch.linalg.solve(cov, apart)
                norm.append((w0 * w1).log() - 0.5 * (apart * pull).sum(1) - 0.5 * torch.logdet(cov))
                ends = m1 + alpha * (pull @ c1), m0 + sigma * (pull @ c0)
                total.append(d_alpha * ends[0] + d_sigma * ends[1])
        share = torch.stack(norm).softmax(0)
        return (share[..., None] * torch.stack(total)).sum(0).reshape(x.shape).to(x.dtype)


def log_prob(law: GaussianMixture) -> Callable[[Tensor], Tensor]:
    return lambda x: law.log_prob(x.flatten(1).double())


@each_bridge
def test_between_two_normal_laws(path: GaussianPath) -> None:
    """An affine flow of three components: the integrand is a function of t alone."""
    source, data = mixture(1, 3, 0, 1.0), mixture(1, 3, 1, 0.3)
    x = data.sample(6, seed=0)
    flow = Interpolant(path).flow(Between(path, source, data))
    found = flow_log_likelihood(flow, x, log_prob(source), trace="exact")
    error = (found.value - data.log_prob(x)).abs()
    assert float(error.max()) < 1e-2
    assert bool((error <= 10.0 * found.discretisation + 1e-6).all())
    assert torch.equal(found.data, x)
    assert not found.probe_stderr.any()
    assert not found.prior_mismatch.any()
    assert (found.value.shape, found.value.dtype) == ((6,), torch.float64)


@each_bridge
def test_between_two_mixtures(path: GaussianPath) -> None:
    source, data = mixture(3, 2, 0, 0.2), mixture(2, 2, 1, 0.3)
    x = data.sample(8, seed=0)
    found = flow_log_likelihood(Interpolant(path).flow(Between(path, source, data)), x, log_prob(source), error=1e-3)
    assert float((found.value - data.log_prob(x)).abs().max()) < 5e-3


@dataclass
class Cubic:
    """x_t = s + k s³ with k = b + (c − b) t: a flow whose s is constant along it, in each component apart."""

    b: float = 0.2
    c: float = 1.0

    def s(self, x: Tensor, t: Tensor | float) -> Tensor:
        """The real root of k s³ + s = x: 2/a sinh(asinh(1.5 a x)/3) with a = √(3k)."""
        a = torch.as_tensor(3.0 * (self.b + (self.c - self.b) * t), dtype=x.dtype).sqrt()
        a = a.reshape(-1, *(1,) * (x.ndim - 1))
        return 2.0 / a * torch.sinh(torch.asinh(1.5 * a * x) / 3.0)

    def __call__(self, x: Tensor, t: Tensor | float) -> Tensor:
        return (self.c - self.b) * self.s(x, t) ** 3

    def log_prob(self, x: Tensor, t: float) -> Tensor:
        """The density of x_t for s of the law of Laplace, e^(−|s|)/2, in each component."""
        s, k = self.s(x, t), self.b + (self.c - self.b) * t
        return (-s.abs() - math.log(2.0) - torch.log1p(3.0 * k * s.square())).flatten(1).sum(1)


@pytest.mark.parametrize("shape", [(1,), (1, 4, 4)], ids=str)
def test_from_a_source_with_a_kink_along_curved_lines(shape: tuple[int, ...]) -> None:
    net = Cubic()
    s = 1.5 * standard_normal(torch.empty(6, *shape, dtype=torch.float64), seed=3)
    x = s + net.c * s**3
    found = flow_log_likelihood(ODE(lambda t, x: net(x, t)), x, lambda x: net.log_prob(x, 0.0), error=1e-3)
    torch.testing.assert_close(found.value, net.log_prob(x, 1.0), rtol=0.0, atol=5e-3)
    torch.testing.assert_close(found.latent, s + net.b * s**3, rtol=0.0, atol=5e-3)


def test_a_normal_source_gives_what_a_denoiser_gives() -> None:
    path, data = CondOT(), mixture(2, 2, 1, 0.3)
    normal = GaussianMixture(torch.ones(1).double(), torch.zeros(1, 2).double(), torch.eye(2)[None].double())
    net, x = Between(path, normal, data), data.sample(4, seed=0)
    found = flow_log_likelihood(Interpolant(path).flow(net), x, log_prob(normal), error=1e-3)
    other = log_likelihood(Denoiser(net, path, predicts="velocity"), x, error=1e-3)
    torch.testing.assert_close(found.value, other.value, rtol=0.0, atol=5e-3)
    torch.testing.assert_close(found.latent, other.latent, rtol=0.0, atol=5e-3)
    cells = Dequantisation(16, -3.0, 3.0)
    torch.testing.assert_close(found.bits_per_dim(cells), other.bits_per_dim(cells), rtol=0.0, atol=5e-3)


@pytest.mark.parametrize("trace", ["hutchinson", "orthogonal", "coloured"])
def test_probes_of_images_in_single_precision(trace: str) -> None:
    """Each of 8 images in its interval of level 1 − 10⁻⁵, a false alarm of 10⁻⁴; single precision adds 1e-2 nats."""
    path, source, data = CondOT(), mixture(1, 16, 0, 1.0), mixture(1, 16, 1, 0.3)
    x = data.sample(8, seed=0).float().reshape(8, 1, 4, 4)
    flow = Interpolant(path).flow(Between(path, source, data))
    found = flow_log_likelihood(flow, x, log_prob(source), trace=trace, probes=4)
    assert found.latent.dtype == torch.float32
    assert bool((found.probe_stderr > 0.0).all())
    low, high = found.interval(1.0 - 1e-5)
    exact = log_prob(data)(x)
    assert bool(((low - 1e-2 < exact) & (exact < high + 1e-2)).all())
    again = flow_log_likelihood(flow, x, log_prob(source), trace=trace, probes=4, seed=1)
    assert not bool((again.value == found.value).any())


def test_gradients_are_those_of_the_density() -> None:
    """∂/∂x is the score of the data; and with u = θ x, log p = log N(x e^(−θ)) − d θ."""
    path, source, data = CondOT(), mixture(1, 3, 0, 1.0), mixture(1, 3, 1, 0.3)
    x = data.sample(4, seed=0).requires_grad_()
    found = flow_log_likelihood(Interpolant(path).flow(Between(path, source, data)), x, log_prob(source), error=1e-3)
    (gradient,) = torch.autograd.grad(found.value.sum(), x)
    expected = torch.linalg.solve(data.covs[0], (data.means[0] - x.detach()).T).T
    torch.testing.assert_close(gradient, expected, rtol=0.0, atol=5e-3)

    theta = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    x = x.detach()
    normal = GaussianMixture(torch.ones(1).double(), torch.zeros(1, 3).double(), torch.eye(3)[None].double())
    found = flow_log_likelihood(ODE(lambda t, x: theta * x), x, log_prob(normal), error=1e-4)
    torch.testing.assert_close(found.value, log_prob(normal)(x * math.exp(-0.7)) - 2.1, rtol=0.0, atol=1e-3)
    (gradient,) = torch.autograd.grad(found.value.sum(), theta)
    exact = (x.square().sum(1) * math.exp(-1.4) - 3.0).sum()
    torch.testing.assert_close(gradient, exact, rtol=0.0, atol=1e-2)


def test_a_sample_does_not_depend_on_its_batch_and_a_field_has_rows() -> None:
    """Every sample with a drift of its own."""
    @dataclass(frozen=True)
    class Own(Field):
        rate: Tensor

        def __call__(self, t: Any, x: Tensor) -> Tensor:
            return self.rate[:, None] * x

        def of_rows(self, index: Tensor) -> Own:
            return Own(self.rate[index])

    rate = torch.linspace(-1.0, 1.0, 5, dtype=torch.float64)
    normal = GaussianMixture(torch.ones(1).double(), torch.zeros(1, 2).double(), torch.eye(2)[None].double())
    x = normal.sample(5, seed=0)
    found = flow_log_likelihood(ODE(Own(rate)), x, log_prob(normal), error=1e-4)
    expected = normal.log_prob(x * torch.exp(-rate)[:, None]) - 2.0 * rate
    torch.testing.assert_close(found.value, expected, rtol=0.0, atol=1e-3)
    nodes: dict[str, Any] = {"nodes": 9, "trace": "hutchinson", "probes": 2, "seed": [1, 2, 3, 4, 5]}
    together = flow_log_likelihood(ODE(Own(rate)), x, log_prob(normal), **nodes)
    nodes["seed"] = [4, 5]
    apart = flow_log_likelihood(ODE(Own(rate[3:])), x[3:], log_prob(normal), **nodes)
    torch.testing.assert_close(apart.value, together.value[3:], rtol=0.0, atol=1e-9)


STILL, X = ODE(lambda t, x: 0.0 * x), torch.zeros(3, 2, dtype=torch.float64)


def test_a_source_may_have_bounds() -> None:
    """No mass outside: log p is −∞ there."""
    x = torch.tensor([[0.5], [2.0]])
    found = flow_log_likelihood(STILL, x, lambda x: torch.where(x[:, 0] < 1.0, 0.0, -math.inf))
    assert found.value.tolist() == [0.0, -math.inf]


def squared(x: Tensor) -> Tensor:
    return -0.5 * x.square().flatten(1).sum(1)


DOORS = [
    ("flow", "object", lambda v: flow_log_likelihood(v, X, squared)),
    ("x", "samples", lambda v: flow_log_likelihood(STILL, v, squared)),
    ("log_source", "function", lambda v: flow_log_likelihood(STILL, X, v)),
    ("seed", "seed", lambda v: flow_log_likelihood(STILL, X, squared, v)),
    ("nodes", "whole", lambda v: flow_log_likelihood(STILL, X, squared, nodes=v), None),
    ("trace", "name", lambda v: flow_log_likelihood(STILL, X, squared, trace=v)),
    ("progress", "flag", lambda v: flow_log_likelihood(STILL, X, squared, progress=v)),
]


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door[0])
def test_wrong_values_are_refused_at_the_door(door: tuple[Any, ...]) -> None:
    name, kind, call, *fine = door
    check_refusals(name, kind, call, but=fine)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: flow_log_likelihood(SDE(lambda t, x: x, lambda t, x: 1.0), X, len), TypeError, "flow is of type SDE"),
        (lambda: flow_log_likelihood(STILL, X, 3.0), TypeError, "log_source is of type float"),
        (lambda: flow_log_likelihood(STILL, X, lambda x: x), ValueError, r"log_source gave shape \(3, 2\)"),
        (lambda: flow_log_likelihood(STILL, X, lambda x: x[:1, 0]), ValueError, r"log_source gave shape \(1,\)"),
        (lambda: flow_log_likelihood(STILL, X, lambda x: [0.0] * len(x)), ValueError, "log_source gave"),
        (lambda: flow_log_likelihood(STILL, X, lambda x: x[:, 0] * math.nan), ValueError, "log_source gave nan"),
        (lambda: flow_log_likelihood(ODE(lambda t, x: x[:, :1]), X, len), ValueError, "shape"),
    ],
)
def test_what_has_no_likelihood_is_refused(call: Callable[[], Any], error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        call()

"""What the flow does to a density, against Jacobians by automatic differentiation and closed forms."""

from __future__ import annotations

import itertools
import math
from functools import partial
from typing import Any

import pytest
import torch
from scipy.integrate import quad
from torch import Tensor
from toy import ENDS, GAUSSIAN, MIXTURE, log_normal, states

from fokker.generative import VE, VP, CondOT, Cosine, Denoiser, GaussianPath, flow, log_likelihood
from fokker.generative.likelihood import Hutchinson
from fokker.generative.likelihood.change_of_variables import ChangeOfVariables, clock, even_times, scale, time_of
from fokker.generative.likelihood.trace import estimator
from fokker.solvers import Adaptive, Heun, Tsit5, solve
from fokker.verification import Gaussian, GaussianMixture

each_path = pytest.mark.parametrize("path", ENDS, ids=str)
GENERATOR = torch.Generator().manual_seed(0)
WEIGHTS = [torch.randn(shape, dtype=torch.float64, generator=GENERATOR) for shape in ((4, 8), (8, 4), (3, 8), (2, 2))]


def network(x: Tensor, time: Tensor, label: Tensor) -> Tensor:
    """A small one without symmetry: of x (B, 2, 2), times (B,) and labels."""
    first, second, bias, _ = WEIGHTS
    return (torch.sin(x.flatten(1) @ first + bias[label] + time[:, None]) @ second).unflatten(1, (2, 2))


def change(denoiser: Denoiser, x: Tensor, kind: str = "exact") -> ChangeOfVariables:
    return ChangeOfVariables(denoiser, estimator(kind, 3, "rademacher", x, 0), x.shape[1:])


def held(denoiser: Denoiser, t: float, x: Tensor) -> Tensor:
    """N = x₀-hat − ε-hat from two predictions of other kinds."""
    return denoiser.predict("x0", t, x) - denoiser.predict("eps", t, x)


@each_path
def test_the_clock_and_its_inverse(path: GaussianPath) -> None:
    """To rounding of the log-SNR, which near an end amplifies it."""
    t = torch.linspace(0.0, 1.0, 9, dtype=torch.float64)
    r = clock(path, t)
    torch.testing.assert_close(r, path.alpha(t) / (path.alpha(t) + path.sigma(t)), rtol=0.0, atol=0.0)
    torch.testing.assert_close(time_of(path, r), t, rtol=0.0, atol=1e-11)
    for i in range(9):
        assert time_of(path, clock(path, float(t[i]))) == pytest.approx(float(t[i]), abs=1e-11)
    assert bool((r.diff() > 0.0).all())


@each_path
@pytest.mark.parametrize("n", [1, 7])
def test_even_times_take_equal_steps_of_the_clock(path: GaussianPath, n: int) -> None:
    t = even_times(path, n)
    assert t.shape == (n + 1,)
    assert (t[0], t[-1]) == (0.0, 1.0)
    steps = clock(path, t).diff()
    torch.testing.assert_close(steps, steps.mean().expand(n), rtol=0.0, atol=1e-12)


@each_path
def test_the_flow_is_that_of_the_denoiser(path: GaussianPath) -> None:
    """Two forms of one equation, to the tolerance."""
    x, t0, t1 = states(path, 0.2), 0.2, 0.9
    one = change(MIXTURE.denoiser(path), x)
    r0, r1 = float(clock(path, t0)), float(clock(path, t1))
    z = solve(one.flow(), x / scale(one.path, t0), Adaptive(r0, r1, rtol=1e-9, atol=1e-9), Tsit5()).x
    other = solve(flow(MIXTURE.denoiser(path)), x, Adaptive(t0, t1, rtol=1e-9, atol=1e-9), Tsit5()).x
    torch.testing.assert_close(scale(one.path, t1) * z, other, rtol=0.0, atol=1e-6)


@each_path
def test_the_reference_is_the_divergence_of_the_flow_of_a_standard_normal(path: GaussianPath) -> None:
    one = change(MIXTURE.denoiser(path), MIXTURE.sample(1, 0))

    def divergence(t: float) -> float:
        """∂/∂x of α' x₀-hat + σ' ε-hat for x₀ ~ N(0, I)."""
        v = path.alpha(t) ** 2 + path.sigma(t) ** 2
        return (path.alpha(t) * path.d_alpha(t) + path.sigma(t) * path.d_sigma(t)) / v

    integral, _ = quad(divergence, 0.1, 0.8, epsabs=1e-12, epsrel=1e-12)
    assert one.reference(0.1, 0.8) == pytest.approx(2.0 * integral, abs=1e-10)
    assert one.reference(0.8, 0.1) == pytest.approx(-2.0 * integral, abs=1e-10)


@pytest.mark.parametrize("path", ENDS, ids=str)
def test_the_integrand_is_the_trace_of_the_full_jacobian(path: GaussianPath) -> None:
    """Of a network without symmetry, at points of several samples at times of their own."""
    x = torch.randn(6, 2, 2, dtype=torch.float64, generator=GENERATOR)
    labels, rows = torch.tensor([0, 1, 2]), torch.tensor([0, 2, 1, 2, 0, 0])
    denoiser = Denoiser(network, path, predicts="v", label=labels)
    one = change(denoiser, x[:3])
    t = torch.linspace(0.1, 0.9, 6, dtype=torch.float64)
    found, spent = one.integrand(torch.as_tensor(clock(path, t)), x, rows)
    for i in range(6):
        at = float(t[i])
        alone, alpha, sigma = denoiser.of_rows(rows[i : i + 1]), path.alpha(at), path.sigma(at)
        jacobian = torch.autograd.functional.jacobian(partial(held, alone, at), x[i : i + 1]).reshape(4, 4)
        expected = (alpha + sigma) * (jacobian.trace() - 4.0 * (alpha - sigma) / (alpha**2 + sigma**2))
        # What is recovered from the prediction is as large as 1/α and 1/σ, times rounding and the clock's inverse.
        torch.testing.assert_close(found[i, 0], expected, rtol=1e-9, atol=1e-9)
    assert spent.tolist() == [1] * 6


@pytest.mark.parametrize("kind", ["exact", "hutchinson"])
def test_the_integrand_vanishes_at_the_noise_whatever_the_data_are(kind: str) -> None:
    x = MIXTURE.sample(3, 1)
    one = change(MIXTURE.denoiser(CondOT()), x, kind)
    found, _ = one.integrand(torch.zeros(3, dtype=torch.float64), x, torch.arange(3))
    torch.testing.assert_close(found, torch.zeros_like(found), rtol=0.0, atol=1e-14)


class Attention(torch.nn.Module):
    """Fused attention between the components of x (B, d)."""

    def __init__(self) -> None:
        super().__init__()
        self.w = torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        q, k, v = (x[..., None, None] * self.w[0] + self.w[1]).unbind(2)
        out = torch.nn.functional.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])
        return out[:, 0].sum(-1)

    def plain(self, x: Tensor) -> Tensor:
        q, k, v = (x[..., None, None] * self.w[0] + self.w[1]).unbind(2)
        return (torch.softmax(q @ k.mT / 2.0, -1) @ v).sum(-1)


class Backward(torch.autograd.Function):
    """sin, with a backward derivative alone."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.sin()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return gradient * ctx.saved_tensors[0].cos()


def test_fused_attention_has_a_trace() -> None:
    net, x = Attention(), torch.randn(3, 5, dtype=torch.float64, generator=GENERATOR)
    denoiser = Denoiser(net, CondOT(), predicts="velocity")
    found, _ = change(denoiser, x).integrand(torch.full((3,), 0.5, dtype=torch.float64), x, torch.arange(3))
    for i in range(3):
        jacobian = torch.autograd.functional.jacobian(lambda y: net.plain(y[None])[0], x[i])
        torch.testing.assert_close(found[i, 0], jacobian.trace(), rtol=0.0, atol=1e-12)  # n = 0 in the middle


def test_an_operation_without_a_forward_derivative() -> None:
    w, x = WEIGHTS[3], MIXTURE.sample(3, 1)
    known = Denoiser(lambda x, time: torch.sin(x @ w), CondOT(), predicts="velocity")
    other = Denoiser(lambda x, time: Backward.apply(x @ w), CondOT(), predicts="velocity")
    times = torch.linspace(1.0, 0.0, 5)
    for trace, directions in (("exact", 2), ("hutchinson", 1)):
        one, two = (log_likelihood(denoiser, x, times, Heun(), trace) for denoiser in (known, other))
        torch.testing.assert_close(one.value, two.value, rtol=0.0, atol=1e-13)
        assert (one.nfe, one.nfe.jvp, one.nfe.vjp) == (20, 0, 8 * directions)  # 2 (4 + 2) + (5 + 3)


def mismatch_errors(law: GaussianMixture, kind: str = "exact") -> list[float]:
    """rms against log p_t(x) − log N(x; 0, σ²), on CondOT from α/σ = 1/25 to 1/200."""
    path, found = CondOT(), []
    eps = torch.randn(64, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for ratio in (25.0, 50.0, 100.0, 200.0):
        t = 1.0 / (1.0 + ratio)
        x = path.alpha(t) * law.sample(64, 1) + path.sigma(t) * eps
        value, spends = change(law.denoiser(path), x, kind).prior_mismatch(x, t)
        exact = law.log_prob(x, t, path) - log_normal(x, path.sigma(t))
        found.append(float((value - exact).square().mean().sqrt()))
        assert spends == 1
    return found


@pytest.mark.parametrize(("law", "order"), [(MIXTURE, 3), (GAUSSIAN, 4)], ids=["mixture", "gaussian"])
def test_the_mismatch_of_the_prior_is_right_to_second_order(law: GaussianMixture, order: int) -> None:
    """What is left out begins with the third cumulant of the data, which a normal law has none of."""
    for coarse, fine in itertools.pairwise(mismatch_errors(law)):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("mean", [[0.0, 0.0], [0.7, -0.4]])
@pytest.mark.parametrize("t", [0.05, 0.3])
def test_the_mismatch_of_the_prior_on_gaussian_data(mean: list[float], t: float) -> None:
    """x₀-hat = m + K (x − α m) with K = α C V⁻¹ and V = α² C + σ² I, so that every term is known without a limit:
    a/(2 σ) x·(x₀-hat(x) + x₀-hat(0)) − a²/2 |x₀-hat(0)|² − α/2 tr K.
    """
    law, path = Gaussian(torch.tensor(mean, dtype=torch.float64), GAUSSIAN.covs[0]), CondOT()
    alpha, sigma = path.alpha(t), path.sigma(t)
    m, cov = law.means[0], law.covs[0]
    gain = alpha * cov @ torch.linalg.inv(alpha**2 * cov + sigma**2 * torch.eye(2, dtype=torch.float64))
    x = states(path, t)
    at = m + (x - alpha * m) @ gain.T
    zero = m - gain @ (alpha * m)
    a = alpha / sigma
    constant = 0.5 * a**2 * zero.square().sum() + 0.5 * alpha * gain.trace()
    expected = 0.5 * a / sigma * (x * (at + zero)).sum(1) - constant
    value, _ = change(law.denoiser(path), x).prior_mismatch(x, t)
    torch.testing.assert_close(value, expected, rtol=0.0, atol=1e-12)


def test_the_mismatch_of_the_prior_from_probes_is_unbiased() -> None:
    """Over all four sign vectors."""
    x, path = states(CondOT(), 0.2), CondOT()
    z = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=2)), dtype=torch.float64)
    probes = Hutchinson(z[:, None].expand(-1, len(x), -1), 1)
    found, _ = ChangeOfVariables(MIXTURE.denoiser(path), probes, x.shape[1:]).prior_mismatch(x, 0.2)
    exact, _ = change(MIXTURE.denoiser(path), x).prior_mismatch(x, 0.2)
    torch.testing.assert_close(found, exact, rtol=0.0, atol=1e-13)


@pytest.mark.parametrize(("path", "vanishes"), [(CondOT(), True), (VP(), False), (VE(), False), (Cosine(), False)])
def test_the_mismatch_vanishes_where_the_signal_does(path: GaussianPath, vanishes: bool) -> None:
    x = states(path, 0.0)
    value, spends = change(MIXTURE.denoiser(path), x).prior_mismatch(x, 0.0)
    assert value.dtype == torch.float64
    assert bool((value == 0.0).all()) == vanishes
    assert spends == (0 if vanishes else 1)

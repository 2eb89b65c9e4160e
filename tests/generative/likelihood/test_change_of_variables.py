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
from fokker.generative.likelihood.change_of_variables import ProbabilityFlow, ratio_clock, scale, time_of
from fokker.generative.likelihood.clock import CLOCKS, Clock
from fokker.generative.likelihood.hutchinson import Hutchinson
from fokker.generative.likelihood.trace import exact_trace
from fokker.solvers import Adaptive, Tsit5, solve
from fokker.solvers.noise import Keys
from fokker.verification import Gaussian, GaussianMixture

each_path = pytest.mark.parametrize("path", ENDS, ids=str)
GENERATOR = torch.Generator().manual_seed(0)
WEIGHTS = [torch.randn(shape, dtype=torch.float64, generator=GENERATOR) for shape in ((4, 8), (8, 4), (3, 8), (2, 2))]
EVEN = (10.0, 10.0)


def network(x: Tensor, time: Tensor, label: Tensor) -> Tensor:
    """A small one without symmetry: of x (B, 2, 2), times (B,) and labels."""
    first, second, bias, _ = WEIGHTS
    return (torch.sin(x.flatten(1) @ first + bias[label] + time[:, None]) @ second).unflatten(1, (2, 2))


def change(denoiser: Denoiser, x: Tensor, start: float = 1.0, end: float = 0.0) -> ProbabilityFlow:
    return ProbabilityFlow(denoiser, x.shape[1:], start, end)


def held(denoiser: Denoiser, t: float, x: Tensor) -> Tensor:
    """N = x₀-hat − ε-hat from two predictions of other kinds."""
    return denoiser.predict("x0", t, x) - denoiser.predict("eps", t, x)


def trace(one: ProbabilityFlow, r: Tensor, z: Tensor) -> Tensor:
    return exact_trace(one.products(r, z), z.flatten(1))


@each_path
def test_the_ratio_and_its_inverse(path: GaussianPath) -> None:
    """To rounding of the log-SNR, which near an end amplifies it."""
    t = torch.linspace(0.0, 1.0, 9, dtype=torch.float64)
    r = ratio_clock(path, t)
    assert isinstance(r, Tensor)
    torch.testing.assert_close(r, path.alpha(t) / (path.alpha(t) + path.sigma(t)), rtol=0.0, atol=0.0)
    torch.testing.assert_close(time_of(path, r), t, rtol=0.0, atol=1e-11)
    for i in range(9):
        assert time_of(path, ratio_clock(path, float(t[i]))) == pytest.approx(float(t[i]), abs=1e-11)
    assert bool((r.diff() > 0.0).all())


@pytest.mark.parametrize("widths", CLOCKS, ids=str)
@pytest.mark.parametrize("ends", [(1.0, 0.0), (0.0, 1.0), (0.97, 0.2), (0.05, 0.9)], ids=str)
def test_a_clock_its_inverse_and_its_rate(widths: tuple[float, float], ends: tuple[float, float]) -> None:
    """Exactly at both ends; the rate is dr/ds by differences of h² and of rounding over h."""
    clock = Clock(*ends, *widths)
    s = torch.linspace(0.0, 1.0, 17, dtype=torch.float64)
    r = clock.r(s)
    assert (float(r[0]), float(r[-1])) == ends
    assert (clock.r(0.0), clock.r(1.0)) == ends
    torch.testing.assert_close(clock.shows(r), s, rtol=0.0, atol=1e-12)
    assert bool((r.diff().sign() == math.copysign(1.0, ends[1] - ends[0])).all())
    h, inner = 1e-5, s[1:-1]
    difference = (clock.r(inner + h) - clock.r(inner - h)) / (2.0 * h)
    torch.testing.assert_close(clock.rate(r[1:-1]), difference, rtol=1e-6, atol=1e-7)
    assert bool(clock.rate(r).isfinite().all())
    for value in (0.25, 0.5):
        assert clock.r(value) == pytest.approx(float(clock.r(torch.tensor(value, dtype=torch.float64))), abs=1e-15)


@each_path
@pytest.mark.parametrize("widths", [EVEN, (0.1, 0.03)])
def test_the_flow_is_that_of_the_denoiser(path: GaussianPath, widths: tuple[float, float]) -> None:
    """Two forms of one equation, to the tolerance."""
    x, t0, t1 = states(path, 0.2), 0.2, 0.9
    one = change(MIXTURE.denoiser(path), x, t0, t1)
    steps = partial(Adaptive, rtol=1e-9, atol=1e-9)
    z = solve(one.equation(Clock(one.first, one.last, *widths)), one.entering(x), steps(0.0, 1.0), Tsit5()).x
    other = solve(flow(MIXTURE.denoiser(path)), x, steps(t0, t1), Tsit5()).x
    torch.testing.assert_close(one.leaving(z), other, rtol=0.0, atol=1e-6)


@each_path
def test_the_reference_is_the_divergence_of_the_flow_of_a_standard_normal(path: GaussianPath) -> None:
    def divergence(t: float) -> float:
        """∂/∂x of α' x₀-hat + σ' ε-hat for x₀ ~ N(0, I)."""
        v = path.alpha(t) ** 2 + path.sigma(t) ** 2
        return (path.alpha(t) * path.d_alpha(t) + path.sigma(t) * path.d_sigma(t)) / v

    integral, _ = quad(divergence, 0.1, 0.8, epsabs=1e-12, epsrel=1e-12)
    x = MIXTURE.sample(1, 0)
    for start, end, sign in ((0.1, 0.8, 1.0), (0.8, 0.1, -1.0)):
        one = change(MIXTURE.denoiser(path), x, start, end)
        assert one.reference == pytest.approx(2.0 * sign * integral, abs=1e-10)
        assert one.to_noise == (sign < 0.0)


@each_path
def test_products_are_those_of_the_full_jacobian(path: GaussianPath) -> None:
    """Of a network without symmetry, at points of several samples at times of their own."""
    x = torch.randn(6, 2, 2, dtype=torch.float64, generator=GENERATOR)
    rows = torch.tensor([0, 2, 1, 2, 0, 0])
    denoiser = Denoiser(network, path, predicts="v", label=torch.tensor([0, 1, 2]))
    t = torch.linspace(0.1, 0.9, 6, dtype=torch.float64)
    z = x / scale(path, t)[:, None, None]
    found = trace(change(denoiser, x[:3]).of_rows(rows), ratio_clock(path, t), z)
    for i in range(6):
        at = float(t[i])
        alone, alpha, sigma = denoiser.of_rows(rows[i : i + 1]), path.alpha(at), path.sigma(at)
        jacobian = torch.autograd.functional.jacobian(partial(held, alone, at), x[i : i + 1]).reshape(4, 4)
        expected = (alpha + sigma) * (jacobian.trace() - 4.0 * (alpha - sigma) / (alpha**2 + sigma**2))
        # What is recovered from the prediction is as large as 1/α and 1/σ, times rounding and the clock's inverse.
        torch.testing.assert_close(found[i], expected, rtol=1e-9, atol=1e-9)


def test_the_trace_vanishes_at_the_noise_whatever_the_data_are() -> None:
    x = MIXTURE.sample(3, 1)
    found = trace(change(MIXTURE.denoiser(CondOT()), x), torch.zeros(3, dtype=torch.float64), x)
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
    found = trace(change(denoiser, x), torch.full((3,), 0.5, dtype=torch.float64), x)
    for i in range(3):
        jacobian = torch.autograd.functional.jacobian(lambda y: net.plain(y[None])[0], x[i])
        torch.testing.assert_close(found[i], jacobian.trace(), rtol=0.0, atol=1e-12)  # n = 0 in the middle, S = 1


def test_an_operation_without_a_batching_rule() -> None:
    """The same value and the same account."""
    w, x = WEIGHTS[3], MIXTURE.sample(3, 1)
    known = Denoiser(lambda x, time: torch.sin(x @ w), CondOT(), predicts="velocity")
    other = Denoiser(lambda x, time: Backward.apply(x @ w), CondOT(), predicts="velocity")
    for options in ({"trace": "exact"}, {"trace": "hutchinson", "probes": 1}):
        one, two = (log_likelihood(denoiser, x, nodes=5, **options) for denoiser in (known, other))
        torch.testing.assert_close(one.value, two.value, rtol=0.0, atol=1e-13)
        assert torch.equal(one.nfe.per_sample, two.nfe.per_sample)
        assert (one.nfe.jvp, one.nfe.vjp) == (0, two.nfe.vjp)


def mismatch_errors(law: GaussianMixture) -> list[float]:
    """rms against log p_t(x) − log N(x; 0, σ²), on CondOT from α/σ = 1/25 to 1/200."""
    path, found = CondOT(), []
    eps = torch.randn(64, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for ratio in (25.0, 50.0, 100.0, 200.0):
        t = 1.0 / (1.0 + ratio)
        x = path.alpha(t) * law.sample(64, 1) + path.sigma(t) * eps
        value, spends = change(law.denoiser(path), x, 1.0, t).mismatch(x, None)
        exact = law.log_prob(x, t, path) - log_normal(x, path.sigma(t))
        found.append(float((value - exact).square().mean().sqrt()))
        assert spends == 2
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
    value, _ = change(law.denoiser(path), x, 1.0, t).mismatch(x, None)
    torch.testing.assert_close(value, expected, rtol=0.0, atol=1e-12)


def test_the_mismatch_of_the_prior_from_probes_is_unbiased(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over all four sign vectors."""
    x, found = states(CondOT(), 0.2), []
    one = change(MIXTURE.denoiser(CondOT()), x, 1.0, 0.2)
    for signs in itertools.product((-1.0, 1.0), repeat=2):
        z = torch.tensor(signs, dtype=torch.float64).expand(1, len(x), 2)
        monkeypatch.setattr(Hutchinson, "directions", lambda *_, z=z: z)
        found.append(one.mismatch(x, Keys(torch.arange(len(x))))[0])
    torch.testing.assert_close(torch.stack(found).mean(0), one.mismatch(x, None)[0], rtol=0.0, atol=1e-13)


@pytest.mark.parametrize(("path", "vanishes"), [(CondOT(), True), (VP(), False), (VE(), False), (Cosine(), False)])
def test_the_mismatch_vanishes_where_the_signal_does(path: GaussianPath, vanishes: bool) -> None:
    x = states(path, 0.0)
    value, spends = change(MIXTURE.denoiser(path), x).mismatch(x, None)
    assert value.dtype == torch.float64
    assert bool((value == 0.0).all()) == vanishes
    assert spends == (0 if vanishes else 2)

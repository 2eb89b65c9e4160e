"""The minimum is where theory puts it, and as low; infinite losses are refused; labels are dropped as stated."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from scipy.special import roots_hermitenorm, roots_legendre
from torch import Tensor
from toy import PATHS

from fokker.generative.denoiser import EDM as Frame, KINDS
from fokker.generative.paths import (
    VE,
    VP,
    CondOT,
    Cosine,
    GaussianPath,
    Geometric,
    Importance,
    Uniform,
    independent,
    stratified,
)
from fokker.generative.paths.time_densities import LogitNormal, Steps
from fokker.generative.training import (
    EDM,
    SNR,
    MinSNR,
    Seen,
    Unweighted,
    check_finite_loss,
    regression_loss,
    squared_error,
    target,
)
from fokker.generative.training.weightings import Likelihood, TruncatedSNR, determinant
from fokker.verification import GaussianMixture


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def legendre(count: int, low: float, high: float) -> tuple[Tensor, Tensor]:
    """Gauss-Legendre nodes and weights on [low, high]."""
    node, weight = map(torch.from_numpy, roots_legendre(count))
    return low + (high - low) * (node + 1) / 2, (high - low) * weight / 2


def hermite(count: int) -> tuple[Tensor, Tensor]:
    """Gauss-Hermite nodes and weights of N(0, 1)."""
    node, weight = map(torch.from_numpy, roots_hermitenorm(count))
    return node, weight / weight.sum()


def test_the_loss_of_silence_is_the_second_moment_of_the_target() -> None:
    """E‖velocity‖²/dim = E x₀² + 1 under CondOT."""
    x0 = torch.full((4096, 4), 0.5, dtype=torch.float64)
    loss = regression_loss(lambda x, t, label: 0.0 * x, CondOT(), "velocity", x0, generator=generator())
    count = x0.numel()
    assert float(loss) == pytest.approx(1.25, abs=5 * math.sqrt((2 + 4 * 0.25) / count))


def gaussian_batch(s: float, node: Tensor, share: Tensor) -> tuple[Tensor, ...]:
    """(t, x0, eps, weight): a quadrature in t, times one of x₀ ~ N(0, s²), ε ~ N(0, 1) that is exact for squares."""
    z, w = hermite(2)
    t, x0, eps = (grid.flatten() for grid in torch.meshgrid(node, s * z, z, indexing="ij"))
    weight = (share[:, None, None] * w[:, None] * w).flatten()
    return t, x0[:, None], eps[:, None], weight


def best(kind: str, path: GaussianPath, s: float) -> Callable[..., Tensor]:
    """E[p x₀ + q ε | x] for x₀ ~ N(0, s²): a multiple of x."""

    def net(x: Tensor, t: Tensor, label: Tensor | None) -> Tensor:
        alpha, sigma = path.alpha(t), path.sigma(t)
        along = target(kind, path, t, (alpha * s**2)[:, None], sigma[:, None])
        return along / (alpha**2 * s**2 + sigma**2)[:, None] * x

    return net


@pytest.mark.parametrize("path", PATHS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_the_minimiser_is_the_exact_field_of_the_oracle(kind: str, path: GaussianPath) -> None:
    """Linear features on Gaussian data: θ₀ + θ₁ x is E[y | x_t = x], of the mean 0.4 and the variance 0.25."""
    mixture = GaussianMixture(*(torch.tensor(value, dtype=torch.float64) for value in ([1.0], [[0.4]], [[[0.25]]])))
    z, w = hermite(4)
    x0, eps = (grid.flatten()[:, None] for grid in torch.meshgrid(0.4 + 0.5 * z, z, indexing="ij"))
    weight = (w[:, None] * w).flatten()
    for t in (0.1, 0.5, 0.9):
        times = torch.full((16,), t, dtype=torch.float64)

        def loss(theta: Tensor, times: Tensor = times) -> Tensor:
            def net(x: Tensor, t: Tensor, label: Tensor | None) -> Tensor:
                return theta[0] + theta[1] * x

            return weight @ squared_error(net, path, kind, times, x0, eps)[:, 0]

        zero = torch.zeros(2, dtype=torch.float64)
        theta = -torch.linalg.solve(torch.func.hessian(loss)(zero), torch.func.grad(loss)(zero))
        probe = torch.tensor([[-1.0], [0.5], [2.0]], dtype=torch.float64)
        expected = getattr(mixture, kind)(probe, t, path)
        assert (theta[0] + theta[1] * probe - expected).abs().max() < 1e-9 * (1 + expected.abs().max())


class Spy:
    null_label = 9

    def __call__(self, x: Tensor, t: Tensor, label: Tensor | None) -> Tensor:
        self.label, self.t = label, t
        return x


def test_labels_are_dropped_at_the_stated_rate_and_otherwise_kept() -> None:
    spy, label = Spy(), torch.arange(4000) % 9
    regression_loss(spy, VP(), "eps", torch.zeros(4000, 1), label, generator=generator(), label_dropout=0.1)
    dropped = spy.label == spy.null_label
    assert abs(int(dropped.sum()) - 400) < 5 * math.sqrt(4000 * 0.1 * 0.9)
    assert torch.equal(spy.label[~dropped], label[~dropped])


def test_without_dropout_labels_pass_untouched() -> None:
    spy, label, used, expected = Spy(), torch.arange(8), generator(), generator()
    regression_loss(spy, VP(), "eps", torch.zeros(8, 1), label, generator=used)
    assert torch.equal(spy.label, label)
    stratified(8, expected)
    torch.randn(8, 1, generator=expected)
    assert torch.equal(used.get_state(), expected.get_state())  # nor is anything drawn for it
    regression_loss(spy, VP(), "eps", torch.zeros(8, 1), generator=generator(), label_dropout=0.1)
    assert spy.label is None


@pytest.mark.parametrize("rate", [-3.0, 1.0])
def test_a_dropout_is_a_probability_and_no_guidance_weight(rate: float) -> None:
    with pytest.raises(ValueError, match=f"label_dropout is {rate:g}, but must be a finite number >= 0 and < 1"):
        regression_loss(Spy(), VP(), "eps", torch.zeros(8, 1), torch.arange(8), label_dropout=rate)


def test_the_same_generator_gives_the_same_loss() -> None:
    x0 = torch.ones(8, 2)
    losses = [regression_loss(Spy(), CondOT(), "x0", x0, generator=generator(3)) for _ in range(2)]
    assert losses[0] == losses[1]


def test_the_stream_of_random_numbers_is_fixed() -> None:
    """Times, then noise, then dropped labels: trained networks are reproduced by it."""
    x0, label = torch.full((6, 2), 0.5), torch.arange(6)
    source = generator(5)
    t, eps = stratified(6, source), torch.randn(6, 2, generator=source)
    dropped = torch.rand(6, generator=source) < 0.4
    spy = Spy()
    loss = regression_loss(spy, CondOT(), "eps", x0, label, generator=generator(5), label_dropout=0.4)
    assert torch.equal(spy.t, t)
    assert torch.equal(spy.label, label.masked_fill(dropped, 9))
    x = t[:, None] * x0 + (1 - t)[:, None] * eps
    assert loss == (x - eps).square().mean()


def test_draws_densities_and_importance_act_in_that_order() -> None:
    importance = Importance(4)
    importance.observe((torch.arange(8) + 0.5) / 8, torch.tensor([1.0, 1, 1, 1, 4, 4, 9, 9]))
    warped, factor = importance.warp(independent(6, generator(5)))
    times, spy, seen = LogitNormal(0.5, 1.2), Spy(), []
    loss = regression_loss(
        spy, CondOT(), "v", torch.ones(6, 2), generator=generator(5), draw=independent, times=times,
        importance=importance, weighting=MinSNR(), observe=seen.append,
    )
    (batch,) = seen
    assert isinstance(batch, Seen)
    assert torch.equal(batch.u, warped)
    assert torch.equal(batch.t, times.quantile(CondOT(), warped))
    assert torch.equal(batch.t, spy.t)
    torch.testing.assert_close(loss, (factor * batch.loss).mean())


@pytest.mark.parametrize("draw", [independent, stratified])
def test_importance_leaves_the_mean_of_the_loss(draw) -> None:
    """Silence on data at 0: the error of the velocity is ε, which counts α² = t², with the mean 1/3.

    500 batches of 64; 5 standard errors, a false alarm of 6e-7. Without the factor the mean is above 0.5.
    """
    importance = Importance(8)
    importance.observe((torch.arange(800) + 0.5) / 800, ((torch.arange(800) + 0.5) / 800) ** 2)
    x0 = torch.zeros(64, 1, dtype=torch.float64)
    source = generator()

    def loss() -> Tensor:
        return regression_loss(
            lambda x, t, label: torch.zeros_like(x), CondOT(), "velocity", x0, generator=source,
            times=Uniform(0.0, 1.0), weighting=Unweighted("eps"), draw=draw, importance=importance,
        )

    losses = torch.stack([loss() for _ in range(500)])
    error = losses.std() / math.sqrt(500)
    assert abs(float(losses.mean()) - 1 / 3) < 5 * float(error)
    assert float(error) < 0.01


INFINITE = [
    ("score", CondOT(), None, Uniform(), "t = 1;"),
    ("score", VP(), None, Uniform(), "t = 1;"),
    ("score", VE(), Unweighted("score"), Uniform(), "t = 1;"),
    ("velocity", VP(), None, Uniform(), "t = 1;"),
    ("x0", CondOT(), SNR(), Uniform(), "t = 1;"),
    ("eps", CondOT(), TruncatedSNR(), Uniform(), "t = 1e-10;"),
    ("eps", VP(), Likelihood(), Uniform(), "t = 1;"),
    ("v", VE(), Likelihood(), Uniform(), "t = 1;"),
    ("eps", CondOT(), Likelihood(), Uniform(0.0, 0.99), "t = 9.9e-11;"),
    ("eps", CondOT(), TruncatedSNR(), Steps(1000), "t = 0;"),
    ("x0", CondOT(), SNR(), LogitNormal(0.0, 4.0), "t = 1;"),
]


@pytest.mark.parametrize(("kind", "path", "weighting", "times", "end"), INFINITE, ids=str)
def test_infinite_losses_are_refused_at_the_door(kind, path, weighting, times, end: str) -> None:
    x0 = torch.zeros(4, 1)
    with pytest.raises(ValueError, match=rf"The loss of {kind} .* is infinite.* towards {end} keep away from it"):
        regression_loss(Spy(), path, kind, x0, weighting=weighting, times=times)


FINITE = [
    ("score", CondOT(), None, Uniform(0.0, 0.999)),
    ("score", CondOT(), SNR(), Uniform()),
    ("score", CondOT(), None, LogitNormal()),
    ("score", CondOT(), None, Steps(1000)),
    ("score", Cosine(), None, Uniform()),
    ("velocity", VP(), None, Uniform(0.0, 0.999)),
    ("velocity", CondOT(), None, Uniform()),
    ("x0", CondOT(), MinSNR(), Uniform()),
    ("eps", VP(), TruncatedSNR(), Uniform()),
    ("eps", VP(), Likelihood(), Uniform(0.0, 0.99999)),
    ("x0", VE(), EDM(), LogitNormal(1.2, 1.2)),
    ("v", CondOT(), EDM(), Uniform()),
]


@pytest.mark.parametrize(("kind", "path", "weighting", "times"), FINITE, ids=str)
def test_finite_losses_pass(kind, path, weighting, times) -> None:
    check_finite_loss(path, kind, weighting, times)
    x0 = torch.zeros(4, 1)
    assert regression_loss(Spy(), path, kind, x0, weighting=weighting, times=times, generator=generator()).isfinite()


def test_the_frame_makes_edm_finite_everywhere() -> None:
    """An x₀-network would need errors of the size of σ near the data; inside the frame it has them."""
    check_finite_loss(VE(), "x0", EDM(), Uniform(), Frame())
    check_finite_loss(CondOT(), "x0", EDM(), Uniform(), Frame())
    with pytest.raises(ValueError, match="infinite"):
        check_finite_loss(VE(), "x0", EDM(), Uniform())


def test_times_outside_the_path_are_refused() -> None:
    with pytest.raises(ValueError, match=r"run from -0.25 to 1 on VE\(sigma_max=80.0\); keep them in \[0, 1\]"):
        check_finite_loss(VE(80.0), "eps", None, Geometric(100.0, 0.01, 10))


def test_the_frame_is_a_frame_for_x0() -> None:
    with pytest.raises(ValueError, match="predicts x0, but got predicts='eps'; write predicts='x0'"):
        regression_loss(Spy(), VE(), "eps", torch.zeros(4, 1), precondition=Frame())


def test_half_precision_products_are_summed_in_float32() -> None:
    layer = torch.nn.Linear(512, 512)
    x0 = torch.randn(4, 512, generator=generator())
    seen: list[Seen] = []
    with torch.autocast("cpu", torch.bfloat16):
        loss = regression_loss(
            lambda x, t, label: layer(x), CondOT(), "velocity", x0, generator=generator(), observe=seen.append
        )
        assert layer(x0).dtype == torch.bfloat16
    assert loss.dtype == seen[0].loss.dtype == torch.float32
    assert float(loss.detach()) == pytest.approx(float(seen[0].loss.mean()), rel=1e-6)


def test_an_unknown_kind_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="velocity"):
        regression_loss(Spy(), CondOT(), "noise", torch.ones(2, 2))


def test_the_least_error_of_a_kind_is_its_determinant_squared_times_the_common_one() -> None:
    """What `check_finite_loss` relies on: D² Var(x₀ | x)/σ², for every kind and path."""
    s = 0.6
    for path, kind in itertools.product(PATHS, KINDS):
        node, share = legendre(30, 0.0, 1.0)
        t, x0, eps, weight = gaussian_batch(s, node, share)
        loss = weight * squared_error(best(kind, path, s), path, kind, t, x0, eps)[:, 0]
        by_time = loss.view(30, 4).sum(1)
        common = s**2 / (path.alpha(node) ** 2 * s**2 + path.sigma(node) ** 2)
        torch.testing.assert_close(by_time, share * determinant(kind, path, node) ** 2 * common, rtol=1e-6, atol=1e-12)

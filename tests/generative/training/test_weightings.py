"""One error in six units: a weighting gives the same loss whatever is predicted, and its published form in each."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from scipy.special import roots_legendre
from torch import Tensor
from toy import PATHS

from fokker.generative import VE, VP, CondOT, Cosine, GaussianPath
from fokker.generative.denoiser import EDM as Frame, KINDS, coefficients, per_sample
from fokker.generative.training import EDM, SNR, MinSNR, Unweighted, Weighting, squared_error
from fokker.generative.training.weightings import Likelihood, TruncatedSNR, inside

FRAME = Frame(0.7)
OUTPUTS = [*KINDS, FRAME]
T = torch.tensor([0.05, 0.3, 0.5, 0.8, 0.97], dtype=torch.float64)


def slope_of_snr(path: GaussianPath, t: Tensor) -> Tensor:
    t = t.clone().requires_grad_()
    (slope,) = torch.autograd.grad((path.alpha(t) / path.sigma(t)).square().sum(), t)
    return slope


def snr(path: GaussianPath, t: Tensor) -> Tensor:
    return (path.alpha(t) / path.sigma(t)) ** 2


def edm(path: GaussianPath, t: Tensor) -> Tensor:
    sigma = path.sigma(t) / path.alpha(t)
    return (sigma**2 + 0.5**2) / (sigma * 0.5) ** 2


# The weight of the squared x0-error, as the papers print it.
PRINTED: list[tuple[Weighting, Callable[[GaussianPath, Tensor], Tensor]]] = [
    (Unweighted("x0"), lambda path, t: torch.ones_like(t)),
    (Unweighted("eps"), snr),
    (SNR(), snr),
    (TruncatedSNR(), lambda path, t: snr(path, t).clamp(min=1.0)),
    (MinSNR(5.0), lambda path, t: snr(path, t).clamp(max=5.0)),
    (EDM(0.5), edm),
    (Likelihood(), lambda path, t: 0.5 * slope_of_snr(path, t)),
]


@pytest.mark.parametrize("path", PATHS, ids=str)
@pytest.mark.parametrize(("weighting", "printed"), PRINTED, ids=[str(weighting) for weighting, _ in PRINTED])
def test_a_weighting_is_what_is_printed_for_x0(weighting, printed, path: GaussianPath) -> None:
    torch.testing.assert_close(weighting.of("x0", path, T), printed(path, T), rtol=1e-9, atol=0)


@pytest.mark.parametrize("path", [VP(), CondOT()], ids=str)
@pytest.mark.parametrize("weighting", [*(each for each, _ in PRINTED), Unweighted("velocity")], ids=str)
@pytest.mark.parametrize("output", OUTPUTS, ids=str)
def test_the_loss_of_a_sample_is_the_same_whatever_is_predicted(output, weighting, path: GaussianPath) -> None:
    """One wrong guess of x0, told as every kind of prediction."""
    generator = torch.Generator().manual_seed(0)
    x0, eps, guess = torch.randn(3, len(T), 3, generator=generator, dtype=torch.float64)

    def network(x: Tensor, clock: Tensor, label: Tensor | None) -> Tensor:
        if output is FRAME:
            scales = FRAME.scales(path.alpha(T), path.sigma(T))
            torch.testing.assert_close(x, per_sample(scales.input, x0) * noisy, rtol=1e-14, atol=0)
            torch.testing.assert_close(clock, (path.sigma(T) / path.alpha(T)).log() / 4, rtol=1e-12, atol=1e-14)
            return (guess - per_sample(scales.skip, x0) * noisy) / per_sample(scales.output, x0)
        p, q = coefficients(output, path, T)
        noise = (noisy - per_sample(path.alpha(T), x0) * guess) / per_sample(path.sigma(T), x0)
        return per_sample(p, x0) * guess + per_sample(q, x0) * noise

    noisy = per_sample(path.alpha(T), x0) * x0 + per_sample(path.sigma(T), x0) * eps
    frame, kind = (FRAME, "x0") if output is FRAME else (None, output)
    loss = squared_error(network, path, kind, T, x0, eps, weighting=weighting, precondition=frame)
    expected = per_sample(weighting.of("x0", path, T), x0) * (guess - x0) ** 2
    torch.testing.assert_close(loss, expected, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_the_frame_makes_edm_the_plain_square_of_the_network(path: GaussianPath) -> None:
    torch.testing.assert_close(EDM(0.7).of(FRAME, path, T), torch.ones_like(T), rtol=1e-12, atol=0)


@pytest.mark.parametrize("path", PATHS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_an_unweighted_kind_is_unweighted(kind: str, path: GaussianPath) -> None:
    torch.testing.assert_close(Unweighted(kind).of(kind, path, T), torch.ones_like(T), rtol=1e-14, atol=0)


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_likelihood_is_in_nats(path: GaussianPath) -> None:
    """The least loss on N(0, s²) is the mutual information ½ log(1 + s² SNR) gained between the two times."""
    s, t0, t1 = 0.6, 0.02, 0.98
    node, share = (torch.from_numpy(values) for values in roots_legendre(400))
    node, share = t0 + (t1 - t0) * (node + 1) / 2, (t1 - t0) * share / 2
    alpha, sigma = path.alpha(node), path.sigma(node)
    variance = s**2 * sigma**2 / (alpha**2 * s**2 + sigma**2)
    found = (share * Likelihood().of("x0", path, node) * variance).sum()
    information = [0.5 * math.log1p(s**2 * math.exp(2 * path.half_log_snr(t))) for t in (t0, t1)]
    assert float(found) == pytest.approx(information[1] - information[0], rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("output", OUTPUTS, ids=str)
def test_no_weight_is_undefined_at_an_end(output, dtype: torch.dtype) -> None:
    t = torch.tensor([0.0, 1.0], dtype=dtype)
    assert bool(((inside(t) > 0) & (inside(t) < 1)).all())
    for path in (CondOT(), VP(), VE(), Cosine(-math.inf, math.inf)):
        for weighting, _ in PRINTED:
            assert not weighting.of(output, path, t).isnan().any(), (path, weighting)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Unweighted("noise"), "choose one of x0"),
        (lambda: MinSNR(0.0), "gamma is 0, but must"),
        (lambda: EDM(-1.0), "sigma_data is -1, but must"),
    ],
)
def test_what_is_no_weighting(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()

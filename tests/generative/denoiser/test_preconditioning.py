"""The frame of EDM: the printed formulas, unit variances, the best linear denoiser, and both ends."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from toy import ENDS, MIXTURE, PATHS, states

from fokker.generative import VE, VP, CondOT, Cosine, Denoiser, GaussianPath
from fokker.generative.denoiser import EDM, KINDS
from fokker.generative.training import check_finite_loss, squared_error, weightings
from fokker.verification import Gaussian

X = torch.linspace(-2.0, 2.0, 12, dtype=torch.float64).reshape(4, 3)


class Spy:
    """A network that remembers what it was given."""

    def __call__(self, x: Tensor, time: Tensor) -> Tensor:
        self.x, self.time = x, time
        return torch.sin(x)


SIZE = 0.7


@pytest.mark.parametrize("path", PATHS, ids=str)
@pytest.mark.parametrize("t", [0.05, 0.5, 0.9])
def test_preconditioning_is_the_printed_one(path: GaussianPath, t: float) -> None:
    """Table 1 of 2206.00364 in x̃ = x/α and σ̃ = σ/α."""
    spy = Spy()
    denoised = Denoiser(spy, path, predicts="x0", precondition=EDM(SIZE)).predict("x0", t, X)
    scaled, sigma = X / path.alpha(t), path.sigma(t) / path.alpha(t)
    total = sigma**2 + SIZE**2
    inner = scaled / math.sqrt(total)
    expected = SIZE**2 / total * scaled + sigma * SIZE / math.sqrt(total) * torch.sin(inner)
    torch.testing.assert_close(spy.x, inner, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(spy.time, torch.full((4,), math.log(sigma) / 4.0, dtype=torch.float64))
    torch.testing.assert_close(denoised, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("path", ENDS, ids=str)
@pytest.mark.parametrize("t", [0.0, 0.3, 0.9, 1.0])
def test_preconditioning_has_unit_variance_in_and_out(path: GaussianPath, t: float) -> None:
    """For data of variance s²: that of c_in x̃, and of what the network is left to predict, is one; at both ends too."""
    alpha, sigma = path.alpha(t), path.sigma(t)
    skip, gain, scale, _ = EDM(SIZE).scales(alpha, sigma)
    assert scale**2 * (alpha**2 * SIZE**2 + sigma**2) == pytest.approx(1.0, rel=1e-12)
    left = (1.0 - skip * alpha) ** 2 * SIZE**2 + skip**2 * sigma**2
    assert gain**2 == pytest.approx(left, rel=1e-10, abs=1e-14)


@pytest.mark.parametrize("path", ENDS, ids=str)
@pytest.mark.parametrize("many", [(0.3, 0.7), [0.3, 0.7], torch.tensor([0.3, 0.7], dtype=torch.float64)], ids=repr)
def test_each_channel_has_its_own_deviation(path: GaussianPath, many: Any) -> None:
    """A channel is framed as by its own deviation alone, at one time and at one a sample; the clock is common."""
    frame, images = EDM(many), torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert frame == EDM((0.3, 0.7))
    assert hash(frame) == hash(EDM((0.3, 0.7)))
    for t in (0.3, 1.0, torch.tensor([0.1, 0.4, 0.7, 1.0], dtype=torch.float64)):
        found = Denoiser(Spy(), path, predicts="x0", precondition=frame).predict("x0", t, images)
        for channel, spread in enumerate((0.3, 0.7)):
            alone = Denoiser(Spy(), path, predicts="x0", precondition=EDM(spread)).predict("x0", t, images)
            torch.testing.assert_close(found[:, channel], alone[:, channel], rtol=1e-13, atol=1e-13)
    assert frame.scales(0.5, 0.5).clock == EDM().scales(0.5, 0.5).clock


def test_a_network_is_trained_in_the_frame_of_its_channels() -> None:
    """The loss of both channels is the mean of the losses of each."""
    x0 = torch.randn(6, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    net = lambda x, time, label: torch.sin(x) * (1.0 + time.reshape(-1, 1, 1))  # noqa: E731
    given: Any = {"weighting": weightings.EDM(0.5), "predicts": "x0", "path": VP()}

    def loss(x0: Tensor, frame: EDM) -> Tensor:
        t, eps = torch.linspace(0.05, 0.95, 6, dtype=torch.float64), x0.flip(2)
        return squared_error(net, t=t, x0=x0, eps=eps, precondition=frame, **given)

    both = loss(x0, EDM((0.3, 0.7)))
    for channel, spread in enumerate((0.3, 0.7)):
        one = slice(channel, channel + 1)
        torch.testing.assert_close(both[:, one], loss(x0[:, one], EDM(spread)), rtol=1e-12, atol=1e-12)
    check_finite_loss(VP(), "x0", weightings.EDM(0.5), precondition=EDM((0.3, 0.7)))


@pytest.mark.parametrize("path", ENDS, ids=str)
def test_the_skip_connection_is_the_best_linear_denoiser(path: GaussianPath) -> None:
    data = Gaussian(torch.zeros(3, dtype=torch.float64), SIZE**2 * torch.eye(3, dtype=torch.float64))
    denoiser = Denoiser(lambda x, time: 0.0 * x, path, predicts="x0", precondition=EDM(SIZE))
    for t in (0.1, 0.6, 1.0):
        torch.testing.assert_close(denoiser.predict("x0", t, X), data.x0(X, t, path), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("path", [CondOT(), VP(), VE()], ids=str)
def test_preconditioning_without_noise_is_the_identity(path: GaussianPath) -> None:
    """Whatever the network says: σ = 0, α = 1; for one time, and among times of other samples."""
    denoiser = Denoiser(lambda x, time: 100.0 + time[:, None] + x, path, predicts="x0", precondition=EDM())
    assert torch.equal(denoiser.predict("x0", 1.0, X), X)
    mixed = denoiser.predict("x0", torch.tensor([0.5, 1.0, 0.7, 1.0], dtype=torch.float64), X)
    assert torch.equal(mixed[1::2], X[1::2])
    assert mixed.isfinite().all()


@pytest.mark.parametrize("path", [CondOT(), Cosine(-math.inf, math.inf)], ids=str)
def test_preconditioning_without_signal(path: GaussianPath) -> None:
    """σ̃ = ∞: c_skip x̃ = 0, c_out = s, c_in x̃ = x/σ, and the clock alone is infinite."""
    skip, gain, scale, clock = EDM(SIZE).scales(path.alpha(0.0), path.sigma(0.0))
    assert (skip, gain, scale, clock) == (0.0, pytest.approx(SIZE), pytest.approx(1.0), math.inf)
    with pytest.raises(ValueError, match=r"clock, log\(sigma / alpha\) / 4, is inf at t = 0"):
        Denoiser(Spy(), path, predicts="x0", precondition=EDM(SIZE)).predict("x0", 0.0, X)


@pytest.mark.parametrize("kind", KINDS)
def test_a_preconditioned_network_gives_every_kind(kind: str) -> None:
    """With the network that makes the exact denoiser of a mixture inside the frame."""
    path = CondOT()
    time = torch.tensor([0.2, 0.4, 0.6, 0.9], dtype=torch.float64)
    x = states(path, 0.5, 4)

    def net(scaled: Tensor, clock: Tensor) -> Tensor:
        ratio = torch.exp(4.0 * clock)
        t = 1.0 / (1.0 + ratio)
        skip, gain, scale, _ = (value[:, None] for value in EDM().scales(path.alpha(t), path.sigma(t)))
        return (MIXTURE.x0(scaled / scale, t, path) - skip * scaled / scale) / gain

    denoiser = Denoiser(net, path, predicts="x0", precondition=EDM())
    exact = getattr(MIXTURE, kind)(x, time, path)
    torch.testing.assert_close(denoiser.predict(kind, time, x), exact, rtol=1e-9, atol=1e-9)


def test_a_preconditioned_network_has_its_kind_and_its_clock() -> None:
    for options in ({"predicts": "eps"}, {"predicts": "x0", "time": "sigma"}):
        with pytest.raises(ValueError, match="write predicts='x0', and leave time out"):
            Denoiser(Spy(), VE(), precondition=EDM(), **options)
    with pytest.raises(ValueError, match="sigma_data > 0"):
        EDM(0.0)

"""Great circles in closed form with their limits, and interpolated samples of a Gaussian in closed form."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from toy import GAUSSIAN

from fokker.generative import CFG, CondOT, Denoiser
from fokker.generative.sampling import decode, encode, interpolate, slerp
from fokker.solvers import RK4, standard_normal

ROUNDING = {"rtol": 0.0, "atol": 1e-14}


def row(*values: float) -> Tensor:
    return torch.tensor([values], dtype=torch.float64)


@pytest.mark.parametrize("s", [-0.5, 0.0, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("angle", [1e-6, 0.3, math.pi / 2, 2.5, math.pi - 1e-6])
def test_the_direction_turns_evenly_and_the_norm_goes_straight(angle: float, s: float) -> None:
    """In the plane, between norms 2 and 5; near a straight angle the plane is known to 1e-16/1e-6."""
    a, b = row(2.0, 0.0), row(5.0 * math.cos(angle), 5.0 * math.sin(angle))
    length = 2.0 * (1.0 - s) + 5.0 * s
    expected = length * row(math.cos(s * angle), math.sin(s * angle))
    torch.testing.assert_close(slerp(a, b, s), expected, rtol=0.0, atol=1e-9 if angle > 3.0 else 1e-14)


@pytest.mark.parametrize("s", [0.0, 0.3, 1.0])
def test_parallel_latents_are_interpolated_straight(s: float) -> None:
    a = row(3.0, -4.0, 12.0)
    torch.testing.assert_close(slerp(a, a, s), a, **ROUNDING)
    torch.testing.assert_close(slerp(a, 3.0 * a, s), (1.0 + 2.0 * s) * a, **ROUNDING)


def test_opposite_latents_go_round_half_a_great_circle() -> None:
    """Which one is a convention: by way of the axis that is most nearly perpendicular."""
    a = row(0.6, 0.0, 0.8)
    for s in (0.0, 0.25, 0.5, 1.0):
        expected = math.cos(s * math.pi) * a + math.sin(s * math.pi) * row(0.0, 1.0, 0.0)
        torch.testing.assert_close(slerp(a, -a, s), expected, **ROUNDING)
    b = row(1.0, 2.0, 2.0)
    halfway = slerp(b, -3.0 * b, 0.5)
    torch.testing.assert_close((halfway * b).sum(), b.new_zeros(()), **ROUNDING)
    torch.testing.assert_close(halfway.norm(), b.new_tensor(6.0), **ROUNDING)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_ends_are_met_however_nearly_opposite(dtype: torch.dtype) -> None:
    eps = torch.finfo(dtype).eps
    a = standard_normal(torch.empty(40, 64, dtype=dtype), 0)
    tilts = torch.logspace(math.log10(eps) - 1.0, 0.0, 40, dtype=dtype)[:, None]
    b = -a + tilts * standard_normal(torch.empty(40, 64, dtype=dtype), 1)
    for s, end in ((0.0, a), (1.0, b)):
        torch.testing.assert_close(slerp(a, b, s), end, rtol=0.0, atol=100.0 * eps)
    halfway = slerp(a, b, 0.5).norm(dim=1)
    torch.testing.assert_close(halfway, 0.5 * (a.norm(dim=1) + b.norm(dim=1)), rtol=20.0 * eps, atol=0.0)


def test_a_line_has_no_way_round_zero() -> None:
    torch.testing.assert_close(slerp(row(2.0), row(-2.0), 0.25), row(2.0 * math.cos(math.pi / 4)), **ROUNDING)
    torch.testing.assert_close(slerp(row(2.0), row(4.0), 0.25), row(2.5), **ROUNDING)


def test_zero_takes_the_direction_of_the_other() -> None:
    a, zero = row(3.0, 4.0), row(0.0, 0.0)
    torch.testing.assert_close(slerp(zero, a, 0.2), 0.2 * a, **ROUNDING)
    torch.testing.assert_close(slerp(a, zero, 0.2), 0.8 * a, **ROUNDING)
    torch.testing.assert_close(slerp(zero, zero, 0.2), zero, **ROUNDING)


def test_every_sample_goes_its_own_way() -> None:
    a, b = (standard_normal(torch.empty(5, 3, 2, 2, dtype=torch.float64), seed) for seed in (0, 1))
    s = torch.linspace(0.0, 1.0, 5, dtype=torch.float64)
    together = slerp(a, b, s)
    for i in range(5):
        torch.testing.assert_close(together[i : i + 1], slerp(a[i : i + 1], b[i : i + 1], s[i].item()), **ROUNDING)
    torch.testing.assert_close(slerp(b, a, 1.0 - s), together, **ROUNDING)
    turn = torch.linalg.qr(standard_normal(torch.empty(12, 12, dtype=torch.float64), 2)).Q
    turned = slerp(a.flatten(1) @ turn, b.flatten(1) @ turn, s)
    torch.testing.assert_close(turned, together.flatten(1) @ turn, **ROUNDING)


def test_the_norm_of_noise_is_kept() -> None:
    """In 3072 dimensions norms are √3072 = 55.4 ± 0.7; halfway it is their mean, where a straight line has 1/√2."""
    a, b = (standard_normal(torch.empty(20, 3, 32, 32, dtype=torch.float64), seed) for seed in (0, 1))
    norms = [x.flatten(1).norm(dim=1) for x in (a, b, slerp(a, b, 0.5), 0.5 * (a + b))]
    torch.testing.assert_close(norms[2], 0.5 * (norms[0] + norms[1]), rtol=1e-13, atol=0.0)
    assert (norms[3] / norms[2]).mean().item() == pytest.approx(0.5**0.5, rel=0.02)


def test_interpolated_samples_of_a_gaussian() -> None:
    """Latents and samples by the exact flow map, images of one number by one number by two."""
    path = CondOT()

    def net(x: Tensor, t: Tensor) -> Tensor:
        return GAUSSIAN.v(x.flatten(1), t, path).reshape(x.shape)

    x_a, x_b = GAUSSIAN.sample(8, 1).reshape(2, 4, 2)
    images = [x.reshape(4, 1, 1, 2) for x in (x_a, x_b)]
    found = interpolate(Denoiser(net, path, predicts="v"), *images, steps=5, nfe=130)
    assert found.shape == (5, 4, 1, 1, 2)
    z_a, z_b = (GAUSSIAN.flow_map(x, 1.0, 0.0, path) for x in (x_a, x_b))
    for i in range(5):
        expected = GAUSSIAN.flow_map(slerp(z_a, z_b, i / 4), 0.0, 1.0, path)
        torch.testing.assert_close(found[i].flatten(1), expected, rtol=0.0, atol=1e-4)
    torch.testing.assert_close(found[[0, -1]], torch.stack(images), rtol=0.0, atol=1e-4)


def test_labels_guidance_and_samplers_are_those_of_both_directions() -> None:
    def net(x: Tensor, t: Tensor, label: Tensor) -> Tensor:
        return (x - label[:, None]).tanh() * (1.0 + t[:, None])

    denoiser = Denoiser(net, CondOT(), predicts="velocity")
    net.null_label = 3  # type: ignore[attr-defined]
    x_a, x_b = standard_normal(torch.empty(6, 2, dtype=torch.float64), 0).chunk(2)
    found = interpolate(denoiser, x_a, x_b, 4, 20, [0, 1, 2], 1.5, sampler=RK4())
    guided = CFG(denoiser.given(torch.tensor([0, 1, 2])), 1.5)
    z_a, z_b = (encode(guided, x, 20, sampler=RK4()) for x in (x_a, x_b))
    for i in range(4):
        expected = decode(guided, slerp(z_a, z_b, i / 3), 20, sampler=RK4())
        torch.testing.assert_close(found[i], expected, rtol=0.0, atol=1e-13)


def test_errors() -> None:
    a, denoiser = row(1.0, 2.0), GAUSSIAN.denoiser(CondOT())
    with pytest.raises(ValueError, match=r"z1 is .* \(2, 1\) on cpu, but z0 .* \(1, 2\)"):
        slerp(a, a.T, 0.5)
    with pytest.raises(ValueError, match=r"z0 has shape \(2,\), but must hold samples"):
        slerp(a[0], a[0], 0.5)
    with pytest.raises(ValueError, match=r"s has shape \(2,\) for 1 samples"):
        slerp(a, a, torch.zeros(2))
    with pytest.raises(ValueError, match="steps is 1, but must be a whole number from 2"):
        interpolate(denoiser, a, a, 1)
    with pytest.raises(ValueError, match=r"x_b is .* \(2, 1\) on cpu, but x_a .* \(1, 2\)"):
        interpolate(denoiser, a, a.T)

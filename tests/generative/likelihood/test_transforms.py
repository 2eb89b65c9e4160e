"""Transforms against derivatives, logarithms in closed form, and laws whose masses are known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fokker.generative import CondOT, Dequantisation, Logit, Scaled, log_likelihood
from fokker.generative.likelihood import Transform
from fokker.solvers import standard_normal
from fokker.verification import GaussianMixture

TRANSFORMS = [Scaled(2.0, -1.0), Scaled(-0.5, 3.0), Logit(), Logit(-1.0, 3.0, 0.05), Logit(0.0, 256.0, 1e-6)]
each = pytest.mark.parametrize("transform", TRANSFORMS, ids=str)

GAUSS, WEIGHTS = np.polynomial.legendre.leggauss(200)


def inside(transform: Transform, shape: tuple[int, ...]) -> Tensor:
    """Data within the box of a transform."""
    low, high = (transform.low, transform.high) if isinstance(transform, Logit) else (-2.0, 2.0)
    return low + (high - low) * torch.special.ndtr(standard_normal(torch.empty(shape, dtype=torch.float64), seed=1))


@each
def test_the_inverse_and_the_determinant_are_those_of_the_function(transform: Transform) -> None:
    y = inside(transform, (5, 1, 2, 2))
    x = transform.forward(y)
    assert (x.shape, x.dtype) == (y.shape, y.dtype)
    torch.testing.assert_close(transform.inverse(x), y, rtol=1e-13, atol=1e-13)
    jacobians = torch.func.vmap(torch.func.jacrev(lambda flat: one(transform, flat)))(y.flatten(1))
    expected = torch.linalg.slogdet(jacobians).logabsdet
    found = transform.log_det(y)
    assert (found.shape, found.dtype) == ((5,), torch.float64)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(transform.log_slope(x).flatten(1).sum(1), expected, rtol=1e-12, atol=1e-12)


def one(transform: Transform, flat: Tensor) -> Tensor:
    """The formula of the docstring."""
    if isinstance(transform, Scaled):
        return transform.scale * flat + transform.shift
    assert isinstance(transform, Logit)
    p = transform.margin + (1.0 - 2.0 * transform.margin) * (flat - transform.low) / (transform.high - transform.low)
    return torch.log(p / (1.0 - p))


@each
def test_single_precision_is_rounded_once(transform: Transform) -> None:
    y = inside(transform, (50, 3)).float()
    assert torch.equal(transform.forward(y), transform.forward(y.double()).float())
    assert torch.equal(transform.inverse(y), transform.inverse(y.double()).float())
    assert torch.equal(transform.log_det(y), transform.log_det(y.double()))
    assert torch.equal(transform.log_slope(y), transform.log_slope(y.double()))


def test_a_logit_is_exact_at_the_edges() -> None:
    """log dx/dy = −log y − log(1 − y), to a few units of rounding, where 1 − y is a few units or y underflows."""
    tiny = torch.tensor([1e-300, 1e-100, 1e-16, 1e-8, 0.3, 0.5], dtype=torch.float64)
    for y in (tiny, 1.0 - tiny[3:], 1.0 - 2.0**-53 * torch.tensor([1.0, 2.0, 8.0], dtype=torch.float64)):
        logs = y.log(), torch.log1p(-y)
        torch.testing.assert_close(Logit().forward(y), logs[0] - logs[1], rtol=1e-15, atol=1e-15)
        torch.testing.assert_close(Logit().log_det(y[:, None]), -logs[0] - logs[1], rtol=1e-15, atol=1e-15)
    x = torch.tensor([-1e4, -800.0, -40.0, 40.0, 1e4], dtype=torch.float64)
    torch.testing.assert_close(Logit().log_slope(x), x.abs(), rtol=1e-15, atol=0.0)
    torch.testing.assert_close(Logit().inverse(x[:3]), x[:3].exp(), rtol=1e-13, atol=0.0)
    torch.testing.assert_close(Logit(-1.0, 0.0).inverse(-x[:3]), -x[:3].exp(), rtol=1e-13, atol=0.0)


def test_a_margin_makes_the_edges_finite() -> None:
    logit = Logit(-1.0, 3.0, 0.05)
    x = logit.forward(torch.tensor([-1.0, 1.0, 3.0], dtype=torch.float64))
    torch.testing.assert_close(x, math.log(19.0) * torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64))
    assert torch.equal(logit.inverse(x), torch.tensor([-1.0, 1.0, 3.0], dtype=torch.float64))
    beyond = logit.inverse(torch.tensor([-100.0, 100.0], dtype=torch.float64))
    torch.testing.assert_close(beyond, torch.tensor([-1.0 - 0.2 / 0.9, 3.0 + 0.2 / 0.9], dtype=torch.float64))


def test_the_formula_of_real_nvp() -> None:
    """logit(α + (1 − α) y/256), with α = 0.05."""
    y = torch.tensor([0.0, 1.0, 127.5, 255.0], dtype=torch.float64)
    p = 0.05 + 0.95 * y / 256.0
    logit = Logit(-256.0 * 0.05 / 0.95, 256.0)
    torch.testing.assert_close(logit.forward(y), torch.logit(p), rtol=1e-14, atol=1e-14)
    slopes = torch.log(0.95 / 256.0 / (p * (1.0 - p)))
    torch.testing.assert_close(logit.log_det(y[:, None]), slopes, rtol=0.0, atol=1e-13)


LAW = GaussianMixture(
    torch.tensor([0.3, 0.7], dtype=torch.float64),
    torch.tensor([[-1.4], [0.5]], dtype=torch.float64),
    torch.tensor([[[0.5]], [[0.2]]], dtype=torch.float64),
)


def mass(low: Tensor, high: Tensor) -> Tensor:
    """P(low < X < high) under the law, on whichever tail is the smaller: no cancellation."""
    deviations, means = LAW.covs[:, 0, 0].sqrt(), LAW.means[:, 0]
    a, b = ((edge[:, None] - means) / deviations for edge in (low, high))
    upper = (a > 0.0) & (b > 0.0)
    parts = torch.where(
        upper, torch.special.ndtr(-a) - torch.special.ndtr(-b), torch.special.ndtr(b) - torch.special.ndtr(a)
    )
    return parts @ LAW.weights


@pytest.mark.parametrize("logit", [Logit(), Logit(0.0, 2.0, 0.05), Logit(0.0, 2.0, 0.2)], ids=str)
def test_the_density_of_data_in_a_box_integrates_to_the_mass_of_the_states_there(logit: Logit) -> None:
    """Without a margin that is 1. The integral over y is by 200 Gauss points in x, with dy = e^(−log slope) dx."""
    edge = math.inf if logit.margin == 0.0 else math.log((1.0 - logit.margin) / logit.margin)
    reach = min(edge, 9.0)  # the law has less than 1e-30 beyond
    x = torch.from_numpy(reach * GAUSS)[:, None]
    y = logit.inverse(x)
    density = (LAW.log_prob(logit.forward(y)) + logit.log_det(y)).exp()
    total = (torch.from_numpy(reach * WEIGHTS) * density * torch.exp(-logit.log_slope(x)[:, 0])).sum()
    expected = mass(*(torch.tensor([sign * edge], dtype=torch.float64) for sign in (-1.0, 1.0)))[0]
    assert float(total) == pytest.approx(float(expected), abs=1e-12)


SPREADS = [None, 0.02, 0.1]
BOXES = [Logit(), Logit(0.0, 1.0, 0.05), Logit(0.0, 1.0, 1e-6), Scaled(-3.0, 1.5)]


@pytest.mark.parametrize("transform", BOXES, ids=str)
@pytest.mark.parametrize("spread", [None, *(pytest.param(each, marks=pytest.mark.slow) for each in SPREADS[1:])])
def test_bits_of_levels_in_the_space_of_the_model(transform: Transform, spread: float | None) -> None:
    """E_q 2^(−bits) = P(k), the mass of the cell, in closed form; the masses sum to that of the box, at most 1.

    The mean over q is an integral over the cell in y, by 200 Gauss points. The density of y is smooth in the
    cell; without a margin it vanishes at the edge with all its derivatives. The points leave rounding alone.
    """
    cells = Dequantisation(8, 0.0, 1.0, spread, transform)
    edges = torch.linspace(0.0, 1.0, 9, dtype=torch.float64)
    if transform == Logit():
        images = torch.cat([torch.tensor([-math.inf]), transform.forward(edges[1:-1]), torch.tensor([math.inf])])
    else:
        images = transform.forward(edges)
    rising = images.sort().values
    masses = mass(rising[:-1], rising[1:])
    masses = masses if images[0] < images[-1] else masses.flip(0)
    total = 0.0
    for k in range(8):
        y = torch.from_numpy(k / 8.0 + (0.5 + 0.5 * GAUSS) / 8.0)[:, None]
        x = transform.forward(y)
        assert bool((cells.level(x) == k).all())
        bits = likelihood_of(LAW.log_prob(x), x).bits_per_dim(cells)
        share = torch.from_numpy(WEIGHTS / 16.0) * (cells.log_density(x) + transform.log_det(y)).exp()
        assert float(share.sum()) == pytest.approx(1.0, abs=1e-12)
        probability = float(share @ torch.exp2(-bits))
        assert probability == pytest.approx(float(masses[k]), rel=1e-12, abs=1e-14)
        assert float(share @ bits) >= -math.log2(probability)
        total += probability
    assert total <= 1.0 + 1e-13


def likelihood_of(value: Tensor, data: Tensor) -> Any:
    normal = GaussianMixture(
        torch.ones(1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64), torch.ones(1, 1, 1).double()
    )
    result = log_likelihood(normal.denoiser(CondOT()), data[:1])
    return type(result)(**{**vars(result), "value": value, "data": data})


def test_units_of_the_images_are_a_matter_of_taste() -> None:
    """Levels in [0, 256] and x = 2 y/256 − 1, or levels in [−1, 1] and x = y: the same draws and the same bits."""
    k = torch.arange(12).reshape(3, 4) * 20
    plain, scaled = Dequantisation(256), Dequantisation(256, 0.0, 256.0, transform=Scaled(2.0 / 256.0, -1.0))
    x = plain(k, seed=2, dtype=torch.float64)
    torch.testing.assert_close(scaled(k, seed=2, dtype=torch.float64), x, rtol=1e-15, atol=1e-15)
    torch.testing.assert_close(scaled.log_density(x), plain.log_density(x), rtol=1e-14, atol=0.0)
    torch.testing.assert_close(scaled.centre(k), plain.centre(k), rtol=1e-15, atol=1e-15)
    centred = Dequantisation.centred(256, 0.0, 255.0, transform=Scaled(1.0 / 127.5, -1.0))
    assert torch.equal(centred.level(k / 127.5 - 1.0), k)


@pytest.mark.parametrize("transform", BOXES, ids=str)
def test_levels_come_back(transform: Transform) -> None:
    cells = Dequantisation(256, 0.0, 1.0, transform=transform)
    k = torch.arange(256).expand(20, -1)
    for dtype in (torch.float32, torch.float64):
        x = cells(k, seed=4, dtype=dtype)
        assert x.dtype == dtype
        wrong = (cells.level(x) != k).double().mean()
        assert wrong < (1e-3 if dtype == torch.float32 else 1e-12)  # single precision rounds over an edge
    assert torch.equal(cells.level(cells.centre(k)), k)


def test_bits_of_a_model_of_logits() -> None:
    """From levels to bits with the flow of an exact network of the logits; its own error is below 1e-2."""
    cells = Dequantisation(8, 0.0, 1.0, transform=Logit(0.0, 1.0, 0.05))
    k = torch.arange(8)[:, None]
    x = cells(k, seed=2, dtype=torch.float64)
    result = log_likelihood(LAW.denoiser(CondOT()), x)
    y = Dequantisation(8, 0.0, 1.0)(k, seed=2, dtype=torch.float64)
    torch.testing.assert_close(cells.transform.forward(y), x)
    p = 0.05 + 0.9 * y[:, 0]
    density = LAW.log_prob(x) + torch.log(0.9 / (p * (1.0 - p)))
    expected = -(density - math.log(8.0)) / math.log(2.0)
    torch.testing.assert_close(result.bits_per_dim(cells), expected, rtol=0.0, atol=1e-2)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Scaled(0.0), "scale is 0, which maps all data to one state"),
        (lambda: Logit(1.0, 1.0), "A logit needs low < high, but got 1 and 1"),
        (lambda: Logit(0.0, 1.0, 0.5), "margin is 0.5, but must be a finite number >= 0 and < 0.5"),
        (lambda: Logit(0.0, 1.0, -0.1), "margin is -0.1"),
        (lambda: Logit().forward(torch.tensor([[0.5, 0.0]])), "y holds 0, but a logit has values between 0 and 1"),
        (lambda: Logit().log_det(torch.tensor([[0.5, 1.0]])), "y holds 1, but a logit has values between 0 and 1"),
        (lambda: Logit(0.0, 1.0, 0.25).forward(torch.tensor([[1.6]])), "between -0.5 and 1.5 alone"),
        (lambda: Dequantisation(4, transform=Logit()), "y holds -1, but a logit has values between 0 and 1 alone"),
    ],
)
def test_what_has_no_transform_is_refused(make: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()

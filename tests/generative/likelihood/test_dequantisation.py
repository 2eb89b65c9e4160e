"""Grey levels, densities and bits against integrals over single cells."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import truncnorm
from torch import Tensor

from fokker.generative import CondOT, Dequantisation, LogLikelihood, log_likelihood
from fokker.solvers import NFE, standard_normal
from fokker.verification import GaussianMixture

SPREADS = [None, 0.01, 0.2, 3.0]
"""Of cells 0.5 wide: uniform; a peak in the middle; cut; almost flat."""
FOUR = [Dequantisation(4, -1.0, 1.0, spread) for spread in SPREADS]
each_spread = pytest.mark.parametrize("cells", FOUR, ids=[str(spread) for spread in SPREADS])

GAUSS, WEIGHTS = np.polynomial.legendre.leggauss(200)


def likelihood(value: Tensor, data: Tensor) -> LogLikelihood:
    zero = torch.zeros_like(value)
    nfe = NFE.of(torch.ones(len(value), dtype=torch.int64), rejected=0, depth=1, branches=1, jvp=0, vjp=0)
    return LogLikelihood(value, zero, zero, zero, nfe, data, data, value[:, None])


def within(cells: Dequantisation, k: int) -> tuple[Tensor, Tensor]:
    """Nodes x in cell k, (200, 1), and the weights of an integral over it."""
    centre = cells.low + (k + 0.5) * cells.width
    x = torch.from_numpy(centre + 0.5 * cells.width * GAUSS)
    return x[:, None], torch.from_numpy(0.5 * cells.width * WEIGHTS)


def test_centres_edges_and_width() -> None:
    edges = Dequantisation(256)
    assert edges.width == 2.0 / 256.0
    k = torch.tensor([0, 1, 255])
    torch.testing.assert_close(edges.centre(k), torch.tensor([-255.0, -253.0, 255.0]).double() / 256.0)
    centred = Dequantisation.centred(256, -1.0, 1.0, spread=0.1)
    assert centred.width == pytest.approx(2.0 / 255.0, rel=1e-14)
    assert centred.spread == 0.1
    torch.testing.assert_close(centred.centre(torch.arange(256)), torch.arange(256).double() / 127.5 - 1.0)


@pytest.mark.parametrize("cells", [*FOUR, Dequantisation(256), Dequantisation.centred(17, 0.0, 16.0)], ids=str)
def test_levels_come_back(cells: Dequantisation) -> None:
    k = torch.arange(cells.levels).expand(50, -1)
    assert torch.equal(cells.level(cells.centre(k)), k)
    x = cells(k, seed=3, dtype=torch.float64)
    assert torch.equal(cells.level(x), k)
    assert float(x.min()) >= cells.low
    assert float(x.max()) <= cells.high
    assert cells.level(x).dtype == torch.int64
    assert cells(k).dtype == torch.float32
    outside = torch.tensor([cells.low - 1.0, cells.high, cells.high + 1.0])
    assert cells.level(outside).tolist() == [0, cells.levels - 1, cells.levels - 1]


@each_spread
def test_the_density_integrates_to_one_over_each_cell(cells: Dequantisation) -> None:
    for k in range(4):
        x, weights = within(cells, k)
        density = cells.log_density(x).exp()
        assert float(weights @ density) == pytest.approx(1.0, abs=1e-12)
    mass, _ = quad(lambda x: cells.log_density(torch.tensor([[x]]).double()).exp().item(), 0.0, 0.5, points=[0.25])
    assert mass == pytest.approx(1.0, abs=1e-7)


@each_spread
def test_a_density_of_images_is_the_product(cells: Dequantisation) -> None:
    x = cells(torch.arange(4).reshape(1, 2, 2).expand(3, -1, -1), seed=1, dtype=torch.float64)
    found = cells.log_density(x)
    assert (found.shape, found.dtype) == ((3,), torch.float64)
    torch.testing.assert_close(found, cells.log_density(x.reshape(12, 1)).reshape(3, 4).sum(1))
    assert cells.log_density(x.float()).dtype == torch.float64
    torch.testing.assert_close(cells.log_density(x.float()), found, rtol=1e-4, atol=0.0)


@each_spread
def test_draws_have_the_density(cells: Dequantisation) -> None:
    """Both distribution functions are known: F(x) = Φ(z) of the normal number z that a draw is made of."""
    k = torch.arange(4).expand(500, -1)
    x = cells(k, seed=5, dtype=torch.float64)
    rank = torch.special.ndtr(standard_normal(torch.empty(500, 4, dtype=torch.float64), 5))
    offset = (x - cells.centre(k)).numpy()
    half = 0.5 * cells.width
    if cells.spread is None:
        found = offset / cells.width + 0.5
    else:
        found = truncnorm.cdf(offset, -half / cells.spread, half / cells.spread, scale=cells.spread)
    np.testing.assert_allclose(found, rank.numpy(), rtol=0.0, atol=1e-9)


def test_draws_depend_on_seed_and_position_alone() -> None:
    k = torch.arange(12).reshape(4, 3) % 4
    x = FOUR[0](k, seed=1)
    torch.testing.assert_close(FOUR[0](k[:2], seed=1), x[:2], rtol=0.0, atol=0.0)
    assert not torch.equal(FOUR[0](k, seed=2), x)
    own = FOUR[0](k, seed=[5, 6, 7, 8])
    torch.testing.assert_close(FOUR[0](k[2:3], seed=[7]), own[2:3], rtol=0.0, atol=0.0)


def test_the_transform_alone_gives_the_offset() -> None:
    """log₂(1/w), where w = 2/256 or 2/255: −log₂ p/d + 7 and + 6.9944."""
    x, value = torch.rand(2, 3, 4).double() * 2.0 - 1.0, torch.tensor([3.0, -5.0], dtype=torch.float64)
    bits = -value / (12.0 * math.log(2.0))
    result = likelihood(value, x)
    edges, centred = Dequantisation(256), Dequantisation.centred(256, -1.0, 1.0)
    torch.testing.assert_close(result.bits_per_dim(edges), bits + 7.0)
    torch.testing.assert_close(result.bits_per_dim(centred), bits + math.log2(127.5))
    difference = float((result.bits_per_dim(edges) - result.bits_per_dim(centred)).mean())
    assert difference == pytest.approx(0.0056, abs=5e-5)
    wide = Dequantisation(256, 0.0, 256.0)  # x = k + u
    torch.testing.assert_close(result.bits_per_dim(wide), bits)
    alone = replace(result, value=result.value[:1], data=result.data[:1])
    torch.testing.assert_close(alone.bits_per_dim(edges), bits[:1] + 7.0)


LAW = GaussianMixture(
    torch.tensor([0.3, 0.7], dtype=torch.float64),
    torch.tensor([[-0.4], [0.5]], dtype=torch.float64),
    torch.tensor([[[0.05]], [[0.02]]], dtype=torch.float64),
)


@each_spread
def test_bits_bound_the_code_length_of_a_level(cells: Dequantisation) -> None:
    """In one dimension and four levels: E 2^{−bits} = P(k) and E bits ≥ −log₂ P(k), by quadrature over the cell."""
    for k in range(4):
        x, weights = within(cells, k)
        value = LAW.log_prob(x)
        probability = float(weights @ value.exp())
        bits = likelihood(value, x).bits_per_dim(cells)
        share = weights * cells.log_density(x).exp()
        assert float(share @ torch.exp2(-bits)) == pytest.approx(probability, rel=1e-12)
        gap = float(share @ bits) + math.log2(probability)
        assert gap > 1e-4


def test_the_bound_is_reached_where_the_density_has_the_shape_of_the_noise() -> None:
    for cells in FOUR:
        for k, probability in enumerate((0.1, 0.2, 0.3, 0.4)):
            x, _ = within(cells, k)
            value = math.log(probability) + cells.log_density(x)
            bits = likelihood(value, x).bits_per_dim(cells)
            torch.testing.assert_close(bits, torch.full_like(bits, -math.log2(probability)))


def test_bits_of_a_model() -> None:
    """From levels to bits with the flow of an exact network, at float64 accuracy."""
    cells = FOUR[2]
    x = cells(torch.tensor([[0], [1], [2], [3]]), seed=2, dtype=torch.float64)
    result = log_likelihood(LAW.denoiser(CondOT()), x, error=1e-6, trace="exact")
    expected = -(LAW.log_prob(x) - cells.log_density(x)) / math.log(2.0)
    torch.testing.assert_close(result.bits_per_dim(cells), expected, rtol=0.0, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((1,), "levels is 1, but must be a whole number from 2"),
        ((2.5,), "levels is 2.5, but must be a whole number"),
        ((4, 1.0, 1.0), "low < high, but got 4 from 1 to 1"),
        ((4, 0.0, math.inf), "high is inf, but must be a finite number"),
        ((4, -1.0, 1.0, 0.0), "spread is 0, but must be a finite number from 0.0005 to 500"),
        ((4, -1.0, 1.0, math.nan), "spread is nan"),
    ],
)
def test_cells_that_do_not_exist_are_refused(arguments: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Dequantisation(*arguments)


@pytest.mark.parametrize("level", [torch.tensor([[4]]), torch.tensor([[-1]]), torch.tensor([[0.5]])])
def test_levels_that_do_not_exist_are_refused(level: Tensor) -> None:
    with pytest.raises(ValueError, match="Levels must be integers in 0 … 3; quantise the images first"):
        FOUR[0](level)

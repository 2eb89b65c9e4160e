"""Signs on pixels of one colour, over all draws there are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from matrices import along_nodes, errors_of, found, given, keys, normals, off_diagonal, signs, trace_of

from fokker.generative.likelihood import colouring
from fokker.generative.likelihood.coloured import Coloured, colour_count, strides

SHAPES = [(1, 7), (3, 7), (2, 4, 5), (1, 28, 28), (2, 3, 4, 5)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("colours", [1, 2, 3, 4, 7, 12, 40, 5000])
def test_strides(shape: Sequence[int], colours: int) -> None:
    """At most so many colours; channels first; equal strides, of which none could be larger; each within its axis."""
    channels, *pixels = strides(shape, colours)
    assert math.prod((channels, *pixels)) == colour_count(shape, colours) <= colours
    assert channels == (shape[0] if shape[0] <= colours else 1)
    assert all(1 <= stride <= length for stride, length in zip(pixels, shape[1:], strict=True))
    open_ = [stride for stride, length in zip(pixels, shape[1:], strict=True) if stride < length]
    if open_:
        least = min(open_)
        assert max(pixels) <= least + 1 or all(p <= least + 1 or p == n for p, n in zip(pixels, shape[1:], strict=True))
        assert channels * math.prod(pixels) // least * (least + 1) > colours


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("colours", [1, 2, 5, 12, 5000])
def test_components_of_one_colour_are_a_stride_apart(shape: Sequence[int], colours: int) -> None:
    colour = colouring(shape, colours)
    assert colour.shape == (math.prod(shape),)
    assert sorted(set(colour.tolist())) == list(range(colour_count(shape, colours)))
    lattice = colour.reshape(tuple(shape))
    for axis, stride in enumerate(strides(shape, colours)):
        for apart in range(1, shape[axis]):
            same = lattice.narrow(axis, 0, shape[axis] - apart) == lattice.narrow(axis, apart, shape[axis] - apart)
            assert bool(same.all()) == (apart % stride == 0)
            assert bool(same.any()) == (apart % stride == 0)


def within(colour: torch.Tensor) -> torch.Tensor:
    """1 for pairs of one colour."""
    return (colour[:, None] == colour).double()


@pytest.mark.parametrize("shape", [(1, 4), (1, 2, 2), (2, 2)])
@pytest.mark.parametrize("colours", [1, 2, 4])
def test_mean_and_variance(shape: tuple[int, ...], colours: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """All 2⁸ signs, and every colour for the one that is repeated; two nodes, one after the other."""
    matrices = along_nodes(2, 4)
    levels = torch.special.ndtri((torch.arange(colours) + 0.5) / colours).double()
    every = torch.stack([torch.cat([z, level[None]]) for z in signs(8) for level in levels])
    trace = Coloured(given(monkeypatch, every), shape, (colours,) * 2)
    assert trace.counts == (colours + 1,) * 2
    for i, (each, matrix) in enumerate(zip(found(trace, matrices, len(every)), matrices, strict=True)):
        value, variance = each.T
        torch.testing.assert_close(value.mean(), trace_of(matrix), rtol=0.0, atol=1e-12)
        expected = (1.0 - 0.5 / colours) * off_diagonal(matrix * within(colouring(shape, colours)))
        torch.testing.assert_close(value.var(correction=0), expected, rtol=1e-11, atol=1e-24)
        torch.testing.assert_close(variance.mean(), expected, rtol=1e-11, atol=1e-24)
        w = torch.zeros(2, dtype=torch.float64).index_fill(0, torch.tensor([i]), 2.0)
        integral = trace.combined(w, found(trace, matrices, len(every)))
        torch.testing.assert_close(integral.value, 2.0 * value)
        torch.testing.assert_close(integral.variance, 4.0 * variance)


def test_colours_of_different_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of five pixels three have one colour, which is repeated three times in four: six pairs to two."""
    matrix, colour = normals(1, 5, 5), torch.tensor([0, 1, 0, 1, 0])
    levels = torch.special.ndtri(torch.tensor([0.125, 0.375, 0.625, 0.875], dtype=torch.float64))
    every = torch.stack([torch.cat([z, level[None]]) for z in signs(10) for level in levels])
    value, variance = found(Coloured(given(monkeypatch, every), (1, 5), (2,)), matrix, len(every))[0].T
    torch.testing.assert_close(value.mean(), trace_of(matrix)[0], rtol=0.0, atol=1e-12)
    each = [float(off_diagonal(matrix * ((colour == c) & (colour[:, None] == c)))) for c in (0, 1)]
    expected = each[0] * (1.0 - 0.75 / 2.0) + each[1] * (1.0 - 0.25 / 2.0)
    assert float(value.var(correction=0)) == pytest.approx(expected, rel=1e-5)
    assert float(variance.mean()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("shape", "width"), [((1, 12), 3), ((1, 6, 6), 2), ((2, 5, 5), 2)])
def test_a_narrow_band_is_exact(shape: tuple[int, ...], width: int) -> None:
    """J couples pixels that are less than a stride apart along every axis, in one channel and between channels."""
    position = torch.stack(torch.meshgrid(*(torch.arange(n) for n in shape), indexing="ij")).flatten(1)[1:]
    near = ((position[:, :, None] - position[:, None]).abs() < width).all(0)
    matrix = normals(1, len(near), len(near)) * near
    trace = Coloured(keys(5), shape, (shape[0] * width ** (len(shape) - 1),))
    value, variance = found(trace, matrix, 5)[0].T
    torch.testing.assert_close(value, trace_of(matrix).expand(5), rtol=0.0, atol=1e-12)
    assert float(variance.max()) < 1e-24
    wider = ((position[:, :, None] - position[:, None]).abs() <= width).all(0)
    assert float(found(trace, normals(1, *near.shape) * wider, 5)[0][:, 1].min()) > 0.0


def test_what_is_expected() -> None:
    """The power law in the number of colours, and a J without errors."""
    matrices, w = along_nodes(2, 8), torch.tensor([0.4, 2.0], dtype=torch.float64)
    trace = Coloured(keys(3), (1, 2, 4), (1, 5))
    assert trace.counts == (2, 5)
    single = w.square() * off_diagonal(matrices)
    expected = float(single[0] + single[1] * 4.0**-1.5)
    assert trace.expected(w.numpy(), errors_of(matrices), 1.5) == pytest.approx(expected)
    diagonal = torch.diag_embed(normals(2, 8))
    integral = trace.combined(w, found(trace, diagonal, 3))
    torch.testing.assert_close(integral.value, (w @ trace_of(diagonal)).expand(3))
    assert float(integral.variance.max()) < 1e-24
    assert bool((integral.freedom >= 1.0).all())


def test_a_matrix_of_zeros_has_no_variance() -> None:
    """0/0 degrees of freedom are one."""
    trace = Coloured(keys(3), (1, 2, 4), (2, 2))
    integral = trace.combined(torch.ones(2, dtype=torch.float64), found(trace, torch.zeros(2, 8, 8).double(), 3))
    assert integral.value.tolist() == integral.variance.tolist() == [0.0] * 3
    assert integral.freedom.tolist() == [1.0] * 3

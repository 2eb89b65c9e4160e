"""Rows of a Hadamard matrix, over all signs and orders there are."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from matrices import along_nodes, errors_of, found, given, keys, normals, off_diagonal, signs, trace_of
from torch import Tensor

from fokker.generative.likelihood import hadamard
from fokker.generative.likelihood.orthogonal import Orthogonal
from fokker.solvers.noise import per_sample_keys

NO_ERRORS = np.empty((0, 3))
WEIGHTS = torch.tensor([0.3, -1.1, 0.7], dtype=torch.float64)


def designs(dim: int) -> Tensor:
    """Normals with all signs of d components and all orders of four rows, (2^d · 24, d + 4)."""
    orders = torch.tensor(list(itertools.permutations(range(4))), dtype=torch.float64)  # ranks of the rows
    each = itertools.product(signs(dim), orders)
    return torch.stack([torch.cat(pair) for pair in each])


@pytest.mark.parametrize("power", range(8))
def test_the_rows_are_orthogonal_signs(power: int) -> None:
    m = 2**power
    matrix = hadamard(torch.arange(m), m)
    assert bool((matrix.abs() == 1).all())
    torch.testing.assert_close(matrix @ matrix.T, m * torch.eye(m, dtype=torch.int64))
    torch.testing.assert_close(hadamard(torch.arange(m), max(1, m - 3)), matrix[:, : max(1, m - 3)])


@pytest.mark.parametrize("dim", [3, 4])
@pytest.mark.parametrize("counts", [(1, 1, 1), (2, 1, 2), (2, 2, 2), (1, 3, 2), (2, 9, 2), (3, 2, 2)])
def test_the_variance_with_dependent_nodes(dim: int, counts: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Mean and variance of the integral over all 2^d · 24 designs, for nodes that share rows, and one with all."""
    matrices, every = along_nodes(3, dim), designs(dim)
    trace = Orthogonal(given(monkeypatch, every), dim, counts, errors_of(matrices))
    integral = trace.combined(WEIGHTS, found(trace, matrices, len(every)))
    truth = WEIGHTS @ trace_of(matrices)
    torch.testing.assert_close(integral.value.mean(), truth, rtol=0.0, atol=1e-12)
    variance = float((integral.value - truth).square().mean())
    assert trace.expected(WEIGHTS.numpy(), errors_of(matrices), 1.0) == pytest.approx(variance, rel=1e-11)
    single = off_diagonal(matrices[0]) / 1.0
    assert float(found(trace, matrices, len(every))[0][:, 0].var(correction=0)) == pytest.approx(
        float(single) if counts[0] < dim else 0.0, rel=1e-11, abs=1e-20
    )


@pytest.mark.parametrize("counts", [(2, 1, 1), (3, 1), (1, 2, 1)])
def test_the_scale_is_that_of_the_sample(counts: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """No row occurs twice, and the spread within the nodes is unbiased: over all designs the variance is, too, and
    twice as large errors have four times of it, whatever the size of the pilot's.
    """
    matrices, every = along_nodes(len(counts), 4), designs(4)
    w = WEIGHTS[: len(counts)]
    of = given(monkeypatch, every)
    trace = Orthogonal(of, 4, counts, errors_of(matrices))
    expected = trace.expected(w.numpy(), errors_of(matrices), 1.0)
    for factor in (1.0, 2.0):
        other = Orthogonal(of, 4, counts, 3.0 * errors_of(matrices))
        variance = other.combined(w, found(other, factor * matrices, len(every))).variance
        assert float(variance.mean()) == pytest.approx(factor**2 * expected, rel=1e-11)


def test_rows_that_come_again_show_what_changes_along_the_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both nodes have the same two of four rows in turn. Signs alternate, so that a J without change has no sums."""
    constant = normals(1, 4, 4).expand(4, -1, -1)
    every = designs(4)
    changing = along_nodes(4, 4)
    w = torch.ones(4, dtype=torch.float64)
    trace = Orthogonal(given(monkeypatch, every), 4, (2,) * 4, errors_of(changing))
    assert float(trace.combined(w, found(trace, constant, len(every))).variance.abs().max()) < 1e-12
    assert float(trace.combined(w, found(trace, changing, len(every))).variance.min()) > 1e-6


@pytest.mark.parametrize("dim", [3, 4])
def test_frozen_rows(dim: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their variance, with the correction for a finite population, is unbiased."""
    matrices, every = along_nodes(3, dim), designs(dim)
    trace = Orthogonal(given(monkeypatch, every), dim, (2,) * 3, NO_ERRORS, frozen=True)
    integral = trace.combined(WEIGHTS, found(trace, matrices, len(every)))
    truth = WEIGHTS @ trace_of(matrices)
    torch.testing.assert_close(integral.value.mean(), truth, rtol=0.0, atol=1e-12)
    variance = float((integral.value - truth).square().mean())
    assert float(integral.variance.mean()) == pytest.approx(variance, rel=1e-11)
    assert trace.expected(WEIGHTS.numpy(), errors_of(matrices), 1.0) == pytest.approx(variance, rel=1e-11)
    assert integral.freedom.tolist() == [1.0] * len(every)


@pytest.mark.parametrize("dim", [1, 2, 5, 8])
@pytest.mark.parametrize("frozen", [False, True])
def test_as_many_rows_as_dimensions_are_exact(dim: int, frozen: bool) -> None:
    matrices = along_nodes(3, dim)
    trace = Orthogonal(keys(4), dim, (dim,) * 3, errors_of(matrices), frozen)
    integral = trace.combined(WEIGHTS, found(trace, matrices, 4))
    torch.testing.assert_close(integral.value, (WEIGHTS @ trace_of(matrices)).expand(4), rtol=0.0, atol=1e-12)
    assert integral.variance.tolist() == [0.0] * 4
    assert trace.expected(WEIGHTS.numpy(), errors_of(matrices), 1.0) == 0.0


def test_rows_that_go_round_once_leave_no_error_of_a_constant_matrix() -> None:
    """Four nodes with equal weights share eight rows of five dimensions."""
    matrices = normals(1, 5, 5).expand(4, -1, -1)
    trace = Orthogonal(keys(6), 5, (2,) * 4, errors_of(matrices))
    w = torch.full((4,), 0.25, dtype=torch.float64)
    integral = trace.combined(w, found(trace, matrices, 6))
    torch.testing.assert_close(integral.value, trace_of(matrices[:1]).expand(6), rtol=0.0, atol=1e-12)
    assert trace.expected(w.numpy(), errors_of(matrices), 1.0) == pytest.approx(0.0, abs=1e-12)


def test_what_the_run_cannot_tell() -> None:
    """Without a pilot there is no variance; a pilot without errors, and single rows, leave its scale alone."""
    matrices = along_nodes(3, 4)
    trace = Orthogonal(keys(2), 4, (2,) * 3, NO_ERRORS)
    assert bool(trace.combined(WEIGHTS, found(trace, matrices, 2)).variance.isnan().all())
    trace = Orthogonal(keys(2), 4, (2,) * 3, np.zeros((5, 3)))
    integral = trace.combined(WEIGHTS, found(trace, 0.0 * matrices, 2))
    assert integral.variance.tolist() == [0.0, 0.0]
    assert integral.freedom.tolist() == [5.0, 5.0]
    trace = Orthogonal(keys(2), 4, (1,) * 3, errors_of(matrices))
    variance = trace.expected(WEIGHTS.numpy(), errors_of(matrices), 1.0)
    assert trace.combined(WEIGHTS, found(trace, matrices, 2)).variance.tolist() == [variance] * 2


def test_signs_and_order_are_those_of_the_sample() -> None:
    """All of 64 samples have designs of their own, the same in float32 and float64."""
    of, x = per_sample_keys(0, 64, torch.device("cpu")), normals(64, 8)
    trace = Orthogonal(of, 8, (8,) * 2, NO_ERRORS)
    made, order = trace._design(x)
    assert len({tuple(row) for row in torch.cat([made, order], 1).tolist()}) == 64
    assert bool((order.sort(1).values == torch.arange(8)).all())
    torch.testing.assert_close(trace._design(x.float())[0].double(), made)
    assert math.isfinite(float(made.sum()))

"""Hutchinson's probes and Hutch++, over all draws there are."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from matrices import (
    along_nodes,
    errors_of,
    found,
    given,
    keys,
    normals,
    off_diagonal,
    products_of,
    signs,
    trace_of,
    tuples,
)
from torch import Tensor

from fokker.generative.likelihood import draws, hutchinson as module
from fokker.generative.likelihood.hutchinson import Hutchinson, HutchPlusPlus
from fokker.generative.likelihood.trace import Trace
from fokker.solvers.noise import per_sample_keys

WEIGHTS = torch.tensor([0.3, -1.1, 0.7], dtype=torch.float64)


def test_hutchinson_over_all_sign_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mean and variance of one probe are exact averages over 2^d of them."""
    matrices, z = along_nodes(3, 6), signs(6)
    trace = Hutchinson(given(monkeypatch, z), (1,) * 3)
    for each, matrix in zip(found(trace, matrices, 64), matrices, strict=True):
        torch.testing.assert_close(each.mean(), trace_of(matrix), rtol=0.0, atol=1e-13)
        torch.testing.assert_close(each.var(correction=0), off_diagonal(matrix), rtol=1e-12, atol=0.0)


def test_hutchinson_with_normal_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three Gauss-Hermite nodes a component give both moments exactly: the estimate is a polynomial of degree 2."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    grid = torch.tensor(list(itertools.product(nodes, repeat=4)))
    share = torch.tensor(list(itertools.product(weights / weights.sum(), repeat=4))).prod(1)
    matrix = normals(1, 4, 4)
    (each,) = found(Hutchinson(given(monkeypatch, grid), (1,), "gaussian"), matrix, len(grid))
    mean = each[:, 0] @ share
    torch.testing.assert_close(mean, trace_of(matrix)[0], rtol=0.0, atol=1e-12)
    variance = (each[:, 0] - mean).square() @ share
    torch.testing.assert_close(variance, 0.5 * (matrix + matrix.mT).square().sum(), rtol=1e-12, atol=0.0)


def independent(z: Tensor, nodes: int) -> Tensor:
    """All ways to draw the rows of z at the nodes, (nodes, B, …)."""
    return tuples(z, nodes).transpose(0, 1).flatten(2)


def check_unbiased(trace: Trace, matrices: Tensor, samples: int, gain: float = 1.0) -> None:
    """The value, its variance and what is expected of it, if the samples are all draws there are."""
    w = WEIGHTS[: len(matrices)]
    integral = trace.combined(w, found(trace, matrices, samples))
    truth = w @ trace_of(matrices)
    torch.testing.assert_close(integral.value.mean(), truth, rtol=0.0, atol=1e-12)
    variance = (integral.value - truth).square().mean()
    torch.testing.assert_close(integral.variance.mean(), variance, rtol=1e-11, atol=0.0)
    assert trace.expected(w.numpy(), errors_of(matrices), gain) == pytest.approx(float(variance), rel=1e-11)


def test_probes_of_their_own_at_every_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variance of the integral from the spread within the nodes: all 8⁴ pairs of probes at two nodes."""
    z = independent(tuples(signs(3), 2), 2)
    check_unbiased(Hutchinson(given(monkeypatch, z), (2, 2)), along_nodes(2, 3), 8**4)


def test_other_numbers_of_probes_at_every_node() -> None:
    """The formula, with a covariance that is exact."""
    matrices, counts = along_nodes(3, 4), (2, 5, 9)
    expected = float((WEIGHTS.square() * off_diagonal(matrices) / torch.tensor(counts)).sum())
    assert Hutchinson(keys(0), counts).expected(WEIGHTS.numpy(), errors_of(matrices), 1.0) == pytest.approx(expected)


def test_frozen_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two probes that are the same at three nodes: the variance of the sum, which is that of the summed matrix."""
    matrices = along_nodes(3, 4)
    z = tuples(signs(4), 2).flatten(1)
    trace = Hutchinson(given(monkeypatch, z), (2,) * 3, frozen=True)
    check_unbiased(trace, matrices, 16**2)
    summed = torch.einsum("n,nij->ij", WEIGHTS, matrices)
    expected = trace.expected(WEIGHTS.numpy(), errors_of(matrices), 1.0)
    assert expected == pytest.approx(float(off_diagonal(summed)) / 2.0)


@pytest.mark.parametrize("frozen", [False, True])
def test_one_probe_has_no_spread(frozen: bool) -> None:
    trace = Hutchinson(keys(4), (1,) * 3, frozen=frozen)
    integral = trace.combined(WEIGHTS, found(trace, along_nodes(3, 4), 4))
    assert bool(integral.variance.isnan().all())
    assert integral.freedom.tolist() == [1.0] * 4


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_hutch_plus_plus_is_exact_for_low_ranks(rank: int) -> None:
    matrices = normals(1, 7, rank) @ normals(1, rank, 7)
    (each,) = found(HutchPlusPlus(keys(3), (6,)), matrices, 3)
    torch.testing.assert_close(each, trace_of(matrices).expand(3, 2), rtol=0.0, atol=1e-12)


def test_hutch_plus_plus_over_all_sign_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """For any fixed sketch the mean is the trace, and the variance that of a probe of P J P.

    A range finder of another kind, singular vectors of Jᵀ S, gives P.
    """
    dim, count, matrix = 6, 2, normals(1, 6, 6)
    z, sketch = tuples(signs(dim), count).flatten(1), normals(1, count * dim)
    monkeypatch.setattr(
        module,
        "draws",
        lambda *arguments: (z if arguments[-1] == "rademacher" else sketch.expand(len(z), -1)).reshape(
            1, -1, count, dim
        ),
    )
    (each,) = found(HutchPlusPlus(keys(len(z)), (3 * count,)), matrix, len(z))
    basis = torch.linalg.svd(products_of(matrix)(sketch.reshape(count, 1, dim))[:, 0].T, full_matrices=False).U
    rest = torch.eye(dim, dtype=torch.float64) - basis @ basis.mT
    torch.testing.assert_close(each.mean(0), trace_of(matrix).expand(count), rtol=0.0, atol=1e-13)
    expected = off_diagonal(rest @ matrix[0] @ rest)
    torch.testing.assert_close(each.var(0, correction=0), expected.expand(count), rtol=1e-11, atol=0.0)


def test_what_is_expected_of_a_sketch() -> None:
    """The power law in the number k of sketched directions, of which there are 3 k products."""
    matrices = along_nodes(3, 8)
    expected = WEIGHTS.square() * off_diagonal(matrices)
    trace = HutchPlusPlus(keys(0), (3, 6, 12))
    law = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64) ** -0.6
    assert trace.expected(WEIGHTS.numpy(), errors_of(matrices), 0.6) == pytest.approx(float(expected @ law))


@pytest.mark.parametrize("law", ["rademacher", "gaussian"])
def test_draws_depend_on_seed_sample_and_node_alone(law: str) -> None:
    x, of = normals(5, 6), per_sample_keys(7, 5, torch.device("cpu"))
    z = draws(of, [0, 3], (4, 6), x, law)
    assert z.shape == (2, 5, 4, 6)
    assert z.dtype == x.dtype
    torch.testing.assert_close(draws(of.of_rows(torch.tensor([4, 1])), [3], (4, 6), x, law)[0], z[1, [4, 1]])
    torch.testing.assert_close(draws(of, [0, 3], (2, 6), x, law), z[:, :, :2])
    assert not torch.equal(draws(per_sample_keys(8, 5, torch.device("cpu")), [0, 3], (4, 6), x, law), z)
    assert len({tuple(row) for row in z.flatten(0, 1).flatten(1).tolist()}) == 10


def test_the_laws() -> None:
    """E z zᵀ = I: 2¹⁶ probes, each of 10 entries within 5.5 standard errors (false alarms: 4e-7; a correlation of 0.03
    and a variance off by 0.05 are seen).
    """
    n = 2**16
    of = per_sample_keys(3, n, torch.device("cpu"))
    rademacher, gaussian = (draws(of, [0], (4,), normals(1, 4), law)[0] for law in ("rademacher", "gaussian"))
    assert bool((rademacher.abs() == 1.0).all())
    torch.testing.assert_close(rademacher, gaussian.sign(), rtol=0.0, atol=0.0)
    for z in (rademacher, gaussian):
        bound = 5.5 * (2.0 / n) ** 0.5
        assert float((z.T @ z / n - torch.eye(4, dtype=torch.float64)).abs().max()) < bound
        assert float(z.mean(0).abs().max()) < 5.5 / n**0.5

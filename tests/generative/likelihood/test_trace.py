"""Estimators of a trace on matrices: their expectations and variances over all draws there are, without Monte Carlo."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fokker.generative.likelihood import Exact, Hutchinson, probes, trace as module
from fokker.generative.likelihood.trace import HutchPlusPlus, Products, estimator
from fokker.solvers import standard_normal

GENERATOR = torch.Generator().manual_seed(0)


def normals(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=GENERATOR)


def signs(dim: int) -> Tensor:
    """All sign vectors, (2^d, d)."""
    return torch.tensor(list(itertools.product((-1.0, 1.0), repeat=dim)), dtype=torch.float64)


def products_of(matrices: Tensor) -> Products:
    """v -> vᵀ J with matrices (B, d, d)."""
    return lambda directions: torch.einsum("bij,mbi->mbj", matrices, directions)


def traces(matrices: Tensor) -> Tensor:
    return matrices.diagonal(dim1=-2, dim2=-1).sum(-1)


def off_diagonal(matrices: Tensor) -> Tensor:
    """2 Σ_{i≠j} S_ij², (B,)."""
    part = 0.5 * (matrices + matrices.mT)
    return 2.0 * (part - torch.diag_embed(part.diagonal(dim1=-2, dim2=-1))).square().sum((1, 2))


class Counted:
    """Products that count their directions, and how often they are asked."""

    def __init__(self, matrices: Tensor) -> None:
        self.products, self.directions, self.most, self.calls = products_of(matrices), 0, 0, 0

    def __call__(self, directions: Tensor) -> Tensor:
        self.calls += 1
        self.directions += len(directions)
        self.most = max(self.most, directions.numel())
        return self.products(directions)


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_the_exact_trace(at_once: int) -> None:
    matrices = normals(3, 5, 5)
    found = Exact(5, at_once, 1)(products_of(matrices), normals(3, 5))
    torch.testing.assert_close(found, traces(matrices)[:, None], rtol=0.0, atol=1e-14)


def test_hutchinson_over_all_sign_vectors() -> None:
    """Mean and variance of one Rademacher probe are exact averages over 2^d of them."""
    matrices = normals(3, 6, 6)
    z = signs(6)[:, None].expand(-1, 3, -1)
    found = Hutchinson(z, 1)(products_of(matrices), normals(3, 6))
    assert found.shape == (3, 64)
    torch.testing.assert_close(found.mean(1), traces(matrices), rtol=0.0, atol=1e-13)
    torch.testing.assert_close(found.var(1, correction=0), off_diagonal(matrices), rtol=1e-12, atol=0.0)


def test_hutchinson_with_normal_probes() -> None:
    """Of the estimate, a polynomial of degree 2 in each component, three Gauss-Hermite nodes give both moments exactly.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    grid = torch.tensor(list(itertools.product(nodes, repeat=4)))
    share = torch.tensor(list(itertools.product(weights / weights.sum(), repeat=4))).prod(1)
    matrices = normals(3, 4, 4)
    found = Hutchinson(grid[:, None].expand(-1, 3, -1), 1)(products_of(matrices), normals(3, 4))
    mean = found @ share
    part = 0.5 * (matrices + matrices.mT)
    torch.testing.assert_close(mean, traces(matrices), rtol=0.0, atol=1e-12)
    variance = (found - mean[:, None]).square() @ share
    torch.testing.assert_close(variance, 2.0 * part.square().sum((1, 2)), rtol=1e-12, atol=0.0)


def test_the_variance_of_a_mean_falls_like_one_over_k() -> None:
    """Over all triples of probes in three dimensions, one triple a sample."""
    triples = torch.tensor(list(itertools.product(range(8), repeat=3)))
    z = signs(3)[triples].transpose(0, 1)  # (3, 512, 3)
    matrices = normals(1, 3, 3).expand(512, 3, 3)
    found = Hutchinson(z, 1)(products_of(matrices), normals(512, 3))
    torch.testing.assert_close(found.mean(1).var(correction=0), off_diagonal(matrices)[0] / 3.0)


def test_each_channel_knows_its_own_probe_alone() -> None:
    matrices, z = normals(2, 5, 5), normals(4, 2, 5)
    together = Hutchinson(z, 1)(products_of(matrices), normals(2, 5))
    for k in range(4):
        alone = Hutchinson(z[k : k + 1], 1)(products_of(matrices), normals(2, 5))
        torch.testing.assert_close(together[:, k : k + 1], alone)


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_hutch_plus_plus_is_exact_for_low_ranks(rank: int) -> None:
    matrices = normals(3, 7, rank) @ normals(3, rank, 7)
    found = HutchPlusPlus(normals(2, 3, 7), normals(2, 3, 7), 1)(products_of(matrices), normals(3, 7))
    torch.testing.assert_close(found, traces(matrices)[:, None].expand(-1, 2), rtol=0.0, atol=1e-12)


def test_hutch_plus_plus_over_all_sign_vectors() -> None:
    """For any fixed sketch the mean is the trace, and the variance that of a probe of P J P.

    A range finder of another kind, singular vectors of Jᵀ S, gives P.
    """
    dim, count = 6, 2
    matrices, sketch = normals(3, dim, dim), normals(count, 3, dim)
    basis = torch.linalg.svd(products_of(matrices)(sketch).permute(1, 2, 0), full_matrices=False).U  # (B, d, k)
    rest = torch.eye(dim, dtype=torch.float64) - basis @ basis.mT
    estimators = [HutchPlusPlus(sketch, z[:, None].expand(-1, 3, -1), 1) for z in signs(dim).split(count)]
    every = torch.cat([made(products_of(matrices), normals(3, dim)) for made in estimators], dim=1)
    assert every.shape == (3, 64)
    torch.testing.assert_close(every.mean(1), traces(matrices), rtol=0.0, atol=1e-13)
    torch.testing.assert_close(every.var(1, correction=0), off_diagonal(rest @ matrices @ rest), rtol=1e-11, atol=0.0)


@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_hutch_plus_plus_is_differentiable_where_the_jacobian_vanishes_too(scale: float) -> None:
    """The gradient is that of an estimate with a fixed Q: averaged over all sign vectors that of the trace, I."""
    matrices, sketch = (scale * normals(1, 4, 4)).requires_grad_(), normals(1, 1, 4)
    total = torch.zeros((), dtype=torch.float64)
    for z in signs(4)[:, None, None]:
        total = total + HutchPlusPlus(sketch, z, 1)(products_of(matrices), normals(1, 4)).sum() / 16.0
    (gradient,) = torch.autograd.grad(total, matrices)
    torch.testing.assert_close(gradient[0], torch.eye(4, dtype=torch.float64), rtol=0.0, atol=1e-13)


def test_sketches_are_in_general_position() -> None:
    """In two dimensions every second pair of sign vectors is parallel, and Q then a matter of rounding."""
    made = estimator("hutch++", 2, "rademacher", normals(200, 4), 0)
    assert isinstance(made, HutchPlusPlus)
    assert float(torch.linalg.svdvals(made.sketch.transpose(0, 1))[:, -1].min()) > 1e-3


@pytest.mark.parametrize(("kind", "count"), [("exact", 1), ("hutchinson", 1), ("hutchinson", 3), ("hutch++", 2)])
def test_estimators_say_what_they_take(kind: str, count: int) -> None:
    dim = 8
    x, matrices = normals(3, dim), normals(3, dim, dim)
    made = estimator(kind, count, "rademacher", x, 0)
    products = Counted(matrices)
    found = made(products, x)
    assert found.shape == (3, made.channels)
    assert products.directions == made.directions
    assert products.calls == (2 if kind == "hutch++" else 1)  # the second needs what the first has found
    assert made.directions == {"exact": dim, "hutchinson": count, "hutch++": 3 * count}[kind]
    assert made.channels == (1 if kind == "exact" else count)
    assert made.exact == (kind == "exact")


@pytest.mark.parametrize(("kind", "count"), [("exact", 1), ("hutchinson", 3), ("hutch++", 2)])
def test_directions_fit_the_memory_that_they_may_take(kind: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = estimator(kind, count, "rademacher", normals(16, 8), 0)
    x, matrices = normals(16, 8), normals(16, 8, 8)
    expected = whole(products_of(matrices), x)
    for numbers in (32, 200):
        monkeypatch.setattr(module, "NUMBERS_IN_CACHE", numbers)
        small = estimator(kind, count, "rademacher", x, 0)
        most = []
        for rows in torch.arange(16).split(small.points):
            products = Counted(matrices[rows])
            found = small.of_rows(rows)(products, x[rows])
            most.append(products.most)
            torch.testing.assert_close(found, expected[rows], rtol=0.0, atol=1e-13)
        assert numbers // 2 < max(most) <= numbers


@pytest.mark.parametrize("law", ["rademacher", "gaussian"])
def test_a_samples_probes_depend_on_seed_and_position_alone(law: str) -> None:
    x = normals(5, 2, 3)
    z = probes(law, 4, x, 7)
    assert z.shape == (4, 5, 6)
    assert z.dtype == x.dtype
    torch.testing.assert_close(probes(law, 4, x[:3], 7), z[:, :3], rtol=0.0, atol=0.0)
    torch.testing.assert_close(probes(law, 2, x, 7), z[:2], rtol=0.0, atol=0.0)
    assert not torch.equal(probes(law, 4, x, 8), z)
    assert len({tuple(row) for row in z.transpose(0, 1).flatten(1).tolist()}) == 5
    own = probes(law, 4, x, [3, 1, 4, 1, 5])
    torch.testing.assert_close(own[:, 1], own[:, 3], rtol=0.0, atol=0.0)
    torch.testing.assert_close(probes(law, 4, x[2:3], [4]), own[:, 2:3], rtol=0.0, atol=0.0)
    made = estimator("hutchinson", 4, law, x, 7)
    assert isinstance(made, Hutchinson)
    torch.testing.assert_close(made.z, z, rtol=0.0, atol=0.0)
    picked = made.of_rows(torch.tensor([4, 0, 4]))
    assert isinstance(picked, Hutchinson)
    torch.testing.assert_close(picked.z, z[:, [4, 0, 4]], rtol=0.0, atol=0.0)
    sketched = estimator("hutch++", 2, law, x, 7)
    assert isinstance(sketched, HutchPlusPlus)
    torch.testing.assert_close(sketched.sketch, probes("gaussian", 2, x, 7), rtol=0.0, atol=0.0)
    torch.testing.assert_close(sketched.z, z[2:], rtol=0.0, atol=0.0)
    rows = sketched.of_rows(torch.tensor([2]))
    assert isinstance(rows, HutchPlusPlus)
    torch.testing.assert_close(rows.sketch, sketched.sketch[:, 2:3], rtol=0.0, atol=0.0)
    torch.testing.assert_close(rows.z, z[2:, 2:3], rtol=0.0, atol=0.0)


def test_the_laws() -> None:
    """E z zᵀ = I: 2¹⁶ probes, each of 10 entries within 5.5 standard errors (false alarms: 4e-7; a correlation of 0.03
    and a variance off by 0.05 are seen).
    """
    n = 2**16
    x = normals(n, 4)
    rademacher, gaussian = (probes(law, 1, x, 3)[0] for law in ("rademacher", "gaussian"))
    assert bool((rademacher.abs() == 1.0).all())
    torch.testing.assert_close(gaussian, standard_normal(x, 3), rtol=0.0, atol=0.0)
    torch.testing.assert_close(rademacher, gaussian.sign(), rtol=0.0, atol=0.0)
    for z in (rademacher, gaussian):
        bound = 5.5 * (2.0 / n) ** 0.5
        assert float((z.T @ z / n - torch.eye(4, dtype=torch.float64)).abs().max()) < bound
        assert float(z.mean(0).abs().max()) < 5.5 / n**0.5


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("hutchinson", 1, "uniform"), "Unknown law of probes 'uniform'; choose one of rademacher, gaussian"),
        (("hutch++", 2, "rademacher"), "sketches 2 directions and needs at least 4 dimensions, but there are 3"),
        (("xtrace", 1, "rademacher"), "Unknown trace 'xtrace'; choose one of exact, hutchinson, hutch\\+\\+, auto"),
    ],
)
def test_what_does_not_fit_is_refused(arguments: Any, sentence: str) -> None:
    kind, count, law = arguments
    with pytest.raises(ValueError, match=sentence):
        estimator(kind, count, law, normals(2, 3), 0)

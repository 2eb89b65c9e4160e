"""The exact trace, and what all estimators have in common."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from matrices import Counted, along_nodes, errors_of, found, keys, normals, products_of, trace_of

from fokker.generative.likelihood import exact_trace, trace as module
from fokker.generative.likelihood.coloured import Coloured
from fokker.generative.likelihood.hutchinson import Hutchinson, HutchPlusPlus
from fokker.generative.likelihood.orthogonal import Orthogonal
from fokker.generative.likelihood.trace import Exact, Trace
from fokker.solvers.noise import Keys, per_sample_keys

WEIGHTS = torch.tensor([0.3, -1.1, 0.7], dtype=torch.float64)


@pytest.mark.parametrize("points", [1, 3, 20])
@pytest.mark.parametrize("numbers", [1, 8, 2**14])
def test_the_exact_trace(points: int, numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With few directions at once, and one after the other where there are many points."""
    monkeypatch.setattr(module, "NUMBERS_IN_CACHE", numbers)
    matrices = normals(points, 5, 5)
    value = exact_trace(products_of(matrices), normals(points, 5))
    torch.testing.assert_close(value, trace_of(matrices), rtol=0.0, atol=1e-14)


def test_the_exact_trace_along_nodes() -> None:
    matrices, trace = along_nodes(3, 5), Exact(5, 3)
    integral = trace.combined(WEIGHTS, found(trace, matrices, 2))
    torch.testing.assert_close(integral.value, (WEIGHTS @ trace_of(matrices)).expand(2), rtol=0.0, atol=1e-13)
    assert integral.variance.tolist() == [0.0, 0.0]
    assert integral.freedom.tolist() == [math.inf, math.inf]
    assert trace.expected(WEIGHTS.numpy(), errors_of(matrices), 1.0) == 0.0


@pytest.mark.parametrize(
    "trace",
    [
        Exact(8, 1),
        Hutchinson(keys(3), (3,)),
        HutchPlusPlus(keys(3), (6,)),
        Orthogonal(keys(3), 8, (5,), np.empty((0, 1))),
        Orthogonal(keys(3), 8, (9,), np.empty((0, 1))),
        Coloured(keys(3), (2, 2, 2), (4,)),
    ],
    ids=lambda trace: f"{type(trace).__name__}-{trace.counts[0]}",
)
def test_estimators_take_what_they_say(trace: Trace) -> None:
    products = Counted(normals(3, 8, 8))
    trace.estimates([0], products, normals(3, 8))
    assert products.directions == min(trace.counts[0], 8)


@pytest.mark.parametrize("kind", ["hutchinson", "hutch++", "orthogonal", "coloured"])
@pytest.mark.parametrize("frozen", [False, True])
def test_a_sample_and_a_node_have_their_own_estimate(kind: str, frozen: bool) -> None:
    """It does not matter which nodes and samples are computed together. Frozen probes are the same at all nodes."""
    if frozen and kind == "coloured":
        return
    of, matrices = per_sample_keys(1, 4, torch.device("cpu")), normals(3, 4, 8, 8)

    def made(of: Keys) -> Trace:
        if kind == "orthogonal":
            return Orthogonal(of, 8, (3,) * 3, np.empty((0, 3)), frozen)
        if kind == "coloured":
            return Coloured(of, (1, 2, 4), (4,) * 3)
        if kind == "hutch++":
            return HutchPlusPlus(of, (6,) * 3, frozen=frozen)
        return Hutchinson(of, (3,) * 3, frozen=frozen)

    together = made(of).estimates([0, 1, 2], products_of(matrices.flatten(0, 1)), normals(12, 8))
    rows = torch.tensor([3, 1])
    alone = made(of).of_rows(rows).estimates([2], products_of(matrices[2, rows]), normals(2, 8))
    torch.testing.assert_close(alone[0], together[2, rows], rtol=0.0, atol=1e-12)
    same = made(of).estimates([0, 1], products_of(matrices[:1].expand(2, -1, -1, -1).flatten(0, 1)), normals(8, 8))
    assert torch.allclose(same[0], same[1]) == frozen

"""Entropies and distances of known laws, against closed forms and against one another."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from fokker.generative import VP, CondOT
from fokker.verification import Gaussian, GaussianMixture
from fokker.verification.oracles import Laplace, Uniform
from fokker.verification.statistics import gaussian_w2
from fokker.verification.statistics.distances import entropy, expectation, gaussian_kl, kl, w2

FLOAT = torch.float64
M, N = torch.tensor([0.3, -1.0], dtype=FLOAT), torch.tensor([1.0, 0.5], dtype=FLOAT)
C = torch.tensor([[0.5, 0.2], [0.2, 0.4]], dtype=FLOAT)
D = torch.tensor([[1.5, -0.3], [-0.3, 0.7]], dtype=FLOAT)


def line(mean: float, deviation: float) -> Gaussian:
    return Gaussian(torch.tensor([mean], dtype=FLOAT), torch.tensor([[deviation**2]], dtype=FLOAT))


def root(cov: torch.Tensor) -> torch.Tensor:
    values, vectors = torch.linalg.eigh(cov)
    return vectors @ torch.diag(values.sqrt()) @ vectors.T


def test_w2_is_the_trace_formula() -> None:
    between = root(root(C) @ D @ root(C))
    expected = math.sqrt(float((M - N).square().sum() + (C + D - 2.0 * between).trace()))
    assert gaussian_w2(M, C, N, D) == pytest.approx(expected, rel=1e-12)
    assert gaussian_w2(M, C, M, C) < 1e-14
    assert gaussian_w2(M, 0.0 * C, N, 0.0 * D) == pytest.approx(float((M - N).norm()), rel=1e-12)  # points


def test_w2_of_near_laws_does_not_cancel() -> None:
    """On the line |s − s'|, to rounding of s, where the trace formula has only half its digits."""
    assert gaussian_w2(M[:1], C[:1, :1], M[:1], C[:1, :1] * (1.0 + 1e-12) ** 2) == pytest.approx(
        1e-12 * math.sqrt(0.5), rel=1e-3
    )


def test_kl_is_the_closed_form() -> None:
    """½ [tr D⁻¹C − d + log det D/det C + δᵀ D⁻¹ δ]."""
    inverse, apart = torch.linalg.inv(D), M - N
    logs = torch.logdet(D) - torch.logdet(C)
    expected = 0.5 * float((inverse @ C).trace() - 2.0 + logs + apart @ inverse @ apart)
    assert gaussian_kl(M, C, N, D) == pytest.approx(expected, rel=1e-12)
    assert gaussian_kl(M, C, M, C) == pytest.approx(0.0, abs=1e-15)
    assert math.isinf(gaussian_kl(M, torch.diag(torch.tensor([1.0, 0.0], dtype=FLOAT)), N, D))


@pytest.mark.parametrize(("t", "path"), [(1.0, None), (0.4, CondOT()), (0.7, VP())])
def test_quadrature_agrees_with_the_closed_forms(t: float, path: CondOT | VP | None) -> None:
    """A mixture of one component has no closed form of its own here."""
    one, two = line(0.3, 0.7), line(-0.5, 1.2)
    mixtures = [GaussianMixture(law.weights, law.means, law.covs) for law in (one, two)]
    assert kl(*mixtures, t, path) == pytest.approx(kl(one, two, t, path), rel=1e-11)
    assert w2(*mixtures, t, path) == pytest.approx(w2(one, two, t, path), rel=1e-10)
    assert entropy(mixtures[0], t, path) == pytest.approx(entropy(one, t, path), rel=1e-11)
    deviation = 0.7 if path is None else math.hypot(path.alpha(t) * 0.7, path.sigma(t))
    assert entropy(one, t, path) == pytest.approx(0.5 * math.log(2.0 * math.pi * math.e * deviation**2), rel=1e-12)


def test_entropies_that_are_known() -> None:
    assert entropy(Uniform(-1.0, 2.0)) == pytest.approx(math.log(3.0), rel=1e-11)
    assert entropy(Laplace(0.3, 0.7)) == pytest.approx(1.0 + math.log(1.4), rel=1e-11)


def test_distances_that_are_known() -> None:
    """Uniform: W₂² = δ² + (w − w')²/12. Laplace: W₂² = δ² + 2 (b − b')², and KL = e^−r + r − 1 for b = b', δ = r b."""
    assert w2(Uniform(0.0, 1.0), Uniform(1.0, 4.0)) == pytest.approx(math.sqrt(4.0 + 4.0 / 12.0), rel=1e-10)
    assert w2(Laplace(0.0, 1.0), Laplace(1.0, 1.5)) == pytest.approx(math.sqrt(1.0 + 0.5), rel=1e-10)
    assert kl(Laplace(0.0, 2.0), Laplace(1.0, 2.0)) == pytest.approx(math.exp(-0.5) - 0.5, rel=1e-10)


def test_expectations() -> None:
    """E sin X = sin(m) e^(−s²/2); E|X − m| = s √(2/π), a kink."""
    law = line(0.4, 0.9)
    assert expectation(law, lambda x: x[:, 0].sin()) == pytest.approx(math.sin(0.4) * math.exp(-0.405), rel=1e-11)
    assert expectation(law, lambda x: (x[:, 0] - 0.4).abs()) == pytest.approx(0.9 * math.sqrt(2.0 / math.pi), rel=1e-11)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gaussian_w2(M, C, N, D[:1]), "The moments have the shapes"),
        (lambda: gaussian_w2(M, -C, N, D), "none may be negative"),
        (lambda: gaussian_w2(M * math.nan, C, N, D), "square of mean is nan"),
        (lambda: gaussian_w2(M, C, N, D.triu()), "other_cov is not symmetric"),
        (lambda: gaussian_w2(M, 1e308 * torch.eye(2).double(), N, D), "too large for float64"),
        (lambda: gaussian_kl(M, C, N, 0.0 * D), "singular"),
        (lambda: gaussian_kl(M, -C, N, D), "none may be negative"),
        (lambda: expectation(C, lambda x: x[:, 0]), "law is of type Tensor"),
        (lambda: expectation(line(0.0, 1.0), 3), "function is of type int"),
        (lambda: expectation(line(0.0, 1.0), lambda x: x), r"must return numbers of shape \("),
        (lambda: expectation(line(0.0, 1.0), lambda x: x[:, 0].log()), "must return numbers"),
        (lambda: entropy(Laplace(), math.nan, CondOT()), "t is nan"),
        (lambda: kl(Laplace(), "normal"), "other is of type str"),
        (lambda: w2(Gaussian(M, C), Laplace()), "no distribution function"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call: Callable[[], object], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message) as failure:
        call()
    assert "\n" not in str(failure.value)


def test_laws_that_are_equal_are_told_so_at_once() -> None:
    """Where all that is left is rounding, halving panels finds nothing. At t = 0 every law is N(0, 1)."""
    one, other = Laplace(0.3, 0.7), Uniform(-1.0, 1.0)
    assert abs(kl(one, other, 0.0, CondOT())) < 1e-13
    assert w2(one, other, 0.0, CondOT()) < 1e-12

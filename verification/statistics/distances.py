"""Entropies and distances of laws that are known: closed forms for normal laws, quadrature on the line.

    W₂²(N(m, C), N(m', C')) = ‖m − m'‖² + min_U ‖C^½ − C'^½ U‖²,    U orthogonal
    KL(N(m, C) ‖ N(m', C')) = ½ [δᵀ C'⁻¹ δ + Σ_i (λ_i − 1 − log λ_i)],    λ the eigenvalues of C'⁻¹ C, δ = m − m'

U is the polar factor of C'^½ C^½. The minimum equals tr(C + C' − 2 (C^½ C' C^½)^½), but that form loses all digits by
cancellation where the two laws are close. On the line every expectation is one over a normal score n,

    E f(X) = ∫ f(F⁻¹(Φ(n))) φ(n) dn,

by panels that are halved until the integral converges; and W₂² = E (X − T(X))² with T = G⁻¹ ∘ F.

Sources: Olkin and Pukelsheim, The distance between two random vectors with given dispersion matrices (1982); Villani,
Topics in Optimal Transportation (2003), theorem 2.18.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ...generative.paths import GaussianPath
from ...solvers.common import check_callable, check_finite, check_floating, check_instance
from ..oracles import Gaussian, Oracle, monotone_map

__all__ = ["entropy", "expectation", "gaussian_kl", "gaussian_w2", "kl", "w2"]

_NODES, _WEIGHTS = (torch.from_numpy(values) for values in np.polynomial.legendre.leggauss(16))
_TOLERANCE = 1e-12  # of a panel, relative to the sum of all
_PANELS = 4096  # at most, at once


def gaussian_w2(mean: Tensor, cov: Tensor, other_mean: Tensor, other_cov: Tensor) -> float:
    """W₂ between two normal laws, computed in float64.

    The error is 1e-15 of the larger square root of a covariance, or 1e-8 of it in directions that are singular.

    Args:
        mean: of the first law, (d,).
        cov: its covariance, (d, d), which may be singular.
        other_mean: of the second law, (d,).
        other_cov: its covariance, (d, d), which may be singular.

    Raises:
        ValueError: for moments that do not fit each other, and for a covariance with a negative eigenvalue.
    """
    _check_moments(mean, cov, other_mean, other_cov)
    root, other = _root(cov), _root(other_cov)
    left, _, right = torch.linalg.svd(other @ root)
    apart = mean.double() - other_mean.double()
    found = math.hypot(float(apart.norm()), float((root - other @ (left @ right)).norm()))
    if not math.isfinite(found):
        raise ValueError("The moments are too large for float64; divide them.")
    return found


def gaussian_kl(mean: Tensor, cov: Tensor, other_mean: Tensor, other_cov: Tensor) -> float:
    """KL(N(mean, cov) ‖ N(other_mean, other_cov)) in nats, computed in float64.

    Args:
        mean: of the first law, (d,).
        cov: its covariance, (d, d); the divergence is infinite where it is singular.
        other_mean: of the second law, (d,).
        other_cov: its covariance, (d, d).

    Raises:
        ValueError: for moments that do not fit each other, for a covariance with a negative eigenvalue, and for a
            singular `other_cov`.
    """
    _check_moments(mean, cov, other_mean, other_cov)
    _check_eigenvalues(torch.linalg.eigvalsh(cov.double()))
    factor, failed = torch.linalg.cholesky_ex(other_cov.double())
    if int(failed):
        raise ValueError("The second covariance is singular, so that no density is relative to it; add some noise.")
    whitened = torch.linalg.solve_triangular(factor, cov.double(), upper=False)
    values = torch.linalg.eigvalsh(torch.linalg.solve_triangular(factor, whitened.mT, upper=False)).clamp(min=0.0)
    apart = torch.linalg.solve_triangular(factor, (mean.double() - other_mean.double())[:, None], upper=False)
    return 0.5 * float(apart.square().sum() + (values - 1.0 - values.log()).sum())


def expectation(
    law: Oracle, function: Callable[[Tensor], Tensor], t: float = 1.0, path: GaussianPath | None = None
) -> float:
    """E f(x_t) under a law on the line, with an error of about 1e-12 of E |f|, kinks included.

    Args:
        law: the law of x₀, with states (B, 1).
        function: f, of x (B, 1) to (B,).
        t: the time.
        path: the path of x_t; without one the expectation is of f(x₀), and t is 1.

    Raises:
        TypeError: arguments of another kind.
        ValueError: in more than one dimension, and for a function that returns another shape or nan.
    """
    check_callable("function", function, "a function of states (B, 1) to values (B,)")
    return _expectation(law, function, t, path)


def _expectation(
    law: Oracle, function: Callable[[Tensor], Tensor], t: float, path: GaussianPath | None, rounding: float = 0.0
) -> float:
    """`expectation` of a function that is known up to this absolute error."""
    _check_law("law", law)
    tails = law.tails(t, path)

    def integrand(score: Tensor) -> Tensor:
        x = monotone_map(_normal, tails, score.flatten())[:, None].to(law.moments()[0])
        density = torch.exp(-0.5 * score**2) / math.sqrt(2.0 * math.pi)
        values = function(x)
        if not isinstance(values, Tensor) or values.shape != x.shape[:1] or bool(values.isnan().any()):
            raise ValueError(f"The function must return numbers of shape ({len(x)},) for {len(x)} states (B, 1).")
        return density * values.double().reshape(score.shape)

    def integral(low: Tensor, high: Tensor) -> Tensor:
        centre, half = 0.5 * (high + low), 0.5 * (high - low)
        return half * (integrand(centre[:, None] + half[:, None] * _NODES) @ _WEIGHTS)

    edges = torch.linspace(-16.0, 16.0, 33, dtype=torch.float64, device="cpu")
    low, high = edges[:-1], edges[1:]
    whole = integral(low, high)
    enough, total = max(_TOLERANCE * float(whole.abs().sum()), rounding), 0.0
    while 0 < len(low) <= _PANELS:
        middle = 0.5 * (low + high)
        left, right = integral(low, middle), integral(middle, high)
        bad = (left + right - whole).abs() > enough  # False where it is infinite
        total += float((left + right)[~bad].sum())
        low, high = torch.cat([low[bad], middle[bad]]), torch.cat([middle[bad], high[bad]])
        whole = torch.cat([left[bad], right[bad]])
    return total + float(whole.sum())


def entropy(law: Oracle, t: float = 1.0, path: GaussianPath | None = None) -> float:
    """−∫ p_t log p_t in nats.

    Args:
        law: the law of x₀.
        t: the time.
        path: the path of x_t; without one the entropy is that of x₀, and t is 1.

    Raises:
        ValueError: for a law that is neither Gaussian nor on the line.
    """
    _check_law("law", law)
    if isinstance(law, Gaussian):
        return law.entropy(t, path)
    return -expectation(law, lambda x: law.log_prob(x, t, path), t, path)


def kl(law: Oracle, other: Oracle, t: float = 1.0, path: GaussianPath | None = None) -> float:
    """KL(p_t ‖ q_t) in nats.

    Args:
        law: the law whose marginal is p_t.
        other: the law whose marginal is q_t.
        t: the time.
        path: the path of both; without one the divergence is that of the data, and t is 1.

    Raises:
        ValueError: unless both laws are Gaussian or on the line.
    """
    if isinstance(law, Gaussian) and isinstance(other, Gaussian):
        return gaussian_kl(*law.moments(t, path), *other.moments(t, path))
    _check_law("law", law)
    _check_law("other", other)
    return _expectation(law, lambda x: law.log_prob(x, t, path) - other.log_prob(x, t, path), t, path, 1e-14)


def w2(law: Oracle, other: Oracle, t: float = 1.0, path: GaussianPath | None = None) -> float:
    """W₂(p_t, q_t).

    Args:
        law: the law whose marginal is p_t.
        other: the law whose marginal is q_t.
        t: the time.
        path: the path of both; without one the distance is that of the data, and t is 1.

    Raises:
        ValueError: unless both laws are Gaussian or on the line.
    """
    if isinstance(law, Gaussian) and isinstance(other, Gaussian):
        return gaussian_w2(*law.moments(t, path), *other.moments(t, path))
    _check_law("law", law)
    _check_law("other", other)
    tails, others = law.tails(t, path), other.tails(t, path)

    def cost(x: Tensor) -> Tensor:
        return (x[:, 0] - monotone_map(tails, others, x[:, 0])) ** 2

    size = float(law.moments(t, path)[1])
    return math.sqrt(_expectation(law, cost, t, path, 1e-24 * size if math.isfinite(size) else 0.0))


def _normal(x: Tensor, upper: Tensor) -> Tensor:
    values: Tensor = torch.special.log_ndtr(torch.where(upper, -x, x))
    return values


def _check_law(name: str, law: Oracle) -> None:
    check_instance(name, law, Oracle, "an oracle, such as Gaussian(mean, cov)")


def _root(cov: Tensor) -> Tensor:
    """The symmetric square root, in float64."""
    values, vectors = torch.linalg.eigh(cov.double())
    _check_eigenvalues(values)
    root: Tensor = (vectors * values.clamp(min=0.0).sqrt()) @ vectors.mT
    return root


def _check_eigenvalues(values: Tensor) -> None:
    if bool((values < -1e-6 * values.abs().amax()).any()):
        raise ValueError(f"A covariance has the eigenvalue {values.min().item():.3g}; none may be negative.")


def _check_moments(mean: Tensor, cov: Tensor, other_mean: Tensor, other_cov: Tensor) -> None:
    moments = {"mean": mean, "cov": cov, "other_mean": other_mean, "other_cov": other_cov}
    for name, moment in moments.items():
        check_floating(name, moment)
    d = mean.numel()
    shapes = [tuple(moment.shape) for moment in moments.values()]
    if shapes != [(d,), (d, d), (d,), (d, d)]:
        raise ValueError(f"The moments have the shapes {shapes}; give (d,), (d, d), (d,), (d, d).")
    for name in ("mean", "other_mean"):
        check_finite(f"The square of {name}", moments[name].double().square())
    for name in ("cov", "other_cov"):
        check_finite(name, moments[name])
    for name, moment in (("cov", cov), ("other_cov", other_cov)):
        if not bool(((moment - moment.mT).abs() <= 1e-6 * moment.abs().amax()).all()):
            raise ValueError(f"{name} is not symmetric; give ({name} + {name}.mT) / 2.")

"""Are two samples of one law? Tests of moments and of marginals, for independent and for paired samples.

    hotelling   T² = δᵀ (S_x/n + S_y/m)⁻¹ δ, δ the difference of the means: d ν/(ν − d + 1) F(d, ν − d + 1), with Yao's
                degrees of freedom ν, so that the covariances may differ
    moments     the same for the means and all second moments about the joint mean, which sees a wrong covariance
    ks          Kolmogorov and Smirnov's test of every coordinate, with Holm's correction for their number
    paired      T² of the differences x_i − y_i of samples that were made of the same noise

Two samplers that are driven by the same noise differ by much less than two independent samples do. The paired test then
detects a shift that is smaller by √(2 (1 − ρ)), ρ the correlation. Every result has its p-value under the hypothesis
that the laws are equal. Under that hypothesis the p-value is uniform on [0, 1]: exactly for normal samples (nearly
exactly for `hotelling` and `paired` with unequal covariances), for large n otherwise; `ks` is conservative. `power`
gives the smallest shift that each test detects.

Sources: Hotelling, The generalization of Student's ratio (1931); Yao, An approximate degrees of freedom solution to the
multivariate Behrens-Fisher problem (1965); Holm, A simple sequentially rejective multiple test procedure (1979).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from ...solvers.common import check_callable, real, reals

__all__ = ["Coupling", "Result", "coupled_w2", "holm", "hotelling", "ks", "moments", "paired"]


@dataclass(frozen=True)
class Result:
    """A test of "the laws are equal": its statistic, the p-value, and the numbers of samples."""

    test: str
    statistic: float
    p_value: float
    n: tuple[int, int]


@dataclass(frozen=True)
class Coupling:
    """A distance of two coupled samples, √(mean ‖x_i − y_i‖²), with a confidence interval for that of their laws."""

    value: float
    low: float
    high: float
    n: int


def hotelling(x: Tensor, y: Tensor) -> Result:
    """Equal means of independent samples (n, ...) and (m, ...), the axes of a sample flattened to d.

    Needs more samples than d + 1 on both sides. Raises ValueError for fewer, for shapes that do not fit each other and
    for samples that lie in a subspace.
    """
    x, y = checked_samples(x, y)
    return _hotelling("hotelling", x, y)


def moments(x: Tensor, y: Tensor) -> Result:
    """Equal means and covariances of independent samples (n, ...) and (m, ...): d + d (d + 1)/2 moments at once.

    By the central limit theorem, for samples with four moments; at the level 1 % with n = m = 1000 normal samples it
    rejects 1 ± 0.5 %. Needs more samples than there are moments. Raises ValueError as `hotelling`.
    """
    x, y = checked_samples(x, y)
    both = torch.cat([x, y])
    centre, scale = both.mean(0), both.std(0)
    row, column = torch.triu_indices(len(centre), len(centre), device="cpu").unbind()

    def features(sample: Tensor) -> Tensor:
        standard = (sample - centre) / scale
        return torch.cat([standard, standard[:, row] * standard[:, column]], dim=1)

    return _hotelling("moments", features(x), features(y))


def ks(x: Tensor, y: Tensor | Callable[[Tensor], Tensor]) -> Result:
    """Equal marginals, coordinate by coordinate: the largest distance of two distribution functions.

    x: (n, ...), flattened to d coordinates. y: an independent sample (m, ...), or the distribution function itself, of
    values (n,) to (n,), the same for every coordinate. The p-value is the least of the coordinates', Holm-adjusted, so
    that it holds for any dependence between them. Raises ValueError for shapes that do not fit each other, and for a
    function whose values are no probabilities.
    """
    if isinstance(y, Tensor):
        x, y = checked_samples(x, y)
        other = y.numpy()
        results = [stats.ks_2samp(a, b) for a, b in zip(x.numpy().T, other.T, strict=True)]
        count = len(other)
    else:
        check_callable("y", y, "a sample, or a distribution function such as torch.special.ndtr")
        x, cdf, count = checked_samples(x, x)[0], y, 0
        results = [stats.kstest(a, lambda values: _probabilities(cdf, values)) for a in x.numpy().T]
    p_value = holm([float(result.pvalue) for result in results]).min()
    return Result("ks", max(float(result.statistic) for result in results), float(p_value), (len(x), count))


def paired(x: Tensor, y: Tensor) -> Result:
    """Equal means of coupled samples, x_i and y_i (n, ...) made of the same noise. Raises ValueError as `hotelling`.

    Differences that are constant in a direction, and not zero there, are a shift that is certain: p = 0. Equal samples
    have p = 1.
    """
    x, y = checked_samples(x, y)
    difference = _differences(x, y)
    n, d = difference.shape
    mean = difference.mean(0)
    apart = difference - mean
    values, vectors = torch.linalg.eigh(apart.T @ apart / (n - 1))
    along = vectors.T @ mean
    moving = values > values.amax() * d * torch.finfo(torch.float64).eps
    rank = int(moving.sum())
    if rank == n - 1 < d:  # what the pairs span is all that they can tell
        raise ValueError(f"{n} pairs are too few for {d} dimensions; give more than {d}.")
    certain = bool((along[~moving].abs() > 1e-12 * (x.abs().amax() + y.abs().amax())).any())
    if certain or rank == 0:
        return Result("paired", math.inf if certain else 0.0, 0.0 if certain else 1.0, (n, n))
    t2 = n * float((along[moving] ** 2 / values[moving]).sum())
    return Result("paired", t2, float(stats.f.sf(t2 * (n - rank) / (rank * (n - 1)), rank, n - rank)), (n, n))


def coupled_w2(x: Tensor, y: Tensor, *, confidence: float = 0.95) -> Coupling:
    """√E‖x − y‖² of coupled samples: an upper bound of W₂ between their laws, and the strong error of a path.

    Args:
        x: (n, ...), made from the same noise as y, row by row.
        y: (n, ...).
        confidence: of the interval, which is that of the mean of the squares by the central limit theorem.

    Raises:
        ValueError: for shapes that do not fit each other, for fewer than two pairs, and for a confidence outside
            (0, 1).
    """
    confidence = real("confidence", confidence, above=0.0, below=1.0)
    squares = _differences(*checked_samples(x, y)).square().sum(1)
    n, mean = len(squares), float(squares.mean())
    margin = float(stats.t.ppf(0.5 + 0.5 * confidence, n - 1)) * float(squares.std()) / math.sqrt(n)
    return Coupling(math.sqrt(mean), math.sqrt(max(mean - margin, 0.0)), math.sqrt(mean + margin), n)


def holm(p_values: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """p-values adjusted for their number, in the order given: to reject where they are <= α is wrong anywhere with
    probability <= α, whatever the dependence. p'_(i) = max_{j <= i} min(1, (n − j) p_(j)), counted from 0.

    Raises ValueError for a value outside [0, 1].
    """
    values = np.array([real(f"p_values[{i}]", value, 0.0, 1.0) for i, value in enumerate(reals("p_values", p_values))])
    order = np.argsort(values)
    adjusted = np.maximum.accumulate(np.minimum(1.0, (len(values) - np.arange(len(values))) * values[order]))
    result = np.empty_like(adjusted)
    result[order] = adjusted
    return result


def _hotelling(test: str, x: Tensor, y: Tensor) -> Result:
    n, m, d = len(x), len(y), x.shape[1]
    if min(n, m) <= d + 1:
        raise ValueError(f"{n} and {m} samples are too few to test {d} moments; give more than {d + 1} of each.")
    parts = [sample.T.cov().reshape(d, d) / len(sample) for sample in (x, y)]
    factor, failed = torch.linalg.cholesky_ex(parts[0] + parts[1])
    if int(failed):
        raise ValueError("The samples lie in a subspace; leave out the directions without variance.")
    direction = torch.cholesky_solve((x.mean(0) - y.mean(0))[:, None], factor)[:, 0]
    t2 = float(direction @ (x.mean(0) - y.mean(0)))
    # Yao: 1/ν = Σ (δᵀ S⁻¹ S_i S⁻¹ δ / T²)² / (n_i − 1); without a difference, that of equal shares.
    shares = [float(direction @ part @ direction) / t2 if t2 > 0.0 else 0.5 for part in parts]
    freedom = 1.0 / sum(share**2 / (count - 1) for share, count in zip(shares, (n, m), strict=True))
    rest = freedom - d + 1.0
    return Result(test, t2, float(stats.f.sf(t2 * rest / (d * freedom), d, rest)), (n, m))


def _probabilities(cdf: Callable[[Tensor], Tensor], values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The values of a distribution function, (n,)."""
    found = cdf(torch.from_numpy(values))
    if not isinstance(found, Tensor) or found.shape != values.shape or not bool(((found >= 0) & (found <= 1)).all()):
        raise ValueError(f"The distribution function must return probabilities, of shape {values.shape}.")
    return found.detach().numpy()


def _differences(x: Tensor, y: Tensor) -> Tensor:
    if len(x) != len(y):
        raise ValueError(f"{len(x)} and {len(y)} samples are not pairs; give as many of each.")
    return x - y


def checked_samples(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Both samples (n, d) in float64 on the host.

    Raises TypeError for what is no tensor of real numbers, and ValueError unless they fit each other and are finite.
    """
    for which, each in (("first", x), ("second", y)):
        if not isinstance(each, Tensor) or each.dtype == torch.bool:
            raise TypeError(f"The {which} sample is no tensor of numbers, but a {type(each).__name__}; give (n, d).")
        if each.is_complex() or each.layout != torch.strided or each.is_meta:
            given = f"{each.dtype}, {each.layout}, on {each.device}"
            raise TypeError(f"The {which} sample is {given}; give real numbers in a dense tensor.")
    if x.ndim < 2 or x.shape[1:] != y.shape[1:] or min(len(x), len(y)) < 2 or not x[0].numel():
        raise ValueError(
            f"The samples have the shapes {tuple(x.shape)} and {tuple(y.shape)}; give (n, d) and (m, d), n and m >= 2."
        )
    x, y = (each.detach().flatten(1).double().cpu() for each in (x, y))
    for which, each in (("first", x), ("second", y)):
        broken = int((~each.isfinite()).any(1).sum())
        if broken:
            raise ValueError(f"{broken} of the {len(each)} {which} samples are not finite; no test can judge them.")
        if not bool((each.square().sum() * len(each)).isfinite()):
            raise ValueError(f"The squares of the {which} samples are too large for float64; divide the samples.")
    return x, y

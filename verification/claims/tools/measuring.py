"""What the chapters measure with: one mixture on the line, quadrature, orders, laws of linear samplers, tests.

Quadrature is the trapezoidal rule on a long interval: for Gaussian densities and what is made of them it converges
faster than any power of the spacing (its error is that of the Fourier transform at 2π/spacing), so that rounding is all
that is left.

Laws are exact. On a linear equation a sampler is an affine map b + a x + Σ c_k ξ_k of its start and of the normals that
it draws; run on unit impulses in place of the normals it gives the coefficients, and they the mean and the variance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from scipy.stats import kstwo, norm
from torch import Tensor

from ....generative import GaussianPath
from ....solvers import Equation, Noise, Solver, solve
from ....solvers.noise import Interval
from ...laws import Impulses
from ...oracles import Gaussian, GaussianMixture
from ..claim import Statistical

__all__ = [
    "MIXTURE",
    "MIXTURE_2D",
    "PathImpulses",
    "affine_map",
    "cdf",
    "gaussian",
    "grid",
    "ks_test",
    "law",
    "limiting_order",
    "line",
    "mean_test",
    "most",
    "orders",
    "plane",
    "rms",
]


def _float64(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


MIXTURE = GaussianMixture(_float64([0.3, 0.7]), _float64([[-1.2], [1.0]]), _float64([[[0.16]], [[0.36]]]))
"""0.3 N(−1.2, 0.4²) + 0.7 N(1, 0.6²)."""
MIXTURE_2D = GaussianMixture(
    _float64([0.4, 0.6]),
    _float64([[-1.0, 0.5], [1.2, 0.1]]),
    _float64([[[0.3, 0.1], [0.1, 0.2]], [[0.4, 0.0], [0.0, 0.5]]]),
)


def gaussian(mean: float, deviation: float) -> Gaussian:
    """N(mean, deviation²) on the line."""
    return Gaussian(_float64([mean]), _float64([[deviation**2]]))


def grid(n: int, t0: float = 0.0, t1: float = 1.0) -> Tensor:
    """n equal steps: n + 1 times."""
    return torch.linspace(t0, t1, n + 1, dtype=torch.float64)


def line(a: float, b: float, n: int) -> tuple[Tensor, float]:
    """Nodes (n, 1) of the trapezoidal rule on [a, b], and their common weight."""
    return torch.linspace(a, b, n, dtype=torch.float64).unsqueeze(1), (b - a) / (n - 1)


def plane(a: float, b: float, n: int) -> tuple[Tensor, float]:
    """Nodes (n², 2) on [a, b]², and their common weight."""
    x, weight = line(a, b, n)
    return torch.cartesian_prod(x[:, 0], x[:, 0]), weight**2


def rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())


def most(*values: float) -> float:
    """The largest of them; nan if one is nan, which Python's `max` forgets unless it comes first."""
    return float(np.max(values))


def orders(errors: Sequence[float], factor: float = 2.0) -> list[float]:
    """The orders that errors at steps which shrink by `factor` show, pair by pair."""
    return [math.log(one / two) / math.log(factor) for one, two in pairwise(errors)]


def cdf(mixture: GaussianMixture, x: Tensor, t: float = 1.0, path: GaussianPath | None = None) -> Tensor:
    """P(X_t ≤ x) of a mixture on the line, (n,), for x of shape (n, 1)."""
    below: Tensor = mixture.log_cdf(x, t, path).exp()
    return below


def limiting_order(errors: Sequence[float]) -> float:
    """The order that errors at three steps, each half of the one before, tend to: p from p + c h and p + c h/2."""
    first, second = orders(errors)
    return 2.0 * second - first


class PathImpulses:
    """The Brownian path of `BrownianTree` on [t0, t1], with a unit impulse for each normal that it is made of.

    Two solvers on the same path answer to the same normals, row by row; so their distance is known without drawing.
    """

    replays = True

    def __init__(self, t0: float, t1: float) -> None:
        self._interval = Interval(t0, t1, 1, 2.0**-16)
        self._places: dict[int, int] = {}

    @property
    def drawn(self) -> int:
        return len(self._places)

    def weights(self, t0: float, t1: float, clock: Callable[[Tensor], Tensor]) -> dict[int, float]:
        """The standardised increment as a combination of the path's normals."""
        numbers, weights = self._interval.weights(t0, t1, clock, 1)
        return dict(zip(numbers, weights[0].tolist(), strict=True))

    def normal(self, t0: float, t1: float, clock: Callable[[Tensor], Tensor], like: Tensor) -> Tensor:
        impulse = torch.zeros_like(like)
        for number, weight in self.weights(t0, t1, clock).items():
            row = 2 + self._places.setdefault(number, len(self._places))
            impulse[row : row + 1] = weight
        return impulse

    def normal_and_area(
        self, t0: float, t1: float, clock: Callable[[Tensor], Tensor], like: Tensor
    ) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def extra(self, index: int, like: Tensor) -> Tensor:
        raise NotImplementedError


def affine_map(
    equation: Equation, solver: Solver, times: Tensor | Sequence[float], path: PathImpulses | None = None
) -> Tensor:
    """[b, a, c₁ … c_m]: the output of the solver on a linear equation of one component is b + a x + Σ c_k ξ_k.

    With `path` the ξ_k are the normals of that path, those that it was asked for so far.
    """
    impulses: Any = Impulses() if path is None else path
    noise: Noise | None = impulses if equation.stochastic or solver.draws else None
    if noise is not None:
        solve(equation, torch.zeros(2, 1, dtype=torch.float64), times, solver, noise)
    x = torch.zeros(2 + impulses.drawn, 1, dtype=torch.float64)
    x[1] = 1.0
    if path is None and noise is not None:
        noise = Impulses()
    response = solve(equation, x, times, solver, noise).x[:, 0]
    return torch.cat([response[:1], response[1:] - response[0]])


def law(affine: Tensor, mean: float, variance: float) -> tuple[float, float]:
    """Mean and variance of what the map makes of N(mean, variance)."""
    b, a = affine[:2].tolist()
    return b + a * mean, a**2 * variance + float(affine[2:].square().sum())


def mean_test(values: Tensor, expected: float, what: str) -> Statistical:
    """Whether independent values have this mean: the normal test with the standard error that they show.

    A shift of 6.2 standard errors is found with probability 0.99 even if 100 tests share the level of 1 %.
    """
    mean, error = float(values.mean()), float(values.std()) / math.sqrt(len(values))
    p = 2.0 * float(norm.sf(abs(mean - expected) / error))
    return Statistical(p, len(values), f"a mean that is off by {6.2 * error:.2g}", mean, expected, what)


def ks_test(probabilities: Tensor, what: str) -> Statistical:
    """Whether the values of a distribution function at independent draws are uniform (Kolmogorov and Smirnov).

    The statistic is √n D, with the mean √(π/2) log 2 = 0.869 under the claim. A distance of 3.4/√n between the
    distribution functions is found with probability 0.99 even if 100 tests share the level of 1 %.
    """
    n = len(probabilities)
    ordered = probabilities.sort().values
    steps = torch.arange(n + 1, dtype=torch.float64) / n
    distance = float(torch.maximum(steps[1:] - ordered, ordered - steps[:-1]).max())
    fault = f"distribution functions that are {3.4 / math.sqrt(n):.2g} apart"
    scale = math.sqrt(n)
    return Statistical(
        float(kstwo.sf(distance, n)), n, fault, scale * distance, math.sqrt(0.5 * math.pi) * math.log(2.0), what
    )

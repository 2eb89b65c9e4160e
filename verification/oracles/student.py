"""Student's law as a mixture of normals: every field of it by the formulas of a Gaussian mixture.

With a precision g ~ Gamma(ν/2, ν/2) and y | g ~ N(m, C/g), y has Student's law with ν degrees of freedom. In u = log g
the density of g is e^{ν (u − e^u)/2} up to a factor, and so is, but for the factor, the integrand of every field:
analytic in a strip, with tails that fall exponentially on one side and faster on the other. There the trapezoidal rule
converges geometrically, so that a mixture of some hundred normals is Student's law to rounding.

Sources: Andrews and Mallows, Scale mixtures of normal distributions (1974); Trefethen and Weideman, The exponentially
convergent trapezoidal rule (2014).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .gaussian import GaussianMixture

__all__ = ["Student"]


class Student(GaussianMixture):
    """Student's law of `freedom` ν degrees, (Γ((ν+d)/2)/Γ(ν/2)) |ν π C|^{−1/2} (1 + y² / ν)^{−(ν+d)/2}, with
    y² = (x − mean)ᵀ C⁻¹ (x − mean); mean (d,), scale C (d, d), as for `Gaussian`; d = 1 is the common one.

    As a mixture of normals N(mean, C/g) over the logarithm of g ~ Gamma(ν/2, ν/2): exact to rounding, relatively, up to
    |y| = 1e6. The covariance is infinite for ν ≤ 2. Raises ValueError for ν outside (1, 100], where there is no mean or
    hardly a difference from a Gaussian, and for another dtype than float64.
    """

    def __init__(self, freedom: float, mean: Tensor, scale: Tensor) -> None:
        if not 1.0 < freedom <= 100.0:
            raise ValueError(f"Student's law is made for 1 < freedom <= 100, but got {freedom}; take a Gaussian.")
        if mean.dtype != torch.float64:
            raise ValueError(f"Student's law spans more scales than {mean.dtype} has; give float64.")
        step = min(0.125, 0.5 / math.sqrt(0.5 * (freedom + len(mean))))
        start, end = -28.0 - 80.0 / freedom, math.log(1.0 + 90.0 / freedom + math.sqrt(180.0 / freedom))
        log_precision = torch.arange(start, end, step, dtype=torch.float64)
        log_weights = 0.5 * freedom * (log_precision - log_precision.exp())
        weights, count = torch.softmax(log_weights, 0).to(mean), len(log_precision)
        covs = torch.exp(-log_precision).to(mean)[:, None, None] * scale
        super().__init__(weights, mean.expand(count, -1), covs)
        self.freedom, self.scale = freedom, scale

    def _moments(self) -> tuple[Tensor, Tensor]:
        if self.freedom <= 2.0:
            return self.means[0], torch.full_like(self.scale, math.inf)
        return self.means[0], self.freedom / (self.freedom - 2.0) * self.scale

"""Student's law as a mixture of normals, so that the formulas of a Gaussian mixture give every field.

With a precision g ~ Gamma(ν/2, ν/2) and y | g ~ N(m, C/g), y has Student's law with ν degrees of freedom. In u = log g
the density of g is e^{ν (u − e^u)/2} up to a factor, and the integrand of every field is the same up to a smooth
factor: analytic in a strip, with tails that fall exponentially on one side and faster on the other. For such integrands
the trapezoidal rule converges geometrically, so that a mixture of some hundred normals is Student's law to rounding.

Sources: Andrews and Mallows, Scale mixtures of normal distributions (1974); Trefethen and Weideman, The exponentially
convergent trapezoidal rule (2014).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...solvers.common import check_floating, real
from .gaussian import Gaussian, GaussianMixture

__all__ = ["Student"]


class Student(GaussianMixture):
    """Student's law with ν degrees of freedom, in d dimensions.

        p(x) = (Γ((ν+d)/2)/Γ(ν/2)) |ν π C|^{−1/2} (1 + y²/ν)^{−(ν+d)/2},      y² = (x − mean)ᵀ C⁻¹ (x − mean)

    The relative error of the mixture is rounding up to |y| = 1e6. The covariance is infinite for ν ≤ 2.

    Args:
        freedom: ν, in (1, 100]; below there is no mean, above hardly a difference from a Gaussian.
        mean: (d,), float64.
        scale: C, (d, d), float64.

    Raises:
        TypeError: parameters of another kind.
        ValueError: another ν or dtype, and parameters that do not fit or are not finite.
    """

    def __init__(self, freedom: float, mean: Tensor, scale: Tensor) -> None:
        freedom = real("freedom", freedom)
        if not 1.0 < freedom <= 100.0:
            raise ValueError(f"Student's law is made for 1 < freedom <= 100, but got {freedom:g}; take a Gaussian.")
        check_floating("mean", mean)
        check_floating("scale", scale)
        if not mean.dtype == scale.dtype == torch.float64:
            raise ValueError(f"Student's law spans more scales than {mean.dtype} has; give float64.")
        Gaussian(mean, scale)  # raises for parameters that do not fit
        step = min(0.125, 0.5 / math.sqrt(0.5 * (freedom + len(mean))))
        start, end = -28.0 - 80.0 / freedom, math.log(1.0 + 90.0 / freedom + math.sqrt(180.0 / freedom))
        log_precision = torch.arange(start, end, step, dtype=torch.float64, device="cpu")
        log_weights = 0.5 * freedom * (log_precision - log_precision.exp())
        weights, count = torch.softmax(log_weights, 0).to(mean), len(log_precision)
        covs = torch.exp(-log_precision).to(mean)[:, None, None] * scale
        super().__init__(weights, mean.expand(count, -1), covs)
        self.freedom, self.scale = freedom, scale

    def _moments(self) -> tuple[Tensor, Tensor]:
        if self.freedom <= 2.0:
            return self.means[0], torch.full_like(self.scale, math.inf)
        return self.means[0], self.freedom / (self.freedom - 2.0) * self.scale

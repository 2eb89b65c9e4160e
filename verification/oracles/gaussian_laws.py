"""Gaussian laws in closed form: the marginals of a path, and the transitions of the reversed processes.

For data N(m, C), C = Q diag(c) Qᵀ, the path x_t = α x₀ + σ ε has the marginal N(α m, Q diag(v) Qᵀ), v = α² c + σ².
In y = diag(v)^{−1/2} Qᵀ (x − α m) the reversed process of noise level η (`reverse_sde`) is, component by component,
dy = −y dτ + √2 dW_τ in the time τ = η² σ²/v dλ, which integrates to τ = −½ η² log(e^{−2λ} + c). Hence for s < t

    y_t | y_s ~ N(e^{τ_s − τ_t} y_s, 1 − e^{2(τ_s − τ_t)}),

and for η = 0 the flow, y_t = y_s.

Source: Song et al. (2011.13456), eq. 6.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ...generative.paths import GaussianPath
from ...solvers.common import check_finite, check_floating, check_instance, real
from .gaussian import Gaussian

__all__ = ["Law", "Transition", "law_of", "marginal", "reversed_transition"]


class Law(NamedTuple):
    """N(mean, cov): mean (d,), cov (d, d), which may be singular."""

    mean: Tensor
    cov: Tensor


class Transition(NamedTuple):
    """x → N(matrix x + offset, cov): matrix and cov (d, d), offset (d,)."""

    matrix: Tensor
    offset: Tensor
    cov: Tensor

    def of(self, law: Law) -> Law:
        """The law of the output for an input of this law."""
        return Law(self.matrix @ law.mean + self.offset, self.matrix @ law.cov @ self.matrix.mT + self.cov)


def law_of(law: Law | Gaussian) -> Law:
    """The `Law` of a Gaussian oracle; a `Law` is returned as it is.

    Raises TypeError for what is neither, and ValueError for moments that do not fit each other or are not finite.
    """
    check_instance("law", law, (Law, Gaussian), "a Gaussian, or Law(mean, cov)")
    if isinstance(law, Gaussian):
        return Law(law.means[0], law.covs[0])
    for name, moment in law._asdict().items():
        check_floating(name, moment)
    if law.mean.ndim != 1 or law.cov.shape != (*law.mean.shape, *law.mean.shape) or law.mean.dtype != law.cov.dtype:
        raise ValueError(
            f"The law has a mean of shape {tuple(law.mean.shape)} in {law.mean.dtype} and a cov of shape "
            f"{tuple(law.cov.shape)} in {law.cov.dtype}; give (d,) and (d, d) of one dtype."
        )
    for name, moment in law._asdict().items():
        check_finite(name, moment)
    return law


def marginal(data: Law | Gaussian, path: GaussianPath, t: float) -> Law:
    """The law of x_t = α x₀ + σ ε.

    Args:
        data: the law of x₀.
        path: the path.
        t: the time.
    """
    mean, cov = law_of(data)
    check_instance("path", path, GaussianPath, "a Gaussian path, such as CondOT()")
    t = real("t", t, 0.0, 1.0)
    alpha, sigma = path.alpha(t), path.sigma(t)
    return Law(alpha * mean, alpha**2 * cov + sigma**2 * torch.eye(len(mean), dtype=cov.dtype, device=cov.device))


def reversed_transition(data: Law | Gaussian, path: GaussianPath, eta: float, s: float, t: float) -> Transition:
    """The exact transition of the process `reverse_sde(denoiser, eta)`; for eta = 0 of the flow.

    Args:
        data: the law of x₀.
        path: the path.
        eta: η, the noise level.
        s: the start.
        t: the end, t > s.

    Raises:
        TypeError: arguments of another kind.
        ValueError: unless 0 <= s < t <= 1 and eta >= 0.
    """
    mean, cov = law_of(data)
    check_instance("path", path, GaussianPath, "a Gaussian path, such as CondOT()")
    eta, s, t = real("eta", eta, 0.0), real("s", s, 0.0, 1.0), real("t", t, 0.0, 1.0)
    if not s < t:
        raise ValueError(f"A reversed process leads forward in time, but got s = {s:g} and t = {t:g}; exchange them.")
    values, basis = torch.linalg.eigh(cov)

    def at(time: float) -> tuple[float, Tensor, Tensor]:
        alpha, sigma = path.alpha(time), path.sigma(time)
        ratio = (sigma / alpha) ** 2 if alpha > 0.0 else math.inf
        return alpha, alpha**2 * values + sigma**2, -0.5 * (ratio + values).log()

    (alpha_s, v_s, tau_s), (alpha_t, v_t, tau_t) = at(s), at(t)
    decay = torch.exp(eta * eta * (tau_s - tau_t)) if eta else torch.ones_like(values)
    matrix = basis @ torch.diag((v_t / v_s).sqrt() * decay) @ basis.mT
    return Transition(
        matrix, alpha_t * mean - alpha_s * matrix @ mean, basis @ torch.diag(v_t * (1.0 - decay**2)) @ basis.mT
    )

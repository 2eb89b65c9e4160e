"""Identities that the exact network of a law satisfies at every noise level, and their residuals for a network.

With D = E[x₀ | x_t], e = x₀ − D, the score s = (α D − x)/σ² and the velocity u of the flow,

    E s = 0                          the mean of e along the principal directions of the data
    E s xᵀ = −I                      the mean of e·(c cᵀ x), c the same directions (Stein's identity)
    E⟨e, f(x)⟩ = 0                   for the functions f of `orthogonality`
    E|e|² = (σ²/α) E tr ∂D/∂x        the network's own estimate of its error (Miyasawa's identity for the covariance)
    ∂D/∂x is symmetric               the score is a gradient
    ∂_t s + ∇(u·s + ∇·u) = 0         the score's own Fokker-Planck equation, along the flow

The residuals of the first three are the shares of the squared error that the functions would remove (`removable`). The
trace and the divergence are exact in up to eight dimensions. In more dimensions two independent vectors of random signs
estimate them, so that the mean of the product of the two residuals is that of the squared exact residual. The error of
σ s as a prediction of −ε is α e/σ; the first two identities are stated for e, whose variance is that of the posterior.

Sources: Stein (1981), Estimation of the mean of a multivariate normal distribution; Miyasawa (1961); Lai et al.,
FP-Diffusion (2210.04296), for the equation of the score.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ...generative.denoiser import Denoiser
from ...generative.paths import GaussianPath
from ...solvers.common import check_finite, pullback
from .orthogonality import Reference, Share, removable, standard_error

__all__ = ["IDENTITIES", "Level", "identities", "time_of"]

IDENTITIES = {
    "mean": "E s = 0",
    "Stein": "E s xᵀ = −I",
    "orthogonality": "E⟨x₀ − D, f⟩ = 0",
    "calibration": "E|x₀ − D|² = (σ²/α) E tr ∂D/∂x",
    "curl": "∂D/∂x is symmetric",
    "Fokker-Planck": "∂_t s + ∇(u·s + ∇·u) = 0",
}
DIRECTIONS, EXACT = 8, 8
STEP = 1e-4
"""The step of the central difference in t. In float64 the error is its square, and a rounding of 1e-12."""


class Level(NamedTuple):
    """Noised data at one time, every sample once.

    Attributes:
        t: the time.
        x0: clean samples, (N, ...), float64.
        eps: the noise, like x0.
    """

    t: float
    x0: Tensor
    eps: Tensor


def identities(denoiser: Denoiser, level: Level, reference: Reference, seed: int) -> dict[str, Share]:
    """The residual of each identity with its standard error over samples, by the names above.

    "mean", "Stein" and "orthogonality" are shares of the squared error, "Fokker-Planck" is a share of E|∂_t s|²,
    "calibration" is the relative error of the network's estimate of its squared error, and "curl" is the share of the
    antisymmetric part in |∂D/∂x|².

    Args:
        denoiser: a network that computes in float64.
        level: the noised data.
        reference: other data, for functions and directions.
        seed: draws the random signs.

    Raises:
        ValueError: a prediction or a derivative of it is not finite.
    """
    t, x0, eps = level
    path = denoiser.path
    alpha, sigma = path.alpha(t), path.sigma(t)
    x = alpha * x0 + sigma * eps
    n, d = len(x), x[0].numel()
    probes = _probes(n, d, seed)
    with torch.no_grad():
        mean, products = pullback(lambda state: denoiser.predict("x0", t, state), x, denoiser.net)
        check_finite("The square of the prediction of x0", mean.square())
        forward = list(products(torch.stack(probes).view(-1, *x.shape)).flatten(2))
        for product in forward:
            check_finite("The square of the derivative of the prediction of x0", product.square())
    error, flat = (x0 - mean).flatten(1), x.flatten(1)
    along = reference.directions(DIRECTIONS)
    constants = along.T.expand(n, -1, -1)
    linear = constants * (flat @ along.T).unsqueeze(1)
    every = reference.functions(flat / alpha, mean.flatten(1), sigma / alpha)
    squares = error.square().sum(1)
    traces = torch.stack([(w * product).sum(1) for w, product in zip(probes, forward, strict=True)])
    trace = traces.sum(0) if d <= EXACT else traces.mean(0)
    own = sigma**2 / alpha * trace
    return {
        "mean": removable(error, constants, n),
        "Stein": removable(error, linear, n),
        "orthogonality": removable(error, every, n),
        "calibration": _ratio(own - squares, squares),
        "curl": _curl(forward, probes),
        "Fokker-Planck": _fokker_planck(denoiser, t, x, probes),
    }


def time_of(path: GaussianPath, log_snr: float) -> float:
    """The time of a level of an audit. Raises ValueError if the path lacks it, or ends there."""
    t = path.time(log_snr)
    if not STEP < t < 1.0 - STEP:
        raise ValueError(f"{path} lacks the log-SNR {log_snr:+.2f}; audit a network on a path that goes further.")
    return t


def _probes(n: int, d: int, seed: int) -> list[Tensor]:
    """All basis vectors, or two vectors of random signs, each (N, d)."""
    if d <= EXACT:
        return [row.expand(n, d) for row in torch.eye(d, dtype=torch.float64, device="cpu")]
    generator = torch.Generator().manual_seed(seed)
    return [2.0 * torch.randint(0, 2, (n, d), generator=generator, device="cpu").double() - 1.0 for _ in range(2)]


def _ratio(above: Tensor, below: Tensor) -> Share:
    """E above / E below, for (N,) each, with the standard error by linearisation. 0/0 is 0: the residual vanishes."""
    scale = float(below.mean())
    if scale == 0.0:
        return Share(math.inf if float(above.mean()) > 0.0 else 0.0, 0.0)
    value = float(above.mean()) / scale
    return Share(value, standard_error(above - value * below, len(above)) / scale)


def _curl(products: list[Tensor], probes: list[Tensor]) -> Share:
    """|(J − Jᵀ)/2|²/|J|² from Jᵀw, by wᵀJv − vᵀJw for pairs of probes."""
    above, below = probes[0].new_zeros(2, len(probes[0]), dtype=torch.float64)
    for i, (w, one) in enumerate(zip(probes, products, strict=True)):
        below = below + one.square().sum(1)
        for v, other in zip(probes[:i], products[:i], strict=True):
            above = above + 0.5 * ((one * v).sum(1) - (other * w).sum(1)).square()
    if len(probes[0][0]) > EXACT:  # of signs: E|Jᵀw|² = |J|², E(wᵀAv)² = |A|²
        above, below = 0.5 * above, 0.5 * below
    return _ratio(above, below)


@torch.no_grad()
def _fokker_planck(denoiser: Denoiser, t: float, x: Tensor, probes: list[Tensor]) -> Share:
    later, earlier = (denoiser.predict("score", t + e, x) for e in (STEP, -STEP))
    check_finite("The score", later - earlier)
    rate, directions = (later - earlier) / (2.0 * STEP), torch.stack(probes).view(-1, *x.shape)
    exact = x[0].numel() <= EXACT

    def potentials(state: Tensor) -> Tensor:
        """The sum over samples of u·s + ∇·u, exact, or from each vector of signs."""
        velocity, products = pullback(lambda at: denoiser.predict("velocity", t, at), state, denoiser.net)
        transport = (velocity * denoiser.predict("score", t, state)).sum()
        parts = (products(directions) * directions).flatten(1).sum(1)
        return transport + (parts.sum(0, keepdim=True) if exact else parts)

    total, products = pullback(potentials, x, denoiser.net)
    slopes = (rate + products(torch.eye(len(total), dtype=x.dtype, device=x.device))).flatten(2)
    return _ratio((slopes[0] * slopes[-1]).sum(1), rate.flatten(1).square().sum(1))

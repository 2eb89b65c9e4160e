"""From a denoiser to the equation that samples from it.

    flow           the probability flow, dx/dt = α' x₀-hat + σ' ε-hat
    reverse_sde    one stochastic equation for every η, with the marginals of the path; η = 1 reverses the noising

Both are semilinear, d(x / S) = N dr + dW_q, in several ways. The argument `hold` names the quantity
N = p x₀-hat + q ε-hat that exponential solvers interpolate. The module `holds` has the table. Classical solvers take
the drift itself, which exists where N may not: a network that predicts the velocity is the drift of the flow.

Sources: Song et al. (2011.13456), eqs. 6 and 13; Karras et al. (2206.00364), eq. 6; Albergo et al. (2303.08797).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from ...solvers import Semilinear, Time
from ...solvers.common import real
from ..denoiser import Denoiser, DenoiserField, check_denoiser, coefficients, first_time
from ..paths import Scalar, ratio
from .holds import Drift, Hold, hold_of

__all__ = ["LARGEST_ETA", "Held", "Slope", "flow", "reverse_sde"]

LARGEST_ETA = 12.0
"""The largest η. The scale σ e^{−η² λ} of the hold x0 is then a number of float64 at σ/α = 80, where samplers start."""


@dataclass(frozen=True)
class Held(DenoiserField):
    """N = p x₀-hat + q ε-hat, the field of a denoiser that a hold names."""

    hold: Hold

    def __call__(self, t: Time, x: Tensor) -> Tensor:
        return self.denoiser.combination(*self.hold.row(t), t, x)

    def exists(self, t: float) -> bool:
        """Whether the network gives N at t."""
        return self.denoiser.determines(*self.hold.row(t), t)


@dataclass(frozen=True)
class Slope(DenoiserField):
    """The drift of the equation of κ = η² itself, velocity + κ σ² λ' score = α' x₀-hat + (σ' − κ σ λ') ε-hat."""

    kappa: float

    def __call__(self, t: Time, x: Tensor) -> Tensor:
        if not self.kappa:
            return self.denoiser.predict("velocity", t, x)
        return self.denoiser.combination(*self._row(t), t, x)

    def exists(self, t: float) -> bool:
        """Whether the network gives the drift at t."""
        if not self.kappa:
            return self.denoiser.gives("velocity", t)
        try:
            return self.denoiser.determines(*self._row(t), t)
        except ValueError:
            return False

    def _row(self, t: Scalar) -> tuple[Scalar, Scalar]:
        """(p, q) of the drift. Raises ValueError where it is infinite."""
        path = self.denoiser.path
        p, q = coefficients("velocity", path, t)
        noise = ratio(p * path.sigma(t) - path.alpha(t) * q, path.alpha(t))  # σ λ'
        if (at := first_time(abs(noise) == math.inf, t)) is not None:
            raise ValueError(f"The drift of this equation is singular at t = {at:g}, where alpha = 0; start later.")
        return p, q - self.kappa * noise


@dataclass(frozen=True)
class Score(DenoiserField):
    """∇ log p_t of a denoiser."""

    def __call__(self, t: Time, x: Tensor) -> Tensor:
        return self.denoiser.predict("score", t, x)


def flow(denoiser: Denoiser, hold: str = "velocity", *, logarithmic: bool | None = None) -> Semilinear:
    """The probability flow of a denoiser, from noise (t = 0) to data (t = 1): dx/dt = α' x₀-hat + σ' ε-hat.

    The solution is the same for every hold; the errors of exponential solvers are not.

    A path that starts from rest, α' = σ' = 0 at t = 0 (`Polynomial`), needs care: there x₀-hat − ε-hat does not follow
    from a velocity, a score or ε-hat. With these "velocity" holds dx/dt itself, which vanishes there.

    Args:
        denoiser: the network, with or without guidance.
        hold: "x0", "eps", "velocity" or "v", the quantity that exponential solvers interpolate.
        logarithmic: interpolate in log r (True) or in r (False); None takes what suits the hold, log r for x0 and eps.

    Returns:
        An equation for `solve`, on states of shape (B, ...).

    Raises:
        ValueError: the hold is unknown.

    Example:
        >>> denoiser = Denoiser(lambda x, time: torch.zeros_like(x), CondOT(), predicts="x0")
        >>> solve(flow(denoiser), torch.ones(1, 2), [0.0, 0.25, 0.5], ExponentialAdams(1)).x  # x_t = σ_t x_0
        tensor([[0.5000, 0.5000]])
    """
    check_denoiser(denoiser)
    path, made = denoiser.path, hold_of(denoiser.path, hold, 0.0, logarithmic)
    at_rest = hold == "velocity" and path.d_alpha(0.0) == 0.0 and path.d_sigma(0.0) == 0.0
    if at_rest and not Held(denoiser, made).exists(0.0) and Slope(denoiser, 0.0).exists(0.0):
        made = Drift(path, 0.0, made.in_log)
    return _semilinear(denoiser, made)


def reverse_sde(
    denoiser: Denoiser, eta: float = 1.0, hold: str = "x0", *, logarithmic: bool | None = None
) -> Semilinear:
    """The stochastic equation of noise level η with the marginals of the path:

        dx = [velocity + η² σ² λ' score] dt + η σ √(2 λ') dW,        λ = log(α/σ).

    Args:
        denoiser: the network, with or without guidance.
        eta: η from 0 to 12; 1 reverses the noising process, 0 is the probability flow.
        hold: "x0" or "eps", the quantity that exponential solvers interpolate.
        logarithmic: interpolate in log r (True, the default of both) or in r (False).

    Returns:
        An equation for `solve`, on states of shape (B, ...), from noise (t = 0) to data (t = 1).

    Raises:
        ValueError: the hold is unknown or has no stochastic form, or eta is out of range.
    """
    check_denoiser(denoiser)
    eta = real("eta", eta, 0.0, LARGEST_ETA)
    return _semilinear(denoiser, hold_of(denoiser.path, hold, eta**2, logarithmic))


def _semilinear(denoiser: Denoiser, hold: Hold) -> Semilinear:
    slope = Slope(denoiser, hold.kappa)
    return Semilinear(Held(denoiser, hold), hold, Score(denoiser), denoiser.path, hold.basis, slope)

"""A first step that takes x₀-hat at its end, for networks that say little of x₀ at the noise.

x₀-hat = (x − σ ε-hat)/α, so that an error of ε-hat is divided by α there. A usual first step from s to t multiplies it
by about (α_t/σ_t)/(α_s/σ_s), which is a hundred and more. At the end of the step the factor is one:

    x̃ = (σ_t/σ_s) x_s                                       the state if x₀ were zero
    x_t = x̃ + (α_t − α_s σ_t/σ_s) x₀-hat(x̃, t)              its local error is O(h²)

The value of N at t follows from x₀-hat(x̃, t) and x_t without another evaluation. With N = a x + b M, where
M = (σ x₀ − α ε)/(α² + σ²) (see `Semilinear`), x₀-hat = α x̃/(α² + σ²) + σ M and

    N(x_t) = N(x̃) + (a − b α/(σ (α² + σ²))) (x_t − x̃).
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from ..equation import Semilinear
from ..field import Field

__all__ = ["Ahead", "plan_ahead"]


class Ahead(NamedTuple):
    """The numbers of the step.

    Attributes:
        ratio: σ_t/σ_s.
        of_state, of_value: x₀-hat is the one times x̃ plus the other times N.
        gain: α_t − α_s σ_t/σ_s.
        change: N changes by it, times the change of the state.
    """

    ratio: float
    of_state: float
    of_value: float
    gain: float
    change: float

    def step(self, field: Field, t1: float, x: Tensor) -> tuple[Tensor, Tensor]:
        """The state at the end t1 of the step that starts in x, and N there."""
        moved = self.ratio * x
        value = field(t1, moved)
        forward = self.gain * (self.of_state * moved + self.of_value * value)
        return moved + forward, value + self.change * forward


def plan_ahead(equation: Semilinear, t0: float, t1: float) -> Ahead:
    """The step from t0 to t1.

    Raises:
        ValueError: the equation has noise, does not say which process it belongs to, or the step does not lead from
            more to less noise, with some left.
    """
    process, basis = equation.noising, equation.basis
    if process is None or basis is None or equation.stochastic:
        raise ValueError("A first step with ahead=True needs the probability flow of a denoiser; leave ahead out.")
    (alpha0, sigma0), (alpha, sigma) = ((float(process.alpha(t)), float(process.sigma(t))) for t in (t0, t1))
    if not alpha0 * sigma < alpha * sigma0 or sigma == 0.0:
        raise ValueError(
            f"With ahead=True the first step goes from noise to data and keeps some noise, but this one goes from "
            f"t = {t0:g} to {t1:g}; leave ahead out."
        )
    (a, b), norm = basis(t1), alpha**2 + sigma**2
    of_value = sigma / b
    return Ahead(
        ratio=sigma / sigma0,
        of_state=alpha / norm - a * of_value,
        of_value=of_value,
        gain=alpha - alpha0 * sigma / sigma0,
        change=a - b * alpha / (sigma * norm),
    )

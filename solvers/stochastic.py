"""Methods for dx = f dt + g dW: four one-step methods, and one that looks back. With h = t₁ − t₀ and ΔW = √h ξ:

Euler-Maruyama (Ito)

    x₁ = x₀ + h f(t₀, x₀) + g(t₀, x₀) ΔW

Milstein, for noise with one g a component: with c = h (Ito) or 0 (Stratonovich)

    x₁ = x₀ + h f + g ΔW + ½ (∂g · g) (ΔW² − c)

Heun (Stratonovich)

    x̂ = x₀ + h f₀ + g₀ ΔW,        x₁ = x₀ + ½ h (f₀ + f̂) + ½ (g₀ + ĝ) ΔW

SRA1 (additive noise): in the variance clock q, where dx = f dt + L dW_q, and with A = ½ ΔW + H, the mean over the step
of W_q − W_{q₀} (H: the space-time Lévy area, `noise`)

    x̂ = x₀ + ¾ h f₀ + 3/2 L₁ A,        x₁ = x₀ + h (⅓ f₀ + ⅔ f(t₀ + ¾ h, x̂)) + L₁ (ΔW − A) + L₀ A

For an SDE q is t and L is g: this is Rößler's scheme, with A = I₁₀/h. For a semilinear equation L is the scale S: the
noise term is ∫ S dW_q = S₁ ΔW − ∫ (W_q − W_{q₀}) dS to O(h^{5/2}). With S √q' √h ξ for S ΔW, an error of O(h^{3/2}) a
step would remain, and strong order 1.

Leimkuhler-Matthews (Langevin dynamics: additive noise of constant g)

    x₁ = x₀ + h f(x₀) + ½ g (ΔW₋₁ + ΔW)

is no Markov chain, but it follows one: X = x − ½ g ΔW₋₁ goes to X + h f(X + ½ g ΔW₋₁) + g ΔW₋₁. The first step has no
ΔW₋₁, and takes x₀ for X₀.

Without noise Euler-Maruyama, Milstein and Leimkuhler-Matthews are Euler's method, Heun is Heun, and SRA1 the
Runge-Kutta method of order 2 whose second stage is at ¾.

Sources: Kloeden and Platen, Numerical Solution of SDEs, sections 10.2 and 10.3; Rümelin (1982), SIAM J. Numer. Anal.
19, 604 (Heun); Rößler (2010), SIAM J. Numer. Anal. 48, 922 (SRA1); Leimkuhler and Matthews (2013), AMRX 2013, 34;
Leimkuhler, Matthews and Tretyakov (2014), Proc. R. Soc. A 470, 20140120.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .common import host, matching, pushforward
from .equation import SDE, Calculus, Equation, NoiseType, Semilinear
from .loop import Abilities, Step, Stepper, combined
from .noise import Noise

__all__ = ["SRA1", "EulerMaruyama", "LeimkuhlerMatthews", "Milstein", "StochasticHeun"]

_ADDITIVE: frozenset[NoiseType] = frozenset({"additive"})
_ONE_A_COMPONENT: frozenset[NoiseType] = frozenset({"diagonal", "additive", "scalar"})
_EVERY: frozenset[NoiseType] = frozenset({"diagonal", "additive", "scalar", "general"})
_BOTH: frozenset[Calculus] = frozenset({"ito", "stratonovich"})


@dataclass(frozen=True)
class _Increment:
    """ΔW = √h ξ of one step.

    Attributes:
        root: √h.
        xi: ξ, in the shape that the kind of noise asks for.
        general: whether the diffusion g is a matrix of shape (B, d, m).
    """

    root: float
    xi: Tensor
    general: bool

    def times(self, g: Tensor | float) -> Tensor:
        """g ΔW."""
        if self.general:
            return self.root * (matching(g, self.xi) @ self.xi.unsqueeze(-1)).squeeze(-1)
        return (self.root * g) * self.xi


@dataclass(frozen=True)
class _Drive:
    """A stochastic equation and the noise that drives it."""

    equation: SDE | Semilinear
    noise: Noise

    @property
    def kind(self) -> NoiseType:
        """The kind of noise: a semilinear equation has additive noise."""
        return self.equation.noise if isinstance(self.equation, SDE) else "additive"

    def increment(self, t0: float, t1: float, x: Tensor, g: Tensor | float) -> _Increment:
        """ΔW of the step from t0 to t1, for diffusions of g's shape."""
        like = x
        if self.kind == "general":
            like = x.new_empty(x.shape[0], matching(g, x).shape[-1])
        elif self.kind == "scalar":
            like = x[(slice(None), *(slice(1),) * (x.ndim - 1))]
        xi = self.noise.normal(t0, t1, self.equation.variance, like)
        return _Increment(math.sqrt(t1 - t0), xi, self.kind == "general")


def _drive(equation: Equation, noise: Noise | None) -> _Drive | None:
    """The equation with its noise; None without noise, where a method is its deterministic limit."""
    if noise is None or not isinstance(equation, SDE | Semilinear) or not equation.stochastic:
        return None
    return _Drive(equation, noise)


class EulerMaruyama(Stepper[Equation]):
    """The method of Euler and Maruyama, for every kind of noise in the Ito calculus.

    It is of strong order 1 for additive noise and 1/2 otherwise, and of weak order 1. A step takes one evaluation.
    """

    abilities = Abilities(order=1, strong_order=1.0, weak_order=1.0, noises=_EVERY, one_step=True)
    evaluations_per_step = 1

    def step(self, equation: Equation, t0: float, t1: float, x: Tensor, state: None, noise: Noise | None) -> Step:
        x1 = combined(x, [t1 - t0], [equation.drift(t0, x)])
        if (drive := _drive(equation, noise)) is None:
            return Step(x1)
        g = drive.equation.diffusion(t0, x)
        return Step(x1 + drive.increment(t0, t1, x, g).times(g))


class Milstein(Stepper[Equation]):
    """Milstein's method, for scalar noise and for diagonal noise whose g depends on its own component, in both calculi.

    It is of strong order 1 and of weak order 1. Automatic differentiation gives ∂g · g, which is zero for additive
    noise: there the method is that of Euler and Maruyama. A step takes one evaluation.
    """

    abilities = Abilities(
        order=1, strong_order=1.0, weak_order=1.0, noises=_ONE_A_COMPONENT, calculi=_BOTH, one_step=True
    )
    evaluations_per_step = 1

    def step(self, equation: Equation, t0: float, t1: float, x: Tensor, state: None, noise: Noise | None) -> Step:
        h = t1 - t0
        x1 = combined(x, [h], [equation.drift(t0, x)])
        if (drive := _drive(equation, noise)) is None:
            return Step(x1)
        if drive.kind == "additive" or not isinstance(equation, SDE):
            g = drive.equation.diffusion(t0, x)
            return Step(x1 + drive.increment(t0, t1, x, g).times(g))

        def diffusion(y: Tensor) -> Tensor:
            return torch.as_tensor(equation.diffusion(t0, y), dtype=x.dtype, device=x.device).expand_as(x)

        g = diffusion(x)
        along_itself = pushforward(diffusion, x, g, equation.diffusion)
        increment = drive.increment(t0, t1, x, g)
        squared = increment.xi**2 - 1.0 if equation.calculus == "ito" else increment.xi**2
        return Step(x1 + increment.times(g) + (0.5 * h * squared) * along_itself)


class StochasticHeun(Stepper[Equation]):
    """The stochastic Heun method, for every kind of noise in the Stratonovich calculus.

    It is of strong order 1 for additive, diagonal and scalar noise and 1/2 for general noise, and of weak order 2 for
    additive noise. Without noise it is Heun's method. A step takes two evaluations.
    """

    abilities = Abilities(
        order=2,
        strong_order=1.0,
        weak_order=2.0,
        noises=_EVERY,
        calculi=frozenset({"stratonovich"}),
        one_step=True,
    )
    evaluations_per_step = 2

    def step(self, equation: Equation, t0: float, t1: float, x: Tensor, state: None, noise: Noise | None) -> Step:
        h, first = t1 - t0, equation.drift(t0, x)
        predicted, noise_term = combined(x, [h], [first]), None
        if (drive := _drive(equation, noise)) is not None:
            g = drive.equation.diffusion(t0, x)
            increment = drive.increment(t0, t1, x, g)
            predicted = predicted + increment.times(g)
            noise_term = increment.times(0.5 * (g + drive.equation.diffusion(t1, predicted)))
        x1 = combined(x, [0.5 * h, 0.5 * h], [first, equation.drift(t1, predicted)])
        return Step(x1 if noise_term is None else x1 + noise_term)


class SRA1(Stepper[Equation]):
    """Rößler's SRA1, for additive noise that may depend on time, in either calculus.

    It is of strong order 1.5 and of weak order 2. It needs noise with a space-time area: `WhiteNoise`, or
    `BrownianTree(..., area=True)`. A step takes two evaluations.
    """

    abilities = Abilities(order=2, strong_order=1.5, weak_order=2.0, noises=_ADDITIVE, calculi=_BOTH, one_step=True)
    evaluations_per_step = 2

    def step(self, equation: Equation, t0: float, t1: float, x: Tensor, state: None, noise: Noise | None) -> Step:
        h, first = t1 - t0, equation.drift(t0, x)
        stage, noise_term = combined(x, [0.75 * h], [first]), None
        if (drive := _drive(equation, noise)) is not None:
            xi, eta = drive.noise.normal_and_area(t0, t1, equation.variance, x)
            q0, q1 = equation.variance(host([t0, t1])).tolist()
            increment = math.sqrt(q1 - q0) * xi
            mean = 0.5 * increment + math.sqrt((q1 - q0) / 12.0) * eta
            load0, load1 = drive.equation.loading(t0, x), drive.equation.loading(t1, x)
            stage = stage + (1.5 * load1) * mean
            noise_term = load1 * increment + (load0 - load1) * mean
        second = equation.drift(t0 + 0.75 * h, stage)
        x1 = combined(x, [h / 3.0, 2.0 * h / 3.0], [first, second])
        return Step(x1 if noise_term is None else x1 + noise_term)


class LeimkuhlerMatthews(Stepper[Equation]):
    """Langevin dynamics, dx = −∇U(x) dt + g dW: averages over the stationary law exp(−2U/g²) are of order 2 in h.

    For a quadratic U that law is exact at every h. At finite times the weak order is 1 and the strong order 1/2, since
    half of the last increment is still to come. The method takes additive noise in either calculus. If g or h changes
    from step to step, it is consistent, but only of order 1. A step takes one evaluation and one normal.
    """

    abilities = Abilities(order=1, strong_order=0.5, weak_order=1.0, noises=_ADDITIVE, calculi=_BOTH)
    evaluations_per_step = 1

    def step(
        self, equation: Equation, t0: float, t1: float, x: Tensor, state: Tensor | None, noise: Noise | None
    ) -> Step:
        x1 = combined(x, [t1 - t0], [equation.drift(t0, x)])
        if (drive := _drive(equation, noise)) is None:
            return Step(x1)
        g = drive.equation.diffusion(t0, x)
        half = drive.increment(t0, t1, x, g).times(0.5 * g)
        x1 = x1 + half
        return Step(x1 if state is None else x1 + state, half)

"""Explicit Runge-Kutta methods: a tableau (`tableau`), and a step that reads it.

On a fixed grid no error estimate is needed, and the last stage of a pair is never computed: it is the first stage of
the next step.

Sources: Hairer, Nørsett and Wanner, Solving ODEs I, sections II.1-II.6; Dormand and Prince (1980); Bogacki and
Shampine (1989); Tsitouras (2011), Comput. Math. Appl. 62, 770; Ralston (1962).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ..common import matching
from ..equation import Equation
from ..field import Time
from ..loop import Abilities, Adaptive, Step, Stepper, combined
from ..noise import Noise
from .tableau import ButcherTableau

__all__ = ["METHODS", "RK4", "Bosh3", "Dopri5", "Euler", "Heun", "Midpoint", "Ralston", "RungeKutta", "Tsit5"]


class RungeKutta(Stepper[Equation]):
    """An explicit Runge-Kutta method. A method is a subclass with one attribute, its tableau."""

    tableau: ClassVar[ButcherTableau]

    def __init_subclass__(cls) -> None:
        pair = cls.tableau.embedded_b is not None
        cls.abilities = Abilities(order=cls.tableau.order, embedded=pair, dense=pair, one_step=True, timewise=True)
        cls.evaluations_per_step = cls.tableau.evaluations

    def init_adaptive(self, equation: Equation, x: Tensor, times: Adaptive) -> Tensor:
        """The slope at the start, which is the first stage."""
        return equation.drift(times.start(x), x)

    def slope(self, equation: Equation, t0: Time, x: Tensor, state: Tensor) -> Tensor:
        return state

    def step(
        self, equation: Equation, t0: Any, t1: Any, x: Tensor, state: Tensor | None, noise: Noise | None
    ) -> Step:
        tableau, h = self.tableau, t1 - t0
        h = matching(h, x) if isinstance(h, Tensor) else h
        slopes, inside = [equation.drift(t0, x) if state is None else state], x
        for c, row in zip(tableau.c[1 : tableau.evaluations], tableau.a[1:], strict=False):
            inside = combined(x, [h * a for a in row], slopes)
            slopes.append(equation.drift(t1 if c == 1.0 else t0 + c * (t1 - t0), inside))
        x1 = combined(x, [h * b for b in tableau.b], slopes)
        if state is None or tableau.embedded_b is None:
            return Step(x1)
        slopes.append(equation.drift(t1, x1))
        first, *rest = (h * (b - low) for b, low in zip(tableau.b, tableau.embedded_b, strict=True))
        error = combined(first * slopes[0], rest, slopes[1:])
        dense = _Between(tableau, t0, t1, x, tuple(slopes))
        stiffness = _FastestRate(slopes[-2], slopes[-1], inside, x1) if tableau.c[-2] == 1.0 else None
        return Step(x1, slopes[-1], error, dense, stiffness)


@dataclass(slots=True)  # frozen it would take three times as long to make
class _Between:
    """The state within a step of a pair from t0 to t1, of the slopes at its stages."""

    tableau: ButcherTableau
    t0: Any
    t1: Any
    x: Tensor
    slopes: tuple[Tensor, ...]

    def __call__(self, t: Time) -> Tensor:
        h = self.t1 - self.t0
        theta = (t - self.t0) / h
        if isinstance(theta, Tensor):
            h, theta = matching(h, self.x), matching(theta, self.x)
        powers = self.tableau.interpolant.T.tolist()
        weights = [h * theta * (a + theta * (b + theta * (c + theta * d))) for a, b, c, d in powers]
        return combined(self.x, weights, self.slopes)


@dataclass(slots=True)
class _FastestRate:
    """‖f − f'‖/‖x − x'‖ of two slopes at one time and the states to which they belong."""

    slope: Tensor
    other_slope: Tensor
    x: Tensor
    other_x: Tensor

    def __call__(self) -> float:
        return float((self.other_slope - self.slope).norm() / (self.other_x - self.x).norm())


class Euler(RungeKutta):
    """Order 1: x₁ = x₀ + h f(t₀, x₀)."""

    tableau = ButcherTableau(order=1, c=(0.0,), a=((),), b=(1.0,))


class Midpoint(RungeKutta):
    """Order 2: the slope in the middle of the step."""

    tableau = ButcherTableau(order=2, c=(0.0, 0.5), a=((), (0.5,)), b=(0.0, 1.0))


class Heun(RungeKutta):
    """Order 2 with an embedded 1: the mean of the slopes at both ends; in the flow's clock, EDM's (2206.00364)."""

    tableau = ButcherTableau(
        order=2,
        c=(0.0, 1.0, 1.0),
        a=((), (1.0,), (0.5, 0.5)),
        b=(0.5, 0.5, 0.0),
        embedded_order=1,
        embedded_b=(1.0, 0.0, 0.0),
        dense_order=2,
    )


class Ralston(RungeKutta):
    """Order 2 with the smallest bound of the local error: the slopes at the start and at two thirds (Ralston 1962)."""

    tableau = ButcherTableau(order=2, c=(0.0, 2 / 3), a=((), (2 / 3,)), b=(1 / 4, 3 / 4))


class RK4(RungeKutta):
    """Order 4: Kutta's classical method."""

    tableau = ButcherTableau(
        order=4,
        c=(0.0, 0.5, 0.5, 1.0),
        a=((), (0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)),
        b=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
    )


class Bosh3(RungeKutta):
    """Order 3 with an embedded 2: Bogacki and Shampine (1989)."""

    tableau = ButcherTableau(
        order=3,
        c=(0.0, 1 / 2, 3 / 4, 1.0),
        a=((), (1 / 2,), (0.0, 3 / 4), (2 / 9, 1 / 3, 4 / 9)),
        b=(2 / 9, 1 / 3, 4 / 9, 0.0),
        embedded_order=2,
        embedded_b=(7 / 24, 1 / 4, 1 / 3, 1 / 8),
        dense_order=3,
    )


class Dopri5(RungeKutta):
    """Order 5 with an embedded 4: Dormand and Prince (1980)."""

    tableau = ButcherTableau(
        order=5,
        c=(0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0),
        a=(
            (),
            (1 / 5,),
            (3 / 40, 9 / 40),
            (44 / 45, -56 / 15, 32 / 9),
            (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
            (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
            (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
        ),
        b=(35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0.0),
        embedded_order=4,
        embedded_b=(5179 / 57600, 0.0, 7571 / 16695, 393 / 640, -92097 / 339200, 187 / 2100, 1 / 40),
        dense_order=4,
        dense=(
            *(-12715105075 / 11282082432, 0.0, 87487479700 / 32700410799, -10690763975 / 1880347072),
            *(701980252875 / 199316789632, -1453857185 / 822651844, 69997945 / 29380423),
        ),
    )


class Tsit5(RungeKutta):
    """Order 5 with an embedded 4 and smaller errors than Dormand and Prince's: Tsitouras (2011)."""

    tableau = ButcherTableau(
        order=5,
        c=(0.0, 0.161, 0.327, 0.9, 0.9800255409045097, 1.0, 1.0),
        a=(
            (),
            (0.161,),
            (-0.008480655492356989, 0.335480655492357),
            (2.8971530571054935, -6.359448489975075, 4.3622954328695815),
            (5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525),
            (5.86145544294642, -12.92096931784711, 8.159367898576159, -0.071584973281401, -0.028269050394068383),
            (0.09646076681806523, 0.01, 0.4798896504144996, 1.379008574103742, -3.290069515436081, 2.324710524099774),
        ),
        b=(
            *(0.09646076681806523, 0.01, 0.4798896504144996, 1.379008574103742, -3.290069515436081),
            *(2.324710524099774, 0.0),
        ),
        embedded_order=4,
        embedded_b=(
            *(0.09824077787029101, 0.010816434459656746, 0.4720087724042376, 1.5237195812770048),
            *(-3.872426680888636, 2.7827926300289607, -1 / 66),
        ),
        dense_order=4,
        dense=(
            *(-1.0530884977290216, 0.1017, 2.490627285651252793, -16.54810288924490272),
            *(47.37952196281928122, -34.87065786149660974, 2.5),
        ),
    )


METHODS: tuple[type[RungeKutta], ...] = tuple(RungeKutta.__subclasses__())
"""Every method above, which certificates, benchmarks and tests run through."""

"""Explicit Runge-Kutta methods, as tableaus that prove their own order.

    k_i = f(t₀ + c_i h, x₀ + h Σ_j a_ij k_j),        x₁ = x₀ + h Σ_i b_i k_i

A method has order p exactly if Φ(τ) = 1/γ(τ) for every rooted tree τ with at most p nodes, where, for the tree with
subtrees τ₁ … τ_m, γ is its number of nodes times the product of γ(τ_j), and Φ is Σ_i b_i Π_j Φ_i(τ_j) with
Φ_i(τ) = Σ_k a_ik Π_j Φ_k(τ_j). A tableau checks that when it is made: one that is wrong cannot exist.

An embedded pair has a second row b̂ of another order, and h Σ (b_i − b̂_i) k_i estimates the error. In the pairs here
the last stage is the slope at the end of the step, which is the first stage of the next one: on a fixed grid, where no
estimate is needed, it is never computed twice. Between the ends, at t₀ + θh, the state is the Hermite cubic of both
states and slopes plus a quartic that vanishes there,

    x_θ = x₀ + h Σ_i [ θ²(3 − 2θ) b_i + θ(1 − θ)² δ_{i1} + θ²(θ − 1) δ_{is} + θ²(1 − θ)² d_i ] k_i,

whose d makes it of order 4 (with d = 0 it is of order 3). Its local error, one order below the pair's, is of the order
of the pair's global one, and it costs no evaluation. The tableau checks the conditions Σ_i b_i(θ) Φ_i(τ) = θ^{|τ|}/γ(τ)
for every power of θ.

Sources: Hairer, Nørsett and Wanner, Solving ODEs I, sections II.1-II.6; Dormand and Prince (1980); Bogacki and
Shampine (1989); Tsitouras (2011), Comput. Math. Appl. 62, 770; Ralston (1962).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from .base import Step, Stepper, combined
from .equation import Equation, Time
from .moments import Array
from .noise import Noise
from .stepping import Adaptive, Grid

__all__ = ["RK4", "Bosh3", "ButcherTableau", "Dopri5", "Euler", "Heun", "Midpoint", "Ralston", "RungeKutta", "Tsit5"]

Tree = tuple[Any, ...]


@cache
def rooted_trees(nodes: int) -> tuple[Tree, ...]:
    """All rooted trees with that many nodes; a tree is the sorted tuple of its subtrees."""

    def forests(size: int, largest: Tree | None) -> Iterator[Tree]:
        if size == 0:
            yield ()
        for first in range(1, size + 1):
            for tree in rooted_trees(first):
                key = (first, tree)
                if largest is None or key <= largest:
                    yield from ((tree, *rest) for rest in forests(size - first, key))

    return tuple(forests(nodes - 1, None))


@dataclass(frozen=True)
class ButcherTableau:
    """Rows a (strictly lower triangular), weights b, and for an embedded pair the lower-order weights.

    dense_order, dense: of the interpolant, and its coefficients d, zero if they are not given.
    Raises ValueError if a row does not sum to its node, if the weights or the interpolant miss a condition of their
    order, or if the last stage of a tableau with an interpolant is not the slope at the end.
    """

    order: int
    c: tuple[float, ...]
    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    embedded_order: int | None = None
    embedded_b: tuple[float, ...] | None = None
    dense_order: int | None = None
    dense: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        stages = len(self.c)
        if len(self.a) != stages or any(len(row) != i for i, row in enumerate(self.a)) or len(self.b) != stages:
            raise ValueError(f"A tableau of {stages} stages needs rows of 0 to {stages - 1} entries, {stages} weights.")
        for i, row in enumerate(self.a):
            if abs(sum(row) - self.c[i]) > 1e-14:
                raise ValueError(f"Row {i} of the tableau sums to {sum(row):g}, but its node is {self.c[i]:g}.")
        for b, order in ((self.b, self.order), (self.embedded_b, self.embedded_order)):
            if b is not None and order is not None:
                for tree, _, density, values in self._trees(order):
                    if abs(np.dot(b, values) - 1.0 / density) > 1e-13:
                        raise ValueError(f"The tableau is not of order {order}: it misses the condition of {tree}.")
        if self.dense_order is not None:
            self._check_interpolant(self.dense_order)

    def _check_interpolant(self, order: int) -> None:
        if not self.reuses_last_stage:
            raise ValueError("An interpolant needs the slope at the end of the step as the tableau's last stage.")
        powers = np.arange(1, 5)
        for tree, nodes, density, values in self._trees(order):
            if np.abs(self.interpolant @ values - (powers == nodes) / density).max() > 1e-12:
                raise ValueError(f"The interpolant is not of order {order}: it misses the condition of {tree}.")

    def _trees(self, order: int) -> Iterator[tuple[Tree, int, int, Array]]:
        """For every tree τ with at most `order` nodes: τ, |τ|, γ(τ) and Φ_i(τ) for every stage i."""
        matrix = np.zeros((len(self.c), len(self.c)))
        for i, row in enumerate(self.a):
            matrix[i, :i] = row

        def weight(tree: Tree) -> tuple[int, int, Array]:
            product, density, nodes = np.ones(len(self.c)), 1, 1
            for subtree in tree:
                subnodes, subdensity, values = weight(subtree)
                product, density, nodes = product * (matrix @ values), density * subdensity, nodes + subnodes
            return nodes, density * nodes, product

        for nodes in range(1, order + 1):
            for tree in rooted_trees(nodes):
                yield tree, *weight(tree)

    @cached_property
    def interpolant(self) -> Array:
        """The coefficients of θ, θ², θ³ and θ⁴ in the weights b_i(θ): shape (4, stages)."""
        first, last = np.eye(len(self.b))[[0, -1]]
        b, d = np.array(self.b), np.array(self.dense or np.zeros(len(self.b)))
        return np.stack([first, 3.0 * b - 2.0 * first - last + d, first + last - 2.0 * b - 2.0 * d, d])

    @property
    def reuses_last_stage(self) -> bool:
        """Whether the last stage is the slope at the end of the step."""
        return self.c[-1] == 1.0 and self.a[-1] == self.b[:-1] and self.b[-1] == 0.0

    @cached_property
    def evaluations(self) -> int:
        """Evaluations of one step on a fixed grid."""
        return len(self.c) - self.reuses_last_stage


class RungeKutta(Stepper):
    """An explicit Runge-Kutta method; its class holds its tableau."""

    tableau: ClassVar[ButcherTableau]
    one_step = True
    timewise = True

    def __init_subclass__(cls) -> None:
        cls.order = cls.tableau.order
        cls.embedded = cls.dense = cls.tableau.embedded_b is not None

    def evaluations(self, n: int) -> int:
        return self.tableau.evaluations * n

    def init(self, equation: Equation, x: Tensor, times: Grid | Adaptive) -> Tensor | None:
        if isinstance(times, Grid):
            return None
        return equation.drift(times.time(np.full(len(x), times.t0), x), x)

    def slope(self, equation: Equation, t0: Time, x: Tensor, state: Tensor) -> Tensor:
        return state

    def step(
        self, equation: Equation, t0: Any, t1: Any, x: Tensor, state: Tensor | None, noise: Noise | None
    ) -> Step:
        tableau, h = self.tableau, t1 - t0
        h = h.to(x) if isinstance(h, Tensor) else h
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

        def at(t: Time) -> Tensor:
            theta = (t - t0) / (t1 - t0)
            theta = theta.to(x) if isinstance(theta, Tensor) else theta
            powers = tableau.interpolant.T.tolist()
            weights = [h * theta * (a + theta * (b + theta * (c + theta * d))) for a, b, c, d in powers]
            return combined(x, weights, slopes)

        def rate() -> float:
            return float((slopes[-1] - slopes[-2]).norm() / (x1 - inside).norm())

        return Step(x1, slopes[-1], error, at, rate if tableau.c[-2] == 1.0 else None)


class Euler(RungeKutta):
    """Order 1: x₁ = x₀ + h f(t₀, x₀)."""

    tableau = ButcherTableau(order=1, c=(0.0,), a=((),), b=(1.0,))


class Midpoint(RungeKutta):
    """Order 2: the slope at the middle of the step."""

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

"""Explicit Runge-Kutta methods, as tableaus that prove their own order.

    k_i = f(t₀ + c_i h, x₀ + h Σ_j a_ij k_j),        x₁ = x₀ + h Σ_i b_i k_i

A method has order p exactly if Φ(τ) = 1/γ(τ) for every rooted tree τ with at most p nodes, where, for the tree with
subtrees τ₁ … τ_m, γ is its number of nodes times the product of γ(τ_j), and Φ is Σ_i b_i Π_j Φ_i(τ_j) with
Φ_i(τ) = Σ_k a_ik Π_j Φ_k(τ_j). A tableau checks that when it is made: one that is wrong cannot exist.

An embedded pair has a second row b̂ of another order, and h Σ (b_i − b̂_i) k_i estimates the error. In the pairs here
the last stage is the slope at the end of the step, which is the first stage of the next one: on a fixed grid, where no
estimate is needed, it is never computed twice.

Sources: Hairer, Nørsett and Wanner, Solving ODEs I, sections II.1-II.5; Dormand and Prince (1980); Bogacki and
Shampine (1989).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from .base import Step, Stepper, combined
from .equation import Equation
from .noise import Noise
from .stepping import Adaptive, Grid

__all__ = ["RK4", "Bosh3", "ButcherTableau", "Dopri5", "Euler", "Heun", "Midpoint", "RungeKutta"]

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

    Raises ValueError if a row does not sum to its node, or the weights miss a condition of their order.
    """

    order: int
    c: tuple[float, ...]
    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    embedded_order: int | None = None
    embedded_b: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        stages = len(self.c)
        if len(self.a) != stages or any(len(row) != i for i, row in enumerate(self.a)) or len(self.b) != stages:
            raise ValueError(f"A tableau of {stages} stages needs rows of 0 to {stages - 1} entries, {stages} weights.")
        for i, row in enumerate(self.a):
            if abs(sum(row) - self.c[i]) > 1e-14:
                raise ValueError(f"Row {i} of the tableau sums to {sum(row):g}, but its node is {self.c[i]:g}.")
        self._check_order(self.b, self.order)
        if self.embedded_b is not None and self.embedded_order is not None:
            self._check_order(self.embedded_b, self.embedded_order)

    def _check_order(self, b: tuple[float, ...], order: int) -> None:
        matrix = np.zeros((len(b), len(b)))
        for i, row in enumerate(self.a):
            matrix[i, :i] = row

        def weight(tree: Tree) -> tuple[np.ndarray, int, int]:
            """Π_j Φ_i(τ_j) for every stage i, γ, and the number of nodes."""
            product, density, nodes = np.ones(len(b)), 1, 1
            for subtree in tree:
                values, subdensity, subnodes = weight(subtree)
                product, density, nodes = product * (matrix @ values), density * subdensity, nodes + subnodes
            return product, density * nodes, nodes

        for nodes in range(1, order + 1):
            for tree in rooted_trees(nodes):
                values, density, _ = weight(tree)
                if abs(np.dot(b, values) - 1.0 / density) > 1e-13:
                    raise ValueError(f"The tableau is not of order {order}: it misses the condition of {tree}.")

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

    def __init_subclass__(cls) -> None:
        cls.order = cls.tableau.order
        cls.embedded = cls.tableau.embedded_b is not None

    def evaluations(self, n: int) -> int:
        return self.tableau.evaluations * n

    def init(self, equation: Equation, x: Tensor, times: Grid | Adaptive) -> Tensor | None:
        return equation.drift(times.t0, x) if isinstance(times, Adaptive) else None

    def slope(self, equation: Equation, t0: float, x: Tensor, state: Tensor) -> Tensor:
        return state

    def step(
        self, equation: Equation, t0: float, t1: float, x: Tensor, state: Tensor | None, noise: Noise | None
    ) -> Step:
        tableau, h = self.tableau, t1 - t0
        slopes = [equation.drift(t0, x) if state is None else state]
        for i in range(1, tableau.evaluations):
            t = t1 if tableau.c[i] == 1.0 else t0 + tableau.c[i] * h
            slopes.append(equation.drift(t, combined(x, [h * a for a in tableau.a[i]], slopes)))
        x1 = combined(x, [h * b for b in tableau.b], slopes)
        if state is None or tableau.embedded_b is None:
            return Step(x1)
        slopes.append(equation.drift(t1, x1))
        first, *rest = (h * (b - low) for b, low in zip(tableau.b, tableau.embedded_b, strict=True))
        return Step(x1, slopes[-1], combined(first * slopes[0], rest, slopes[1:]))


class Euler(RungeKutta):
    """Order 1: x₁ = x₀ + h f(t₀, x₀)."""

    tableau = ButcherTableau(order=1, c=(0.0,), a=((),), b=(1.0,))


class Midpoint(RungeKutta):
    """Order 2: the slope at the middle of the step."""

    tableau = ButcherTableau(order=2, c=(0.0, 0.5), a=((), (0.5,)), b=(0.0, 1.0))


class Heun(RungeKutta):
    """Order 2: the mean of the slopes at both ends; in the clock of the flow, the sampler of EDM (2206.00364)."""

    tableau = ButcherTableau(order=2, c=(0.0, 1.0), a=((), (1.0,)), b=(0.5, 0.5))


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
    )

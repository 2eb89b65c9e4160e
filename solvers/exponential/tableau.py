"""Tableaus of exponential Runge-Kutta methods, which prove their own stiff order.

In the variable u in which N is interpolated, z = log|r_t| − log|r_s| over a step (z = 0 if that is r itself), a method

    X_i = ρ_i x_s + γ_i Σ_j a_ij N(X_j) / (c_i φ₁(−c_i z)),        x_t = ρ x_s + γ Σ_i b_i N(X_i) / φ₁(−z),

γ_i = G_i − ρ_i G_s, has weights that are combinations of φ_k(−c_l z), φ_{k+1}(x) = (φ_k(x) − 1/k!)/x, φ₀ = eˣ. With

    ψ_{m,i} = Σ_j a_ij c_j^{m−1}/(m−1)! − c_i^m φ_m(−c_i z),        ψ_m = Σ_i b_i c_i^{m−1}/(m−1)! − φ_m(−z),

it is of stiff order p if ψ_{1,i} = 0 and, for all arguments of b, a and ψ independently,

    order 1   ψ₁ = 0                             order 3   ψ₃ = 0,  Σ_i b_i ψ_{2,i} = 0
    order 2   ψ₂ = 0                             order 4   ψ₄ = 0,  Σ_i b_i ψ_{3,i} = 0,
                                                           Σ_ij b_i a_ij ψ_{2,j} = 0,  Σ_i b_i c_i ψ_{2,i} = 0,

where in the conditions of order p itself b_i may stand at z = 0. Interpolating N in u at nodes c_j gives such weights.

Source: Hochbruck and Ostermann, Explicit exponential Runge-Kutta methods for semilinear parabolic problems (2005),
SIAM J. Numer. Anal. 43, table 1, theorem 4.7 and eqs. 5.3, 5.8 and 5.19.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..common import Array, check_fields, check_instance, real, reals, whole, wholes
from .moments import exponential_moments
from .rows import MOST_STAGES, Entry, Row, checked_row, interpolated

__all__ = [
    *("DPM_SOLVER_2", "EDM_HEUN", "EULER", "FOURTH", "MIDPOINT", "THIRD", "TRAPEZOID"),
    "ExponentialTableau",
]


@dataclass(frozen=True)
class ExponentialTableau:
    """An exponential Runge-Kutta method with an embedded one of one order less. It checks its orders when made.

    Args:
        name: a name for `repr` and for errors.
        order: the stiff order, 1 … 4.
        c: the nodes of the stages, in units of the step, from 0 to 1.
        a: the rows of weights of the stages after the first one.
        b: the weights of the step.
        embedded_b: the weights of the embedded method.
        dense: the stages whose values are interpolated for a state between the ends of a step.

    Raises:
        TypeError: an argument is of another kind.
        ValueError: a number is not finite or out of range, a stage uses one that is not before it, or the weights miss
            a condition of their order.
    """

    name: str
    order: int
    c: tuple[float, ...]
    a: tuple[Row, ...]
    b: Row
    embedded_b: Row
    dense: tuple[int, ...]

    def __post_init__(self) -> None:
        self._check_numbers()
        for row, order in ((-2, self.order), (-1, self.order - 1)):
            self._check(row, order)

    @property
    def stages(self) -> int:
        """The number of stages, which is the number of evaluations of a step."""
        return len(self.c)

    def weights(self, z: Array) -> Array:
        """The weights at each z, (n,): an array (n, rows, stages) with the rows of a, then b, then embedded_b."""
        weights: Array = np.einsum("rilk,nlk->nri", self._coefficients, self._phi(z))
        return weights

    def _phi(self, z: Array) -> Array:
        """φ_{k+1}(−c_l z) for k = 0 … 3, an array (n, stages + 1, 4), where the last c is 1."""
        return exponential_moments(np.array([*self.c, 1.0]) * z[:, None], 4) / (1.0, 1.0, 2.0, 6.0)

    @cached_property
    def _coefficients(self) -> Array:
        """The coefficients of φ_{k+1}(−c_l z) in the weights: an array (rows, stages, l = stages + 1, 4)."""
        rows = (*self.a, self.b, self.embedded_b)
        found = np.zeros((len(rows), self.stages, self.stages + 1, 4))
        for r, row in enumerate(rows):
            for stage, entry in row.items():
                for (k, at), coefficient in entry.items():
                    found[r, stage, at, k - 1] = coefficient
        return found

    def _check_numbers(self) -> None:
        """Keep the numbers as ints and floats. Raises TypeError or ValueError for what are none."""
        check_instance("name", self.name, str, "a name, such as 'MIDPOINT'")
        check_fields(self, whole, "order", low=1, high=4)
        object.__setattr__(self, "c", tuple(real("c", node, 0.0, 1.0) for node in reals("c", self.c)))
        stages = len(self.c)
        if not (isinstance(self.a, Sequence) and len(self.a) == stages - 1 < MOST_STAGES):
            raise ValueError(f"A tableau of {stages} nodes needs a row of weights for each stage after the first one.")
        given = {**{f"a[{i}]": row for i, row in enumerate(self.a)}, "b": self.b, "embedded_b": self.embedded_b}
        counts = [*range(1, stages), stages, stages]
        rows = [checked_row(name, row, count, stages) for (name, row), count in zip(given.items(), counts, strict=True)]
        for name, value in (("a", tuple(rows[:-2])), ("b", rows[-2]), ("embedded_b", rows[-1])):
            object.__setattr__(self, name, value)
        check_fields(self, wholes, "dense", low=0, high=stages - 1)
        if len({self.c[stage] for stage in self.dense}) != len(self.dense) or not self.dense:
            raise ValueError(f"dense names the stages {self.dense}; give stages of different nodes, one at least.")

    def _check(self, row: int, order: int) -> None:
        """Raise ValueError if the weights in this row miss a condition of the order, at some z."""
        z = np.array([0.0, 0.3, -0.7, 2.5, 6.0])
        c, powers = np.array(self.c), range(1, 5)
        phi = {m: self._phi(z)[..., m - 1] for m in powers}
        weights = self.weights(z)
        b, a = weights[:, row], np.insert(weights[:, :-2], 0, 0.0, axis=1)
        taylor = {m: c ** (m - 1) / math.factorial(m - 1) for m in powers}
        psi_stage = {m: a @ taylor[m] - c**m * phi[m][:, :-1] for m in powers}
        psi = {m: b @ taylor[m] - phi[m][:, -1] for m in powers}
        conditions = {
            "ψ₁ᵢ": (1, psi_stage[1]),
            "ψ₁": (1, psi[1]),
            "ψ₂": (2, psi[2]),
            "ψ₃": (3, psi[3]),
            "b ψ₂ᵢ": (3, np.einsum("yi,zi->yz", b, psi_stage[2])),
            "ψ₄": (4, psi[4]),
            "b ψ₃ᵢ": (4, np.einsum("yi,zi->yz", b, psi_stage[3])),
            "b a ψ₂ᵢ": (4, np.einsum("yi,xij,zj->yxz", b, a, psi_stage[2])),
            "b c ψ₂ᵢ": (4, np.einsum("yi,i,zi->yz", b, c, psi_stage[2])),
        }
        for name, (of_order, residual) in conditions.items():
            weakened = residual[:1] if of_order == order and order > 1 else residual  # b at z = 0 alone
            if of_order <= order and np.abs(weakened).max() > 1e-13:
                raise ValueError(f"The tableau {self.name} is not of stiff order {order}: it misses {name} = 0.")


_ONE_STAGE = interpolated(-1, 1.0, {0: 0.0})

EULER = ExponentialTableau("EULER", order=1, c=(0.0,), a=(), b=_ONE_STAGE, embedded_b=_ONE_STAGE, dense=(0,))
"""Exponential Euler, or DDIM. It has no error estimate: its embedded weights are its own."""


def _two_stages(name: str, c: float, b: Row | None = None) -> ExponentialTableau:
    """The method of order 2 with a second stage at c; N is interpolated at both stages unless b is given."""
    return ExponentialTableau(
        name,
        order=2,
        c=(0.0, c),
        a=(interpolated(1, c, {0: 0.0}),),
        b=interpolated(-1, 1.0, {0: 0.0, 1: c}) if b is None else b,
        embedded_b=_ONE_STAGE,
        dense=(0, 1),
    )


MIDPOINT = _two_stages("MIDPOINT", 1 / 2)
"""b₂ = 2 φ₂."""

TRAPEZOID = _two_stages("TRAPEZOID", 1.0)
"""b₂ = φ₂: exponential Heun."""

EDM_HEUN = _two_stages("EDM_HEUN", 1.0, b={0: {(1, -1): 1 / 2}, 1: {(1, -1): 1 / 2}})
"""b₁ = b₂ = φ₁/2: the mean of N at both ends, Heun's method in r itself (Karras et al. 2206.00364, algorithm 1)."""

DPM_SOLVER_2 = _two_stages("DPM_SOLVER_2", 1 / 2, b={1: {(1, -1): 1.0}})
"""b₂ = φ₁: as printed in DPM-Solver (2206.00927, algorithm 1) and DPM-Solver++ 2S (2211.01095, algorithm 1)."""

THIRD = ExponentialTableau(
    "THIRD",
    order=3,
    c=(0.0, 1 / 3, 2 / 3),
    a=(interpolated(1, 1 / 3, {0: 0.0}), interpolated(2, 2 / 3, {0: 0.0, 1: 1 / 3})),
    b=interpolated(-1, 1.0, {0: 0.0, 2: 2 / 3}),
    embedded_b=interpolated(-1, 1.0, {0: 0.0, 1: 1 / 3}),
    dense=(0, 2),
)
"""Hochbruck and Ostermann's eq. 5.8 with c₂ = 1/3: DPM-Solver-3 (2206.00927, algorithm 2)."""

_A52: Entry = {(2, 4): 1 / 2, (3, 3): -1.0, (2, 3): 1 / 4, (3, 4): -1 / 2}

FOURTH = ExponentialTableau(
    "FOURTH",
    order=4,
    c=(0.0, 1 / 2, 1 / 2, 1.0, 1 / 2),
    a=(
        {0: {(1, 1): 1 / 2}},
        {0: {(1, 2): 1 / 2, (2, 2): -1.0}, 1: {(2, 2): 1.0}},
        {0: {(1, 3): 1.0, (2, 3): -2.0}, 1: {(2, 3): 1.0}, 2: {(2, 3): 1.0}},
        {
            0: {(1, 4): 1 / 2, (2, 4): -3 / 4, (3, 3): 1.0, (2, 3): -1 / 4, (3, 4): 1 / 2},
            1: _A52,
            2: _A52,
            3: {(2, 4): -1 / 4, (3, 3): 1.0, (2, 3): -1 / 4, (3, 4): 1 / 2},
        },
    ),
    b=interpolated(-1, 1.0, {0: 0.0, 3: 1.0, 4: 1 / 2}),
    embedded_b={
        0: {(1, -1): 1.0, (2, -1): -3.0, (3, -1): 4.0},
        1: {(2, -1): 2.0, (3, -1): -4.0},
        2: {(2, -1): 2.0, (3, -1): -4.0},
        3: {(2, -1): -1.0, (3, -1): 4.0},
    },
    dense=(0, 3, 4),
)
"""Hochbruck and Ostermann's eq. 5.19; the embedded weights are Krogstad's."""

"""The steps of a solve: exactly those of a grid, or those that an error estimate allows.

`Adaptive` accepts a step from x₀ to x₁ with estimated local error e when

    ‖e‖ = rms_i( e_i / (atol + rtol max(|x₀ᵢ|, |x₁ᵢ|)) ) ≤ 1

and chooses the next one from the last three such norms,

    h ← 0.9 h ‖e_n‖^{−β₁/p} ‖e_{n−1}‖^{−β₂/p} ‖e_{n−2}‖^{−β₃/p},        e = O(h^p),

which is an I controller (integral), a PI controller (proportional-integral) or a PID controller. The norm is taken over
the whole state, and the samples of a batch share their steps. With `per_sample` it is taken over each sample
separately, and each sample has its own steps.

Sources: Hairer, Nørsett and Wanner, Solving ODEs I, section II.4 (first step), and II, IV.2 (PI); Söderlind, Digital
filters in adaptive time-stepping (2003); Kennedy and Carpenter (2003), Appl. Numer. Math. 44 (PID).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from ..common import Array, array, host
from ..field import Function, Time, column

__all__ = ["EXPONENTS", "Adaptive", "Grid", "columns"]

Control = Literal["I", "PI", "PID"]
EXPONENTS: dict[Control, tuple[float, float, float]] = {
    "I": (1.0, 0.0, 0.0),
    "PI": (0.7, -0.4, 0.0),
    "PID": (0.58, -0.21, 0.1),
}
"""β₁, β₂, β₃."""


def columns(values: Array, x: Tensor) -> Tensor:
    """One number a sample, (B,), as a float64 tensor of shape (B, 1, …, 1) on the host, for x of shape (B, ...)."""
    return column(host(values.copy()), x)


@dataclass(frozen=True)
class Grid:
    """A fixed grid. Each step goes from one of the times to the next.

    Attributes:
        times: at least two times, strictly monotone.
    """

    times: tuple[float, ...]

    @classmethod
    def of(cls, times: Tensor | Sequence[float]) -> Grid:
        """The grid of these times. Raises ValueError unless they are 1-D, finite and strictly monotone."""
        tensor = torch.as_tensor(times, dtype=torch.float64)
        if tensor.ndim != 1 or len(tensor) < 2:
            raise ValueError(f"times must be 1-D with at least two entries, but has shape {tuple(tensor.shape)}.")
        values = tuple(tensor.tolist())
        steps = [b - a for a, b in pairwise(values)]
        if not all(map(math.isfinite, values)):
            raise ValueError("times must be finite; give the times of the steps, noise (t = 0) to data (t = 1).")
        for i, step in enumerate(steps):
            if step * steps[0] <= 0.0:
                what = "repeats" if step == 0.0 else "turns back"
                raise ValueError(
                    f"times must be strictly monotone, but {what} at entry {i + 1} ({values[i]:g}, {values[i + 1]:g}); "
                    "drop or sort it."
                )
        return cls(values)

    @property
    def t0(self) -> float:
        """The first time."""
        return self.times[0]

    @property
    def t1(self) -> float:
        """The last time."""
        return self.times[-1]

    @property
    def n(self) -> int:
        """The number of steps."""
        return len(self.times) - 1


@dataclass(frozen=True)
class Adaptive:
    """Steps from t0 to t1 whose lengths follow from the solver's own error estimate.

    With per_sample=True a field is called with one time a sample: t is a float64 tensor of shape (B,) on the host, for
    x of shape (B, ...). For x of shape (B, d) a field then writes t[:, None] * x. Finished samples leave the batch, so
    that B falls during the solve.

    Args:
        t0: the first time.
        t1: the last time, before or after t0.
        rtol: the relative tolerance of one step's error. It has no default: it is the accuracy that you ask for.
        atol: the absolute tolerance of one step's error, in the unit of the state. It has no default either.
        per_sample: whether each sample has its own steps, so that its result does not depend on the other samples.
        control: "I", "PI" or "PID".

    Raises:
        ValueError: a tolerance is not positive, the times are equal or not finite, or the control is unknown.
    """

    t0: float
    t1: float
    rtol: float
    atol: float
    per_sample: bool
    control: Control

    def __init__(
        self, t0: float, t1: float, *, rtol: float, atol: float, per_sample: bool = False, control: Control = "PI"
    ) -> None:
        if not (math.isfinite(t0) and math.isfinite(t1)) or t0 == t1:
            raise ValueError(f"Adaptive needs two different finite times, but got {t0} and {t1}.")
        if not (rtol > 0.0 and atol > 0.0):
            raise ValueError(f"Adaptive needs positive tolerances, but got rtol = {rtol} and atol = {atol}.")
        if control not in get_args(Control):
            raise ValueError(f"Unknown control {control!r}; choose one of {', '.join(get_args(Control))}.")
        given = {"t0": float(t0), "t1": float(t1), "rtol": rtol, "atol": atol}
        for name, value in (given | {"per_sample": per_sample, "control": control}).items():
            object.__setattr__(self, name, value)

    def check_reachable(self, x: Tensor) -> None:
        """Raise ValueError for tolerances below the rounding of the state x: no estimate could ever meet them."""
        eps = torch.finfo(x.dtype).eps
        if (self.norms(eps * x, x, x) > 0.25).any():
            raise ValueError(
                f"rtol = {self.rtol:g} and atol = {self.atol:g} lie below the rounding of a {x.dtype} state "
                f"({eps:.1e} of it); loosen rtol to {8 * eps:.0e}, or give x in float64."
            )

    def scaled(self, error: Tensor, x0: Tensor, x1: Tensor) -> Tensor:
        """The error of a step from x0 to x1 in units of what is allowed, componentwise: (B, ...)."""
        return error.detach() / (self.atol + self.rtol * torch.maximum(x0.detach().abs(), x1.detach().abs()))

    def norms(self, error: Tensor, x0: Tensor, x1: Tensor) -> Array:
        """The root mean square of the scaled error: over each sample, (B,), or over the whole state, (1,)."""
        scaled = self.scaled(error, x0, x1)
        scaled = scaled.to(torch.promote_types(scaled.dtype, torch.float32))
        flat = scaled.flatten(1) if self.per_sample and scaled.ndim > 1 else scaled.reshape(len(self._groups(x0)), -1)
        try:
            return array(host(flat.square().mean(1).sqrt()))
        except RuntimeError:
            raise ValueError(
                "Adaptive steps follow from the numbers of the state, which has none of its own under vmap; give a "
                "grid, or the whole batch as x with per_sample=True."
            ) from None

    def time(self, values: Array, x: Tensor) -> Time:
        """The times of the groups as a step takes them: a float, or one time a sample, (B, 1, …, 1)."""
        return columns(values, x) if self.per_sample else float(values[0])

    def first_steps(self, drift: Function, x: Tensor, slope: Tensor, order: float) -> Array:
        """The lengths of the first steps, (groups,), which make a local error near 1 % of what is allowed.

        Args:
            drift: f(t, x). It is called once, at the end of a short Euler step.
            x: the initial state, (B, ...).
            slope: f there, (B, ...).
            order: p of the error estimate, O(h^p).
        """
        size, speed = self.norms(x, x, x), self.norms(slope, x, x)
        length, sign = abs(self.t1 - self.t0), math.copysign(1.0, self.t1 - self.t0)
        with np.errstate(divide="ignore", invalid="ignore"):
            guess = np.where((size > 1e-5) & (speed > 1e-5), 0.01 * size / speed, 1e-6)
            guess = np.minimum(np.nan_to_num(guess, nan=1e-6), length)
            h = self.time(sign * guess, x)
            there = drift(self.time(self.t0 + sign * guess, x), x + (h.to(x) if isinstance(h, Tensor) else h) * slope)
            change = self.norms(there - slope, x, x) / guess
            fastest = np.fmax(speed, change)
            step = np.where(fastest > 1e-15, (0.01 / fastest) ** (1.0 / order), 1e-6)
        first: Array = np.minimum(np.minimum(100.0 * guess, np.nan_to_num(step, nan=1e-6)), length)
        return first

    def _groups(self, x: Tensor) -> range:
        return range(x.shape[0] if self.per_sample else 1)

"""Which steps are taken: exactly those of a grid, or those that an error estimate allows.

`Adaptive` accepts a step from x₀ to x₁ with estimated local error e when

    ‖e‖ = rms_i( e_i / (atol + rtol max(|x₀ᵢ|, |x₁ᵢ|)) ) ≤ 1

and chooses the next one with a proportional-integral controller, h ← h · 0.9 ‖e‖^{−0.7/p} ‖e_prev‖^{0.4/p}, p the order
of the method (Gustafsson; Hairer, Nørsett and Wanner, Solving ODEs I, II.4 and IV.2). The norm is taken over the whole
state, so the samples of a batch share their steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["Adaptive", "Control", "Grid", "Underflow", "rms"]

Slope = Callable[[], Tensor]


class Control(Protocol):
    """The run-time side: proposes the end of the next step, and judges the step."""

    def propose(self) -> float | None: ...

    def accepts(self, error: Tensor | None, x0: Tensor, x1: Tensor) -> bool: ...


class Underflow(Exception):
    """The step size fell below the spacing of floats. Internal: the loop turns it into a SolveError."""


def rms(x: Tensor) -> float:
    """The root mean square over all components."""
    return (x.detach().double().square().mean().sqrt()).item()


@dataclass(frozen=True)
class Grid:
    """Exactly these steps: strictly monotone times, at least two."""

    times: tuple[float, ...]

    @classmethod
    def of(cls, times: Tensor | Sequence[float]) -> Grid:
        """Raises ValueError for times that are not 1-D, finite and strictly monotone."""
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
        return self.times[0]

    @property
    def t1(self) -> float:
        return self.times[-1]

    @property
    def n(self) -> int:
        """The number of steps."""
        return len(self.times) - 1

    def control(self, slope: Slope, x: Tensor, order: int) -> Control:
        return _Follow(self.times)


class _Follow:
    def __init__(self, times: tuple[float, ...]) -> None:
        self.remaining = iter(times[1:])

    def propose(self) -> float | None:
        return next(self.remaining, None)

    def accepts(self, error: Tensor | None, x0: Tensor, x1: Tensor) -> bool:
        return True


@dataclass(frozen=True)
class Adaptive:
    """Steps from t0 to t1 (in either direction) chosen by the solver's own error estimate.

    rtol, atol: relative and absolute tolerance of one step's error. There are no defaults: they are the accuracy
    that you ask for. Raises ValueError for tolerances that are not positive, or times that do not differ.
    """

    t0: float
    t1: float
    rtol: float
    atol: float

    def __init__(self, t0: float, t1: float, *, rtol: float, atol: float) -> None:
        if not (math.isfinite(t0) and math.isfinite(t1)) or t0 == t1:
            raise ValueError(f"Adaptive needs two different finite times, but got {t0} and {t1}.")
        if rtol <= 0.0 or atol <= 0.0:
            raise ValueError(f"Adaptive needs positive tolerances, but got rtol = {rtol} and atol = {atol}.")
        for name, value in (("t0", float(t0)), ("t1", float(t1)), ("rtol", rtol), ("atol", atol)):
            object.__setattr__(self, name, value)

    def control(self, slope: Slope, x: Tensor, order: int) -> Control:
        return _ProportionalIntegral(self, self._first_step(slope(), x, order), order)

    def norm(self, error: Tensor, x0: Tensor, x1: Tensor) -> float:
        return rms(error / (self.atol + self.rtol * torch.maximum(x0.abs(), x1.abs())))

    def _first_step(self, slope: Tensor, x: Tensor, order: int) -> float:
        """A hundredth of the time in which the state changes by itself (Hairer et al., II.4, the first guess)."""
        size, speed = self.norm(x, x, x), self.norm(slope, x, x)
        step = 0.01 * size / speed if min(size, speed) > 1e-5 else 1e-6
        return min(step, abs(self.t1 - self.t0))


class _ProportionalIntegral:
    """Gustafsson's controller; a step that was just rejected may not grow."""

    def __init__(self, adaptive: Adaptive, first_step: float, order: int) -> None:
        self.adaptive, self.order = adaptive, order
        self.sign = math.copysign(1.0, adaptive.t1 - adaptive.t0)
        self.t, self.h, self.end = adaptive.t0, first_step, adaptive.t0
        self.previous, self.after_rejection = 1.0, False

    def propose(self) -> float | None:
        left = abs(self.adaptive.t1 - self.t)
        if left == 0.0:
            return None
        if self.h >= 0.99 * left:  # no sliver is left over for a last step
            self.end = self.adaptive.t1
            return self.end
        if not self.h >= 16.0 * math.ulp(self.t):  # below it, t + h no longer follows h
            raise Underflow(
                f"The step size fell to {self.h:.1e} at t = {self.t:g}: the field is singular, discontinuous or not "
                "finite there, or the tolerance is below the rounding of the state's dtype; end earlier, or loosen it."
            )
        self.end = self.t + self.sign * self.h
        return self.end

    def accepts(self, error: Tensor | None, x0: Tensor, x1: Tensor) -> bool:
        if error is None:
            raise TypeError("A method without an error estimate cannot step adaptively; give it a grid of times.")
        norm = self.adaptive.norm(error, x0, x1)
        taken = abs(self.end - self.t)
        if not norm <= 1.0:
            growth = 0.9 * norm ** (-1.0 / self.order) if math.isfinite(norm) else 0.1
            self.h, self.after_rejection = taken * max(0.1, growth), True
            return False
        norm = max(norm, 1e-10)
        growth = 0.9 * norm ** (-0.7 / self.order) * self.previous ** (0.4 / self.order)
        self.h = taken * min(max(growth, 0.2), 1.0 if self.after_rejection else 10.0)
        self.t, self.previous, self.after_rejection = self.end, norm, False
        return True

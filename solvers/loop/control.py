"""The run-time side of the times of a solve: it proposes the end of the next step, and judges the step.

`Follow` walks along a grid. `Controller` chooses step sizes from the norms of the errors, for each group of samples
apart (see `stepping`); `Shared` is the controller of a batch that steps together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from ..common import Array, Mask
from .times import EXPONENTS, Adaptive

__all__ = ["Controller", "Follow", "Shared", "Underflow"]


class Underflow(Exception):
    """The step size fell below the spacing of floats. Internal: the loops turn it into a SolveError."""

    def __init__(self, group: int, h: float) -> None:
        super().__init__()
        self.group, self.h = group, h


class Follow:
    """Every step of a grid."""

    h = None

    def __init__(self, times: Sequence[float]) -> None:
        self.remaining = iter(times[1:])

    def propose(self) -> float | None:
        return next(self.remaining, None)

    def accepts(self, error: Tensor | None, x0: Tensor, x1: Tensor) -> bool:
        return True


class Controller:
    """The run-time side of `Adaptive`: where each group of samples is, and how far it dares to go next."""

    def __init__(self, adaptive: Adaptive, first_steps: Array, order: float) -> None:
        self.adaptive = adaptive
        self.exponents = tuple(beta / order for beta in EXPONENTS[adaptive.control])
        self.order = order
        self.sign = math.copysign(1.0, adaptive.t1 - adaptive.t0)
        self.h = first_steps
        self.t = np.full_like(first_steps, adaptive.t0)
        self.end = self.t
        self.earlier = np.ones((2, len(first_steps)))
        self.retried = np.zeros(len(first_steps), dtype=bool)

    def propose(self) -> Array:
        """The ends of the next steps. Raises Underflow for steps that are lost in the rounding of t."""
        left = np.abs(self.adaptive.t1 - self.t)
        last = self.h >= 0.99 * left  # no sliver is left over for a last step
        lost = ~last & ~(self.h >= 16.0 * np.spacing(np.abs(self.t)))  # below it, t + h no longer follows h
        if lost.any():
            group = int(lost.argmax())
            raise Underflow(group, float(self.h[group]))
        self.end = np.where(last, self.adaptive.t1, self.t + self.sign * self.h)
        return self.end

    def judge(self, norms: Array) -> Mask:
        """Which steps are accepted, by the norms of their errors; and the next step sizes."""
        accepted: Mask = norms <= 1.0
        taken = np.abs(self.end - self.t)
        bounded = np.maximum(norms, 1e-10)
        with np.errstate(invalid="ignore", over="ignore"):
            retreat = np.clip(np.nan_to_num(0.9 * bounded ** (-1.0 / self.order), nan=0.1), 0.1, 1.0)
            history = np.stack([bounded, *self.earlier])
            growth = 0.9 * np.prod([e**-beta for e, beta in zip(history, self.exponents, strict=True)], axis=0)
        growth = np.clip(growth, 0.2, np.where(self.retried, 1.0, 10.0))  # just rejected, it may not grow
        self.h = taken * np.where(accepted, growth, retreat)
        self.t = np.where(accepted, self.end, self.t)
        self.earlier = np.where(accepted, history[:2], self.earlier)
        self.retried = ~accepted
        return accepted

    @property
    def finished(self) -> Mask:
        return np.equal(self.t, self.adaptive.t1)

    def keep(self, mask: Mask) -> None:
        """Go on with these groups alone."""
        self.h, self.t, self.end = self.h[mask], self.t[mask], self.end[mask]
        self.earlier, self.retried = self.earlier[:, mask], self.retried[mask]


class Shared:
    """The controller of one group, in floats."""

    def __init__(self, adaptive: Adaptive, first_steps: Array, order: float) -> None:
        self.adaptive = adaptive
        self.controller = Controller(adaptive, first_steps, order)

    @property
    def h(self) -> float:
        return float(self.controller.h[0])

    def propose(self) -> float | None:
        return None if self.controller.finished[0] else float(self.controller.propose()[0])

    def accepts(self, error: Tensor | None, x0: Tensor, x1: Tensor) -> bool:
        if error is None:
            raise TypeError("A method without an error estimate cannot step adaptively; give it a grid of times.")
        return bool(self.controller.judge(self.adaptive.norms(error, x0, x1))[0])
